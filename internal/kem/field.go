package kem

import "crypto/sha3"

const q = 3329

// reduce returns x modulo q for x below 2^24 or so: 5039 is 2^24/q, rounded down.
func reduce(x uint32) uint16 {
	x -= uint32(uint64(x)*5039>>24) * q
	return once(uint16(x))
}

// once subtracts q if x is not below it.
func once(x uint16) uint16 {
	x -= q
	return x + q&-(x>>15)
}

func add(a, b uint16) uint16 { return once(a + b) }
func sub(a, b uint16) uint16 { return once(a + q - b) }
func mul(a, b uint16) uint16 { return reduce(uint32(a) * uint32(b)) }

// compress rounds x*2^d/q (FIPS 203, Section 4.2.1). The division is a multiplication
// with 2^40/q, so that its time is the same for all x.
func compress(x uint16, d int) uint16 {
	n := uint64(x)<<d + q/2
	return uint16(n*330282858>>40) & (1<<d - 1)
}

// decompress reads 256 numbers of d bits and rounds each times q/2^d.
func decompress(b []byte, d int) (f vector) {
	decodeBits(&f, b, d)
	for i := range f {
		f[i] = uint16((uint32(f[i])*q + 1<<(d-1)) >> d)
	}
	return f
}

// appendBits writes 256 numbers of d bits, least significant bit first (FIPS 203,
// Algorithm 5).
func appendBits(b []byte, f *vector, d int) []byte {
	var acc uint32
	n := 0
	for _, x := range f {
		acc |= uint32(x) << n
		for n += d; n >= 8; n -= 8 {
			b = append(b, byte(acc))
			acc >>= 8
		}
	}
	return b
}

func decodeBits(f *vector, b []byte, d int) {
	var acc uint32
	n := 0
	for i := range f {
		for n < d {
			acc |= uint32(b[0]) << n
			b = b[1:]
			n += 8
		}
		f[i] = uint16(acc & (1<<d - 1))
		acc >>= d
		n -= d
	}
}

// decodeVector reads 256 numbers of 12 bits and reports whether all are below q.
func decodeVector(f *vector, b []byte) bool {
	decodeBits(f, b, 12)
	ok := uint16(1)
	for _, x := range f {
		ok &= (x - q) >> 15
	}
	return ok == 1
}

// zetas are 17 to the bit-reversed index (FIPS 203, Section 4.3).
var zetas = func() (z [128]uint16) {
	for i := range z {
		reversed := 0
		for b := range 7 {
			reversed |= i >> b & 1 << (6 - b)
		}
		z[i] = 1
		for range reversed {
			z[i] = mul(z[i], 17)
		}
	}
	return z
}()

func ntt(f *vector) {
	i := 1
	for length := 128; length >= 2; length /= 2 {
		for start := 0; start < 256; start += 2 * length {
			zeta := zetas[i]
			i++
			for j := start; j < start+length; j++ {
				t := mul(zeta, f[j+length])
				f[j+length] = sub(f[j], t)
				f[j] = add(f[j], t)
			}
		}
	}
}

func inverseNTT(f *vector) {
	i := 127
	for length := 2; length <= 128; length *= 2 {
		for start := 0; start < 256; start += 2 * length {
			zeta := zetas[i]
			i--
			for j := start; j < start+length; j++ {
				t := f[j]
				f[j] = add(t, f[j+length])
				f[j+length] = mul(zeta, sub(f[j+length], t))
			}
		}
	}
	for j := range f {
		f[j] = mul(f[j], 3303) // 1/128
	}
}

// multiplyAdd adds a times b to f, all in the domain of the NTT (FIPS 203, Algorithms 11
// and 12).
func multiplyAdd(f, a, b *vector) {
	for i := range 128 {
		gamma := zetas[64+i/2]
		if i%2 == 1 {
			gamma = q - gamma
		}
		a0, a1, b0, b1 := a[2*i], a[2*i+1], b[2*i], b[2*i+1]
		f[2*i] = add(f[2*i], add(mul(a0, b0), mul(mul(a1, b1), gamma)))
		f[2*i+1] = add(f[2*i+1], add(mul(a0, b1), mul(a1, b0)))
	}
}

// sampleNTT expands the public seed (FIPS 203, Algorithm 7); everything in it is public.
func sampleNTT(rho []byte, j, i byte) (f vector) {
	x := sha3.NewSHAKE128()
	x.Write(rho)
	x.Write([]byte{j, i})
	var b [168]byte
	for n := 0; n < 256; {
		x.Read(b[:])
		for p := 0; p < len(b) && n < 256; p += 3 {
			d1 := uint16(b[p]) | uint16(b[p+1]&15)<<8
			d2 := uint16(b[p+1]>>4) | uint16(b[p+2])<<4
			if d1 < q {
				f[n] = d1
				n++
			}
			if d2 < q && n < 256 {
				f[n] = d2
				n++
			}
		}
	}
	return f
}

// noise samples the centred binomial distribution (FIPS 203, Algorithm 8).
func noise(seed []byte, n byte, eta int) (f vector) {
	x := sha3.NewSHAKE256()
	x.Write(seed)
	x.Write([]byte{n})
	b := make([]byte, 64*eta)
	x.Read(b)
	bit := func(i int) uint16 { return uint16(b[i/8]>>(i%8)) & 1 }
	for i := range f {
		var plus, minus uint16
		for j := range eta {
			plus += bit(2*i*eta + j)
			minus += bit(2*i*eta + eta + j)
		}
		f[i] = sub(plus, minus)
	}
	return f
}
