package hp_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/hp"
	"github.com/postseal/postseal/internal/mimeraw"
)

func header(t testing.TB, lines ...string) *mimeraw.Header {
	t.Helper()
	e, err := mimeraw.ReadEntity(strings.NewReader(strings.Join(lines, "\r\n") + "\r\n\r\nbody\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return e.Header
}

func policy(t testing.TB, name string) hp.Policy {
	p, ok := hp.Named(name)
	if !ok {
		t.Fatalf("no policy %q", name)
	}
	return p
}

func message(t testing.TB) *hp.Division {
	d, err := hp.Compose(header(t,
		"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000",
		"Date: Mon, 03 Jun 2024 10:00:00 +0200",
		`From: "Berta Beispiel" <berta@sender.example>`,
		"To: Carl <carl@reader.example>,\r\n Dora <dora@reader.example>",
		"Bcc: emil@reader.example",
		"Subject: The offer\r\n\tof the house by the lake",
		"Keywords: money, lake",
		"Message-ID: <1@sender.example>",
		"HP-Outer: Subject: forged",
		"MIME-Version: 1.0",
		"Content-Type: text/plain;\r\n\tcharset=utf-8",
		"Content-Transfer-Encoding: 7bit",
	), hp.Option{Encrypt: true, Policy: policy(t, "baseline")})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestCompose holds every octet of a divided header against the rules of RFC 9788,
// Section 5.2.1.
func TestCompose(t *testing.T) {
	d := message(t)
	outer := strings.Join([]string{
		"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000",
		"Date: Mon, 03 Jun 2024 10:00:00 +0200",
		`From: "Berta Beispiel" <berta@sender.example>`,
		"To: Carl <carl@reader.example>,\r\n Dora <dora@reader.example>",
		"Subject: [...]",
		"Message-ID: <1@sender.example>",
		"",
	}, "\r\n")
	inner := strings.Join([]string{
		"Date: Mon, 03 Jun 2024 10:00:00 +0200",
		`From: "Berta Beispiel" <berta@sender.example>`,
		"To: Carl <carl@reader.example>,\r\n Dora <dora@reader.example>",
		"Subject: The offer\r\n\tof the house by the lake",
		"Keywords: money, lake",
		"Message-ID: <1@sender.example>",
		"HP-Outer: Date: Mon, 03 Jun 2024 10:00:00 +0200",
		`HP-Outer: From: "Berta Beispiel" <berta@sender.example>`,
		"HP-Outer: To: Carl <carl@reader.example>, Dora <dora@reader.example>",
		"HP-Outer: Subject: [...]",
		"HP-Outer: Message-ID: <1@sender.example>",
		"MIME-Version: 1.0",
		"Content-Type: text/plain;\r\n\tcharset=utf-8;\r\n\thp=\"cipher\"",
		"Content-Transfer-Encoding: 7bit",
		"",
	}, "\r\n")
	if string(d.Outer) != outer {
		t.Errorf("outside:\n%s\nwant:\n%s", d.Outer, outer)
	}
	if string(d.Inner) != inner {
		t.Errorf("inside:\n%s\nwant:\n%s", d.Inner, inner)
	}
	want := []hp.Pair{{Name: "Subject", Value: "The offer\tof the house by the lake"}, {Name: "Keywords", Value: "money, lake"}}
	if !slices.Equal(d.Hidden, want) {
		t.Errorf("hidden: %q", d.Hidden)
	}
}

// TestBcc: nobody sees who was in Bcc, but the author in a draft (attack row C21).
func TestBcc(t *testing.T) {
	h := header(t, "From: a@example.org", "Bcc: secret@reader.example", "bcc : other@reader.example", "Resent-Bcc: third@reader.example")
	for _, encrypt := range []bool{false, true} {
		d, err := hp.Compose(h, hp.Option{Encrypt: encrypt, Policy: policy(t, "no-confidentiality")})
		if err != nil || strings.Contains(string(d.Outer)+string(d.Inner), "reader.example") {
			t.Errorf("%s%s, %v", d.Outer, d.Inner, err)
		}
	}
	d, err := hp.Compose(h, hp.Option{Encrypt: true, Policy: policy(t, "no-confidentiality"), Draft: true})
	if err != nil || strings.Contains(string(d.Outer), "reader.example") || strings.Count(string(d.Inner), "reader.example") != 3 {
		t.Errorf("draft: %s%s, %v", d.Outer, d.Inner, err)
	}
}

func TestComposeClear(t *testing.T) {
	d, err := hp.Compose(header(t, "From: a@example.org", "Subject: plain\r\n "), hp.Option{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(d.Outer); got != "From: a@example.org\r\nSubject: plain\r\n \r\n" {
		t.Errorf("outside: %q", got)
	}
	if got := string(d.Inner); !strings.HasSuffix(got, "Content-Type: text/plain; charset=us-ascii; hp=\"clear\"\r\n") || strings.Contains(got, "HP-Outer") {
		t.Errorf("inside: %q", got)
	}
	if len(d.Hidden) > 0 {
		t.Errorf("hidden: %v", d.Hidden)
	}
	for what, c := range map[string]struct{ in, want string }{
		"an old mark":          {`text/html; hp=cipher; charset="utf-8"`, `text/html; charset=utf-8; hp="clear"`},
		"the mark of a draft":  {"text/plain; protected-headers=v1", `text/plain; hp="clear"`},
		"a trailing semicolon": {"text/plain;", "text/plain;\r\n\thp=\"clear\""},
		"a comment":            {"text/plain (hp=none)", "text/plain (hp=none);\r\n\thp=\"clear\""},
	} {
		d, err := hp.Compose(header(t, "From: a@example.org", "Content-Type: "+c.in), hp.Option{})
		if err != nil || !strings.Contains(string(d.Inner), "Content-Type: "+c.want+"\r\n") {
			t.Errorf("%s: %q, %v", what, d, err)
		}
	}
	for _, bad := range []string{"Content-Type: text", "Content-Type: text/plain\r\nContent-Type: text/html", "no field"} {
		if d, err := hp.Compose(header(t, "From: a@example.org", bad), hp.Option{}); err == nil {
			t.Errorf("%q: %s", bad, d.Inner)
		}
	}
}

// TestUnspeakable: a field that HP-Outer cannot name is hidden, unless mail needs it.
func TestUnspeakable(t *testing.T) {
	loose := hp.Option{Encrypt: true, Policy: policy(t, "no-confidentiality")}
	for _, value := range []string{"caf\xe9", "a\x1bb", strings.Repeat("x", 1200)} {
		d, err := hp.Compose(header(t, "From: a@example.org", "Comments: "+value, "X-Other: "+value), loose)
		if err != nil || string(d.Outer) != "From: a@example.org\r\n" || !strings.Contains(string(d.Inner), "X-Other: "+value) || len(d.Hidden) != 1 {
			t.Errorf("%q: %+v, %v", value, d, err)
		}
		if d, err := hp.Compose(header(t, "From: "+value+" <a@example.org>"), loose); err == nil {
			t.Errorf("%q in From: %s", value, d.Outer)
		}
	}
}

func TestPolicies(t *testing.T) {
	for _, c := range []struct{ policy, name, value, want string }{
		{"baseline", "SUBJECT", "x", "[...]"},
		{"baseline", "Comments", "x", "-"},
		{"baseline", "From", "A <a@example.org>", "A <a@example.org>"},
		{"shy", "Subject", "x", "[...]"},
		{"shy", "Keywords", "x", "-"},
		{"shy", "From", "A B <a@example.org>", "a@example.org"},
		{"shy", "To", `A <a@example.org>, "B, C" <b@example.org>`, "a@example.org, b@example.org"},
		{"shy", "Cc", "list: a@example.org, b@example.org;", "list: a@example.org, b@example.org;"},
		{"shy", "To", "undisclosed-recipients:;", "undisclosed-recipients:;"},
		{"shy", "From", "no address", "no address"},
		{"shy", "Date", "Mon, 03 Jun 2024 10:00:00 +0200", "Mon, 03 Jun 2024 08:00:00 +0000"},
		{"shy", "Date", "yesterday", "yesterday"},
		{"shy", "Date", "Mon, 03 Jun 2024 10:00:00 EST", "Mon, 03 Jun 2024 15:00:00 +0000"},
		{"shy", "Date", "Mon, 03 Jun 2024 10:00:00 PDT", "Mon, 03 Jun 2024 17:00:00 +0000"},
		{"shy", "Date", "Mon, 03 Jun 2024 10:00:00 GMT", "Mon, 03 Jun 2024 10:00:00 +0000"},
		{"shy", "Message-ID", "<1@a>", "<1@a>"},
		{"no-confidentiality", "Subject", "x", "x"},
	} {
		shown, keep := policy(t, c.policy)(c.name, c.value)
		if !keep {
			shown = "-"
		}
		if shown != c.want {
			t.Errorf("%s: %s: %s is %q outside, want %q", c.policy, c.name, c.value, shown, c.want)
		}
	}
	if _, ok := hp.Named("none"); ok {
		t.Error("a policy of no name")
	}
}

func payload(t testing.TB, d *hp.Division) *mimeraw.Header {
	e, err := mimeraw.ReadEntity(bytes.NewReader(append(bytes.Clone(d.Inner), "\r\n"...)))
	if err != nil {
		t.Fatal(err)
	}
	return e.Header
}

func TestRead(t *testing.T) {
	p := hp.Read(payload(t, message(t)))
	if p.Mode != hp.Cipher {
		t.Fatalf("mode %q", p.Mode)
	}
	if subject, n := p.Get("subject"); subject != "The offer\tof the house by the lake" || n != 1 {
		t.Errorf("subject %q, %d", subject, n)
	}
	if _, n := p.Get("HP-Outer"); n != 0 {
		t.Error("HP-Outer counts as a field of the message")
	}
	for _, c := range []struct {
		f                 hp.Pair
		signed, encrypted bool
		want              hp.State
	}{
		{hp.Pair{Name: "Subject", Value: "The offer of the house by the lake"}, true, true, hp.SignedAndEncrypted},
		{hp.Pair{Name: "Subject", Value: "The offer of the house by the lake"}, false, true, hp.EncryptedOnly},
		{hp.Pair{Name: "Subject", Value: "The offer of the house by the lake"}, true, false, hp.SignedOnly},
		{hp.Pair{Name: "Subject", Value: "[...]"}, true, true, hp.Unprotected},
		{hp.Pair{Name: "Keywords", Value: "money, lake"}, true, true, hp.SignedAndEncrypted},
		{hp.Pair{Name: "message-id", Value: "<1@sender.example>"}, true, true, hp.SignedOnly},
		{hp.Pair{Name: "Message-ID", Value: "<1@sender.example>"}, false, true, hp.Unprotected},
		{hp.Pair{Name: "To", Value: "Carl <carl@reader.example>, Dora <dora@reader.example>"}, true, true, hp.SignedOnly},
		{hp.Pair{Name: "Cc", Value: "x"}, true, true, hp.Unprotected},
	} {
		if got := p.State(c.f, c.signed, c.encrypted); got != c.want {
			t.Errorf("%v, signed %v, encrypted %v: %s, want %s", c.f, c.signed, c.encrypted, got, c.want)
		}
	}
}

// TestClearIsNotConfidential: encryption that was added on the way makes nothing
// confidential, and HP-Outer says nothing in a message that was only signed
// (RFC 9788, Sections 2.2 and 10.2; attack row F07).
func TestClearIsNotConfidential(t *testing.T) {
	p := hp.Read(header(t, "Subject: x", "HP-Outer: Subject: y", `Content-Type: text/plain; hp="clear"`))
	if got := p.State(hp.Pair{Name: "Subject", Value: "x"}, true, true); got != hp.SignedOnly {
		t.Errorf("state %s", got)
	}
	if len(p.Outer) > 0 {
		t.Errorf("outer %v", p.Outer)
	}
	for mode, contentType := range map[hp.Mode]string{
		hp.Cipher: "text/plain; hp=CIPHER",
		hp.Draft:  `multipart/mixed; boundary=x; protected-headers="v1"`,
		hp.None:   "text/plain; hp=yes",
	} {
		if got := hp.Read(header(t, "Subject: x", "Content-Type: "+contentType)); got.Mode != mode || (mode == hp.None) != (got.Fields == nil) {
			t.Errorf("%s: mode %q, fields %v", contentType, got.Mode, got.Fields)
		}
	}
}

func TestDifferences(t *testing.T) {
	p := hp.Read(payload(t, message(t)))
	for _, c := range []struct {
		what  string
		outer []string
		want  []string // "kind name"
	}{
		{"as sent", []string{
			"Received: x", "Return-Path: <x>", "DKIM-Signature: x", "ARC-Seal: x",
			"Date: Mon, 03 Jun 2024 10:00:00 +0200", `From: "Berta Beispiel" <berta@sender.example>`,
			"To: Carl <carl@reader.example>, Dora\r\n\t<dora@reader.example>", "Subject: [...]", "Message-ID: <1@sender.example>",
		}, []string{"obscured Subject", "hidden Keywords"}},
		{"changed on the way", []string{
			"Date: Mon, 03 Jun 2024 10:00:00 +0200", "From: mallory@evil.example",
			"To: Carl <carl@reader.example>, Dora <dora@reader.example>", "Subject: [list] [...]", "Cc: mallory@evil.example",
		}, []string{"changed From", "changed Subject", "hidden Keywords", "removed Message-ID", "added Cc"}},
	} {
		var got []string
		for _, d := range p.Differences(header(t, c.outer...)) {
			got = append(got, d.Kind+" "+d.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// TestResponse: a reply shows no more than the message it answers (RFC 9788, Section 6.1;
// attack row F08).
func TestResponse(t *testing.T) {
	original, err := hp.Compose(header(t,
		"From: Berta <berta@sender.example>", "To: carl@reader.example", "Cc: Secret Sam <sam@reader.example>",
		"Subject: The offer", "Message-ID: <1@sender.example>", "References: <0@sender.example>",
	), hp.Option{Encrypt: true, Policy: func(name, value string) (string, bool) {
		switch name {
		case "Subject":
			return "[hidden]", true
		case "References":
			return "", false
		}
		return policy(t, "shy")(name, value)
	}})
	if err != nil {
		t.Fatal(err)
	}
	received := hp.Read(payload(t, original))
	loose := policy(t, "no-confidentiality")
	reply := header(t, "From: carl@reader.example", "To: Berta <berta@sender.example>", "Cc: carl@reader.example, Secret Sam <sam@reader.example>",
		"Subject: Re: The offer", "In-Reply-To: <1@sender.example>", "References: <0@sender.example> <1@sender.example>")
	d, err := hp.Compose(reply, hp.Option{Encrypt: true, Policy: loose, Response: received.Response(nil)})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"From: carl@reader.example", "To: berta@sender.example", "Cc: carl@reader.example, sam@reader.example",
		"Subject: Re: [hidden]", "In-Reply-To: <1@sender.example>", "References: <1@sender.example>", "",
	}, "\r\n")
	if string(d.Outer) != want {
		t.Errorf("outside of the reply:\n%s\nwant:\n%s", d.Outer, want)
	}
	// A mail program's own way of answering, here: forwarding.
	forward := received.Response(func(fields []hp.Pair) []hp.Pair {
		for _, f := range fields {
			if f.Name == "Subject" {
				return []hp.Pair{{Name: "Subject", Value: "Fwd: " + f.Value}}
			}
		}
		return nil
	})
	if shown, keep := forward("Subject", "Fwd: The offer"); shown != "Fwd: [hidden]" || !keep {
		t.Errorf("forwarded with subject %q", shown)
	}
	if shown, _ := forward("Subject", "Something else"); shown != "Something else" {
		t.Errorf("another subject became %q", shown)
	}
	// Nothing was confidential in a message that was only signed.
	open := hp.Read(header(t, "Subject: x", `Content-Type: text/plain; hp="clear"`)).Response(nil)
	if shown, _ := open("Subject", "Re: x"); shown != "Re: x" {
		t.Errorf("subject %q", shown)
	}
	// Where the field is hidden altogether it is hidden in the answer.
	gone := hp.Read(header(t, "Subject: x", `Content-Type: text/plain; hp="cipher"`)).Response(nil)
	if _, keep := gone("Subject", "Re: x"); keep {
		t.Error("a hidden subject is readable in the reply")
	}
}

func TestWrapped(t *testing.T) {
	inner := header(t, "From: a@example.org", "Subject: x", "Content-Type: text/plain")
	outer := header(t, "From: a@example.org", "Subject: [...]", "Received: x")
	p := hp.ReadWrapped(inner, outer)
	if got := p.State(hp.Pair{Name: "Subject", Value: "x"}, true, true); got != hp.SignedAndEncrypted {
		t.Errorf("Subject is %s", got)
	}
	if got := p.State(hp.Pair{Name: "From", Value: "a@example.org"}, true, true); got != hp.SignedOnly {
		t.Errorf("From is %s", got)
	}
	if shown, _ := p.Response(nil)("Subject", "Re: x"); shown != "Re: [...]" {
		t.Errorf("reply with subject %q", shown)
	}
}

func TestLegacyDisplay(t *testing.T) {
	hidden := []hp.Pair{{Name: "Subject", Value: "5 < 6 & \"so\""}, {Name: "Keywords", Value: "a, b"}}
	for _, c := range []struct{ mediaType, text, want string }{
		{"text/plain", "Hello\r\n\r\nworld\r\n", "Subject: 5 < 6 & \"so\"\r\nKeywords: a, b\r\n\r\nHello\r\n\r\nworld\r\n"},
		{"text/html", "<html><BODY class=x>\r\n<p>Hi</p></BODY></html>", "<html><BODY class=x><div class=\"header-protection-legacy-display\">" +
			"<pre>Subject: 5 &lt; 6 &amp; &#34;so&#34;\r\nKeywords: a, b</pre></div>\r\n\r\n<p>Hi</p></BODY></html>"},
		{"text/html", "<p>Hi</p>", "<div class=\"header-protection-legacy-display\"><pre>Subject: 5 &lt; 6 &amp; &#34;so&#34;\r\nKeywords: a, b</pre></div>\r\n<p>Hi</p>"},
	} {
		got := string(hp.AddLegacyDisplay(c.mediaType, []byte(c.text), hidden))
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.mediaType, got, c.want)
		}
		back := string(hp.RemoveLegacyDisplay(c.mediaType, []byte(got)))
		if strings.ReplaceAll(back, "\r\n", "") != strings.ReplaceAll(c.text, "\r\n", "") {
			t.Errorf("%s: came back as %q", c.mediaType, back)
		}
	}
	for _, c := range []struct{ mediaType, text, want string }{
		{"text/plain", "Subject: x\n\nrest", "rest"},
		{"text/plain", "no blank line", "no blank line"},
		{"text/html", `<body><DIV id=1 class = "a header-protection-legacy-display b"><div>x</div>y</DIV>z`, "<body>z"},
		{"text/html", "<div class=header-protection-legacy-display>x</div>z", "z"},
		{"text/html", `<div class="header-protection-legacy-display-not">x</div>z`, `<div class="header-protection-legacy-display-not">x</div>z`},
		{"text/html", `<div class="header-protection-legacy-display">x`, `<div class="header-protection-legacy-display">x`},
		{"text/html", `<div class=>x</div><div class>y</div>`, `<div class=>x</div><div class>y</div>`},
	} {
		if got := string(hp.RemoveLegacyDisplay(c.mediaType, []byte(c.text))); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.mediaType, c.text, got, c.want)
		}
	}
}

// FuzzCompose: whatever header is divided, what is inside is what went in, and reading
// finds the policy's choice again.
func FuzzCompose(f *testing.F) {
	f.Add("From: a@example.org\r\nSubject: x\r\n y\r\nContent-Type: text/plain\r\n\r\n", true)
	f.Add("Subject: =?utf-8?q?x?=\nSubject: y\nKeywords:\nTo: a: b@c.example;\n\n", false)
	f.Fuzz(func(t *testing.T, text string, encrypt bool) {
		e, err := mimeraw.ReadEntity(strings.NewReader(text))
		if err != nil {
			return
		}
		shy, _ := hp.Named("shy")
		d, err := hp.Compose(e.Header, hp.Option{Encrypt: encrypt, Policy: shy})
		if err != nil {
			return
		}
		inner, err := mimeraw.ReadEntity(bytes.NewReader(append(d.Inner, "\r\nbody"...)))
		if err != nil {
			t.Fatal(err)
		}
		p := hp.Read(inner.Header)
		if encrypt != (p.Mode == hp.Cipher) || !encrypt && p.Mode != hp.Clear {
			t.Fatalf("mode %q of\n%s", p.Mode, d.Inner)
		}
		for _, h := range d.Hidden {
			if got := p.State(h, true, true); got != hp.SignedAndEncrypted && !duplicate(p.Fields, h.Name) {
				t.Fatalf("%q is hidden and %s\n%s", h, got, d.Inner)
			}
		}
		for _, a := range []string{"text/plain", "text/html"} {
			hp.RemoveLegacyDisplay(a, []byte(text))
			hp.AddLegacyDisplay(a, []byte(text), d.Hidden)
		}
	})
}

func duplicate(list []hp.Pair, name string) bool {
	n := 0
	for _, f := range list {
		if strings.EqualFold(f.Name, name) {
			n++
		}
	}
	return n > 1
}

// FuzzRead takes anything apart as a protected header. A field has a state for every way in
// which the message is protected, a reply quotes no hidden one, and neither has what a
// field does not hold.
func FuzzRead(f *testing.F) {
	f.Add("Subject: x\r\nFrom: a@example.org\r\nHP-Outer: Subject: [...]\r\nHP-Outer: From: a@example.org\r\nContent-Type: text/plain; hp=\"cipher\"\r\n\r\n", "Subject: [...]\r\nFrom: a@example.org\r\n\r\n")
	f.Add("Subject: x\r\nContent-Type: text/plain; hp=clear\r\n\r\n", "Subject: y\r\n\r\n")
	f.Add("Content-Type: multipart/mixed; protected-headers=v1; boundary=b\r\nSubject: x\r\n\r\n", "Subject: ...\r\n\r\n")
	f.Add("HP-Outer: :\r\nHP-Outer: Subject\r\nHP-Outer: Subject:\r\nContent-Type: text/plain; hp=cipher; hp=clear\r\n\r\n", "\r\n")
	f.Fuzz(func(t *testing.T, inside, outside string) {
		inner, err := mimeraw.ReadEntity(strings.NewReader(inside))
		if err != nil {
			return
		}
		outer, err := mimeraw.ReadEntity(strings.NewReader(outside))
		if err != nil {
			return
		}
		for _, p := range []*hp.Protected{hp.Read(inner.Header), hp.ReadWrapped(inner.Header, outer.Header)} {
			if p.Mode == hp.None && len(p.Fields)+len(p.Outer) > 0 {
				t.Fatalf("not protected, and has fields: %+v", p)
			}
			if p.Mode != hp.Cipher && p.Mode != hp.Wrapped && len(p.Outer) > 0 {
				t.Fatalf("mode %q speaks of what is outside: %+v", p.Mode, p.Outer)
			}
			for _, field := range p.Fields {
				for _, signed := range []bool{false, true} {
					for _, encrypted := range []bool{false, true} {
						s := p.State(field, signed, encrypted)
						if s == "" || !encrypted && (s == hp.SignedAndEncrypted || s == hp.EncryptedOnly) {
							t.Fatalf("%+v, signed %v, encrypted %v: %q", field, signed, encrypted, s)
						}
					}
				}
				if hp.Structural(field.Name) || field.Name == "" || strings.ContainsAny(field.Name, "\r\n: ") {
					t.Fatalf("%+v is a field", field)
				}
			}
		}
	})
}

// TestManyDifferences compares as many fields as a header may have with as many others: each
// is prepared a few times, not once for every other (D10).
func TestManyDifferences(t *testing.T) {
	const n = 900
	var inner, outer strings.Builder
	inner.WriteString("Content-Type: text/plain; hp=\"cipher\"\r\n")
	for i := range n {
		fmt.Fprintf(&inner, "X-A: in %d\r\n", i)
		fmt.Fprintf(&outer, "X-A: out %d\r\n", i)
	}
	header := func(text string) *mimeraw.Header {
		e, err := mimeraw.ReadEntity(strings.NewReader(text + "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		return e.Header
	}
	p, outside := hp.Read(header(inner.String())), header(outer.String())
	if got := p.Differences(outside); len(got) != n || got[1].Kind != "changed" || got[1].Value != "in 1" || got[1].Outside != "out 0" {
		t.Errorf("%d differences, %+v", len(got), got[:min(2, len(got))])
	}
	if got := testing.AllocsPerRun(1, func() { p.Differences(outside) }); got > 50*n {
		t.Errorf("%v allocations for %d fields", got, n)
	}
}
