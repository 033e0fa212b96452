package peertest

import (
	"slices"
	"strings"
)

// A Kind is a CMS content type as far as the matrix distinguishes them.
type Kind string

// The kinds of messages.
const (
	Signed     Kind = "signed"     // SignedData (RFC 5652, Section 5)
	Encrypted  Kind = "encrypted"  // EnvelopedData (RFC 5652, Section 6) or AuthEnvelopedData (RFC 5083)
	CertsOnly  Kind = "certs-only" // SignedData without signers (RFC 8551, Section 3.8)
	Compressed Kind = "compressed" // CompressedData (RFC 3274)
)

// A Form is one way to protect content: what a producer is asked to write.
type Form struct {
	Name string // as docs/interop.md has it
	Kind Kind

	Who      []string // identities: signers, recipients, or the certificates to bundle
	KeyID    bool     // name them by subject key identifier, not by issuer and serial number
	Streamed bool     // BER with indefinite lengths and the content in several chunks

	Detached bool   // signed: the content travels beside the signature
	Digest   string // signed: sha256, sha384 or sha512
	PSS      bool   // signed: RSASSA-PSS with the digest's own length of salt (RFC 4056)

	Cipher string // encrypted: aes128-cbc ... aes256-gcm
	OAEP   string // encrypted: digest of RSAES-OAEP and of its mask (RFC 3560); "" is PKCS #1 v1.5

	Secret     bool // encrypted: with SecretKey and SecretID, for nobody by name (RFC 5652, Section 6.2.3)
	Passphrase bool // encrypted: with Password, for nobody by name (RFC 5652, Section 6.2.4)
}

// SecretKey and SecretID are the key-encryption key that a lab's peers share, in hex.
const (
	SecretKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	SecretID  = "c0ffee"
)

// Shared reports whether the content is for whoever shares a secret or a password.
func (f Form) Shared() bool { return f.Secret || f.Passphrase }

// GCM reports whether the form is an AuthEnvelopedData.
func (f Form) GCM() bool { return strings.HasSuffix(f.Cipher, "-gcm") }

// EC reports whether one of the identities has a key on P-256.
func (f Form) EC() bool { return f.any("-ec") }

// Edwards reports whether one of the identities has an Ed25519 key.
func (f Form) Edwards() bool { return f.any("-ed") }

func (f Form) any(suffix string) bool {
	return slices.ContainsFunc(f.Who, func(who string) bool { return strings.HasSuffix(who, suffix) })
}

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

// Forms lists every form of the matrix in the order of its tables.
func Forms() []Form {
	rsa, ec := []string{"alice"}, []string{"alice-ec"}
	forms := []Form{
		{Name: "opaque, RSA PKCS #1 v1.5, SHA-256", Who: rsa, Digest: "sha256"},
		{Name: "opaque, RSA PKCS #1 v1.5, SHA-384", Who: rsa, Digest: "sha384"},
		{Name: "opaque, RSA PKCS #1 v1.5, SHA-512", Who: rsa, Digest: "sha512"},
		{Name: "opaque, RSA-PSS, SHA-256", Who: rsa, Digest: "sha256", PSS: true},
		{Name: "opaque, ECDSA P-256, SHA-256", Who: ec, Digest: "sha256"},
		{Name: "opaque, signer by key identifier", Who: rsa, Digest: "sha256", KeyID: true},
		{Name: "opaque, two RSA signers", Who: []string{"alice", "bob"}, Digest: "sha256"},
		{Name: "opaque, RSA and ECDSA signers", Who: []string{"alice", "alice-ec"}, Digest: "sha256"},
		{Name: "opaque, streamed BER", Who: rsa, Digest: "sha256", Streamed: true},
		{Name: "detached, RSA PKCS #1 v1.5, SHA-256", Who: rsa, Digest: "sha256", Detached: true},
		{Name: "detached, RSA-PSS, SHA-256", Who: rsa, Digest: "sha256", Detached: true, PSS: true},
		{Name: "detached, ECDSA P-256, SHA-256", Who: ec, Digest: "sha256", Detached: true},
		{Name: "opaque, Ed25519", Who: []string{"alice-ed"}, Digest: "sha512"},
		{Name: "detached, two RSA signers", Who: []string{"alice", "bob"}, Digest: "sha256", Detached: true},
	}
	for i := range forms {
		forms[i].Kind = Signed
	}
	bob := []string{"bob"}
	for _, mode := range []string{"cbc", "gcm"} {
		for _, size := range []string{"128", "192", "256"} {
			forms = append(forms, Form{Name: "AES-" + size + "-" + strings.ToUpper(mode) + ", RSA PKCS #1 v1.5",
				Kind: Encrypted, Who: bob, Cipher: "aes" + size + "-" + mode})
		}
	}
	return append(forms,
		Form{Name: "AES-256-CBC, RSA-OAEP SHA-1", Kind: Encrypted, Who: bob, Cipher: "aes256-cbc", OAEP: "sha1"},
		Form{Name: "AES-256-CBC, RSA-OAEP SHA-256", Kind: Encrypted, Who: bob, Cipher: "aes256-cbc", OAEP: "sha256"},
		Form{Name: "AES-256-GCM, RSA-OAEP SHA-256", Kind: Encrypted, Who: bob, Cipher: "aes256-gcm", OAEP: "sha256"},
		Form{Name: "AES-256-CBC, recipient by key identifier", Kind: Encrypted, Who: bob, Cipher: "aes256-cbc", KeyID: true},
		Form{Name: "AES-128-CBC, two recipients", Kind: Encrypted, Who: []string{"alice", "bob"}, Cipher: "aes128-cbc"},
		Form{Name: "AES-256-CBC, streamed BER", Kind: Encrypted, Who: bob, Cipher: "aes256-cbc", Streamed: true},
		Form{Name: "AES-256-GCM, streamed BER", Kind: Encrypted, Who: bob, Cipher: "aes256-gcm", Streamed: true},
		Form{Name: "AES-256-CBC, ECDH P-256", Kind: Encrypted, Who: []string{"bob-ec"}, Cipher: "aes256-cbc"},
		Form{Name: "AES-256-GCM, ECDH P-256", Kind: Encrypted, Who: []string{"bob-ec"}, Cipher: "aes256-gcm"},
		Form{Name: "AES-256-CBC, RSA and ECDH recipients", Kind: Encrypted, Who: []string{"bob", "bob-ec"}, Cipher: "aes256-cbc"},
		Form{Name: "AES-256-CBC, key-encryption key", Kind: Encrypted, Secret: true, Cipher: "aes256-cbc"},
		Form{Name: "AES-256-CBC, password", Kind: Encrypted, Passphrase: true, Cipher: "aes256-cbc"},
		Form{Name: "compressed", Kind: Compressed},
		Form{Name: "certificates only", Kind: CertsOnly, Who: []string{"alice", "bob", "alice-ec"}},
	)
}
