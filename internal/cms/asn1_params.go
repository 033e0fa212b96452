package cms

import (
	"bytes"
	"crypto"
	"slices"

	_ "crypto/sha1"   // for crypto.Hash
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512" // for crypto.Hash

	_ "crypto/sha3" // for crypto.Hash

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/oid"
)

// The parameters of the algorithms that protect keys and contents.

// algorithm returns an AlgorithmIdentifier to be written; parameters is DER or nil.
func algorithm(o oid.OID, parameters []byte) AlgorithmIdentifier {
	var b cryptobyte.Builder
	addAlgorithm(&b, o, parameters)
	return AlgorithmIdentifier{OID: o, Parameters: parameters, Raw: b.BytesOrPanic()}
}

// readSPKI reads, and takes the key as whole octets,
//
//	SubjectPublicKeyInfo ::= SEQUENCE {
//	  algorithm        AlgorithmIdentifier,
//	  subjectPublicKey BIT STRING }
func readSPKI(s cryptobyte.String, a *AlgorithmIdentifier, key *[]byte) bool {
	var body cryptobyte.String
	return s.ReadASN1(&body, casn1.SEQUENCE) && s.Empty() && readAlgorithm(&body, a) &&
		body.ReadASN1BitStringAsBytes(key) && body.Empty()
}

// null is the DER of NULL.
func null() []byte { return []byte{5, 0} }

// octetString is the DER of an OCTET STRING.
func octetString(v []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1OctetString(v)
	return b.BytesOrPanic()
}

// readOctetString reads parameters that are one OCTET STRING, such as an initial vector.
func readOctetString(parameters []byte) ([]byte, bool) {
	var v cryptobyte.String
	s := cryptobyte.String(parameters)
	ok := s.ReadASN1(&v, casn1.OCTET_STRING) && s.Empty()
	return v, ok
}

// readAEADParameters reads (RFC 5084, Section 3)
//
//	GCMParameters ::= SEQUENCE {
//	  aes-nonce  OCTET STRING, -- recommended size is 12 octets
//	  aes-ICVlen AES-GCM-ICVlen DEFAULT 12 }
//
//	CCMParameters ::= SEQUENCE {
//	  aes-nonce  OCTET STRING (SIZE(7..13)),
//	  aes-ICVlen AES-CCM-ICVlen DEFAULT 12 }
func readAEADParameters(parameters []byte) (nonce []byte, icv int, ok bool) {
	var body, n cryptobyte.String
	s := cryptobyte.String(parameters)
	if !s.ReadASN1(&body, casn1.SEQUENCE) || !s.Empty() || !body.ReadASN1(&n, casn1.OCTET_STRING) {
		return nil, 0, false
	}
	icv = 12
	if !body.Empty() && !body.ReadASN1Integer(&icv) {
		return nil, 0, false
	}
	return n, icv, body.Empty()
}

func aeadParameters(nonce []byte, icv int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1OctetString(nonce)
		b.AddASN1Int64(int64(icv))
	})
	return b.BytesOrPanic()
}

// readRC2Parameters reads, and translates the version to the effective key length in bits
// (RFC 3370, Section 5.2),
//
//	RC2CBCParameter ::= SEQUENCE {
//	  rc2ParameterVersion INTEGER,
//	  iv                  OCTET STRING } -- exactly 8 octets
func readRC2Parameters(parameters []byte) (bits int, iv []byte, ok bool) {
	var body, v cryptobyte.String
	var version int
	s := cryptobyte.String(parameters)
	if !s.ReadASN1(&body, casn1.SEQUENCE) || !s.Empty() || !body.ReadASN1Integer(&version) ||
		!body.ReadASN1(&v, casn1.OCTET_STRING) || !body.Empty() {
		return 0, nil, false
	}
	bits, ok = rc2Bits(version)
	return bits, v, ok
}

func rc2Bits(version int) (bits int, ok bool) {
	switch {
	case version == 160:
		return 40, true
	case version == 120:
		return 64, true
	case version == 58:
		return 128, true
	case version >= 256 && version <= 1024:
		return version, true
	}
	return 0, false
}

// oaepParameters are read from (RFC 4055, Section 4.1)
//
//	RSAES-OAEP-params ::= SEQUENCE {
//	  hashFunc    [0] AlgorithmIdentifier DEFAULT sha1Identifier,
//	  maskGenFunc [1] AlgorithmIdentifier DEFAULT mgf1SHA1Identifier,
//	  pSourceFunc [2] AlgorithmIdentifier DEFAULT pSpecifiedEmptyIdentifier }
type oaepParameters struct {
	hash, mgf crypto.Hash
	label     []byte
}

