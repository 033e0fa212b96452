package smime_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/smime"
)

// A changing source gives other octets each time it is read from the beginning.
type changing struct {
	*bytes.Reader
	later []byte
}

func (c *changing) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		c.Reader = bytes.NewReader(c.later)
	}
	return c.Reader.Seek(offset, whence)
}

// Row J02: a message that takes two passes is changed between them. What is returned is what
// the signature covers in the second one.
func TestChangedBetweenPasses(t *testing.T) {
	p := newParty(t)
	mail := composed(t, p.composer(true, false, false), plain)
	lies := bytes.Replace(mail, []byte("micalg=sha-256"), []byte("micalg=sha-512"), 1) // the digest it needs shows at the end
	altered := bytes.Replace(lies, []byte("the offer stands"), []byte("the offer is off"), 1)
	other := composed(t, p.composer(true, false, false), strings.Replace(plain, "stands", "falls ", 1))
	for _, test := range []struct {
		name          string
		first, second []byte
		want          string // empty: an error
	}{
		{"unchanged", lies, lies, entity},
		{"altered later", lies, altered, ""},
		{"altered before", altered, lies, entity},
		{"another message", lies, other, strings.Replace(entity, "stands", "falls ", 1)},
		{"unsigned", lies, []byte(plain), ""},
		{"nothing", lies, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			msg, err := p.opener().Open(t.Context(), &changing{bytes.NewReader(test.first), test.second})
			if test.want == "" {
				if err == nil || msg != nil {
					t.Errorf("no error, content %q", octetsOf(msg))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := octetsOf(msg); got != test.want {
				t.Errorf("%q", got)
			}
		})
	}
}

func octetsOf(m *smime.Message) string {
	if m == nil {
		return ""
	}
	b, _ := io.ReadAll(m.Entity())
	return string(b)
}

type panicking struct{}

var errCallback = errors.New("thrown by the caller's code")

func (panicking) Certificates(context.Context, certstore.Query) iter.Seq2[*certstore.Entry, error] {
	panic(errCallback)
}

func (panicking) Identities(context.Context, certstore.Query) iter.Seq2[*certstore.Identity, error] {
	return func(func(*certstore.Identity, error) bool) { panic(errCallback) }
}
func (panicking) Read([]byte) (int, error)  { panic(errCallback) }
func (panicking) Write([]byte) (int, error) { panic(errCallback) }

// A panickingKey is a token whose driver fails.
type panickingKey struct{ crypto.Signer }

func (panickingKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { panic(errCallback) }
func (panickingKey) Decrypt(io.Reader, []byte, crypto.DecrypterOpts) ([]byte, error) {
	panic(errCallback)
}

// Row J04: a panic in what the caller hands in is an error, and never success.
func TestPanicIsAnError(t *testing.T) {
	p := newParty(t)
	signed := composed(t, p.composer(true, false, false), plain)
	bare := p.composer(true, false, false)
	bare.Include = "none"
	nameless := composed(t, bare, plain)
	sealed := composed(t, p.composer(true, true, true), plain)
	token, err := certstore.NewIdentity(p.bob.Certificate(), panickingKey{p.bob.Key().(crypto.Signer)})
	if err != nil {
		t.Fatal(err)
	}
	open := func(change func(*smime.Opener), mail []byte) error {
		o := p.opener()
		change(o)
		msg, err := o.Open(t.Context(), bytes.NewReader(mail))
		if msg != nil {
			t.Error("there is a message")
		}
		report, err2 := o.Inspect(t.Context(), bytes.NewReader(mail))
		if report != nil || err2 == nil {
			t.Errorf("the report is %v, the error %v", report, err2)
		}
		return err
	}
	for name, f := range map[string]func() error{
		"keys":  func() error { return open(func(o *smime.Opener) { o.Keys = panicking{} }, sealed) },
		"certs": func() error { return open(func(o *smime.Opener) { o.Certs = panicking{} }, nameless) },
		"clock": func() error {
			return open(func(o *smime.Opener) { o.Chain.Time = func() time.Time { panic(errCallback) } }, signed)
		},
		"key": func() error {
			keys := new(certstore.Memory)
			keys.AddIdentity(token)
			return open(func(o *smime.Opener) { o.Keys = keys }, sealed)
		},
		"source": func() error {
			_, err := p.opener().Open(t.Context(), panicking{})
			return err
		},
		"quarantine": func() error {
			_, err := p.opener().OpenTo(t.Context(), panicking{}, bytes.NewReader(signed))
			return err
		},
		"signer":      func() error { return smime.Sign(io.Discard, strings.NewReader(plain), token) },
		"destination": func() error { return smime.Sign(panicking{}, strings.NewReader(plain), p.alice) },
		"message":     func() error { return smime.Sign(io.Discard, panicking{}, p.alice) },
		"writer": func() error {
			w, err := p.composer(true, false, false).NewWriter(panicking{})
			if err != nil {
				return err
			}
			io.WriteString(w, plain)
			return w.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := f()
			if !errors.Is(err, errCallback) {
				t.Fatalf("the error is %v", err)
			}
			if !strings.Contains(fmt.Sprintf("%+v", err), "runtime_test.go") && name != "writer" {
				t.Error("the stack is lost")
			}
		})
	}
}

// A canceller cancels once a number of octets were read.
type canceller struct {
	io.Reader
	left   int
	cancel func()
}

func (c *canceller) Read(b []byte) (int, error) {
	if c.left <= 0 {
		c.cancel()
	}
	n, err := c.Reader.Read(b[:min(len(b), 512)])
	c.left -= n
	return n, err
}

// Row J05: a context that ends anywhere in a message ends the call, without a message.
func TestCancelled(t *testing.T) {
	p := newParty(t)
	for name, c := range p.every() {
		mail := composed(t, c, plain+strings.Repeat("One more line.\r\n", 200))
		for at := 0; at < len(mail); at += 1 + len(mail)/7 {
			ctx, cancel := context.WithCancel(t.Context())
			msg, err := p.opener().Open(ctx, &canceller{bytes.NewReader(mail), at, cancel})
			if msg != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("%s, cancelled at %d of %d: %v", name, at, len(mail), err)
			}
			ctx, cancel = context.WithCancel(t.Context())
			if _, err := p.opener().Inspect(ctx, &canceller{bytes.NewReader(mail), at, cancel}); !errors.Is(err, context.Canceled) {
				t.Errorf("%s, inspection cancelled at %d of %d: %v", name, at, len(mail), err)
			}
		}
	}
}

