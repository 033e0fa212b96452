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
