package sigalg

import (
	"math/big"

	"github.com/postseal/postseal/internal/oid"
)

// A CurvePublicKey is a public key on a curve that crypto/ecdsa does not have: the
// Brainpool curves of RFC 5639 and secp256k1. It verifies signatures and does nothing else;
// its arithmetic is neither fast nor constant in time, and need not be.
type CurvePublicKey struct {
	curve *curve
	x, y  *big.Int
}

// Curve returns the identifier of the key's curve.
func (k *CurvePublicKey) Curve() oid.OID { return k.curve.oid }

// Size returns the octets of a coordinate.
func (k *CurvePublicKey) Size() int { return k.curve.size() }

// Bytes returns the point, uncompressed (SEC 1, Section 2.3.3).
func (k *CurvePublicKey) Bytes() []byte {
	out := make([]byte, 1+2*k.Size())
	out[0] = 4
	k.x.FillBytes(out[1 : 1+k.Size()])
	k.y.FillBytes(out[1+k.Size():])
	return out
}

// verify is the verification of ECDSA (SEC 1, Section 4.1.4).
func (k *CurvePublicKey) verify(digest, sig []byte) bool {
	r, s, ok := parseRS(sig)
	c := k.curve
	if !ok || r.Sign() <= 0 || s.Sign() <= 0 || r.Cmp(c.n) >= 0 || s.Cmp(c.n) >= 0 {
		return false
	}
	e := new(big.Int).SetBytes(digest)
	if excess := 8*len(digest) - c.n.BitLen(); excess > 0 {
		e.Rsh(e, uint(excess))
	}
	w := new(big.Int).ModInverse(s, c.n)
	u1 := e.Mod(e.Mul(e, w), c.n)
	u2 := w.Mod(w.Mul(r, w), c.n)
	x, ok := c.sumX(u1, u2, k)
	return ok && x.Mod(x, c.n).Cmp(r) == 0
}

// A curve is y² = x³ + ax + b over the integers modulo p, with a base point of order n
// and cofactor 1.
type curve struct {
	oid              oid.OID
	p, a, b, x, y, n *big.Int
}

func (c *curve) size() int { return (c.p.BitLen() + 7) / 8 }

// point reads an uncompressed or compressed point (SEC 1, Section 2.3.4), which must be on
// the curve. It cannot be the point at infinity.
func (c *curve) point(b []byte) (*CurvePublicKey, bool) {
	size := c.size()
	k := &CurvePublicKey{curve: c}
	switch {
	case len(b) == 1+2*size && b[0] == 4:
		k.x = new(big.Int).SetBytes(b[1 : 1+size])
		k.y = new(big.Int).SetBytes(b[1+size:])
		if k.x.Cmp(c.p) >= 0 || k.y.Cmp(c.p) >= 0 {
			return nil, false
		}
		y2 := new(big.Int).Mul(k.y, k.y)
		return k, y2.Mod(y2, c.p).Cmp(c.polynomial(k.x)) == 0
	case len(b) == 1+size && (b[0] == 2 || b[0] == 3):
		k.x = new(big.Int).SetBytes(b[1:])
		if k.x.Cmp(c.p) >= 0 {
			return nil, false
		}
		k.y = new(big.Int).ModSqrt(c.polynomial(k.x), c.p)
		if k.y == nil {
			return nil, false
		}
		if k.y.Bit(0) != uint(b[0]&1) {
			k.y.Sub(c.p, k.y)
		}
		return k, k.y.Cmp(c.p) < 0
	}
	return nil, false
}

// polynomial returns x³ + ax + b.
func (c *curve) polynomial(x *big.Int) *big.Int {
	v := new(big.Int).Mul(x, x)
	v.Add(v, c.a)
	v.Mul(v, x)
	v.Add(v, c.b)
	return v.Mod(v, c.p)
}

