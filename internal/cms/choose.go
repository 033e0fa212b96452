package cms

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/postseal/postseal/internal/oid"
)

// Wishes are what a sender asks of [Choose]. The zero value leaves all to it.
type Wishes struct {
	// Cipher names the content cipher; empty or "auto" lets the recipients' capabilities
	// decide.
	Cipher string
	// KeyTransport is how RSA recipients are given the key: "pkcs1", "oaep", or, if it is
	// empty or "auto", as their capabilities say.
	KeyTransport string
	// KeyID names recipients by their subject key identifiers.
	KeyID bool
	// Capabilities returns what is known of the capabilities of the holder of a
	// certificate, from a signed message or a directory; nil if nothing is. Those that
	// the certificate itself states need not be returned. Optional.
	Capabilities func(*x509.Certificate) Capabilities
	// Secret, SecretID and Passphrase are those of a [Recipient] beside the certificates,
	// or instead of them.
	Secret, SecretID, Passphrase []byte
}

// A Choice is how a message is encrypted, and why.
type Choice struct {
	Cipher     string // the content cipher, such as "aes256-gcm"
	Derive     bool   // bind the content key to the cipher (RFC 9709)
	Recipients []*Recipient
	Reasons    []string // in words: one for the cipher, and one for each deviation
}

// Options returns the options for [NewEnvelopedWriter].
func (c *Choice) Options() EnvelopeOptions {
	return EnvelopeOptions{Cipher: c.Cipher, Derive: c.Derive}
}

// Choose decides how to encrypt for the holders of certificates. It takes an authenticated
// cipher if every recipient says it can read one, the strongest of them, and else AES in CBC
// mode, with 256 bits unless a recipient can only do less. Nothing makes it go below
// AES-128. The content key is bound to the cipher (RFC 9709) where every recipient says that
// it can read that. RSA recipients
// get RSAES-OAEP if they say that they can, or if their key is for nothing else, and PKCS
// #1 v1.5 otherwise.
func Choose(to []*x509.Certificate, w Wishes) (*Choice, error) {
	if len(to) == 0 && w.Secret == nil && w.Passphrase == nil {
		return nil, errors.New("no recipients")
	}
	switch w.KeyTransport {
	case "", "auto", "pkcs1", "oaep":
	default:
		return nil, &UnsupportedError{What: "key transport " + w.KeyTransport}
	}
	known := make([]Capabilities, len(to))
	for i, cert := range to {
		if w.Capabilities != nil {
			known[i] = w.Capabilities(cert)
		}
		if known[i] == nil {
			known[i] = CertificateCapabilities(cert)
		}
	}
	c := &Choice{}
	if err := c.chooseCipher(to, known, w); err != nil {
		return nil, err
	}
	named := w.Secret == nil && w.Passphrase == nil // of others nobody knows what they read
	if named && withoutAlgorithm(to, known, oid.CEKHKDFSHA256) == nil {
		c.Derive = true
		c.Reasons = append(c.Reasons, "the content key is bound to the cipher, which every recipient can read")
	}
	for i, cert := range to {
		r, reason, err := chooseTransport(cert, known[i], w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", nameOf(cert), err)
		}
		c.Recipients = append(c.Recipients, r)
		if reason != "" {
			c.Reasons = append(c.Reasons, nameOf(cert)+": "+reason)
		}
	}
	return c, c.share(w)
}

// share adds the recipients that have no certificate.
func (c *Choice) share(w Wishes) error {
	if w.Secret != nil {
		for _, known := range contentCiphers {
			if known.name == c.Cipher && known.keyLen > len(w.Secret) {
				return fmt.Errorf("a secret key of %d bits is weaker than %s", 8*len(w.Secret), c.Cipher)
			}
		}
		if n := len(w.Secret); n != 16 && n != 24 && n != 32 {
			return errors.New("a secret key must have 16, 24 or 32 octets")
		}
		c.Recipients = append(c.Recipients, &Recipient{Secret: w.Secret, SecretID: w.SecretID})
	}
	if w.Passphrase != nil {
		if len(w.Passphrase) == 0 {
			return errors.New("the password is empty")
		}
		c.Recipients = append(c.Recipients, &Recipient{Passphrase: w.Passphrase})
	}
	return nil
}

