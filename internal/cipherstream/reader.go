package cipherstream

import (
	"crypto/subtle"
	"errors"
	"io"
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

// A Reader deciphers what it reads from another reader.
//
// Read returns plaintext as it is deciphered. io.EOF means that the padding or the tag
// was right; [ErrOpen] in its place means that it was not. An error of the source is
// returned as it is.
type Reader struct {
	src   io.Reader
	mode  decrypter
	tail  Tail
	buf   []byte   // room for the block kept back, then the window
	plain []byte   // part of buf: deciphered and not handed out yet
	block [16]byte // the last block so far, which may hold padding
	kept  int      // octets of block in use: 0 or the block size
	size  int      // window size in use
	total uint64
	err   error
}

// A decrypter is the state of one message in a mode of operation.
type decrypter interface {
	// decrypt deciphers p in place. All calls but the last have a multiple of 16 octets.
	decrypt(p []byte)
	// padded returns the block size if the last block holds padding, or 0.
	padded() int
	// check reports, as 1 or 0, whether the tag fits everything deciphered.
	check(tag, additional []byte) int
	// limit is how many octets may be deciphered.
	limit() uint64
}

const room = 16 // in front of the window, for the block kept back

func newReader(src io.Reader, mode decrypter, tail Tail) *Reader {
	return &Reader{src: src, mode: mode, tail: tail, size: smallBuffer}
}

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

// free gives the buffer back, none of whose plaintext is waiting any more.
func (r *Reader) free() {
	if r.buf != nil {
		release(r.buf)
		r.buf = nil
	}
}

// fill reads and deciphers the next window and sets plain, err or both.
func (r *Reader) fill() {
	if len(r.buf) < room+r.size {
		r.free()
		r.buf = newBuffer(room + r.size)
	}
	w := r.buf[room : room+r.size]
	n, last := 0, false
	for n < len(w) && !last {
		m, err := r.src.Read(w[n:])
		n += m
		if err == io.EOF {
			last = true
		} else if err != nil {
			r.err = err
			return
		}
	}
	r.total += uint64(n)
	if r.total > r.mode.limit() {
		r.err = ErrTooLong
		return
	}
	if !last {
		r.size = window() // this is no small message
	}
	bs := r.mode.padded()
	if bs == 0 {
		r.mode.decrypt(w[:n])
		r.plain = w[:n]
		if last {
			r.finish(1)
		}
		return
	}
	whole := n - n%bs
	r.mode.decrypt(w[:whole])
	start, end := room-r.kept, room+whole
	copy(r.buf[start:room], r.block[:r.kept])
	if start < end { // keep the last block back: it may hold the padding
		end -= bs
		r.kept = copy(r.block[:], r.buf[end:end+bs])
	}
	r.plain = r.buf[start:end]
	if !last {
		return
	}
	pad, ok := unpad(r.block[:r.kept], bs)
	ok &= subtle.ConstantTimeEq(int32(n%bs), 0)
	r.finish(ok)
	if r.err == io.EOF {
		r.plain = append(r.plain, r.block[:bs-pad]...)
	}
	clear(r.block[:])
}

// finish reads the tail and decides how the stream ends; ok is what is known already.
func (r *Reader) finish(ok int) {
	tag, additional, err := r.tail()
	if err != nil {
		r.err = err
		return
	}
	if ok&r.mode.check(tag, additional) == 1 {
		r.err = io.EOF
	} else {
		r.err = ErrOpen
	}
}
