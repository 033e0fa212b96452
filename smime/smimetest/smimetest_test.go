package smimetest_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/smime/smimetest"
	"golang.org/x/crypto/ocsp"
)

func valid(t *testing.T, v *chain.Verifier, id *certstore.Identity, use chain.Purpose) error {
	t.Helper()
	_, err := v.Verify(context.Background(), id.Certificate(), use, id.Intermediates()...)
	return err
}

func TestEveryKindOfKey(t *testing.T) {
	pki := smimetest.NewPKI(t)
	v := pki.Verifier()
	both := []chain.Purpose{chain.EmailSigning, chain.EmailEncryption}
	for kind, uses := range map[smimetest.Key][]chain.Purpose{
		"":                  both,
		smimetest.RSA2048:   both,
		smimetest.P256:      both,
		smimetest.P384:      both,
		smimetest.P521:      both,
		smimetest.Ed25519:   both[:1],
		smimetest.X25519:    both[1:],
		smimetest.MLDSA44:   both[:1],
		smimetest.MLDSA65:   both[:1],
		smimetest.MLDSA87:   both[:1],
		smimetest.MLKEM768:  both[1:],
		smimetest.MLKEM1024: both[1:],
	} {
		id := pki.Issue(smimetest.Leaf{Emails: []string{"carol@good.example"}, Key: kind})
		for _, use := range uses {
			if err := valid(t, v, id, use); err != nil {
				t.Errorf("%q for %s: %v", kind, use, err)
			}
		}
		// The standard library agrees about names, times and signatures.
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(pki.Root.Certificate())
		for _, c := range id.Intermediates() {
			between.AddCert(c)
		}
		if _, err := id.Certificate().Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: between, CurrentTime: pki.Time(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		}); err != nil {
			t.Errorf("%q: crypto/x509: %v", kind, err)
		}
	}
}

func TestPeople(t *testing.T) {
	pki := smimetest.NewPKI(t)
	for address, id := range map[string]*certstore.Identity{
		"alice@good.example": pki.Alice(), "bob@good.example": pki.Bob(), "eve@evil.example": pki.Eve(),
	} {
		if boxes := mailbox.Of(id.Certificate()); len(boxes) != 1 || boxes[0].Address != address {
			t.Errorf("%s has the mailboxes %v", address, boxes)
		}
		if err := valid(t, pki.Verifier(), id, chain.EmailSigning); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	if alice := pki.Alice(); alice != pki.Alice() {
		t.Error("Alice is not the same every time")
	}
	again := pki.Issue(smimetest.Leaf{Name: "Alice", Emails: []string{"alice@good.example"}, Key: smimetest.RSA2048})
	if sameKey(again, pki.Alice()) {
		t.Error("Alice's second certificate has the key of the first")
	}
}

func sameKey(a, b *certstore.Identity) bool {
	return bytes.Equal(a.Certificate().RawSubjectPublicKeyInfo, b.Certificate().RawSubjectPublicKeyInfo)
}

func TestTwoPKIs(t *testing.T) {
	one, two := smimetest.NewPKI(t), smimetest.NewPKI(t)
	if !sameKey(one.Alice(), two.Alice()) {
		t.Error("Alice's key was made twice")
	}
	if sameKey(one.Alice(), two.Bob()) {
		t.Error("Alice and Bob share a key")
	}
	if err := valid(t, one.Verifier(), two.Alice(), chain.EmailSigning); err == nil {
		t.Error("one PKI trusts the other")
	}
}

func TestUTF8Address(t *testing.T) {
	pki := smimetest.NewPKI(t)
	id := pki.Issue(smimetest.Leaf{Emails: []string{"j\u00fcrgen@good.example", "j@good.example"}})
	boxes := mailbox.Of(id.Certificate())
	if len(boxes) != 2 || boxes[0].Address != "j\u00fcrgen@good.example" || !boxes[0].UTF8 || boxes[1].UTF8 {
		t.Errorf("mailboxes %+v", boxes)
	}
}

func TestLowerAuthority(t *testing.T) {
	pki := smimetest.NewPKI(t)
	id := pki.Issuing.Authority("Department CA").Issue(smimetest.Leaf{Emails: []string{"carol@good.example"}})
	if len(id.Intermediates()) != 2 {
		t.Fatalf("%d intermediates", len(id.Intermediates()))
	}
	if err := valid(t, pki.Verifier(), id, chain.EmailSigning); err != nil {
		t.Error(err)
	}
}

func TestCRL(t *testing.T) {
	pki := smimetest.NewPKI(t)
	list, err := x509.ParseRevocationList(pki.Issuing.CRL(pki.Eve().Certificate()))
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(pki.Issuing.Certificate()); err != nil {
		t.Error(err)
	}
	if n := len(list.RevokedCertificateEntries); n != 1 || list.RevokedCertificateEntries[0].SerialNumber.Cmp(pki.Eve().Certificate().SerialNumber) != 0 {
		t.Errorf("%d entries: %v", n, list.RevokedCertificateEntries)
	}
	if pki.Time().Before(list.ThisUpdate) || pki.Time().After(list.NextUpdate) {
		t.Errorf("the list holds from %v to %v", list.ThisUpdate, list.NextUpdate)
	}
}

func TestOCSP(t *testing.T) {
	pki := smimetest.NewPKI(t)
	cert := pki.Eve().Certificate()
	for _, status := range []smimetest.Status{smimetest.Good, smimetest.Revoked, smimetest.Unknown} {
		answer, err := ocsp.ParseResponseForCert(pki.Issuing.OCSP(cert, status), cert, pki.Issuing.Certificate())
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status != int(status) || pki.Time().Before(answer.ThisUpdate) || pki.Time().After(answer.NextUpdate) {
			t.Errorf("status %d: %+v", status, answer)
		}
	}
}

func TestNewAt(t *testing.T) {
	now := time.Now()
	pki := smimetest.NewAt(now)
	c := pki.Issue(smimetest.Leaf{Emails: []string{"a@b.example"}}).Certificate()
	if now.Before(c.NotBefore) || now.After(c.NotAfter) {
		t.Errorf("valid from %v to %v", c.NotBefore, c.NotAfter)
	}
}

func TestFailure(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic for an unknown kind of key")
		}
	}()
	smimetest.New().Issue(smimetest.Leaf{Name: "x", Key: "rsa-1"})
}

