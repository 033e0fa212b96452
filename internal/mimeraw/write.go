package mimeraw

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	foldAt  = 78  // octets of a line that should not be exceeded: RFC 5322, Section 2.1.1
	lineMax = 998 // octets of a line that must not be exceeded
)

// AppendField appends the field name ": " value to b, folded at white space where it gets
// long, with a CRLF at its end. Unfolded, the field has exactly this value. What could
// break out of the field or be read as something else is an error with the code
// [CodeInjection] and leaves b as it was: a name that is no field name, control characters
// (CR, LF and NUL among them), octets that are not UTF-8, white space around the value,
// and a word that no fold can make fit into a line.
func AppendField(b []byte, name, value string) ([]byte, error) {
	if !isFieldName(name) || strings.Trim(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return b, syntaxError(CodeInjection, "not a field name: "+quote(name))
	}
	if err := checkValue(value); err != nil {
		return b, err
	}
	if value != strings.Trim(value, " \t") {
		return b, syntaxError(CodeInjection, "white space around the value of field "+quote(name))
	}
	out := append(b, name...)
	out = append(out, ':', ' ')
	column := len(name) + 2
	if column > lineMax {
		return b, syntaxError(CodeInjection, "too long for a line: the field name "+quote(name))
	}
	for first := true; value != ""; first = false {
		// The white space before a word and the word.
		n := len(value) - len(strings.TrimLeft(value, " \t"))
		n += wordLength(value[n:])
		if !first && column+n > foldAt {
			out = append(out, '\r', '\n')
			column = 0
		}
		if column+n > lineMax {
			return b, syntaxError(CodeInjection, "a word too long for a line in field "+quote(name))
		}
		out = append(out, value[:n]...)
		column += n
		value = value[n:]
	}
	return append(out, '\r', '\n'), nil
}

func wordLength(text string) int {
	if n := strings.IndexAny(text, " \t"); n >= 0 {
		return n
	}
	return len(text)
}

// checkValue refuses what must not stand in a header.
func checkValue(value string) error {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return syntaxError(CodeInjection, "a control character in "+quote(value))
		}
	}
	if !utf8.ValidString(value) {
		return syntaxError(CodeInjection, "text that is not UTF-8 in "+quote(value))
	}
	return nil
}

// FormatMediaType prints a media type or a disposition with its parameters, in the order of
// their names. Values are quoted where they need it and written as RFC 2231, Section 4 has
// it where they are not ASCII. The errors are those of [AppendField].
func FormatMediaType(mediaType string, params map[string]string) (string, error) {
	for word := range strings.SplitSeq(mediaType, "/") {
		if !isTokenString(word) {
			return "", syntaxError(CodeInjection, "not a media type: "+quote(mediaType))
		}
	}
	var b strings.Builder
	b.WriteString(mediaType)
	for _, name := range slices.Sorted(maps.Keys(params)) {
		value := params[name]
		if !isTokenString(name) || strings.ContainsAny(name, "*'%") {
			return "", syntaxError(CodeInjection, "not a parameter name: "+quote(name))
		}
		if err := checkValue(value); err != nil {
			return "", err
		}
		b.WriteString("; ")
		b.WriteString(name)
		switch {
		case !isASCII(value):
			b.WriteString("*=utf-8''")
			for i := range len(value) {
				if c := value[i]; isToken(c) && strings.IndexByte("*'%", c) < 0 {
					b.WriteByte(c)
				} else {
					b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
				}
			}
		case isTokenString(value):
			b.WriteByte('=')
			b.WriteString(value)
		default:
			b.WriteString(`="`)
			b.WriteString(escapeQuoted(value))
			b.WriteByte('"')
		}
	}
	return b.String(), nil
}

// escapeQuoted prepares text to stand in a quoted string.
func escapeQuoted(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
}

func isTokenString(text string) bool {
	for i := range len(text) {
		if !isToken(text[i]) {
			return false
		}
	}
	return text != ""
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

// NewBoundary returns a boundary for a multipart from 128 random bits. No line of base64 or
// quoted-printable can hold it.
func NewBoundary() string {
	var b [16]byte
	rand.Read(b[:])
	return "=_" + hex.EncodeToString(b[:])
}
