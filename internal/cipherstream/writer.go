package cipherstream

import "io"

// A Writer enciphers what is written to it and passes the ciphertext on.
type Writer struct {
	dst   io.Writer
	mode  encrypter
	buf   []byte
	n     int // octets of plaintext in buf
	total uint64
	err   error
}

// An encrypter is the state of one message in a mode of operation.
type encrypter interface {
	// encrypt enciphers src to dst, which are the same or do not overlap. All calls but
	// the last have a multiple of 16 octets.
	encrypt(dst, src []byte)
	// padded returns the block size if the message must be padded to it, or 0.
	padded() int
	// sum appends the tag, if there is one.
	sum(tag []byte) []byte
	// limit is how many octets may be enciphered.
	limit() uint64
}

func newWriter(dst io.Writer, mode encrypter) *Writer {
	return &Writer{dst: dst, mode: mode, buf: make([]byte, smallBuffer)}
}

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
	n := len(p)
	for len(p) > 0 {
		if w.n == len(w.buf) {
			if w.flush(w.buf); w.err != nil {
				return n - len(p), w.err
			}
			w.grow()
		}
		if w.n == 0 && len(p) > len(w.buf) {
			w.grow()
		}
		if w.n == 0 && len(p) >= len(w.buf) {
			w.mode.encrypt(w.buf, p[:len(w.buf)])
			if w.pass(w.buf); w.err != nil {
				return n - len(p), w.err
			}
			p = p[len(w.buf):]
			continue
		}
		m := copy(w.buf[w.n:], p)
		w.n += m
		p = p[m:]
	}
	return n, nil
}

// Close enciphers what is left, with the padding where the mode has one. It does not
// close the destination. Nothing may be written afterwards.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if bs := w.mode.padded(); bs > 0 {
		if w.n == len(w.buf) {
			w.flush(w.buf)
		}
		pad := bs - w.n%bs
		for range pad { // the buffer is a multiple of the block size
			w.buf[w.n] = byte(pad)
			w.n++
		}
	}
	if w.err == nil {
		w.flush(w.buf[:w.n])
	}
	if w.err != nil {
		return w.err
	}
	w.err = io.ErrClosedPipe
	release(w.buf[:cap(w.buf)])
	w.buf = nil
	return nil
}

// Tag returns the authentication tag, 16 octets, once Close has returned; nil for CBC.
func (w *Writer) Tag() []byte { return w.mode.sum(nil) }

// grow gives the writer a full window: this is no small message.
func (w *Writer) grow() {
	if n := window(); len(w.buf) < n {
		release(w.buf)
		w.buf = newBuffer(room + n)[:n]
	}
}

func (w *Writer) flush(p []byte) {
	w.mode.encrypt(p, p)
	w.n = 0
	w.pass(p)
}

func (w *Writer) pass(p []byte) {
	if len(p) > 0 && w.err == nil {
		_, w.err = w.dst.Write(p)
	}
}
