package mimeraw

import (
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DisplayText returns an unstructured value, such as a Subject, as a person reads it: with
// its encoded words (RFC 2047) decoded, where their character set is UTF-8, ASCII or
// ISO 8859-1, and with every character that is invisible or changes the direction of the
// text replaced by U+FFFD. odd says that there were such characters. Nothing is decided on
// the ground of what this returns.
func DisplayText(value string) (text string, odd bool) {
	var d mime.WordDecoder
	if decoded, err := d.DecodeHeader(value); err == nil {
		value = decoded
	}
	return Harmless(value)
}

// Harmless is DisplayText for a text without encoded words, such as an address.
func Harmless(text string) (string, bool) {
	text = strings.ToValidUTF8(text, "\uFFFD")
	odd := false
	text = strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if isInvisible(r) {
			odd = true
			return utf8.RuneError
		}
		return r
	}, text)
	return text, odd
}

// isInvisible reports whether r shows nothing or moves what stands beside it: controls,
// formatting characters (all bidirectional controls among them), line separators, and
// the letters that are drawn blank.
func isInvisible(r rune) bool {
	switch r {
	case 0x200C, 0x200D: // joiners, which Persian words and emoji need
		return false
	case 0x115F, 0x1160, 0x2800, 0x3164, 0xFFA0: // Hangul fillers, blank Braille
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co)
}

// toUTF8 decodes an extended parameter value (RFC 2231, Section 4). A character set other
// than UTF-8, ASCII and ISO 8859-1 is read as UTF-8 as far as it goes.
func toUTF8(charset, octets string) string {
	if strings.EqualFold(charset, "iso-8859-1") {
		var b strings.Builder
		for i := range len(octets) {
			b.WriteRune(rune(octets[i]))
		}
		return b.String()
	}
	return strings.ToValidUTF8(octets, "\uFFFD")
}
