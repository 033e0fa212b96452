package chain

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// A publicKey is a certificate's key, parsed, with the price of one verification.
type publicKey struct {
	key      any
	bits     int
	cost     int // in tenths of a P-256 verification
	rsa      bool
	err      error // why it cannot be used
	tooLarge bool
}

func (n *node) publicKey() *publicKey {
	if k := n.public.Load(); k != nil {
		return k
	}
	k := newPublicKey(n.SPKI)
	n.public.Store(k)
	return k
}

func newPublicKey(spki []byte) *publicKey {
	key, err := x509.ParsePKIXPublicKey(spki)
	k := &publicKey{key: key, err: err, cost: 10}
	switch key := key.(type) {
	case *rsa.PublicKey:
		k.bits, k.rsa = key.N.BitLen(), true
		k.cost = max(4, k.bits*k.bits*4/(2048*2048))
		if key.E > 1<<17 {
			k.cost *= 4
		}
		k.tooLarge = k.bits > limits.RSAModulusMax
	case *ecdsa.PublicKey:
		if k.bits = key.Params().BitSize; k.bits > 256 {
			k.cost = k.bits
		}
	case ed25519.PublicKey:
		k.bits = 256
	}
	return k
}

// algorithms is the policy on strength.
type algorithms struct {
	legacySHA1 bool
	maxRSA     int
}

// signature judges the algorithm a certificate, CRL or response is signed with, before
// any arithmetic. Codes that begin with "alg.legacy" are warnings.
func (a algorithms) signature(algID []byte) (code, detail string) {
	switch id := pkix.OID(algID); id {
	case oid.MD2WithRSA, oid.MD5WithRSA:
		return "alg.weak_hash", "it is signed with MD2 or MD5"
	case oid.SHA1WithRSA, oid.ECDSAWithSHA1, oid.DSAWithSHA1:
		if !a.legacySHA1 {
			return "alg.weak_hash", "it is signed with SHA-1"
		}
		return "alg.legacy", "it is signed with SHA-1"
	}
	return "", ""
}

// key judges the size of a key.
func (a algorithms) key(k *publicKey) (code, detail string) {
	if k.err != nil {
		return "", ""
	}
	smallest := limits.RSAModulusMin
	if a.legacySHA1 {
		smallest = 1024
	}
	switch {
	case !k.rsa:
	case k.bits < smallest:
		return "alg.weak_key", fmt.Sprintf("its RSA key has %d bits", k.bits)
	case k.bits > a.maxRSA || k.tooLarge:
		return "alg.too_large", fmt.Sprintf("its RSA key has %d bits", k.bits)
	}
	return "", ""
}

// inherits reports whether the key is a DSA key whose parameters are its issuer's
// (RFC 3279, Section 2.3.2).
func (k *publicKey) inherits() bool { return false }

// signatureCode turns the outcome of a verification into a code.
func signatureCode(err error, issuer *node) (code, detail string) {
	switch {
	case err == nil:
		return "", ""
	case errors.Is(err, x509.ErrUnsupportedAlgorithm):
		return "sig.unsupported", "its signature algorithm is not supported"
	}
	return "sig.invalid", "its signature does not verify with the key of " + subjectText(issuer)
}

// verify checks a signature of key over message.
func (k *publicKey) verify(algID, message, sig []byte) error {
	if k.err != nil {
		return k.err
	}
	algo := x509.UnknownSignatureAlgorithm
	switch pkix.OID(algID) {
	case oid.SHA1WithRSA:
		algo = x509.SHA1WithRSA
	case oid.SHA256WithRSA:
		algo = x509.SHA256WithRSA
	case oid.SHA384WithRSA:
		algo = x509.SHA384WithRSA
	case oid.SHA512WithRSA:
		algo = x509.SHA512WithRSA
	case oid.ECDSAWithSHA1:
		algo = x509.ECDSAWithSHA1
	case oid.ECDSAWithSHA256:
		algo = x509.ECDSAWithSHA256
	case oid.ECDSAWithSHA384:
		algo = x509.ECDSAWithSHA384
	case oid.ECDSAWithSHA512:
		algo = x509.ECDSAWithSHA512
	case oid.Ed25519:
		algo = x509.PureEd25519
	}
	c := x509.Certificate{PublicKey: k.key}
	return c.CheckSignature(algo, message, sig)
}
