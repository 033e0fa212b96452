package ber

import (
	"io"
	"slices"

	"github.com/postseal/postseal/internal/limits"
)

// ToDER returns the one element in b with the framing of DER, as [Reader.Element] does.
// Nothing may follow it. The result does not share memory with b.
func ToDER(b []byte, max int64) ([]byte, error) {
	r := NewBytesReader(b)
	out, err := r.Element(max)
	if err != nil {
		return nil, err
	}
	return out, r.End()
}

// Element consumes the next element and returns it with the framing of DER: every length
// definite and minimal, every universal string in one piece. Values are not changed, so
// the elements of a SET keep their order. An implicitly tagged string in segments cannot
// be told from a structure and stays constructed. More than max octets, as received, are
// a [limits.Exceeded].
func (r *Reader) Element(max int64) ([]byte, error) {
	var (
		out   []byte
		open  [limits.Depth]mark
		base  = r.depth
		begin = r.offset
	)
	for {
		h, err := r.Peek()
		switch {
		case err == io.EOF && r.depth == base:
			return nil, r.missing()
		case err == io.EOF:
			r.pop()
			out = open[r.depth-base].close(out)
		case err != nil:
			return nil, err
		case max-(r.offset-begin) < int64(r.headerLen)+h.Length:
			return nil, r.failed(&limits.Exceeded{What: "octets in one ASN.1 element", Max: max})
		case h.Tag.isString() && h.Constructed:
			m := mark{}
			out = m.open(out, h.Tag, false, h.Length)
			if out, err = r.join(out, h.Tag, max-(r.offset-begin)); err != nil {
				return nil, err
			}
			out = m.close(out)
		case h.Constructed:
			if err := r.push(h); err != nil {
				return nil, err
			}
			out = open[r.depth-base-1].open(out, h.Tag, true, h.Length)
			continue
		default:
			out = AppendHeader(out, h.Tag, false, int(h.Length))
			r.takeHeader()
			for n := h.Length; n > 0; {
				b, err := r.chunk(n)
				if err != nil {
					return nil, err
				}
				out = append(out, b...)
				n -= int64(len(b))
			}
		}
		if r.depth == base {
			return out, nil
		}
	}
}

// join consumes a string of segments and appends their content to out.
func (r *Reader) join(out []byte, t Tag, max int64) ([]byte, error) {
	h, err := r.Peek()
	if err != nil {
		return nil, err
	}
	o := &octets{r: r, base: r.depth, segment: t}
	if err := r.push(h); err != nil {
		return nil, err
	}
	begin := r.offset
	unused := -1 // position in out of the count of unused bits
	for {
		if err := o.next(); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		if t == BitString {
			// Each segment has its own count; only the last may be other than 0
			// (X.690, Section 8.6.4).
			b, err := r.chunk(1)
			if err != nil {
				return nil, err
			}
			o.left--
			if unused < 0 {
				unused = len(out)
				out = append(out, b[0])
			} else if out[unused] != 0 {
				return nil, r.fail("unused bits inside a bit string")
			} else {
				out[unused] = b[0]
			}
		}
		for o.left > 0 {
			if r.offset-begin >= max {
				return nil, r.failed(&limits.Exceeded{What: "octets in one ASN.1 element", Max: max})
			}
			b, err := r.chunk(o.left)
			if err != nil {
				return nil, err
			}
			out = append(out, b...)
			o.left -= int64(len(b))
		}
	}
	if t == BitString && unused < 0 {
		out = append(out, 0)
	}
	return out, nil
}

// A mark is an element of the output whose length is not known yet.
type mark struct {
	at      int // where the length octets begin
	reserve int // octets left free for them
}

// open appends the header of an element with room for a length like the one received.
func (m *mark) open(out []byte, t Tag, constructed bool, length int64) []byte {
	out = appendTag(out, t, constructed)
	m.at = len(out)
	m.reserve = lengthSize(int(max(length, 0)))
	return append(out, make([]byte, m.reserve)...)
}

// close fills in the length, moving the content if the room does not fit. A byte moves at
// most once for each level of nesting, which is bounded.
func (m *mark) close(out []byte) []byte {
	n := len(out) - m.at - m.reserve
	if size := lengthSize(n); size > m.reserve {
		out = slices.Insert(out, m.at, make([]byte, size-m.reserve)...)
	} else if size < m.reserve {
		out = slices.Delete(out, m.at, m.at+m.reserve-size)
	}
	appendLength(out[:m.at], n)
	return out
}
