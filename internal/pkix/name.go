package pkix

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/text/unicode/norm"

	"github.com/postseal/postseal/internal/limits"
)

// Canonical returns a string that two Names share exactly when RFC 5280, Section 7.1
// calls them equal, and that is a prefix of another's exactly when the name is an
// ancestor of the other: every RDN is written with its length. It returns false for what
// is no Name, and for one with more than limits.NameText octets of text that is not plain
// ASCII, each of which takes a hundred times as long.
//
//	Name ::= SEQUENCE OF RelativeDistinguishedName
//	RelativeDistinguishedName ::= SET SIZE (1..MAX) OF AttributeTypeAndValue
//	AttributeTypeAndValue ::= SEQUENCE { type OBJECT IDENTIFIER, value ANY }
func Canonical(name []byte) (string, bool) {
	var stack [256]byte
	out := stack[:0]
	whole, rdns := cryptobyte.String(name), cryptobyte.String(nil)
	if !next(&whole, &rdns, asn1.SEQUENCE) || !whole.Empty() {
		return "", false
	}
	left := limits.NameText
	for !rdns.Empty() {
		var set cryptobyte.String
		if !next(&rdns, &set, asn1.SET) || set.Empty() {
			return "", false
		}
		var ok bool
		if out, ok = appendRDN(out, set, &left); !ok {
			return "", false
		}
	}
	return string(out), true
}

// SameName reports whether two Names are equal: their encodings are, or else RFC 5280,
// Section 7.1 says so. Senders re-encode names: the string types in a message need not be
// those of the certificate. A name that no certificate has room for is equal to itself only.
func SameName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if len(a) > limits.CertificateSize || len(b) > limits.CertificateSize {
		return false
	}
	x, ok := Canonical(a)
	if !ok {
		return false
	}
	y, ok := Canonical(b)
	return ok && x == y
}

// CanonicalRDN is Canonical for the content of one RelativeDistinguishedName, so that
// it can be appended to the canonical form of a Name (RFC 5280, Section 4.2.1.13).
func CanonicalRDN(set []byte) (string, bool) {
	left := limits.NameText
	out, ok := appendRDN(nil, set, &left)
	return string(out), ok && len(set) > 0
}

// appendRDN takes from left the octets of text that is not plain ASCII, and fails for more.
func appendRDN(out []byte, set cryptobyte.String, left *int) ([]byte, bool) {
	start := len(out)
	out = append(out, 0, 0, 0)
	attrs := 0
	for !set.Empty() {
		var ok bool
		if out, ok = appendAttribute(out, &set, left); !ok {
			return nil, false
		}
		attrs++
	}
	if attrs > 1 {
		out = sortAttributes(out, start+3)
	}
	n := len(out) - start - 3
	out[start], out[start+1], out[start+2] = byte(n>>16), byte(n>>8), byte(n)
	return out, n < 1<<24
}

func appendAttribute(out []byte, set *cryptobyte.String, left *int) ([]byte, bool) {
	var attr, id, v cryptobyte.String
	var tag asn1.Tag
	if !next(set, &attr, asn1.SEQUENCE) || !next(&attr, &id, asn1.OBJECT_IDENTIFIER) || !attr.ReadAnyASN1(&v, &tag) || !attr.Empty() || len(id) > 255 {
		return nil, false
	}
	start := len(out)
	out = append(out, 0, 0, 0, byte(len(id)))
	out = append(out, id...)
	if isText(tag) {
		out = append(out, 0)
		if out = appendText(out, tag, v, left); *left < 0 {
			return nil, false
		}
	} else {
		out = append(append(out, byte(tag)), v...)
	}
	n := len(out) - start - 3
	out[start], out[start+1], out[start+2] = byte(n>>16), byte(n>>8), byte(n)
	return out, true
}

// sortAttributes orders the attributes of a multi-valued RDN, which is a set.
func sortAttributes(out []byte, start int) []byte {
	var parts []string
	for rest := out[start:]; len(rest) > 0; {
		n := 3 + (int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2]))
		parts = append(parts, string(rest[:n]))
		rest = rest[n:]
	}
	slices.Sort(parts)
	out = out[:start]
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// universalString is not among cryptobyte's constants.
const (
	numericString   = asn1.Tag(18)
	visibleString   = asn1.Tag(26)
	universalString = asn1.Tag(28)
	bmpString       = asn1.Tag(30)
)

