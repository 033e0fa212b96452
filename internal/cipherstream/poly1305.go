package cipherstream

import (
	"encoding/binary"
	"math/bits"
)

// poly1305 is the authenticator of RFC 8439, Section 2.5, open at both ends: sums over
// pieces can be joined by powers of r. The AEAD of the standard modules shows only the
// finished tag, out of which the sum cannot be recovered.
type poly1305 struct {
	r     field130
	s     [2]uint64
	n     uint64 // the power of r in use
	power field130
}

func (p *poly1305) init(key []byte) {
	lo := binary.LittleEndian.Uint64(key) & 0x0ffffffc0fffffff
	hi := binary.LittleEndian.Uint64(key[8:]) & 0x0ffffffc0ffffffc
	p.r = load130(lo, hi, 0)
	p.s = [2]uint64{binary.LittleEndian.Uint64(key[16:]), binary.LittleEndian.Uint64(key[24:])}
}

// sum continues acc with the octets of m, in blocks of 16; a short last block is padded
// with zeros (RFC 8439, Section 2.8).
func (p *poly1305) sum(acc field130, m []byte) field130 {
	for len(m) >= 16 {
		lo, hi := binary.LittleEndian.Uint64(m), binary.LittleEndian.Uint64(m[8:])
		acc = acc.add(load130(lo, hi, 1)).mul(p.r)
		m = m[16:]
	}
	if len(m) > 0 {
		var b [16]byte
		copy(b[:], m)
		lo, hi := binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])
		acc = acc.add(load130(lo, hi, 1)).mul(p.r)
	}
	return acc
}

// raised returns r to the n-th power and remembers the last one asked for.
func (p *poly1305) raised(n uint64) field130 {
	if p.n != n {
		p.n, p.power = n, p.r.pow(n)
	}
	return p.power
}

func (p *poly1305) finish(acc field130) [TagSize]byte {
	lo, hi := acc.reduced()
	var c uint64
	lo, c = bits.Add64(lo, p.s[0], 0)
	hi, _ = bits.Add64(hi, p.s[1], c)
	var out [TagSize]byte
	binary.LittleEndian.PutUint64(out[:], lo)
	binary.LittleEndian.PutUint64(out[8:], hi)
	return out
}

// field130 is an integer modulo 2^130-5 in limbs of 44, 44 and 42 bits, each with room
// for a few bits more. Its time depends on no value but the exponent of pow.
type field130 [3]uint64

const (
	mask44 = 1<<44 - 1
	mask42 = 1<<42 - 1
)

func load130(lo, hi, top uint64) field130 {
	return field130{lo & mask44, (lo>>44 | hi<<20) & mask44, hi>>24 | top<<40}
}

// store keeps a in n, from where restore130 gets it.
func (a field130) store(n *note) {
	for i, limb := range a {
		binary.LittleEndian.PutUint64(n[8*i:], limb)
	}
}

func restore130(n *note) (a field130) {
	for i := range a {
		a[i] = binary.LittleEndian.Uint64(n[8*i:])
	}
	return a
}

func (a field130) add(b field130) field130 {
	return field130{a[0] + b[0], a[1] + b[1], a[2] + b[2]}
}

// mul multiplies. 2^132 is 20 modulo the prime, which folds the upper limbs back.
func (a field130) mul(b field130) field130 {
	b1, b2 := b[1]*20, b[2]*20
	h0, l0 := sum3(a[0], b[0], a[1], b2, a[2], b1)
	h1, l1 := sum3(a[0], b[1], a[1], b[0], a[2], b2)
	h2, l2 := sum3(a[0], b[2], a[1], b[1], a[2], b[0])

	var k uint64
	r0 := l0 & mask44
	l1, k = bits.Add64(l1, l0>>44|h0<<20, 0)
	h1 += k
	r1 := l1 & mask44
	l2, k = bits.Add64(l2, l1>>44|h1<<20, 0)
	h2 += k
	r2 := l2 & mask42
	r0 += (l2>>42 | h2<<22) * 5
	r1 += r0 >> 44
	return field130{r0 & mask44, r1, r2}
}

// sum3 returns a*b + c*d + e*f.
func sum3(a, b, c, d, e, f uint64) (hi, lo uint64) {
	hi, lo = bits.Mul64(a, b)
	h, l := bits.Mul64(c, d)
	var k uint64
	lo, k = bits.Add64(lo, l, 0)
	hi += h + k
	h, l = bits.Mul64(e, f)
	lo, k = bits.Add64(lo, l, 0)
	return hi + h + k, lo
}

// pow returns a to the n-th power; n is public.
func (a field130) pow(n uint64) field130 {
	r := field130{1, 0, 0}
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			r = r.mul(a)
		}
		a = a.mul(a)
	}
	return r
}

// reduced returns the lower 128 bits of the smallest representative.
func (a field130) reduced() (lo, hi uint64) {
	for range 2 {
		a[1] += a[0] >> 44
		a[0] &= mask44
		a[2] += a[1] >> 44
		a[1] &= mask44
		a[0] += (a[2] >> 42) * 5
		a[2] &= mask42
	}
	a[1] += a[0] >> 44
	a[0] &= mask44
	// b = a - (2^130-5), which is not negative just if a is not reduced
	b0 := a[0] + 5
	b1 := a[1] + b0>>44
	b2 := a[2] + b1>>44 - 1<<42
	keep := b2>>63 - 1 // all ones if b is not negative
	a[0] = a[0]&^keep | b0&mask44&keep
	a[1] = a[1]&^keep | b1&mask44&keep
	a[2] = a[2]&^keep | b2&keep
	return a[0] | a[1]<<44, a[1]>>20 | a[2]<<24
}
