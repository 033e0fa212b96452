// Package keywrap wraps content-encryption keys in other keys: AES Key Wrap
// ([Wrap], RFC 3394), the form with padding ([WrapPad], RFC 5649) and the wrap by a
// password's key ([WrapPassword], RFC 3211). [UnwrapTripleDES] reads the wrap of old
// mail (RFC 3217).
//
// # Security
//
// Unwrapping compares the check value in constant time and returns 1 or 0 as the
// functions of crypto/subtle do, with octets of the expected length in both cases. The
// caller puts a random key in the place of one that does not fit and goes on
// (RFC 3218, Section 2.3), so that nothing tells which step failed. The lengths, which
// are public, are checked before the key is used.
package keywrap

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

const (
	semiblock = 8
	blockSize = 16
	// maxKey is the longest key wrapped or unwrapped, in octets. No cipher of RFC 5652
	// has more than 32; RC2 allows 128.
	maxKey = 4096
)

// ErrLength means that a key or a wrapped key has a length the method does not have.
var ErrLength = errors.New("keywrap: wrong length")

// initialValue is that of RFC 3394, Section 2.2.3.1.
const initialValue = 0xa6a6a6a6a6a6a6a6

// Wrap wraps key, a multiple of 8 octets and at least 16, in kek, an AES key (RFC 3394,
// Section 2.2.1). The result is 8 octets longer.
func Wrap(kek cipher.Block, key []byte) ([]byte, error) {
	if len(key) < 16 || len(key)%semiblock != 0 || len(key) > maxKey || kek.BlockSize() != blockSize {
		return nil, ErrLength
	}
	out := make([]byte, semiblock+len(key))
	binary.BigEndian.PutUint64(out, initialValue)
	copy(out[semiblock:], key)
	mix(kek, out)
	return out, nil
}

// Unwrap reverses [Wrap]. ok is 1 if the check value is right, else 0; the key then is
// meaningless.
func Unwrap(kek cipher.Block, wrapped []byte) (key []byte, ok int, err error) {
	if len(wrapped) < 24 || len(wrapped)%semiblock != 0 || len(wrapped) > maxKey+semiblock || kek.BlockSize() != blockSize {
		return nil, 0, ErrLength
	}
	out := append([]byte(nil), wrapped...)
	unmix(kek, out)
	var want [semiblock]byte
	binary.BigEndian.PutUint64(want[:], initialValue)
	return out[semiblock:], subtle.ConstantTimeCompare(out[:semiblock], want[:]), nil
}

// mix runs the six rounds of RFC 3394, Section 2.2.1 over b, whose first semiblock is
// the register A.
func mix(kek cipher.Block, b []byte) {
	var x [blockSize]byte
	copy(x[:], b[:semiblock])
	n := len(b)/semiblock - 1
	for j := range 6 {
		for i := 1; i <= n; i++ {
			r := b[i*semiblock : (i+1)*semiblock]
			copy(x[semiblock:], r)
			kek.Encrypt(x[:], x[:])
			t := uint64(n*j + i)
			binary.BigEndian.PutUint64(x[:], binary.BigEndian.Uint64(x[:])^t)
			copy(r, x[semiblock:])
		}
	}
	copy(b, x[:semiblock])
}

// unmix reverses mix.
func unmix(kek cipher.Block, b []byte) {
	var x [blockSize]byte
	copy(x[:], b[:semiblock])
	n := len(b)/semiblock - 1
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			r := b[i*semiblock : (i+1)*semiblock]
			t := uint64(n*j + i)
			binary.BigEndian.PutUint64(x[:], binary.BigEndian.Uint64(x[:])^t)
			copy(x[semiblock:], r)
			kek.Decrypt(x[:], x[:])
			copy(r, x[semiblock:])
		}
	}
	copy(b, x[:semiblock])
}

// padValue is the constant half of the check value of RFC 5649, Section 3.
const padValue = 0xa65959a6

