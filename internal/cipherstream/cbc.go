package cipherstream

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"io"
	"math"
)

// NewCBCReader deciphers CBC with the padding of RFC 5652, Section 6.3. The initial
// vector must have the block size. CBC protects nothing: a nil error says that the
// padding was well-formed, not that the content is what was sent.
func NewCBCReader(src io.Reader, b cipher.Block, iv []byte, tail Tail) (*Reader, error) {
	if len(iv) != b.BlockSize() || len(iv) > aes.BlockSize {
		return nil, errors.New("cipherstream: initial vector and block size differ")
	}
	m := &cbc{b: b}
	copy(m.iv[:], iv)
	return newReader(src, m, tail), nil
}

// NewCBCWriter enciphers to dst in CBC mode and, at Close, adds the padding of
// RFC 5652, Section 6.3. The initial vector must have the block size and be random.
func NewCBCWriter(dst io.Writer, b cipher.Block, iv []byte) (*Writer, error) {
	if len(iv) != b.BlockSize() || len(iv) > aes.BlockSize {
		return nil, errors.New("cipherstream: initial vector and block size differ")
	}
	return newWriter(dst, &cbcEncrypter{cipher.NewCBCEncrypter(b, iv)}), nil
}

// cbc deciphers. A block needs only the ciphertext before it, so pieces are independent.
type cbc struct {
	b  cipher.Block
	iv [16]byte // of the next piece
}

func (c *cbc) begin(text []byte, n *note) {
	copy(n[:], c.iv[:])
	if bs := c.b.BlockSize(); len(text) >= bs {
		copy(c.iv[:], text[len(text)-bs:])
	}
}

func (c *cbc) crypt(dst, text []byte, n *note) {
	bs := c.b.BlockSize()
	whole := len(text) - len(text)%bs // what is more is found wrong later
	cipher.NewCBCDecrypter(c.b, n[:bs]).CryptBlocks(dst[:whole], text[:whole])
}

func (c *cbc) end(int, *note)        {}
func (c *cbc) serial() bool          { return false }
func (c *cbc) padded() int           { return c.b.BlockSize() }
func (c *cbc) limit() uint64         { return math.MaxInt64 }
func (c *cbc) check(_, _ []byte) int { return 1 }

type cbcEncrypter struct{ mode cipher.BlockMode }

func (c *cbcEncrypter) begin([]byte, *note)             {}
func (c *cbcEncrypter) crypt(dst, text []byte, _ *note) { c.mode.CryptBlocks(dst, text) }
func (c *cbcEncrypter) end(int, *note)                  {}
func (c *cbcEncrypter) serial() bool                    { return true }
func (c *cbcEncrypter) padded() int                     { return c.mode.BlockSize() }
func (c *cbcEncrypter) limit() uint64                   { return math.MaxInt64 }
func (c *cbcEncrypter) sum(tag []byte) []byte           { return tag }

// unpad returns the length of the padding in block, the last of a message, and whether
// it is well-formed: n octets of the value n, with n from 1 to the block size. It looks
// at every octet in every case. An empty block is malformed.
func unpad(block []byte, size int) (n, ok int) {
	if len(block) != size {
		return 0, 0
	}
	n = int(block[size-1])
	ok = subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, size)
	for i := range size {
		inside := subtle.ConstantTimeLessOrEq(size-i, n)
		same := subtle.ConstantTimeByteEq(block[i], byte(n))
		ok &= subtle.ConstantTimeSelect(inside, same, 1)
	}
	return n, ok
}
