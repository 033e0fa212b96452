package keyfile

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"filippo.io/mldsa"
	"github.com/postseal/postseal/internal/kem"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/x448"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// errInconsistent is the error for a key whose parts do not belong together.
var errInconsistent = errors.New("private key is inconsistent")

// ParsePrivateKey reads a private key in DER: PKCS#8 (RFC 5958), PKCS#1 (RFC 8017,
// Appendix A.1.2) or SEC 1 (RFC 5915). It returns *[rsa.PrivateKey], *[ecdsa.PrivateKey],
// [ed25519.PrivateKey], *[ecdh.PrivateKey] for X25519, *x448.PrivateKey, *mldsa.PrivateKey,
// or a [crypto.Decapsulator] of ML-KEM. Everything a key states twice must agree.
func ParsePrivateKey(der []byte) (crypto.PrivateKey, error) {
	key, err := parseAnyKey(der)
	if err != nil {
		return nil, err // whatever came with it: a nil key that has a type, or half a key
	}
	return key, nil
}

// InMemory reports whether a key is of a type whose octets are in memory: one of those
// that [ParsePrivateKey] returns, or another of the standard library's own.
func InMemory(key crypto.PrivateKey) bool {
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey, *ed25519.PrivateKey, *ecdh.PrivateKey,
		*mlkem.DecapsulationKey768, *mlkem.DecapsulationKey1024,
		*x448.PrivateKey, *mldsa.PrivateKey, *kem.Key:
		return true
	}
	return false
}

func parseAnyKey(der []byte) (crypto.PrivateKey, error) {
	if len(der) > maxKey {
		return nil, &limits.Exceeded{What: "octets in a private key", Max: maxKey}
	}
	var seq cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() || !seq.SkipASN1(asn1.INTEGER) {
		return nil, malformed("private key")
	}
	switch {
	case seq.PeekASN1Tag(asn1.INTEGER):
		return parseRSA(der)
	case seq.PeekASN1Tag(asn1.OCTET_STRING):
		k, err := x509.ParseECPrivateKey(der)
		if err != nil {
			return nil, err
		}
		return k, checkEC(k, der)
	}
	k, ok := parseKeyInfo(der)
	if !ok {
		return nil, malformed("private key")
	}
	key, err := k.parse(der)
	if err != nil {
		return nil, err
	}
	if k.public != nil && !bytes.Equal(k.public, encodePublic(key)) {
		return nil, errInconsistent
	}
	return key, nil
}

// parse reads the key in k, which is der.
func (k keyInfo) parse(der []byte) (crypto.PrivateKey, error) {
	switch k.algorithm.id {
	case oid.RSA, oid.RSAPSS:
		return parseRSA(k.key)
	case oid.ECPublicKey:
		key, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, err
		}
		ec, ok := key.(*ecdsa.PrivateKey)
		if !ok {
			return nil, malformed("elliptic curve key")
		}
		return ec, checkEC(ec, k.key)
	case oid.Ed25519, oid.X25519:
		return x509.ParsePKCS8PrivateKey(der)
	case oid.MLDSA44, oid.MLDSA65, oid.MLDSA87:
		return parseMLDSA(k)
	case oid.MLKEM512, oid.MLKEM768, oid.MLKEM1024:
		return kem.ParsePKCS8(der)
	case oid.X448:
		var b []byte // CurvePrivateKey ::= OCTET STRING (RFC 8410, Section 7)
		if key := cryptobyte.String(k.key); !key.ReadASN1Bytes(&b, asn1.OCTET_STRING) || !key.Empty() {
			return nil, malformed("X448 key")
		}
		return x448.NewPrivateKey(b)
	}
	return nil, &UnsupportedError{"private key of algorithm " + keyName(k.algorithm.id)}
}

func keyName(id oid.OID) string {
	switch id {
	case oid.DSA:
		return "DSA"
	case oid.Ed448:
		return "Ed448"
	}
	return id.String()
}

// parseRSA reads an RSAPrivateKey. What its modulus costs is bounded before any
// arithmetic.
//
//	RSAPrivateKey ::= SEQUENCE { version Version, modulus INTEGER, ... }
func parseRSA(der []byte) (*rsa.PrivateKey, error) {
	var seq, n cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() || !seq.SkipASN1(asn1.INTEGER) || !seq.ReadASN1(&n, asn1.INTEGER) {
		return nil, malformed("RSA key")
	}
	for rest := seq; len(n) <= limits.RSAModulusMax/8+1; {
		if rest.Empty() || !rest.PeekASN1Tag(asn1.INTEGER) {
			key, err := x509.ParsePKCS1PrivateKey(der)
			if err != nil {
				return nil, err
			}
			if err := key.Validate(); err != nil {
				return nil, fmt.Errorf("%w: %w", errInconsistent, err)
			}
			return key, nil
		}
		if !rest.ReadASN1(&n, asn1.INTEGER) {
			return nil, malformed("RSA key")
		}
	}
	return nil, &limits.Exceeded{What: "bits in an RSA key", Max: limits.RSAModulusMax}
}

// checkEC compares the public key that an ECPrivateKey states with the one it has.
func checkEC(k *ecdsa.PrivateKey, der []byte) error {
	stated := parseECPublic(der)
	if len(stated) == 0 {
		return nil
	}
	public, err := k.PublicKey.Bytes()
	if err != nil {
		return err
	}
	// A compressed point states the x coordinate and the parity of y.
	if size := (len(public) - 1) / 2; len(stated) == 1+size {
		public = append([]byte{2 + public[len(public)-1]&1}, public[1:1+size]...)
	}
	if !bytes.Equal(stated, public) {
		return errInconsistent
	}
	return nil
}

// encodePublic returns the public half of key as SubjectPublicKeyInfo has it.
func encodePublic(key crypto.PrivateKey) []byte {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return x509.MarshalPKCS1PublicKey(&k.PublicKey)
	case *ecdsa.PrivateKey:
		b, err := k.PublicKey.Bytes()
		if err != nil {
			return nil
		}
		return b
	case ed25519.PrivateKey:
		return k.Public().(ed25519.PublicKey)
	case *ecdh.PrivateKey:
		return k.PublicKey().Bytes()
	case *x448.PrivateKey:
		return k.PublicKey()
	case crypto.Decapsulator:
		return k.Encapsulator().Bytes()
	case interface{ Public() crypto.PublicKey }:
		if p, ok := k.Public().(interface{ Bytes() []byte }); ok {
			return p.Bytes()
		}
	}
	return nil
}
