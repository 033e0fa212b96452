package ber

import (
	"io"
	"math"

	"github.com/postseal/postseal/internal/limits"
)

const (
	bufferSize  = 64 << 10
	firstBuffer = 8 << 10 // what a structure that may turn out small is given first
)

// A Reader reads BER elements from a stream, one level at a time. The first error is
// final: every later call returns it again.
type Reader struct {
	src    io.Reader // nil if buf holds all there is
	buf    []byte
	start  int   // unread octets are buf[start:end]
	end    int   //
	offset int64 // of buf[start] in the input

	stack [limits.Depth]frame // open constructed elements
	depth int

	header    Header // valid if headerLen > 0
	headerLen int
	octets    *octets // open string whose content has not been read to its end
	err       error
}

// A frame is an open constructed element.
type frame struct {
	limit      int64 // where it, or the nearest definite one around it, ends
	indefinite bool
}

// NewReader returns a Reader of r. It reads ahead of what is asked for, up to 64 KiB.
func NewReader(r io.Reader) *Reader { return &Reader{src: r} }

// NewBytesReader returns a Reader of b, which is not copied.
func NewBytesReader(b []byte) *Reader { return &Reader{buf: b, end: len(b)} }

// Offset returns the number of octets consumed so far.
func (r *Reader) Offset() int64 { return r.offset }

// Depth returns the number of constructed elements that are open.
func (r *Reader) Depth() int { return r.depth }

// Peek returns the header of the next element at this level without consuming it, or
// io.EOF if the element around it, or at top level the input, ends here.
func (r *Reader) Peek() (Header, error) {
	if r.err != nil {
		return Header{}, r.err
	}
	if r.octets != nil {
		return Header{}, r.fail("content of a string not read to its end")
	}
	if r.headerLen > 0 {
		return r.header, nil
	}
	return r.parseHeader()
}

// Enter consumes the header of the next element, which must be constructed and have the
// tag t, and descends into it.
func (r *Reader) Enter(t Tag) error {
	h, err := r.next(t)
	if err != nil {
		return err
	}
	if !h.Constructed {
		return r.fail("primitive encoding of the constructed type " + t.String())
	}
	return r.push(h)
}

// Leave ends the innermost open element: nothing of it may be left. It consumes the
// end-of-contents octets of an indefinite length.
func (r *Reader) Leave() error {
	if r.err == nil && r.depth == 0 {
		return r.fail("no element is open")
	}
	switch _, err := r.Peek(); err {
	case io.EOF:
		r.pop()
		return nil
	case nil:
		return r.fail("unexpected element " + r.header.Tag.String())
	default:
		return err
	}
}

// Skip consumes the next element, whatever it is.
func (r *Reader) Skip() error {
	return r.walk(func([]byte) error { return nil })
}

