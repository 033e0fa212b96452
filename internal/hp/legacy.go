package hp

import (
	"bytes"
	"html"
	"strings"
)

// The class that marks a Legacy Display Element in HTML (RFC 9788, Section 5.2.3).
const legacyClass = "header-protection-legacy-display"

// AddLegacyDisplay returns the text of a main body part with the hidden fields written
// above it, for readers whose program knows nothing of header protection (RFC 9788,
// Sections 5.2.2 and 5.2.3). mediaType is text/plain or text/html; lines end in CRLF. The
// part must be marked with the parameter hp-legacy-display="1".
func AddLegacyDisplay(mediaType string, text []byte, hidden []Pair) []byte {
	var lines strings.Builder
	for _, f := range hidden {
		lines.WriteString(f.Name + ": " + f.Value + "\r\n")
	}
	if mediaType != "text/html" {
		return append([]byte(lines.String()+"\r\n"), text...)
	}
	element := `<div class="` + legacyClass + `"><pre>` +
		html.EscapeString(strings.TrimSuffix(lines.String(), "\r\n")) + "</pre></div>\r\n"
	at := max(0, bodyStart(text))
	out := append([]byte(nil), text[:at]...)
	return append(append(out, element...), text[at:]...)
}

// bodyStart returns the place behind the body tag, or -1.
func bodyStart(text []byte) int {
	lower := bytes.ToLower(text)
	for from := 0; ; {
		i := bytes.Index(lower[from:], []byte("<body"))
		if i < 0 {
			return -1
		}
		from += i + len("<body")
		if from < len(lower) && strings.IndexByte(" \t\r\n>", lower[from]) >= 0 {
			if end := bytes.IndexByte(lower[from:], '>'); end >= 0 {
				return from + end + 1
			}
			return -1
		}
	}
}

// RemoveLegacyDisplay returns the text of a part that is marked as having a Legacy Display
// Element without it (RFC 9788, Section 4.5.3). Text of which the element cannot be found
// is returned as it is.
func RemoveLegacyDisplay(mediaType string, text []byte) []byte {
	if mediaType == "text/html" {
		return removeDiv(text)
	}
	rest := text
	for len(rest) > 0 {
		line, after, found := bytes.Cut(rest, []byte("\n"))
		if len(bytes.TrimRight(line, "\r")) == 0 && found {
			return after
		}
		rest = after
	}
	return text
}

// removeDiv cuts the first div element with the class, and all of what is inside it, out
// of HTML.
func removeDiv(text []byte) []byte {
	lower := bytes.ToLower(text)
	start := -1
	depth := 0
	for at := 0; at < len(lower); {
		i := bytes.IndexByte(lower[at:], '<')
		if i < 0 {
			break
		}
		at += i
		end := bytes.IndexByte(lower[at:], '>')
		if end < 0 {
			break
		}
		end += at + 1
		tag := string(lower[at:end])
		switch {
		case start < 0 && isTag(tag, "<div") && hasClass(tag):
			start, depth = at, 1
		case start >= 0 && isTag(tag, "<div"):
			depth++
		case start >= 0 && isTag(tag, "</div"):
			if depth--; depth == 0 {
				return append(append([]byte(nil), text[:start]...), text[end:]...)
			}
		}
		at = end
	}
	return text
}

func isTag(tag, name string) bool {
	rest, ok := strings.CutPrefix(tag, name)
	return ok && rest != "" && strings.IndexByte(" \t\r\n>/", rest[0]) >= 0
}

// hasClass reports whether the class attribute of a tag in lower case names the mark.
func hasClass(tag string) bool {
	_, value, ok := strings.Cut(tag, "class")
	if !ok {
		return false
	}
	value = strings.TrimLeft(value, " \t\r\n")
	value, ok = strings.CutPrefix(value, "=")
	if !ok {
		return false
	}
	value = strings.TrimLeft(value, " \t\r\n")
	if quote := value[:1]; quote == `"` || quote == "'" {
		value, _, _ = strings.Cut(value[1:], quote)
	} else {
		value, _, _ = strings.Cut(strings.TrimRight(value, ">"), " ")
	}
	for word := range strings.FieldsSeq(value) {
		if word == legacyClass {
			return true
		}
	}
	return false
}