// Row J06: what a stranger wrote stands in no error as it is, and content not at all.
func TestErrorsArePrintable(t *testing.T) {
	p := newParty(t)
	const evil = "a\r\nBcc: eve@example.com\x1b[2J\u202e\u0000"
	ca := certtest.NewCA(t, "Root")
	_, key := ca.IssueRSA(t, "alice@example.com")
	cert := ca.IssueFor(t, key.Public(), func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: evil}
		c.EmailAddresses = []string{"x\r\ny\x1b@example.com"}
		c.KeyUsage = x509.KeyUsageCRLSign
	})
	id, err := certstore.NewIdentity(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	var all []error
	add := func(err error) {
		if err == nil {
			t.Errorf("no error where one was expected")
			return
		}
		all = append(all, err)
	}
	add(smime.Sign(io.Discard, strings.NewReader(plain), id))
	add(smime.Encrypt(io.Discard, strings.NewReader(plain), cert))
	add(smime.Sign(io.Discard, strings.NewReader("Subject: "+evil+"\r\n\r\nx"), p.alice))
	for _, header := range []string{
		"From: " + evil, "Content-Type: " + evil, "Content-Type: multipart/signed; protocol=\"" + evil + "\"; boundary=b",
		"Content-Type: multipart/signed; boundary=\"" + evil + "\"", "Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: " + evil,
	} {
		_, err := p.opener().Open(t.Context(), strings.NewReader(header+"\r\n\r\nSECRET\r\n"))
		add(err)
	}
	sealed := composed(t, p.composer(true, true, true), "From: alice@example.com\r\nSubject: SECRET\r\n\r\nSECRET\r\n")
	for i := 100; i < len(sealed); i += len(sealed) / 50 {
		sealed[i] ^= 1
		if _, err := p.opener().Open(t.Context(), bytes.NewReader(sealed)); err != nil {
			all = append(all, err)
		}
		sealed[i] ^= 1
	}
	for _, err := range all {
		text := err.Error()
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.Contains(text, "SECRET") || len(text) > 1000 {
			t.Errorf("%q", text)
		}
	}
}