// sumX returns the x coordinate of u1·G + u2·Q, or false for the point at infinity.
func (c *curve) sumX(u1, u2 *big.Int, q *CurvePublicKey) (*big.Int, bool) {
	base := jacobian{c.x, c.y, big.NewInt(1)}
	key := jacobian{q.x, q.y, big.NewInt(1)}
	both := c.add(base, key)
	sum := jacobian{new(big.Int), big.NewInt(1), new(big.Int)}
	for i := max(u1.BitLen(), u2.BitLen()) - 1; i >= 0; i-- {
		sum = c.double(sum)
		switch u1.Bit(i) | u2.Bit(i)<<1 {
		case 1:
			sum = c.add(sum, base)
		case 2:
			sum = c.add(sum, key)
		case 3:
			sum = c.add(sum, both)
		}
	}
	if sum.z.Sign() == 0 {
		return nil, false
	}
	z := new(big.Int).ModInverse(sum.z, c.p)
	z.Mul(z, z)
	return z.Mod(z.Mul(z.Mod(z, c.p), sum.x), c.p), true
}

// jacobian is the point (x/z², y/z³); z is 0 for the point at infinity. Points are never
// changed once made.
type jacobian struct{ x, y, z *big.Int }

// double returns 2p (the formulas dbl-2007-bl for Jacobian coordinates).
func (c *curve) double(p jacobian) jacobian {
	if p.z.Sign() == 0 || p.y.Sign() == 0 {
		return jacobian{new(big.Int), big.NewInt(1), new(big.Int)}
	}
	xx := c.mul(p.x, p.x)
	yy := c.mul(p.y, p.y)
	yyyy := c.mul(yy, yy)
	zz := c.mul(p.z, p.z)
	s := c.mul(p.x, yy)
	s.Lsh(s, 2)
	m := c.mul(c.a, c.mul(zz, zz))
	m.Add(m, xx).Add(m, xx).Add(m, xx)
	x := c.mul(m, m)
	x.Sub(x, s).Sub(x, s).Mod(x, c.p)
	y := c.mul(m, s.Sub(s, x))
	y.Sub(y, yyyy.Lsh(yyyy, 3)).Mod(y, c.p)
	z := c.mul(p.y, p.z)
	return jacobian{x, y, z.Lsh(z, 1).Mod(z, c.p)}
}

// add returns p + q (the formulas add-2007-bl for Jacobian coordinates).
func (c *curve) add(p, q jacobian) jacobian {
	switch {
	case p.z.Sign() == 0:
		return q
	case q.z.Sign() == 0:
		return p
	}
	z1z1, z2z2 := c.mul(p.z, p.z), c.mul(q.z, q.z)
	u1, u2 := c.mul(p.x, z2z2), c.mul(q.x, z1z1)
	s1, s2 := c.mul(p.y, c.mul(q.z, z2z2)), c.mul(q.y, c.mul(p.z, z1z1))
	if u1.Cmp(u2) == 0 {
		if s1.Cmp(s2) == 0 {
			return c.double(p)
		}
		return jacobian{new(big.Int), big.NewInt(1), new(big.Int)}
	}
	h := u2.Sub(u2, u1)
	r := s2.Sub(s2, s1)
	hh := c.mul(h, h)
	hhh := c.mul(h, hh)
	v := c.mul(u1, hh)
	x := c.mul(r, r)
	x.Sub(x, hhh).Sub(x, v).Sub(x, v).Mod(x, c.p)
	y := c.mul(r, v.Sub(v, x))
	y.Sub(y, c.mul(s1, hhh)).Mod(y, c.p)
	return jacobian{x, y, c.mul(h, c.mul(p.z, q.z))}
}

// mul returns a·b modulo p, not negative.
func (c *curve) mul(a, b *big.Int) *big.Int {
	v := new(big.Int).Mul(a, b)
	return v.Mod(v, c.p)
}

