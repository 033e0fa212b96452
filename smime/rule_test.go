package smime_test

import (
	"strings"
	"testing"

	"github.com/emersion/go-message/mail"

	"github.com/postseal/postseal/smime"
)

func TestEvaluate(t *testing.T) {
	var h mail.Header
	h.SetSubject("Quarterly [Confidential] figures")
	h.Set("X-Label", "internal")
	rules := []smime.Rule{
		{Name: "newsletter", From: []string{"news@example.org"}, Action: "leave"},
		{Name: "virus lab", Header: map[string]string{"X-Virus": ""}, Action: "reject"},
		{Name: "partner", To: []string{".partner.example"}, Action: "encrypt"},
		{Name: "board", From: []string{"ceo@example.org", "@board.example.org"}, Action: "sign"},
		{Name: "subject", Header: map[string]string{"Subject": "[confidential]"}, To: []string{"@out.example"}, Action: "triple"},
		{Name: "huge", MinSize: 1 << 20, Action: "hold"},
	}
	for _, c := range []struct {
		what string
		p    smime.Policy
		from string
		to   []string
		size int64
		want string
		why  string // in the last reason
	}{
		{"nothing matches", smime.Policy{Rules: rules}, "a@example.org", []string{"b@example.org"}, 10, "leave", ""},
		{"a recipient's domain", smime.Policy{Rules: rules}, "a@example.org", []string{"b@example.org", "c@partner.example"}, 10, "encrypt", "c@partner.example"},
		{"below the domain", smime.Policy{Rules: rules}, "a@example.org", []string{"c@mail.PARTNER.example"}, 10, "encrypt", `"partner"`},
		{"not the domain", smime.Policy{Rules: rules}, "a@example.org", []string{"c@notpartner.example"}, 10, "leave", ""},
		{"actions add up", smime.Policy{Rules: rules}, "CEO@Example.org", []string{"c@partner.example"}, 10, "seal", `"board"`},
		{"exact domain only", smime.Policy{Rules: rules}, "x@sub.board.example.org", []string{"c@d.example"}, 10, "leave", ""},
		{"every condition", smime.Policy{Rules: rules}, "a@example.org", []string{"c@out.example"}, 10, "triple", "[confidential]"},
		{"size", smime.Policy{Rules: rules}, "a@example.org", []string{"c@partner.example"}, 1 << 20, "hold", "1048576 bytes"},
		{"leave spares the rest", smime.Policy{Rules: rules}, "news@example.org", []string{"c@partner.example"}, 1 << 20, "leave", "newsletter"},
		{"leave does not undo the policy", smime.Policy{Sign: true, Rules: rules}, "news@example.org", []string{"c@partner.example"}, 10, "sign", "newsletter"},
		{"always", smime.Policy{Sign: true, Encrypt: true}, "a@example.org", []string{"b@example.org"}, 10, "seal", "encrypted"},
		{"always triple", smime.Policy{Sign: true, Encrypt: true, TripleWrap: true}, "a@example.org", nil, 10, "triple", ""},
		{"triple wrap alone does nothing", smime.Policy{TripleWrap: true}, "a@example.org", nil, 10, "leave", ""},
		{"presence of a field", smime.Policy{Rules: []smime.Rule{{Header: map[string]string{"x-label": ""}, Action: "sign"}}}, "a@example.org", nil, 10, "sign", "x-label"},
		{"no conditions", smime.Policy{Rules: []smime.Rule{{Action: "sign"}}}, "a@example.org", nil, 10, "sign", "rule 1: every message"},
		{"senseless action", smime.Policy{Sign: true, Rules: []smime.Rule{{Action: "drop"}}}, "a@example.org", nil, 10, "reject", "drop"},
		{"too small", smime.Policy{Rules: []smime.Rule{{MaxSize: 5, Action: "sign"}}}, "a@example.org", nil, 10, "leave", ""},
		{"malformed sender", smime.Policy{Rules: rules}, "news@example.org, x@evil.example", []string{"c@d.example"}, 10, "reject", "is no address"},
		{"malformed recipient", smime.Policy{Rules: rules}, "a@example.org", []string{"b@d.example", "c c@partner.example"}, 10, "reject", "is no address"},
		{"a recipient in quotes", smime.Policy{Rules: rules}, "a@example.org", []string{`"c c"@partner.example`}, 10, "encrypt", "partner.example"},
		{"malformed, and nobody asks", smime.Policy{Sign: true, Rules: rules[1:2]}, "a", []string{"c c@partner.example"}, 10, "sign", ""},
		{"no sender", smime.Policy{Rules: rules}, "", []string{"c@d.example"}, 10, "leave", ""},
	} {
		action, reasons := c.p.Evaluate(c.from, c.to, h, c.size)
		if action != c.want {
			t.Errorf("%s: %s %q, want %s", c.what, action, reasons, c.want)
		}
		if c.why != "" && (len(reasons) == 0 || !strings.Contains(reasons[len(reasons)-1], c.why)) {
			t.Errorf("%s: reasons %q do not name %q", c.what, reasons, c.why)
		}
	}
}