func TestConcurrentUse(t *testing.T) {
	pki := smimetest.NewPKI(t)
	serials := make([]string, 8)
	var wg sync.WaitGroup
	for i := range serials {
		wg.Go(func() {
			pki.Eve()
			serials[i] = pki.Issue(smimetest.Leaf{Name: "x"}).Certificate().SerialNumber.String()
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, s := range serials {
		if seen[s] {
			t.Errorf("serial number %s twice", s)
		}
		seen[s] = true
	}
}

func TestMail(t *testing.T) {
	for name, m := range map[string]smimetest.Mail{
		"zero":       {},
		"attachment": {Attachment: bytes.Repeat([]byte{0, 1, 2, 255}, 100), Text: "--part\nJ\u00fcrgen\n"},
		"empty":      {Attachment: []byte{}},
	} {
		raw := m.Bytes()
		if !bytes.Equal(raw, m.Bytes()) {
			t.Errorf("%s: two messages", name)
		}
		if bytes.Contains(bytes.ReplaceAll(raw, []byte("\r\n"), nil), []byte("\n")) {
			t.Errorf("%s: a line end that is not CRLF", name)
		}
		msg, err := mail.ReadMessage(m.Reader())
		if err != nil {
			t.Fatal(err)
		}
		from, err := msg.Header.AddressList("From")
		if err != nil || len(from) != 1 || from[0].Address != "alice@good.example" {
			t.Errorf("%s: from %v, %v", name, from, err)
		}
		if date, err := msg.Header.Date(); err != nil || !date.Equal(smimetest.Now()) {
			t.Errorf("%s: date %v, %v", name, date, err)
		}
		if m.Attachment == nil {
			continue
		}
		_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		parts := multipart.NewReader(msg.Body, params["boundary"])
		text, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(text); err != nil || m.Text != "" && string(b) != strings.ReplaceAll(m.Text, "\n", "\r\n") {
			t.Errorf("%s: text %q, %v", name, b, err)
		}
		data, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if data.FileName() != "data.bin" || data.Header.Get("Content-Transfer-Encoding") != "base64" {
			t.Errorf("%s: attachment %v", name, data.Header)
		}
		if b, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, data)); err != nil || !bytes.Equal(b, m.Attachment) {
			t.Errorf("%s: attachment %q, %v", name, b, err)
		}
		if _, err := parts.NextPart(); err != io.EOF {
			t.Errorf("%s: %v behind the attachment", name, err)
		}
	}
}
