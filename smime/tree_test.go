package smime_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/mimeraw"
	"github.com/postseal/postseal/internal/peertest"
	"github.com/postseal/postseal/smime"
)

// A gardener grows MIME trees.
type gardener struct {
	*rand.Rand
	parts int
}

func (g *gardener) pick(list ...string) string { return list[g.IntN(len(list))] }

// tree returns an entity, CRLF line ends, 7-bit.
func (g *gardener) tree(depth int) string {
	g.parts++
	switch n := g.IntN(10); {
	case depth < 5 && n < 4 && g.parts < 40:
		boundary := g.pick("b", "=_x", "a b", "--", "'()+_,-./:=?") + fmt.Sprint(g.IntN(1000))
		var b strings.Builder
		fmt.Fprintf(&b, "Content-Type: multipart/%s; boundary=%q\r\n\r\n%s", g.pick("mixed", "alternative", "related", "report", "x-odd"), boundary, g.pick("", "preamble\r\n", "\r\n"))
		for range 1 + g.IntN(3) {
			b.WriteString("--" + boundary + "\r\n" + g.tree(depth+1) + "\r\n")
		}
		return b.String() + "--" + boundary + "--" + g.pick("", "\r\n", "\r\nepilogue\r\n")
	case depth < 5 && n == 4 && g.parts < 40:
		return "Content-Type: message/rfc822\r\n\r\nFrom: x@example.org\r\nSubject: inner\r\n" + g.tree(depth+1)
	case n == 5:
		octets := make([]byte, g.IntN(300))
		for i := range octets {
			octets[i] = byte(g.Uint32())
		}
		return "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + wrapped76(octets)
	case n == 6:
		var b strings.Builder
		w := quotedprintable.NewWriter(&b)
		io.WriteString(w, g.text()+"\xc3\xa9\r\n")
		w.Close()
		return "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + b.String()
	case n == 7:
		return "\r\n" + g.text()
	}
	return "Content-Type: " + g.pick("text/plain", "text/html; charset=us-ascii", "application/x-thing", "TEXT/Plain; x=\"a;b\"") + "\r\n\r\n" + g.text()
}

// text returns lines that mail systems like to change.
func (g *gardener) text() string {
	var b strings.Builder
	for range g.IntN(12) {
		b.WriteString(g.pick("", " ", "\t", "From now on", ".", "..", "-", "--", "-- ", "--b", "--=_x1", "trailing  ", "=", "=3D", "a"+strings.Repeat("x", g.IntN(900))) + "\r\n")
	}
	return b.String() + g.pick("", "end")
}

// message returns a header and a tree below it.
func (g *gardener) message() string {
	g.parts = 0
	return "From: Alice <alice@example.com>\r\nTo: bob@example.com\r\nSubject: " + g.pick("", "x", "=?utf-8?q?=C3=A9?=", "a\r\n folded\r\n\tline") + "\r\n" + g.tree(0)
}

// composer draws any mode with any options.
func (g *gardener) composer(p *party) (*smime.Composer, bool) {
	c := &smime.Composer{Time: p.clock()}
	if sign := g.IntN(4) > 0; sign {
		c.Signers = []*certstore.Identity{p.alice}
		if g.IntN(3) == 0 {
			c.Signers = append(c.Signers, p.aliceEC)
		}
	}
	if c.Signers == nil || g.IntN(2) == 0 {
		c.Recipients = []*x509.Certificate{p.bob.Certificate()}
		if g.IntN(3) == 0 {
			c.Recipients = append(c.Recipients, p.bobEC.Certificate())
		}
		c.Cipher = g.pick("", "auto", "aes128-cbc", "aes256-cbc", "aes128-gcm", "aes256-gcm", "chacha20-poly1305")
		c.KeyTransport = g.pick("", "pkcs1", "oaep")
		c.RecipientKeyID = g.IntN(2) == 0
		c.Triple = len(c.Signers) > 0 && g.IntN(3) == 0
		c.Pad = len(c.Signers) > 0 && g.IntN(3) == 0
	}
	c.Opaque, c.PSS, c.SignerKeyID = g.IntN(2) == 0, g.IntN(4) == 0, g.IntN(2) == 0
	c.Digest, c.Include = g.pick("", "sha256", "sha384", "sha512"), g.pick("", "leaf", "chain", "chain+root")
	c.Compress = g.IntN(4) == 0
	c.ProtectHeaders = g.pick("", "baseline", "shy", "no-confidentiality", "off")
	return c, len(c.Signers) > 0
}

