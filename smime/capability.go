package smime

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/oid"
)

// chooseCipher returns the content encryption to use and why. What is known of a
// recipient only ever chooses among ciphers that are good: capabilities come from mail
// and directories, and nobody vouches for them.
func (c *Composer) chooseCipher() (cipher, reason string) {
	if everyoneReads("aes256-gcm", c.Recipients, c.Capabilities) {
		return "aes256-gcm", "AES-256-GCM: every recipient is known to read it"
	}
	return "aes256-cbc", "AES-256-CBC: not every recipient is known to read authenticated encryption"
}

// everyoneReads reports whether all recipients can be expected to read a cipher. AES in
// CBC mode everybody reads (RFC 8551, Section 2.7).
func everyoneReads(cipher string, to []*x509.Certificate, known func(*x509.Certificate) []byte) bool {
	var want oid.OID
	switch cipher {
	case "aes128-gcm":
		want = oid.AES128GCM
	case "aes192-gcm":
		want = oid.AES192GCM
	case "aes256-gcm":
		want = oid.AES256GCM
	case "chacha20-poly1305":
		want = oid.ChaCha20Poly1305
	default:
		return true
	}
	for _, c := range to {
		var told []byte
		if known != nil {
			told = known(c)
		}
		if !slices.Contains(capabilities(told), want) && !slices.Contains(capabilities(inCertificate(c)), want) {
			return false
		}
	}
	return len(to) > 0
}

// inCertificate returns the capabilities a certificate states (RFC 4262), or nil.
func inCertificate(c *x509.Certificate) []byte {
	for _, e := range c.Extensions {
		if id, err := oid.Parse(e.Id.String()); err == nil && id == oid.SMIMECapabilities {
			return e.Value
		}
	}
	return nil
}

// capabilities lists the algorithms in the DER of
//
//	SMIMECapabilities ::= SEQUENCE OF SMIMECapability
//	SMIMECapability ::= SEQUENCE { capabilityID OBJECT IDENTIFIER, parameters ANY OPTIONAL }
//
// What is no such DER has none.
func capabilities(der []byte) []oid.OID {
	s, list := cryptobyte.String(der), cryptobyte.String(nil)
	if !s.ReadASN1(&list, asn1.SEQUENCE) || !s.Empty() {
		return nil
	}
	var ids []oid.OID
	for !list.Empty() {
		var capability, id cryptobyte.String
		if !list.ReadASN1(&capability, asn1.SEQUENCE) || !capability.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) {
			return nil
		}
		ids = append(ids, oid.OID(id))
	}
	return ids
}

// Capabilities returns what r.Store knows of the owner of a certificate: the DER of
// SMIMECapabilities from the newest entry that has them, or nil. It serves
// [Composer.Capabilities].
func (r *Resolver) Capabilities(ctx context.Context, c *x509.Certificate) []byte {
	if r.Store == nil {
		return nil
	}
	var der []byte
	var newest time.Time
	for e, err := range r.Store.Certificates(ctx, certstore.Thumbprint(sha256.Sum256(c.Raw))) {
		if err != nil {
			break
		}
		if c.Equal(e.Certificate) && len(e.Capabilities) > 0 && (der == nil || e.Seen.After(newest)) {
			der, newest = e.Capabilities, e.Seen
		}
	}
	return der
}
