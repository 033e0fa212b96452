package ldapstore

import (
	"errors"
	"net"

	"github.com/postseal/postseal/internal/limits"
)

// A guard stands between the network and the LDAP library: it watches the framing of the
// messages that come in and refuses one that is larger than limits.Element, before the
// library collects it. LDAP knows definite lengths only (RFC 4511, Section 5.1).
type guard struct {
	net.Conn
	header []byte // of the message that begins, as far as it is here
	left   int64  // octets of the current message that are still to come
	err    error
}

var errFraming = errors.New("what the server sent is not LDAP")

func (g *guard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.Conn.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		if g.left > 0 {
			k := min(g.left, int64(len(rest)))
			g.left -= k
			rest = rest[k:]
			continue
		}
		g.header = append(g.header, rest[0])
		rest = rest[1:]
		if g.left, g.err = messageLength(g.header); g.err != nil {
			return 0, g.err
		}
		if g.left >= 0 {
			g.header = g.header[:0]
		}
	}
	return n, err
}

// messageLength returns the length of the message whose header begins with h, or -1 if
// more of it is needed.
func messageLength(h []byte) (int64, error) {
	if h[0] != 0x30 {
		return 0, errFraming
	}
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
