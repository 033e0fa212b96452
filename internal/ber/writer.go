package ber

import (
	"errors"
	"io"
)

// chunkSize is the size of the segments Writer cuts octet strings into.
const chunkSize = 16 << 10

// AppendHeader appends the identifier and the definite length of an element, as DER has them.
func AppendHeader(b []byte, t Tag, constructed bool, length int) []byte {
	return appendLength(appendTag(b, t, constructed), length)
}

// A Writer streams constructed elements of indefinite length. The first error is final:
// every later call returns it again.
type Writer struct {
	dst    io.Writer
	depth  int
	octets bool // an octet string is open
	err    error
}

// NewWriter returns a Writer to dst.
func NewWriter(dst io.Writer) *Writer { return &Writer{dst: dst} }

// Begin opens a constructed element of indefinite length.
func (w *Writer) Begin(t Tag) error {
	err := w.Raw(append(appendTag(nil, t, true), 0x80))
	if err == nil {
		w.depth++
	}
	return err
}

// End closes the innermost open element.
func (w *Writer) End() error {
	if w.err == nil && w.depth == 0 {
		w.err = errors.New("ber: no element is open")
	}
	w.depth--
	return w.Raw([]byte{0, 0})
}

// Raw writes elements that are already encoded.
func (w *Writer) Raw(b []byte) error {
	if w.err == nil && w.octets {
		w.err = errors.New("ber: an octet string is open")
	}
	w.write(b)
	return w.err
}

// Octets opens an OCTET STRING with the tag t, universal or implicit, to be sent in
// segments of definite length. It ends when the caller closes the result, and every other
// call on w fails until then.
func (w *Writer) Octets(t Tag) (io.WriteCloser, error) {
	if err := w.Begin(t); err != nil {
		return nil, err
	}
	w.octets = true
	return &octetsWriter{w: w}, nil
}

func (w *Writer) write(b []byte) {
	if w.err != nil {
		return
	}
	n, err := w.dst.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	w.err = err
}

type octetsWriter struct {
	w      *Writer
	header []byte
	chunk  []byte // not yet written, less than chunkSize
	closed bool
}

// Write implements io.Writer.
func (o *octetsWriter) Write(p []byte) (int, error) {
	if o.closed {
		return 0, errors.New("ber: write to a closed octet string")
	}
	total := len(p)
	for len(p) > 0 && o.w.err == nil {
		if len(o.chunk) == 0 && len(p) >= chunkSize {
			o.segment(p[:chunkSize])
			p = p[chunkSize:]
			continue
		}
		if o.chunk == nil {
			o.chunk = make([]byte, 0, chunkSize)
		}
		n := min(chunkSize-len(o.chunk), len(p))
		o.chunk = append(o.chunk, p[:n]...)
		p = p[n:]
		if len(o.chunk) == chunkSize {
			o.segment(o.chunk)
			o.chunk = o.chunk[:0]
		}
	}
	return total - len(p), o.w.err
}

// Close writes what is left and ends the string.
func (o *octetsWriter) Close() error {
	if o.closed {
		return o.w.err
	}
	o.closed = true
	if len(o.chunk) > 0 {
		o.segment(o.chunk)
	}
	o.w.octets = false
	return o.w.End()
}

func (o *octetsWriter) segment(b []byte) {
	o.header = AppendHeader(o.header[:0], OctetString, false, len(b))
	o.w.write(o.header)
	o.w.write(b)
}

func appendTag(b []byte, t Tag, constructed bool) []byte {
	first := byte(t>>30) << 6
	if constructed {
		first |= 0x20
	}
	n := t.Number()
	if n < 0x1f {
		return append(b, first|byte(n))
	}
	b = append(b, first|0x1f)
	shift := 0
	for n>>shift >= 0x80 {
		shift += 7
	}
	for ; shift > 0; shift -= 7 {
		b = append(b, byte(n>>shift)|0x80)
	}
	return append(b, byte(n)&0x7f)
}

func appendLength(b []byte, n int) []byte {
	if n < 0x80 {
		return append(b, byte(n))
	}
	size := lengthSize(n) - 1
	b = append(b, 0x80|byte(size))
	for size--; size >= 0; size-- {
		b = append(b, byte(n>>(8*size)))
	}
	return b
}

// lengthSize returns the number of octets in the minimal encoding of the length n.
func lengthSize(n int) int {
	if n < 0x80 {
		return 1
	}
	size := 1
	for ; n > 0; n >>= 8 {
		size++
	}
	return size
}
