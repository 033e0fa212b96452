package sigalg

import (
	"crypto"
	"crypto/dsa"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"

	"filippo.io/mldsa"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
)

// An X448PublicKey is the encoded public key of X448, 56 octets (RFC 7748, Section 5).
type X448PublicKey []byte

// An MLKEMPublicKey is an encapsulation key of ML-KEM (RFC 9935, Section 4). Its length
// fits its parameter set; its content has not been checked.
type MLKEMPublicKey struct {
	Parameters oid.OID // oid.MLKEM512, oid.MLKEM768 or oid.MLKEM1024
	Bytes      []byte
}

// PublicKey reads the DER of a SubjectPublicKeyInfo (RFC 5280, Section 4.1) and returns
// one of
//
//   - *rsa.PublicKey, [*PSSPublicKey]
//   - *ecdsa.PublicKey for P-224, P-256, P-384 and P-521, [*CurvePublicKey]
//   - ed25519.PublicKey, [Ed448PublicKey], *mldsa.PublicKey, *dsa.PublicKey
//   - *ecdh.PublicKey for X25519, [X448PublicKey], [*MLKEMPublicKey]
//
// Points are checked to be on their curve. Curves given by explicit parameters, unknown
// keys and values out of range are an [UnsupportedError], keys too large to compute with
// a limits.Exceeded. With an error, the key is nil and not a nil pointer of some type.
func PublicKey(spki []byte) (crypto.PublicKey, error) {
	key, err := publicKey(spki)
	if err != nil {
		return nil, err
	}
	return key, nil
}

func publicKey(spki []byte) (crypto.PublicKey, error) {
	s := cryptobyte.String(spki)
	var body, algID cryptobyte.String
	var key []byte
	if !s.ReadASN1(&body, casn1.SEQUENCE) || !s.Empty() || !body.ReadASN1Element(&algID, casn1.SEQUENCE) ||
		!body.ReadASN1BitStringAsBytes(&key) || !body.Empty() {
		return nil, &UnsupportedError{What: "public key: malformed SubjectPublicKeyInfo"}
	}
	o, params, ok := splitAlgorithm(algID)
	if !ok {
		return nil, &UnsupportedError{What: "public key: malformed AlgorithmIdentifier"}
	}
	malformed := &UnsupportedError{What: "public key: malformed", OID: o}
	switch o {
	case oid.RSA:
		if !absentOrNull(params) {
			return nil, malformed
		}
		return rsaPublicKey(key)
	case oid.RSAPSS, oid.RSAPSSShake128, oid.RSAPSSShake256:
		return pssPublicKey(o, params, key)
	case oid.ECPublicKey:
		return ecPublicKey(params, key)
	case oid.DSA:
		return dsaPublicKey(params, key)
	}
	if len(params) > 0 {
		return nil, malformed
	}
	switch o {
	case oid.Ed25519:
		if len(key) == ed25519.PublicKeySize {
			return ed25519.PublicKey(key), nil
		}
	case oid.Ed448:
		if len(key) == ed448Size {
			return Ed448PublicKey(key), nil
		}
	case oid.X25519:
		if k, err := ecdh.X25519().NewPublicKey(key); err == nil {
			return k, nil
		}
	case oid.X448:
		if len(key) == 56 {
			return X448PublicKey(key), nil
		}
	case oid.MLDSA44, oid.MLDSA65, oid.MLDSA87:
		params := map[oid.OID]mldsa.Parameters{oid.MLDSA44: mldsa.MLDSA44(), oid.MLDSA65: mldsa.MLDSA65(), oid.MLDSA87: mldsa.MLDSA87()}
		if k, err := mldsa.NewPublicKey(params[o], key); err == nil {
			return k, nil
		}
	case oid.MLKEM512, oid.MLKEM768, oid.MLKEM1024:
		sizes := map[oid.OID]int{oid.MLKEM512: 800, oid.MLKEM768: 1184, oid.MLKEM1024: 1568}
		if len(key) == sizes[o] {
			return &MLKEMPublicKey{Parameters: o, Bytes: key}, nil
		}
	default:
		return nil, &UnsupportedError{What: "public key algorithm", OID: o}
	}
	return nil, malformed
}