// TestEvaluateEncodedField: a rule finds its text in a field in whatever character set a
// mail program wrote it, and rejects where nobody can tell.
func TestEvaluateEncodedField(t *testing.T) {
	for _, c := range []struct{ text, subject, want string }{
		{"[secret]", "=?windows-1252?B?W3NlY3JldF0gR3L232U=?=", "encrypt"},
		{"größe", "=?Windows-1252*de?B?W3NlY3JldF0gR3L232U=?=", "encrypt"},
		{"[secret]", "=?utf-8?Q?=5Bsec?= =?koi8-r?Q?ret=5D?=", "encrypt"},
		{"привет", "=?koi8-r?B?8NLJ18XU?=", "encrypt"},
		{"社外秘", "=?iso-2022-jp?B?GyRCPFIzMEhrGyhC?=", "encrypt"},
		{"社外秘", "=?utf-8?B?56S+5aSW56eY?=", "encrypt"},
		{"[secret]", "=?iso-2022-jp?B?GyRCPFIzMEhrGyhC?=", "leave"},
		{"[secret]", "Lunch?", "leave"},
		{"[secret]", "Gr\xf6\xdfe", "leave"},
		{"größe", "Gr\xf6\xdfe", "reject"},
		{"[secret]", "=?utf-7?B?W3NlY3JldF0=?=", "reject"},
		{"[secret]", "=?hz-gb-2312?B?W3NlY3JldF0=?=", "reject"},
		{"[secret]", "=?utf-8?B?W3NlY3JldF0?=", "reject"},
		{"lunch", "=?utf-7?B?W3NlY3JldF0=?= Lunch?", "encrypt"},
	} {
		var h mail.Header
		h.Set("Subject", c.subject)
		rule := smime.Rule{Header: map[string]string{"Subject": c.text}, Action: "encrypt"}
		action, reasons := (&smime.Policy{Rules: []smime.Rule{rule}}).Evaluate("a@example.org", []string{"b@example.org"}, h, 1)
		if action != c.want {
			t.Errorf("%q in %q: %s %q, want %s", c.text, c.subject, action, reasons, c.want)
		}
		// A rule that does not match for another reason rejects nothing.
		rule.To = []string{"@example.net"}
		if action, _ := (&smime.Policy{Rules: []smime.Rule{rule}}).Evaluate("a@example.org", []string{"b@example.org"}, h, 1); action != "leave" {
			t.Errorf("%q in %q to somebody else: %s", c.text, c.subject, action)
		}
	}
	rule := smime.Rule{Header: map[string]string{"Subject": ""}, Action: "sign"}
	var h mail.Header
	h.Set("Subject", "=?utf-7?B?W3NlY3JldF0=?=")
	if action, _ := (&smime.Policy{Rules: []smime.Rule{rule}}).Evaluate("", nil, h, 1); action != "sign" {
		t.Errorf("there is such a field: %s", action)
	}
}