// curves are the parameters of the curves, in hexadecimal. The table is never written to.
var curves = [...]struct {
	oid              oid.OID
	p, a, b, x, y, n string
}{
	{oid.Secp256k1, // SEC 2, Section 2.4.1
		"fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f",
		"0",
		"7",
		"79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
		"483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
		"fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"},
	{oid.BrainpoolP224r1, // RFC 5639, Section 3.3
		"d7c134aa264366862a18302575d1d787b09f075797da89f57ec8c0ff",
		"68a5e62ca9ce6c1c299803a6c1530b514e182ad8b0042a59cad29f43",
		"2580f63ccfe44138870713b1a92369e33e2135d266dbb372386c400b",
		"0d9029ad2c7e5cf4340823b2a87dc68c9e4ce3174c1e6efdee12c07d",
		"58aa56f772c0726f24c6b89e4ecdac24354b9e99caa3f6d3761402cd",
		"d7c134aa264366862a18302575d0fb98d116bc4b6ddebca3a5a7939f"},
	{oid.BrainpoolP256r1, // RFC 5639, Section 3.4
		"a9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377",
		"7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9",
		"26dc5c6ce94a4b44f330b5d9bbd77cbf958416295cf7e1ce6bccdc18ff8c07b6",
		"8bd2aeb9cb7e57cb2c4b482ffc81b7afb9de27e1e3bd23c23a4453bd9ace3262",
		"547ef835c3dac4fd97f8461a14611dc9c27745132ded8e545c1d54c72f046997",
		"a9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7"},
	{oid.BrainpoolP320r1, // RFC 5639, Section 3.5
		"d35e472036bc4fb7e13c785ed201e065f98fcfa6f6f40def4f92b9ec7893ec28fcd412b1f1b32e27",
		"3ee30b568fbab0f883ccebd46d3f3bb8a2a73513f5eb79da66190eb085ffa9f492f375a97d860eb4",
		"520883949dfdbc42d3ad198640688a6fe13f41349554b49acc31dccd884539816f5eb4ac8fb1f1a6",
		"43bd7e9afb53d8b85289bcc48ee5bfe6f20137d10a087eb6e7871e2a10a599c710af8d0d39e20611",
		"14fdd05545ec1cc8ab4093247f77275e0743ffed117182eaa9c77877aaac6ac7d35245d1692e8ee1",
		"d35e472036bc4fb7e13c785ed201e065f98fcfa5b68f12a32d482ec7ee8658e98691555b44c59311"},
	{oid.BrainpoolP384r1, // RFC 5639, Section 3.6
		"8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53",
		"7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826",
		"04a8c7dd22ce28268b39b55416f0447c2fb77de107dcd2a62e880ea53eeb62d57cb4390295dbc9943ab78696fa504c11",
		"1d1c64f068cf45ffa2a63a81b7c13f6b8847a3e77ef14fe3db7fcafe0cbd10e8e826e03436d646aaef87b2e247d4af1e",
		"8abe1d7520f9c2a45cb1eb8e95cfd55262b70b29feec5864e19c054ff99129280e4646217791811142820341263c5315",
		"8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565"},
	{oid.BrainpoolP512r1, // RFC 5639, Section 3.7
		"aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e62881ff2f2d82c68528aa6056583a48f3",
		"7830a3318b603b89e2327145ac234cc594cbdd8d3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94ca",
		"3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94cadc083e67984050b75ebae5dd2809bd638016f723",
		"81aee4bdd82ed9645a21322e9c4c6a9385ed9f70b5d916c1b43b62eef4d0098eff3b1f78e2d0d48d50d1687b93b97d5f7c6d5047406a5e688b352209bcb9f822",
		"7dde385d566332ecc0eabfa9cf7822fdf209f70024a57b1aa000c55b881f8111b2dcde494a5f485e5bca4bd88a2763aed1ca2b2fa8f0540678cd1e0f3ad80892",
		"aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca92619418661197fac10471db1d381085ddaddb58796829ca90069"},
}

// curveByOID returns the curve that o names, or nil.
func curveByOID(o oid.OID) *curve {
	number := func(s string) *big.Int {
		v, _ := new(big.Int).SetString(s, 16)
		return v
	}
	for _, c := range curves {
		if c.oid == o {
			return &curve{o, number(c.p), number(c.a), number(c.b), number(c.x), number(c.y), number(c.n)}
		}
	}
	return nil
}
