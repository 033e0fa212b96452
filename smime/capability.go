package smime

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/oid"
)

// everyoneReads reports whether all recipients can be expected to read a cipher, by what
// their certificates say. AES in CBC mode everybody reads (RFC 8551, Section 2.7).
func everyoneReads(cipher string, to []*x509.Certificate) bool {
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
		if !cms.CertificateCapabilities(c).Has(want) {
			return false
		}
	}
	return len(to) > 0
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
