package smime_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/smime"
)

// A sender need not write identifiers as the certificate has them: the issuer's name may be
// in another encoding (RFC 5280, Section 7.1), and a key identifier be computed where the
// certificate has none (Section 4.2.1.2). Keys and signers are found all the same.
func TestIdentifiersThatSendersMake(t *testing.T) {
	p := newParty(t)
	ca := certtest.NewCA(t, "Root")
	cert, key := ca.IssueRSA(t, "alice@example.com")
	cert = ca.IssueFor(t, key.Public(), func(c *x509.Certificate) {
		c.EmailAddresses, c.SubjectKeyId = cert.EmailAddresses, nil
	})
	alice, err := certstore.NewIdentity(cert, key)
	if err != nil || len(cert.SubjectKeyId) > 0 {
		t.Fatal(err, cert.SubjectKeyId)
	}
	reencoded, computed, stranger := *cert, *cert, *cert
	reencoded.RawIssuer = bytes.Replace(cert.RawIssuer, []byte("\x13\x04Root"), []byte("\x0c\x04ROOT"), 1)
	stranger.RawIssuer = bytes.Replace(cert.RawIssuer, []byte("\x13\x04Root"), []byte("\x0c\x04BOOT"), 1)
	id := sha1.Sum(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	computed.SubjectKeyId = id[:]
	for _, tt := range []struct {
		name  string
		named *x509.Certificate
		good  bool
	}{
		{"as it stands", cert, true}, {"issuer in another encoding", &reencoded, true}, {"computed key identifier", &computed, true},
		{"another issuer", &stranger, false},
	} {
		c := p.composer(true, true, true)
		signer, err := certstore.NewIdentity(tt.named, key)
		if err != nil {
			t.Fatal(err)
		}
		c.Signers, c.SignerKeyID, c.Include = []*certstore.Identity{signer}, true, "none"
		c.Recipients, c.RecipientKeyID = []*x509.Certificate{tt.named}, true
		var message bytes.Buffer
		if _, err := c.Compose(&message, strings.NewReader(fileFields+filePart)); err != nil {
			t.Fatal(err)
		}
		store := new(certstore.Memory)
		store.AddIdentity(alice)
		o := &smime.Opener{Keys: store, Certs: store}
		report, err := o.Inspect(t.Context(), &message)
		if err != nil {
			t.Fatal(err)
		}
		found := len(report.Layers) == 2 && report.Layers[1].Signatures[0].Crypto == "valid"
		if found != tt.good {
			t.Errorf("%s: %s %q", tt.name, report.Verdict, report.Codes)
		}
	}
}
