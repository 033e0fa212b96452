package sigalg

import (
	"crypto"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"fmt"
	"hash"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
)

// A Hash is a hash function. The zero value is none.
type Hash uint8

// Hash functions. SHAKE128 gives 32 octets and SHAKE256 gives 64 (RFC 8702, Section 3.1).
const (
	MD5 Hash = 1 + iota
	SHA1
	SHA224
	SHA256
	SHA384
	SHA512
	SHA512_224
	SHA512_256
	SHA3_224
	SHA3_256
	SHA3_384
	SHA3_512
	SHAKE128
	SHAKE256
	hashes // count
)

// hashTable describes every hash. It is never written.
var hashTable = [hashes]struct {
	name string
	oid  oid.OID
	std  crypto.Hash // 0 if package crypto has no number for it
	size int
	new  func() hash.Hash
}{
	MD5:        {"md5", oid.MD5, crypto.MD5, 16, md5.New},
	SHA1:       {"sha1", oid.SHA1, crypto.SHA1, 20, sha1.New},
	SHA224:     {"sha224", oid.SHA224, crypto.SHA224, 28, sha256.New224},
	SHA256:     {"sha256", oid.SHA256, crypto.SHA256, 32, sha256.New},
	SHA384:     {"sha384", oid.SHA384, crypto.SHA384, 48, sha512.New384},
	SHA512:     {"sha512", oid.SHA512, crypto.SHA512, 64, sha512.New},
	SHA512_224: {"sha512-224", oid.SHA512_224, crypto.SHA512_224, 28, sha512.New512_224},
	SHA512_256: {"sha512-256", oid.SHA512_256, crypto.SHA512_256, 32, sha512.New512_256},
	SHA3_224:   {"sha3-224", oid.SHA3_224, crypto.SHA3_224, 28, func() hash.Hash { return sha3.New224() }},
	SHA3_256:   {"sha3-256", oid.SHA3_256, crypto.SHA3_256, 32, func() hash.Hash { return sha3.New256() }},
	SHA3_384:   {"sha3-384", oid.SHA3_384, crypto.SHA3_384, 48, func() hash.Hash { return sha3.New384() }},
	SHA3_512:   {"sha3-512", oid.SHA3_512, crypto.SHA3_512, 64, func() hash.Hash { return sha3.New512() }},
	SHAKE128:   {"shake128", oid.SHAKE128, 0, 32, func() hash.Hash { return &shake{sha3.NewSHAKE128(), 32} }},
	SHAKE256:   {"shake256", oid.SHAKE256, 0, 64, func() hash.Hash { return &shake{sha3.NewSHAKE256(), 64} }},
}

// HashByOID returns the hash function with the identifier o.
func HashByOID(o oid.OID) (Hash, bool) {
	if o == oid.SHAKE256Len {
		return SHAKE256, true
	}
	for h := MD5; h < hashes; h++ {
		if hashTable[h].oid == o {
			return h, true
		}
	}
	return 0, false
}

// Cost returns how many times as long as SHA-256 h takes, roughly.
func (h Hash) Cost() int {
	switch {
	case h >= SHA3_224:
		return 5
	case h == MD5 || h >= SHA384:
		return 2
	}
	return 1
}

// HashByName returns the hash function with the given name, in any case and with or
// without hyphen, as micalg has it: "SHA-256", "sha256", "sha3-256".
func HashByName(name string) (Hash, bool) {
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), "-", "") }
	name = plain(name)
	for h := MD5; h < hashes; h++ {
		if plain(h.String()) == name {
			return h, true
		}
	}
	return 0, false
}

// ParseHash reads the DER of a digest AlgorithmIdentifier. Parameters must be absent, or
// NULL for the functions that are older than RFC 8702. Anything else is an
// [UnsupportedError].
func ParseHash(algID []byte) (Hash, error) {
	o, params, ok := splitAlgorithm(algID)
	if !ok {
		return 0, &UnsupportedError{What: "digest algorithm: malformed AlgorithmIdentifier"}
	}
	h, ok := HashByOID(o)
	if !ok {
		return 0, &UnsupportedError{What: "digest algorithm", OID: o}
	}
	switch {
	case o == oid.SHAKE256Len:
		// RFC 8419, Section 2.3: the length in bits, here that of Ed448's digest.
		var bits int
		if !params.ReadASN1Integer(&bits) || !params.Empty() || bits != 512 {
			return 0, &UnsupportedError{What: "parameters of digest algorithm", OID: o}
		}
	case h == SHAKE128 || h == SHAKE256:
		ok = len(params) == 0
	default:
		ok = absentOrNull(params)
	}
	if !ok {
		return 0, &UnsupportedError{What: "parameters of digest algorithm", OID: o}
	}
	return h, nil
}

