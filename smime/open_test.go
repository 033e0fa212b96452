package smime_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime"
)

const plain = "From: Alice <alice@example.com>\r\n" +
	"To: bob@example.com\r\n" +
	"Subject: The offer\r\n" +
	"Date: Wed, 01 Jul 2026 00:00:00 +0000\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: text/plain; charset=us-ascii\r\n" +
	"\r\n" +
	"Dear Bob,\r\n\r\nthe offer stands.  \r\n"

const entity = "Content-Type: text/plain; charset=us-ascii\r\n\r\nDear Bob,\r\n\r\nthe offer stands.  \r\n"

func composed(t testing.TB, c *smime.Composer, src string) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := c.Compose(&b, strings.NewReader(src)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// every yields a composer for each form, with the layers it makes.
func (p *party) every() map[string]*smime.Composer {
	all := map[string]*smime.Composer{}
	add := func(name string, c *smime.Composer, change func(*smime.Composer)) {
		if change != nil {
			change(c)
		}
		all[name] = c
	}
	add("signed", p.composer(true, false, false), nil)
	add("signed", p.composer(true, false, true), nil)
	for _, digest := range []string{"sha256", "sha384", "sha512"} {
		add("signed/"+digest, p.composer(true, false, false), func(c *smime.Composer) { c.Digest = digest })
		add("signed/opaque "+digest, p.composer(true, false, true), func(c *smime.Composer) { c.Digest = digest })
	}
	add("signed/pss", p.composer(true, false, false), func(c *smime.Composer) { c.PSS = true })
	add("signed/key-id", p.composer(true, false, false), func(c *smime.Composer) { c.SignerKeyID = true })
	add("signed/two signers", p.composer(true, false, false), func(c *smime.Composer) { c.Signers = append(c.Signers, p.aliceEC) })
	add("signed/ecdsa", p.composer(true, false, true), func(c *smime.Composer) { c.Signers = []*certstore.Identity{p.aliceEC} })
	for _, cipher := range []string{"aes128-cbc", "aes192-cbc", "aes256-cbc", "aes128-gcm", "aes192-gcm", "aes256-gcm", "chacha20-poly1305"} {
		add("signed>encrypted/"+cipher, p.composer(true, true, true), func(c *smime.Composer) { c.Cipher = cipher })
	}
	add("signed>encrypted/multipart", p.composer(true, true, false), nil)
	add("signed>encrypted/oaep", p.composer(true, true, true), func(c *smime.Composer) { c.KeyTransport = "oaep" })
	add("signed>encrypted/key-id", p.composer(true, true, true), func(c *smime.Composer) { c.RecipientKeyID = true })
	add("signed>compressed>encrypted", p.composer(true, true, true), func(c *smime.Composer) { c.Compress = true })
	add("signed>encrypted>signed", p.composer(true, true, false), func(c *smime.Composer) { c.Triple = true })
	return all
}

func kinds(r *smime.Report) string {
	var names []string
	for i := len(r.Layers) - 1; i >= 0; i-- {
		names = append(names, r.Layers[i].Kind)
	}
	return strings.Join(names, ">")
}

// Whatever is composed opens to exactly the octets that went in, by every entrance.
func TestRoundTrip(t *testing.T) {
	p := newParty(t)
	for name, c := range p.every() {
		t.Run(name, func(t *testing.T) {
			mail := composed(t, c, plain)
			layers, _, _ := strings.Cut(name, "/")
			check := func(m *smime.Message, err error, content []byte) {
				t.Helper()
				if err != nil {
					t.Fatalf("%v\n%s", err, mail)
				}
				if got := kinds(m.Report()); got != layers {
					t.Errorf("layers %s, want %s", got, layers)
				}
				if string(content) != entity {
					t.Errorf("content %q, want %q", content, entity)
				}
				if len(m.Signatures()) == 0 || m.Signatures()[0].Path.Leaf() == nil {
					t.Error("an authentic message without the proof of its signer")
				}
				if m.Report().From != "alice@example.com" || m.Report().Subject != "The offer" {
					t.Errorf("from %q, subject %q", m.Report().From, m.Report().Subject)
				}
			}
			m, err := p.opener().Open(t.Context(), bytes.NewReader(mail))
			if err != nil {
				t.Fatalf("%v\n%s", err, mail)
			}
			content, _ := io.ReadAll(m.Entity())
			check(m, err, content)
			body, _ := io.ReadAll(m.Body())
			if want := entity[strings.Index(entity, "Dear"):]; string(body) != want {
				t.Errorf("body %q, want %q", body, want)
			}
			var streamed bytes.Buffer
			m, err = p.opener().OpenTo(t.Context(), &streamed, iotest.OneByteReader(bytes.NewReader(mail)))
			check(m, err, streamed.Bytes())
			report, err := p.opener().Inspect(t.Context(), bytes.NewReader(mail))
			if err != nil || report.Verdict != smime.Authentic {
				t.Errorf("Inspect: %v %v", report, err)
			}
			if report.Content != nil {
				t.Error("Inspect releases no content and must not say it did")
			}
		})
	}
}

// A push-style writer makes the same message.
func TestNewWriter(t *testing.T) {
	p := newParty(t)
	var mail bytes.Buffer
	w, err := p.composer(true, true, true).NewWriter(&mail)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []byte(plain) {
		if _, err := w.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.opener().Open(t.Context(), &mail); err != nil {
		t.Fatal(err)
	}
}

// refused opens a message that must not open and returns its report.
func refused(t *testing.T, o *smime.Opener, mail []byte, what string) *smime.Report {
	t.Helper()
	m, err := o.Open(t.Context(), bytes.NewReader(mail))
	var u *smime.UnverifiedError
	if m != nil || !errors.As(err, &u) {
		t.Fatalf("%s: message %v, error %v; want an UnverifiedError and no message", what, m, err)
	}
	if u.Report.Content != nil {
		t.Errorf("%s: content described although none was released", what)
	}
	if u.Report.Verdict != smime.Unsigned && len(u.Report.Codes) == 0 {
		t.Errorf("%s: %s without a code", what, u.Report.Verdict)
	}
	return u.Report
}

func TestRefusals(t *testing.T) {
	p := newParty(t)
	if r := refused(t, p.opener(), []byte(plain), "unsigned"); r.Verdict != smime.Unsigned {
		t.Error(r.Verdict)
	}
	stranger := p.composer(true, false, false)
	stranger.Signers = []*certstore.Identity{p.eve}
	r := refused(t, p.opener(), composed(t, stranger, plain), "stranger")
	if s := r.Layers[0].Signatures[0]; s.Crypto != "valid" || s.Trust != "invalid" || s.Address != "match" {
		t.Errorf("stranger: %+v", s)
	}
	other := p.composer(true, false, false)
	other.Signers = []*certstore.Identity{p.carol}
	mail := composed(t, other, plain)
	r = refused(t, p.opener(), mail, "mismatch")
	if s := r.Layers[0].Signatures[0]; s.Crypto != "valid" || s.Trust != "valid" || s.Address != "mismatch" {
		t.Errorf("mismatch: %+v", s)
	}
	o := p.opener()
	o.AllowMismatchedSender = true
	if _, err := o.Open(t.Context(), bytes.NewReader(mail)); err != nil {
		t.Error("the named exception:", err)
	}
	o = p.opener()
	o.Keys = nil
	_, err := o.Open(t.Context(), bytes.NewReader(composed(t, p.composer(true, true, true), plain)))
	if !errors.Is(err, smime.ErrNoKey) {
		t.Error("no key:", err)
	}
	o = p.opener()
	o.MaxMemory = 10
	if _, err := o.Open(t.Context(), bytes.NewReader(composed(t, p.composer(true, false, false), plain))); !errors.Is(err, smime.ErrTooLarge) {
		t.Error("too large:", err)
	}
}

// Unsigned content opens only where the caller says so, and malleable content only where
// the caller says that as well.
func TestUnsignedEncryption(t *testing.T) {
	p := newParty(t)
	for cipher, malleable := range map[string]bool{"aes256-cbc": true, "aes256-gcm": false} {
		c := p.composer(false, true, false)
		c.Cipher = cipher
		mail := composed(t, c, plain)
		o := p.opener()
		if r := refused(t, o, mail, cipher); r.Verdict != smime.Unsigned || r.Layers[0].Authenticated == malleable || !r.Layers[0].Decrypted {
			t.Errorf("%s: %+v", cipher, r)
		}
		o.AllowUnsigned = true
		if _, err := o.Open(t.Context(), bytes.NewReader(mail)); (err != nil) != malleable {
			t.Errorf("%s: AllowUnsigned gives %v", cipher, err)
		}
		o.AllowMalleable = true
		if _, err := o.Open(t.Context(), bytes.NewReader(mail)); err != nil {
			t.Error(err)
		}
	}
}

// No change of any single byte of a protected message makes it open to other content.
func TestEveryByteCounts(t *testing.T) {
	p := newParty(t)
	for name, c := range p.every() {
		switch name {
		case "signed", "signed/two signers", "signed>encrypted/aes256-cbc", "signed>encrypted/aes256-gcm", "signed>encrypted>signed":
		default:
			continue
		}
		mail := composed(t, c, plain)
		step := 1 + len(mail)/150
		for i := rand.IntN(step); i < len(mail); i += step {
			changed := bytes.Clone(mail)
			changed[i] ^= 1 << rand.IntN(8)
			m, err := p.opener().Open(t.Context(), bytes.NewReader(changed))
			if err != nil {
				continue
			}
			if got, _ := io.ReadAll(m.Entity()); string(got) != entity {
				t.Fatalf("%s: byte %d changed from %q to %q opens to %q", name, i, mail[i], changed[i], got)
			}
		}
	}
}

// No truncation of a protected message opens, but for the loss of trailing white space.
func TestTruncation(t *testing.T) {
	p := newParty(t)
	for _, name := range []string{"signed", "signed>encrypted/aes256-gcm", "signed>encrypted/aes256-cbc"} {
		mail := composed(t, p.every()[name], plain)
		for i := 0; i < len(mail)-4; i += 1 + len(mail)/300 {
			if m, err := p.opener().Open(t.Context(), bytes.NewReader(mail[:i])); err == nil {
				t.Fatalf("%s: cut at %d of %d opens: %+v", name, i, len(mail), m.Report())
			}
		}
	}
}

// All failures after a key was chosen are one: same verdict, codes, layers and error text.
func TestOneDecryptionFailure(t *testing.T) {
	p := newParty(t)
	for _, cipher := range []string{"aes256-cbc", "aes256-gcm", "aes128-cbc"} {
		c := p.composer(false, true, false)
		c.Cipher = cipher
		mail := composed(t, c, plain+strings.Repeat("A line of text to be encrypted.\r\n", 100))
		head, body, _ := bytes.Cut(mail, []byte("\r\n\r\n"))
		seen := map[string]int{}
		for i := range 200 {
			changed := bytes.Clone(body)
			at := len(body)/2 + rand.IntN(len(body)/2-8)
			if i%2 == 0 {
				at = len(body) - 8 - rand.IntN(24) // what holds the padding, or the tag
			}
			for changed[at] == '\r' || changed[at] == '\n' || changed[at] == '=' {
				at--
			}
			if changed[at] == 'A' {
				changed[at] = 'B'
			} else {
				changed[at] = 'A'
			}
			o := p.opener()
			o.AllowUnsigned = true
			_, err := o.Open(t.Context(), bytes.NewReader(append(append(bytes.Clone(head), "\r\n\r\n"...), changed...)))
			var u *smime.UnverifiedError
			if !errors.As(err, &u) {
				t.Fatal(err)
			}
			if u.Report.Verdict == smime.Unsigned {
				continue // what CBC lets through unnoticed; never released without AllowMalleable
			}
			seen[fmt.Sprintf("%s %s %v", u, kinds(u.Report), errors.Is(err, smime.ErrDecrypt))]++
		}
		for what := range seen {
			if !strings.Contains(what, "decrypt.failed)") || !strings.HasSuffix(what, "true") {
				t.Errorf("%s: %q", cipher, what)
			}
		}
		if len(seen) != 1 {
			t.Errorf("%s: failures differ: %v", cipher, seen)
		}
	}
}

// Messages with LF line ends verify in their canonical form and are released in it.
func TestLineEnds(t *testing.T) {
	p := newParty(t)
	mail := composed(t, p.composer(true, false, false), plain)
	lf := bytes.ReplaceAll(mail, []byte("\r\n"), []byte("\n"))
	m, err := p.opener().Open(t.Context(), bytes.NewReader(lf))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(m.Entity()); string(got) != entity {
		t.Errorf("released %q, which is not what was signed", got)
	}
	if !strings.Contains(strings.Join(m.Signatures()[0].Codes, " "), "mime.canonicalised") {
		t.Error("the changed line ends are not told")
	}
}

// A lying or missing micalg does not matter (RFC 8551, Section 3.5.3.2: it is a hint).
func TestMicalgIsAHint(t *testing.T) {
	p := newParty(t)
	c := p.composer(true, false, false)
	c.Digest = "sha512"
	mail := composed(t, c, plain)
	for _, value := range []string{"micalg=sha-256", "micalg=sha1", "micalg=nonsense", "x=y", "micalg=\"sha-384,md5\""} {
		changed := bytes.Replace(mail, []byte("micalg=sha-512"), []byte(value), 1)
		if bytes.Equal(changed, mail) {
			t.Fatal("no micalg to change")
		}
		for _, src := range []io.Reader{bytes.NewReader(changed), iotest.HalfReader(bytes.NewReader(changed))} {
			if _, err := p.opener().OpenTo(t.Context(), io.Discard, src); err != nil {
				t.Errorf("%s: %v", value, err)
			}
		}
	}
}

func TestReadErrorIsNotAVerdict(t *testing.T) {
	p := newParty(t)
	mail := composed(t, p.composer(true, true, true), plain)
	boom := errors.New("boom")
	src := io.MultiReader(bytes.NewReader(mail[:len(mail)/2]), iotest.ErrReader(boom))
	if _, err := p.opener().OpenTo(t.Context(), io.Discard, src); !errors.Is(err, boom) {
		t.Error(err)
	}
	if _, err := p.opener().Inspect(t.Context(), iotest.ErrReader(boom)); !errors.Is(err, boom) {
		t.Error(err)
	}
}
