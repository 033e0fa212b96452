package smime_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/internal/catalogue"
	"github.com/postseal/postseal/smime/smimetest"
)

// What relays do to text breaks a signature over text as it is, and none of ours: E12, I04.
func TestRelays(t *testing.T) {
	pki := smimetest.NewPKI(t)
	opener := &smime.Opener{Chain: pki.Verifier()}
	everything := ""
	for _, r := range catalogue.Relays() {
		everything += r.Hazard
	}
	head := "From: Alice <alice@good.example>\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	for _, opaqueForm := range []bool{false, true} {
		var ours bytes.Buffer
		c := &smime.Composer{Signers: []*certstore.Identity{pki.Alice()}, Opaque: opaqueForm, Time: pki.Time}
		if _, err := c.Compose(&ours, strings.NewReader(head+everything)); err != nil {
			t.Fatal(err)
		}
		for _, r := range catalogue.Relays() {
			if _, err := opener.Open(t.Context(), strings.NewReader(r.Message(ours.String()))); err != nil {
				t.Errorf("a relay that %s breaks our message: %v", r.Does, err)
			}
		}
		lf := bytes.ReplaceAll(ours.Bytes(), []byte("\r\n"), []byte("\n"))
		if _, err := opener.Open(t.Context(), bytes.NewReader(lf)); err != nil {
			t.Errorf("LF line ends break our message: %v", err)
		}
	}
	maker := newMaker(t, &openIdentities{alice: pki.Alice()})
	for _, r := range catalogue.Relays() {
		message := maker.Message("Content-Type: text/plain\r\n\r\n" + r.Hazard)
		if _, err := opener.Open(t.Context(), strings.NewReader(message)); err != nil {
			t.Errorf("before a relay that %s: %v", r.Does, err)
		}
		report, err := opener.Inspect(t.Context(), strings.NewReader(r.Message(message)))
		if err != nil || report.Verdict != smime.NotAuthentic {
			t.Errorf("a relay that %s goes unnoticed: %v, %v", r.Does, report.Verdict, err)
		}
	}
}

// Limits of headers and parts, one below and one beyond: E14.
func TestMIMELimits(t *testing.T) {
	pki := smimetest.NewPKI(t)
	opener := &smime.Opener{Chain: pki.Verifier()}
	maker := newMaker(t, &openIdentities{alice: pki.Alice()})
	message := maker.Message(filePart)
	fields := strings.Count(fileFields+fileSigned, "\r\n") - 1 // one is folded
	size := len(fileFields + fileSigned + "\r\n")
	deep := strings.Repeat("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n", 10000)
	for _, tt := range []struct {
		name, message string
		want          smime.Verdict
	}{
		{"most fields", strings.Repeat("X: y\r\n", limits.HeaderFields-fields) + message, smime.Authentic},
		{"a field more", strings.Repeat("X: y\r\n", limits.HeaderFields-fields+1) + message, smime.Unreadable},
		{"longest header", "X: " + strings.Repeat("y", limits.HeaderSize-size-5) + "\r\n" + message, smime.Authentic},
		{"an octet more", "X: " + strings.Repeat("y", limits.HeaderSize-size-4) + "\r\n" + message, smime.Unreadable},
		{"many parts behind the signature", strings.Replace(message, "--outer--", strings.Repeat("--outer\r\n\r\n", 100000)+"--outer--", 1), smime.NotAuthentic},
		{"parts within parts, signed", maker.Message(deep), smime.Authentic}, // nobody walks into them
		{"parts within parts", fileFields + deep, smime.Unsigned},
		{"a line of 100 MB", fileFields + "\r\n" + strings.Repeat("y", 100<<20), smime.Unsigned},
	} {
		report, err := opener.Inspect(t.Context(), io.MultiReader(strings.NewReader(tt.message)))
		if err != nil || report.Verdict != tt.want {
			t.Errorf("%s: %s %q, %v, want %s", tt.name, report.Verdict, report.Codes, err, tt.want)
		}
	}
}

// A message that no reader would accept is not composed (I01), and one that ends within
// its header loses nothing.
func TestComposeHeaders(t *testing.T) {
	pki := smimetest.NewPKI(t)
	c := &smime.Composer{Signers: []*certstore.Identity{pki.Alice()}, Time: pki.Time}
	const head = "From: Alice <alice@good.example>\r\n"
	for _, line := range []string{
		"From: Eve <eve@evil.example>", "from : eve@evil.example", "Subject: a\x00", "Subject: a\rBcc: eve@evil.example",
		"Subject: a\x1b[2J", "Subject: a\r\n \r\n b", "no field", "Content-Type: text/plain\r\nContent-Type: text/html",
	} {
		var b bytes.Buffer
		if _, err := c.Compose(&b, strings.NewReader(head+line+"\r\n\r\nhello\r\n")); err == nil || b.Len() > 0 {
			t.Errorf("%q: %d octets, %v", line, b.Len(), err)
		}
	}
	opener := &smime.Opener{Chain: pki.Verifier()}
	for _, message := range []string{head + "\r\nhello\r\n", head + "\r\n", head, strings.TrimSpace(head), "From a@b Mon Jun  1 12:00:00 2026\n" + head + "\nhello\n"} {
		var b bytes.Buffer
		if _, err := c.Compose(&b, strings.NewReader(message)); err != nil {
			t.Errorf("%q: %v", message, err)
		}
		if m, err := opener.Open(t.Context(), &b); err != nil || m.Report().From != "alice@good.example" {
			t.Errorf("%q: %v", message, err)
		}
	}
}
