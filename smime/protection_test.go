package smime_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message/mail"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/corpus"
	"github.com/postseal/postseal/smime"
)

// protected is composer with protected headers.
func (p *party) protected(sign, encrypt, opaque bool, policy string) *smime.Composer {
	c := p.composer(sign, encrypt, opaque)
	c.ProtectHeaders = policy
	return c
}

const confidential = "Received: from mx.example.com by mail.example.com; Wed, 01 Jul 2026 00:00:01 +0000\r\n" +
	"From: Alice Liddell <alice@example.com>\r\n" +
	"To: Bob <bob@example.com>\r\n" +
	"Subject: =?utf-8?q?The_h=C3=B6use?= by\r\n the lake\r\n" +
	"Keywords: money\r\n" +
	"Date: Wed, 01 Jul 2026 02:00:00 +0200\r\n" +
	"Message-ID: <1@example.com>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"\r\n" +
	"Dear Bob,\r\n\r\nthe offer stands.\r\n"

// TestProtectedHeaders composes every kind of message with its header protected, as is the
// default, and reads it back (RFC 9788; attack row F07).
func TestProtectedHeaders(t *testing.T) {
	p := newParty(t)
	for _, c := range []struct {
		name          string
		sign, encrypt bool
		change        func(*smime.Composer)
		mode          string
		outside       string // what the subject is to everybody
		state         string // of the subject
		to            string // of To
	}{
		{"signed", true, false, nil, "clear", "=?utf-8?q?The_h=C3=B6use?= by the lake", "signed-only", "signed-only"},
		{"opaque", true, false, func(c *smime.Composer) { c.Opaque = true }, "clear", "=?utf-8?q?The_h=C3=B6use?= by the lake", "signed-only", "signed-only"},
		{"sealed", true, true, nil, "cipher", "[...]", "signed-and-encrypted", "signed-only"},
		{"triple", true, true, func(c *smime.Composer) { c.Triple = true }, "cipher", "[...]", "signed-and-encrypted", "signed-only"},
		{"shy", true, true, func(c *smime.Composer) { c.ProtectHeaders = "shy" }, "cipher", "[...]", "signed-and-encrypted", "signed-and-encrypted"},
		{"nothing hidden", true, true, func(c *smime.Composer) { c.ProtectHeaders = "no-confidentiality" }, "cipher", "=?utf-8?q?The_h=C3=B6use?= by the lake", "signed-only", "signed-only"},
		{"encrypted", false, true, func(c *smime.Composer) { c.Cipher = "aes256-gcm" }, "cipher", "[...]", "encrypted-only", "unprotected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			composer := p.protected(c.sign, c.encrypt, false, "")
			if c.change != nil {
				c.change(composer)
			}
			sent := composed(t, composer, confidential)
			o := p.opener()
			o.AllowUnsigned = !c.sign
			m, err := o.Open(t.Context(), bytes.NewReader(sent))
			if err != nil {
				t.Fatalf("%v\n%s", err, sent)
			}
			outer, h, r := m.OuterHeader(), m.Header(), m.Report()
			if got := outer.Get("Subject"); got != c.outside {
				t.Errorf("everybody reads the subject %q, want %q", got, c.outside)
			}
			if got, _ := h.Subject(); got != "The höuse by the lake" {
				t.Errorf("protected subject %q", got)
			}
			if r.Subject != "The höuse by the lake" || r.HeaderProtection != c.mode || r.From != "alice@example.com" {
				t.Errorf("report: subject %q, protection %q, from %q", r.Subject, r.HeaderProtection, r.From)
			}
			if got := r.Protection("Subject", "=?utf-8?q?The_h=C3=B6use?= by the lake"); got != c.state {
				t.Errorf("subject is %s, want %s", got, c.state)
			}
			if got := r.Protection("to", "Bob <bob@example.com>"); got != c.to {
				t.Errorf("To is %s, want %s", got, c.to)
			}
			if got := r.Protection("Received", outer.Get("Received")); got != "unprotected" {
				t.Errorf("Received is %s", got)
			}
			for _, n := range r.Notes {
				if n.Severity != "info" || n.Code != "header.obscured" && n.Code != "header.hidden" {
					t.Errorf("note %+v", n)
				}
			}
			if c.encrypt && c.name != "nothing hidden" && bytes.Contains(sent, []byte("lake")) {
				t.Error("the subject is readable")
			}
			if body, _ := io.ReadAll(m.Body()); string(body) != "Dear Bob,\r\n\r\nthe offer stands.\r\n" {
				t.Errorf("body %q", body)
			}
		})
	}
}

