package smime_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/smime"
)

// TestC01NothingDrawnOut opens the messages around somebody else's ciphertext with every
// exception that there is. No plaintext comes out of any (C01, C18).
func TestC01NothingDrawnOut(t *testing.T) {
	p := readOpenIdentities(t)
	names, _ := filepath.Glob(filepath.Join(openFolder, "c*.eml"))
	seen := 0
	for _, name := range names {
		base := filepath.Base(name)
		if !strings.HasPrefix(base, "c01-") && !strings.HasPrefix(base, "c18-") || strings.Contains(base, "twin") {
			continue
		}
		seen++
		mail, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		o := p.opener()
		o.AllowUnsigned, o.AllowMalleable, o.AllowMismatchedSender = true, true, true
		m, err := o.Open(t.Context(), bytes.NewReader(mail))
		if err != nil {
			t.Errorf("%s: %v", base, err)
			continue
		}
		content, _ := io.ReadAll(m.Entity())
		if strings.Contains(string(content), "Tuesday") {
			t.Errorf("%s: plaintext in %q", base, content)
		}
	}
	if seen < 10 {
		t.Errorf("%d messages", seen)
	}
}

// TestC02Malleable: what an attacker made of AES-CBC is never intact, and needs an
// exception of its own to be seen at all (C02, C03).
func TestC02Malleable(t *testing.T) {
	p := readOpenIdentities(t)
	for _, name := range []string{"c02-gadget", "c02-gadget-over-signature", "c03-chosen"} {
		mail, err := os.ReadFile(filepath.Join(openFolder, name+".eml"))
		if err != nil {
			t.Fatal(err)
		}
		open := func(change func(*smime.Opener)) error {
			o := p.opener()
			change(o)
			m, err := o.Open(t.Context(), bytes.NewReader(mail))
			if err == nil && m.Report().Verdict == smime.Authentic {
				t.Errorf("%s is authentic", name)
			}
			return err
		}
		if err := open(func(o *smime.Opener) { o.AllowUnsigned = true }); err == nil {
			t.Errorf("%s opens as unsigned", name)
		}
		if err := open(func(o *smime.Opener) { o.AllowMalleable = true }); err == nil {
			t.Errorf("%s opens as malleable", name)
		}
		// Both together are for people who know what they do; what they get may be odd
		// enough to be refused even so.
		if err := open(func(o *smime.Opener) { o.AllowUnsigned, o.AllowMalleable = true, true }); err != nil && !errors.Is(err, smime.ErrDecrypt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestA03AlwaysAttributes (row A03): what is written always has signed attributes, so that no
// signature over bytes that somebody chose can be turned into one over attributes.
func TestA03AlwaysAttributes(t *testing.T) {
	p := newParty(t)
	for name, c := range p.every() {
		r, err := p.opener().Inspect(t.Context(), bytes.NewReader(composed(t, c, plain)))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range r.Layers {
			for _, s := range l.Signatures {
				if s.ClaimedTime == nil {
					t.Errorf("%s: a signature without the attributes that we write", name)
				}
			}
		}
	}
}

// TestI02ReadTwice (row I02): a message gives the same octets as often as it is asked, and one that
// is composed twice opens to the same both times.
func TestI02ReadTwice(t *testing.T) {
	p := newParty(t)
	for name, c := range p.every() {
		var contents []string
		for range 2 {
			m, err := p.opener().Open(t.Context(), bytes.NewReader(composed(t, c, plain)))
			if err != nil {
				t.Fatal(name, err)
			}
			for range 2 {
				content, _ := io.ReadAll(m.Entity())
				contents = append(contents, string(content))
				if _, err := io.Copy(io.Discard, m.Body()); err != nil {
					t.Error(err)
				}
			}
		}
		for _, content := range contents {
			if content != entity {
				t.Errorf("%s: %q", name, content)
			}
		}
	}
}

// TestJ03NoMessageNoContent (row J03): there is no way to content but a message that was accepted.
func TestJ03NoMessageNoContent(t *testing.T) {
	none := new(smime.Message)
	entity, _ := io.ReadAll(none.Entity())
	body, _ := io.ReadAll(none.Body())
	if len(entity)+len(body) > 0 || none.Report() != nil || none.Signatures() != nil {
		t.Error("a message that nobody opened has something to say")
	}
	if got := none.WithoutLegacyDisplay("text/plain; hp-legacy-display=1", []byte("x")); string(got) != "x" {
		t.Errorf("%q", got)
	}
	if outer, keep := none.Response(nil)("Subject", "x"); outer != "x" || !keep {
		t.Error(outer, keep)
	}
	p := newParty(t)
	mail := composed(t, p.composer(true, true, true), plain)
	m, err := p.opener().OpenTo(t.Context(), io.Discard, bytes.NewReader(mail))
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(m.Entity()); len(b) > 0 {
		t.Error("OpenTo keeps content")
	}
	stranger := p.composer(true, false, false)
	stranger.Signers = []*certstore.Identity{p.eve}
	_, err = p.opener().Open(t.Context(), bytes.NewReader(composed(t, stranger, plain)))
	var u *smime.UnverifiedError
	if !errors.As(err, &u) || u.Report.Content != nil || strings.Contains(err.Error(), "offer") {
		t.Errorf("%+v", err)
	}
}

// A hanging key is a token that nobody touches.
type hangingKey struct {
	crypto.Signer
	release chan struct{}
}

func (k hangingKey) Decrypt(io.Reader, []byte, crypto.DecrypterOpts) ([]byte, error) {
	<-k.release
	return nil, errors.New("too late")
}

// TestJ05KeyOperations (row J05): neither a token that does not answer nor a password's derivation as
// costly as a message may ask for keeps a call whose context has ended.
func TestJ05KeyOperations(t *testing.T) {
	p := newParty(t)
	release := make(chan struct{})
	defer close(release)
	token, err := certstore.NewIdentity(p.bob.Certificate(), hangingKey{p.bob.Key().(crypto.Signer), release})
	if err != nil {
		t.Fatal(err)
	}
	keys := new(certstore.Memory)
	keys.AddIdentity(token)
	var costly bytes.Buffer
	w, err := cms.NewEnvelopedWriter(&costly, []*cms.Recipient{{Passphrase: []byte("correct horse"), Iterations: 1_000_000}}, cms.EnvelopeOptions{})
	if err == nil {
		_, err = io.WriteString(w, plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(ctx context.Context) error{
		"token": func(ctx context.Context) error {
			o := p.opener()
			o.Keys = keys
			_, err := o.Open(ctx, bytes.NewReader(composed(t, p.composer(true, true, true), plain)))
			return err
		},
		"password": func(ctx context.Context) error {
			o := p.opener()
			o.Passphrase = []byte("correct horse")
			_, err := o.OpenCMS(ctx, io.Discard, bytes.NewReader(costly.Bytes()), nil)
			return err
		},
	} {
		// The fastest of ten: a machine that tests other things too takes its time now and then.
		least := time.Duration(1 << 62)
		for n := 0; n < 10 && least > 10*time.Millisecond; n++ {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- open(ctx) }()
			time.Sleep(time.Duration(5+3*n) * time.Millisecond)
			ended := time.Now()
			cancel()
			select {
			case err := <-done:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v", name, err)
				}
				least = min(least, time.Since(ended))
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: nobody answers", name)
			}
		}
		if least > slowdown*50*time.Millisecond {
			t.Errorf("%s: %v after the context ended", name, least)
		}
	}
	o := p.opener()
	o.Passphrase, o.AllowUnsigned = []byte("correct horse"), true
	if _, err := o.OpenCMS(t.Context(), io.Discard, bytes.NewReader(costly.Bytes()), nil); err != nil {
		t.Error("the twin:", err)
	}
}

type failingKeys struct{ err error }

func (f failingKeys) Identities(context.Context, certstore.Query) iter.Seq2[*certstore.Identity, error] {
	return func(yield func(*certstore.Identity, error) bool) { yield(nil, f.err) }
}

// A key store that fails is no fault of the message.
func TestKeyStoreFails(t *testing.T) {
	p := newParty(t)
	mail := composed(t, p.composer(true, true, true), plain)
	o, boom := p.opener(), errors.New("boom")
	o.Keys = failingKeys{boom}
	var u *smime.UnverifiedError
	if _, err := o.Open(t.Context(), bytes.NewReader(mail)); !errors.Is(err, boom) || errors.As(err, &u) {
		t.Error(err)
	}
	if _, err := o.Inspect(t.Context(), bytes.NewReader(mail)); !errors.Is(err, boom) {
		t.Error(err)
	}
}

// A source that fails anywhere is no fault of the message either.
func TestSourceFails(t *testing.T) {
	p := newParty(t)
	boom := errors.New("boom")
	for name, c := range p.every() {
		mail := composed(t, c, plain)
		for i := 0; i <= len(mail); i += 1 + len(mail)/40 {
			if i > len(mail)-len(mail)/40 {
				i = len(mail)
			}
			src := io.MultiReader(bytes.NewReader(mail[:i]), iotest.ErrReader(boom))
			var u *smime.UnverifiedError
			if _, err := p.opener().Open(t.Context(), src); !errors.Is(err, boom) || errors.As(err, &u) {
				t.Errorf("%s, at %d of %d: %v", name, i, len(mail), err)
			}
		}
	}
}

// TestI01Response (row I01): what a program says should stand outside of the encryption stands there
// as one value, or the message is not composed.
func TestI01Response(t *testing.T) {
	p := newParty(t)
	for _, value := range []string{"fine", "=?utf-8?q?a?=", "x\r\nBcc: eve@evil.example", "x\nBcc: eve@evil.example", "x\rBcc: eve@evil.example", "x\x00", "x\r\n\r\nbody", "x\x1b[2J", strings.Repeat("y", 2000)} {
		c := p.protected(true, true, true, "no-confidentiality")
		c.Response = func(name, inner string) (string, bool) {
			if name == "Subject" {
				return value, true
			}
			return inner, true
		}
		var mail bytes.Buffer
		if _, err := c.Compose(&mail, strings.NewReader(plain)); err != nil {
			if value == "fine" || strings.ContainsAny(err.Error(), "\r\n\x00\x1b") {
				t.Errorf("%q: %v", value, err)
			}
			continue
		}
		m, err := p.opener().Open(t.Context(), &mail)
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		outer := m.OuterHeader()
		if outer.Has("Bcc") || outer.Len() > 9 {
			t.Errorf("%q makes fields of its own", value)
		}
		if got, _ := outer.Subject(); value == "fine" && got != value {
			t.Errorf("%q", got)
		}
	}
}

// TestI03Boundaries (row I03): a message inside a message, and one that is made of delimiters, keep
// their parts to themselves.
func TestI03Boundaries(t *testing.T) {
	p := newParty(t)
	c := p.composer(true, false, false)
	inner := string(composed(t, c, plain))
	_, boundary, _ := strings.Cut(inner, "boundary=\"")
	boundary, _, ok := strings.Cut(boundary, "\"")
	if !ok || len(boundary) < 22 { // 128 bits
		t.Fatalf("boundary %q", boundary)
	}
	seen := map[string]bool{boundary: true}
	for _, body := range []string{
		"--" + boundary + "\r\n--" + boundary + "--\r\n", strings.Repeat("--"+boundary+"--\r\n", 500),
		inner, "--\r\n----\r\n--=\r\n--=_\r\n",
	} {
		content := "Content-Type: text/plain\r\n\r\n" + body
		mail := composed(t, c, "From: alice@example.com\r\n"+content)
		m, err := p.opener().Open(t.Context(), bytes.NewReader(mail))
		if err != nil {
			t.Errorf("%.40q: %v", body, err)
			continue
		}
		if got, _ := io.ReadAll(m.Entity()); string(got) != content {
			t.Errorf("%.40q opens to %.80q", body, got)
		}
		_, next, _ := strings.Cut(string(mail), "boundary=\"")
		next, _, _ = strings.Cut(next, "\"")
		if seen[next] {
			t.Errorf("the boundary %q twice", next)
		}
		seen[next] = true
	}
}
