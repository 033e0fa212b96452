package keyfile

import (
	"crypto"
	"crypto/sha3"
	"crypto/subtle"
	"math/bits"

	"filippo.io/mldsa"
	"github.com/postseal/postseal/internal/oid"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// seedAndExpanded reads the CHOICE in which ML-DSA keys come (RFC 9881, Section 6). What
// is absent is nil.
//
//	CHOICE {
//	  seed        [0] IMPLICIT OCTET STRING,
//	  expandedKey OCTET STRING,
//	  both        SEQUENCE { seed OCTET STRING, expandedKey OCTET STRING } }
func seedAndExpanded(key cryptobyte.String) (seed, expanded []byte, ok bool) {
	var both cryptobyte.String
	switch {
	case key.PeekASN1Tag(tag0):
		return seed, nil, key.ReadASN1Bytes(&seed, tag0) && key.Empty()
	case key.PeekASN1Tag(asn1.OCTET_STRING):
		return nil, expanded, key.ReadASN1Bytes(&expanded, asn1.OCTET_STRING) && key.Empty()
	}
	ok = key.ReadASN1(&both, asn1.SEQUENCE) && key.Empty() &&
		both.ReadASN1Bytes(&seed, asn1.OCTET_STRING) && both.ReadASN1Bytes(&expanded, asn1.OCTET_STRING) && both.Empty()
	return seed, expanded, ok
}

// parseMLDSA reads an ML-DSA key (RFC 9881). Where seed and expanded key are both there,
// the one must follow from the other. A key without its seed cannot be used: FIPS 204 has
// keys made from seeds, and so has the implementation.
func parseMLDSA(k keyInfo) (crypto.PrivateKey, error) {
	seed, expanded, ok := seedAndExpanded(k.key)
	if !ok || !k.algorithm.params.Empty() {
		return nil, malformed("ML-DSA key")
	}
	if seed == nil {
		return nil, &UnsupportedError{"ML-DSA key without its seed"}
	}
	var params mldsa.Parameters
	var set dsaSet
	switch k.algorithm.id {
	case oid.MLDSA44:
		params, set = mldsa.MLDSA44(), dsaSet{4, 4, 2}
	case oid.MLDSA65:
		params, set = mldsa.MLDSA65(), dsaSet{6, 5, 4}
	default:
		params, set = mldsa.MLDSA87(), dsaSet{8, 7, 2}
	}
	key, err := mldsa.NewPrivateKey(params, seed)
	if err != nil {
		return nil, err
	}
	if expanded != nil && subtle.ConstantTimeCompare(expanded, set.expand(seed, key.PublicKey().Bytes())) != 1 {
		return nil, errInconsistent
	}
	return key, nil
}

// A dsaSet is a parameter set of ML-DSA: the dimensions of the matrix and the range of the
// secret (FIPS 204, Section 4).
type dsaSet struct{ k, l, eta int }

// expand returns the expanded key that follows from a seed of 32 octets, with the public
// key pk that follows from it, too (FIPS 204, Algorithms 6 and 24): rho, K, tr, s1, s2, t0.
func (set dsaSet) expand(seed, pk []byte) []byte {
	const q, zeta = 8380417, 1753
	h := sha3.SumSHAKE256(append(seed[:32:32], byte(set.k), byte(set.l)), 128)
	rho, rhoPrime, key := h[:32], h[32:96], h[96:]
	out := append(append(rho[:32:32], key...), sha3.SumSHAKE256(pk, 64)...)
	eta, width := int64(set.eta), 3
	if eta == 4 {
		width = 4
	}
	secret := make([][256]int64, set.l+set.k) // s1, then s2
	for i := range secret {
		secret[i] = boundedPoly(rhoPrime, i, eta)
		out = packBits(out, secret[i][:], eta, width)
	}
	for i := range set.l {
		ntt(secret[i][:], q, zeta)
	}
	for r := range set.k {
		var t [256]int64
		for s := range set.l {
			a := uniformPoly(rho, s, r)
			for i := range t {
				t[i] = (t[i] + a[i]*secret[s][i]) % q
			}
		}
		inverseNTT(t[:], q, zeta)
		for i := range t { // the low 13 bits of t, centred (FIPS 204, Algorithm 35)
			low := mod(t[i]+secret[set.l+r][i], q) & (1<<13 - 1)
			if low > 1<<12 {
				low -= 1 << 13
			}
			t[i] = low
		}
		out = packBits(out, t[:], 1<<12, 13)
	}
	return out
}

// uniformPoly is RejNTTPoly of FIPS 204, Algorithm 30.
func uniformPoly(rho []byte, s, r int) (a [256]int64) {
	x := sha3.NewSHAKE128()
	x.Write(append(rho[:32:32], byte(s), byte(r)))
	var b [3]byte
	for i := 0; i < 256; {
		x.Read(b[:])
		if v := int64(b[0]) | int64(b[1])<<8 | int64(b[2]&0x7f)<<16; v < 8380417 {
			a[i] = v
			i++
		}
	}
	return a
}

// boundedPoly is RejBoundedPoly of FIPS 204, Algorithm 31.
func boundedPoly(rhoPrime []byte, n int, eta int64) (a [256]int64) {
	x := sha3.NewSHAKE256()
	x.Write(append(rhoPrime[:64:64], byte(n), byte(n>>8)))
	var b [1]byte
	for i := 0; i < 256; {
		x.Read(b[:])
		for _, z := range [2]int64{int64(b[0] & 15), int64(b[0] >> 4)} {
			switch {
			case i == 256:
			case eta == 2 && z < 15:
				a[i] = 2 - z%5
				i++
			case eta == 4 && z < 9:
				a[i] = 4 - z
				i++
			}
		}
	}
	return a
}

// packBits appends top-v for every v, in width bits each, the lowest first.
func packBits(out []byte, poly []int64, top int64, width int) []byte {
	var acc uint64
	n := 0
	for _, v := range poly {
		acc |= uint64(top-v) << n
		for n += width; n >= 8; n -= 8 {
			out = append(out, byte(acc))
			acc >>= 8
		}
	}
	return out
}

// ntt is the number-theoretic transform of FIPS 204, Algorithm 41.
func ntt(w []int64, q, zeta int64) {
	m := 0
	for size := 128; size >= 1; size /= 2 {
		for start := 0; start < 256; start += 2 * size {
			m++
			z := power(zeta, reverse(m), q)
			for j := start; j < start+size; j++ {
				t := z * w[j+size] % q
				w[j+size] = mod(w[j]-t, q)
				w[j] = mod(w[j]+t, q)
			}
		}
	}
}

// inverseNTT undoes ntt (FIPS 204, Algorithm 42).
func inverseNTT(w []int64, q, zeta int64) {
	m := 256
	for size := 1; size < 256; size *= 2 {
		for start := 0; start < 256; start += 2 * size {
			m--
			z := q - power(zeta, reverse(m), q)
			for j := start; j < start+size; j++ {
				t := w[j]
				w[j] = mod(t+w[j+size], q)
				w[j+size] = z * mod(t-w[j+size], q) % q
			}
		}
	}
	f := power(256, int(q-2), q) // the inverse of 256
	for j := range w {
		w[j] = w[j] * f % q
	}
}

func mod(v, q int64) int64 { return (v%q + q) % q }

func power(b int64, e int, q int64) int64 {
	r := int64(1)
	for ; e > 0; e >>= 1 {
		if e&1 == 1 {
			r = r * b % q
		}
		b = b * b % q
	}
	return r
}

// reverse reverses the lowest eight bits of v.
func reverse(v int) int { return int(bits.Reverse8(uint8(v))) }
