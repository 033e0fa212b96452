package mimeraw

import (
	"bytes"
	"strings"

	"github.com/postseal/postseal/internal/limits"
)

// A Field is one field of a header.
type Field struct {
	Name string // as it is written, without the white space that may stand before the colon; empty if Raw is no field
	Raw  []byte // all octets as received: name, colon, folds and line end
}

// Value returns the value of f without folds and without white space around it. Nothing
// is decoded; see [DisplayText].
func (f Field) Value() string {
	raw := f.Raw
	if f.Name != "" {
		raw = raw[bytes.IndexByte(raw, ':')+1:]
	}
	if bytes.IndexByte(bytes.TrimSuffix(raw, []byte("\n")), '\n') < 0 {
		return strings.Trim(string(raw), " \t\r\n")
	}
	// RFC 5322, Section 2.2.3: unfolding takes away the line end, not the white space.
	value := make([]byte, 0, len(raw))
	for line := range bytes.Lines(raw) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		value = append(value, bytes.TrimSuffix(line, []byte("\r"))...)
	}
	return strings.Trim(string(value), " \t\r")
}

// A Header is the header of a message or of a part, byte for byte.
type Header struct {
	Fields  []Field  // in order; lines that are no field are kept, with an empty name
	Raw     []byte   // all octets up to and with the blank line, a line before the header too
	Mbox    []byte   // that line, if there was one: "From " of a mailbox file, or one of HTTP
	Defects []Defect // what other readers may read differently, in order
}

// Get returns the value of the first field called name, and how many fields there are of
// that name. Names are compared without case.
func (h *Header) Get(name string) (value string, count int) {
	for i := range h.Fields {
		if strings.EqualFold(h.Fields[i].Name, name) {
			if count == 0 {
				value = h.Fields[i].Value()
			}
			count++
		}
	}
	return value, count
}

// Values returns the values of all fields called name, in order.
func (h *Header) Values(name string) []string {
	var values []string
	for i := range h.Fields {
		if strings.EqualFold(h.Fields[i].Name, name) {
			values = append(values, h.Fields[i].Value())
		}
	}
	return values
}

// Codes returns the codes of the defects, each once, in order.
func (h *Header) Codes() []string {
	var codes []string
	for _, d := range h.Defects {
		codes = addCode(codes, d.Code)
	}
	return codes
}

func isBlankLine(line []byte) bool { return string(line) == "\n" || string(line) == "\r\n" }

// headerStart looks at the first octets of a text and says whether a header begins there:
// a field, or a blank line, or nothing at all behind an mbox line. mbox is the length of
// the mbox line.
func headerStart(data []byte) (mbox int, ok bool) {
	mbox = mboxLine(data)
	data = data[mbox:]
	if len(data) == 0 || data[0] == '\n' || bytes.HasPrefix(data, []byte("\r\n")) {
		return mbox, mbox > 0 || len(data) > 0
	}
	name := bytes.IndexByte(data, ':')
	if name < 0 || !isFieldName(bytes.TrimRight(data[:name], " \t")) {
		return 0, false
	}
	return mbox, true
}

// mboxLine returns the length of a line such as "From alice@example.com Mon Jun  1
// 00:00:00 2026" at the beginning of data, or 0. Text that begins with the word From is
// told from it by the time of day and the year.
func mboxLine(data []byte) int {
	if n := httpLine(data); n > 0 {
		return n
	}
	if !bytes.HasPrefix(data, []byte("From ")) {
		return 0
	}
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		return 0
	}
	words := strings.Fields(string(data[:end]))
	if len(words) < 4 || strings.HasPrefix(words[1], ":") {
		return 0
	}
	var clock, year bool
	for _, w := range words[2:] {
		digits := strings.Trim(w, "0123456789") == ""
		year = year || digits && len(w) == 4
		clock = clock || (len(w) == 8 || len(w) == 5) && w[2] == ':' && strings.Trim(w, "0123456789:") == ""
	}
	if !clock || !year {
		return 0
	}
	return end + 1
}

