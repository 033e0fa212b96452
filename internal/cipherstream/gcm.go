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
	return newReader(src, g, tail), nil
}

// NewGCMWriter enciphers AES-GCM and authenticates additional data with it. A nonce must
// never serve twice under one key.
func NewGCMWriter(dst io.Writer, key, nonce, additional []byte) (*Writer, error) {
	g, err := newGCM(key, nonce)
	if err != nil {
		return nil, err
	}
	return newWriter(dst, &gcmEncrypter{g, additional}), nil
}

// gcm is AES-GCM in constant memory out of the standard library's parts. The AEAD itself
// computes GHASH of a chunk c: Seal(nil, nonce, nil, c) is ((GHASH(c) xor len)*H) xor
// E(K, J0). H is the cipher of zero and E(K, J0) one block, so that one multiplication
// with the inverse of H uncovers GHASH(c), and one with a power of H appends it to the
// running hash. The tags made on the way never leave this package.
type gcm struct {
	block   cipher.Block
	aead    cipher.AEAD
	nonce   [NonceSize]byte
	h, hinv field128
	mask    field128 // E(K, J0)
	acc     field128
	size    uint64
	hpart   field128 // H to the number of blocks in a part, once it is needed
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
	copy(g.nonce[:], nonce)
	var z, j0 [16]byte
	b.Encrypt(z[:], z[:])
	copy(j0[:], nonce)
	j0[15] = 1
	b.Encrypt(j0[:], j0[:])
	g.h, g.mask = load128(z[:]), load128(j0[:])
	g.hinv = g.h.inverse()
	return g, nil
}

func (g *gcm) padded() int      { return 0 }
func (g *gcm) limit() uint64    { return LongestGCM }
func (g *gcm) decrypt(p []byte) { g.crypt(p, p, true) }

func (g *gcm) crypt(dst, src []byte, decrypt bool) {
	if len(src) == 0 {
		return
	}
	var sums [maxParts]field128
	parts := split(len(src))
	if parts == 1 {
		sums[0] = g.part(dst, src, g.size/16, decrypt)
	} else {
		together(parts, func(i int) {
			sums[i] = g.part(part(dst, i), part(src, i), (g.size+uint64(i)*partSize)/16, decrypt)
		})
	}
	for i := range parts {
		g.acc = g.acc.mul(g.raised(len(part(src, i)))).xor(sums[i])
	}
	g.size += uint64(len(src))
}

// part enciphers or deciphers src, which starts at the given block of the message, and
// returns the GHASH of its ciphertext. It changes nothing in g.
func (g *gcm) part(dst, src []byte, block uint64, decrypt bool) field128 {
	var iv [16]byte
	copy(iv[:], g.nonce[:])
	binary.BigEndian.PutUint32(iv[12:], uint32(block)+2)
	ctr := cipher.NewCTR(g.block, iv[:])
	if decrypt {
		y := g.ghash(src)
		ctr.XORKeyStream(dst, src)
		return y
	}
	ctr.XORKeyStream(dst, src)
	return g.ghash(dst)
}

// ghash returns GHASH of the blocks of c, the last padded with zeros, without lengths.
func (g *gcm) ghash(c []byte) field128 {
	var out [TagSize]byte
	y := load128(g.aead.Seal(out[:0], g.nonce[:], nil, c)).xor(g.mask)
	return y.mul(g.hinv).xor(field128{uint64(len(c)) * 8, 0})
}

// raised returns H to the number of blocks in n octets. It remembers that of a full part.
func (g *gcm) raised(n int) field128 {
	if n != partSize {
		return g.h.pow(uint64(n+15) / 16)
	}
	if g.hpart == (field128{}) {
		g.hpart = g.h.pow(partSize / 16)
	}
	return g.hpart
}

// tag finishes the hash. The additional data comes first in it; multiplied by H to the
// number of ciphertext blocks it may be added last.
func (g *gcm) tag(additional []byte) [TagSize]byte {
	acc := g.acc
	if len(additional) > 0 {
		acc = acc.xor(g.ghash(additional).mul(g.h.pow((g.size + 15) / 16)))
	}
	acc = acc.xor(field128{uint64(len(additional)) * 8, g.size * 8}).mul(g.h).xor(g.mask)
	var out [TagSize]byte
	acc.store(out[:])
	return out
}

func (g *gcm) check(tag, additional []byte) int {
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

func (g *gcmEncrypter) encrypt(dst, src []byte) { g.crypt(dst, src, false) }
func (g *gcmEncrypter) sum(tag []byte) []byte {
	t := g.tag(g.additional)
	return append(tag, t[:]...)
}
