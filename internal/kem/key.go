package kem

import (
	"crypto"
	"crypto/rand"
	"crypto/sha3"
	"crypto/subtle"
	"errors"

	"github.com/postseal/postseal/internal/oid"
)

// parameters are a row of FIPS 203, Table 2.
type parameters struct {
	oid    oid.OID
	k      int // the rank of the module
	eta1   int
	du, dv int
}

var sets = [...]parameters{
	{oid.MLKEM512, 2, 3, 10, 4},
	{oid.MLKEM768, 3, 2, 10, 4},
	{oid.MLKEM1024, 4, 2, 11, 5},
}

func parametersOf(o oid.OID) *parameters {
	for i := range sets {
		if sets[i].oid == o {
			return &sets[i]
		}
	}
	return nil
}

func (p *parameters) keySize() int        { return 384*p.k + 32 }
func (p *parameters) ciphertextSize() int { return 32 * (p.du*p.k + p.dv) }

// SharedKeySize is the length of a shared secret, and SeedSize that of a seed, in octets.
const (
	SharedKeySize = 32
	SeedSize      = 64
)

// A Key is a decapsulation key. It implements crypto.Decapsulator.
type Key struct {
	set      *parameters
	expanded []byte // dk: the secret vector, ek, H(ek) and z
	secret   []vector
	public   *publicKey
}

type vector = [256]uint16

// NewKey returns the key of the parameter set o, such as oid.MLKEM512, for a seed of 64
// octets (FIPS 203, Section 6.1).
func NewKey(o oid.OID, seed []byte) (*Key, error) {
	set := parametersOf(o)
	if set == nil {
		return nil, ErrNotMLKEM
	}
	if len(seed) != SeedSize {
		return nil, errMalformed
	}
	d, z := seed[:32], seed[32:]
	g := sha3.Sum512(append(append([]byte(nil), d...), byte(set.k)))
	rho, sigma := g[:32], g[32:]
	k := &Key{set: set, secret: make([]vector, set.k)}
	pub := &publicKey{set: set, t: make([]vector, set.k), rho: rho}
	for i := range k.secret {
		k.secret[i] = noise(sigma, byte(i), set.eta1)
		ntt(&k.secret[i])
	}
	for i := range pub.t {
		e := noise(sigma, byte(set.k+i), set.eta1)
		ntt(&e)
		for j := range k.secret {
			a := sampleNTT(rho, byte(j), byte(i))
			multiplyAdd(&e, &a, &k.secret[j])
		}
		pub.t[i] = e
	}
	pub.encode()
	k.public = pub
	for i := range k.secret {
		k.expanded = appendBits(k.expanded, &k.secret[i], 12)
	}
	h := sha3.Sum256(pub.bytes)
	k.expanded = append(append(append(k.expanded, pub.bytes...), h[:]...), z...)
	return k, nil
}

// NewExpandedKey returns the key of the parameter set o with the encoding that FIPS 203
// calls dk. The public key inside must fit its hash (Section 7.3) and the secret.
func NewExpandedKey(o oid.OID, dk []byte) (*Key, error) {
	set := parametersOf(o)
	if set == nil {
		return nil, ErrNotMLKEM
	}
	size := 384 * set.k
	if len(dk) != size+set.keySize()+64 {
		return nil, errMalformed
	}
	k := &Key{set: set, expanded: append([]byte(nil), dk...), secret: make([]vector, set.k)}
	for i := range k.secret {
		if !decodeVector(&k.secret[i], dk[384*i:384*(i+1)]) {
			return nil, errMalformed
		}
	}
	ek := k.expanded[size : size+set.keySize()]
	h := sha3.Sum256(ek)
	if subtle.ConstantTimeCompare(h[:], dk[size+len(ek):size+len(ek)+32]) != 1 {
		return nil, errHash
	}
	var err error
	if k.public, err = newPublicKey(set, ek); err != nil {
		return nil, err
	}
	// A secret vector of another key shows only in use.
	secret, ct := k.public.Encapsulate()
	if got, err := k.Decapsulate(ct); err != nil || subtle.ConstantTimeCompare(got, secret) != 1 {
		return nil, errPair
	}
	return k, nil
}

// Encapsulator returns the public key.
func (k *Key) Encapsulator() crypto.Encapsulator { return k.public }

