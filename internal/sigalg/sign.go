package sigalg

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"

	"filippo.io/mldsa"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// SignOptions say how a key signs. The zero value asks for the key's natural algorithm.
type SignOptions struct {
	Hash Hash // 0 means NaturalHash
	PSS  bool // RSASSA-PSS instead of RSA PKCS #1 v1.5
	// Bare names RSA PKCS #1 v1.5 by rsaEncryption and leaves the hash to the
	// digestAlgorithm beside it: what CMS has and certificates have not (RFC 3370,
	// Section 3.2).
	Bare bool
}

// NaturalHash returns the hash function that fits the strength of pub: SHA-256 for RSA and
// P-256, SHA-384 for P-384, SHA-512 for P-521, Ed25519 and ML-DSA.
func NaturalHash(pub crypto.PublicKey) Hash {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		switch bits := k.Curve.Params().BitSize; {
		case bits > 384:
			return SHA512
		case bits > 256:
			return SHA384
		}
	case *PSSPublicKey:
		if k.restriction != nil {
			return k.restriction.hash
		}
	case ed25519.PublicKey, *mldsa.PublicKey:
		return SHA512
	}
	return SHA256
}

// For returns the algorithm that the private key of pub signs with. It refuses hash
// functions weaker than SHA-256, RSA keys below limits.RSAModulusMin, and P-224. An RSA key
// signs with a SHAKE by RSASSA-PSS, whatever opts.PSS says.
func For(pub crypto.PublicKey, opts SignOptions) (*Algorithm, error) {
	h := opts.Hash
	if h == 0 {
		h = NaturalHash(pub)
	}
	switch h {
	case SHA256, SHA384, SHA512, SHAKE128, SHAKE256:
	default:
		return nil, &UnsupportedError{What: "hash function to sign with", OID: h.OID()}
	}
	if bits := Modulus(pub); bits > 0 && bits < limits.RSAModulusMin {
		return nil, &WeakKeyError{Bits: bits, Min: limits.RSAModulusMin}
	}
	var o oid.OID
	var params []byte
	switch k := pub.(type) {
	case *rsa.PublicKey:
		params = []byte{5, 0}
		switch {
		case h == SHAKE128 || h == SHAKE256: // RFC 8702, Section 3.2, has nothing else for RSA
			o, params = identifier(rsaPSS, h), nil
		case opts.PSS:
			o, params = oid.RSAPSS, naturalPSS(h).der()
		case opts.Bare:
			o = oid.RSA
		default:
			o = identifier(rsaPKCS1, h)
		}
	case *PSSPublicKey:
		p := naturalPSS(h)
		if !k.takes(p) {
			return nil, &UnsupportedError{What: "parameters of the key, which is restricted to others than " + h.String()}
		}
		if o, params = oid.RSAPSS, p.der(); h == SHAKE128 || h == SHAKE256 {
			o, params = identifier(rsaPSS, h), nil
		}
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize < 256 {
			return nil, &WeakKeyError{Bits: k.Curve.Params().BitSize, Min: 256}
		}
		o = identifier(ecdsaScheme, h)
	case ed25519.PublicKey:
		o = oid.Ed25519
	case *mldsa.PublicKey:
		o = mldsaOID(k)
	default:
		return nil, &UnsupportedError{What: fmt.Sprintf("key of type %T to sign with", pub)}
	}
	a, err := Parse(algorithmDER(o, params))
	if err != nil {
		return nil, err
	}
	if a.Pure() && !a.TakesDigest(h) {
		return nil, &UnsupportedError{What: "hash function beside " + a.String(), OID: h.OID()}
	}
	return a, nil
}

// naturalPSS returns the parameters everybody reads: one hash function, as long a salt.
func naturalPSS(h Hash) pssParameters { return pssParameters{hash: h, mgf: h, salt: h.Size()} }

// Fits reports why key cannot be asked to sign with a, or nil. Package crypto has no way
// to ask a device for RSASSA-PSS with a SHAKE, so that takes a key in memory.
func (a *Algorithm) Fits(key crypto.PrivateKey) error {
	if _, ok := key.(crypto.Signer); !ok {
		return &UnsupportedError{What: fmt.Sprintf("private key of type %T: not a crypto.Signer", key)}
	}
	_, inMemory := key.(*rsa.PrivateKey)
	if !inMemory && a.scheme == rsaPSS && a.hash.row().std == 0 {
		return &UnsupportedError{What: fmt.Sprintf("private key of type %T to sign with", key), OID: a.oid}
	}
	return nil
}

// Sign signs message with key, whose public key is pub. For an algorithm that leaves the
// hash open, h is the hash; otherwise h must be the algorithm's own or 0. A key that
// implements crypto.MessageSigner is asked to hash for itself, any other crypto.Signer is
// given the digest. The result is verified before it is returned, so that neither a faulty
// token nor somebody else's key can send out a signature nobody accepts.
func (a *Algorithm) Sign(key crypto.PrivateKey, pub crypto.PublicKey, h Hash, message []byte) ([]byte, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, &UnsupportedError{What: fmt.Sprintf("private key of type %T: not a crypto.Signer", key)}
	}
	if h == 0 {
		h = a.hash
	}
	var sig []byte
	var err error
	if a.Pure() {
		if sig, err = crypto.SignMessage(signer, rand.Reader, message, crypto.Hash(0)); err != nil {
			return nil, err
		}
		if err = a.VerifyMessage(pub, message, sig); err != nil {
			return nil, mismatch(err)
		}
		return sig, nil
	}
	if !h.Valid() || a.hash != 0 && a.hash != h {
		return nil, errors.New("sigalg: no hash function, or not the algorithm's")
	}
	var opts crypto.SignerOpts = h.row().std
	if a.scheme == rsaPSS {
		opts = &rsa.PSSOptions{SaltLength: a.pss.salt, Hash: h.row().std}
	}
	digest := h.Sum(message)
	switch {
	case opts.HashFunc() != 0:
		sig, err = crypto.SignMessage(signer, rand.Reader, message, opts)
	case a.scheme == rsaPSS:
		if err = a.Fits(key); err == nil {
			sig, err = signPSS(key.(*rsa.PrivateKey), a.pss, digest)
		}
	default:
		// ECDSA with a SHAKE: package crypto has no number for it, and to the key a digest
		// of 32 or 64 octets is like any other.
		sig, err = signer.Sign(rand.Reader, digest, map[Hash]crypto.Hash{SHAKE128: crypto.SHA256, SHAKE256: crypto.SHA512}[h])
	}
	if err != nil {
		return nil, err
	}
	if err := a.VerifyDigest(pub, h, digest, sig); err != nil {
		return nil, mismatch(err)
	}
	return sig, nil
}

// Sign signs message with key, whose public key is pub, and returns the DER of the
// algorithm and the signature. Most callers in this module want [For], because they need
// the algorithm first.
func Sign(key crypto.PrivateKey, pub crypto.PublicKey, opts SignOptions, message []byte) (algID, sig []byte, err error) {
	a, err := For(pub, opts)
	if err != nil {
		return nil, nil, err
	}
	h := opts.Hash
	if h == 0 {
		h = NaturalHash(pub)
	}
	if sig, err = a.Sign(key, pub, h, message); err != nil {
		return nil, nil, err
	}
	return a.DER(), sig, nil
}

// mismatch explains a signature that does not verify right after it was made.
func mismatch(err error) error {
	return fmt.Errorf("private key does not belong to the certificate, or is faulty: %w", err)
}
