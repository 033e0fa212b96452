package cipherstream

import "github.com/postseal/postseal/internal/offload"

const (
	// smallBuffer is what a message that may turn out small is given first.
	smallBuffer = 8 << 10
	// textSize is how much text is in a piece, what one core works on at a time. The room
	// in a piece is larger: a tag fits in behind.
	textSize = 64 << 10
)

// A mode is the state of one message in a mode of operation. All pieces but the last of a
// message have a length that is a multiple of 64.
type mode interface {
	// begin says in note what crypt must know about the next piece of n octets, text.
	// Pieces begin in the order of the message.
	begin(text []byte, note *note)
	// crypt enciphers or deciphers text to dst, which is text itself or does not overlap
	// it, is as long and has TagSize octets of room behind. It changes nothing in the mode
	// but for one that says it is serial, and leaves in note what end must know.
	crypt(dst, text []byte, note *note)
	// end takes the note of a piece of n octets. Pieces end in the order of the message.
	end(n int, note *note)
	// serial reports whether crypt needs the pieces one after another.
	serial() bool
	// padded returns the block size if the last block holds padding, or 0.
	padded() int
	// limit is how many octets there may be.
	limit() uint64
}

// A note is what a mode keeps with a piece.
type note = [24]byte

// A pipeline is the pieces of one message.
type pipeline struct {
	mode   mode
	line   *offload.Line
	unused []*offload.Piece // wiped at the end
}

func newPipeline(m mode) *pipeline {
	return &pipeline{mode: m, line: offload.NewLine(m.serial(), func(p *offload.Piece) {
		if m.serial() && p.Owned() {
			p.Out = p.In // less memory for the one core that everything waits for
		} else {
			p.Out = p.Room()[:len(p.In)]
		}
		m.crypt(p.Out, p.In, &p.Note)
	})}
}

// piece returns an empty piece.
func (l *pipeline) piece() *offload.Piece {
	n := len(l.unused)
	if n == 0 {
		return offload.NewPiece()
	}
	p := l.unused[n-1]
	l.unused = l.unused[:n-1]
	p.Reset()
	return p
}

// put begins the work on p.
func (l *pipeline) put(p *offload.Piece) {
	l.mode.begin(p.In, &p.Note)
	l.line.Put(p)
}

// take returns the oldest piece, finished.
func (l *pipeline) take() *offload.Piece {
	p := l.line.Take()
	l.mode.end(len(p.In), &p.Note)
	return p
}

// drop takes back a piece whose octets nobody needs any more.
func (l *pipeline) drop(p *offload.Piece) { l.unused = append(l.unused, p) }

// free wipes all pieces, which may hold plaintext, and gives them to other streams.
func (l *pipeline) free() {
	for !l.line.Empty() {
		l.drop(l.line.Take())
	}
	for _, p := range l.unused {
		p.Wipe()
		p.Free()
	}
	l.unused = nil
}
