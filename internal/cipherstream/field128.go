package cipherstream

import "encoding/binary"

// field128 is an element of the field of GHASH, in GCM's reflected bit order: hi holds
// the first eight octets (NIST SP 800-38D, Section 6.3). Its time depends on no value
// but the exponent of pow.
type field128 struct{ hi, lo uint64 }

func load128(b []byte) field128 {
	return field128{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (a field128) store(b []byte) {
	binary.BigEndian.PutUint64(b, a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
}

func (a field128) xor(b field128) field128 { return field128{a.hi ^ b.hi, a.lo ^ b.lo} }

func (a field128) mul(b field128) field128 {
	var z field128
	for _, word := range [2]uint64{a.hi, a.lo} {
		for range 64 {
			m := -(word >> 63)
			word <<= 1
			z.hi ^= b.hi & m
			z.lo ^= b.lo & m
			c := -(b.lo & 1)
			b.lo = b.lo>>1 | b.hi<<63
			b.hi = b.hi>>1 ^ c&0xe100000000000000
		}
	}
	return z
}

// pow returns a to the n-th power; n is public.
func (a field128) pow(n uint64) field128 {
	r := field128{1 << 63, 0}
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			r = r.mul(a)
		}
		a = a.mul(a)
	}
	return r
}
