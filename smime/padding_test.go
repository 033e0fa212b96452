package smime_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime"
)

// TestC22Padding (row C22): messages of every length have few lengths once they are
// encrypted, and open to what went in. The twin is the same without padding.
func TestC22Padding(t *testing.T) {
	p := newParty(t)
	for _, form := range []struct {
		name     string
		composer smime.Composer
	}{
		{"opaque", smime.Composer{Opaque: true}},
		{"clear", smime.Composer{}},
		{"compressed", smime.Composer{Compress: true, Opaque: true}},
		{"triple", smime.Composer{Triple: true, Opaque: true}},
	} {
		lengths := map[bool]map[int]bool{true: {}, false: {}}
		for n := 0; n < 12000; n += 197 {
			text := make([]byte, n)
			for i := range text {
				text[i] = "abcdefghijklmnopqrstuvwxyz\n"[(i*i+i/3)%27] // long lines are for other tests
			}
			message := "From: alice@example.com\r\nContent-Type: text/plain\r\n\r\n" + strings.ReplaceAll(string(text), "\n", "\r\n")
			for _, pad := range []bool{false, true} {
				c := form.composer
				c.Signers, c.Recipients = []*certstore.Identity{p.alice}, []*x509.Certificate{p.bob.Certificate()}
				c.Time, c.Pad, c.Cipher = p.clock(), pad, "aes256-gcm"
				mail := composed(t, &c, message)
				if form.name != "triple" { // whose signature differs in length
					_, body, _ := bytes.Cut(mail, []byte("\r\n\r\n"))
					der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(body), "\r\n", ""))
					if err != nil {
						t.Fatal(err)
					}
					lengths[pad][len(der)] = true
				}
				if n%1970 != 0 {
					continue
				}
				m, err := p.opener().Open(t.Context(), bytes.NewReader(mail))
				if err != nil {
					t.Fatalf("%s, %d, %t: %v", form.name, n, pad, err)
				}
				entity, _ := io.ReadAll(m.Entity())
				if contentOf(string(entity)) != contentOf(message) {
					t.Errorf("%s, %d, %t: %q", form.name, n, pad, entity)
				}
				if len(m.Report().Warnings) > 0 {
					t.Errorf("%s, %d, %t: %q", form.name, n, pad, m.Report().Warnings)
				}
			}
		}
		// 12,000 octets grow to 16,000 or 24,000 in base64: eight lengths for each doubling.
		if form.name != "triple" && (len(lengths[true]) > 20 || len(lengths[false]) < 25) {
			t.Errorf("%s: %d lengths with padding, %d without", form.name, len(lengths[true]), len(lengths[false]))
		}
	}
	for what, c := range map[string]*smime.Composer{
		"nobody to read":   {Signers: []*certstore.Identity{p.alice}, Pad: true, Time: p.clock()},
		"nobody to sign":   {Recipients: []*x509.Certificate{p.bob.Certificate()}, Pad: true, Time: p.clock()},
		"nobody at all":    {Pad: true},
		"only compression": {Signers: []*certstore.Identity{p.alice}, Compress: true, Pad: true, Time: p.clock()},
	} {
		if _, err := c.Compose(io.Discard, strings.NewReader(plain)); err == nil {
			t.Errorf("%s: padded", what)
		}
	}
}
