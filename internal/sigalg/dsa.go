package sigalg

import (
	"crypto"
	"crypto/dsa"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// DSAParameters returns the DER of the parameters of a DSA key, the SubjectPublicKeyInfo
// spki. They are empty if the key has those of its issuer's (RFC 3279, Section 2.3.2); it
// returns false for any other key.
func DSAParameters(spki []byte) (parameters []byte, ok bool) {
	parameters, _, ok = splitDSA(spki)
	return parameters, ok
}

// InheritDSA returns the SubjectPublicKeyInfo of a DSA key with the parameters of another,
// which must be the key that certified it: with parameters of somebody else's choice
// anybody can sign.
func InheritDSA(spki, parameters []byte) []byte {
	_, key, _ := splitDSA(spki)
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(oid.DSA)) })
			b.AddBytes(parameters)
		})
		b.AddBytes(key)
	})
	return b.BytesOrPanic()
}

// splitDSA returns the parameters of a DSA key and the BIT STRING that holds it.
func splitDSA(spki []byte) (parameters, key []byte, ok bool) {
	s := cryptobyte.String(spki)
	var body, alg, id, bits cryptobyte.String
	if !s.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1(&alg, casn1.SEQUENCE) || !body.ReadASN1Element(&bits, casn1.BIT_STRING) ||
		!alg.ReadASN1(&id, casn1.OBJECT_IDENTIFIER) || oid.OID(id) != oid.DSA {
		return nil, nil, false
	}
	if alg.PeekASN1Tag(casn1.NULL) {
		alg = nil
	}
	return alg, bits, true
}

func (a *Algorithm) verifyDSA(pub crypto.PublicKey, digest, sig []byte) error {
	key, ok := pub.(*dsa.PublicKey)
	if !ok {
		return a.misfit(pub)
	}
	if err := checkDSA(key); err != nil {
		return err
	}
	if err := a.checkModulus(key.P.BitLen(), limits.DSAModulusMax); err != nil {
		return err
	}
	r, s, ok := parseRS(sig)
	// FIPS 186-4, Section 4.6: the leftmost bits of the digest, as many as q has.
	if !ok || !dsa.Verify(key, digest[:min(len(digest), key.Q.BitLen()/8)], r, s) {
		return ErrInvalid
	}
	return nil
}

// checkDSA refuses sizes and values that FIPS 186-4, Section 4.2, does not have.
func checkDSA(key *dsa.PublicKey) error {
	one := big.NewInt(1)
	switch {
	case key.P == nil || key.Q == nil || key.G == nil || key.Y == nil:
		return &UnsupportedError{What: "DSA key without parameters"}
	case key.P.BitLen() > limits.DSAModulusMax:
		return &limits.Exceeded{What: "bits in a modulus", Max: limits.DSAModulusMax}
	case key.Q.BitLen() != 160 && key.Q.BitLen() != 224 && key.Q.BitLen() != 256,
		key.P.Bit(0) == 0, key.G.Cmp(one) <= 0, key.G.Cmp(key.P) >= 0,
		key.Y.Cmp(one) <= 0, key.Y.Cmp(key.P) >= 0:
		return &UnsupportedError{What: "DSA key: parameters out of range"}
	}
	return nil
}

// parseRS reads the DER of
//
//	SEQUENCE { r INTEGER, s INTEGER }
//
// the signature value of DSA and ECDSA (RFC 3279, Section 2.2).
func parseRS(sig []byte) (r, s *big.Int, ok bool) {
	r, s = new(big.Int), new(big.Int)
	in := cryptobyte.String(sig)
	var body cryptobyte.String
	ok = in.ReadASN1(&body, casn1.SEQUENCE) && in.Empty() &&
		body.ReadASN1Integer(r) && body.ReadASN1Integer(s) && body.Empty()
	return r, s, ok
}