// signExactly signs an entity octet for octet, whatever fields it has, and encrypts it if
// asked. outer is the header of the message.
func (p *party) signExactly(t *testing.T, outer, entity string, by *certstore.Identity, encrypt bool) []byte {
	t.Helper()
	var signed, sealed bytes.Buffer
	w, err := cms.NewSignedWriter(&signed, []*cms.Signer{{Certificate: by.Certificate(), Key: by.Key(), Time: p.now}},
		append([]*x509.Certificate{by.Certificate()}, by.Intermediates()...))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, entity)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	part := "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString(signed.Bytes()) + "\r\n"
	if !encrypt {
		return []byte(outer + "MIME-Version: 1.0\r\n" + part)
	}
	c := p.composer(false, true, false)
	if _, err := c.Compose(&sealed, strings.NewReader(outer+part)); err != nil {
		t.Fatal(err)
	}
	return sealed.Bytes()
}

// TestInnerFrom: a From inside the protection counts where RFC 9788 protects the header,
// and nowhere else (RFC 9788, Section 4.4; attack rows F07, F09).
func TestInnerFrom(t *testing.T) {
	p := newParty(t)
	const alice, carol = "From: alice@example.com\r\n", "From: carol@example.com\r\n"
	for _, c := range []struct {
		what          string
		outer, inside string
		params        string
		by            *certstore.Identity
		verdict       smime.Verdict
		from, code    string
	}{
		{"none inside", alice, "", "", p.alice, smime.Authentic, "alice@example.com", ""},
		{"none inside, another outside", carol, "", "", p.alice, smime.NotAuthentic, "carol@example.com", "address.mismatch"},
		{"no header protection", carol, alice, "", p.alice, smime.NotAuthentic, "carol@example.com", "address.mismatch"},
		{"no header protection, same outside", alice, carol, "", p.alice, smime.Authentic, "alice@example.com", ""},
		{"a parameter of no meaning", carol, alice, "; hp=yes", p.alice, smime.NotAuthentic, "carol@example.com", "address.mismatch"},
		{"the form before RFC 9788", carol, alice, "; protected-headers=v1", p.alice, smime.NotAuthentic, "carol@example.com", "address.mismatch"},
		{"header protection", carol, alice, "; hp=clear", p.alice, smime.Authentic, "alice@example.com", ""},
		{"header protection without From", alice, "Subject: x\r\n", "; hp=clear", p.alice, smime.Authentic, "alice@example.com", ""},
		{"another author inside", carol, alice, "; hp=clear", p.carol, smime.NotAuthentic, "carol@example.com", "address.mismatch"},
		{"two authors inside", alice, alice + carol, "; hp=clear", p.alice, smime.NotAuthentic, "alice@example.com", "from.several"},
		{"twice the same inside", alice, alice + alice, "; hp=clear", p.alice, smime.NotAuthentic, "alice@example.com", "from.several"},
		{"a group inside", alice, "From: x: alice@example.com;\r\n", "; hp=clear", p.alice, smime.NotAuthentic, "x: alice@example.com;", "from.malformed"},
	} {
		for _, encrypt := range []bool{false, true} {
			mail := p.signExactly(t, c.outer+"Subject: outer\r\n", c.inside+"Content-Type: text/plain"+c.params+"\r\n\r\nhi\r\n", c.by, encrypt)
			r, err := p.opener().Inspect(t.Context(), bytes.NewReader(mail))
			if err != nil || r.Verdict != c.verdict || r.From != c.from || c.code != "" && !slices.Contains(r.Codes, c.code) {
				t.Errorf("%s: %+v, %v", c.what, r, err)
			}
		}
	}
	// The inner header is made by protecting another message and changing what is outside.
	sealed := composed(t, p.protected(true, false, true, ""), "From: alice@example.com\r\nSubject: inner\r\n\r\nhi\r\n")
	changed := bytes.Replace(sealed, []byte("From: alice@example.com"), []byte("From: mallory@evil.example"), 1)
	m, err := p.opener().Open(t.Context(), bytes.NewReader(changed))
	if err != nil {
		t.Fatal(err)
	}
	r := m.Report()
	if r.From != "alice@example.com" || !slices.Contains(r.Warnings, "from.outer_differs") || len(r.Notes) != 1 || r.Notes[0].Code != "header.changed" || r.Notes[0].Severity != "warning" {
		t.Errorf("signed by the inner author: %+v", r)
	}
	// Carol signs a message whose protected author is Alice.
	byCarol := p.protected(true, false, true, "")
	byCarol.Signers = []*certstore.Identity{p.carol}
	forged := composed(t, byCarol, "From: alice@example.com\r\nSubject: inner\r\n\r\nhi\r\n")
	forged = bytes.Replace(forged, []byte("From: alice@example.com"), []byte("From: carol@example.com"), 1)
	r = refused(t, p.opener(), forged, "another author inside")
	if r.Layers[0].Signatures[0].Address != "mismatch" || r.From != "carol@example.com" || !slices.Contains(r.Warnings, "from.outer_differs") {
		t.Errorf("signed by somebody else: %+v", r)
	}
	// Encrypted, not signed: the From outside is shown, because nobody vouches for the other.
	c := p.protected(false, true, false, "")
	c.Cipher = "aes256-gcm"
	loose := bytes.Replace(composed(t, c, "From: alice@example.com\r\nSubject: inner\r\n\r\nhi\r\n"), []byte("From: alice@"), []byte("From: mallory@"), 1)
	o := p.opener()
	o.AllowUnsigned = true
	if m, err = o.Open(t.Context(), bytes.NewReader(loose)); err != nil {
		t.Fatal(err)
	}
	if r = m.Report(); r.From != "mallory@example.com" || r.Subject != "inner" || !slices.Contains(r.Warnings, "from.outer_differs") {
		t.Errorf("encrypted only: %+v", r)
	}
}