func (c *Choice) chooseCipher(to []*x509.Certificate, known []Capabilities, w Wishes) error {
	wish := w.Cipher
	if len(to) == 0 && (wish == "" || wish == "auto") {
		bits := 256
		if n := 8 * len(w.Secret); n == 128 || n == 192 {
			bits = n
		}
		c.Cipher = fmt.Sprintf("aes%d-gcm", bits)
		c.Reasons = append(c.Reasons, c.Cipher+": who shares a secret with the sender can be told what reads it")
		return nil
	}
	if wish != "" && wish != "auto" {
		if _, _, err := newContentCipher(wish, false); err != nil {
			return err
		}
		c.Cipher = wish
		reason := wish + ", as asked"
		if cert := without(to, known, wish); cert != nil && AuthenticatedCipher(wish) {
			reason += ", although it is not known that " + nameOf(cert) + " can read it"
		}
		c.Reasons = append(c.Reasons, reason)
		return nil
	}
	for _, name := range []string{"aes256-gcm", "chacha20-poly1305", "aes192-gcm", "aes128-gcm"} {
		if without(to, known, name) == nil {
			c.Cipher = name
			c.Reasons = append(c.Reasons, name+": every recipient can read authenticated encryption")
			return nil
		}
	}
	why := "it is not known that " + nameOf(without(to, known, "aes256-gcm")) + " can read authenticated encryption"
	// Every reader has CBC (RFC 8551, Section 2.7); what the others can tells which length
	// of key, in whatever mode it is announced.
	least, weakest := 256, (*x509.Certificate)(nil)
	for i, cert := range to {
		if bits := known[i].aesBits(); bits < least {
			least, weakest = bits, cert
		}
	}
	switch {
	case weakest == nil:
	case least == 0:
		// The floor, which every reader of this century must have.
		least = 128
		why += ", and " + nameOf(weakest) + " announces no AES; nothing weaker is written"
	default:
		why += ", and " + nameOf(weakest) + " announces less than AES-256"
	}
	c.Cipher = fmt.Sprintf("aes%d-cbc", least)
	c.Reasons = append(c.Reasons, c.Cipher+": "+why)
	return nil
}

// without returns the first certificate whose holder is not known to read a cipher.
func without(to []*x509.Certificate, known []Capabilities, cipher string) *x509.Certificate {
	return withoutAlgorithm(to, known, cipherOID(cipher))
}

func withoutAlgorithm(to []*x509.Certificate, known []Capabilities, o oid.OID) *x509.Certificate {
	for i := range to {
		if !known[i].Has(o) {
			return to[i]
		}
	}
	return nil
}

// chooseTransport decides how one recipient is given the key; reason is empty if there is
// nothing to say.
func chooseTransport(cert *x509.Certificate, known Capabilities, w Wishes) (r *Recipient, reason string, err error) {
	r = &Recipient{Certificate: cert, KeyID: w.KeyID}
	pub, only, err := encryptionKey(cert)
	if err != nil {
		return nil, "", err
	}
	if _, ok := pub.(*rsa.PublicKey); !ok {
		return r, "", nil
	}
	if only != nil {
		return r, "RSAES-OAEP, because the key is for nothing else", nil
	}
	switch w.KeyTransport {
	case "oaep":
		r.OAEP = true
		if !known.hasOAEP() {
			reason = "RSAES-OAEP as asked, although it is not known that the recipient can read it"
		}
	case "pkcs1":
	default:
		if r.OAEP = known.hasOAEP(); r.OAEP {
			reason = "RSAES-OAEP, which the recipient announces"
		} else {
			reason = "PKCS #1 v1.5, because the recipient does not announce RSAES-OAEP"
		}
	}
	return r, reason, nil
}

// nameOf names the holder of a certificate for people.
func nameOf(cert *x509.Certificate) string {
	switch {
	case len(cert.EmailAddresses) > 0:
		return cert.EmailAddresses[0]
	case cert.Subject.CommonName != "":
		return cert.Subject.CommonName
	}
	return NewCertificateID(cert, false).String()
}
