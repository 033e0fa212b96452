package smimetest

import (
	_ "embed" // the catalogue
	"encoding/json"
	"iter"
	"slices"
	"sync"

	"github.com/postseal/postseal/smime"
)

// A Defect is one thing that is wrong with a message, or odd about it and right, by its
// name in the catalogue. The constants are one for each row of the catalogue; [Cases] has
// all of them.
type Defect string

// The defects, by the rows of the attack catalogue.
const (
	TwoContents           Defect = "a01-other-content"         // A01: a part beside a signature that carries another content
	StrippedAttributes    Defect = "a02-attributes-as-content" // A02: the signed attributes have become the content
	BrokenSecondSignature Defect = "a04-good-and-bad"          // A04: a good signature and a broken one
	NoSigners             Defect = "a05-nobody"                // A05: nobody signed
	SelfSignedCertificate Defect = "a06-self-signed"           // A06: the signer vouches for himself
	WrongContentType      Defect = "a07-other"                 // A07: content-type is another
	WrongMessageDigest    Defect = "a08-other"                 // A08: message-digest is another
	AlteredContent        Defect = "a08-altered"               // A08: other content than was signed
	AlteredPart           Defect = "a08-altered-detached"      // A08: another part than was signed
	RepeatedAttribute     Defect = "a09-two-digests"           // A09: message-digest twice
	AttributesReordered   Defect = "a10-signed-unsorted"       // A10: the signature covers another order
	AlgorithmsUnprotected Defect = "a11-digest"                // A11: another digest algorithm is protected
	UnknownDigest         Defect = "a12-unknown-digest"        // A12: the signer's digest is unknown
	BackDated             Defect = "a13-back-dated"            // A13: an expired certificate, and a time when it was not
	SameKeyCertificate    Defect = "a14-same-key"              // A14: somebody else's certificate for the same key
	UnsignedAttribute     Defect = "a15-unsigned-time"         // A15: a time among the unsigned attributes, which says nothing
	AuthenticatedMessage  Defect = "a16-authenticated"         // A16: AuthenticatedData, which has no place in mail
	SignedCiphertext      Defect = "a17-opaque"                // A17: only the ciphertext is signed
	ForwardedSecretly     Defect = "a18-forwarded"             // A18: a message to Carol, encrypted for Bob by somebody else
	MislabelledStructure  Defect = "a19-twin-enveloped"        // A19: signed data labelled as enveloped
	CertificatesOnly      Defect = "a20-certificates"          // A20: nothing but certificates, labelled as signed
	TimeStampAsMessage    Defect = "a21-time-stamp"            // A21: a time stamp as a message
	ReceiptAsMessage      Defect = "a22-receipt"               // A22: a receipt as a message
	PaddingGarbage        Defect = "b01-garbage-behind"        // B01: octets behind the DigestInfo
	PSSSaltShort          Defect = "b02-salt-short"            // B02: less salt than announced
	MalleatedSignature    Defect = "b03-behind"                // B03: an octet behind an ECDSA signature
	SHA1Signature         Defect = "b06-sha1"                  // B06: SHA-1
	TripleDESCipher       Defect = "b06-3des"                  // B06: Triple-DES
	AlgorithmParameters   Defect = "b07-rsa-garbage"           // B07: parameters where none belong
	WrongKeyUsage         Defect = "b08-encipherment"          // B08: a key that is not for signing
	UnfitDigest           Defect = "b09-ed25519-sha256"        // B09: Ed25519 with a digest that does not go with it
	ExfiltrationLink      Defect = "c01-link-mixed"            // C01: a ciphertext between two halves of a link
	CBCGadget             Defect = "c02-gadget"                // C02: the first block is the attacker's
	DowngradedCipher      Defect = "c03-as-cbc"                // C03: AES-GCM sent as AES-CBC
	ShortTag              Defect = "c04-tag-4"                 // C04: a tag of four octets
	WrongNonce            Defect = "c05-nonce-of-13"           // C05: a nonce of another length
	AlteredTag            Defect = "c06-tag"                   // C06: one bit of the tag is another
	KeyPadding            Defect = "c07-first-octet"           // C07: the padding of the key is wrong
	WrongKeyFirst         Defect = "c08-bad-first"             // C08: the reader twice, the right one last
	OAEPLabel             Defect = "c09-label"                 // C09: another label
	ContentPadding        Defect = "c10-uneven"                // C10: the padding of the content is wrong
	CompressionBomb       Defect = "c17-bomb"                  // C17: a few octets that turn into millions
	QuotedCiphertext      Defect = "c18-mixed"                 // C18: somebody else's ciphertext below a question
	ForgottenReader       Defect = "c20-forgotten"             // C20: nobody thought of the reader
	VisibleBcc            Defect = "c21-bcc"                   // C21: a reader in Bcc, whom the others can see
	Unpadded              Defect = "c22-bare"                  // C22: the length can be told
	LateFailure           Defect = "c23-late"                  // C23: nobody signed it, as turns out at its end
	DeepStructure         Defect = "d01-unsigned"              // D01: an attribute of 70 levels
	HugeLength            Defect = "d02-31-bits"               // D02: a length of 2 GiB
	NestedStrings         Defect = "d03-nested"                // D03: strings four deep
	AliasedIdentifier     Defect = "d05-content-type-32"       // D05: an identifier that is another modulo 2^32
	RepeatedElement       Defect = "d06-two-signers"           // D06: the signers twice
	WrongElementType      Defect = "d07-signers-sequence"      // D07: the signers are a SEQUENCE
	NullContent           Defect = "d08-null-content"          // D08: NULL in place of the content
	ManySigners           Defect = "d10-signers"               // D10: 17 signatures
	OddString             Defect = "d11-bmp-odd"               // D11: a BMPString of odd length
	LeapSecond            Defect = "d12-twin-leap"             // D12: a signing time that is none, which says nothing
	TextBefore            Defect = "e01-mixed-detached"        // E01: text before the signed part
	HiddenByMarkup        Defect = "e02-style-detached"        // E02: markup hides the signed part
	HiddenAsImage         Defect = "e03-image-detached"        // E03: the signed part is referenced as an image
	HiddenAsAttachment    Defect = "e04-attachment-detached"   // E04: the signed part is an attachment
	ListFooter            Defect = "e05-list-footer"           // E05: a mailing list's footer beside the signed message
	SignedForward         Defect = "e06-forwarded-detached"    // E06: a signed message forwarded in one that is not
	TwoFrom               Defect = "e07-two-from"              // E07: From twice
	TwoBoundaries         Defect = "e08-doubled"               // E08: two boundaries
	BoundaryInside        Defect = "e09-inside"                // E09: the boundary in a line of the signed text
	ThirdPart             Defect = "e10-three-parts"           // E10: a part behind the signature
	LineEndAdded          Defect = "e11-line-end-added"        // E11: one more line end than was signed
	QuotedFrom            Defect = "e12-from"                  // E12: a relay that quotes From
	LaxBase64             Defect = "e13-alphabet"              // E13: a letter that is not in the alphabet
	ManyFields            Defect = "e14-fields"                // E14: a field more than anybody reads
	HiddenType            Defect = "e15-invoice"               // E15: named as something else
	HeadlessPart          Defect = "e16-twin-first-line"       // E16: signed text without a header, of which nothing is lost
	Preamble              Defect = "e17-twin-preamble"         // E17: text before the first part, which is not content
	OtherSigner           Defect = "f01-other-signer"          // F01: Eve signs a message from Alice
	AddressAsName         Defect = "f02-quoted-address"        // F02: Alice's address as Eve's name
	TwoAuthors            Defect = "f03-two-mailboxes"         // F03: two authors
	QuotedAt              Defect = "f04-two-at"                // F04: an @ in a quoted local part
	Homograph             Defect = "f05-homograph"             // F05: a letter of another script
	AddressWithNUL        Defect = "f06-nul"                   // F06: a NUL in the certificate's address
	InnerFromUnmarked     Defect = "f07-not-marked"            // F07: a From inside, without header protection
	LeakingReply          Defect = "f08-leak"                  // F08: a reply that shows the subject it answers
	DraftProtection       Defect = "f09-draft-from"            // F09: an older form of header protection, and another author outside
	Replayed              Defect = "f10-replayed"              // F10: sent again to others a year later
	InjectedFields        Defect = "i01-injected"              // I01: fields out of a line end in the subject
	PrintedAgain          Defect = "i02-printed-again"         // I02: the signed part is parsed and printed again
	BoundaryChosen        Defect = "i03-boundary"              // I03: the text holds the boundary that was chosen
	SignedAsItWas         Defect = "i04-as-it-was"             // I04: text that a relay changes is signed as it is
	ConditionalText       Defect = "i05-conditional"           // I05: a text that reads differently elsewhere
	NoRandomness          Defect = "i06-zeros"                 // I06: a random source that gave zeros
	Truncated             Defect = "j01-opaque-half"           // J01: half of a structure
	KEMCiphertextShort    Defect = "k04-short"                 // K04: a ciphertext of RSA-KEM that is too short
	CompositeHalf         Defect = "k05-only"                  // K05: half of a composite signature
	HashTreeLevels        Defect = "k06-hss-255-levels"        // K06: a hash-based signature of 255 levels
)

