package smime_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
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

// TestLikeNumberedCertificates sends a bag full of certificates with the serial number of
// every signer, and of other issuers, whose names take long to compare (D04, D10).
func TestLikeNumberedCertificates(t *testing.T) {
	p := newParty(t)
	alice := p.alice.Certificate()
	content := []byte("Content-Type: text/plain\r\n\r\nHello\r\n")
	for _, c := range []struct {
		name, text string
		octets     int
	}{
		{"long to prepare", "\ufdfa", 54_000},
		{"as long as is prepared", "\ufdfa", 1_900},
		{"long", "a ", 54_000},
	} {
		issuer := forge.Sequence(forge.Set(forge.Sequence(forge.OID("\x55\x04\x03"), forge.Element(12, []byte(strings.Repeat(c.text, c.octets/len(c.text)))))))
		template := &x509.Certificate{SerialNumber: alice.SerialNumber, NotBefore: p.now, NotAfter: p.now}
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		other, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{RawSubject: issuer}, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		signed := forge.NewSigned(content, forge.NewSigner(alice, p.alice.Key().(crypto.Signer), content))
		for range 15 {
			signed.Signers = append(signed.Signers, signed.Signers[0])
		}
		for range 254 {
			signed.Certificates = append(signed.Certificates, other)
		}
		twin := signed.DER()
		for _, s := range signed.Signers {
			s.ID = forge.IssuerAndSerial(forge.Sequence(), alice.SerialNumber)
		}
		for _, m := range []struct {
			der  []byte
			want smime.Verdict
		}{{twin, smime.Authentic}, {signed.DER(), smime.NotAuthentic}} {
			start := time.Now()
			report, err := p.opener().InspectCMS(t.Context(), bytes.NewReader(m.der), nil)
			if err != nil || report.Verdict != m.want {
				t.Errorf("%s: %v %v", c.name, report, err)
			}
			// Without a bound for the message this takes 30 s and more.
			if took := time.Since(start); took > slowdown*10*time.Second {
				t.Errorf("%s: it took %v", c.name, took)
			}
		}
	}
}

// TestLongNamesInPaths sends as many signers as are looked at, whose paths have to be looked
// for among as many certificates, with names that take long to compare (D04, G01).
func TestLongNamesInPaths(t *testing.T) {
	p := newParty(t)
	content := []byte("Content-Type: text/plain\r\n\r\nHello\r\n")
	message := func(by *certstore.Identity) []byte {
		signed := forge.NewSigned(content, forge.NewSigner(by.Certificate(), by.Key().(crypto.Signer), content))
		for range 15 {
			signed.Signers = append(signed.Signers, signed.Signers[0])
		}
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(254) {
			template := &x509.Certificate{SerialNumber: big.NewInt(i), Subject: pkix.Name{CommonName: strings.Repeat("\ufdfa", 600)}, NotBefore: p.now, NotAfter: p.now}
			other, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{Subject: pkix.Name{CommonName: "x"}}, key.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			signed.Certificates = append(signed.Certificates, other)
		}
		return signed.DER()
	}
	for _, c := range []struct {
		by   *certstore.Identity
		want smime.Verdict
	}{{p.alice, smime.Authentic}, {p.eve, smime.NotAuthentic}} {
		der := message(c.by)
		start := time.Now()
		report, err := p.opener().InspectCMS(t.Context(), bytes.NewReader(der), nil)
		if err != nil || report.Verdict != c.want {
			t.Errorf("%v %v", report, err)
		}
		// Without a bound for the message this takes 10 s.
		if took := time.Since(start); took > slowdown*5*time.Second {
			t.Errorf("it took %v", took)
		}
	}
}

// TestRenamedIssuer: a signer is found by an issuer's name in other types of strings.
func TestRenamedIssuer(t *testing.T) {
	p := newParty(t)
	alice := p.alice.Certificate()
	content := []byte("Content-Type: text/plain\r\n\r\nHello\r\n")
	signer := forge.NewSigner(alice, p.alice.Key().(crypto.Signer), content)
	renamed := bytes.Replace(alice.RawIssuer, []byte{0x13, 4, 'R', 'o', 'o', 't'}, []byte{0x0c, 4, 'R', 'O', 'o', 't'}, 1)
	if bytes.Equal(renamed, alice.RawIssuer) {
		t.Fatal("the issuer is none that this test knows")
	}
	signer.ID = forge.IssuerAndSerial(renamed, alice.SerialNumber)
	report, err := p.opener().InspectCMS(t.Context(), bytes.NewReader(forge.NewSigned(content, signer).DER()), nil)
	if err != nil || report.Verdict != smime.Authentic {
		t.Errorf("%+v %v", report, err)
	}
}

// TestNestedLayers sends a small message that unpacks to layers in layers, each of which is
// within its bounds and has all that is inside hashed by whatever functions it announces, or
// brings certificates that take many times their size to read (D10, C17).
func TestNestedLayers(t *testing.T) {
	p := newParty(t)
	var all [][]byte
	for _, o := range []oid.OID{oid.SHA256, oid.SHA384, oid.SHA512, oid.SHA1, oid.SHA224, oid.SHA512_256, oid.SHA3_256, oid.SHA3_384, oid.SHA3_512, oid.SHA3_224, oid.SHAKE256} {
		all = append(all, forge.Algorithm(o, nil))
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), EmailAddresses: make([]string, 30_000)} // as small as names get
	named, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("Content-Type: text/plain\r\n\r\nHello\r\n")
	entity := func(der []byte) []byte {
		return append([]byte("Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary\r\n\r\n"), der...)
	}
	unpacked := func(content []byte) []byte {
		junk := make([]byte, 480_000) // keeps the ratio within its bound
		rand.Read(junk)
		var packed bytes.Buffer
		z := zlib.NewWriter(&packed)
		fmt.Fprintf(z, "X-Junk: %x\r\n", junk)
		z.Write(content)
		z.Close()
		return entity(forge.ContentInfo(oid.CompressedData, forge.Sequence(forge.Integer(0), forge.Algorithm(oid.ZLIB, nil),
			forge.Sequence(forge.OID(oid.Data), forge.Tagged(0, forge.Octets(packed.Bytes()))))))
	}
	for _, c := range []struct {
		name         string
		layers       int
		announced    [][]byte
		certificates int
		content      int
		beyond       bool
	}{
		{"functions", 2, all, 0, 0, false},
		{"too many functions", 3, all, 0, 0, true},
		{"work", 1, all[10:], 0, 20 << 20, false},
		{"too much work", 14, all[10:], 0, 20 << 20, true},
		{"certificates", 2, all[:1], 10, 0, false},
		{"too many certificates", 8, all[:1], 10, 0, true},
	} {
		message := slices.Concat(text, bytes.Repeat([]byte("A"), c.content))
		for range c.layers {
			outer := forge.NewSigned(message, forge.NewSigner(p.alice.Certificate(), p.alice.Key().(crypto.Signer), message))
			outer.Announced = append(outer.Announced, c.announced...)
			for range c.certificates {
				outer.Certificates = append(outer.Certificates, named)
			}
			message = entity(outer.DER())
		}
		if c.content > 0 {
			message = unpacked(message)
		}
		message = append([]byte("From: alice@example.com\r\n"), message...)
		report, err := p.opener().Inspect(t.Context(), bytes.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		want := smime.Authentic
		if c.beyond {
			want = smime.Unreadable
		}
		if report.Verdict != want || c.beyond != slices.Contains(report.Codes, "limit.exceeded") {
			t.Errorf("%s: %s %q", c.name, report.Verdict, report.Codes)
		}
	}
}
