package sigalg

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"errors"
	"fmt"

	"filippo.io/mldsa"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// An Algorithm is a signature algorithm with its parameters.
type Algorithm struct {
	// MinModulus is the smallest RSA or DSA modulus, in bits, that verification takes; 0
	// means limits.RSAModulusMin, and nothing below 1024 verifies.
	MinModulus int

	scheme scheme
	oid    oid.OID
	hash   Hash // 0 if the identifier does not say, or the scheme does not hash
	pss    pssParameters
	der    []byte
}

type scheme uint8

const (
	rsaPKCS1 scheme = 1 + iota
	rsaPSS
	ecdsaScheme
	dsaScheme
	ed25519Scheme
	ed448Scheme
	mldsaScheme
)

// String returns the name of the algorithm: "rsa-pkcs1", "rsa-pss", "ecdsa", "dsa",
// "ed25519", "ed448", "ml-dsa-44", "ml-dsa-65" or "ml-dsa-87".
func (a *Algorithm) String() string {
	switch a.scheme {
	case rsaPKCS1:
		return "rsa-pkcs1"
	case rsaPSS:
		return "rsa-pss"
	case ecdsaScheme:
		return "ecdsa"
	case dsaScheme:
		return "dsa"
	case ed25519Scheme:
		return "ed25519"
	case ed448Scheme:
		return "ed448"
	}
	switch a.oid {
	case oid.MLDSA44:
		return "ml-dsa-44"
	case oid.MLDSA65:
		return "ml-dsa-65"
	}
	return "ml-dsa-87"
}

// OID returns the identifier of the algorithm.
func (a *Algorithm) OID() oid.OID { return a.oid }

// DER returns the AlgorithmIdentifier, as received or as to be sent.
func (a *Algorithm) DER() []byte { return a.der }

// Hash returns the hash function that the algorithm's identifier or parameters name. It
// returns false for the algorithms that sign the message itself, and for the identifiers
// that leave the hash to the digestAlgorithm beside them, as CMS allows (RFC 3370,
// Section 3).
func (a *Algorithm) Hash() (Hash, bool) { return a.hash, a.hash != 0 }

// Pure reports whether the algorithm signs the message itself instead of its digest.
func (a *Algorithm) Pure() bool {
	return a.scheme == ed25519Scheme || a.scheme == ed448Scheme || a.scheme == mldsaScheme
}

// TakesDigest reports whether CMS lets h be the digest algorithm beside a: it is the hash
// that a itself names (RFC 8933), SHA-512 for Ed25519 and SHAKE256 for Ed448 (RFC 8419,
// Section 3), and one that is strong enough for ML-DSA (RFC 9882, Section 3.3).
func (a *Algorithm) TakesDigest(h Hash) bool {
	switch a.scheme {
	case ed25519Scheme:
		return h == SHA512
	case ed448Scheme:
		return h == SHAKE256
	case mldsaScheme:
		switch h {
		case SHA512, SHA3_512, SHAKE256:
			return true
		case SHA384, SHA3_384:
			return a.oid != oid.MLDSA87
		case SHA256, SHA3_256, SHAKE128:
			return a.oid == oid.MLDSA44
		}
		return false
	}
	return a.hash == 0 || a.hash == h
}

// VerifyMessage verifies the signature sig over message. The error wraps [ErrInvalid] if
// the signature is wrong, including if the key does not fit the algorithm; it is an
// [UnsupportedError], a [WeakKeyError] or a [limits.Exceeded] if that was not found out.
func (a *Algorithm) VerifyMessage(pub crypto.PublicKey, message, sig []byte) error {
	switch a.scheme {
	case ed25519Scheme:
		key, ok := pub.(ed25519.PublicKey)
		if !ok {
			return a.misfit(pub)
		}
		if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, message, sig) {
			return ErrInvalid
		}
		return nil
	case ed448Scheme:
		key, ok := pub.(Ed448PublicKey)
		if !ok {
			return a.misfit(pub)
		}
		if !verifyEd448(key, message, sig) {
			return ErrInvalid
		}
		return nil
	case mldsaScheme:
		key, ok := pub.(*mldsa.PublicKey)
		if !ok || mldsaOID(key) != a.oid {
			return a.misfit(pub)
		}
		if mldsa.Verify(key, message, sig, nil) != nil {
			return ErrInvalid
		}
		return nil
	}
	if a.hash == 0 {
		return &UnsupportedError{What: "signature algorithm without hash function", OID: a.oid}
	}
	return a.VerifyDigest(pub, a.hash, a.hash.Sum(message), sig)
}

// VerifyDigest verifies the signature sig over a message whose digest by h is given.
// Errors are those of VerifyMessage; an algorithm that needs the message itself is an
// [UnsupportedError].
func (a *Algorithm) VerifyDigest(pub crypto.PublicKey, h Hash, digest, sig []byte) error {
	if a.Pure() {
		return &UnsupportedError{What: "digest for an algorithm that signs messages", OID: a.oid}
	}
	if !h.Valid() || len(digest) != h.Size() {
		return errors.New("sigalg: digest has not the length of its hash function")
	}
	if a.hash != 0 && a.hash != h {
		return fmt.Errorf("%w: algorithm names %v, digest is %v", ErrInvalid, a.hash, h)
	}
	switch a.scheme {
	case rsaPKCS1, rsaPSS:
		return a.verifyRSA(pub, h, digest, sig)
	case dsaScheme:
		return a.verifyDSA(pub, digest, sig)
	}
	switch key := pub.(type) {
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(key, digest, sig) {
			return ErrInvalid
		}
		return nil
	case *CurvePublicKey:
		if !key.verify(digest, sig) {
			return ErrInvalid
		}
		return nil
	}
	return a.misfit(pub)
}

// misfit returns the error for a key that is not of the algorithm's type.
func (a *Algorithm) misfit(pub crypto.PublicKey) error {
	if pub == nil {
		return &UnsupportedError{What: "public key"}
	}
	return fmt.Errorf("%w: key of type %T for %v", ErrInvalid, pub, a)
}

func (a *Algorithm) checkModulus(bits, largest int) error {
	least := max(a.MinModulus, 1024)
	if a.MinModulus == 0 {
		least = limits.RSAModulusMin
	}
	if bits < least {
		return &WeakKeyError{Bits: bits, Min: least}
	}
	if bits > largest {
		return &limits.Exceeded{What: "bits in a modulus", Max: int64(largest)}
	}
	return nil
}

func mldsaOID(key *mldsa.PublicKey) oid.OID {
	switch key.Parameters() {
	case mldsa.MLDSA44():
		return oid.MLDSA44
	case mldsa.MLDSA65():
		return oid.MLDSA65
	case mldsa.MLDSA87():
		return oid.MLDSA87
	}
	return ""
}

// Equal reports whether a and b are the same algorithm with the same parameters, however
// they are encoded.
func (a *Algorithm) Equal(b *Algorithm) bool {
	return a.oid == b.oid && a.hash == b.hash && a.pss == b.pss
}