// rsaPublicKey reads
//
//	RSAPublicKey ::= SEQUENCE {
//	  modulus        INTEGER,
//	  publicExponent INTEGER }
func rsaPublicKey(b []byte) (*rsa.PublicKey, error) {
	s := cryptobyte.String(b)
	var body cryptobyte.String
	n, e := new(big.Int), new(big.Int)
	if !s.ReadASN1(&body, casn1.SEQUENCE) || !s.Empty() ||
		!body.ReadASN1Integer(n) || !body.ReadASN1Integer(e) || !body.Empty() {
		return nil, &UnsupportedError{What: "RSA key: malformed"}
	}
	if !e.IsInt64() || e.Int64() > 1<<31-1 {
		return nil, &UnsupportedError{What: "RSA key: exponent not odd, at least 3 and below 2^31"}
	}
	key := &rsa.PublicKey{N: n, E: int(e.Int64())}
	return key, checkRSA(key)
}

func pssPublicKey(o oid.OID, params cryptobyte.String, b []byte) (*PSSPublicKey, error) {
	key, err := rsaPublicKey(b)
	if err != nil {
		return nil, err
	}
	out := &PSSPublicKey{PublicKey: key}
	switch {
	case o == oid.RSAPSSShake128 && len(params) == 0:
		out.restriction = &pssParameters{hash: SHAKE128, mgf: SHAKE128, salt: SHAKE128.Size()}
	case o == oid.RSAPSSShake256 && len(params) == 0:
		out.restriction = &pssParameters{hash: SHAKE256, mgf: SHAKE256, salt: SHAKE256.Size()}
	case o == oid.RSAPSS && len(params) == 0:
	case o == oid.RSAPSS:
		out.restriction = new(pssParameters)
		if !out.restriction.parse(params) {
			return nil, &UnsupportedError{What: "parameters of public key", OID: o}
		}
	default:
		return nil, &UnsupportedError{What: "parameters of public key", OID: o}
	}
	return out, nil
}

// ecPublicKey reads a key on a named curve (RFC 5480, Section 2.1.1).
func ecPublicKey(params cryptobyte.String, b []byte) (crypto.PublicKey, error) {
	var id cryptobyte.String
	if !params.ReadASN1(&id, casn1.OBJECT_IDENTIFIER) || !params.Empty() {
		return nil, &UnsupportedError{What: "elliptic curve given by parameters"}
	}
	o := oid.OID(id)
	var std elliptic.Curve
	switch o {
	case oid.P224:
		std = elliptic.P224()
	case oid.P256:
		std = elliptic.P256()
	case oid.P384:
		std = elliptic.P384()
	case oid.P521:
		std = elliptic.P521()
	default:
		c := curveByOID(o)
		if c == nil {
			return nil, &UnsupportedError{What: "elliptic curve", OID: o}
		}
		if key, ok := c.point(b); ok {
			return key, nil
		}
		return nil, &UnsupportedError{What: "public key: no point on the elliptic curve", OID: o}
	}
	if len(b) > 0 && (b[0] == 2 || b[0] == 3) {
		if x, y := elliptic.UnmarshalCompressed(std, b); x != nil {
			return &ecdsa.PublicKey{Curve: std, X: x, Y: y}, nil
		}
	} else if key, err := ecdsa.ParseUncompressedPublicKey(std, b); err == nil {
		return key, nil
	}
	return nil, &UnsupportedError{What: "public key: no point on the elliptic curve", OID: o}
}

// dsaPublicKey reads an INTEGER, with the parameters
//
//	Dss-Parms ::= SEQUENCE {
//	  p INTEGER,
//	  q INTEGER,
//	  g INTEGER }
//
// (RFC 3279, Section 2.3.2). They may be absent in a certificate; see InheritDSA.
func dsaPublicKey(params cryptobyte.String, b []byte) (*dsa.PublicKey, error) {
	key := &dsa.PublicKey{Y: new(big.Int)}
	key.P, key.Q, key.G = new(big.Int), new(big.Int), new(big.Int)
	s := cryptobyte.String(b)
	var body cryptobyte.String
	if !params.ReadASN1(&body, casn1.SEQUENCE) || !params.Empty() ||
		!body.ReadASN1Integer(key.P) || !body.ReadASN1Integer(key.Q) || !body.ReadASN1Integer(key.G) || !body.Empty() ||
		!s.ReadASN1Integer(key.Y) || !s.Empty() {
		return nil, &UnsupportedError{What: "DSA key: malformed or without parameters"}
	}
	return key, checkDSA(key)
}

// Modulus returns the bits of the modulus of an RSA or DSA key, and 0 for any other.
func Modulus(pub crypto.PublicKey) int {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen()
	case *PSSPublicKey:
		return k.N.BitLen()
	case *dsa.PublicKey:
		return k.P.BitLen()
	}
	return 0
}
