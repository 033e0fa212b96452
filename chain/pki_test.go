package chain_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/chain"
)

// now is the clock of all tests.
var now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// An entity is a certificate with its key, made for a test.
type entity struct {
	*x509.Certificate
	key crypto.Signer
}

var serial atomic.Int64

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// issue makes a certificate named cn, signed by parent or by itself if that is nil. The
// edits are applied to a template that is valid for the year around now.
func issue(t testing.TB, parent *entity, cn string, edits ...func(*x509.Certificate)) *entity {
	t.Helper()
	return issueWith(t, newKey(t), parent, cn, edits...)
}

func issueWith(t testing.TB, key crypto.Signer, parent *entity, cn string, edits ...func(*x509.Certificate)) *entity {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial.Add(1) + 1000), Subject: pkix.Name{CommonName: cn},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
	}
	for _, edit := range edits {
		edit(tmpl)
	}
	signer, issuer := key, tmpl
	if parent != nil {
		signer, issuer = parent.key, parent.Certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, issuer, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	// crypto/x509 may refuse what the test is about.
	c, err := x509.ParseCertificate(der)
	if err != nil {
		c = &x509.Certificate{Raw: der, RawSubject: issuer.RawSubject, Subject: tmpl.Subject, SerialNumber: tmpl.SerialNumber, PublicKey: key.Public()}
	}
	return &entity{c, key}
}

// ca makes a CA, with edits on top.
func ca(c *x509.Certificate) {
	c.BasicConstraintsValid, c.IsCA = true, true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

// mail makes an end entity for alice@example.com.
func mail(c *x509.Certificate) {
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	c.EmailAddresses = []string{"alice@example.com"}
}

// extension adds an extension with a DER value.
func extension(id asn1.ObjectIdentifier, critical bool, value []byte) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: value})
	}
}

func between(from, to time.Time) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, to }
}

// collection makes a collection of anchors and intermediates.
func collection(anchor *entity, intermediates ...*entity) *chain.Collection {
	c := new(chain.Collection)
	if anchor != nil {
		c.AddAnchor(anchor.Certificate)
	}
	for _, i := range intermediates {
		c.AddIntermediate(i.Certificate)
	}
	return c
}

// verifier judges at now without looking at revocation.
func verifier(c *chain.Collection) *chain.Verifier {
	v := chain.NewVerifier(c, chain.Revocation{InsecureOff: true})
	v.Time = func() time.Time { return now }
	return v
}

func certs(list ...*entity) []*x509.Certificate {
	out := make([]*x509.Certificate, len(list))
	for i, e := range list {
		out[i] = e.Certificate
	}
	return out
}

// explain asks about leaf with the anchor trusted and the others in the message.
func explain(t testing.TB, anchor, leaf *entity, q chain.Request, others ...*entity) *chain.Report {
	t.Helper()
	q.Leaf, q.Untrusted = leaf.Certificate, certs(others...)
	return verifier(collection(anchor)).Explain(context.Background(), q)
}

// expect checks verdict and deciding code; want is "valid" or a code.
func expect(t testing.TB, r *chain.Report, want string) {
	t.Helper()
	got := "valid"
	if r.Verdict != "valid" {
		got = fmt.Sprint(r.Verdict, " without code")
		if len(r.Codes) > 0 {
			got = r.Codes[0]
		}
	}
	if got != want {
		t.Errorf("got %s, want %s\n%s", got, want, r)
	}
	if (r.Path != nil) != (r.Verdict == "valid") || len(r.Codes) == 0 != (r.Verdict == "valid") {
		t.Errorf("path, codes and verdict disagree\n%s", r)
	}
}

func warned(r *chain.Report, code string) bool { return slices.Contains(r.Warnings, code) }
