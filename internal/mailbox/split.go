package mailbox

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/postseal/postseal/internal/limits"
)

// Split cuts an address at its last @ and returns the local part, with a quoted string
// unquoted, and the domain as lower-case A-labels. It refuses control characters, empty
// parts, unquoted specials, domain literals, trailing dots and invalid UTF-8.
func Split(address string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 || len(address) > limits.AddressLength || !utf8.ValidString(address) {
		return "", "", false
	}
	if local, ok = unquote(address[:at]); !ok {
		return "", "", false
	}
	if domain, ok = Domain(address[at+1:]); !ok {
		return "", "", false
	}
	return local, domain, true
}

// Domain returns a host name as lower-case A-labels. A-labels stay as they are: they are
// never decoded, so that two spellings cannot meet by way of a faulty one.
func Domain(name string) (string, bool) {
	if ascii(name) {
		if !hostname(name) {
			return "", false
		}
		return foldASCII(name), true
	}
	// The mapping of UTS 46 would turn these into dots and so change the label count.
	if strings.ContainsAny(name, "\u3002\uff0e\uff61") {
		return "", false
	}
	a, err := idna.Lookup.ToASCII(name)
	if err != nil || !ascii(a) || !hostname(a) {
		return "", false
	}
	return foldASCII(a), true
}

// unquote returns the meaning of a Local-part (RFC 5321, Section 4.1.2): a dot-string as
// it is, a quoted string without quotes and backslashes.
func unquote(s string) (string, bool) {
	if s[0] != '"' {
		for i := 0; i < len(s); i++ {
			if c := s[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`()<>[]:;@\,"`, c) >= 0 {
				return "", false
			}
		}
		return s, true
	}
	if len(s) < 3 || s[len(s)-1] != '"' {
		return "", false
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		c := s[i]
		if c == '\\' {
			if i++; i == len(s)-1 {
				return "", false
			}
			c = s[i]
		} else if c == '"' {
			return "", false
		}
		if c < ' ' || c == 0x7f {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), b.Len() > 0
}

// hostname reports whether s is letters, digits, hyphens and underscores in labels of 1
// to 63 octets. Underscores are no host name, but internal mail domains have them.
func hostname(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	label := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			if label == 0 || s[i-1] == '-' {
				return false
			}
			label = 0
			continue
		case c == '-':
			if label == 0 {
				return false
			}
		case c == '_', '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		default:
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return label > 0 && s[len(s)-1] != '-'
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// foldASCII lowers A-Z and nothing else: no locale and no Unicode case has a say.
func foldASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
