package smime_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime/smimetest"
)

// The folder second holds another authority, trusted too, and certificates that it should
// never have issued: second/root.pem, and key and certificate of each identity.
var secondFolder = filepath.Join(openFolder, "pki", "second")

// readSecond reads the folder.
func (p *openIdentities) readSecond(t testing.TB) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(secondFolder, "*.pem"))
	if err != nil || len(names) < 4 {
		t.Fatalf("%d identities in %s, %v", len(names), secondFolder, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		stem := filepath.Base(name[:len(name)-len(".pem")])
		if stem == "root" {
			block, _ := pem.Decode(data)
			if p.secondRoot, err = x509.ParseCertificate(block.Bytes); err != nil {
				t.Fatal(err)
			}
			continue
		}
		ids, err := certstore.ReadIdentities(data, "")
		if err != nil || len(ids) != 1 {
			t.Fatalf("%s: %d identities, %v", name, len(ids), err)
		}
		p.others[stem] = ids[0]
	}
}

// writeSecond makes the folder for the identities there are.
func writeSecond(t testing.TB, alice *certstore.Identity) {
	t.Helper()
	if err := os.MkdirAll(secondFolder, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name string, blocks ...*pem.Block) {
		var b bytes.Buffer
		for _, block := range blocks {
			if err := pem.Encode(&b, block); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(secondFolder, name+".pem"), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root := smimetest.NewPKI(t).Root
	write("root", &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate().Raw})
	identity := func(name string, key any, cert *x509.Certificate) {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(name, &pem.Block{Type: "PRIVATE KEY", Bytes: der}, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	expired := root.Issue(smimetest.Leaf{Name: "Alice", Emails: []string{"alice@good.example"}, Key: smimetest.RSA2048, NotBefore: days(-700), NotAfter: days(-30)})
	identity("expired", expired.Key(), expired.Certificate())
	nul := root.Issue(smimetest.Leaf{Name: "Mallory", Key: smimetest.RSA2048, Change: func(c *x509.Certificate) {
		c.EmailAddresses = []string{"alice@good.example\x00.evil.example"}
	}})
	identity("nul", nul.Key(), nul.Certificate())
	// Mallory had Alice's public key certified for himself.
	id := sha256.Sum256([]byte("serial"))
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(id[:8]), Subject: pkix.Name{CommonName: "Mallory"}, EmailAddresses: []string{"mallory@evil.example"},
		NotBefore: days(-100), NotAfter: days(100), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, SubjectKeyId: alice.Certificate().SubjectKeyId,
	}, root.Certificate(), alice.Certificate().PublicKey, root.Key())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	identity("same-key", alice.Key(), cert)
}
