package cms

import (
	"hash"
	"slices"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/offload"
	"github.com/postseal/postseal/internal/sigalg"
)

// Digests computes what the signatures over one content need of it, while the content
// streams by: the digests asked for, whether it could be somebody's signed attributes, and,
// if it is small, the content itself for algorithms that do not hash. The hashes of large
// content are computed on other cores than the caller's.
type Digests struct {
	hashes []runningHash
	sinks  []*offload.Sink // one for each of hashes, once something was written
	head   []byte          // the first octets, at most limits.WholeContent
	size   int64
	shape  attributeShape
}

type runningHash struct {
	id    sigalg.Hash
	state hash.Hash
}

// NewDigests returns Digests for the given hash functions, each computed once.
func NewDigests(hs ...sigalg.Hash) *Digests {
	d := new(Digests)
	d.add(hs...)
	return d
}

func (d *Digests) add(hs ...sigalg.Hash) {
	for _, h := range hs {
		if h.Valid() && !slices.Contains(d.Hashes(), h) {
			d.hashes = append(d.hashes, runningHash{h, h.New()})
		}
	}
}

// Write takes the next octets of the content. It never fails.
func (d *Digests) Write(p []byte) (int, error) {
	for _, h := range d.hashes[len(d.sinks):] {
		d.sinks = append(d.sinks, offload.NewSink(func(p []byte) { h.state.Write(p) }))
	}
	for _, s := range d.sinks {
		s.Write(p)
	}
	d.size += int64(len(p))
	if d.size <= limits.WholeContent {
		d.head = append(d.head, p...)
	} else {
		d.head = nil
	}
	d.shape.write(p)
	return len(p), nil
}

// Hashes returns the hash functions that are computed.
func (d *Digests) Hashes() []sigalg.Hash {
	var out []sigalg.Hash
	for _, h := range d.hashes {
		out = append(out, h.id)
	}
	return out
}

// Cost returns what an octet of the content costs, in those of SHA-256.
func (d *Digests) Cost() int {
	n := 0
	for _, h := range d.hashes {
		n += h.id.Cost()
	}
	return n
}

// Sum returns the digest by h of what was written so far, or false if h is not computed.
func (d *Digests) Sum(h sigalg.Hash) ([]byte, bool) {
	d.wait()
	for _, r := range d.hashes {
		if r.id == h {
			return r.state.Sum(nil), true
		}
	}
	return nil, false
}

func (d *Digests) wait() {
	for _, s := range d.sinks {
		s.Wait()
	}
}

// Clone returns an independent copy in the same state.
func (d *Digests) Clone() *Digests {
	d.wait()
	c := &Digests{head: slices.Clone(d.head), size: d.size, shape: d.shape}
	for _, r := range d.hashes {
		state, err := r.state.(hash.Cloner).Clone()
		if err != nil {
			panic("cms: " + err.Error()) // every hash function of package sigalg clones
		}
		c.hashes = append(c.hashes, runningHash{r.id, state})
	}
	return c
}

// content returns all that was written, or false if it was too much to keep.
func (d *Digests) content() ([]byte, bool) {
	return d.head, d.size == int64(len(d.head))
}

// An attributeShape finds out whether a stream is the encoding of a SET OF Attribute. A
// signature over signed attributes is also a signature over that encoding as content
// without signed attributes, so such content counts as a forgery (threats.md, A02; RFC
// 5652, Section 5.4). Lengths may be longer than DER has them, so that every encoding a
// careless signer may have hashed is found.
type attributeShape struct {
	state  shapeState
	header [10]byte
	have   int   // octets in header
	skip   int64 // octets to pass over
	set    int64 // left of the SET
	attr   int64 // left of the Attribute
}

type shapeState uint8

const (
	shapeSet    shapeState = iota // expecting the header of the SET
	shapeAttr                     // of an Attribute
	shapeType                     // of its type
	shapeValues                   // of its values
	shapeOther                    // it is something else
)

// matches reports whether what was written is a complete SET OF Attribute.
func (s *attributeShape) matches() bool {
	return s.state == shapeAttr && s.set == 0 && s.skip == 0 && s.have == 0
}

func (s *attributeShape) write(p []byte) {
	for len(p) > 0 && s.state != shapeOther {
		if s.skip > 0 {
			n := min(s.skip, int64(len(p)))
			s.skip -= n
			p = p[n:]
			continue
		}
		s.header[s.have] = p[0]
		s.have++
		p = p[1:]
		if length, complete, ok := shapeHeader(s.header[:s.have]); !ok {
			s.state = shapeOther
		} else if complete {
			s.element(s.header[0], int64(s.have), length)
			s.have = 0
		}
	}
}

// element takes the header of an element, which is size octets long.
func (s *attributeShape) element(tag byte, size, length int64) {
	switch {
	case s.state == shapeSet && tag == 0x31:
		s.set, s.state = length, shapeAttr
	case s.state == shapeAttr && tag == 0x30 && size+length <= s.set:
		s.set -= size + length
		s.attr, s.state = length, shapeType
	case s.state == shapeType && tag == 0x06 && size+length < s.attr:
		s.attr -= size + length
		s.skip, s.state = length, shapeValues
	case s.state == shapeValues && tag == 0x31 && size+length == s.attr:
		s.skip, s.state = length, shapeAttr
	default:
		s.state = shapeOther
	}
}

// shapeHeader reads an identifier octet and a definite length of up to eight octets.
func shapeHeader(b []byte) (length int64, complete, ok bool) {
	if len(b) < 2 {
		return 0, false, true
	}
	n := int(b[1] & 0x7f)
	switch {
	case b[1] < 0x80:
		return int64(b[1]), true, true
	case n == 0 || n > 8:
		return 0, false, false
	case len(b) < 2+n:
		return 0, false, true
	}
	for _, c := range b[2:] {
		if length > 1<<50 {
			return 0, false, false
		}
		length = length<<8 | int64(c)
	}
	return length, true, true
}