// httpLine returns the length of an HTTP request or status line at the beginning of data,
// or 0: messages of AS2 are kept with it (RFC 4130, Section 5).
func httpLine(data []byte) int {
	line, _, found := bytes.Cut(data, []byte("\n"))
	text := bytes.TrimSuffix(line, []byte("\r"))
	request := bytes.HasPrefix(text, []byte("POST ")) && (bytes.HasSuffix(text, []byte(" HTTP/1.1")) || bytes.HasSuffix(text, []byte(" HTTP/1.0")))
	if !found || !request && !bytes.HasPrefix(text, []byte("HTTP/1.")) {
		return 0
	}
	return len(line) + 1
}

// isFieldName reports whether name is a field name as RFC 5322, Section 3.6.8 has it.
func isFieldName[T string | []byte](name T) bool {
	for i := range len(name) {
		if name[i] <= ' ' || name[i] >= 0x7f || name[i] == ':' {
			return false
		}
	}
	return len(name) > 0
}

// parse fills Fields and Defects from Raw, whose first mbox octets are an mbox line.
func (h *Header) parse(mbox int) error {
	line := 1
	if mbox > 0 {
		h.Mbox = h.Raw[:mbox:mbox]
		code := CodeMboxLine
		if h.Mbox[0] != 'F' {
			code = CodeHTTPLine
		}
		h.Defects = append(h.Defects, Defect{Code: code, Line: 1})
		line++
	}
	start, blank := mbox, false
	for pos := mbox; pos < len(h.Raw) && !blank; line++ {
		end := len(h.Raw)
		if n := bytes.IndexByte(h.Raw[pos:], '\n'); n >= 0 {
			end = pos + n + 1
		}
		text := h.Raw[pos:end]
		if isBlankLine(text) {
			blank = true
			break
		}
		if len(h.Fields) > 0 && (text[0] == ' ' || text[0] == '\t') {
			if len(bytes.Trim(text, " \t\r\n")) == 0 {
				h.defect(CodeBlankFold, line)
			}
			h.Fields[len(h.Fields)-1].Raw = h.Raw[start:end:end]
		} else {
			if len(h.Fields) == limits.HeaderFields {
				return exceeded("fields in a header", limits.HeaderFields)
			}
			start = pos
			h.Fields = append(h.Fields, Field{Raw: h.Raw[start:end:end]})
			h.name(text, line)
		}
		h.octets(text, line)
		pos = end
	}
	if !blank {
		h.defect(CodeHeaderOnly, line)
	}
	return nil
}

// name reads the name of the newest field from its first line.
func (h *Header) name(text []byte, line int) {
	f := &h.Fields[len(h.Fields)-1]
	colon := bytes.IndexByte(text, ':')
	if colon < 0 {
		h.defect(CodeMalformedField, line)
		return
	}
	name := bytes.TrimRight(text[:colon], " \t")
	if !isFieldName(name) {
		h.defect(CodeMalformedField, line)
		return
	}
	f.Name = string(name)
	if len(name) < colon {
		h.defect(CodeSpaceBeforeColon, line)
	}
	if !isSingleton(f.Name) {
		return
	}
	for i := range h.Fields[:len(h.Fields)-1] {
		if strings.EqualFold(h.Fields[i].Name, f.Name) {
			h.defect(CodeDuplicateField, line)
			return
		}
	}
}

// octets looks for characters that have no place in a header line.
func (h *Header) octets(text []byte, line int) {
	text = bytes.TrimSuffix(text, []byte("\n"))
	text = bytes.TrimSuffix(text, []byte("\r"))
	var nul, cr, control bool
	for _, c := range text {
		switch {
		case c == 0:
			nul = true
		case c == '\r':
			cr = true
		case c < ' ' && c != '\t' || c == 0x7f:
			control = true
		}
	}
	if nul {
		h.defect(CodeNUL, line)
	}
	if cr {
		h.defect(CodeBareCR, line)
	}
	if control {
		h.defect(CodeControl, line)
	}
}

func (h *Header) defect(code string, line int) {
	d := Defect{Code: code, Line: line}
	if n := len(h.Fields); n > 0 {
		d.Field = h.Fields[n-1].Name
	}
	h.Defects = append(h.Defects, d)
}

// isSingleton reports whether a field may occur only once: RFC 5322, Section 3.6, and the
// fields of RFC 2045 and RFC 2183.
func isSingleton(name string) bool {
	switch strings.ToLower(name) {
	case "date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id",
		"in-reply-to", "references", "subject",
		"mime-version", "content-type", "content-transfer-encoding", "content-id",
		"content-description", "content-disposition":
		return true
	}
	return false
}
