package catalogue

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/mimeraw"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// The pieces that the messages are made of.
const (
	SignedField = "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n" +
		"\tmicalg=sha-256; boundary=outer\r\n"
	SignatureFields = "Content-Type: application/pkcs7-signature; name=smime.p7s\r\n" +
		"Content-Transfer-Encoding: base64\r\n" +
		"Content-Disposition: attachment; filename=smime.p7s\r\n" +
		"\r\n"
	OpaqueFields = "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n" +
		"Content-Transfer-Encoding: base64\r\n" +
		"\r\n"
	EnvelopedFields = "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n" +
		"Content-Transfer-Encoding: base64\r\n" +
		"\r\n"
)

// The keys that all of the messages are encrypted with. No message holds them in any
// other form than a message does.
const (
	Key   = "The key that encrypts the files."
	IV    = "sixteen octets, "
	Nonce = "twelve more "
)

// Key parts of the one message that the folder testdata/open is made of.
const (
	OpenFrom   = "From: Alice <alice@good.example>\r\n"
	OpenFields = OpenFrom +
		"To: Bob <bob@good.example>\r\n" +
		"Subject: Greetings\r\n" +
		"Date: Mon, 01 Jun 2026 12:00:00 +0000\r\n" +
		"MIME-Version: 1.0\r\n"
	OpenPart = "Content-Type: text/plain; charset=us-ascii\r\n" +
		"\r\n" +
		"Dear Bob,\r\nsee you on Tuesday.\r\n"
)

// People are those who write, read and forge.
type People interface {
	// Alice is the author, Bob the reader, who has an RSA key, and Eve another author, with
	// an RSA key too, who is to be trusted to be eve@evil.example.
	Alice() *certstore.Identity
	Bob() *certstore.Identity
	Eve() *certstore.Identity
	// Other is somebody with Alice's address and a certificate that the name tells about.
	Other(name string) *certstore.Identity
	// CRL revokes the certificate of Other("revoked").
	CRL() []byte
	// Root is trusted.
	Root() *x509.Certificate
	// Now is when messages are signed.
	Now() time.Time
}

// A Maker makes cases of one message.
type Maker struct {
	people  People
	address string // in From
	from    string // the field From
	subject string // the field Subject
	fields  string // of the header, without those about the content, From first
	part    string // the entity that is protected
	given   *given // nil if Alice signs whatever is asked for

	cases      []*Case
	fault      string // what was missing for the case that comes next
	groupFault string // and for all that come after in its group
}

// NewMaker returns a maker of cases of the message that testdata/open is made of.
func NewMaker(people People) *Maker {
	return &Maker{people: people, address: "alice@good.example", from: OpenFrom, subject: "Subject: Greetings\r\n", fields: OpenFields, part: OpenPart}
}

// Cases returns all cases.
func (m *Maker) Cases() []*Case {
	m.cases = nil
	for _, g := range groups() {
		m.run(g)
	}
	return m.cases
}

// A group makes the cases of some rows of the catalogue.
type group struct {
	rows  string // of the cases it makes, each with a space behind it
	needs string // what the message must be: "signed" or "encrypted"
	make  func(*Maker)
}

