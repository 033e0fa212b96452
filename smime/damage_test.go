package smime_test

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/sigalg"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/internal/catalogue"
)

// detachedAt signs a part at a time.
func detachedAt(t *testing.T, id *certstore.Identity, part string, at time.Time) []byte {
	t.Helper()
	d := cms.NewDigests(sigalg.SHA256)
	d.Write([]byte(part))
	der, err := cms.SignDetached(d, []*cms.Signer{{Certificate: id.Certificate(), Key: id.Key(), Digest: sigalg.SHA256, Time: at}},
		append([]*x509.Certificate{id.Certificate()}, id.Intermediates()...))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestDamage: where it can be shown what a mail system did to a signed part, the report
// says so. The signature stays broken (attack row E12).
func TestDamage(t *testing.T) {
	p := newParty(t)
	const text = "Dear Bob,\r\n>From now on\r\n>>From then on\r\n..dots\r\n\r\nbye\r\n"
	part := "Content-Type: text/plain\r\n\r\n" + text
	// What was signed, and what arrived.
	signed := func(part string) (head, tail string) {
		id := p.alice
		sig := fileSigHeader + catalogue.Base64Lines(detachedAt(t, id, part, p.now))
		return "From: alice@example.com\r\n" + fileSigned + "\r\n--outer\r\n", "\r\n--outer\r\n" + sig + "--outer--\r\n"
	}
	for _, c := range []struct{ what, sent, arrived, code string }{
		{"From quoted", strings.ReplaceAll(part, ">From", "From"), part, "relay.from_quoted"},
		{"dots doubled", strings.Replace(part, "..", ".", 1), part, "relay.dots_doubled"},
		{"a line end added", part, part + "\r\n", "relay.blank_lines"},
		{"many line ends added", part, part + "\r\n\r\n\r\n", "relay.blank_lines"},
		{"the line end lost", part, part[:len(part)-2], "relay.blank_lines"},
		{"a footer", part, part + "-- \r\nThis mail is confidential.\r\n", "relay.text_added"},
		{"a footer behind text without line end", part[:len(part)-2], part + "confidential\r\n", "relay.text_added"},
		{"another word", part, strings.Replace(part, "bye", "buy", 1), ""},
		{"a line end inside", part, strings.Replace(part, "dots", "do\r\nts", 1), ""},
	} {
		head, tail := signed(c.sent)
		if r, err := p.opener().Inspect(t.Context(), strings.NewReader(head+c.sent+tail)); err != nil || r.Verdict != smime.Authentic {
			t.Fatalf("%s: the twin: %+v, %v", c.what, r, err)
		}
		mail := head + c.arrived + tail
		r, err := p.opener().Inspect(t.Context(), strings.NewReader(mail))
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, code := range r.Codes {
			if strings.HasPrefix(code, "relay.") {
				told = append(told, code)
			}
		}
		if r.Verdict != smime.NotAuthentic || !slices.Contains(r.Codes, "digest.mismatch") || strings.Join(told, " ") != c.code {
			t.Errorf("%s: %s %q, want %s", c.what, r.Verdict, r.Codes, c.code)
		}
		if (c.code != "") != strings.Contains(r.Summary, "mail system") {
			t.Errorf("%s: %s", c.what, r.Summary)
		}
		// What cannot be read twice is not explained, and no more believed.
		r, err = p.opener().Inspect(t.Context(), iotest.OneByteReader(strings.NewReader(mail)))
		if err != nil || r.Verdict != smime.NotAuthentic {
			t.Errorf("%s: from a pipe: %+v, %v", c.what, r, err)
		}
		refused(t, p.opener(), []byte(mail), c.what)
	}
	// A footer that repeats what was signed explains nothing, and a forged signature neither.
	head, tail := signed(part)
	forged := strings.Replace(head+part+"footer\r\n"+tail, "MII", "MIJ", 1)
	if r, err := p.opener().Inspect(t.Context(), strings.NewReader(forged)); err != nil || r.Verdict == smime.Authentic || slices.Contains(r.Codes, "relay.text_added") {
		t.Errorf("forged: %+v, %v", r, err)
	}
	long := part + strings.Repeat("x", 200_000) + "\r\n" + string(bytes.Repeat([]byte("line\r\n"), 200_000))
	head, tail = signed(long)
	if r, err := p.opener().Inspect(t.Context(), strings.NewReader(head+long+"\r\n\r\n"+tail)); err != nil || !slices.Contains(r.Codes, "relay.blank_lines") {
		t.Errorf("a long part: %q, %v", r.Codes, err)
	}
	// Looking for an explanation is as bounded as everything else, and more so than a footer is long.
	short := strings.Repeat("line\r\n", 60_000)
	head, tail = signed(part)
	for what, c := range map[string]struct{ arrived, code string }{
		"text before": {short + part, "digest.mismatch"}, "a long footer": {part + short, "relay.text_added"},
	} {
		bounded(t, what, func() {
			if r, err := p.opener().Inspect(t.Context(), strings.NewReader(head+c.arrived+tail)); err != nil || !slices.Contains(r.Codes, c.code) {
				t.Errorf("%s: %+v, %v", what, r, err)
			}
		})
	}
}
