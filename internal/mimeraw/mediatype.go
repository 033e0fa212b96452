package mimeraw

import (
	"maps"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/limits"
)

// A MediaType is the value of a Content-Type field.
type MediaType struct {
	Type    string            // type "/" subtype in lower case, without parameters
	Params  map[string]string // by lower-case name; decoded to UTF-8 where RFC 2231 was used
	Defects []string          // codes of what was read leniently

	odd map[string]bool // names of parameters that were not written in the plain form
}

// ParseMediaType reads the value of a Content-Type field (RFC 2045, Section 5.1), with
// comments, quoted strings and the extensions of RFC 2231. A trailing semicolon is taken.
// One name given twice, or both plainly and extended, is an error: mail programs choose
// differently. With an error the MediaType holds what was read before it.
func ParseMediaType(value string) (MediaType, error) {
	s := scanner{text: value, code: CodeParameter}
	s.skip()
	t := s.token()
	if t == "" || !s.take('/') {
		return MediaType{}, syntaxError(CodeMediaType, "no media type in "+quote(value))
	}
	sub := s.token()
	if sub == "" {
		return MediaType{}, syntaxError(CodeMediaType, "no subtype in "+quote(value))
	}
	m := MediaType{Type: strings.ToLower(t + "/" + sub)}
	return m, m.parameters(&s)
}

// ParseDisposition reads the value of a Content-Disposition field (RFC 2183) by the same
// rules. The disposition, such as "attachment", is the Type of the result.
func ParseDisposition(value string) (MediaType, error) {
	s := scanner{text: value, code: CodeParameter}
	s.skip()
	t := s.token()
	if t == "" {
		return MediaType{}, syntaxError(CodeMediaType, "no disposition in "+quote(value))
	}
	m := MediaType{Type: strings.ToLower(t)}
	return m, m.parameters(&s)
}

// IsMultipart reports whether m is any multipart type.
func (m MediaType) IsMultipart() bool { return strings.HasPrefix(m.Type, "multipart/") }

// Boundary returns the boundary parameter. It must have 1 to 70 printable ASCII octets, no
// space at its end (RFC 2046, Section 5.1.1), and be written plainly: quoted pairs and
// RFC 2231 forms are refused because mail programs differ in reading them.
func (m MediaType) Boundary() (string, error) {
	b, ok := m.Params["boundary"]
	what := ""
	switch {
	case !ok:
		what = "no boundary parameter"
	case m.odd["boundary"]:
		what = "a boundary parameter that is not written plainly"
	case b == "":
		what = "an empty boundary"
	case len(b) > limits.BoundaryLength:
		what = "a boundary longer than 70 octets"
	case b[len(b)-1] == ' ':
		what = "a boundary that ends in a space"
	}
	for i := range len(b) {
		if b[i] < ' ' || b[i] > '~' {
			what = "a boundary with characters outside ASCII"
		}
	}
	if what != "" {
		return "", syntaxError(CodeBoundary, what)
	}
	return b, nil
}

// A segment is one parameter as written: a whole one or a piece of RFC 2231, Section 3.
type segment struct {
	value    string
	extended bool // the name ended in "*": percent-encoded
}

func (m *MediaType) parameters(s *scanner) error {
	whole := map[string]segment{}
	pieces := map[string]map[int]segment{}
	names := map[string]bool{}
	for {
		s.skip()
		if s.err != nil {
			return s.err
		}
		if s.done() {
			break
		}
		if !s.take(';') {
			return syntaxError(CodeParameter, "no semicolon before a parameter in "+quote(s.text))
		}
		s.skip()
		if s.err != nil {
			return s.err
		}
		if s.done() || s.peek() == ';' {
			continue
		}
		written := strings.ToLower(s.token())
		s.skip()
		if written == "" || !s.take('=') {
			return syntaxError(CodeParameter, "a parameter without name or value in "+quote(s.text))
		}
		s.skip()
		value, plain := s.value()
		if s.err != nil {
			return s.err
		}
		if s.lax {
			m.Defects = addCode(m.Defects, CodeParameterSyntax)
			s.lax = false
		}
		name, index, extended, ok := splitParameterName(written)
		if !ok {
			return syntaxError(CodeParameter, "a malformed parameter name "+quote(written))
		}
		if !plain || extended || index >= 0 {
			if m.odd == nil {
				m.odd = map[string]bool{}
			}
			m.odd[name] = true
		}
		if index >= 0 {
			if pieces[name] == nil {
				pieces[name] = map[int]segment{}
			}
			if _, twice := pieces[name][index]; twice {
				return syntaxError(CodeDuplicateParam, "parameter "+quote(written)+" occurs twice")
			}
			pieces[name][index] = segment{value, extended}
		} else {
			if names[name] {
				return syntaxError(CodeDuplicateParam, "parameter "+quote(name)+" occurs twice")
			}
			whole[name] = segment{value, extended}
			names[name] = true
		}
	}
	return m.assemble(whole, pieces)
}

