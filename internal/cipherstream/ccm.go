package cipherstream

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"
)

// NewCCMReader deciphers AES-CCM (RFC 3610, RFC 5084) with a key of 16, 24 or 32 and a
// nonce of 7 to 13 octets. CCM authenticates the length first, so that the reader holds
// the whole message, up to limit octets ([ErrTooLong] above), and, unlike the others,
// returns plaintext only once the tag has been found right. The tag that tail returns
// must have an even length from 4 to 16.
func NewCCMReader(src io.Reader, key, nonce []byte, limit int, tail Tail) (io.Reader, error) {
	c, err := newCCM(key, nonce)
	if err != nil {
		return nil, err
	}
	return &ccmReader{src: src, c: c, tail: tail, max: min(uint64(limit), c.limit())}, nil
}

// NewCCMWriter enciphers AES-CCM with a tag of 16 octets and authenticates additional
// data with it. It holds the message until Close, up to limit octets. A nonce must never
// serve twice under one key.
func NewCCMWriter(dst io.Writer, key, nonce, additional []byte, limit int) (*CCMWriter, error) {
	c, err := newCCM(key, nonce)
	if err != nil {
		return nil, err
	}
	return &CCMWriter{dst: dst, c: c, additional: additional, max: min(uint64(limit), c.limit())}, nil
}

// LongestCCM is how many octets AES-CCM protects with a nonce of the given length: what
// the length field in the other 15 octets can say (RFC 3610, Section 2.1). With 12 octets
// that is 16 MiB less one.
func LongestCCM(nonce int) int64 { return 1<<min(8*(15-nonce), 62) - 1 }

// A CCMWriter holds what is written to it and enciphers it at Close.
type CCMWriter struct {
	dst        io.Writer
	c          *ccm
	additional []byte
	buf        []byte
	tag        []byte
	max        uint64
	err        error
}

// Write takes a copy of p. Its error is [ErrTooLong].
func (w *CCMWriter) Write(p []byte) (int, error) {
	if w.err == nil && uint64(len(w.buf))+uint64(len(p)) > w.max {
		w.err = ErrTooLong
	}
	if w.err != nil {
		return 0, w.err
	}
	w.buf = append(w.buf, p...)
	return len(p), nil
}

// Close enciphers the message and passes it on. It does not close the destination.
func (w *CCMWriter) Close() error {
	if w.err != nil {
		return w.err
	}
	w.err = io.ErrClosedPipe
	w.tag = w.c.tag(w.buf, w.additional, TagSize)
	w.c.stream().XORKeyStream(w.buf, w.buf)
	_, err := w.dst.Write(w.buf)
	w.buf = nil
	return err
}

// Tag returns the authentication tag, 16 octets, once Close has returned.
func (w *CCMWriter) Tag() []byte { return w.tag }

type ccmReader struct {
	src   io.Reader
	c     *ccm
	tail  Tail
	max   uint64
	plain []byte
	err   error
}

func (r *ccmReader) Read(p []byte) (int, error) {
	if r.err == nil {
		r.err = r.open()
	}
	if len(r.plain) > 0 {
		n := copy(p, r.plain)
		r.plain = r.plain[n:]
		return n, nil
	}
	return 0, r.err
}

func (r *ccmReader) open() error {
	text, err := io.ReadAll(io.LimitReader(r.src, int64(r.max)+1))
	if err != nil {
		return err
	}
	if uint64(len(text)) > r.max {
		return ErrTooLong
	}
	tag, additional, err := r.tail()
	if err != nil {
		return err
	}
	if len(tag) < 4 || len(tag) > TagSize || len(tag)%2 != 0 {
		return ErrOpen
	}
	r.c.stream().XORKeyStream(text, text)
	if subtle.ConstantTimeCompare(r.c.tag(text, additional, len(tag)), tag) != 1 {
		clear(text)
		return ErrOpen
	}
	r.plain = text
	return io.EOF
}

type ccm struct {
	block cipher.Block
	nonce []byte
}

func newCCM(key, nonce []byte) (*ccm, error) {
	if len(nonce) < 7 || len(nonce) > 13 {
		return nil, errors.New("cipherstream: CCM nonce is not of 7 to 13 octets")
	}
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &ccm{b, append([]byte(nil), nonce...)}, nil
}

func (c *ccm) limit() uint64 { return uint64(LongestCCM(len(c.nonce))) }

// counter returns block A_i of RFC 3610, Section 2.3.
func (c *ccm) counter(i byte) []byte {
	a := make([]byte, aes.BlockSize)
	a[0] = byte(14 - len(c.nonce))
	copy(a[1:], c.nonce)
	a[15] = i
	return a
}

func (c *ccm) stream() cipher.Stream { return cipher.NewCTR(c.block, c.counter(1)) }

// tag computes the authentication field of RFC 3610, Section 2.2, encrypted.
func (c *ccm) tag(plain, additional []byte, size int) []byte {
	first := make([]byte, aes.BlockSize)
	binary.BigEndian.PutUint64(first[8:], uint64(len(plain)))
	copy(first[1:], c.nonce)
	first[0] = byte(size-2)/2<<3 | byte(14-len(c.nonce))
	if len(additional) > 0 {
		first[0] |= 0x40
	}
	mac := &cbcMAC{mode: cipher.NewCBCEncrypter(c.block, make([]byte, aes.BlockSize))}
	mac.write(first)
	if n := len(additional); n > 0 {
		switch {
		case n < 0xff00:
			mac.write(binary.BigEndian.AppendUint16(nil, uint16(n)))
		default:
			mac.write(binary.BigEndian.AppendUint32([]byte{0xff, 0xfe}, uint32(n)))
		}
		mac.write(additional)
		mac.pad()
	}
	mac.write(plain)
	mac.pad()
	var s0 [aes.BlockSize]byte
	c.block.Encrypt(s0[:], c.counter(0))
	subtle.XORBytes(s0[:], s0[:], mac.last[:])
	return s0[:size]
}

// cbcMAC runs CBC and keeps only the last block.
type cbcMAC struct {
	mode    cipher.BlockMode
	scratch [4096]byte
	n       int
	last    [aes.BlockSize]byte
}

func (m *cbcMAC) write(p []byte) {
	for len(p) > 0 {
		n := copy(m.scratch[m.n:], p)
		m.n += n
		p = p[n:]
		if m.n == len(m.scratch) {
			m.flush()
		}
	}
}

func (m *cbcMAC) pad() {
	for m.n%aes.BlockSize != 0 {
		m.scratch[m.n] = 0
		m.n++
	}
	m.flush()
}

func (m *cbcMAC) flush() {
	if m.n == 0 {
		return
	}
	m.mode.CryptBlocks(m.scratch[:m.n], m.scratch[:m.n])
	copy(m.last[:], m.scratch[m.n-aes.BlockSize:m.n])
	m.n = 0
}
