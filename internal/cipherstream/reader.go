package cipherstream

import (
	"crypto/subtle"
	"errors"
	"io"

	"github.com/postseal/postseal/internal/offload"
)

// ErrOpen means that the ciphertext, the tag, the additional data or the key is wrong.
// It does not say which.
var ErrOpen = errors.New("cipherstream: cannot decipher")

// ErrTooLong means that the message exceeds what its cipher can protect under one nonce,
// or what may be held for a cipher that needs the whole message.
var ErrTooLong = errors.New("cipherstream: message too long for its cipher")

// A Tail reads what follows the ciphertext: the tag and the additional data, both nil
// for a cipher without authentication. It is called once, after the last octet of
// ciphertext and before anything is compared; its error ends the stream in place of any
// finding about the content.
type Tail func() (tag, additional []byte, err error)

// A Reader deciphers what it reads from another reader, of which it reads some more than
// it has given out.
//
// Read returns plaintext as it is deciphered. io.EOF means that the padding or the tag
// was right; [ErrOpen] in its place means that it was not. An error of the source is
// returned as it is.
type Reader struct {
	src   io.Reader
	mode  decrypter
	tail  Tail
	wrong int    // 1 if the key is known to be a wrong one, see Doom
	plain []byte // deciphered and not handed out yet
	total uint64
	eof   bool // src has ended
	err   error

	small []byte         // room for a small message
	pipe  *pipeline      // nil for as long as the message may be small
	taken *offload.Piece // that plain is part of
}

// A decrypter is a mode that deciphers.
type decrypter interface {
	mode
	// check reports, as 1 or 0, whether the tag fits everything deciphered.
	check(tag, additional []byte) int
}

func newReader(src io.Reader, mode decrypter, tail Tail) *Reader {
	return &Reader{src: src, mode: mode, tail: tail}
}

// Doom makes r end in [ErrOpen], whatever it deciphers, if wrong is 1. It is for a key that is
// known to be a wrong one, where nothing but the end may show that: one wrong key in 256
// leaves a well-formed padding.
func (r *Reader) Doom(wrong int) { r.wrong = wrong }

// Read implements io.Reader; see [Reader].
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 {
		if r.err != nil {
			r.free()
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// WriteTo writes all plaintext to w, without a second buffer, and returns nil where Read
// would return io.EOF.
func (r *Reader) WriteTo(w io.Writer) (n int64, err error) {
	for {
		if len(r.plain) > 0 {
			m, err := w.Write(r.plain)
			n += int64(m)
			r.plain = r.plain[m:]
			if err != nil {
				return n, err
			}
		}
		switch r.err {
		case nil:
			r.fill()
		case io.EOF:
			r.free()
			return n, nil
		default:
			r.free()
			return n, r.err
		}
	}
}

// free wipes what held plaintext, none of which is waiting any more.
func (r *Reader) free() {
	clear(r.small)
	r.small = nil
	if r.pipe == nil {
		return
	}
	if r.taken != nil {
		r.pipe.drop(r.taken)
		r.taken = nil
	}
	r.pipe.free()
}

// fill deciphers some more and sets plain, err or both.
func (r *Reader) fill() {
	if r.pipe == nil {
		r.fillSmall()
		return
	}
	if r.taken != nil {
		r.pipe.drop(r.taken)
		r.taken = nil
	}
	for !r.eof && !r.pipe.line.Full() {
		p := r.pipe.piece()
		p.In = r.read(p.In[:textSize], copy(p.In[:textSize], r.small))
		r.small = nil
		if r.err != nil {
			r.pipe.drop(p)
			return
		}
		if len(p.In) > 0 {
			r.pipe.put(p)
		} else {
			r.pipe.drop(p)
		}
	}
	if r.pipe.line.Empty() {
		r.finish(nil)
		return
	}
	r.taken = r.pipe.take()
	r.plain = r.taken.Out
	if r.eof && r.pipe.line.Empty() {
		r.finish(r.taken.Out)
	}
}

// fillSmall deciphers a small message, or finds out that it is none.
func (r *Reader) fillSmall() {
	buf := make([]byte, smallBuffer, smallBuffer+TagSize)
	r.small = r.read(buf, 0)
	switch {
	case r.err != nil:
	case !r.eof:
		r.pipe = newPipeline(r.mode)
	default:
		var n note
		r.mode.begin(r.small, &n)
		r.mode.crypt(r.small, r.small, &n)
		r.mode.end(len(r.small), &n)
		r.finish(r.small)
	}
}

// read fills p, which has n octets already, and returns as much as there is.
func (r *Reader) read(p []byte, n int) []byte {
	r.total -= uint64(n)
	for n < len(p) && !r.eof {
		m, err := r.src.Read(p[n:])
		n += m
		if err == io.EOF {
			r.eof = true
		} else if err != nil {
			r.err = err
			return nil
		}
	}
	r.total += uint64(n)
	if r.total > r.mode.limit() {
		r.err = ErrTooLong
		return nil
	}
	return p[:n]
}

// finish reads the tail and decides how the stream ends; last is the plaintext of the last
// piece, padding included.
func (r *Reader) finish(last []byte) {
	r.plain = last
	ok, end := 1, len(last)
	if bs := r.mode.padded(); bs > 0 {
		whole := len(last) - len(last)%bs
		start := max(0, whole-bs)
		var pad int
		pad, ok = unpad(last[start:whole], bs)
		ok &= subtle.ConstantTimeEq(int32(len(last)%bs), 0)
		end = whole - pad
		r.plain = last[:start]
	}
	tag, additional, err := r.tail()
	if err != nil {
		r.err = err
		return
	}
	if ok&r.mode.check(tag, additional)&(1^r.wrong) != 1 {
		r.err = ErrOpen
		return
	}
	r.err, r.plain = io.EOF, last[:end]
}
