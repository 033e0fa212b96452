package sigalg

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha3"
	"crypto/subtle"
	"math/big"

	"filippo.io/bigmod"

	"github.com/postseal/postseal/internal/limits"
)

// A PSSPublicKey is an RSA key that may sign with RSASSA-PSS alone (RFC 4055, Section 1.2).
type PSSPublicKey struct {
	*rsa.PublicKey
	restriction *pssParameters // nil if the key names no parameters
}

// takes reports whether a signature with the parameters p is allowed to the key: hash
// functions must be the same and the salt not shorter (RFC 4055, Section 3.3).
func (k *PSSPublicKey) takes(p pssParameters) bool {
	r := k.restriction
	return r == nil || r.hash == p.hash && r.mgf == p.mgf && p.salt >= r.salt
}

func (a *Algorithm) verifyRSA(pub crypto.PublicKey, h Hash, digest, sig []byte) error {
	var key *rsa.PublicKey
	switch k := pub.(type) {
	case *rsa.PublicKey:
		key = k
	case *PSSPublicKey:
		if a.scheme != rsaPSS || !k.takes(a.pss) {
			return a.misfit(pub)
		}
		key = k.PublicKey
	default:
		return a.misfit(pub)
	}
	if err := checkRSA(key); err != nil {
		return err
	}
	if err := a.checkModulus(key.N.BitLen(), limits.RSAModulusMax); err != nil {
		return err
	}
	if a.scheme == rsaPSS {
		return verifyPSS(key, a.pss, digest, sig)
	}
	std := h.row().std
	if std == 0 {
		return &UnsupportedError{What: "hash function for RSA PKCS #1 v1.5", OID: h.OID()}
	}
	if rsa.VerifyPKCS1v15(key, std, digest, sig) != nil {
		return ErrInvalid
	}
	return nil
}

// checkRSA refuses the values of a key that make its arithmetic meaningless or slow.
func checkRSA(key *rsa.PublicKey) error {
	switch {
	case key.N == nil || key.N.Sign() <= 0 || key.N.Bit(0) == 0:
		return &UnsupportedError{What: "RSA key: modulus not odd and positive"}
	case key.N.BitLen() > limits.RSAModulusMax:
		return &limits.Exceeded{What: "bits in a modulus", Max: limits.RSAModulusMax}
	case key.E < 3 || key.E > 1<<31-1 || key.E&1 == 0:
		return &UnsupportedError{What: "RSA key: exponent not odd, at least 3 and below 2^31"}
	}
	return nil
}

// verifyPSS is EMSA-PSS-VERIFY (RFC 8017, Section 9.1.2). Package crypto/rsa has it for
// equal hash functions only. All of its input is public.
func verifyPSS(key *rsa.PublicKey, p pssParameters, digest, sig []byte) error {
	bits := key.N.BitLen() - 1
	size := (bits + 7) / 8
	s := new(big.Int).SetBytes(sig)
	if len(sig) != key.Size() || s.Cmp(key.N) >= 0 {
		return ErrInvalid
	}
	s.Exp(s, big.NewInt(int64(key.E)), key.N)
	if s.BitLen() > bits || p.salt > size-p.hash.Size()-2 {
		return ErrInvalid
	}
	em := s.FillBytes(make([]byte, size))
	db, rest := em[:size-p.hash.Size()-1], em[size-p.hash.Size()-1:]
	h, trailer := rest[:len(rest)-1], rest[len(rest)-1]
	if trailer != 0xbc {
		return ErrInvalid
	}
	p.mask(db, h)
	db[0] &= 0xff >> (8*size - bits)
	zeros := db[:len(db)-p.salt-1]
	for _, b := range zeros {
		if b != 0 {
			return ErrInvalid
		}
	}
	if db[len(zeros)] != 1 {
		return ErrInvalid
	}
	m := p.hash.New()
	m.Write(make([]byte, 8))
	m.Write(digest)
	m.Write(db[len(zeros)+1:])
	if subtle.ConstantTimeCompare(m.Sum(nil), h) != 1 {
		return ErrInvalid
	}
	return nil
}

// signPSS is RSASSA-PSS-SIGN (RFC 8017, Section 8.1.1) for what package crypto/rsa does not
// sign with. The arithmetic is constant in time, as that package's is, without its use of
// the prime factors: the caller verifies the signature in any case.
func signPSS(key *rsa.PrivateKey, p pssParameters, digest []byte) ([]byte, error) {
	bits := key.N.BitLen() - 1
	size := (bits + 7) / 8
	if size < p.hash.Size()+p.salt+2 {
		return nil, &WeakKeyError{Bits: bits + 1, Min: 8 * (p.hash.Size() + p.salt + 2)}
	}
	// EMSA-PSS-ENCODE (RFC 8017, Section 9.1.1)
	em := make([]byte, key.Size())
	db := em[key.Size()-size:][:size-p.hash.Size()-1]
	salt := db[len(db)-p.salt:]
	rand.Read(salt)
	db[len(db)-p.salt-1] = 1
	m := p.hash.New()
	m.Write(make([]byte, 8))
	m.Write(digest)
	m.Write(salt)
	h := m.Sum(nil)
	p.mask(db, h)
	db[0] &= 0xff >> (8*size - bits)
	copy(em[len(em)-len(h)-1:], h)
	em[len(em)-1] = 0xbc

	n, err := bigmod.NewModulus(key.N.Bytes())
	if err != nil {
		return nil, err
	}
	x, err := bigmod.NewNat().SetBytes(em, n)
	if err != nil {
		return nil, err
	}
	if key.D == nil || key.D.BitLen() > key.N.BitLen() {
		return nil, &UnsupportedError{What: "RSA key: private exponent larger than the modulus"}
	}
	d := key.D.FillBytes(make([]byte, key.Size()))
	defer clear(d)
	return bigmod.NewNat().Exp(x, d, n).Bytes(n), nil
}

// mask xors db with the mask generated from seed.
func (p pssParameters) mask(db, seed []byte) {
	switch p.mgf {
	case SHAKE128:
		subtle.XORBytes(db, db, sha3.SumSHAKE128(seed, len(db)))
	case SHAKE256:
		subtle.XORBytes(db, db, sha3.SumSHAKE256(seed, len(db)))
	default: // MGF1, RFC 8017, Appendix B.2.1
		for counter := 0; len(db) > 0; counter++ {
			m := p.mgf.New()
			m.Write(seed)
			m.Write([]byte{byte(counter >> 24), byte(counter >> 16), byte(counter >> 8), byte(counter)})
			db = db[subtle.XORBytes(db, db, m.Sum(nil)):]
		}
	}
}
