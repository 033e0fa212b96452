package smime

import (
	"bytes"
	"io"
	"math/bits"
)

// minPadded is the least that is encrypted of a padded message, in octets.
const minPadded = 4 << 10

// paddedLength returns the length that a text of n octets is padded to: n with all bits but
// its four highest cleared, rounded up. Of all lengths there are eight for each power of two.
func paddedLength(n int64) int64 {
	if n <= minPadded {
		return minPadded
	}
	step := int64(1) << (bits.Len64(uint64(n-1)) - 4)
	return (n + step - 1) / step * step
}

// A padder writes line ends behind an entity whose body ends in one: behind base64, or the
// last delimiter of a multipart, they mean nothing (RFC 2045, Section 6.8; RFC 2046,
// Section 5.1.1).
type padder struct {
	dst io.Writer
	n   int64
}

func (p *padder) Write(b []byte) (int, error) {
	n, err := p.dst.Write(b)
	p.n += int64(n)
	return n, err
}

func (p *padder) Close() error {
	length := paddedLength(p.n)
	if length == p.n+1 { // too little for a line end
		length = paddedLength(length + 1)
	}
	left := length - p.n
	if left%2 == 1 {
		if _, err := io.WriteString(p.dst, " \r\n"); err != nil {
			return err
		}
		left -= 3
	}
	lines := bytes.Repeat([]byte("\r\n"), 1<<10)
	for left > 0 {
		n, err := p.dst.Write(lines[:min(left, int64(len(lines)))])
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}
