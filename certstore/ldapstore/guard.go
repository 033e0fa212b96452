package ldapstore

import (
	"errors"
	"net"

	"github.com/postseal/postseal/internal/limits"
)

// A guard stands between the network and the LDAP library: it watches the framing of the
// messages that come in and refuses one that is larger than limits.Element, or made of more
// than maxElements elements, before the library collects it: each becomes an object of its
// own, however small it is. LDAP knows definite lengths only (RFC 4511, Section 5.1).
type guard struct {
	net.Conn
	header   []byte // of the element that begins, as far as it is here
	left     int64  // octets of the current message that are still to come
	skip     int64  // of these, octets of the current value
	elements int    // of the current message
	err      error
}

// maxElements is what a group of ten thousand members needs many times over.
const maxElements = 200_000

var errFraming = errors.New("what the server sent is not LDAP")

func (g *guard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.Conn.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		if g.skip > 0 {
			k := min(g.skip, int64(len(rest)))
			g.skip -= k
			g.left -= k
			rest = rest[k:]
			continue
		}
		if g.err = g.next(rest[0]); g.err != nil {
			return 0, g.err
		}
		rest = rest[1:]
	}
	return n, err
}

// next takes an octet of a header: of a message, or of an element in one. What is
// constructed is gone into, so that only the lengths of values count.
func (g *guard) next(b byte) error {
	g.header = append(g.header, b)
	inside := g.left > 0
	if !inside && len(g.header) == 1 {
		g.elements = 0
	}
	read := elementLength
	if !inside {
		read = messageLength
	} else if g.left--; g.header[0]&0x1f == 0x1f {
		return errFraming // no tag of LDAP needs more than an octet
	}
	length, err := read(g.header)
	switch {
	case err != nil:
		return err
	case length < 0 && inside && g.left == 0 || inside && length > g.left:
		return errFraming
	case length < 0:
		return nil
	}
	switch constructed := g.header[0]&0x20 != 0; {
	case !inside:
		g.left = length
	case !constructed:
		g.skip = length
	}
	g.header = g.header[:0]
	if g.elements++; g.elements > maxElements {
		return &limits.Exceeded{What: "elements of one LDAP message", Max: maxElements}
	}
	return nil
}

// messageLength returns the length of the message whose header begins with h, or -1 if
// more of it is needed.
func messageLength(h []byte) (int64, error) {
	if h[0] != 0x30 {
		return 0, errFraming
	}
	return elementLength(h)
}

// elementLength returns the length of the element whose header begins with h, as
// messageLength does.
func elementLength(h []byte) (int64, error) {
	if len(h) < 2 {
		return -1, nil
	}
	if h[1] < 0x80 {
		return int64(h[1]), nil
	}
	n := int(h[1] & 0x7f)
	if n == 0 || n > 8 {
		return 0, errFraming
	}
	if len(h) < 2+n {
		return -1, nil
	}
	var length uint64
	for _, b := range h[2 : 2+n] {
		length = length<<8 | uint64(b)
	}
	if length > limits.Element {
		return 0, &limits.Exceeded{What: "octets of one LDAP message", Max: limits.Element}
	}
	return int64(length), nil
}
