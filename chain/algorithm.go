package chain

import (
	"crypto"
	"crypto/dsa"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/sigalg"
)

// A publicKey is a certificate's key, parsed, with the price of one verification.
type publicKey struct {
	key      crypto.PublicKey
	sum      [32]byte // SHA-256 of the SubjectPublicKeyInfo
	err      error    // why it cannot be used
	cost     int      // see sigalg.Cost
	inherits bool     // a DSA key whose parameters are its issuer's (RFC 3279, Section 2.3.2)
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
	if params, ok := sigalg.DSAParameters(spki); ok && len(params) == 0 {
		return &publicKey{inherits: true, sum: sha256.Sum256(spki), cost: sigalg.Cost(new(dsa.PublicKey))}
	}
	key, err := sigalg.PublicKey(spki)
	return &publicKey{key: key, err: err, sum: sha256.Sum256(spki), cost: sigalg.Cost(key)}
}

// algorithms is the policy on strength.
type algorithms struct {
	legacy bool
	maxRSA int
}

// signature judges the algorithm a certificate, CRL or response is signed with, before
// any arithmetic. The code alg.legacy is a warning.
func (a algorithms) signature(algID []byte) (code, detail string) {
	switch oid.OID(pkix.OID(algID)) {
	case oid.SHA256WithRSA, oid.ECDSAWithSHA256, oid.SHA384WithRSA, oid.ECDSAWithSHA384, oid.SHA512WithRSA, oid.ECDSAWithSHA512, oid.Ed25519:
		return "", ""
	case oid.MD2WithRSA:
		return "alg.weak_hash", "it is signed with MD2"
	}
	alg, err := sigalg.Parse(algID)
	if err != nil {
		return "sig.unsupported", err.Error()
	}
	hash, ok := alg.Hash()
	switch {
	case !ok && alg.Pure():
		return "", ""
	case !ok:
		return "sig.unsupported", "its signature algorithm names no hash function"
	case hash == sigalg.MD5 || hash.Size() < 32 && !a.legacy:
		return "alg.weak_hash", "it is signed with " + hash.String()
	case alg.String() == "dsa" && !a.legacy:
		return "sig.unsupported", "it is signed with DSA"
	case hash.Size() < 32 || alg.String() == "dsa":
		return "alg.legacy", "it is signed with " + alg.String() + " and " + hash.String()
	}
	return "", ""
}

// smallest returns the least RSA modulus.
func (a algorithms) smallest() int {
	if a.legacy {
		return 1024
	}
	return limits.RSAModulusMin
}

// size judges the size of a key; bits is 0 for all but RSA.
func (a algorithms) size(bits int) (code, detail string) {
	switch {
	case bits == 0:
	case bits < a.smallest():
		return "alg.weak_key", fmt.Sprintf("its RSA key has %d bits", bits)
	case bits > a.maxRSA:
		return "alg.too_large", fmt.Sprintf("its RSA key has %d bits, more than %d", bits, a.maxRSA)
	}
	return "", ""
}

// verify checks a signature of key over message.
func (k *publicKey) verify(algID, message, sig []byte) error {
	if k.err != nil {
		return k.err
	}
	alg, err := sigalg.Parse(algID)
	if err != nil {
		return err
	}
	alg.MinModulus = 1024 // the policy has been applied before
	return alg.VerifyMessage(k.key, message, sig)
}

// signatureCode turns the outcome of a verification into a code.
func signatureCode(err error, issuer *node) (code, detail string) {
	switch {
	case err == nil:
		return "", ""
	case errors.Is(err, sigalg.ErrInvalid):
		return "sig.invalid", "its signature does not verify with the key of " + subjectText(issuer)
	}
	return "sig.unsupported", "its signature cannot be checked: " + err.Error()
}
