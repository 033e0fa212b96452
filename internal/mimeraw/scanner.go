package mimeraw

import (
	"strconv"
	"strings"
)

// A scanner reads the tokens of an unfolded structured field: RFC 2045, Section 5.1, with
// the comments and quoted strings of RFC 5322, Section 3.2. It keeps its first error.
type scanner struct {
	text string
	pos  int
	lax  bool   // a value was read that should have been quoted
	code string // of the errors
	err  error
}

func (s *scanner) done() bool { return s.pos >= len(s.text) }

// peek returns the next octet, or 0 at the end.
func (s *scanner) peek() byte {
	if s.done() {
		return 0
	}
	return s.text[s.pos]
}

func (s *scanner) take(c byte) bool {
	if s.done() || s.text[s.pos] != c {
		return false
	}
	s.pos++
	return true
}

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = syntaxError(s.code, what+" in "+quote(s.text))
	}
}

// skip passes white space and comments, nested ones too, and returns whether there were
// any comments.
func (s *scanner) skip() (comment bool) {
	depth := 0
	for ; s.pos < len(s.text); s.pos++ {
		switch c := s.text[s.pos]; {
		case c == '(':
			depth++
			comment = true
		case depth == 0 && c != ' ' && c != '\t':
			return comment
		case c == ')':
			depth--
		case c == '\\':
			s.pos++
		case c < ' ' && c != '\t' || c == 0x7f:
			s.fail("a control character")
			return comment
		}
	}
	if depth > 0 {
		s.fail("a comment without end")
	}
	s.pos = min(s.pos, len(s.text))
	return comment
}

// token reads the longest token (RFC 2045, Section 5.1) here, which may be empty.
func (s *scanner) token() string {
	start := s.pos
	for s.pos < len(s.text) && isToken(s.text[s.pos]) {
		s.pos++
	}
	return s.text[start:s.pos]
}

// value reads a token or a quoted string. plain is false if the value depends on how
// quoted pairs are read.
func (s *scanner) value() (value string, plain bool) {
	if s.peek() == '"' {
		return s.quoted()
	}
	start := s.pos
	for s.pos < len(s.text) {
		c := s.text[s.pos]
		if !isToken(c) {
			// QUIRK: several senders leave boundaries and charsets with these unquoted.
			if c == 0 || strings.IndexByte("=/:?@[]", c) < 0 {
				break
			}
			s.lax = true
		}
		s.pos++
	}
	if start == s.pos {
		s.fail("a parameter without value")
	}
	return s.text[start:s.pos], true
}

// quoted reads a quoted string, whose opening quote is next.
func (s *scanner) quoted() (value string, plain bool) {
	s.pos++
	plain = true
	var b []byte
	for ; s.pos < len(s.text); s.pos++ {
		c := s.text[s.pos]
		switch {
		case c == '"':
			s.pos++
			return string(b), plain
		case c == '\\' && s.pos+1 < len(s.text):
			s.pos++
			c = s.text[s.pos]
			plain = false
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			s.fail("a control character")
			return "", false
		}
		b = append(b, c)
	}
	s.fail("a quoted string without end")
	return "", false
}

// isToken reports whether c may stand in a token: printable ASCII other than tspecials.
func isToken(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}

// quote prints untrusted text in a message for people, shortened.
func quote(text string) string {
	if len(text) > 80 {
		text = text[:80] + "..."
	}
	return strconv.QuoteToASCII(text)
}
