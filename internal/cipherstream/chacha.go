package cipherstream

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"

	"golang.org/x/crypto/chacha20"
)

// NewChaChaReader deciphers ChaCha20-Poly1305 (RFC 8103, RFC 8439) with a key of 32 and
// a nonce of 12 octets. The tag that tail returns must have 16 octets.
func NewChaChaReader(src io.Reader, key, nonce []byte, tail Tail) (*Reader, error) {
	c, err := newChaCha(key, nonce)
	if err != nil {
		return nil, err
	}
	c.decrypt = true
	return newReader(src, c, tail), nil
}

// NewChaChaWriter enciphers ChaCha20-Poly1305 and authenticates additional data with it.
// A nonce must never serve twice under one key.
func NewChaChaWriter(dst io.Writer, key, nonce, additional []byte) (*Writer, error) {
	c, err := newChaCha(key, nonce)
	if err != nil {
		return nil, err
	}
	return newWriter(dst, &chachaEncrypter{c, additional}), nil
}

type chacha struct {
	key     [chacha20.KeySize]byte
	nonce   [NonceSize]byte
	poly    poly1305
	acc     field130
	begun   uint64 // octets
	size    uint64 // octets that have ended
	decrypt bool
}

func newChaCha(key, nonce []byte) (*chacha, error) {
	if len(key) != chacha20.KeySize || len(nonce) != NonceSize {
		return nil, errors.New("cipherstream: ChaCha20-Poly1305 needs a key of 32 and a nonce of 12 octets")
	}
	c := &chacha{}
	copy(c.key[:], key)
	copy(c.nonce[:], nonce)
	var one [32]byte
	c.stream(0).XORKeyStream(one[:], one[:])
	c.poly.init(one[:])
	return c, nil
}

func (c *chacha) serial() bool  { return false }
func (c *chacha) padded() int   { return 0 }
func (c *chacha) limit() uint64 { return 1<<38 - 64 } // RFC 8439, Section 2.8

// stream returns the key stream from the given block of 64 octets on.
func (c *chacha) stream(block uint32) *chacha20.Cipher {
	s, err := chacha20.NewUnauthenticatedCipher(c.key[:], c.nonce[:])
	if err != nil {
		panic(err) // both lengths are those of the array types
	}
	s.SetCounter(block)
	return s
}

func (c *chacha) begin(text []byte, n *note) {
	binary.LittleEndian.PutUint64(n[:], c.begun/64)
	c.begun += uint64(len(text))
}

func (c *chacha) crypt(dst, text []byte, n *note) {
	var sum field130
	if c.decrypt {
		sum = c.poly.sum(sum, text)
	}
	c.stream(uint32(binary.LittleEndian.Uint64(n[:]))+1).XORKeyStream(dst, text)
	if !c.decrypt {
		sum = c.poly.sum(sum, dst)
	}
	sum.store(n)
}

func (c *chacha) end(size int, n *note) {
	blocks := uint64(size+15) / 16
	c.acc = c.acc.mul(c.poly.raised(blocks)).add(restore130(n))
	c.size += uint64(size)
}

func (c *chacha) tag(additional []byte) [TagSize]byte {
	acc := c.acc
	if len(additional) > 0 {
		first := c.poly.sum(field130{}, additional)
		acc = acc.add(first.mul(c.poly.r.pow((c.size + 15) / 16)))
	}
	var lengths [16]byte
	binary.LittleEndian.PutUint64(lengths[:], uint64(len(additional)))
	binary.LittleEndian.PutUint64(lengths[8:], c.size)
	return c.poly.finish(c.poly.sum(acc, lengths[:]))
}

func (c *chacha) check(tag, additional []byte) int {
	want := c.tag(additional)
	return subtle.ConstantTimeCompare(want[:], tag)
}

type chachaEncrypter struct {
	*chacha
	additional []byte
}

func (c *chachaEncrypter) sum(tag []byte) []byte {
	t := c.tag(c.additional)
	return append(tag, t[:]...)
}
