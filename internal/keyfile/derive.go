package keyfile

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"unicode/utf16"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"golang.org/x/crypto/scrypt"
)

// A budget is what all key derivation in one file may cost together, in rounds of a hash
// function with a block of 64 octets, about 0.1 microseconds each.
type budget struct{ left int64 }

func newBudget() *budget { return &budget{limits.FileIterations * 3 / 4} }

// spend takes the cost of iterations times each, or fails before any is incurred.
func (b *budget) spend(iterations int, each int64) error {
	if iterations < 1 {
		return errors.New("iteration count below one")
	}
	if int64(iterations) > b.left/each {
		return &limits.Exceeded{What: "rounds of key derivation in a key file", Max: limits.FileIterations * 3 / 4}
	}
	b.left -= int64(iterations) * each
	return nil
}

// A secret is a password in the two forms that key derivation takes.
type secret struct {
	utf8 string
	bmp  []byte // UTF-16BE with a final NUL (RFC 7292, Appendix B.1)
}

func newSecret(password string) secret {
	s := secret{utf8: password}
	for _, u := range append(utf16.Encode([]rune(password)), 0) {
		s.bmp = append(s.bmp, byte(u>>8), byte(u))
	}
	return s
}

// A digest is a hash function, its block size and what a round costs.
type digest struct {
	new   func() hash.Hash
	sum   func(dst, b []byte) []byte
	size  int
	block int
	cost  int64
}

func sum1(dst, b []byte) []byte   { s := sha1.Sum(b); return append(dst, s[:]...) }
func sum224(dst, b []byte) []byte { s := sha256.Sum224(b); return append(dst, s[:]...) }
func sum256(dst, b []byte) []byte { s := sha256.Sum256(b); return append(dst, s[:]...) }
func sum384(dst, b []byte) []byte { s := sha512.Sum384(b); return append(dst, s[:]...) }
func sum512(dst, b []byte) []byte { s := sha512.Sum512(b); return append(dst, s[:]...) }

func sum512_224(dst, b []byte) []byte { s := sha512.Sum512_224(b); return append(dst, s[:]...) }
func sum512_256(dst, b []byte) []byte { s := sha512.Sum512_256(b); return append(dst, s[:]...) }

func digestOf(id oid.OID) (digest, bool) {
	switch id {
	case oid.SHA1, oid.HMACSHA1:
		return digest{sha1.New, sum1, 20, 64, 1}, true
	case oid.SHA224, oid.HMACSHA224:
		return digest{sha256.New224, sum224, 28, 64, 1}, true
	case oid.SHA256, oid.HMACSHA256:
		return digest{sha256.New, sum256, 32, 64, 1}, true
	case oid.SHA384, oid.HMACSHA384:
		return digest{sha512.New384, sum384, 48, 128, 3}, true
	case oid.SHA512, oid.HMACSHA512:
		return digest{sha512.New, sum512, 64, 128, 3}, true
	case oid.SHA512_224, oid.HMACSHA512_224:
		return digest{sha512.New512_224, sum512_224, 28, 128, 3}, true
	case oid.SHA512_256, oid.HMACSHA512_256:
		return digest{sha512.New512_256, sum512_256, 32, 128, 3}, true
	}
	return digest{}, false
}

// Purposes of a key derived by RFC 7292, Appendix B.3.
const (
	forKey = 1
	forIV  = 2
	forMAC = 3
)

// pkcs12Key derives size octets from a password (RFC 7292, Appendix B.2; the letters are
// those of the text). Password and salt are repeated to whole blocks; what follows the
// first hash value comes of adding it, as a number, to every block.
func pkcs12Key(h digest, purpose byte, password, salt []byte, iterations, size int, b *budget) ([]byte, error) {
	if len(salt) > maxSalt || len(password) > maxSalt {
		return nil, &limits.Exceeded{What: "octets in a salt or password", Max: maxSalt}
	}
	rounds := (size + h.size - 1) / h.size
	if err := b.spend(iterations, int64(rounds)*h.cost); err != nil {
		return nil, err
	}
	v := h.block
	d := make([]byte, v)
	for i := range d {
		d[i] = purpose
	}
	in := append(repeat(salt, v), repeat(password, v)...) // I = S || P
	var out []byte
	for {
		a := h.sum(nil, append(d[:v:v], in...))
		for range iterations - 1 {
			a = h.sum(a[:0], a)
		}
		if out = append(out, a...); len(out) >= size {
			return out[:size], nil
		}
		for block := in; len(block) > 0; block = block[v:] { // I_j = I_j + B + 1 mod 2^v
			carry := 1
			for i := v - 1; i >= 0; i-- {
				carry += int(block[i]) + int(a[i%len(a)])
				block[i] = byte(carry)
				carry >>= 8
			}
		}
	}
}

// maxSalt bounds salts and passwords, of which every first round hashes all.
const maxSalt = 4096

// repeat returns copies of b, the last one cut, that fill whole blocks of v octets.
func repeat(b []byte, v int) []byte {
	if len(b) == 0 {
		return nil
	}
	out := make([]byte, v*((len(b)+v-1)/v))
	for i := range out {
		out[i] = b[i%len(b)]
	}
	return out
}

// derive returns size octets by PBKDF2 (RFC 8018, Section 5.2) or scrypt (RFC 7914).
func (d derivation) derive(password string, size int, b *budget) ([]byte, error) {
	if len(d.salt) > maxSalt || len(password) > maxSalt {
		return nil, &limits.Exceeded{What: "octets in a salt or password", Max: maxSalt}
	}
	if d.scrypt {
		// Memory is 128*n*r octets; every 64 of them cost two rounds for each of p.
		if d.n < 2 || d.r < 1 || d.p < 1 || d.r > limits.ScryptMemory/128 || d.n > limits.ScryptMemory/128/d.r {
			return nil, &limits.Exceeded{What: "octets of memory for scrypt", Max: limits.ScryptMemory}
		}
		if err := b.spend(d.p, 4*int64(d.n)*int64(d.r)); err != nil {
			return nil, err
		}
		return scrypt.Key([]byte(password), d.salt, d.n, d.r, d.p, size)
	}
	h, ok := digestOf(d.prf)
	if !ok {
		return nil, &UnsupportedError{"key derivation with " + d.prf.String()}
	}
	blocks := int64((size + h.size - 1) / h.size)
	if err := b.spend(d.iterations, 2*blocks*h.cost); err != nil {
		return nil, err
	}
	return pbkdf2.Key(h.new, password, d.salt, d.iterations, size)
}
