// Package offload lets other cores compute while a caller reads and writes a stream.
//
// Entry points: [Line] for work whose results the caller wants back in order, [Sink] for
// work that only takes octets in, such as a hash.
//
// What runs in the background computes and ends: it never touches a reader or a writer,
// waits for nobody, and there are only as many pieces at a time as
// keep the cores busy. So a stream that is abandoned halfway leaves nothing behind.
package offload

import (
	"runtime"
	"sync"
)

const (
	// Threshold is how many octets a stream should handle on the caller's own core first:
	// most messages are smaller, and not worth the buffers.
	Threshold = 256 << 10
	// PieceSize is the room in a piece, in octets; it stays in the cache of one core.
	PieceSize = 80 << 10
)

// A Piece is a part of a stream on its way through a [Line].
type Piece struct {
	In    []byte   // what is worked on, with PieceSize octets of room
	Out   []byte   // the result, see Room
	Err   error    // what the work has to say besides
	Note  [24]byte // what the work must know, or has found out, besides
	done  chan struct{}
	ready bool // done has been received
	in    *buffer
	out   *buffer
}

type buffer [PieceSize]byte

// What nobody uses at the moment.
var (
	pieces  = sync.Pool{New: func() any { return &Piece{in: new(buffer), done: make(chan struct{}, 1)} }}
	buffers = sync.Pool{New: func() any { return new(buffer) }}
)

// NewPiece returns an empty piece. Whoever is done with it calls Free.
func NewPiece() *Piece {
	p := pieces.Get().(*Piece)
	p.Reset()
	return p
}

// Room gives Out PieceSize octets of room, and returns it empty.
func (p *Piece) Room() []byte {
	if p.out == nil {
		p.out = buffers.Get().(*buffer)
	}
	p.Out = p.out[:0]
	return p.Out
}

// Owned reports whether In is in memory of p's own, as it is unless somebody set it.
func (p *Piece) Owned() bool { return len(p.In) == 0 || &p.In[0] == &p.in[0] }

// Reset makes p an empty piece again. Its buffers stay as they are.
func (p *Piece) Reset() { p.In, p.Out, p.Err = p.in[:0], nil, nil }

// Wipe overwrites all that p holds.
func (p *Piece) Wipe() {
	clear(p.in[:])
	if p.out != nil {
		clear(p.out[:])
	}
	clear(p.Note[:])
}

// Free gives p to whoever needs a piece next. Nothing of it may be used afterwards.
func (p *Piece) Free() {
	if p.out != nil {
		buffers.Put(p.out)
		p.out = nil
	}
	pieces.Put(p)
}

// A Line is the pieces of one stream that are being worked on, oldest first. It is for one
// goroutine at a time.
type Line struct {
	work    func(*Piece)
	serial  bool
	drain   func() // allocated once
	workers int    // how many goroutines there may be
	depth   int
	pieces  []*Piece // put in and not taken out

	mutex   sync.Mutex
	waiting []*Piece // not begun yet
	running int      // goroutines that work
}

// NewLine returns a Line of work, which must touch nothing but its piece and, if serial is
// set, what nobody else touches while there are pieces in the line: then it gets them one
// after another, in their order.
func NewLine(serial bool, work func(*Piece)) *Line {
	cores := runtime.GOMAXPROCS(0)
	l := &Line{work: work, serial: serial, workers: cores, depth: min(3*cores, 12)} // what keeps the cores busy
	if serial {
		l.workers, l.depth = 1, 24 // so that whoever waits for its one core need not wake up often
	}
	l.pieces, l.waiting = make([]*Piece, 0, l.depth), make([]*Piece, 0, l.depth)
	l.drain = func() {
		for p := l.next(true); p != nil; p = l.next(true) {
			l.run(p)
		}
	}
	return l
}

// Full reports whether a piece should be taken out before another is put in.
func (l *Line) Full() bool { return len(l.pieces) >= l.depth }

// Empty reports whether there is no piece left.
func (l *Line) Empty() bool { return len(l.pieces) == 0 }

// Put begins the work on p.
func (l *Line) Put(p *Piece) {
	l.pieces = append(l.pieces, p)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.waiting = append(l.waiting, p)
	if l.running < l.workers {
		l.running++
		go l.drain()
	}
}

// Take waits for the oldest piece and returns it. Where the order of the work does not
// matter it works as well until then, so that a core that somebody else keeps busy delays
// nobody.
func (l *Line) Take() *Piece {
	p := l.pieces[0]
	for !p.ready {
		select {
		case <-p.done:
			p.ready = true
			continue
		default:
		}
		if other := l.next(false); other != nil {
			l.run(other)
			continue
		}
		// Waking up costs as much as some of the work, so it must be worth it: half of the
		// line is left to work on meanwhile.
		half := l.pieces[len(l.pieces)/2]
		if !half.ready {
			<-half.done
			half.ready = true
		}
		if !p.ready {
			<-p.done
			p.ready = true
		}
	}
	l.pieces = l.pieces[:copy(l.pieces, l.pieces[1:])]
	p.ready = false
	return p
}

// next returns a piece to work on, or nil if there is none, which ends a worker.
func (l *Line) next(worker bool) *Piece {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	switch {
	case !worker && l.serial:
		return nil
	case len(l.waiting) == 0 && worker:
		l.running--
		return nil
	case len(l.waiting) == 0:
		return nil
	}
	p := l.waiting[0]
	l.waiting = l.waiting[:copy(l.waiting, l.waiting[1:])]
	return p
}

func (l *Line) run(p *Piece) {
	l.work(p)
	p.done <- struct{}{}
}

// A Sink takes a stream of octets. Up to [Threshold] it works at once, from then on behind
// the caller's back. It is for one goroutine at a time.
type Sink struct {
	take func([]byte)
	size int
	line *Line
	next *Piece
}

// NewSink returns a Sink for take, which gets the octets in their order and must not keep
// them.
func NewSink(take func([]byte)) *Sink { return &Sink{take: take} }

// Write takes p, of which it keeps nothing.
func (s *Sink) Write(p []byte) {
	if s.size < Threshold {
		s.size += len(p)
		s.take(p)
		return
	}
	if s.line == nil {
		s.line = NewLine(true, func(p *Piece) { s.take(p.In) })
	}
	for len(p) > 0 {
		if s.next == nil {
			s.next = NewPiece()
		}
		n := min(len(p), PieceSize-len(s.next.In))
		s.next.In = append(s.next.In, p[:n]...)
		p = p[n:]
		if len(s.next.In) == PieceSize {
			s.flush()
		}
	}
}

// Wait returns once everything written has been worked on. Nothing of it is left in memory
// that other streams get.
func (s *Sink) Wait() {
	if s.line == nil {
		return
	}
	if s.next != nil {
		s.flush()
	}
	if s.next != nil {
		s.next.Wipe()
		s.next.Free()
		s.next = nil
	}
	for !s.line.Empty() {
		p := s.line.Take()
		p.Wipe()
		p.Free()
	}
}

func (s *Sink) flush() {
	full := s.next
	s.next = nil
	if s.line.Full() {
		s.next = s.line.Take()
		s.next.In = s.next.In[:0]
	}
	s.line.Put(full)
}
