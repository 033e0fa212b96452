// Package certtest makes certificates for the tests of stores: quick to make, valid for
// mail, on a fixed clock. A test that needs more than that builds its own.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync/atomic"
	"testing"
	"time"
)

// epoch is when every certificate becomes valid, unless its test says otherwise.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Epoch returns the instant at which the certificates of this package become valid.
func Epoch() time.Time { return epoch }

// A CA issues certificates.
type CA struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	serial      atomic.Int64
}

// NewCA returns a root with the given common name.
func NewCA(t testing.TB, name string) *CA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := create(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: epoch, NotAfter: epoch.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil, key.Public(), key)
	ca := &CA{Certificate: c, Key: key}
	ca.serial.Store(1)
	return ca
}

// Issue returns a mail certificate for the addresses with an EC key, which serves signing
// and key agreement. It is valid for a year from [Epoch].
func (ca *CA) Issue(t testing.TB, addresses ...string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return ca.IssueFor(t, key.Public(), func(c *x509.Certificate) {
		c.EmailAddresses = addresses
		c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement
	}), key
}

// IssueRSA is like [CA.Issue] with an RSA key of 2048 bits, for peers that know no other.
func (ca *CA) IssueRSA(t testing.TB, addresses ...string) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return ca.IssueFor(t, key.Public(), func(c *x509.Certificate) { c.EmailAddresses = addresses }), key
}

// IssueFor returns a mail certificate for a public key, after change has had its way with
// the template. change may be nil.
func (ca *CA) IssueFor(t testing.TB, public crypto.PublicKey, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(spki)
	serial := ca.serial.Add(1)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "Subject " + big.NewInt(serial).String()},
		NotBefore: epoch, NotAfter: epoch.AddDate(1, 0, 0), SubjectKeyId: id[:20],
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	if change != nil {
		change(template)
	}
	return create(t, template, ca.Certificate, public, ca.Key)
}

func create(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