// TestHeaderProtectionNeedsProtection: the parameter means nothing in a message that is
// neither signed nor encrypted, and nothing below the root of what is protected.
func TestHeaderProtectionNeedsProtection(t *testing.T) {
	p := newParty(t)
	r, err := p.opener().Inspect(t.Context(), strings.NewReader("From: alice@example.com\r\nSubject: x\r\nContent-Type: text/plain; hp=cipher\r\n\r\nhi\r\n"))
	if err != nil || r.HeaderProtection != "" || r.Verdict != smime.Unsigned {
		t.Errorf("plain: %+v, %v", r, err)
	}
	inner := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nFrom: carol@example.com\r\nSubject: x\r\nContent-Type: text/plain; hp=\"clear\"\r\n\r\nhi\r\n--b--\r\n"
	r, err = p.opener().Inspect(t.Context(), bytes.NewReader(p.signExactly(t, "From: alice@example.com\r\nSubject: y\r\n", inner, p.alice, true)))
	if err != nil || r.HeaderProtection != "" || r.Verdict != smime.Authentic || r.Subject != "y" {
		t.Errorf("below the root: %+v, %v", r, err)
	}
	// hp="cipher" in a message that nobody encrypted makes nothing confidential.
	lie := "Subject: z\r\nFrom: alice@example.com\r\nContent-Type: text/plain; hp=\"cipher\"\r\n\r\nhi\r\n"
	mail := p.signExactly(t, "From: alice@example.com\r\nSubject: [...]\r\n", lie, p.alice, false)
	r, err = p.opener().Inspect(t.Context(), bytes.NewReader(mail))
	if err != nil || r.Verdict != smime.Authentic || r.Protection("Subject", "z") != "signed-only" {
		t.Errorf("no encryption: %+v, %v: %s", r, err, r.Protection("Subject", "z"))
	}
}