// WrapPad wraps a key of any length from 1 octet on in an AES key (RFC 5649,
// Section 4.1).
func WrapPad(kek cipher.Block, key []byte) ([]byte, error) {
	if len(key) == 0 || len(key) > maxKey || kek.BlockSize() != blockSize {
		return nil, ErrLength
	}
	padded := (len(key) + semiblock - 1) / semiblock * semiblock
	out := make([]byte, semiblock+padded)
	binary.BigEndian.PutUint32(out, padValue)
	binary.BigEndian.PutUint32(out[4:], uint32(len(key)))
	copy(out[semiblock:], key)
	if padded == semiblock {
		kek.Encrypt(out, out)
	} else {
		mix(kek, out)
	}
	return out, nil
}

// UnwrapPad reverses [WrapPad] for a key of n octets (RFC 5649, Section 4.2). ok is 1 if
// the check value, the length and the padding are right.
func UnwrapPad(kek cipher.Block, wrapped []byte, n int) (key []byte, ok int, err error) {
	padded := (n + semiblock - 1) / semiblock * semiblock
	if n < 1 || n > maxKey || len(wrapped) != padded+semiblock || kek.BlockSize() != blockSize {
		return nil, 0, ErrLength
	}
	out := append([]byte(nil), wrapped...)
	if padded == semiblock {
		kek.Decrypt(out, out)
	} else {
		unmix(kek, out)
	}
	// What must be around the key is known in full: one comparison covers all of it.
	want := make([]byte, semiblock+padded-n)
	binary.BigEndian.PutUint32(want, padValue)
	binary.BigEndian.PutUint32(want[4:], uint32(n))
	got := append(append(make([]byte, 0, len(want)), out[:semiblock]...), out[semiblock+n:]...)
	return out[semiblock : semiblock+n], subtle.ConstantTimeCompare(got, want), nil
}

// WrapPassword wraps key, 3 to 255 octets, in the key of a password, a block cipher used
// in CBC mode (RFC 3211, Section 2.3.1).
func WrapPassword(kek cipher.Block, iv, key []byte) ([]byte, error) {
	bs := kek.BlockSize()
	if len(key) < 3 || len(key) > 255 || len(iv) != bs || bs < semiblock {
		return nil, ErrLength
	}
	n := max((4+len(key)+bs-1)/bs, 2) * bs
	out := make([]byte, n)
	out[0] = byte(len(key))
	for i := range 3 {
		out[1+i] = ^key[i]
	}
	copy(out[4:], key)
	rand.Read(out[4+len(key):])
	mode := cipher.NewCBCEncrypter(kek, iv)
	mode.CryptBlocks(out, out)
	mode.CryptBlocks(out, out) // again, with the last block as initial vector
	return out, nil
}

// UnwrapPassword reverses [WrapPassword] for a key of n octets (RFC 3211,
// Section 2.3.2). A wrapped key of fewer than two blocks is refused. ok is 1 if the
// length and the check octets are right.
func UnwrapPassword(kek cipher.Block, iv, wrapped []byte, n int) (key []byte, ok int, err error) {
	bs := kek.BlockSize()
	if n < 3 || n > 255 || len(iv) != bs || bs < semiblock ||
		len(wrapped) < 2*bs || len(wrapped)%bs != 0 || len(wrapped) < 4+n || len(wrapped) > maxKey {
		return nil, 0, ErrLength
	}
	out := append([]byte(nil), wrapped...)
	last := len(out) - bs
	// The last block, deciphered, is the initial vector of the outer pass.
	var first [32]byte
	cipher.NewCBCDecrypter(kek, wrapped[last-bs:last]).CryptBlocks(first[:bs], wrapped[last:])
	cipher.NewCBCDecrypter(kek, first[:bs]).CryptBlocks(out, out)
	cipher.NewCBCDecrypter(kek, iv).CryptBlocks(out, out)
	ok = subtle.ConstantTimeByteEq(out[0], byte(n))
	for i := range 3 {
		ok &= subtle.ConstantTimeByteEq(out[1+i], ^out[4+i])
	}
	return out[4 : 4+n], ok, nil
}
