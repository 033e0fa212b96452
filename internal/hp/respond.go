package hp

import (
	"slices"
	"strings"
)

// Response returns the policy for a message that answers or forwards this one: what was
// confidential here stays so there (RFC 9788, Section 6.1.2). respond is what the mail
// program does to make a draft of a header; nil stands for [Reply]. The policy applies to
// the fields of that draft, as long as they have the values that respond gave them.
func (p *Protected) Response(respond func([]Pair) []Pair) Policy {
	if respond == nil {
		respond = Reply
	}
	type outcome struct {
		field Pair
		shown string
		keep  bool
	}
	var list []outcome
	if p.confidential() {
		outer := respond(p.Outer)
		for _, f := range respond(p.Fields) {
			if i := slices.IndexFunc(outer, f.same); i >= 0 {
				outer = slices.Delete(slices.Clone(outer), i, i+1)
				continue
			}
			list = append(list, outcome{field: f})
		}
		for i := range list {
			for _, g := range outer {
				if strings.EqualFold(g.Name, list[i].field.Name) {
					list[i].shown, list[i].keep = g.Value, true
				}
			}
		}
	}
	return func(name, value string) (string, bool) {
		for _, o := range list {
			if o.field.same(Pair{name, value}) {
				return o.shown, o.keep
			}
		}
		return value, true
	}
}

// Reply drafts the header of a reply to everybody: what it takes from a header and how is
// what most mail programs do (RFC 5322, Section 3.6.4).
func Reply(fields []Pair) []Pair {
	get := func(name string) string {
		for _, f := range fields {
			if strings.EqualFold(f.Name, name) {
				return f.Value
			}
		}
		return ""
	}
	var draft []Pair
	add := func(name string, values ...string) {
		values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
		if len(values) == 0 {
			return
		}
		separator := ", "
		if name == "References" {
			separator = " "
		}
		draft = append(draft, Pair{name, strings.Join(values, separator)})
	}
	to := get("Reply-To")
	if to == "" {
		to = get("From")
	}
	add("To", to)
	add("Cc", get("To"), get("Cc"))
	if subject := get("Subject"); len(subject) >= 3 && strings.EqualFold(subject[:3], "re:") {
		add("Subject", subject)
	} else if subject != "" {
		add("Subject", "Re: "+subject)
	}
	add("In-Reply-To", get("Message-ID"))
	add("References", get("References"), get("Message-ID"))
	return draft
}