// Raw returns the next element exactly as received: header, content and, if its length is
// indefinite, end-of-contents octets. More than max octets are a [limits.Exceeded].
func (r *Reader) Raw(max int64) ([]byte, error) {
	var out []byte
	err := r.walk(func(b []byte) error {
		if int64(len(out))+int64(len(b)) > max {
			r.err = &limits.Exceeded{What: "octets in one ASN.1 element", Max: max}
			return r.err
		}
		out = append(out, b...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// End succeeds if no element is open and the input ends here.
func (r *Reader) End() error {
	if r.err == nil && r.depth > 0 {
		return r.fail("an element is still open")
	}
	if r.err == nil && r.octets == nil && r.available() > 0 {
		return r.failed(&SyntaxError{Offset: r.offset, What: ErrTrailingData.Error(), Err: ErrTrailingData})
	}
	switch _, err := r.Peek(); err {
	case io.EOF:
		return nil
	case nil:
		return r.failed(&SyntaxError{Offset: r.offset, What: ErrTrailingData.Error(), Err: ErrTrailingData})
	default:
		return err
	}
}

// walk hands every octet of the next element to f, in order.
func (r *Reader) walk(f func([]byte) error) error {
	base := r.depth
	for {
		h, err := r.Peek()
		switch {
		case err == io.EOF && r.depth == base:
			return r.missing()
		case err == io.EOF:
			if r.stack[r.depth-1].indefinite {
				if err := f(r.buf[r.start : r.start+2]); err != nil {
					return err
				}
			}
			r.pop()
		case err != nil:
			return err
		default:
			if err := f(r.buf[r.start : r.start+r.headerLen]); err != nil {
				return err
			}
			if h.Constructed {
				if err := r.push(h); err != nil {
					return err
				}
				continue
			}
			r.takeHeader()
			for n := h.Length; n > 0; {
				b, err := r.chunk(n)
				if err != nil {
					return err
				}
				if err := f(b); err != nil {
					return err
				}
				n -= int64(len(b))
			}
		}
		if r.depth == base {
			return nil
		}
	}
}

// next returns the header of the next element, which must have the tag t.
func (r *Reader) next(t Tag) (Header, error) {
	h, err := r.Peek()
	if err == io.EOF {
		return Header{}, r.missing()
	}
	if err != nil {
		return Header{}, err
	}
	if h.Tag != t {
		return Header{}, r.fail("found " + h.Tag.String() + " instead of " + t.String())
	}
	return h, nil
}

// push consumes the header h of a constructed element and opens the element.
func (r *Reader) push(h Header) error {
	if r.depth == len(r.stack) {
		return r.failed(&limits.Exceeded{What: "levels of ASN.1 nesting", Max: limits.Depth})
	}
	r.takeHeader()
	f := frame{limit: r.limit(), indefinite: h.Length < 0}
	if h.Length >= 0 {
		f.limit = r.offset + h.Length
	}
	r.stack[r.depth] = f
	r.depth++
	return nil
}

// pop closes the innermost element, at whose end Peek has just said io.EOF.
func (r *Reader) pop() {
	r.depth--
	if r.stack[r.depth].indefinite {
		r.consume(2)
	}
}

func (r *Reader) takeHeader() {
	r.consume(r.headerLen)
	r.headerLen = 0
}

// limit returns the offset that no element at this level may pass.
func (r *Reader) limit() int64 {
	if r.depth == 0 {
		return math.MaxInt64
	}
	return r.stack[r.depth-1].limit
}

// parseHeader reads, but does not consume, the header at the current position.
func (r *Reader) parseHeader() (Header, error) {
	limit := r.limit()
	indefinite := r.depth > 0 && r.stack[r.depth-1].indefinite
	if r.offset == limit {
		if indefinite {
			return Header{}, r.fail("end-of-contents octets missing")
		}
		return Header{}, io.EOF
	}
	if r.available() == 0 {
		if r.err != nil {
			return Header{}, r.err
		}
		if r.depth == 0 {
			return Header{}, io.EOF
		}
		return Header{}, r.failed(truncated(r.offset))
	}
	h := Header{Offset: r.offset}
	i := 0
	octet := func() (byte, error) {
		if r.offset+int64(i) >= limit {
			return 0, r.fail("header passes the end of the element around it")
		}
		if !r.fill(i + 1) {
			if r.err != nil {
				return 0, r.err
			}
			return 0, r.failed(truncated(r.offset + int64(i)))
		}
		b := r.buf[r.start+i]
		i++
		return b, nil
	}
	b, err := octet()
	if err != nil {
		return Header{}, err
	}
	if b == 0 {
		if b, err = octet(); err != nil {
			return Header{}, err
		}
		if b != 0 || !indefinite {
			return Header{}, r.fail("misplaced end-of-contents octets")
		}
		return Header{}, io.EOF
	}
	h.Tag = Tag(b>>6)<<30 | Tag(b&0x1f)
	h.Constructed = b&0x20 != 0
	if b&0x1f == 0x1f {
		var n Tag
		for {
			if b, err = octet(); err != nil {
				return Header{}, err
			}
			if n == 0 && b == 0x80 || n > numberMask>>7 {
				return Header{}, r.fail("tag number not minimal or too large")
			}
			n = n<<7 | Tag(b&0x7f)
			if b&0x80 == 0 {
				break
			}
		}
		if n < 0x1f {
			return Header{}, r.fail("tag number not minimal or too large")
		}
		h.Tag = h.Tag&^0x1f | n
	}
	if b, err = octet(); err != nil {
		return Header{}, err
	}
	switch {
	case b < 0x80:
		h.Length = int64(b)
	case b == 0x80:
		if !h.Constructed {
			return Header{}, r.fail("primitive element of indefinite length")
		}
		h.Length = -1
	case b == 0xff:
		return Header{}, r.fail("reserved length octet")
	default: // Leading zeros are legal BER (X.690, Section 8.1.3.5).
		for n := b & 0x7f; n > 0; n-- {
			if b, err = octet(); err != nil {
				return Header{}, err
			}
			if h.Length >= 1<<54 {
				return Header{}, r.fail("length too large")
			}
			h.Length = h.Length<<8 | int64(b)
		}
	}
	if h.Length > limit-r.offset-int64(i) {
		return Header{}, r.fail("element longer than the one around it")
	}
	r.header, r.headerLen = h, i
	return h, nil
}

// fail makes a syntax error at the current position final and returns it.
func (r *Reader) fail(what string) error {
	return r.failed(&SyntaxError{Offset: r.offset, What: what})
}

func (r *Reader) failed(err error) error {
	if r.err == nil {
		r.err = err
	}
	return r.err
}

// missing is the failure of a call that needs an element where there is none.
func (r *Reader) missing() error {
	if r.depth == 0 {
		return r.failed(truncated(r.offset))
	}
	return r.fail("element missing")
}