// parseOAEPParameters reads the parameters, which are all the defaults if absent. An
// algorithm that is none of ours is an [UnsupportedError].
func parseOAEPParameters(parameters []byte) (p oaepParameters, err error) {
	p = oaepParameters{hash: crypto.SHA1, mgf: crypto.SHA1}
	if parameters == nil {
		return p, nil
	}
	bad := malformed(0, "RSAES-OAEP-params")
	s := cryptobyte.String(parameters)
	var body cryptobyte.String
	if !s.ReadASN1(&body, casn1.SEQUENCE) || !s.Empty() {
		return p, bad
	}
	var fields [3]*AlgorithmIdentifier
	for i := range fields {
		var field cryptobyte.String
		var present bool
		if !body.ReadOptionalASN1(&field, &present, constructed(uint8(i))) {
			return p, bad
		}
		if present {
			fields[i] = new(AlgorithmIdentifier)
			if !readAlgorithm(&field, fields[i]) || !field.Empty() {
				return p, bad
			}
		}
	}
	if !body.Empty() {
		return p, bad
	}
	if a := fields[0]; a != nil {
		if p.hash, err = oaepHash(*a, "OAEP hash"); err != nil {
			return p, err
		}
	}
	if a := fields[1]; a != nil {
		if a.OID != oid.MGF1 {
			return p, &UnsupportedError{What: "mask generation function", OID: a.OID}
		}
		var inner AlgorithmIdentifier
		if s := cryptobyte.String(a.Parameters); !readAlgorithm(&s, &inner) || !s.Empty() {
			return p, bad
		}
		if p.mgf, err = oaepHash(inner, "MGF1 hash"); err != nil {
			return p, err
		}
	}
	if a := fields[2]; a != nil {
		if a.OID != oid.PSpecified {
			return p, &UnsupportedError{What: "OAEP label source", OID: a.OID}
		}
		var ok bool
		if p.label, ok = readOctetString(a.Parameters); !ok {
			return p, bad
		}
	}
	return p, nil
}

// der writes the parameters: hash and mask generation function are stated unless they are
// the defaults, which DER leaves out.
func (p oaepParameters) der() []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if p.hash != crypto.SHA1 {
			b.AddASN1(constructed(0), func(b *cryptobyte.Builder) { addAlgorithm(b, hashOID(p.hash), null()) })
		}
		if p.mgf != crypto.SHA1 {
			b.AddASN1(constructed(1), func(b *cryptobyte.Builder) {
				addAlgorithm(b, oid.MGF1, algorithm(hashOID(p.mgf), null()).Raw)
			})
		}
		if len(p.label) > 0 {
			b.AddASN1(constructed(2), func(b *cryptobyte.Builder) {
				addAlgorithm(b, oid.PSpecified, octetString(p.label))
			})
		}
	})
	return b.BytesOrPanic()
}

// oaepHash is the allow-list for OAEP and MGF1.
func oaepHash(a AlgorithmIdentifier, what string) (crypto.Hash, error) {
	h := hashByOID(a.OID)
	if h == 0 {
		return 0, &UnsupportedError{What: what, OID: a.OID}
	}
	if !a.NoParameters() {
		return 0, malformed(0, what)
	}
	return h, nil
}

// hashes pairs the hash functions that protect keys with their identifiers. SHA-1 is not
// weak in OAEP, HMAC or a key derivation.
var hashes = [...]struct {
	oid  oid.OID
	hash crypto.Hash
	name string
}{
	{oid.SHA1, crypto.SHA1, "sha1"},
	{oid.SHA224, crypto.SHA224, "sha224"},
	{oid.SHA256, crypto.SHA256, "sha256"},
	{oid.SHA384, crypto.SHA384, "sha384"},
	{oid.SHA512, crypto.SHA512, "sha512"},
	{oid.SHA512_224, crypto.SHA512_224, "sha512-224"},
	{oid.SHA512_256, crypto.SHA512_256, "sha512-256"},
	{oid.SHA3_224, crypto.SHA3_224, "sha3-224"},
	{oid.SHA3_256, crypto.SHA3_256, "sha3-256"},
	{oid.SHA3_384, crypto.SHA3_384, "sha3-384"},
	{oid.SHA3_512, crypto.SHA3_512, "sha3-512"},
}

// hashByOID returns 0 for an identifier that is none of ours.
func hashByOID(o oid.OID) crypto.Hash {
	for _, h := range hashes {
		if h.oid == o {
			return h.hash
		}
	}
	return 0
}

func hashOID(v crypto.Hash) oid.OID {
	for _, h := range hashes {
		if h.hash == v {
			return h.oid
		}
	}
	return ""
}

func hashName(v crypto.Hash) string {
	for _, h := range hashes {
		if h.hash == v {
			return h.name
		}
	}
	return ""
}

// pbkdf2Parameters are read from (RFC 8018, Appendix A.2)
//
//	PBKDF2-params ::= SEQUENCE {
//	  salt           CHOICE { specified OCTET STRING, otherSource AlgorithmIdentifier },
//	  iterationCount INTEGER (1..MAX),
//	  keyLength      INTEGER (1..MAX) OPTIONAL,
//	  prf            AlgorithmIdentifier DEFAULT algid-hmacWithSHA1 }
type pbkdf2Parameters struct {
	salt       []byte
	iterations int
	keyLength  int // 0 if absent
	prf        crypto.Hash
}