// A Case is one entry of the catalogue: a defect and what is to be answered about a message
// that has it.
type Case struct {
	Defect Defect `json:"defect"`
	Row    string `json:"row,omitempty"` // of the attack catalogue, such as "A02"; empty for a message as it should be
	Note   string `json:"note"`          // what is wrong, or what is odd and right
	// Needs is what the message must be: "signed", or "encrypted" around a signature.
	Needs string `json:"needs"`
	// Twin is the same without the defect; empty for a message that is right.
	Twin Defect `json:"twin,omitempty"`
	// Verdict is the answer of a reader who trusts the PKI and holds its reader's key.
	// Codes, Warnings and Remarks are among those he gives, Remarks with one of the
	// signatures, and Notes, each a field and a code, among those about the header.
	Verdict  smime.Verdict `json:"verdict"`
	Codes    []string      `json:"codes,omitempty"`
	Warnings []string      `json:"warnings,omitempty"`
	Remarks  []string      `json:"remarks,omitempty"`
	Notes    []string      `json:"notes,omitempty"`
}

// Cases returns the catalogue. The file catalogue.json of this package has the same for
// programs that are not written in Go.
func Cases() iter.Seq[Case] { return slices.Values(catalogued()) }

//go:embed catalogue.json
var catalogueText []byte

var catalogued = sync.OnceValue(func() (all []Case) {
	if err := json.Unmarshal(catalogueText, &all); err != nil {
		panic("smimetest: catalogue.json: " + err.Error())
	}
	return all
})
