package mimeraw

import (
	"strings"
	"unicode/utf8"

	"github.com/postseal/postseal/internal/limits"
)

// An Address is one mailbox of an address list (RFC 5322, Section 3.4).
type Address struct {
	Name   string // the display name, for display only, as [DisplayText] gives it
	Local  string // the local part, without the quotes it may be written in
	Domain string // as it is written; a domain literal with its brackets
	Group  string // the name of the group it stands in, for display only
}

// Addr returns the address without the display name. The local part is quoted if it has
// to be, so that the last "@" is the one between the two parts.
func (a Address) Addr() string {
	if isDotAtom(a.Local) {
		return a.Local + "@" + a.Domain
	}
	return `"` + escapeQuoted(a.Local) + `"@` + a.Domain
}

// ParseAddresses reads the value of a field such as From or To. The syntax is that of
// RFC 5322, Section 3.4 without its obsolete forms (routes, white space inside a
// dot-atom, empty list elements, control characters) and with UTF-8 as RFC 6532 adds it.
// The one leniency is a dot in a display name without quotes. Encoded words are decoded in
// display names only. Any mistake anywhere fails the whole list with [CodeAddress].
func ParseAddresses(value string) ([]Address, error) {
	list, _, err := parseAddresses(value)
	return list, err
}

// parseAddresses also returns how many groups there are, those with nobody in them too.
func parseAddresses(value string) (list []Address, groups int, err error) {
	p := addressParser{scanner: scanner{text: value, code: CodeAddress}}
	if !utf8.ValidString(value) {
		return nil, 0, syntaxError(CodeAddress, "an address that is not UTF-8: "+quote(value))
	}
	p.list()
	if p.err != nil {
		return nil, 0, p.err
	}
	return p.found, p.groups, nil
}

// FromAddress returns the author of a message: the only mailbox of the only From field.
// Anything else, a group too, is an error: several From fields have [CodeDuplicateField],
// a malformed one has [CodeAddress], none or another number of mailboxes has [CodeFrom].
func FromAddress(h *Header) (Address, error) {
	value, n := h.Get("From")
	switch {
	case n == 0:
		return Address{}, syntaxError(CodeFrom, "no From field")
	case n > 1:
		return Address{}, syntaxError(CodeDuplicateField, "more than one From field")
	}
	list, groups, err := parseAddresses(value)
	if err != nil {
		return Address{}, err
	}
	if len(list) != 1 || groups > 0 {
		return Address{}, syntaxError(CodeFrom, "not exactly one mailbox in From: "+quote(value))
	}
	return list[0], nil
}

type addressParser struct {
	scanner
	found   []Address
	group   string
	inGroup bool
	groups  int
}

// A word is an atom, which may have dots, or a quoted string.
type word struct {
	text   string
	quoted bool
}

func (p *addressParser) list() {
	for p.err == nil {
		p.one()
		if p.err == nil && p.inGroup && p.take(';') {
			p.inGroup, p.group = false, ""
			p.skip()
		}
		switch {
		case p.err != nil:
		case p.done():
			if p.inGroup {
				p.fail("a group without end")
			}
			return
		case !p.take(','):
			p.fail("something behind an address")
		}
	}
}

// one reads a mailbox, or the beginning of a group and its first mailbox if there is one.
func (p *addressParser) one() {
	words := p.phrase()
	if p.err != nil {
		return
	}
	switch {
	case p.take('@'):
		if len(words) != 1 {
			p.fail("a local part of several words")
			return
		}
		p.add("", words[0], p.domain())
	case p.take('<'):
		p.angle(words)
	case p.take(':'):
		if p.inGroup || len(words) == 0 {
			p.fail("a colon")
			return
		}
		p.inGroup, p.group = true, displayName(words)
		p.groups++
		p.skip()
		if p.peek() != ';' {
			p.one()
		}
	default:
		p.fail("no address")
	}
}

// angle reads the rest of display-name "<" addr-spec ">".
func (p *addressParser) angle(name []word) {
	words := p.phrase()
	if p.err == nil && (len(words) != 1 || !p.take('@')) {
		p.fail("no address in angle brackets")
	}
	if p.err != nil {
		return
	}
	domain := p.domain()
	if p.err == nil && !p.take('>') {
		p.fail("an angle bracket without end")
	}
	p.skip()
	p.add(displayName(name), words[0], domain)
}

func (p *addressParser) add(name string, local word, domain string) {
	if p.err == nil && !local.quoted && !isDotAtom(local.text) {
		p.fail("dots in the wrong place")
	}
	a := Address{Name: name, Local: local.text, Domain: domain, Group: p.group}
	if p.err == nil && len(a.Addr()) > limits.AddressLength {
		p.fail("an address that is too long")
	}
	p.found = append(p.found, a)
}

// phrase reads words and the comments around them.
func (p *addressParser) phrase() []word {
	var words []word
	for {
		p.skip()
		if p.err != nil {
			return nil
		}
		if p.peek() == '"' {
			text, _ := p.quoted()
			words = append(words, word{text, true})
			continue
		}
		start := p.pos
		for p.pos < len(p.text) && (isAtext(p.text[p.pos]) || p.text[p.pos] == '.') {
			p.pos++
		}
		if start == p.pos {
			return words
		}
		words = append(words, word{p.text[start:p.pos], false})
	}
}

// domain reads a dot-atom or a domain literal and the comments around it.
func (p *addressParser) domain() string {
	p.skip()
	start := p.pos
	if p.take('[') {
		for c := p.peek(); c > ' ' && c != 0x7f && c != '[' && c != '\\' && c != ']'; c = p.peek() {
			p.pos++
		}
		if !p.take(']') {
			p.fail("a malformed domain literal")
		}
	} else {
		for p.pos < len(p.text) && (isAtext(p.text[p.pos]) || p.text[p.pos] == '.') {
			p.pos++
		}
		if !isDotAtom(p.text[start:p.pos]) {
			p.fail("a malformed domain")
		}
	}
	domain := p.text[start:p.pos]
	p.skip()
	return domain
}

// isAtext reports whether c may stand in an atom: RFC 5322, Section 3.2.3 and RFC 6532,
// Section 3.2.
func isAtext(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`()<>[]:;@\,."`, c) < 0
}

// isDotAtom reports whether text is atoms with single dots between them.
func isDotAtom(text string) bool {
	for atom := range strings.SplitSeq(text, ".") {
		if atom == "" {
			return false
		}
		for i := range len(atom) {
			if !isAtext(atom[i]) {
				return false
			}
		}
	}
	return true
}

// displayName joins the words of a display name. Encoded words count outside of quotes
// only (RFC 2047, Section 5).
func displayName(words []word) string {
	var name, atoms []string
	flush := func() {
		if len(atoms) > 0 {
			text, _ := DisplayText(strings.Join(atoms, " "))
			name = append(name, text)
			atoms = nil
		}
	}
	for _, w := range words {
		if w.quoted {
			flush()
			text, _ := Harmless(w.text)
			name = append(name, text)
		} else {
			atoms = append(atoms, w.text)
		}
	}
	flush()
	return strings.Join(name, " ")
}