func isText(tag asn1.Tag) bool {
	switch tag {
	case asn1.UTF8String, asn1.PrintableString, asn1.IA5String, asn1.T61String, numericString, visibleString, universalString, bmpString:
		return true
	}
	return false
}

// appendText appends the prepared form of RFC 4518: case folded, NFKC, outer spaces
// dropped and inner runs of spaces cut to one.
func appendText(out []byte, tag asn1.Tag, v []byte, left *int) []byte {
	plain := tag != universalString && tag != bmpString
	for _, c := range v {
		if c >= utf8.RuneSelf || c < ' ' || c == 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return appendSpaced(out, v)
	}
	if *left -= len(v); *left < 0 {
		return out
	}
	text, ok := decodeText(tag, v)
	if !ok {
		return append(append(out, byte(tag)), v...)
	}
	return appendSpaced(out, []byte(prepare(text)))
}

// appendSpaced folds A-Z and insignificant spaces (RFC 4518, Section 2.6.1).
func appendSpaced(out []byte, v []byte) []byte {
	start, gap := len(out), false
	for _, c := range v {
		if c == ' ' {
			gap = len(out) > start
			continue
		}
		if gap {
			out, gap = append(out, ' '), false
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		out = append(out, c)
	}
	return out
}

// prepare maps, folds and normalises (RFC 4518, Sections 2.2 and 2.3). The fold comes
// twice because compatibility decomposition brings forth capitals. The two letters i of
// Turkish, whose simple folding meets the common one, are letters of their own.
func prepare(s string) string {
	fold := func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\v' || r == '\f' || r == '\r' || r == 0x85 || unicode.Is(unicode.Z, r):
			return ' '
		case r == 0xad || r == 0x34f || r == 0x1806 || r == 0xfffc || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r):
			return -1
		case r == 'ı':
			return r
		}
		return unicode.ToLower(unicode.ToUpper(r))
	}
	s = strings.ReplaceAll(s, "İ", "i\u0307")
	s = strings.Map(fold, norm.NFKC.String(strings.Map(fold, s)))
	return norm.NFKC.String(strings.ReplaceAll(s, "ß", "ss"))
}

// decodeText converts a directory string to UTF-8. Teletex is read as Latin-1, which is
// what issuers put there.
func decodeText(tag asn1.Tag, v []byte) (string, bool) {
	switch tag {
	case asn1.UTF8String:
		return string(v), utf8.Valid(v)
	case bmpString:
		if len(v)%2 != 0 {
			return "", false
		}
		units := make([]uint16, len(v)/2)
		for i := range units {
			units[i] = uint16(v[2*i])<<8 | uint16(v[2*i+1])
		}
		runes := utf16.Decode(units)
		// Half of a pair would equal every other half.
		if !slices.Equal(utf16.Encode(runes), units) {
			return "", false
		}
		return string(runes), true
	case universalString:
		if len(v)%4 != 0 {
			return "", false
		}
		runes := make([]rune, len(v)/4)
		for i := range runes {
			runes[i] = rune(v[4*i])<<24 | rune(v[4*i+1])<<16 | rune(v[4*i+2])<<8 | rune(v[4*i+3])
			if !utf8.ValidRune(runes[i]) {
				return "", false
			}
		}
		return string(runes), true
	}
	if tag != asn1.T61String && utf8.Valid(v) {
		return string(v), true // QUIRK: UTF-8 in PrintableString or IA5String
	}
	runes := make([]rune, len(v))
	for i, c := range v {
		runes[i] = rune(c)
	}
	return string(runes), true
}

// AnyText returns the text of a DER element that is a string of any type, on its own or
// alone in a SEQUENCE; "" if it is none.
func AnyText(der []byte) string {
	s := cryptobyte.String(der)
	var v cryptobyte.String
	var tag asn1.Tag
	if s.PeekASN1Tag(asn1.SEQUENCE) && !next(&s, &s, asn1.SEQUENCE) {
		return ""
	}
	if !s.ReadAnyASN1(&v, &tag) || !isText(tag) {
		return ""
	}
	text, _ := decodeText(tag, v)
	return text
}
