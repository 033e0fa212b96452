package smime_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/x448"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

// Nobody to encrypt to is an error, and not a message that is only signed.
func TestNobodyToSealTo(t *testing.T) {
	p := newParty(t)
	var none []*x509.Certificate
	for name, f := range map[string]func(io.Writer) error{
		"Seal":    func(w io.Writer) error { return smime.Seal(w, strings.NewReader(plain), p.alice, none...) },
		"Encrypt": func(w io.Writer) error { return smime.Encrypt(w, strings.NewReader(plain)) },
		"an empty list": func(w io.Writer) error {
			c := p.composer(true, false, true)
			c.Recipients = []*x509.Certificate{}
			_, err := c.Compose(w, strings.NewReader(plain))
			return err
		},
		"a nil recipient": func(w io.Writer) error { return smime.Seal(w, strings.NewReader(plain), p.alice, nil) },
		"a nil signer":    func(w io.Writer) error { return smime.Sign(w, strings.NewReader(plain), nil) },
		"nobody at all": func(w io.Writer) error {
			_, err := new(smime.Composer).Compose(w, strings.NewReader(plain))
			return err
		},
	} {
		var out bytes.Buffer
		if err := f(&out); err == nil || out.Len() > 0 {
			t.Errorf("%s: %v, %d octets written", name, err, out.Len())
		}
	}
}