func groups() []group {
	return []group{
		{"valid ", "signed", (*Maker).valid},
		{"e05 ", "signed", (*Maker).shapes},
		{"e07 ", "signed", (*Maker).headers},
		{"e08 ", "signed", (*Maker).boundaries},
		{"e09 ", "signed", (*Maker).delimiters},
		{"e10 ", "signed", (*Maker).parts},
		{"e11 ", "signed", (*Maker).lineEnds},
		{"e13 ", "signed", (*Maker).transfers},
		{"e17 e16 ", "signed", (*Maker).texts},
		{"f01 f02 f03 f04 ", "signed", (*Maker).authors},
		{"valid ", "encrypted", (*Maker).valid2},
		{"e01 e02 e03 e04 e06 ", "signed", (*Maker).beside},
		{"c01 c18 ", "encrypted", (*Maker).quoted},
		{"a14 ", "signed", (*Maker).bags},
		{"a13 a15 a16 ", "signed", (*Maker).claims},
		{"a13 a15 ", "signed", (*Maker).evidence},
		{"a17 a18 ", "encrypted", (*Maker).ciphertext},
		{"f05 f06 ", "signed", (*Maker).addresses},
		{"f07 f09 ", "signed", (*Maker).protectedHeaders},
		{"f07 ", "signed", (*Maker).samples},
		{"a01 ", "signed", (*Maker).twoContents},
		{"a02 ", "signed", (*Maker).attributesAsContent},
		{"a04 a05 ", "signed", (*Maker).signers},
		{"a06 ", "signed", (*Maker).strangers},
		{"a07 a08 a09 ", "signed", (*Maker).attributes},
		{"a10 ", "signed", (*Maker).attributeEncodings},
		{"a12 ", "signed", (*Maker).announced},
		{"a19 a20 a21 ", "signed", (*Maker).labels},
		{"b01 ", "signed", (*Maker).forgedRSA},
		{"b06 b07 ", "signed", (*Maker).algorithms},
		{"b08 ", "signed", (*Maker).usages},
		{"c01 ", "encrypted", (*Maker).isolation},
		{"c02 ", "encrypted", (*Maker).gadgets},
		{"c03 ", "encrypted", (*Maker).downgrades},
		{"c04 c06 c05 ", "encrypted", (*Maker).tags},
		{"c07 c09 ", "encrypted", (*Maker).keyTransport},
		{"c08 ", "encrypted", (*Maker).recipients},
		{"c10 ", "encrypted", (*Maker).padding},
		{"b06 ", "encrypted", (*Maker).oldCiphers},
		{"d01 ", "signed", (*Maker).nesting},
		{"d02 ", "signed", (*Maker).lengths},
		{"d03 ", "signed", (*Maker).pieces},
		{"d05 ", "signed", (*Maker).aliases},
		{"d05 ", "encrypted", (*Maker).sealedAliases},
		{"d06 d07 d08 ", "signed", (*Maker).elements},
		{"d10 ", "signed", (*Maker).floods},
		{"d11 ", "signed", (*Maker).strings},
		{"d12 ", "signed", (*Maker).times},
		{"j01 ", "signed", (*Maker).cuts},
		{"j01 ", "encrypted", (*Maker).sealedCuts},
		{"a11 ", "signed", (*Maker).protection},
		{"b02 ", "signed", (*Maker).forgedPSS},
		{"b03 ", "signed", (*Maker).malleable},
		{"b09 k05 k06 ", "signed", (*Maker).otherSchemes},
		{"k04 ", "encrypted", (*Maker).otherRecipients},
		{"a13 f10 ", "signed", (*Maker).dates},
		{"a22 a21 ", "signed", (*Maker).receipts},
		{"c17 ", "signed", (*Maker).bombs},
		{"c20 c21 c22 c23 i06 ", "encrypted", (*Maker).readers},
		{"e12 i02 i04 ", "signed", (*Maker).relayed},
		{"e14 ", "signed", (*Maker).masses},
		{"e15 ", "signed", (*Maker).hidden},
		{"i01 i03 i05 ", "signed", (*Maker).written},
		{"f08 ", "encrypted", (*Maker).replies},
	}
}

// run makes the cases of a group.
func (m *Maker) run(g group) {
	m.fault, m.groupFault = "", ""
	before := len(m.cases)
	g.make(m)
	for _, c := range m.cases[before:] {
		c.Needs = g.needs
	}
}

// lacks notes that the case to be made needs something that is not there.
func (m *Maker) lacks(what string) {
	if m.fault == "" {
		m.fault = what
	}
}

// change replaces old, which must occur exactly once.
func (m *Maker) change(text, old, new string) string {
	if n := strings.Count(text, old); n != 1 {
		m.lacks(fmt.Sprintf("a message in which %q occurs once", old))
	}
	return strings.Replace(text, old, new, 1)
}

// other is somebody with Alice's address.
func (m *Maker) other(name string) *certstore.Identity {
	if m.address != "alice@good.example" {
		m.lacks("the author alice@good.example")
	}
	return m.people.Other(name)
}

// ofRSA is for cases of RSA signatures.
func (m *Maker) ofRSA() {
	if _, ok := m.people.Alice().Certificate().PublicKey.(*rsa.PublicKey); !ok {
		m.lacks("an author with an RSA key")
	}
}

// rsaKey returns Alice's RSA key, or notes for all cases that come that there is none.
func (m *Maker) rsaKey() *rsa.PrivateKey {
	if key, ok := m.people.Alice().Key().(*rsa.PrivateKey); ok {
		return key
	}
	m.lacks("the RSA key of the signer")
	m.forAll()
	return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}, D: big.NewInt(1)}
}

// must panics for a failure that no message can cause.
func must(err error) {
	if err != nil {
		panic("catalogue: " + err.Error())
	}
}

// signer makes the same signature each time. It names no capabilities, because those grow
// with this module.
func (m *Maker) signer(id *certstore.Identity) *cms.Signer {
	return &cms.Signer{
		Certificate: id.Certificate(), Key: id.Key(), Digest: sigalg.SHA256,
		Time: m.people.Now(), Capabilities: []byte{0x30, 0},
	}
}

// chainOf is the certificate of an identity and those of its authorities.
func chainOf(id *certstore.Identity) []*x509.Certificate {
	return append([]*x509.Certificate{id.Certificate()}, id.Intermediates()...)
}

// detached returns the DER of a detached signature of id over text in canonical form.
func (m *Maker) detached(id *certstore.Identity, text string) []byte {
	canonical := mimeraw.Canonical([]byte(text))
	if s := m.given.by(m, id, string(canonical)); s != nil {
		return Detached(s)
	}
	d := cms.NewDigests(sigalg.SHA256)
	d.Write(canonical)
	der, err := cms.SignDetached(d, []*cms.Signer{m.signer(id)}, chainOf(id))
	must(err)
	return der
}

// opaque returns the DER of SignedData of id around text.
func (m *Maker) opaque(id *certstore.Identity, text string) []byte {
	if s := m.given.by(m, id, text); s != nil {
		return s.DER()
	}
	return m.signed(m.signer(id), chainOf(id), text)
}

