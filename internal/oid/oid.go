package oid

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
)

// An OID is the content octets of a DER OBJECT IDENTIFIER (X.690, Section 8.19).
// Compare with ==. The zero value is no identifier.
type OID string

// Parse reads the dotted form, such as "2.5.29.17". It refuses fewer than two arcs,
// a first arc above 2, a second above 39 under arcs 0 and 1, leading zeros, and arcs
// beyond 128 bits, which is what a UUID takes (X.667).
func Parse(dotted string) (OID, error) {
	parts := strings.Split(dotted, ".")
	if len(parts) < 2 || len(parts) > 64 {
		return "", errors.New("oid: not a dotted object identifier")
	}
	var out []byte
	var first uint64
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 63)
		if i > 1 && errors.Is(err, strconv.ErrRange) && p[0] != '0' && len(p) <= 39 {
			if wide, ok := new(big.Int).SetString(p, 10); ok && wide.BitLen() <= maxArcBits {
				out = appendWide(out, wide)
				continue
			}
		}
		if err != nil || len(p) > 1 && p[0] == '0' {
			return "", errors.New("oid: bad arc in object identifier")
		}
		switch {
		case i == 0:
			if v > 2 {
				return "", errors.New("oid: first arc above 2")
			}
			first = v * 40
			continue
		case i == 1:
			if first < 80 && v > 39 || v > 1<<62 {
				return "", errors.New("oid: second arc too large")
			}
			v += first
		}
		out = appendArc(out, v)
	}
	return OID(out), nil
}

// maxArcBits is the widest arc there is use for.
const maxArcBits = 128

// String returns the dotted form. Arcs beyond 128 bits and encodings that are not an
// object identifier print as "oid:" and hexadecimal digits, which Parse refuses.
func (o OID) String() string {
	var b strings.Builder
	var v uint64
	first, begin := true, true
	for i := 0; i < len(o); i++ {
		c := o[i]
		if begin && c == 0x80 {
			return o.hex()
		}
		if v >= 1<<56 {
			wide, n := wideArc(v, o[i:])
			if first || wide == nil {
				return o.hex()
			}
			b.WriteByte('.')
			b.WriteString(wide.String())
			i += n - 1
			v, begin = 0, true
			continue
		}
		begin = false
		v = v<<7 | uint64(c&0x7f)
		if c&0x80 != 0 {
			continue
		}
		if first {
			top := min(v/40, 2)
			b.WriteString(strconv.FormatUint(top, 10))
			v -= top * 40
			first = false
		}
		b.WriteByte('.')
		b.WriteString(strconv.FormatUint(v, 10))
		v, begin = 0, true
	}
	if !begin || first {
		return o.hex()
	}
	return b.String()
}

// Valid reports whether o is a well-formed encoding: at least one arc, minimal, complete.
func (o OID) Valid() bool {
	begin := true
	for i := 0; i < len(o); i++ {
		if begin && o[i] == 0x80 {
			return false
		}
		begin = o[i]&0x80 == 0
	}
	return begin && len(o) > 0
}

func (o OID) hex() string {
	const digits = "0123456789abcdef"
	b := []byte("oid:")
	for i := 0; i < len(o); i++ {
		b = append(b, digits[o[i]>>4], digits[o[i]&15])
	}
	return string(b)
}

// wideArc returns the arc that begins with v and goes on in rest, and how much of rest is
// its own; nil if it is too wide or does not end.
func wideArc(v uint64, rest OID) (arc *big.Int, n int) {
	arc = new(big.Int).SetUint64(v)
	for n < len(rest) && arc.BitLen() <= maxArcBits {
		c := rest[n]
		n++
		arc.Lsh(arc, 7)
		arc.Or(arc, big.NewInt(int64(c&0x7f)))
		if c&0x80 == 0 && arc.BitLen() <= maxArcBits {
			return arc, n
		}
	}
	return nil, n
}

// appendWide is appendArc for an arc of more than 64 bits.
func appendWide(b []byte, v *big.Int) []byte {
	for n := (v.BitLen() - 1) / 7; n >= 0; n-- {
		c := byte(new(big.Int).Rsh(v, uint(7*n)).Uint64()) & 0x7f
		if n > 0 {
			c |= 0x80
		}
		b = append(b, c)
	}
	return b
}

func appendArc(b []byte, v uint64) []byte {
	n := 1
	for x := v >> 7; x > 0; x >>= 7 {
		n++
	}
	for n--; n >= 0; n-- {
		c := byte(v>>(7*n)) & 0x7f
		if n > 0 {
			c |= 0x80
		}
		b = append(b, c)
	}
	return b
}