// TestWrappedHeaders reads the form of RFC 8551, Section 3.1 (attack row F09), and tells it
// from a forwarded message (attack row E06).
func TestWrappedHeaders(t *testing.T) {
	p := newParty(t)
	wrapped := "Content-Type: message/rfc822\r\n\r\nFrom: Alice <alice@example.com>\r\nTo: bob@example.com\r\nSubject: inside\r\nContent-Type: text/plain\r\n\r\nhi\r\n"
	const outer = "From: alice@example.com\r\nSubject: [...]\r\n"
	m, err := p.opener().Open(t.Context(), bytes.NewReader(p.signExactly(t, outer, wrapped, p.alice, true)))
	if err != nil {
		t.Fatal(err)
	}
	h, r := m.Header(), m.Report()
	subject, _ := h.Subject()
	body, _ := io.ReadAll(m.Body())
	whole, _ := io.ReadAll(m.Entity())
	if r.HeaderProtection != "wrapped" || subject != "inside" || r.Subject != "inside" || string(body) != "hi\r\n" || string(whole) != wrapped {
		t.Errorf("%+v, subject %q, body %q", r, subject, body)
	}
	for what, entity := range map[string]string{
		"forwarded from another":     strings.Replace(wrapped, "Alice <alice@", "Carol <carol@", 1),
		"a protected message inside": strings.Replace(wrapped, "text/plain", "application/pkcs7-mime", 1),
		"a header protected itself":  strings.Replace(wrapped, "text/plain", "text/plain; hp=clear", 1),
	} {
		r, err := p.opener().Inspect(t.Context(), bytes.NewReader(p.signExactly(t, outer, entity, p.alice, false)))
		if err != nil || r.HeaderProtection != "" || r.Subject != "[...]" || r.Verdict != smime.Authentic {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
}

// TestReplyKeepsSecrets: the answer to a message hides what the message hid, although the
// composer itself hides nothing (RFC 9788, Section 6.1; attack row F08).
func TestReplyKeepsSecrets(t *testing.T) {
	p := newParty(t)
	m, err := p.opener().Open(t.Context(), bytes.NewReader(composed(t, p.protected(true, true, true, "shy"), confidential)))
	if err != nil {
		t.Fatal(err)
	}
	reply := p.protected(true, true, true, "no-confidentiality")
	reply.Signers, reply.Recipients = []*certstore.Identity{p.bob}, []*x509.Certificate{p.alice.Certificate()}
	reply.Response = m.Response(nil)
	sent := composed(t, reply, "From: bob@example.com\r\nTo: Alice Liddell <alice@example.com>\r\nSubject: Re: =?utf-8?q?The_h=C3=B6use?= by the lake\r\nIn-Reply-To: <1@example.com>\r\n\r\nok\r\n")
	outside, _, _ := strings.Cut(string(sent), "\r\n\r\n")
	if strings.Contains(outside, "lake") || strings.Contains(outside, "Liddell") || !strings.Contains(outside, "Subject: Re: [...]\r\n") || !strings.Contains(outside, "To: alice@example.com\r\n") {
		t.Errorf("everybody reads:\n%s", outside)
	}
	forward := m.Response(func(h mail.Header) mail.Header {
		var draft mail.Header
		draft.Set("Subject", "Fwd: "+h.Get("Subject"))
		return draft
	})
	if shown, keep := forward("Subject", "Fwd: =?utf-8?q?The_h=C3=B6use?= by the lake"); shown != "Fwd: [...]" || !keep {
		t.Errorf("forwarded with the subject %q", shown)
	}
}

// TestLegacyDisplay: readers that do not know RFC 9788 find the subject in the text, and
// those that do leave it out again.
func TestLegacyDisplay(t *testing.T) {
	p := newParty(t)
	const head = "From: alice@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nKeywords: a\r\n"
	const element = "Subject: Grüße\r\nKeywords: a\r\n\r\n"
	for _, c := range []struct{ what, in, want string }{
		{"plain", "Content-Type: text/plain; charset=utf-8\r\n\r\nHällo\r\n", "text/plain|" + element + "Hällo\r\n"},
		{"base64", "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nSMOkbGxvCg==\r\n", "text/plain|" + element + "Hällo\r\n"},
		{"another charset", "Content-Type: text/plain; charset=us-ascii\r\n\r\nHello\r\n", "text/plain|Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nKeywords: a\r\n\r\nHello\r\n"},
		{"an attachment", "Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nHello\r\n", "text/plain|Hello\r\n"},
		{"an image", "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n", "image/png|\x00\x00\x00"},
		{"no type", "\r\nHello\r\n", "text/plain|Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nKeywords: a\r\n\r\nHello\r\n"},
		{"a tree", "Content-Type: multipart/mixed; boundary=o\r\n\r\npreamble\r\n--o\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n" +
			"--i\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\nHello\r\n--i\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<body>Hi</body>\r\n--i--\r\nepilogue\r\n" +
			"--o\r\nContent-Type: text/plain\r\n\r\nnot the main part\r\n--o--\r\n",
			"text/plain|" + element + "Hello;text/html|<body><div class=\"header-protection-legacy-display\"><pre>Subject: Grüße\r\nKeywords: a</pre></div>\r\nHi</body>;text/plain|not the main part"},
	} {
		t.Run(c.what, func(t *testing.T) {
			composer := p.protected(true, true, true, "")
			composer.LegacyDisplay = true
			m, err := p.opener().Open(t.Context(), bytes.NewReader(composed(t, composer, head+c.in)))
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := io.ReadAll(m.Entity())
			reader, err := mail.CreateReader(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			var got, without []string
			for {
				part, err := reader.NextPart()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				text, _ := io.ReadAll(part.Body)
				var contentType string
				switch h := part.Header.(type) {
				case *mail.InlineHeader:
					contentType = h.Get("Content-Type")
				case *mail.AttachmentHeader:
					contentType = h.Get("Content-Type")
				}
				kind, _, _ := strings.Cut(contentType, ";")
				got = append(got, kind+"|"+string(text))
				without = append(without, string(m.WithoutLegacyDisplay(contentType, text)))
			}
			if s := strings.Join(got, ";"); s != c.want {
				t.Errorf("others read %q, want %q\n%s", s, c.want, raw)
			}
			if s := strings.Join(without, ""); strings.Contains(s, "Keywords") {
				t.Errorf("shown again: %q", s)
			}
		})
	}
}

// TestReplyTo: where an answer goes is remarked unless the author goes there or signed it
// (attack row F03).
func TestReplyTo(t *testing.T) {
	p := newParty(t)
	const mail = "From: Alice <alice@example.com>\r\nReply-To: %s\r\nSubject: s\r\n\r\nhi\r\n"
	const eve = "eve@evil.example"
	for _, c := range []struct {
		what, to string
		protect  bool
		change   func(string) string
		told     bool
	}{
		{"the author", "A <ALICE@Example.com>", false, nil, false},
		{"nobody", " ", false, nil, false},
		{"somebody else", eve, false, nil, true},
		{"both", "alice@example.com, " + eve, false, nil, true},
		{"nobody who can be told", "eve@", false, nil, true},
		{"signed", eve, true, nil, false},
		{"changed", "alice@example.com", true, func(s string) string { return strings.Replace(s, "Reply-To: alice@example.com", "Reply-To: "+eve, 1) }, true},
		{"added", "", true, func(s string) string { return "Reply-To: " + eve + "\r\n" + s }, true},
	} {
		composer := p.protected(true, false, false, "")
		if !c.protect {
			composer.ProtectHeaders = "off"
		}
		text := fmt.Sprintf(mail, c.to)
		if c.to == "" {
			text = strings.Replace(text, "Reply-To: \r\n", "", 1)
		}
		text = string(composed(t, composer, text))
		if c.change != nil {
			text = c.change(text)
		}
		r, err := p.opener().Inspect(t.Context(), strings.NewReader(text))
		if err != nil || r.Verdict != smime.Authentic || slices.Contains(r.Warnings, "from.reply_to_differs") != c.told {
			t.Errorf("%s: %+v, %v", c.what, r, err)
		}
	}
}

// TestProtectSigned: what somebody signed is not changed when it is encrypted, and keeps its
// subject, which can then stand in no better place than around the signature.
func TestProtectSigned(t *testing.T) {
	p := newParty(t)
	for _, inner := range []*smime.Composer{
		p.protected(true, false, false, "off"), p.protected(true, false, true, "off"),
		p.protected(true, false, false, ""), p.protected(true, false, true, ""),
	} {
		signed := composed(t, inner, plain)
		for _, policy := range []string{"baseline", "shy", "no-confidentiality", "off"} {
			for _, legacy := range []bool{false, true} {
				c := p.protected(false, true, false, policy)
				c.LegacyDisplay = legacy
				mail := composed(t, c, string(signed))
				m, err := p.opener().Open(t.Context(), bytes.NewReader(mail))
				name := fmt.Sprintf("opaque %v, %q, then %q, legacy display %v", inner.Opaque, inner.ProtectHeaders, policy, legacy)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if r := m.Report(); r.Subject != "The offer" {
					t.Errorf("%s: the subject is %q", name, r.Subject)
				}
				if state := m.Report().Protection("Subject", "The offer"); inner.ProtectHeaders == "off" && state != "unprotected" {
					t.Errorf("%s: the subject is %s", name, state)
				}
				// Whoever cannot decrypt learns nothing of it.
				o := p.opener()
				o.Keys = nil
				r, err := o.Inspect(t.Context(), bytes.NewReader(mail))
				if hidden := policy == "baseline" || policy == "shy"; err != nil || hidden && r.Subject != "[...]" {
					t.Errorf("%s: %v, the subject outside is %q", name, err, r.Subject)
				}
			}
		}
	}
}

// TestUnprotectedAgain: what was opened and is composed without protection of the header
// does not say that there is any.
func TestUnprotectedAgain(t *testing.T) {
	p := newParty(t)
	m, err := p.opener().Open(t.Context(), bytes.NewReader(composed(t, p.protected(true, true, true, ""), plain)))
	if err != nil {
		t.Fatal(err)
	}
	opened, _ := io.ReadAll(m.Entity())
	for _, c := range []*smime.Composer{p.protected(true, false, false, "off"), p.protected(true, true, true, "off")} {
		mail := composed(t, c, string(opened))
		m, err := p.opener().Open(t.Context(), bytes.NewReader(mail))
		if err != nil {
			t.Fatal(err)
		}
		r := m.Report()
		if r.HeaderProtection != "" || len(r.Notes) > 0 || r.Subject != "The offer" || bytes.Contains(mail, []byte("HP-Outer")) {
			t.Errorf("protection %q, subject %q, %+v", r.HeaderProtection, r.Subject, r.Notes)
		}
	}
	if m.Report().HeaderProtection != "cipher" {
		t.Error("the twin is not protected")
	}
}

// TestLegacyDisplayCharset: text in which letters are no octets of ASCII has none put above it.
func TestLegacyDisplayCharset(t *testing.T) {
	p := newParty(t)
	composer := p.protected(true, true, true, "")
	composer.LegacyDisplay = true
	for charset, marked := range map[string]bool{"utf-8": true, "iso-2022-jp": true, "UTF-16LE": false, "utf-16": false, "utf-32": false} {
		const text = "RwByAPwA3wBlAA==\r\n"
		m, err := p.opener().Open(t.Context(), bytes.NewReader(composed(t, composer, "From: alice@example.com\r\nSubject: s\r\n"+
			"Content-Type: text/plain; charset="+charset+"\r\nContent-Transfer-Encoding: base64\r\n\r\n"+text)))
		if err != nil {
			t.Fatal(err)
		}
		h := m.Header()
		body, _ := io.ReadAll(m.Body())
		if got := strings.Contains(h.Get("Content-Type"), "hp-legacy-display"); got != marked || (string(body) == text) == marked {
			t.Errorf("%s: marked %v, %s", charset, got, body)
		}
	}
}

// TestComposeLargeHeaders: what is written with a protected header can be read again, or is
// not written.
func TestComposeLargeHeaders(t *testing.T) {
	p := newParty(t)
	for _, encrypt := range []bool{false, true} {
		for _, fields := range []int{10, 480, 500, 990, 998} {
			for _, size := range []int{5, 900, 1900} {
				text := "From: alice@example.com\r\n" + strings.Repeat("X-Field: "+strings.Repeat("w ", size/2)+"w\r\n", fields) + "\r\nhi\r\n"
				var b bytes.Buffer
				_, err := p.protected(true, encrypt, true, "").Compose(&b, strings.NewReader(text))
				if err != nil {
					if b.Len() > 0 || fields < 480 {
						t.Errorf("%d fields of %d octets, encrypted %v: %d octets, %v", fields, size, encrypt, b.Len(), err)
					}
					continue
				}
				if _, err := p.opener().Open(t.Context(), &b); err != nil {
					t.Errorf("%d fields of %d octets, encrypted %v: %v", fields, size, encrypt, err)
				}
			}
		}
	}
}

// TestComposeRefusesByteOrderMarks: what an editor marked is not sent as a body without a
// header; text that has none is.
func TestComposeRefusesByteOrderMarks(t *testing.T) {
	p := newParty(t)
	for text, good := range map[string]bool{
		"\xef\xbb\xbf" + plain: false, "\xff\xfeF\x00r\x00": false, "\xfe\xff\x00F\x00r": false,
		"\xef\xbb\xbfSee you on Tuesday.\r\n": true, "\xef\xbb\xbf\r\n" + plain: false,
		plain: true, "no header\r\n": true, "x\xef\xbb\xbf\r\n": true, strings.Replace(plain, "\r\n\r\n", "\r\n\r\n\xef\xbb\xbf", 1): true,
	} {
		var b bytes.Buffer
		if _, err := p.composer(true, true, false).Compose(&b, strings.NewReader(text)); (err == nil) != good || !good && b.Len() > 0 {
			t.Errorf("%q: %d octets, %v", text, b.Len(), err)
		}
	}
}

// TestComposeRefusesAmbiguousHeaders: what readers would understand differently is not
// written (attack rows E07, I01).
func TestComposeRefusesAmbiguousHeaders(t *testing.T) {
	p := newParty(t)
	for what, header := range map[string]string{
		"two authors":        "From: alice@example.com\r\nFrom: eve@example.com\r\n",
		"two subjects":       "From: alice@example.com\r\nSubject: a\r\nSubject: b\r\n",
		"a NUL":              "From: alice@example.com\r\nSubject: a\x00b\r\n",
		"a bare CR":          "From: alice@example.com\r\nSubject: a\rBcc: eve@example.com\r\n",
		"space before colon": "From : alice@example.com\r\n",
		"no field":           "From: alice@example.com\r\nhello world\r\n",
	} {
		for _, policy := range []string{"", "off"} {
			c := p.protected(true, true, true, policy)
			var b bytes.Buffer
			if _, err := c.Compose(&b, strings.NewReader(header+"\r\nhi\r\n")); err == nil || b.Len() > 0 {
				t.Errorf("%s (%q): %v, %d octets written", what, policy, err, b.Len())
			}
		}
	}
	c := p.protected(true, false, true, "sometimes")
	if _, err := c.Compose(io.Discard, strings.NewReader(plain)); err == nil {
		t.Error("a policy of no name was taken")
	}
}

// TestCorpusProtectedHeaders opens the S/MIME messages of the corpus that were made to
// show protected headers, as their notes say. They have the form RFC 9788 came from.
func TestCorpusProtectedHeaders(t *testing.T) {
	const contract = "BarCorp contract signed, let's go!"
	for _, c := range []struct {
		folder, ca, key, password string
	}{
		{"protected-headers", "sample-ca.pem", "bob.p12", "bob"},
		{"notmuch/test/corpora/protected-headers", "../../smime/ca.crt", "../../smime/bob.p12", ""},
	} {
		anchors, err := chain.ReadCollection(bytes.NewReader(corpus.Read(t, c.folder, c.ca)))
		if err != nil {
			t.Fatal(err)
		}
		keys := new(certstore.Memory)
		ids, err := certstore.ReadIdentities(corpus.Read(t, c.folder, c.key), c.password)
		if err != nil {
			t.Fatal(err)
		}
		keys.AddIdentity(ids...)
		v := chain.NewVerifier(anchors, chain.Revocation{})
		v.Time = func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
		o := &smime.Opener{Chain: v, Keys: keys, AllowUnsigned: true, AllowMalleable: true, AllowLegacyCiphers: true}
		for _, m := range []struct {
			file    string
			subject string
			outside string
			state   string
		}{
			{"smime-onepart-signed.eml", "The FooCorp contract", "The FooCorp contract", "signed-only"},
			{"smime-multipart-signed.eml", "The FooCorp contract", "The FooCorp contract", "signed-only"},
			{"smime-enc+legacy-disp.eml", contract, "...", "unprotected"}, // nobody signed, nothing says what was hidden
			{"smime-sign+enc.eml", contract, "...", "signed-only"},
			{"smime-sign+enc+legacy-disp.eml", contract, "...", "signed-only"},
		} {
			msg, err := o.Open(t.Context(), bytes.NewReader(corpus.Read(t, c.folder, m.file)))
			if err != nil {
				t.Errorf("%s/%s: %v", c.folder, m.file, err)
				continue
			}
			r, outer := msg.Report(), msg.OuterHeader()
			if r.HeaderProtection != "draft" || r.Subject != m.subject || outer.Get("Subject") != m.outside || r.From != "alice@smime.example" {
				t.Errorf("%s: protection %q, subject %q, outside %q, from %q", m.file, r.HeaderProtection, r.Subject, outer.Get("Subject"), r.From)
			}
			if got := r.Protection("Subject", m.subject); got != m.state {
				t.Errorf("%s: subject is %s", m.file, got)
			}
			changed := slices.ContainsFunc(r.Notes, func(n smime.Note) bool { return n.About == "Subject" && n.Code == "header.changed" })
			if changed != (m.subject != m.outside) {
				t.Errorf("%s: notes %v", m.file, r.Notes)
			}
		}
	}
}