// signed returns the DER of SignedData around text with the certificates.
func (m *Maker) signed(signer *cms.Signer, bag []*x509.Certificate, text string) []byte {
	var b bytes.Buffer
	w, err := cms.NewSignedWriter(&b, []*cms.Signer{signer}, bag)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	must(err)
	return b.Bytes()
}

// Message is a message whose part Alice signed.
func (m *Maker) Message(part string) string {
	return m.fields + SignedField + "\r\n" + Body(part, m.signature(m.people.Alice(), part))
}

// signature is the second part for a first part signed by id.
func (m *Maker) signature(id *certstore.Identity, part string) string {
	return SignatureFields + Base64Lines(m.detached(id, part))
}

// Body puts a signed part and its signature between delimiters.
func Body(part, signature string) string {
	return "--outer\r\n" + part + "\r\n--outer\r\n" + signature + "--outer--\r\n"
}

// Base64Lines returns octets in base64, in lines.
func Base64Lines(octets []byte) string {
	var b strings.Builder
	w := mimeraw.Base64Encoder(&b)
	w.Write(octets)
	w.Close()
	return b.String()
}

// OpaqueMail is a message that is a CMS structure.
func (m *Maker) OpaqueMail(der []byte) string { return m.fields + OpaqueFields + Base64Lines(der) }

// DetachedMail is a message whose second part is a CMS structure.
func (m *Maker) DetachedMail(part string, der []byte) string {
	return m.fields + SignedField + "\r\n" + Body(part, SignatureFields+Base64Lines(der))
}

// SealedMail is a message that is EnvelopedData.
func (m *Maker) SealedMail(der []byte) string {
	return m.fields + EnvelopedFields + Base64Lines(der)
}

// AuthSealedMail is a message that is AuthEnvelopedData.
func (m *Maker) AuthSealedMail(der []byte) string {
	return m.fields + strings.Replace(EnvelopedFields, "enveloped-data", "authEnveloped-data", 1) + Base64Lines(der)
}

// Detached takes the content out of SignedData.
func Detached(s *forge.Signed) []byte {
	c := *s
	c.Content = nil
	return c.DER()
}

// Forged returns SignedData of the identities over content, as it should be.
func Forged(content string, ids ...*certstore.Identity) *forge.Signed {
	var signers []*forge.Signer
	for _, id := range ids {
		signers = append(signers, forge.NewSigner(id.Certificate(), id.Key().(crypto.Signer), []byte(content)))
	}
	s := forge.NewSigned([]byte(content), signers...)
	for _, id := range ids {
		for _, c := range id.Intermediates() {
			if !slices.ContainsFunc(s.Certificates, func(x []byte) bool { return bytes.Equal(x, c.Raw) }) {
				s.Certificates = append(s.Certificates, c.Raw)
			}
		}
	}
	return s
}

// Forged returns what Alice signs, changed and made.
func (m *Maker) Forged(content string, change func(*forge.Signed)) *forge.Signed {
	alice := m.people.Alice()
	s := m.given.by(m, alice, content)
	if s == nil {
		s = Forged(content, alice)
	}
	if change != nil {
		change(s)
	}
	return s
}

// SealedPart is an entity that Alice signed, for inside an encryption.
func (m *Maker) SealedPart() string {
	return OpaqueFields + Base64Lines(m.Forged(m.part, nil).DER())
}

// Transport returns a RecipientInfo for the key by PKCS #1 v1.5.
func Transport(to *certstore.Identity, key []byte) []byte {
	pub := to.Certificate().PublicKey.(*rsa.PublicKey)
	return forge.KeyTransport(to.Certificate(), forge.Algorithm(oid.RSA, forge.Null()),
		forge.RSAEncrypted(pub, forge.EncryptionBlock(pub.Size(), key)))
}

// Envelope returns content in AES-256-CBC for Bob.
func (m *Maker) Envelope(content string, change func(*forge.Enveloped)) []byte {
	key := []byte(Key)
	e := &forge.Enveloped{
		Recipients: [][]byte{Transport(m.people.Bob(), key)},
		Cipher:     forge.AESCBC(key, []byte(IV)),
		Text:       forge.CBC(forge.AES(key), []byte(IV), forge.Padded([]byte(content), aes.BlockSize)),
	}
	if change != nil {
		change(e)
	}
	return e.DER()
}

// AuthEnvelope returns content in AES-256-GCM for Bob.
func (m *Maker) AuthEnvelope(content string, change func(*forge.Enveloped)) []byte {
	key := []byte(Key)
	e := &forge.Enveloped{
		Authenticated: true,
		Recipients:    [][]byte{Transport(m.people.Bob(), key)},
		Cipher:        forge.AESGCM(key, []byte(Nonce), 16),
	}
	e.Text, e.MAC = forge.GCM(key, []byte(Nonce), []byte(content), nil)
	if change != nil {
		change(e)
	}
	return e.DER()
}

// Sorted returns the elements in the order of DER.
func Sorted(elements [][]byte) [][]byte {
	return slices.SortedFunc(slices.Values(elements), bytes.Compare)
}
