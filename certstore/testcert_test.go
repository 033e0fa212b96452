package certstore_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"
)

// epoch is the fixed day on which every certificate of these tests begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newKey returns a fresh P-256 key.
func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// selfSigned returns a self-signed certificate for the addresses, with serial as serial
// number and as key identifier.
func selfSigned(t testing.TB, key crypto.Signer, serial int64, addresses ...string) *x509.Certificate {
	t.Helper()
	return sign(t, key, &x509.Certificate{
		SerialNumber:   big.NewInt(serial),
		Subject:        pkix.Name{CommonName: "subject " + big.NewInt(serial).String()},
		EmailAddresses: addresses,
		SubjectKeyId:   []byte{byte(serial)},
	})
}

func sign(t testing.TB, key crypto.Signer, tmpl *x509.Certificate) *x509.Certificate {
	t.Helper()
	tmpl.NotBefore, tmpl.NotAfter = epoch, epoch.AddDate(1, 0, 0)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// subjectEmail returns a certificate that names the address in its subject alone.
func subjectEmail(t testing.TB, key crypto.Signer, serial int64, address string) *x509.Certificate {
	t.Helper()
	return sign(t, key, &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{
			Type:  asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1},
			Value: asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(address)},
		}}},
	})
}
