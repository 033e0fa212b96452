package chain_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
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
	lenient "github.com/postseal/postseal/internal/pkix"
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
	return &entity{parsed(t, der), key}
}

// parsed reads a certificate that crypto/x509 may refuse.
func parsed(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := lenient.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
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

// altered replaces octets in what a certificate's signature covers and signs it anew, for
// what crypto/x509 does not make.
func altered(t testing.TB, issuer, c *entity, old, new []byte) *entity {
	t.Helper()
	return resigned(t, issuer, &entity{&x509.Certificate{Raw: replaceTBS(t, c.Raw, old, new)}, c.key})
}

// resigned replaces the signature of a certificate by one of issuer.
func resigned(t testing.TB, issuer, c *entity) *entity {
	t.Helper()
	var parts struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.Raw, &parts); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(parts.TBS.FullBytes)
	sig, err := issuer.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	parts.Signature = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	der, err := asn1.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	return &entity{parsed(t, der), c.key}
}

// otherName encodes an otherName of a type with a UTF8String.
func otherName(t testing.TB, id asn1.ObjectIdentifier, text string) asn1.RawValue {
	t.Helper()
	value, err := asn1.MarshalWithParams(text, "utf8,explicit,tag:0")
	if err != nil {
		t.Fatal(err)
	}
	kind, err := asn1.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	return asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: append(kind, value...)}
}

// san adds a subjectAltName of the given names.
func san(t testing.TB, critical bool, names ...asn1.RawValue) func(*x509.Certificate) {
	t.Helper()
	der, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *x509.Certificate) {
		c.EmailAddresses = nil
		extension(asn1.ObjectIdentifier{2, 5, 29, 17}, critical, der)(c)
	}
}

func rfc822(address string) asn1.RawValue {
	return asn1.RawValue{Class: 2, Tag: 1, Bytes: []byte(address)}
}

func dns(name string) asn1.RawValue { return asn1.RawValue{Class: 2, Tag: 2, Bytes: []byte(name)} }

func uri(name string) asn1.RawValue { return asn1.RawValue{Class: 2, Tag: 6, Bytes: []byte(name)} }

func ip(b ...byte) asn1.RawValue { return asn1.RawValue{Class: 2, Tag: 7, Bytes: b} }

func dirName(t testing.TB, n pkix.Name) asn1.RawValue {
	t.Helper()
	der, err := asn1.Marshal(n.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	return asn1.RawValue{Class: 2, Tag: 4, IsCompound: true, Bytes: der}
}

func utf8Mailbox(t testing.TB, address string) asn1.RawValue {
	t.Helper()
	return otherName(t, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}, address)
}

// constraints adds name constraints; either list may be nil.
func constraints(t testing.TB, critical bool, permitted, excluded []asn1.RawValue) func(*x509.Certificate) {
	t.Helper()
	var body []byte
	for tag, list := range [][]asn1.RawValue{permitted, excluded} {
		if list == nil {
			continue
		}
		var trees []byte
		for _, n := range list {
			der, err := asn1.Marshal([]asn1.RawValue{n})
			if err != nil {
				t.Fatal(err)
			}
			trees = append(trees, der...)
		}
		der, err := asn1.Marshal(asn1.RawValue{Class: 2, Tag: tag, IsCompound: true, Bytes: trees})
		if err != nil {
			t.Fatal(err)
		}
		body = append(body, der...)
	}
	der, err := asn1.Marshal(asn1.RawValue{Tag: 16, IsCompound: true, Bytes: body})
	if err != nil {
		t.Fatal(err)
	}
	return extension(asn1.ObjectIdentifier{2, 5, 29, 30}, critical, der)
}

// inSubject puts a mail address into the subject.
func inSubject(address string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.EmailAddresses = nil
		c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{
			Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(address)},
		})
	}
}
