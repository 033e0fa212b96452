package smime_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/smime"
)

// TestCostlyCandidates sends a message with as many signers as are looked at, as many
// certificates for each, and for each of those a hundred possible issuers with keys that are
// slow to verify with. Every single search for a path is within its bounds; the message has
// to be as well.
func TestCostlyCandidates(t *testing.T) {
	now := theParty().now
	newKey := func(c elliptic.Curve) *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	key, rootKey, nobody := newKey(elliptic.P256()), newKey(elliptic.P256()), newKey(elliptic.P521())
	serial := int64(0)
	issue := func(subject, issuer string, keyID []byte, public crypto.PublicKey, by crypto.Signer, ca bool) *x509.Certificate {
		serial++
		template := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: subject}, SubjectKeyId: keyID,
			NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), BasicConstraintsValid: true,
		}
		if ca {
			template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
		} else {
			template.EmailAddresses = []string{"alice@example.com"}
			template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
		}
		parent := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}, PublicKey: by.Public()}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root := issue("Root", "Root", []byte{1}, rootKey.Public(), rootKey, true)
	var bag []byte
	for i := range 100 {
		bag = append(bag, issue("Issuer", "Root", []byte{2, byte(i)}, newKey(elliptic.P521()).Public(), rootKey, true).Raw...)
	}

	content := "Content-Type: text/plain\r\n\r\nHello\r\n"
	digest := sha256.Sum256([]byte(content))
	type algorithm struct{ ID asn1.ObjectIdentifier }
	sha := algorithm{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}}
	type signerInfo struct {
		Version   int
		KeyID     []byte `asn1:"tag:0"`
		Digest    algorithm
		Signature algorithm
		Value     []byte
	}
	var infos []signerInfo
	for i := range 16 {
		keyID := []byte{9, byte(i), 3, 4}
		for range 4 {
			bag = append(bag, issue("eve", "Issuer", keyID, key.Public(), nobody, false).Raw...)
		}
		value, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		infos = append(infos, signerInfo{3, keyID, sha, algorithm{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, value})
	}
	type signedData struct {
		Version int
		Digests []algorithm `asn1:"set"`
		Content algorithm
		Bag     asn1.RawValue
		Infos   []signerInfo `asn1:"set"`
	}
	der, err := asn1.Marshal(struct {
		Type asn1.ObjectIdentifier
		Data signedData `asn1:"explicit,tag:0"`
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, signedData{
		3, []algorithm{sha}, algorithm{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}},
		asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: bag}, infos,
	}})
	if err != nil {
		t.Fatal(err)
	}
	var message bytes.Buffer
	fmt.Fprintf(&message, "From: alice@example.com\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=b\r\n\r\n"+
		"--b\r\n%s\r\n--b\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n", content)
	for text := base64.StdEncoding.EncodeToString(der); text != ""; {
		n := min(76, len(text))
		message.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	message.WriteString("--b--\r\n")

	anchors := new(chain.Collection)
	anchors.AddAnchor(root)
	verifier := chain.NewVerifier(anchors, chain.Revocation{})
	verifier.Time = func() time.Time { return now }
	start := time.Now()
	report, err := (&smime.Opener{Chain: verifier}).Inspect(context.Background(), &message)
	if err != nil {
		t.Fatal(err)
	}
	if report.Verdict != smime.NotAuthentic || report.Codes[0] != "path.budget" {
		t.Errorf("the verdict is %s %v", report.Verdict, report.Codes)
	}
	for _, s := range report.Layers[0].Signatures {
		if s.Crypto != "valid" || s.Trust != "indeterminate" {
			t.Errorf("a signature is %s, its trust %s %v", s.Crypto, s.Trust, s.Codes)
		}
	}
	// Without a bound for the message this takes 20 s on an idle machine.
	if took := time.Since(start); took > slowdown*15*time.Second {
		t.Errorf("it took %v", took)
	}
}
