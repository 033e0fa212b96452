package kem

import (
	"crypto"
	"crypto/mlkem"
	"crypto/subtle"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
)

// ErrNotMLKEM means that a private key is of another algorithm.
var ErrNotMLKEM = errors.New("kem: not an ML-KEM private key")

var (
	errMalformed = errors.New("kem: malformed ML-KEM private key")
	errMismatch  = errors.New("kem: the two forms of the private key differ")
	errPair      = errors.New("kem: the private key does not fit its public key")
	errHash      = errors.New("kem: the expanded private key does not fit its public key")
)

// ParsePKCS8 reads an unencrypted PKCS #8 private key of ML-KEM in any of its forms
// (RFC 9935, Section 6):
//
//	ML-KEM-PrivateKey ::= CHOICE {
//	  seed        [0] OCTET STRING (SIZE (64)),
//	  expandedKey OCTET STRING,
//	  both        SEQUENCE { seed OCTET STRING (SIZE (64)), expandedKey OCTET STRING } }
//
// If both are there they must agree. The result is a key of crypto/mlkem or a [*Key]. A
// key of another algorithm is [ErrNotMLKEM].
func ParsePKCS8(der []byte) (crypto.Decapsulator, error) {
	s := cryptobyte.String(der)
	var body, algorithm, id, key cryptobyte.String
	var version int
	if !s.ReadASN1(&body, casn1.SEQUENCE) || !s.Empty() || !body.ReadASN1Integer(&version) ||
		!body.ReadASN1(&algorithm, casn1.SEQUENCE) || !algorithm.ReadASN1(&id, casn1.OBJECT_IDENTIFIER) ||
		!body.ReadASN1(&key, casn1.OCTET_STRING) {
		return nil, errMalformed
	}
	set := parametersOf(oid.OID(id))
	if set == nil {
		return nil, ErrNotMLKEM
	}
	var seed, expanded cryptobyte.String
	switch {
	case key.PeekASN1Tag(casn1.Tag(0).ContextSpecific()):
		if !key.ReadASN1(&seed, casn1.Tag(0).ContextSpecific()) {
			return nil, errMalformed
		}
	case key.PeekASN1Tag(casn1.OCTET_STRING):
		if !key.ReadASN1(&expanded, casn1.OCTET_STRING) {
			return nil, errMalformed
		}
	default:
		var both cryptobyte.String
		if !key.ReadASN1(&both, casn1.SEQUENCE) || !both.ReadASN1(&seed, casn1.OCTET_STRING) ||
			!both.ReadASN1(&expanded, casn1.OCTET_STRING) || !both.Empty() {
			return nil, errMalformed
		}
	}
	if !algorithm.Empty() || !key.Empty() {
		return nil, errMalformed
	}
	if seed == nil {
		return NewExpandedKey(set.oid, expanded)
	}
	k, err := NewKey(set.oid, seed)
	if err != nil {
		return nil, err
	}
	if expanded != nil && subtle.ConstantTimeCompare(k.expanded, expanded) != 1 {
		return nil, errMismatch
	}
	switch set.oid {
	case oid.MLKEM768:
		return mlkem.NewDecapsulationKey768(seed)
	case oid.MLKEM1024:
		return mlkem.NewDecapsulationKey1024(seed)
	}
	return k, nil
}
