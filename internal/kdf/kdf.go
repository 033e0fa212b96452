// Package kdf derives keys as CMS does: from an ECDH secret ([X963], RFC 5753, or [HKDF],
// RFC 8418 and RFC 9629), from a password ([PBKDF2], RFC 8018), and a content-encryption
// key from another one ([ContentKey], RFC 9709). Costs that a message names are bounded
// before any work is done.
package kdf

import (
	"crypto/hkdf"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"

	"github.com/postseal/postseal/internal/limits"
)

// maxKey is the longest key derived, in octets. No algorithm of CMS needs more than 64.
const maxKey = 1024

var errLength = errors.New("kdf: key length out of range")

// X963 derives n octets from an ECDH secret and the DER encoding of ECC-CMS-SharedInfo
// (ANSI X9.63 and SEC 1, Section 3.6.1, by way of RFC 5753, Section 2.1).
func X963(h func() hash.Hash, secret, sharedInfo []byte, n int) ([]byte, error) {
	if n < 1 || n > maxKey {
		return nil, errLength
	}
	var out []byte
	for counter := uint32(1); len(out) < n; counter++ {
		d := h()
		d.Write(secret)
		d.Write(binary.BigEndian.AppendUint32(nil, counter))
		d.Write(sharedInfo)
		out = d.Sum(out)
	}
	return out[:n], nil
}

// HKDF derives n octets from a secret (RFC 5869). Salt may be nil.
func HKDF(h func() hash.Hash, secret, salt, info []byte, n int) ([]byte, error) {
	if n < 1 || n > maxKey {
		return nil, errLength
	}
	return hkdf.Key(h, secret, salt, string(info), n)
}

// PBKDF2 derives n octets from a password (RFC 8018, Section 5.2). More iterations than
// most are refused, before any work, with [limits.Exceeded].
func PBKDF2(h func() hash.Hash, password, salt []byte, iterations, most, n int) ([]byte, error) {
	if n < 1 || n > maxKey {
		return nil, errLength
	}
	if iterations < 1 {
		return nil, errors.New("kdf: PBKDF2 without iterations")
	}
	if iterations > most {
		return nil, &limits.Exceeded{What: "PBKDF2 iterations", Max: int64(most)}
	}
	return pbkdf2.Key(h, string(password), salt, iterations, n)
}

// ContentKey derives the key that enciphers the content from the one the recipients are
// given and the algorithm it is meant for, a DER AlgorithmIdentifier (RFC 9709,
// Section 2). The result has the length of key.
func ContentKey(key, algorithm []byte) ([]byte, error) {
	return HKDF(sha256.New, key, []byte("The Cryptographic Message Syntax"), algorithm, len(key))
}
