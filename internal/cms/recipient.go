package cms

import (
	"crypto"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
)

// A RecipientInfo is one way to get at the key of an encrypted content: a recipient's
// certificate, a key that both sides have, or a password (RFC 5652, Section 6.2).
//
//	RecipientInfo ::= CHOICE {
//	  ktri  KeyTransRecipientInfo,
//	  kari  [1] KeyAgreeRecipientInfo,
//	  kekri [2] KEKRecipientInfo,
//	  pwri  [3] PasswordRecipientInfo,
//	  ori   [4] OtherRecipientInfo }
//
// A KeyAgreeRecipientInfo for several recipients gives a RecipientInfo for each.
type RecipientInfo struct {
	// Kind is "ktri", "kari", "kekri", "pwri" or "kemri", or "other" for what this
	// package does not know.
	Kind string
	// Algorithm names how the key is protected, such as "rsa-pkcs1",
	// "rsa-oaep-sha256" or "ecdh-sha256-aes128-wrap". An unknown algorithm has its
	// object identifier as name.
	Algorithm string
	// ID names the recipient for people and logs: "serial 1a2b" or "key 3c4d" in
	// hexadecimal, or nothing for a password.
	ID string
	// KeyBits is the length of the key that wraps the content key, in bits. The content
	// is no better protected than that. It is 0 where an RSA key does it itself.
	KeyBits int

	certificate CertificateID
	lock        lock
	err         error // why this one cannot be used, whatever the key
}

// A lock is the method of one kind of recipient. Each kind is one file.
type lock interface {
	// fits reports whether key can be the one, as far as everybody can see: by its type
	// and size. It does not use the key.
	fits(key crypto.PrivateKey) bool
	// open recovers the content-encryption key of n octets by means of key. An error
	// says that something public stands in the way: an algorithm, a parameter, the type
	// of the key. All that depends on the key ends in ok being 0, or in any key and ok being 1
	// where it would tell too much that no content ever fits (RFC 3218, Section 2.3.2).
	open(key crypto.PrivateKey, n int, opt DecryptOptions) (cek []byte, ok int, err error)
}

// DecryptOptions loosen what [EnvelopedData.Unlock] accepts. The zero value is strict.
type DecryptOptions struct {
	// AllowLegacyCiphers lets Triple-DES, DES and RC2 be read, as content ciphers and
	// for wrapping keys, and RSA keys of fewer than 2048 bits be used.
	AllowLegacyCiphers bool
	// AllowShortTags lets authentication tags be as short as 12 octets with AES-GCM,
	// instead of 16, and 8 with AES-CCM, instead of 12.
	AllowShortTags bool
	// Originators are certificates among which the static key of a sender may be, for
	// key agreement that uses one. Those inside the message need not be repeated.
	Originators []*x509.Certificate
}

// A Secret is the key for a recipient of kind "kekri", and for an [EncryptedData].
type Secret []byte

// A Passphrase is the key for a recipient of kind "pwri".
type Passphrase []byte

// A WeakError says that a message uses a cipher, a key or a length of the authentication
// tag that is accepted only where [DecryptOptions] name it.
type WeakError struct {
	What string // such as "3des-cbc"
}

func (e *WeakError) Error() string { return e.What + " is too weak" }

// Code returns "decrypt.weak_cipher".
func (e *WeakError) Code() string { return "decrypt.weak_cipher" }

// errKeyType says that a key cannot be the one of a recipient.
func errKeyType(kind string) error {
	return errors.New("a key of another type than recipients of kind " + kind + " have")
}

// Matches reports whether cert is the certificate whose key opens ri.
func (ri *RecipientInfo) Matches(cert *x509.Certificate) bool {
	return cert != nil && ri.certificate.Matches(cert)
}

// Identifiers returns what names the certificate whose key opens ri; none for kinds that
// have no certificate.
func (ri *RecipientInfo) Identifiers() []CertificateID {
	if ri.certificate.KeyID == nil && ri.certificate.Serial == nil {
		return nil
	}
	return []CertificateID{ri.certificate}
}

// MatchesKeyID reports whether id is the identifier of the secret key that opens ri, a
// recipient of kind "kekri".
func (ri *RecipientInfo) MatchesKeyID(id []byte) bool {
	k, ok := ri.lock.(*kekLock)
	return ok && subtle.ConstantTimeCompare(k.kekid, id) == 1
}

// Err says why ri cannot be used whatever the key, or nil: an [UnsupportedError] or a
// [SyntaxError].
func (ri *RecipientInfo) Err() error { return ri.err }

// parseRecipientInfo reads one RecipientInfo, which stands with its tag. What is not
// understood never fails the message, since it may be meant for somebody else; it is a
// recipient that says so when it is used.
func parseRecipientInfo(s cryptobyte.String, tag casn1.Tag) []*RecipientInfo {
	switch tag {
	case casn1.SEQUENCE:
		return one(parseKTRI(s))
	case constructed(1):
		return parseKARI(s)
	case constructed(2):
		return one(parseKEKRI(s))
	case constructed(3):
		return one(parsePWRI(s))
	case constructed(4):
		var t oid.OID
		var value cryptobyte.String
		if !readOtherRecipient(s, &t, &value) {
			return one(unusable("other", malformed(0, "OtherRecipientInfo")))
		}
		if t == oid.KEMRecipientInfo {
			return one(parseKEMRI(value))
		}
		ri := unusable("other", &UnsupportedError{What: "kind of recipient", OID: t})
		ri.Algorithm = t.String()
		return one(ri)
	}
	return one(unusable("other", &UnsupportedError{What: "kind of recipient"}))
}

func one(ri *RecipientInfo) []*RecipientInfo { return []*RecipientInfo{ri} }

func unusable(kind string, err error) *RecipientInfo { return &RecipientInfo{Kind: kind, err: err} }

// contentKey recovers the content-encryption key of n octets. Where the key is not the
// right one, or what it is applied to has been altered, a random key of the same length
// takes the place of the result and wrong is 1, so that only the content says so, in the one
// way it says everything.
func (ri *RecipientInfo) contentKey(key crypto.PrivateKey, n int, opt DecryptOptions) (out []byte, wrong int, err error) {
	if ri.err != nil {
		return nil, 0, ri.err
	}
	out = make([]byte, n)
	rand.Read(out)
	cek, ok, err := ri.lock.open(key, n, opt)
	if err != nil {
		return nil, 0, err
	}
	if len(cek) != n {
		return out, 1, nil
	}
	subtle.ConstantTimeCopy(ok, out, cek)
	clear(cek)
	return out, 1 ^ ok, nil
}
