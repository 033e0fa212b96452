package peertest

import (
	"slices"
	"strings"
)

// A Kind is a CMS content type as far as the matrix distinguishes them.
type Kind string

// The kinds of messages.
const (
	Signed        Kind = "signed"        // SignedData (RFC 5652, Section 5)
	Encrypted     Kind = "encrypted"     // EnvelopedData (RFC 5652, Section 6) or AuthEnvelopedData (RFC 5083)
	CertsOnly     Kind = "certs-only"    // SignedData without signers (RFC 8551, Section 3.8)
	Compressed    Kind = "compressed"    // CompressedData (RFC 3274)
	Authenticated Kind = "authenticated" // AuthenticatedData (RFC 5652, Section 9)
	UnderKey      Kind = "under-key"     // EncryptedData (RFC 5652, Section 8)
	Digested      Kind = "digested"      // DigestedData (RFC 5652, Section 7)
)

// A Form is one way to protect content: what a producer is asked to write.
type Form struct {
	Name string // as docs/interop.md has it
	Kind Kind
	// ReadOnly: postseal reads it and writes something better instead.
	ReadOnly bool

	Who      []string // identities: signers, recipients, or the certificates to bundle
	KeyID    bool     // name them by subject key identifier, not by issuer and serial number
	Streamed bool     // BER with indefinite lengths and the content in several chunks

	Detached bool   // signed: the content travels beside the signature
	Digest   string // signed, authenticated, digested: sha256, sha3-256, shake128 and so on
	PSS      bool   // signed: RSASSA-PSS with the digest's own length of salt (RFC 4056)
	LongSalt bool   // signed, with PSS: the longest salt there is room for
	Bare     bool   // signed: no signed attributes

	Cipher  string // encrypted: aes128-cbc, chacha20-poly1305 and so on
	OAEP    string // encrypted: digest of RSAES-OAEP (RFC 3560); "" is PKCS #1 v1.5
	Mask    string // encrypted, with OAEP: digest of its mask; "" is the same
	Label   bool   // encrypted, with OAEP: with OAEPLabel
	KDF     string // encrypted, with EC: sha1, cofactor-sha256, hkdf-sha256 and so on; "" is for the producer to choose
	Derived bool   // encrypted: the content key is bound to the cipher (RFC 9709)
	Marked  bool   // encrypted: with an authenticated attribute

	Secret     bool // with SecretKey and SecretID, for nobody by name (RFC 5652, Section 6.2.3)
	Passphrase bool // with Password, for nobody by name (RFC 5652, Section 6.2.4)
}

// SecretKey and SecretID are the key-encryption key that a lab's peers share, in hex.
const (
	SecretKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	SecretID  = "c0ffee"
)

// OAEPLabel is the label of RSAES-OAEP where a form has one, in hex.
const OAEPLabel = "706f73747365616c"

// Shared reports whether the content is for whoever shares a secret or a password.
func (f Form) Shared() bool { return f.Secret || f.Passphrase }

// AEAD reports whether the form is an AuthEnvelopedData.
func (f Form) AEAD() bool { return f.Cipher != "" && !strings.HasSuffix(f.Cipher, "-cbc") }

// Legacy reports whether the cipher is one that nobody should use any more.
func (f Form) Legacy() bool {
	return f.Kind == Encrypted && !strings.HasPrefix(f.Cipher, "aes") && !f.AEAD()
}

// Has reports whether one of the identities has a key of that kind: the part of its name
// after the hyphen, "" for RSA.
func (f Form) Has(kinds ...string) bool {
	return slices.ContainsFunc(f.Who, func(who string) bool { return slices.Contains(kinds, KeyKind(who)) })
}

// KeyKind returns the kind of key that an identity of a name has: "" for RSA, or what
// follows the hyphen.
func KeyKind(who string) string {
	_, kind, _ := strings.Cut(who, "-")
	return kind
}

// Agreed reports whether there is a recipient by key agreement.
func (f Form) Agreed() bool {
	return f.Kind != Signed && f.Has("ec", "p384", "p521", "x25519", "x448")
}

// KEM reports whether there is a recipient with an ML-KEM key.
func (f Form) KEM() bool { return f.Has("mlkem512", "mlkem768", "mlkem1024") }

// MLDSA reports whether there is a signer with an ML-DSA key.
func (f Form) MLDSA() bool { return f.Has("mldsa44", "mldsa65", "mldsa87") }

// Montgomery reports whether there is a recipient on a curve of RFC 7748.
func (f Form) Montgomery() bool { return f.Has("x25519", "x448") }

// Content returns what a test protects with the form: an S/MIME entity with CRLF line
// ends, for streamed forms long enough to need several chunks.
func (f Form) Content() []byte {
	// The second field is there because JavaMail adds it to what it is given.
	head := "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
	if !f.Streamed {
		return []byte(head + "The harbour opens at nine.\r\n")
	}
	return []byte(head + strings.Repeat("The harbour opens at nine, and closes when the last boat is in.\r\n", 3000))
}
