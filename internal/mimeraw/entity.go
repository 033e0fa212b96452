package mimeraw

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"github.com/postseal/postseal/internal/limits"
)

// An Entity is a message or a part: a header and a body.
type Entity struct {
	Header *Header
	Body   io.Reader // every octet after the blank line, as received; also an io.WriterTo
}

// peekSize is how much of a text is looked at before it counts as having a header: more
// than one line of the largest size RFC 5322, Section 2.1.1 allows.
const peekSize = 2048

// ReadEntity reads the header of r, with CRLF or LF line ends, and leaves the rest to the
// Body. Text that does not begin with a header is all body, with the defect
// [CodeNoHeader]. The errors are those of r and exceeded limits.
func ReadEntity(r io.Reader) (*Entity, error) {
	br := bufio.NewReaderSize(r, 4096)
	start, err := br.Peek(peekSize)
	if err != nil && err != io.EOF {
		return nil, err
	}
	h := &Header{}
	mbox, ok := headerStart(start)
	if !ok {
		h.Defects = []Defect{{Code: CodeNoHeader, Line: 1}}
		return &Entity{h, br}, nil
	}
	begin := 0 // of the line being read
	for {
		text, err := br.ReadSlice('\n')
		h.Raw = append(h.Raw, text...)
		if len(h.Raw) > limits.HeaderSize {
			return nil, exceeded("octets in a header", limits.HeaderSize)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err == io.EOF || err == nil && isBlankLine(h.Raw[begin:]) {
			break
		}
		if err != nil {
			return nil, err
		}
		begin = len(h.Raw)
	}
	if err := h.parse(mbox); err != nil {
		return nil, err
	}
	return &Entity{h, br}, nil
}

// MediaType reads the Content-Type of e: text/plain if it has none, as RFC 2045, Section
// 5.2 says.
func (e *Entity) MediaType() (MediaType, error) {
	value, n := e.Header.Get("Content-Type")
	switch {
	case n == 0:
		return MediaType{Type: "text/plain"}, nil
	case n > 1:
		t, _ := ParseMediaType(value)
		return t, syntaxError(CodeDuplicateField, "more than one Content-Type field")
	}
	return ParseMediaType(value)
}

// TransferEncoding returns the Content-Transfer-Encoding of e in lower case: "7bit" if it
// has none, as RFC 2045, Section 6.1 says. An unknown one is returned with an error.
func (e *Entity) TransferEncoding() (string, error) {
	value, n := e.Header.Get("Content-Transfer-Encoding")
	if n > 1 {
		return strings.ToLower(value), syntaxError(CodeDuplicateField, "more than one Content-Transfer-Encoding field")
	}
	if n == 0 {
		return "7bit", nil
	}
	s := scanner{text: value, code: CodeTransferEncoding}
	s.skip()
	name := strings.ToLower(s.token())
	s.skip()
	if s.err != nil || s.pos < len(s.text) || !isTransferEncoding(name) {
		return strings.ToLower(value), syntaxError(CodeTransferEncoding, "unknown Content-Transfer-Encoding "+quote(value))
	}
	return name, nil
}

// Decoded returns the body of e without its transfer encoding.
func (e *Entity) Decoded() (io.Reader, error) {
	encoding, err := e.TransferEncoding()
	if err != nil {
		return nil, err
	}
	return DecodeTransfer(encoding, e.Body)
}

// Multipart returns the splitter for the body of e, which must be a multipart with a
// usable boundary and without a transfer encoding of its own (RFC 2045, Section 6.4).
func (e *Entity) Multipart() (*Multipart, error) {
	t, err := e.MediaType()
	if err != nil {
		return nil, err
	}
	boundary, err := t.Boundary()
	if err != nil {
		return nil, err
	}
	encoding, err := e.TransferEncoding()
	if err != nil {
		return nil, err
	}
	if encoding == "base64" || encoding == "quoted-printable" {
		return nil, syntaxError(CodeEncodedMultipart, "a multipart in "+encoding)
	}
	return NewMultipart(e.Body, boundary), nil
}