func parsePBKDF2Parameters(parameters []byte) (p pbkdf2Parameters, err error) {
	bad := malformed(0, "PBKDF2-params")
	var body, salt cryptobyte.String
	s := cryptobyte.String(parameters)
	if !s.ReadASN1(&body, casn1.SEQUENCE) || !s.Empty() {
		return p, bad
	}
	if body.PeekASN1Tag(casn1.SEQUENCE) {
		return p, &UnsupportedError{What: "source of the PBKDF2 salt"}
	}
	if !body.ReadASN1(&salt, casn1.OCTET_STRING) || !readCount(&body, &p.iterations) {
		return p, bad
	}
	p.salt = salt
	if body.PeekASN1Tag(casn1.INTEGER) && !readCount(&body, &p.keyLength) {
		return p, bad
	}
	p.prf = crypto.SHA1
	if !body.Empty() {
		var prf AlgorithmIdentifier
		if !readAlgorithm(&body, &prf) || !body.Empty() || !prf.NoParameters() {
			return p, bad
		}
		if p.prf = prfByOID(prf.OID); p.prf == 0 {
			return p, &UnsupportedError{What: "PBKDF2 function", OID: prf.OID}
		}
	}
	return p, nil
}

// readCount reads a positive INTEGER. One that does not fit 31 bits reads as the largest
// that does, which every limit refuses.
func readCount(s *cryptobyte.String, v *int) bool {
	const most = 1<<31 - 1
	var b cryptobyte.String
	if !s.ReadASN1(&b, casn1.INTEGER) || len(b) == 0 || b[0]&0x80 != 0 {
		return false
	}
	*v = 0
	for _, c := range b {
		if *v > most>>8 {
			*v = most
			return true
		}
		*v = *v<<8 | int(c)
	}
	*v = min(*v, most)
	return *v > 0
}

func (p pbkdf2Parameters) der() []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1OctetString(p.salt)
		b.AddASN1Int64(int64(p.iterations))
		addAlgorithm(b, oid.HMACSHA256, null())
	})
	return b.BytesOrPanic()
}

// prfByOID returns the hash of an HMAC, or 0.
func prfByOID(o oid.OID) crypto.Hash {
	switch o {
	case oid.HMACSHA1, oid.HMACSHA1Short:
		return crypto.SHA1
	case oid.HMACSHA224:
		return crypto.SHA224
	case oid.HMACSHA256:
		return crypto.SHA256
	case oid.HMACSHA384:
		return crypto.SHA384
	case oid.HMACSHA512:
		return crypto.SHA512
	case oid.HMACSHA512_224:
		return crypto.SHA512_224
	case oid.HMACSHA512_256:
		return crypto.SHA512_256
	}
	return 0
}

// sharedInfo encodes (RFC 5753, Section 7.2)
//
//	ECC-CMS-SharedInfo ::= SEQUENCE {
//	  keyInfo     AlgorithmIdentifier,
//	  entityUInfo [0] EXPLICIT OCTET STRING OPTIONAL,
//	  suppPubInfo [2] EXPLICIT OCTET STRING }
//
// with the wrap algorithm as it stands in the message and the length of its key in bits.
func sharedInfo(wrap AlgorithmIdentifier, ukm []byte, bits int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(wrap.Raw)
		if ukm != nil {
			b.AddASN1(constructed(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(ukm) })
		}
		b.AddASN1(constructed(2), func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddUint32(uint32(bits)) })
		})
	})
	return b.BytesOrPanic()
}

// kemOtherInfo encodes (RFC 9629, Section 5)
//
//	CMSORIforKEMOtherInfo ::= SEQUENCE {
//	  wrap      KeyEncryptionAlgorithmIdentifier,
//	  kekLength INTEGER (1..65535),
//	  ukm       [0] EXPLICIT UserKeyingMaterial OPTIONAL }
func kemOtherInfo(wrap AlgorithmIdentifier, kekLength int, ukm []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(wrap.Raw)
		b.AddASN1Int64(int64(kekLength))
		if ukm != nil {
			b.AddASN1(constructed(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(ukm) })
		}
	})
	return b.BytesOrPanic()
}

// derOID is the DER of an OBJECT IDENTIFIER.
func derOID(o oid.OID) []byte {
	var b cryptobyte.Builder
	addOID(&b, o)
	return b.BytesOrPanic()
}

// derSet is the DER of a SET OF elements that are DER themselves (X.690, Section 11.6).
func derSet(elements [][]byte) []byte {
	sorted := slices.Clone(elements)
	slices.SortFunc(sorted, bytes.Compare)
	body := bytes.Join(sorted, nil)
	return append(ber.AppendHeader(nil, ber.Set, true, len(body)), body...)
}
