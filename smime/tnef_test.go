package smime_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/internal/catalogue"
)

func wrapped76(data []byte) string {
	var b strings.Builder
	text := base64.StdEncoding.EncodeToString(data)
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	return b.String() + text + "\r\n"
}

// TestWinmail opens S/MIME messages that Exchange put into winmail.dat for Outlook.
func TestWinmail(t *testing.T) {
	p := newParty(t)
	for _, c := range []struct {
		what  string
		c     *smime.Composer
		kinds string
	}{
		{"opaque", p.composer(true, false, true), "signed"},
		{"clear-signed", p.composer(true, false, false), "signed"},
		{"sealed", p.composer(true, true, true), "signed>encrypted"},
	} {
		mail := composed(t, c.c, plain)
		header, body, _ := strings.Cut(string(mail), "\r\n\r\n")
		object := []byte(nil)
		if c.what == "clear-signed" {
			i := strings.Index(header, "Content-Type:")
			object = []byte(header[i:] + "\r\n\r\n" + body)
		} else {
			object, _ = base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\r\n", ""))
		}
		outer := "From: alice@example.com\r\nSubject: The offer\r\nMIME-Version: 1.0\r\n"
		for _, label := range []string{"application/ms-tnef; name=winmail.dat", "application/octet-stream; name=\"WINMAIL.DAT\"", "Application/VND.MS-TNEF"} {
			entity := outer + "Content-Type: " + label + "\r\nContent-Transfer-Encoding: base64\r\n\r\n"
			m, err := p.opener().Open(t.Context(), strings.NewReader(entity+wrapped76(catalogue.Winmail(object, ""))))
			if err != nil {
				t.Errorf("%s as %s: %v", c.what, label, err)
				continue
			}
			content, _ := io.ReadAll(m.Entity())
			if got := kinds(m.Report()); got != c.kinds || string(content) != entityOf(plain) || !slices.Contains(m.Report().Warnings, "mime.tnef") {
				t.Errorf("%s: layers %s, content %q, warnings %v", c.what, got, content, m.Report().Warnings)
			}
			r := refused(t, p.opener(), []byte(entity+wrapped76(catalogue.Winmail(object, "unsigned text beside"))), "a second attachment")
			// Every failure around a decryption is the same one.
			if !slices.Contains(r.Codes, "tnef.malformed") && (c.kinds == "signed" || !slices.Contains(r.Codes, "decrypt.failed")) {
				t.Errorf("%s with another attachment: %v", c.what, r.Codes)
			}
			damaged := catalogue.Winmail(object, "")
			damaged[len(damaged)/2] ^= 1
			refused(t, p.opener(), []byte(entity+wrapped76(damaged)), "a wrong checksum")
		}
	}
}

// TestWinmailContent: a winmail.dat without S/MIME inside is content as any other.
func TestWinmailContent(t *testing.T) {
	p := newParty(t)
	for what, data := range map[string][]byte{
		"a document":    catalogue.Winmail([]byte("hello world"), ""),
		"several files": catalogue.Winmail([]byte("hello"), "world"),
		"no TNEF":       []byte("this is something else"),
		"empty":         {},
		"large":         catalogue.Winmail(bytes.Repeat([]byte("hello world "), 300_000), ""),
		"plain entity":  catalogue.Winmail([]byte("Content-Type: text/plain\r\n\r\nhi"), ""),
		"large start":   append([]byte("\x78\x9f\x3e\x22\x01\x00\x01\x0c\x80\x02\x00\x00\x00\x00\x20"), make([]byte, 3<<20)...),
	} {
		entity := "Content-Type: application/ms-tnef\r\nContent-Transfer-Encoding: base64\r\n\r\n" + wrapped76(data)
		o := p.opener()
		o.AllowUnsigned = true
		m, err := o.Open(t.Context(), strings.NewReader("From: alice@example.com\r\n"+entity))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		content, _ := io.ReadAll(m.Entity())
		if string(content) != "From: alice@example.com\r\n"+entity || m.Report().Verdict != smime.Unsigned {
			t.Errorf("%s: %d octets came out as %d, %s", what, len(entity), len(content), m.Report().Verdict)
		}
	}
}

// entityOf returns what is protected of a message without header protection.
func entityOf(message string) string { return message[strings.Index(message, "Content-Type:"):] }