// Values that no constructor made are errors, and no panics.
func TestZeroValues(t *testing.T) {
	p := newParty(t)
	unparsed := &x509.Certificate{NotBefore: p.now, NotAfter: p.now, RawSubjectPublicKeyInfo: p.bob.Certificate().RawSubjectPublicKeyInfo}
	for name, c := range map[string]*smime.Composer{
		"signer":                 {Signers: []*certstore.Identity{new(certstore.Identity)}},
		"recipient":              {Recipients: []*x509.Certificate{unparsed}},
		"encryption certificate": {Signers: []*certstore.Identity{p.alice}, EncryptionCertificate: unparsed},
	} {
		c.Time = p.clock()
		_, one := c.Compose(io.Discard, strings.NewReader(plain))
		_, two := c.NewWriter(io.Discard)
		c.Bcc = []*x509.Certificate{p.bob.Certificate()}
		three := c.ComposeCopies(nil, strings.NewReader(plain))
		for _, err := range []error{one, two, three} {
			if err == nil || strings.Contains(err.Error(), "internal failure") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// What cannot be read again, or not be encrypted to, is found before anything is written.
func TestTooMany(t *testing.T) {
	p := newParty(t)
	cert, oaep := p.alice.Certificate(), *p.bob.Certificate()
	small := smimetest.NewPKI(t).Issue(smimetest.Leaf{Key: smimetest.RSA1024}).Certificate()
	key := forge.Sequence(forge.BigInteger(small.PublicKey.(*rsa.PublicKey).N), forge.Integer(65537))
	oaep.PublicKey = nil // package x509 does not know keys for RSAES-OAEP alone
	oaep.RawSubjectPublicKeyInfo = forge.Sequence(forge.Algorithm(oid.RSAOAEP, nil), forge.Element(casn1.BIT_STRING, []byte{0}, key))
	for _, n := range []int{0, 1} {
		signers := &smime.Composer{Signers: slices.Repeat([]*certstore.Identity{p.aliceEC}, 16+n)}
		recipients := &smime.Composer{Recipients: slices.Repeat([]*x509.Certificate{p.bobEC.Certificate()}, 1+n*10_000)}
		weak := &smime.Composer{Recipients: []*x509.Certificate{p.bob.Certificate(), &oaep}[:1+n]}
		for name, c := range map[string]*smime.Composer{"signers": signers, "recipients": recipients, "weak key": weak} {
			c.Time = p.clock()
			var out bytes.Buffer
			_, err := c.Compose(&out, strings.NewReader(plain))
			if bad := n > 0; (err != nil) != bad || bad && out.Len() > 0 || bad && name != "weak key" && !errors.Is(err, smime.ErrTooLarge) {
				t.Errorf("%s: %v, %d octets written", name, err, out.Len())
			}
		}
		certs, crls := slices.Repeat([]*x509.Certificate{cert}, 256+n), slices.Repeat([][]byte{{0x30, 0}}, 64+n)
		head := "From: alice@example.com\r\n\r\n"
		for name, err := range map[string]error{
			"certificates": new(smime.Composer).ComposeCertificates(io.Discard, strings.NewReader(head), certs),
			"CRLs":         new(smime.Composer).ComposeCertificates(io.Discard, strings.NewReader(head), nil, crls...),
		} {
			if errors.Is(err, smime.ErrTooLarge) != (n > 0) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A stingyWriter leaves out the last octet of its n-th write and does not say so.
type stingyWriter struct {
	io.Writer
	n int
}

func (w *stingyWriter) Write(b []byte) (int, error) {
	if w.n--; w.n == 0 && len(b) > 0 {
		b = b[:len(b)-1]
	}
	return w.Writer.Write(b)
}

// No message with a hole in it is said to be complete, whether composed or opened.
func TestShortWrites(t *testing.T) {
	p := newParty(t)
	delivery := func(w io.Writer) error {
		return new(smime.Composer).ComposeCertificates(w, strings.NewReader("From: alice@example.com\r\n\r\n"), []*x509.Certificate{p.alice.Certificate()})
	}
	jobs := map[string]func(io.Writer) error{"certificates": delivery}
	for name, c := range p.every() {
		jobs["composing "+name] = func(w io.Writer) error {
			_, err := c.Compose(w, strings.NewReader(plain))
			return err
		}
		mail := composed(t, c, plain)
		jobs["opening "+name] = func(w io.Writer) error {
			_, err := p.opener().OpenTo(t.Context(), w, bytes.NewReader(mail))
			return err
		}
	}
	for name, job := range jobs {
		if err := job(&stingyWriter{io.Discard, 0}); err != nil {
			t.Errorf("%s, the twin: %v", name, err)
		}
		for n := 1; ; n++ {
			w := &stingyWriter{io.Discard, n}
			err := job(w)
			if w.n > 0 {
				break // there are fewer writes
			}
			if !errors.Is(err, io.ErrShortWrite) {
				t.Errorf("%s: write %d of the octets was cut short: %v", name, n, err)
			}
		}
	}
}

// A stuckReader gives neither octets nor an error once r is at its end.
type stuckReader struct{ r io.Reader }

func (s stuckReader) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// A reader that gives nothing, again and again, ends the call.
func TestNoProgress(t *testing.T) {
	p := newParty(t)
	for _, c := range []*smime.Composer{p.composer(true, false, false), p.composer(true, true, true), {Recipients: []*x509.Certificate{p.bob.Certificate()}, LegacyDisplay: true, Time: p.clock()}} {
		for _, lines := range []int{0, 1000, 500_000} {
			src := stuckReader{strings.NewReader(plain + strings.Repeat("line\r\n", lines))}
			if _, err := c.Compose(io.Discard, src); !errors.Is(err, io.ErrNoProgress) {
				t.Errorf("%d lines: %v", lines, err)
			}
		}
	}
}

// A writer that is given up completes no message and leaves no goroutine.
func TestWriterGivenUp(t *testing.T) {
	p := newParty(t)
	reason := errors.New("the attachment could not be read")
	before := runtime.NumGoroutine()
	for range 20 {
		var out bytes.Buffer
		w, err := (&smime.Composer{Signers: []*certstore.Identity{p.alice}, Time: p.clock()}).NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, plain[:len(plain)-10])
		if err := w.(interface{ CloseWithError(error) error }).CloseWithError(reason); !errors.Is(err, reason) {
			t.Fatalf("the error is %v", err)
		}
		if err := w.Close(); !errors.Is(err, reason) {
			t.Fatalf("closed again, the error is %v", err)
		}
		if msg, err := p.opener().Open(t.Context(), &out); msg != nil || err == nil {
			t.Fatal("the beginning of a message is authentic")
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// TestX448Recipient: a key that package x509 does not know agrees like any other (RFC 8410,
// Section 5).
func TestX448Recipient(t *testing.T) {
	pki := smimetest.NewPKI(t)
	key, err := x448.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for usage, want := range map[x509.KeyUsage]string{x509.KeyUsageKeyAgreement: "", x509.KeyUsageKeyEncipherment: "ku.encrypt"} {
		issued := pki.Issue(smimetest.Leaf{Emails: []string{"bob@good.example"}, Key: smimetest.X25519, KeyUsage: usage})
		bob := *issued.Certificate()
		bob.PublicKey = nil
		bob.RawSubjectPublicKeyInfo = forge.Sequence(forge.Algorithm(oid.X448, nil), forge.Element(casn1.BIT_STRING, []byte{0}, key.PublicKey()))
		c := &smime.Composer{Recipients: []*x509.Certificate{&bob}, Time: pki.Time, ProtectHeaders: "off"}
		_, err := c.Compose(io.Discard, strings.NewReader(fileFields+filePart))
		refused, _ := errors.AsType[*smime.RecipientError](err)
		if want == "" && err != nil || want != "" && (refused == nil || refused.Code != want) {
			t.Errorf("key usage %b: %v, want %q", usage, err, want)
		}
	}
}
