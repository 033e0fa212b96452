package keywrap

import (
	"crypto/cipher"
	"crypto/sha1"
	"crypto/subtle"
	"math/bits"
	"slices"
)

// UnwrapTripleDES unwraps a Triple-DES key of 24 octets that was wrapped in another one,
// 40 octets long (RFC 3217, Section 3.2). ok is 1 if the check value and the parity are
// right.
func UnwrapTripleDES(kek cipher.Block, wrapped []byte) (key []byte, ok int, err error) {
	key, ok, err = unwrapTwice(kek, wrapped, 40)
	if err != nil {
		return nil, 0, err
	}
	for _, b := range key {
		ok &= bits.OnesCount8(b) & 1
	}
	return key, ok, nil
}

// UnwrapRC2 unwraps an RC2 key of n octets that was wrapped in another RC2 key
// (RFC 3217, Section 4.2). ok is 1 if the check value and the length are right.
func UnwrapRC2(kek cipher.Block, wrapped []byte, n int) (key []byte, ok int, err error) {
	padded := (n + 1 + semiblock - 1) / semiblock * semiblock
	if n < 1 || n > 128 {
		return nil, 0, ErrLength
	}
	lcek, ok, err := unwrapTwice(kek, wrapped, padded+16)
	if err != nil {
		return nil, 0, err
	}
	ok &= subtle.ConstantTimeByteEq(lcek[0], byte(n))
	return lcek[1 : 1+n], ok, nil
}

// unwrapTwice undoes what both methods of RFC 3217 share: CBC with a fixed initial
// vector, a reversal, CBC again, and a check value of eight octets of SHA-1.
func unwrapTwice(kek cipher.Block, wrapped []byte, size int) (key []byte, ok int, err error) {
	if len(wrapped) != size || kek.BlockSize() != semiblock {
		return nil, 0, ErrLength
	}
	fixed := [semiblock]byte{0x4a, 0xdd, 0xa2, 0x2c, 0x79, 0xe8, 0x21, 0x05}
	out := append([]byte(nil), wrapped...)
	cipher.NewCBCDecrypter(kek, fixed[:]).CryptBlocks(out, out)
	slices.Reverse(out)
	iv, body := out[:semiblock], out[semiblock:]
	cipher.NewCBCDecrypter(kek, iv).CryptBlocks(body, body)
	key, check := body[:len(body)-semiblock], body[len(body)-semiblock:]
	sum := sha1.Sum(key)
	return key, subtle.ConstantTimeCompare(sum[:semiblock], check), nil
}
