package x448

import "math/bits"

// An element is an integer modulo p = 2^448 - 2^224 - 1 in eight limbs of 56 bits, the
// least significant first. Limbs may exceed 56 bits by a little.
type element [8]uint64

const mask = 1<<56 - 1

func decode(b *[Size]byte) (e element) {
	for i := range e {
		for j := range 7 {
			e[i] |= uint64(b[7*i+j]) << (8 * j)
		}
	}
	return e
}

// encode writes the smallest representative, least significant octet first.
func (e element) encode() (b [Size]byte) {
	e = e.carry().carry()
	// e is below 2p now. Take p away and put it back if that went below zero.
	var borrow uint64
	for i := range e {
		e[i], _ = bits.Sub64(e[i], prime(i)+borrow, 0)
		borrow = e[i] >> 63
		e[i] &= mask
	}
	var carry uint64
	for i := range e {
		e[i] += prime(i)&-borrow + carry
		carry = e[i] >> 56
		e[i] &= mask
	}
	for i := range e {
		for j := range 7 {
			b[7*i+j] = byte(e[i] >> (8 * j))
		}
	}
	return b
}

// prime returns a limb of p.
func prime(i int) uint64 {
	if i == 4 {
		return mask - 1
	}
	return mask
}

// carry brings the limbs back to 56 bits, or 57 for two of them. 2^448 is 2^224 + 1.
func (e element) carry() element {
	for i := range 7 {
		e[i+1] += e[i] >> 56
		e[i] &= mask
	}
	top := e[7] >> 56
	e[7] &= mask
	e[0] += top
	e[4] += top
	return e
}

func (e *element) add(o *element) element {
	var r element
	for i := range r {
		r[i] = e[i] + o[i]
	}
	return r.carry()
}

// sub adds 2p to stay above zero in every limb.
func (e *element) sub(o *element) element {
	var r element
	for i := range r {
		r[i] = e[i] + 2*prime(i) - o[i]
	}
	return r.carry()
}

func (e *element) mul(o *element) element {
	var lo, hi [15]uint64
	for i := range 8 {
		for j := range 8 {
			h, l := bits.Mul64(e[i], o[j])
			var c uint64
			lo[i+j], c = bits.Add64(lo[i+j], l, 0)
			hi[i+j] += h + c
		}
	}
	for k := 14; k >= 8; k-- {
		var c uint64
		lo[k-8], c = bits.Add64(lo[k-8], lo[k], 0)
		hi[k-8] += hi[k] + c
		lo[k-4], c = bits.Add64(lo[k-4], lo[k], 0)
		hi[k-4] += hi[k] + c
	}
	var r element
	var carry uint64
	for k := range 8 {
		var c uint64
		lo[k], c = bits.Add64(lo[k], carry, 0)
		hi[k] += c
		r[k] = lo[k] & mask
		carry = lo[k]>>56 | hi[k]<<8
	}
	r[0] += carry
	r[4] += carry
	return r.carry()
}

// swap exchanges e and o if bit is 1, and does nothing if it is 0.
func (e *element) swap(o *element, bit uint64) {
	for i := range e {
		t := -bit & (e[i] ^ o[i])
		e[i] ^= t
		o[i] ^= t
	}
}

// inverse returns e to the power p-2; the exponent is public: 223 ones, a zero, 222 ones,
// a zero and a one.
func (e *element) inverse() element {
	r := element{1}
	for i := 447; i >= 0; i-- {
		r = r.mul(&r)
		if i != 224 && i != 1 {
			r = r.mul(e)
		}
	}
	return r
}
