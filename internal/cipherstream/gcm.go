package cipherstream

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"
)

// NonceSize is the length of the nonce of AES-GCM and ChaCha20-Poly1305 in this package,
// in octets: the only one RFC 5084, Section 3.2 recommends and RFC 8103 has.
const NonceSize = 12

// TagSize is the length of a full authentication tag, in octets.
const TagSize = 16

// LongestGCM is how many octets AES-GCM protects under one nonce (NIST SP 800-38D,
// Section 5.2.1.1).
const LongestGCM = 1<<36 - 32

// NewGCMReader deciphers AES-GCM (RFC 5084) with a key of 16, 24 or 32 octets. The tag
// that tail returns may be cut short, to no less than 12 octets.
func NewGCMReader(src io.Reader, key, nonce []byte, tail Tail) (*Reader, error) {
	g, err := newGCM(key, nonce)
	if err != nil {
		return nil, err
	}
	return newReader(src, &gcmDecrypter{g}, tail), nil
}

// NewGCMWriter enciphers AES-GCM and authenticates additional data with it. A nonce must
// never serve twice under one key.
func NewGCMWriter(dst io.Writer, key, nonce, additional []byte) (*Writer, error) {
	g, err := newGCM(key, nonce)
	if err != nil {
		return nil, err
	}
	return newWriter(dst, &gcmEncrypter{gcm: g, additional: additional}), nil
}

// gcm is AES-GCM in constant memory out of the standard library's parts. The AEAD itself
// computes GHASH, the polynomial in H over the blocks: a tag over one piece is
// ((GHASH(piece) xor lengths)*H) xor E(K, J0). H is the cipher of zero and E(K, J0) one
// block, so that GHASH(piece)*H is uncovered, and a multiplication with a power of H
// appends it to what came before. The tags made on the way never leave this package.
type gcm struct {
	block cipher.Block
	aead  cipher.AEAD
	j0    [aes.BlockSize]byte // NIST SP 800-38D, Section 7.1
	h     field128
	mask  field128 // E(K, J0)
	begun uint64   // octets
	size  uint64   // octets that have ended
	acc   field128 // GHASH of them, times H
	// Of a whole piece: H to the number of its blocks, once that is needed, and H times
	// its length.
	power, length field128
}

func newGCM(key, nonce []byte) (*gcm, error) {
	if len(nonce) != NonceSize {
		return nil, errors.New("cipherstream: GCM nonce is not 12 octets")
	}
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(b)
	if err != nil {
		return nil, err
	}
	g := &gcm{block: b, aead: aead}
	copy(g.j0[:], nonce)
	g.j0[15] = 1
	g.h, g.mask = g.cipher([aes.BlockSize]byte{}), g.cipher(g.j0)
	g.length = g.h.mul(field128{textSize * 8, 0})
	return g, nil
}

// cipher returns E(K, b).
func (g *gcm) cipher(b [aes.BlockSize]byte) field128 {
	g.block.Encrypt(b[:], b[:])
	return load128(b[:])
}

func (g *gcm) serial() bool  { return false }
func (g *gcm) padded() int   { return 0 }
func (g *gcm) limit() uint64 { return LongestGCM }

// begin leaves where the piece begins, in blocks.
func (g *gcm) begin(text []byte, n *note) {
	binary.BigEndian.PutUint32(n[aes.BlockSize:], uint32(g.begun/aes.BlockSize))
	g.begun += uint64(len(text))
}

// end takes GHASH(piece)*H.
func (g *gcm) end(size int, n *note) {
	g.acc = g.acc.mul(g.raised(size)).xor(load128(n[:]))
	g.size += uint64(size)
}

// stream enciphers or deciphers the piece that begins where n says.
func (g *gcm) stream(dst, text []byte, n *note) {
	iv := n[:aes.BlockSize] // memory that is there already
	copy(iv, g.j0[:NonceSize])
	binary.BigEndian.PutUint32(iv[NonceSize:], binary.BigEndian.Uint32(n[aes.BlockSize:])+2)
	cipher.NewCTR(g.block, iv).XORKeyStream(dst, text)
}

// ghash returns GHASH(b)*H, the last block padded with zeros. It works in n.
func (g *gcm) ghash(b []byte, n *note) field128 {
	y := load128(g.aead.Seal(n[:0], g.j0[:NonceSize], nil, b)).xor(g.mask)
	if len(b) == textSize {
		return y.xor(g.length)
	}
	return y.xor(g.h.mul(field128{uint64(len(b)) * 8, 0}))
}

// raised returns H to the number of blocks in n octets.
func (g *gcm) raised(n int) field128 {
	if n != textSize {
		return g.h.pow(uint64(n+aes.BlockSize-1) / aes.BlockSize)
	}
	if g.power == (field128{}) {
		g.power = g.h.pow(textSize / aes.BlockSize)
	}
	return g.power
}

// tag finishes the hash. The additional data comes first in it; multiplied by H to the
// number of ciphertext blocks it may be added last.
func (g *gcm) tag(additional []byte) [TagSize]byte {
	acc := g.acc
	if len(additional) > 0 {
		acc = acc.xor(g.ghash(additional, new(note)).mul(g.h.pow((g.size + aes.BlockSize - 1) / aes.BlockSize)))
	}
	acc = acc.xor(g.h.mul(field128{uint64(len(additional)) * 8, g.size * 8})).xor(g.mask)
	var out [TagSize]byte
	acc.store(out[:])
	return out
}

type gcmDecrypter struct{ *gcm }

func (g *gcmDecrypter) crypt(dst, text []byte, n *note) {
	y := g.ghash(text, n)
	g.stream(dst, text, n)
	y.store(n[:])
}

func (g *gcmDecrypter) check(tag, additional []byte) int {
	want := g.tag(additional)
	if len(tag) < 12 || len(tag) > TagSize {
		return 0
	}
	return subtle.ConstantTimeCompare(want[:len(tag)], tag)
}

type gcmEncrypter struct {
	*gcm
	additional []byte
}

func (g *gcmEncrypter) crypt(dst, text []byte, n *note) {
	g.stream(dst, text, n)
	g.ghash(dst, n).store(n[:])
}

func (g *gcmEncrypter) sum(tag []byte) []byte {
	t := g.tag(g.additional)
	return append(tag, t[:]...)
}
