package sigalg

import (
	"bytes"
	"crypto/sha3"
	"math/big"
	"slices"
)

// An Ed448PublicKey is the encoded public key of Ed448, 57 octets (RFC 8032, Section 5.2).
// It verifies signatures and does nothing else; its arithmetic is neither fast nor constant
// in time, and need not be.
type Ed448PublicKey []byte

const ed448Size = 57

// verifyEd448 is the verification of Ed448 with an empty context (RFC 8032, Section 5.2.7).
// It recomputes R, so encodings of R that are not canonical do not pass.
func verifyEd448(key Ed448PublicKey, message, sig []byte) bool {
	if len(sig) != 2*ed448Size {
		return false
	}
	c := newEdwards448()
	a, ok := c.decode(key)
	s := littleEndian(sig[ed448Size:])
	if !ok || s.Cmp(c.l) >= 0 {
		return false
	}
	h := sha3.NewSHAKE256()
	h.Write([]byte("SigEd448\x00\x00")) // dom4 with neither prehash nor context
	h.Write(sig[:ed448Size])
	h.Write(key)
	h.Write(message)
	var digest [2 * ed448Size]byte
	h.Read(digest[:])
	k := littleEndian(digest[:])
	k.Mod(k, c.l)
	// R = S·B - k·A
	a.x = c.mod(new(big.Int).Neg(a.x))
	return bytes.Equal(c.encode(c.sum(s, c.base, k, a)), sig[:ed448Size])
}

// edwards448 is x² + y² = 1 + dx²y² over the integers modulo p, with a base point of
// order l.
type edwards448 struct {
	p, d, l *big.Int
	base    projective
}

// projective is the point (x/z, y/z). Points are never changed once made.
type projective struct{ x, y, z *big.Int }

func newEdwards448() *edwards448 {
	decimal := func(s string) *big.Int {
		v, _ := new(big.Int).SetString(s, 10)
		return v
	}
	one := big.NewInt(1)
	c := &edwards448{p: new(big.Int).Lsh(one, 448), l: new(big.Int).Lsh(one, 446)}
	c.p.Sub(c.p, new(big.Int).Lsh(one, 224)).Sub(c.p, one)
	c.l.Sub(c.l, decimal("13818066809895115352007386748515426880336692474882178609894547503885"))
	c.d = c.mod(big.NewInt(-39081))
	c.base = projective{
		decimal("224580040295924300187604334099896036246789641632564134246125461686950415467406032909029192869357953282578032075146446173674602635247710"),
		decimal("298819210078481492676017930443930673437544040154080242095928241372331506189835876003536878655418784733982303233503462500531545062832660"),
		one,
	}
	return c
}

// decode reads a point (RFC 8032, Section 5.2.3).
func (c *edwards448) decode(b []byte) (projective, bool) {
	if len(b) != ed448Size || b[ed448Size-1]&0x7f != 0 {
		return projective{}, false
	}
	y := littleEndian(b[:ed448Size-1])
	if y.Cmp(c.p) >= 0 {
		return projective{}, false
	}
	// x² = (y² - 1) / (dy² - 1)
	one := big.NewInt(1)
	yy := c.mul(y, y)
	v := c.mul(c.d, yy)
	v.ModInverse(v.Sub(v, one), c.p) // d is no square, so v is not 0
	x := new(big.Int).ModSqrt(c.mul(yy.Sub(yy, one), v), c.p)
	sign := uint(b[ed448Size-1] >> 7)
	if x == nil || x.Sign() == 0 && sign == 1 {
		return projective{}, false
	}
	if x.Bit(0) != sign {
		x.Sub(c.p, x)
	}
	return projective{x, y, one}, true
}

// encode is the inverse of decode.
func (c *edwards448) encode(p projective) []byte {
	z := new(big.Int).ModInverse(p.z, c.p)
	x, y := c.mul(p.x, z), c.mul(p.y, z)
	out := y.FillBytes(make([]byte, ed448Size))
	slices.Reverse(out)
	out[ed448Size-1] |= byte(x.Bit(0) << 7)
	return out
}

// sum returns m·p + n·q.
func (c *edwards448) sum(m *big.Int, p projective, n *big.Int, q projective) projective {
	both := c.add(p, q)
	out := projective{new(big.Int), big.NewInt(1), big.NewInt(1)}
	for i := max(m.BitLen(), n.BitLen()) - 1; i >= 0; i-- {
		out = c.add(out, out)
		switch m.Bit(i) | n.Bit(i)<<1 {
		case 1:
			out = c.add(out, p)
		case 2:
			out = c.add(out, q)
		case 3:
			out = c.add(out, both)
		}
	}
	return out
}

// add returns p + q. The formulas of RFC 8032, Section 5.2.4, hold for all points.
func (c *edwards448) add(p, q projective) projective {
	a := c.mul(p.z, q.z)
	b := c.mul(a, a)
	cc := c.mul(p.x, q.x)
	d := c.mul(p.y, q.y)
	e := c.mul(c.d, c.mul(cc, d))
	f := new(big.Int).Sub(b, e)
	g := new(big.Int).Add(b, e)
	h := c.mul(new(big.Int).Add(p.x, p.y), new(big.Int).Add(q.x, q.y))
	h.Sub(h, cc).Sub(h, d)
	return projective{
		c.mul(a, c.mul(f, h)),
		c.mul(a, c.mul(g, d.Sub(d, cc))),
		c.mul(f, g),
	}
}

func (c *edwards448) mul(a, b *big.Int) *big.Int { return c.mod(new(big.Int).Mul(a, b)) }

// mod reduces v in place to a value that is not negative.
func (c *edwards448) mod(v *big.Int) *big.Int { return v.Mod(v, c.p) }

func littleEndian(b []byte) *big.Int {
	b = slices.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}
