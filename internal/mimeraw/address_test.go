package mimeraw_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/mimeraw"
)

// Address syntax (F04) and display names that look like addresses (F02).
func TestParseAddresses(t *testing.T) {
	long := strings.Repeat("a", 300)
	for _, tt := range []struct {
		in   string
		want []string // name "|" address
	}{
		{"alice@good.example", []string{"|alice@good.example"}},
		{" alice@good.example ", []string{"|alice@good.example"}},
		{"<alice@good.example>", []string{"|alice@good.example"}},
		{"Alice <alice@good.example>", []string{"Alice|alice@good.example"}},
		{"Alice Q. Doe <alice@good.example>", []string{"Alice Q. Doe|alice@good.example"}},
		{`"Doe, Alice" <alice@good.example>`, []string{"Doe, Alice|alice@good.example"}},
		{`"a \"b\" \\" <alice@good.example>`, []string{`a "b" \|alice@good.example`}},
		{"a@b.example, c@d.example", []string{"|a@b.example", "|c@d.example"}},
		{"A <a@b.example>,C<c@d.example>", []string{"A|a@b.example", "C|c@d.example"}},
		{"a+b_c=d@e.example", []string{"|a+b_c=d@e.example"}},
		{"alice@GOOD.Example", []string{"|alice@GOOD.Example"}},
		{"\u00e4@\u00f6.example", []string{"|\u00e4@\u00f6.example"}},
		{"=?utf-8?q?J=C3=BCrgen?= <j@b.example>", []string{"J\u00fcrgen|j@b.example"}},
		{"=?utf-8?q?J=C3=BC?= =?utf-8?q?rgen?= <j@b.example>", []string{"J\u00fcrgen|j@b.example"}},
		{`"=?utf-8?q?J=C3=BC?=" <j@b.example>`, []string{"=?utf-8?q?J=C3=BC?=|j@b.example"}},

		// Comments: a person sees them, an address does not hold them.
		{"alice@good.example (eve@evil.example)", []string{"|alice@good.example"}},
		{"(x) Alice (y) <(z) alice (a) @ (b) good.example (c)> (d)", []string{"Alice|alice@good.example"}},
		{`(a \) (b) c) alice@good.example`, []string{"|alice@good.example"}},

		// Quoted local parts, and the "@" within them.
		{`"a@b"@c.example`, []string{`|"a@b"@c.example`}},
		{`"alice"@good.example`, []string{"|alice@good.example"}},
		{`"a b"@c.example`, []string{`|"a b"@c.example`}},
		{`"a\"b\\"@c.example`, []string{`|"a\"b\\"@c.example`}},
		{`""@c.example`, []string{`|""@c.example`}},
		{`"a."@c.example`, []string{`|"a."@c.example`}},
		{"a@[192.0.2.1]", []string{"|a@[192.0.2.1]"}},

		// Display names that look like addresses: the address is the other one.
		{`"alice@good.example" <eve@evil.example>`, []string{"alice@good.example|eve@evil.example"}},
		{`"alice@good.example <alice@good.example>" <eve@evil.example>`, []string{"alice@good.example <alice@good.example>|eve@evil.example"}},
		{"=?utf-8?q?alice=40good.example?= <eve@evil.example>", []string{"alice@good.example|eve@evil.example"}},
		{"=?utf-8?q?alice=40good.example=0A?= <eve@evil.example>", []string{"alice@good.example\ufffd|eve@evil.example"}},
		{"=?utf-8?b?4oCuZWNpbGE=?= <eve@evil.example>", []string{"\ufffdecila|eve@evil.example"}},
		{`"" <eve@evil.example>`, []string{"|eve@evil.example"}},
		{"\" \u2800\" <eve@evil.example>", []string{" \ufffd|eve@evil.example"}},

		// Groups.
		{"Team: a@b.example, C <c@d.example>;", []string{"|a@b.example (Team)", "C|c@d.example (Team)"}},
		{"Team: a@b.example;, c@d.example", []string{"|a@b.example (Team)", "|c@d.example"}},
		{"Nobody:;", []string{}},
		{"Nobody: (x) ; (y)", []string{}},

		{"", nil},
		{"alice", nil},
		{"Alice <>", nil},
		{"<>", nil},
		{"alice@", nil},
		{"@good.example", nil},
		{"alice@good.example,", nil},
		{",alice@good.example", nil},
		{"a@b.example,,c@d.example", nil},
		{"a@b.example c@d.example", nil},
		{"a@b.example;", nil},
		{"a@b@c.example", nil},
		{"alice@good.example <eve@evil.example>", nil},
		{"<alice@good.example> <eve@evil.example>", nil},
		{"<alice@good.example> eve@evil.example", nil},
		{"Alice <alice@good.example", nil},
		{"Alice alice@good.example>", nil},
		{"Alice <<alice@good.example>>", nil},
		{"<@relay.example:alice@good.example>", nil},
		{"alice@good.example.", nil},
		{"alice@.good.example", nil},
		{"alice@good..example", nil},
		{".alice@good.example", nil},
		{"alice.@good.example", nil},
		{"al..ice@good.example", nil},
		{"al ice@good.example", nil},
		{"al . ice@good.example", nil},
		{"alice@good . example", nil},
		{`"alice`, nil},
		{`"alice"x@good.example`, nil},
		{`x"alice"@good.example`, nil},
		{`"a".b@good.example`, nil},
		{"alice@good.example (x", nil},
		{"alice@good.example )", nil},
		{"alice@[192.0.2.1", nil},
		{"alice@[192.0.2.1]x", nil},
		{"alice@[a\\]b]", nil},
		{`alice@"good.example"`, nil},
		{"alice@good.example\x00.evil.example", nil},
		{"\"alice\x00\"@good.example", nil},
		{"alice\r@good.example", nil},
		{"alice(\x01)@good.example", nil},
		{"alice\xff@good.example", nil},
		{"Team: a@b.example", nil},
		{"Team: a@b.example;;", nil},
		{"Team: Inner: a@b.example;;", nil},
		{": a@b.example;", nil},
		{"Team: ,a@b.example;", nil},
		{long + "@" + long, nil},
	} {
		list, err := mimeraw.ParseAddresses(tt.in)
		if tt.want == nil {
			if code(err) != mimeraw.CodeAddress {
				t.Errorf("%q: %+v, %v, want an error", tt.in, list, err)
			}
			continue
		}
		got := []string{}
		for _, a := range list {
			s := a.Name + "|" + a.Addr()
			if a.Group != "" {
				s += " (" + a.Group + ")"
			}
			got = append(got, s)
			again, err := mimeraw.ParseAddresses(a.Addr())
			if err != nil || len(again) != 1 || again[0].Local != a.Local || again[0].Domain != a.Domain {
				t.Errorf("%q: %q reads as %+v, %v", tt.in, a.Addr(), again, err)
			}
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

// F03: one author in one From field, and nobody else counts.
func TestFromAddress(t *testing.T) {
	for _, tt := range []struct{ in, want, code string }{
		{"From: Alice <alice@good.example>", "alice@good.example", ""},
		{"From: Alice\r\n <alice@good.example>", "alice@good.example", ""},
		{"Sender: alice@good.example", "", mimeraw.CodeFrom},
		{"From: alice@good.example\r\nFrom: alice@good.example", "", mimeraw.CodeDuplicateField},
		{"From: alice@good.example\r\nFrom : eve@evil.example", "", mimeraw.CodeDuplicateField},
		{"From: alice@good.example, eve@evil.example", "", mimeraw.CodeFrom},
		{"From: Alice: alice@good.example;", "", mimeraw.CodeFrom},
		{"From: Nobody:;", "", mimeraw.CodeFrom},
		{"From: Nobody:;, alice@example.com", "", mimeraw.CodeFrom},
		{"From: alice@example.com, Nobody:;", "", mimeraw.CodeFrom},
		{"From: \"\": alice@example.com;", "", mimeraw.CodeFrom},
		{"From:", "", mimeraw.CodeAddress},
		{"From: alice", "", mimeraw.CodeAddress},
		{"From: alice@good.example\x00", "", mimeraw.CodeAddress},
	} {
		e, err := mimeraw.ReadEntity(strings.NewReader(tt.in + "\r\nSubject: x\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		a, err := mimeraw.FromAddress(e.Header)
		if code(err) != tt.code || err == nil && a.Addr() != tt.want {
			t.Errorf("%q: %+v, %v, want %q, %q", tt.in, a, err, tt.want, tt.code)
		}
	}
}

func TestDisplayText(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		odd      bool
	}{
		{"Hello", "Hello", false},
		{"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Gr\u00fc\u00dfe", false},
		{"=?iso-8859-1?q?Gr=FC=DFe?=", "Gr\u00fc\u00dfe", false},
		{"=?x-unknown?q?a?=", "=?x-unknown?q?a?=", false},
		{"a\tb", "a b", false},
		{"\U0001F469\u200D\U0001F4BB", "\U0001F469\u200D\U0001F4BB", false},
		{"a\x00b", "a\ufffdb", true},
		{"a\u202eb", "a\ufffdb", true},
		{"a\u2066b", "a\ufffdb", true},
		{"a\u200bb", "a\ufffdb", true},
		{"a\u2028b", "a\ufffdb", true},
		{"a\u2800b", "a\ufffdb", true},
		{"a\u3164b", "a\ufffdb", true},
		{"=?utf-8?q?a=0D=0AFrom:_b?=", "a\ufffd\ufffdFrom: b", true},
		{"a\xffb", "a\ufffdb", false},
	} {
		got, odd := mimeraw.DisplayText(tt.in)
		if got != tt.want || odd != tt.odd {
			t.Errorf("%q: %q, %v, want %q, %v", tt.in, got, odd, tt.want, tt.odd)
		}
	}
}
