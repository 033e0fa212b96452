package cipherstream

import (
	"io"

	"github.com/postseal/postseal/internal/offload"
)

// largeWrite is how much one call of Write is worked on where it lies, instead of a copy.
// It is worth waiting for all of it at the end of the call.
const largeWrite = 1 << 20

// A Writer enciphers what is written to it and passes the ciphertext on.
type Writer struct {
	dst   io.Writer
	mode  encrypter
	small []byte         // plaintext, for as long as the message may be small
	pipe  *pipeline      // nil until then
	next  *offload.Piece // being filled
	total uint64
	err   error
}

// An encrypter is a mode that enciphers.
type encrypter interface {
	mode
	// sum appends the tag, if there is one.
	sum(tag []byte) []byte
}

func newWriter(dst io.Writer, mode encrypter) *Writer { return &Writer{dst: dst, mode: mode} }

// Write enciphers p. Its error is that of the destination, or [ErrTooLong].
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	w.total += uint64(len(p))
	if w.total > w.mode.limit() {
		w.err = ErrTooLong
		return 0, w.err
	}
	if w.pipe == nil && len(w.small)+len(p) <= smallBuffer {
		if w.small == nil {
			w.small = make([]byte, 0, smallBuffer+TagSize)
		}
		w.small = append(w.small, p...)
		return len(p), nil
	}
	if w.pipe == nil {
		w.pipe = newPipeline(w.mode)
		w.next = w.pipe.piece()
		w.next.In = append(w.next.In, w.small...)
		clear(w.small)
		w.small = nil
	}
	n := len(p)
	for len(p) > 0 && w.err == nil {
		m := min(len(p), textSize-len(w.next.In))
		if m == textSize && n >= largeWrite {
			w.next.In = p[:m]
		} else {
			w.next.In = append(w.next.In, p[:m]...)
		}
		p = p[m:]
		if len(w.next.In) == textSize {
			w.begin()
		}
	}
	if n >= largeWrite {
		w.drain()
	}
	return n - len(p), w.err
}

// begin puts the next piece to work, and gets an empty one.
func (w *Writer) begin() {
	if w.pipe.line.Full() {
		w.pass()
	}
	w.pipe.put(w.next)
	w.next = w.pipe.piece()
}

// drain waits for everything that was put to work.
func (w *Writer) drain() {
	for !w.pipe.line.Empty() {
		w.pass()
	}
}

// pass writes the oldest piece.
func (w *Writer) pass() {
	p := w.pipe.take()
	w.write(p.Out)
	w.pipe.drop(p)
}

func (w *Writer) write(p []byte) {
	if len(p) > 0 && w.err == nil {
		_, w.err = w.dst.Write(p)
	}
}

// Close enciphers what is left, with the padding where the mode has one. It does not
// close the destination. Nothing may be written afterwards.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if w.pipe == nil {
		w.closeSmall()
	} else {
		w.next.In = w.pad(w.next.In)
		w.begin()
		w.drain()
		w.pipe.drop(w.next)
		w.pipe.free()
	}
	if w.err != nil {
		return w.err
	}
	w.err = io.ErrClosedPipe
	return nil
}

func (w *Writer) closeSmall() {
	text := w.pad(w.small)
	var n note
	w.mode.begin(text, &n)
	w.mode.crypt(text, text, &n)
	w.mode.end(len(text), &n)
	w.write(text)
	w.small = nil
}

// pad appends the padding to the last piece of a message.
func (w *Writer) pad(p []byte) []byte {
	bs := w.mode.padded()
	if bs == 0 {
		return p
	}
	pad := bs - len(p)%bs
	for range pad {
		p = append(p, byte(pad))
	}
	return p
}

// Tag returns the authentication tag, 16 octets, once Close has returned; nil for CBC.
func (w *Writer) Tag() []byte { return w.mode.sum(nil) }