// TestAnyTree composes generated MIME trees in any mode with any options and opens them
// again: out comes exactly what went in, whatever the trees hold (attack rows I03, I04).
func TestAnyTree(t *testing.T) {
	p := newParty(t)
	seed := rand.Uint64()
	g := &gardener{Rand: rand.New(rand.NewPCG(seed, 1))}
	rounds := 150
	if testing.Short() {
		rounds = 50
	}
	for n := range rounds {
		message := g.message()
		c, signed := g.composer(p)
		mail := composed(t, c, message)
		o := p.opener()
		o.AllowUnsigned, o.AllowMalleable = !signed, !signed
		src := io.Reader(bytes.NewReader(mail))
		if n%3 == 0 {
			src = iotest.HalfReader(src)
		}
		m, err := o.Open(t.Context(), src)
		if err != nil {
			t.Fatalf("seed %d, round %d: %+v: %v\n%s", seed, n, c, err, message)
		}
		entity, _ := io.ReadAll(m.Entity())
		if got, want := contentOf(string(entity)), contentOf(message); got != want {
			t.Fatalf("seed %d, round %d: %+v\ngot  %q\nwant %q", seed, n, c, got, want)
		}
		if h := m.OuterHeader(); h.Get("From") == "" || h.Len() > 20 {
			t.Fatalf("seed %d, round %d: outer header %v", seed, n, h)
		}
	}
}

// contentOf cuts a message down to what every mode must keep octet for octet: the fields
// that describe the content, without the parameter hp, and the body.
func contentOf(message string) string {
	header, body, _ := strings.Cut("\r\n"+message, "\r\n\r\n")
	var keep []string
	for _, field := range strings.Split(strings.ReplaceAll(header[min(2, len(header)):], "\r\n\t", "\x00\t"), "\r\n") {
		if strings.HasPrefix(strings.ToLower(field), "content-") {
			field = strings.NewReplacer(";\x00\thp=\"clear\"", "", ";\x00\thp=\"cipher\"", "").Replace(field)
			if !strings.HasPrefix(field, "Content-Type: text/plain; charset=us-ascii; hp=") {
				keep = append(keep, field)
			}
		}
	}
	return strings.Join(keep, "\r\n") + "\r\n\r\n" + body
}

// TestAnyTreeWithOpenSSL does the same with OpenSSL as the reader: every mode, several
// signers and recipients, triple wrapping and padding, with whatever options OpenSSL reads.
func TestAnyTreeWithOpenSSL(t *testing.T) {
	lab := peertest.New(t)
	openssl := lab.OpenSSL(t)
	identity := func(name string) *certstore.Identity {
		p := lab.PKI.ID(name)
		id, err := certstore.NewIdentity(p.Cert, p.Key)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	alice, bob := identity("alice"), identity("bob")
	seed := rand.Uint64()
	g := &gardener{Rand: rand.New(rand.NewPCG(seed, 2))}
	for n := range 28 {
		message := g.message()
		c := &smime.Composer{
			ProtectHeaders: g.pick("", "shy", "no-confidentiality", "off"), Digest: g.pick("", "sha256", "sha384", "sha512"),
			Include: g.pick("leaf", "chain", "chain+root"), SignerKeyID: g.IntN(2) == 0, RecipientKeyID: g.IntN(2) == 0,
			PSS: g.IntN(3) == 0, KeyTransport: g.pick("", "pkcs1", "oaep"),
			Cipher: g.pick("", "aes128-cbc", "aes192-cbc", "aes256-cbc", "aes128-gcm", "aes256-gcm"),
		}
		mode := n % 7
		if mode != 2 {
			c.Signers = []*certstore.Identity{alice}
			if g.IntN(3) == 0 {
				c.Signers = append(c.Signers, bob)
			}
		}
		if mode >= 2 {
			c.Recipients = []*x509.Certificate{bob.Certificate()}
			if g.IntN(3) == 0 {
				c.Recipients = append(c.Recipients, alice.Certificate())
			}
		}
		c.Opaque = mode == 1 || mode == 3 || mode == 5
		c.Triple, c.Pad = mode == 5 || mode == 6, mode >= 3 && g.IntN(2) == 0
		got := composed(t, c, message)
		var err error
		step := func(f func([]byte) ([]byte, error), does bool) {
			if does && err == nil {
				got, err = f(got)
			}
		}
		decrypt := func(mail []byte) ([]byte, error) { return openssl.DecryptMail(mail, "bob") }
		step(openssl.VerifyMail, c.Triple)
		step(decrypt, mode >= 2)
		step(openssl.VerifyMail, c.Signers != nil)
		if err != nil {
			t.Fatalf("seed %d, round %d: %+v: %v\n%s", seed, n, c, err, message)
		}
		if got, want := contentOf(string(mimeraw.Canonical(got))), contentOf(message); got != want {
			t.Fatalf("seed %d, round %d: %+v\ngot  %q\nwant %q", seed, n, c, got, want)
		}
	}
}
