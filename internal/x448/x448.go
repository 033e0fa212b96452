// Package x448 is the key agreement X448 of RFC 7748, Section 5, which the standard
// library has not. See [GenerateKey], [NewPrivateKey] and [PrivateKey.ECDH].
//
// # Security
//
// No branch and no memory access depends on a secret.
package x448

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
)

// Size is the length of private keys, public keys and shared secrets, in octets.
const Size = 56

var errLength = errors.New("x448: a key has not 56 octets")

// ErrZero means that a peer's public key has low order, so that the secret is zero
// whatever the private key (RFC 7748, Section 6.2).
var ErrZero = errors.New("x448: low order public key")

// A PrivateKey is a private key of X448.
type PrivateKey struct{ scalar [Size]byte }

// GenerateKey returns a random private key.
func GenerateKey() (*PrivateKey, error) {
	var b [Size]byte
	rand.Read(b[:])
	return NewPrivateKey(b[:])
}

// NewPrivateKey returns the private key with the encoding b, 56 octets (RFC 8410,
// Section 7: the CurvePrivateKey of X448).
func NewPrivateKey(b []byte) (*PrivateKey, error) {
	if len(b) != Size {
		return nil, errLength
	}
	k := &PrivateKey{}
	copy(k.scalar[:], b)
	return k, nil
}

// Bytes returns the encoding of k, 56 octets.
func (k *PrivateKey) Bytes() []byte { return append([]byte(nil), k.scalar[:]...) }

// PublicKey computes the public key and returns its encoding, 56 octets.
func (k *PrivateKey) PublicKey() []byte {
	base := [Size]byte{5}
	public := scalarMult(&k.scalar, &base)
	return public[:]
}

// ECDH returns the secret that k shares with the holder of the private key of peer. A
// secret of zero is [ErrZero].
func (k *PrivateKey) ECDH(peer []byte) ([]byte, error) {
	if len(peer) != Size {
		return nil, errLength
	}
	z := scalarMult(&k.scalar, (*[Size]byte)(peer))
	var zero [Size]byte
	if subtle.ConstantTimeCompare(z[:], zero[:]) == 1 {
		return nil, ErrZero
	}
	return z[:], nil
}

// scalarMult is the Montgomery ladder of RFC 7748, Section 5.
func scalarMult(k, u *[Size]byte) [Size]byte {
	s := *k
	s[0] &= 252
	s[55] |= 128
	x1 := decode(u)
	x2, z2, x3, z3 := element{1}, element{}, x1, element{1}
	swap := uint64(0)
	for t := 447; t >= 0; t-- {
		bit := uint64(s[t/8]>>(t%8)) & 1
		swap ^= bit
		x2.swap(&x3, swap)
		z2.swap(&z3, swap)
		swap = bit

		a, b := x2.add(&z2), x2.sub(&z2)
		aa, bb := a.mul(&a), b.mul(&b)
		e := aa.sub(&bb)
		c, d := x3.add(&z3), x3.sub(&z3)
		da, cb := d.mul(&a), c.mul(&b)
		sum, diff := da.add(&cb), da.sub(&cb)
		x3 = sum.mul(&sum)
		diff = diff.mul(&diff)
		z3 = x1.mul(&diff)
		x2 = aa.mul(&bb)
		f := e.mul(&element{39081})
		f = aa.add(&f)
		z2 = e.mul(&f)
	}
	x2.swap(&x3, swap)
	z2.swap(&z3, swap)
	z2 = z2.inverse()
	out := x2.mul(&z2)
	return out.encode()
}