// Decapsulate returns the secret inside ciphertext. A ciphertext of another length than
// the parameter set has is an error; any other fault gives a secret nobody has.
func (k *Key) Decapsulate(ciphertext []byte) ([]byte, error) {
	if len(ciphertext) != k.set.ciphertextSize() {
		return nil, errors.New("kem: ciphertext of another length")
	}
	m := k.decrypt(ciphertext)
	tail := k.expanded[len(k.expanded)-64:]
	h, z := tail[:32], tail[32:]
	g := sha3.Sum512(append(m[:], h...))
	secret := sha3.SumSHAKE256(append(append([]byte(nil), z...), ciphertext...), SharedKeySize)
	again := k.public.encrypt(m[:], g[32:])
	same := subtle.ConstantTimeCompare(again, ciphertext)
	subtle.ConstantTimeCopy(same, secret, g[:32])
	return secret, nil
}

// decrypt is K-PKE.Decrypt (FIPS 203, Algorithm 15).
func (k *Key) decrypt(c []byte) (m [32]byte) {
	du, dv := k.set.du, k.set.dv
	var w vector
	for i := range k.secret {
		u := decompress(c[32*du*i:32*du*(i+1)], du)
		ntt(&u)
		multiplyAdd(&w, &k.secret[i], &u)
	}
	inverseNTT(&w)
	v := decompress(c[32*du*k.set.k:], dv)
	for i := range v {
		bit := compress(sub(v[i], w[i]), 1)
		m[i/8] |= byte(bit) << (i % 8)
	}
	return m
}

// publicKey is an encapsulation key.
type publicKey struct {
	set   *parameters
	t     []vector
	rho   []byte
	bytes []byte
}

func newPublicKey(set *parameters, ek []byte) (*publicKey, error) {
	p := &publicKey{set: set, t: make([]vector, set.k), rho: ek[384*set.k:], bytes: ek}
	for i := range p.t {
		if !decodeVector(&p.t[i], ek[384*i:384*(i+1)]) { // FIPS 203, Section 7.2
			return nil, errMalformed
		}
	}
	return p, nil
}

func (p *publicKey) encode() {
	for i := range p.t {
		p.bytes = appendBits(p.bytes, &p.t[i], 12)
	}
	p.bytes = append(p.bytes, p.rho...)
}

// Bytes returns the encoding of the key (FIPS 203, Section 5.1).
func (p *publicKey) Bytes() []byte { return append([]byte(nil), p.bytes...) }

// Encapsulate returns a fresh secret and the ciphertext that holds it.
func (p *publicKey) Encapsulate() (sharedKey, ciphertext []byte) {
	var m [32]byte
	rand.Read(m[:])
	return p.encapsulate(m[:])
}

func (p *publicKey) encapsulate(m []byte) (sharedKey, ciphertext []byte) {
	h := sha3.Sum256(p.bytes)
	g := sha3.Sum512(append(append([]byte(nil), m...), h[:]...))
	return g[:32:32], p.encrypt(m, g[32:])
}

// encrypt is K-PKE.Encrypt (FIPS 203, Algorithm 14).
func (p *publicKey) encrypt(m, r []byte) []byte {
	k := p.set.k
	y := make([]vector, k)
	for i := range y {
		y[i] = noise(r, byte(i), p.set.eta1)
		ntt(&y[i])
	}
	c := make([]byte, 0, p.set.ciphertextSize())
	for i := range k {
		var u vector
		for j := range y {
			a := sampleNTT(p.rho, byte(i), byte(j))
			multiplyAdd(&u, &a, &y[j])
		}
		inverseNTT(&u)
		e1 := noise(r, byte(k+i), 2)
		for n := range u {
			u[n] = compress(add(u[n], e1[n]), p.set.du)
		}
		c = appendBits(c, &u, p.set.du)
	}
	var v vector
	for j := range y {
		multiplyAdd(&v, &p.t[j], &y[j])
	}
	inverseNTT(&v)
	e2 := noise(r, byte(2*k), 2)
	for n := range v {
		half := uint16(m[n/8]>>(n%8)) & 1 * ((q + 1) / 2)
		v[n] = compress(add(add(v[n], e2[n]), half), p.set.dv)
	}
	return appendBits(c, &v, p.set.dv)
}
