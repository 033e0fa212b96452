package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/postseal/postseal/certstore"
)

// A pki is a root, an issuing CA and a counter.
type pki struct {
	root, issuing *x509.Certificate
	key           crypto.Signer // of the issuing CA
	serial        int64
}

// newPKI makes the CAs of an organisation.
func newPKI(owner string) (*pki, error) {
	p := &pki{serial: 2}
	rootKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	ca := func(name string, serial int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
	}
	root := ca(owner+" Root CA", 1)
	if p.root, err = sign(root, root, rootKey.Public(), rootKey); err != nil {
		return nil, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	p.key = key
	p.issuing, err = sign(ca(owner+" Issuing CA", 2), p.root, key.Public(), rootKey)
	return p, err
}

// issue makes a key and a certificate for signing and encrypting mail.
func (p *pki) issue(name, address string) (*certstore.Identity, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	p.serial++
	cert, err := sign(&x509.Certificate{
		SerialNumber: big.NewInt(p.serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		EmailAddresses: []string{address},
		KeyUsage:       x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}, p.issuing, key.Public(), p.key)
	if err != nil {
		return nil, err
	}
	return certstore.NewIdentity(cert, key, p.issuing)
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// save writes what other programs need to open the messages.
func (p *pki) save(folder string, bob *certstore.Identity) error {
	key, err := x509.MarshalPKCS8PrivateKey(bob.Key())
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, kind string
		der        []byte
	}{
		{"root.pem", "CERTIFICATE", p.root.Raw},
		{"bob.pem", "CERTIFICATE", bob.Certificate().Raw},
		{"bob.key", "PRIVATE KEY", key},
	} {
		block := pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der})
		if err := os.WriteFile(filepath.Join(folder, f.name), block, 0o600); err != nil {
			return err
		}
	}
	return nil
}
