// Package keyfile reads the files people keep private keys in: PKCS#12 (RFC 7292), PKCS#8
// (RFC 5958), encrypted or not, and the older PKCS#1 and SEC 1 forms, alone or in PEM
// together with certificates. [Read] finds out which it has been given.
//
// A key that is inconsistent in itself is refused, never repaired: a wrong value in an RSA
// key gives the key away with its first signature.
//
// # Limits
//
// A file may be hostile, and its password known to whoever made it. All key derivation in
// it together is counted in rounds of a hash function before the first is spent; the most
// that is spent costs about a second. PEM encrypted in the manner of old OpenSSL
// ("Proc-Type: 4,ENCRYPTED") derives its key with one round of MD5 and is not read.
package keyfile

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/bundle"
	"github.com/postseal/postseal/internal/limits"
)

// Bounds of a file. Real ones have a handful of everything.
const (
	maxFile  = 4 << 20
	maxSafes = 64   // SafeContents in a PKCS#12 file
	maxBags  = 1000 // in all of them together
	maxKeys  = 16
	maxKey   = 32 << 10 // octets of one key: RSA of 16384 bits has 9 KiB
)

// A File is what a key file holds.
type File struct {
	Keys         []crypto.PrivateKey
	Certificates []*x509.Certificate
	Unread       []error // certificates that cannot be read, by reason
}

var (
	// ErrNoMAC is the error for a PKCS#12 file without a MAC, which anybody could have
	// altered without knowing the password (RFC 7292, Section 4).
	ErrNoMAC = errors.New("PKCS#12 file without a MAC")

	// errPassword is the standard library's error for a wrong password.
	errPassword = x509.IncorrectPasswordError
)

// An UnsupportedError names something in a file that this package cannot read.
type UnsupportedError struct{ What string }

func (e *UnsupportedError) Error() string { return e.What + " is not supported" }

// Read reads a PKCS#12 file, as DER, BER or PEM, or a PEM file of keys and certificates in
// any order. The password is used where something is encrypted. A wrong one is an error
// for which errors.Is(err, x509.IncorrectPasswordError) holds. A key that cannot be read
// is an error; a certificate that cannot is left out.
func Read(data []byte, password string) (*File, error) {
	return read(data, password, newBudget())
}

func read(data []byte, password string, b *budget) (*File, error) {
	if len(data) > maxFile {
		return nil, &limits.Exceeded{What: "octets in a key file", Max: maxFile}
	}
	f := &File{}
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		if err := f.pkcs12(data, password, b); err != nil {
			return nil, err
		}
		return f, nil
	}
	blocks, err := bundle.Blocks(data, maxBags)
	if err != nil {
		return nil, err
	}
	for i, k := range blocks {
		if err := f.block(data, k, password, b); err != nil {
			return nil, fmt.Errorf("PEM block %d (%s): %w", i, k.Type, err)
		}
	}
	return f, nil
}

// block reads one PEM block.
func (f *File) block(data []byte, k bundle.Block, password string, b *budget) error {
	isKey := strings.HasSuffix(k.Type, "PRIVATE KEY")
	switch {
	case isKey && k.Header:
		return &UnsupportedError{"encryption in the manner of old OpenSSL (convert with: openssl pkcs8 -topk8)"}
	case k.Bytes == nil && (isKey || k.Type == "PKCS12"):
		return errors.New("does not decode")
	case k.Type == "PKCS12":
		return f.pkcs12(k.Bytes, password, b)
	case k.Type == "ENCRYPTED PRIVATE KEY":
		der, err := ber.ToDER(k.Bytes, maxKey)
		if err != nil {
			return err
		}
		clear, err := decryptPKCS8(der, newSecret(password), b)
		if err != nil {
			return err
		}
		if _, ok := parseKeyInfo(clear); !ok {
			return errPassword // its padding was good by chance, one in 256
		}
		return f.addKey(clear)
	case k.Type == "RSA PRIVATE KEY" || k.Type == "EC PRIVATE KEY" || k.Type == "PRIVATE KEY":
		return f.addKey(k.Bytes)
	case isKey:
		return &UnsupportedError{k.Type}
	case k.Type == "PUBLIC KEY" || strings.HasSuffix(k.Type, "PARAMETERS"):
		return nil
	}
	c, err := bundle.Parse(data[k.Offset:k.End])
	if err != nil {
		f.Unread = append(f.Unread, err)
		return nil
	}
	f.Certificates = append(f.Certificates, c.Certificates...)
	f.Unread = append(f.Unread, c.Warnings...)
	return nil
}

// addKey adds the key in der.
func (f *File) addKey(der []byte) error {
	if len(f.Keys) == maxKeys {
		return &limits.Exceeded{What: "keys in a key file", Max: maxKeys}
	}
	key, err := ParsePrivateKey(der)
	if err != nil {
		return err
	}
	f.Keys = append(f.Keys, key)
	return nil
}

// malformed is the error for DER that is not what it should be.
func malformed(what string) error { return errors.New("malformed " + what) }