// New returns a fresh hash.Hash, which is also a hash.Cloner. It panics for the zero Hash.
func (h Hash) New() hash.Hash { return hashTable[h].new() }

// Size returns the octets of a digest.
func (h Hash) Size() int { return h.row().size }

// OID returns the identifier of the hash function.
func (h Hash) OID() oid.OID { return h.row().oid }

// String returns the name in lower case, such as "sha256".
func (h Hash) String() string {
	if h == 0 || h >= hashes {
		return fmt.Sprintf("hash(%d)", uint8(h))
	}
	return hashTable[h].name
}

// MIMEName returns the name that micalg uses: "md5", "sha-1", "sha-256", "sha3-256",
// "shake256" (RFC 8551, Section 3.5.3.2, and RFC 8702).
func (h Hash) MIMEName() string {
	switch h {
	case SHA1, SHA224, SHA256, SHA384, SHA512:
		return "sha-" + h.String()[3:]
	}
	return h.String()
}

// Weak reports whether collisions of h are known: MD5 and SHA-1.
func (h Hash) Weak() bool { return h == MD5 || h == SHA1 }

// Valid reports whether h is one of the constants.
func (h Hash) Valid() bool { return h > 0 && h < hashes }

// Sum returns the digest of b.
func (h Hash) Sum(b []byte) []byte {
	if h == SHA256 {
		sum := sha256.Sum256(b)
		return sum[:]
	}
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// Algorithm returns the DER of the AlgorithmIdentifier, without parameters (RFC 5754,
// Section 2).
func (h Hash) Algorithm() []byte { return algorithmDER(h.OID(), nil) }

func (h Hash) row() *struct {
	name string
	oid  oid.OID
	std  crypto.Hash
	size int
	new  func() hash.Hash
} {
	if h >= hashes {
		h = 0
	}
	return &hashTable[h]
}

// shake is an extendable output function with a fixed length.
type shake struct {
	*sha3.SHAKE
	size int
}

func (s *shake) Size() int { return s.size }

func (s *shake) Sum(b []byte) []byte {
	c, err := s.Clone()
	if err != nil {
		panic("sigalg: " + err.Error()) // the state of a SHAKE always encodes
	}
	out := make([]byte, s.size)
	c.(*shake).Read(out)
	return append(b, out...)
}

// Clone implements hash.Cloner.
func (s *shake) Clone() (hash.Cloner, error) {
	state, err := s.MarshalBinary()
	if err != nil {
		return nil, err
	}
	c := sha3.NewSHAKE128()
	if s.size == 64 {
		c = sha3.NewSHAKE256()
	}
	if err := c.UnmarshalBinary(state); err != nil {
		return nil, err
	}
	return &shake{c, s.size}, nil
}

// splitAlgorithm reads the DER of an AlgorithmIdentifier; params is empty if absent.
func splitAlgorithm(algID []byte) (o oid.OID, params cryptobyte.String, ok bool) {
	s := cryptobyte.String(algID)
	var body, id cryptobyte.String
	if !s.ReadASN1(&body, casn1.SEQUENCE) || !s.Empty() || !body.ReadASN1(&id, casn1.OBJECT_IDENTIFIER) {
		return "", nil, false
	}
	if !body.Empty() && (!body.ReadAnyASN1Element(&params, nil) || !body.Empty()) {
		return "", nil, false
	}
	return oid.OID(id), params, oid.OID(id).Valid()
}

func absentOrNull(params cryptobyte.String) bool {
	return len(params) == 0 || len(params) == 2 && params[0] == 5 && params[1] == 0
}

func algorithmDER(o oid.OID, params []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(o)) })
		b.AddBytes(params)
	})
	return b.BytesOrPanic()
}
