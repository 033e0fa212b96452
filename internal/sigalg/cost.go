package sigalg

import (
	"crypto"
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"

	"filippo.io/mldsa"

	"github.com/postseal/postseal/internal/oid"
)

// Cost estimates what one verification with a key takes, in tenths of one with P-256, which
// takes about 0.07 ms. It serves to bound the work that a stranger can ask for, so it is
// rather too high than too low, and high for keys it does not know.
func Cost(key crypto.PublicKey) int {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return costRSA(key)
	case *PSSPublicKey:
		return costRSA(key.PublicKey)
	case *ecdsa.PublicKey:
		switch bits := key.Params().BitSize; {
		case bits == 256:
			return 10
		case bits < 256:
			return 40
		case bits <= 384:
			return 100
		}
		return 400
	case ed25519.PublicKey:
		return 10
	case *mldsa.PublicKey:
		return 50
	case *dsa.PublicKey:
		return 600
	case Ed448PublicKey:
		return 2000
	case *CurvePublicKey:
		return 24 * key.Size()
	}
	return 2000
}

// costRSA grows with the cube of the modulus: preparing one verification takes longer than
// the verification with a small exponent.
func costRSA(key *rsa.PublicKey) int {
	kilobits := (key.N.BitLen() + 1023) / 1024
	cost := max(4, 5*kilobits*kilobits*kilobits/8)
	if key.E > 1<<17 {
		cost *= 3
	}
	return cost
}

// Strength is the security that the key in a SubjectPublicKeyInfo gives, in bits of a
// symmetric key, roughly: for ranking. It is 0 for a key that cannot be used here.
func Strength(spki []byte) int {
	key, err := PublicKey(spki)
	if err != nil {
		return 0
	}
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return k.Params().BitSize / 2
	case *CurvePublicKey:
		return 4 * k.Size()
	case Ed448PublicKey, X448PublicKey:
		return 224
	case *mldsa.PublicKey:
		return map[oid.OID]int{oid.MLDSA44: 128, oid.MLDSA65: 192, oid.MLDSA87: 256}[mldsaOID(k)]
	case *MLKEMPublicKey:
		return map[oid.OID]int{oid.MLKEM512: 128, oid.MLKEM768: 192, oid.MLKEM1024: 256}[k.Parameters]
	}
	switch n := Modulus(key); {
	case n == 0:
		return 128 // Ed25519 and X25519
	case n >= 15360:
		return 256
	case n >= 7680:
		return 192
	case n >= 3072:
		return 128
	case n >= 2048:
		return 112
	}
	return 80
}
