package pkix

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// next is cryptobyte's ReadASN1 with a short way for what almost every element is: of a tag
// in one octet and a length in at most three, the shortest there is. Certificates are parsed
// for every question, and this is what parsing consists of.
func next(s, out *cryptobyte.String, tag asn1.Tag) bool {
	b := *s
	if len(b) < 4 || b[0] != byte(tag) {
		return s.ReadASN1(out, tag)
	}
	start, end := 2, 2+int(b[1])
	switch {
	case b[1] < 0x80:
	case b[1] == 0x81 && b[2] >= 0x80:
		start, end = 3, 3+int(b[2])
	case b[1] == 0x82 && b[2] > 0:
		start, end = 4, 4+(int(b[2])<<8|int(b[3]))
	default:
		return s.ReadASN1(out, tag)
	}
	if end > len(b) {
		return false
	}
	*out, *s = b[start:end], b[end:]
	return true
}