// assemble joins and decodes what parameters collected.
func (m *MediaType) assemble(whole map[string]segment, pieces map[string]map[int]segment) error {
	m.Params = make(map[string]string, len(whole)+len(pieces))
	for _, name := range slices.Sorted(maps.Keys(pieces)) {
		if _, both := whole[name]; both {
			return syntaxError(CodeDuplicateParam, "parameter "+quote(name)+" occurs whole and in pieces")
		}
		list := pieces[name]
		first, ok := list[0]
		if !ok {
			return syntaxError(CodeParameter, "parameter "+quote(name)+" has no first piece")
		}
		var octets strings.Builder
		charset := ""
		for i := range len(list) {
			piece, ok := list[i]
			if !ok {
				return syntaxError(CodeParameter, "parameter "+quote(name)+" lacks a piece")
			}
			if !piece.extended {
				octets.WriteString(piece.value)
				continue
			}
			text := piece.value
			if i == 0 {
				charset, text, ok = splitCharset(text)
				if !ok {
					return syntaxError(CodeParameter, "parameter "+quote(name)+" names no character set")
				}
			}
			if !first.extended {
				return syntaxError(CodeParameter, "parameter "+quote(name)+" names no character set")
			}
			decoded, ok := percentDecode(text)
			if !ok {
				return syntaxError(CodeParameter, "parameter "+quote(name)+" has a malformed percent sign")
			}
			octets.WriteString(decoded)
		}
		m.Params[name] = octets.String()
		if first.extended {
			m.Params[name] = toUTF8(charset, octets.String())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		seg := whole[name]
		if seg.extended {
			charset, text, ok := splitCharset(seg.value)
			if !ok {
				return syntaxError(CodeParameter, "parameter "+quote(name)+" names no character set")
			}
			decoded, ok := percentDecode(text)
			if !ok {
				return syntaxError(CodeParameter, "parameter "+quote(name)+" has a malformed percent sign")
			}
			seg.value = toUTF8(charset, decoded)
		}
		m.Params[name] = seg.value
	}
	return nil
}

// splitParameterName takes apart a name such as "filename*2*" (RFC 2231, Section 7). index
// is -1 for a parameter that is not in pieces.
func splitParameterName(written string) (name string, index int, extended, ok bool) {
	name, rest, star := strings.Cut(written, "*")
	if !star {
		return name, -1, false, true
	}
	if rest == "" {
		return name, -1, true, name != ""
	}
	rest, extended = strings.CutSuffix(rest, "*")
	if len(rest) == 0 || len(rest) > 3 || len(rest) > 1 && rest[0] == '0' {
		return name, 0, false, false
	}
	for i := range len(rest) {
		if rest[i] < '0' || rest[i] > '9' {
			return name, 0, false, false
		}
		index = index*10 + int(rest[i]-'0')
	}
	return name, index, extended, name != ""
}

// splitCharset takes apart charset'language'text (RFC 2231, Section 4).
func splitCharset(value string) (charset, text string, ok bool) {
	charset, rest, ok1 := strings.Cut(value, "'")
	_, text, ok2 := strings.Cut(rest, "'")
	return charset, text, ok1 && ok2
}

func percentDecode(text string) (string, bool) {
	if !strings.Contains(text, "%") {
		return text, true
	}
	octets := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			octets = append(octets, text[i])
			continue
		}
		if i+2 >= len(text) {
			return "", false
		}
		hi, lo := fromHex(text[i+1]), fromHex(text[i+2])
		if hi > 15 || lo > 15 {
			return "", false
		}
		octets = append(octets, hi<<4|lo)
		i += 2
	}
	return string(octets), true
}

// fromHex returns the value of a hexadecimal digit, or 255.
func fromHex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}
