package ber

import (
	"io"

	"github.com/postseal/postseal/internal/limits"
)

// Octets consumes the header of the next element, which must be an OCTET STRING with the
// tag t, universal or implicit, and returns its content. A string sent in segments
// (X.690, Section 8.7.3) reads as one. Every other call on r fails until the content has
// been read to io.EOF. The result also implements io.WriterTo, which does not copy.
func (r *Reader) Octets(t Tag) (io.Reader, error) {
	h, err := r.next(t)
	if err != nil {
		return nil, err
	}
	o := &octets{r: r, base: r.depth}
	if h.Constructed {
		if err := r.push(h); err != nil {
			return nil, err
		}
		o.segment = OctetString
	} else {
		r.takeHeader()
		o.left = h.Length
	}
	r.octets = o
	return o, nil
}

// octets is the content of one string.
type octets struct {
	r       *Reader
	base    int   // depth outside the string
	left    int64 // of the current segment
	segment Tag   // tag of the segments
	done    bool
}

// Read implements io.Reader.
func (o *octets) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := o.next(); err != nil {
		return 0, err
	}
	n, err := o.r.read(p[:min(int64(len(p)), o.left)])
	o.left -= int64(n)
	return n, err
}

// WriteTo implements io.WriterTo.
func (o *octets) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if err := o.next(); err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
		b, err := o.r.chunk(o.left)
		if err != nil {
			return total, err
		}
		o.left -= int64(len(b))
		n, err := w.Write(b)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// next goes on to a segment that is not empty. It returns io.EOF after the last.
func (o *octets) next() error {
	r := o.r
	if r.err != nil {
		return r.err
	}
	for o.left == 0 {
		if o.done {
			return io.EOF
		}
		if r.depth == o.base {
			o.done, r.octets = true, nil
			return io.EOF
		}
		h, err := r.header, error(nil)
		if r.headerLen == 0 {
			h, err = r.parseHeader()
		}
		switch {
		case err == io.EOF:
			r.pop()
		case err != nil:
			return err
		case h.Tag != o.segment && (h.Tag != OctetString || o.segment == BitString):
			// Segments of the character strings are octet strings (X.690, Section 8.23.6).
			return r.fail("found " + h.Tag.String() + " inside a string")
		case h.Constructed && r.depth-o.base == limits.StringNesting:
			return r.failed(&limits.Exceeded{What: "levels of strings inside strings", Max: limits.StringNesting})
		case h.Constructed:
			if err := r.push(h); err != nil {
				return err
			}
		default:
			r.takeHeader()
			o.left = h.Length
		}
	}
	return nil
}
