package pkix

import (
	"bytes"
	"fmt"
	"math/bits"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// An Error says which part of which structure cannot be read.
type Error struct {
	What string // "certificate", "CRL", "OCSP response" or the name of an extension
	Part string // the field, such as "validity"
}

func (e *Error) Error() string { return fmt.Sprintf("%s: malformed %s", e.What, e.Part) }

// A Certificate is a view of a DER certificate. Its slices lie in Raw.
//
//	Certificate ::= SEQUENCE {
//	     tbsCertificate       TBSCertificate,
//	     signatureAlgorithm   AlgorithmIdentifier,
//	     signature            BIT STRING }
//
//	TBSCertificate ::= SEQUENCE {
//	     version         [0]  Version DEFAULT v1,
//	     serialNumber         CertificateSerialNumber,
//	     signature            AlgorithmIdentifier,
//	     issuer               Name,
//	     validity             Validity,
//	     subject              Name,
//	     subjectPublicKeyInfo SubjectPublicKeyInfo,
//	     issuerUniqueID  [1]  IMPLICIT UniqueIdentifier OPTIONAL,
//	     subjectUniqueID [2]  IMPLICIT UniqueIdentifier OPTIONAL,
//	     extensions      [3]  Extensions OPTIONAL }
type Certificate struct {
	Raw                 []byte
	RawTBS              []byte
	Version             int    // 1 to 3
	Serial              []byte // content octets of the INTEGER
	InnerAlgorithm      []byte // TBSCertificate.signature, whole AlgorithmIdentifier
	Algorithm           []byte // signatureAlgorithm, whole AlgorithmIdentifier
	RawIssuer           []byte
	RawSubject          []byte
	NotBefore, NotAfter int64  // Unix seconds
	SPKI                []byte // whole SubjectPublicKeyInfo
	KeyAlgorithm        []byte // OBJECT IDENTIFIER content of its algorithm
	Signature           []byte
	Issuer, Subject     string // canonical names, equal when RFC 5280, Section 7.1 calls them equal
	Known                      // the extensions this package decodes
	ext                 cryptobyte.String
}

// Parse reads one DER certificate and nothing else. It is lenient in what fields hold
// and strict in how they are framed; a malformed extension is noted in [Known.Bad].
func Parse(der []byte) (*Certificate, error) {
	c := new(Certificate)
	if err := c.Read(der); err != nil {
		return nil, err
	}
	return c, nil
}

// Read is Parse into a Certificate that has been zero so far.
func (c *Certificate) Read(der []byte) error {
	if part := c.parse(der); part != "" {
		return &Error{"certificate", part}
	}
	return nil
}

func (c *Certificate) parse(der []byte) (bad string) {
	if len(der) > limits.CertificateSize {
		return fmt.Sprintf("size: more than %d bytes", limits.CertificateSize)
	}
	in := cryptobyte.String(der)
	var outer, tbs, alg, sig cryptobyte.String
	if !next(&in, &outer, asn1.SEQUENCE) {
		return outerSequence(der)
	}
	if !in.Empty() {
		return "end: trailing bytes"
	}
	if !outer.ReadASN1Element(&tbs, asn1.SEQUENCE) {
		return "tbsCertificate"
	}
	if !outer.ReadASN1Element(&alg, asn1.SEQUENCE) {
		return "signatureAlgorithm"
	}
	if !next(&outer, &sig, asn1.BIT_STRING) || len(sig) < 1 || !outer.Empty() {
		return "signature"
	}
	c.Raw, c.RawTBS, c.Algorithm, c.Signature = der, tbs, alg, signatureOctets(sig)
	return c.parseTBS(tbs)
}

// outerSequence names what is wrong with the frame of a structure that is no DER SEQUENCE.
func outerSequence(der []byte) string {
	const what = "outer SEQUENCE"
	if len(der) < 3 || der[0] != byte(asn1.SEQUENCE) {
		return what
	}
	// DER has the shortest definite lengths alone (X.690, Section 10.1).
	switch n := int(der[1] & 0x7f); {
	case der[1] == 0x80, der[1] > 0x80 && der[2] == 0, der[1] == 0x81 && der[2] < 0x80:
		return what + ": BER, not DER"
	case der[1] < 0x80 && 2+n > len(der), der[1] > 0x80 && 2+n > len(der):
		return what + ": cut short"
	}
	return what
}

// signatureOctets returns the octets of a signature's BIT STRING. One that is not whole
// octets keeps the count of its unused bits, and so verifies with no key.
func signatureOctets(bits []byte) []byte {
	if bits[0] == 0 {
		return bits[1:]
	}
	return bits
}

func (c *Certificate) parseTBS(element cryptobyte.String) (bad string) {
	var tbs, part cryptobyte.String
	var present bool
	next(&element, &tbs, asn1.SEQUENCE)
	c.Version = 1
	c.PathLen, c.RequireExplicit, c.InhibitMapping, c.InhibitAny = -1, -1, -1, -1
	if tbs.PeekASN1Tag(asn1.Tag(0).ContextSpecific().Constructed()) {
		var v cryptobyte.String
		if !tbs.ReadASN1(&part, asn1.Tag(0).ContextSpecific().Constructed()) || !next(&part, &v, asn1.INTEGER) || !part.Empty() || len(v) != 1 || v[0] > 2 {
			return "version"
		}
		c.Version = int(v[0]) + 1
	}
	if !next(&tbs, &part, asn1.INTEGER) || len(part) == 0 {
		return "serialNumber"
	}
	c.Serial = part
	if !tbs.ReadASN1Element(&part, asn1.SEQUENCE) {
		return "signature algorithm"
	}
	c.InnerAlgorithm = part
	if !tbs.ReadASN1Element(&part, asn1.SEQUENCE) {
		return "issuer"
	}
	c.RawIssuer = part
	if !next(&tbs, &part, asn1.SEQUENCE) || !readTime(&part, &c.NotBefore) || !readTime(&part, &c.NotAfter) || !part.Empty() {
		return "validity"
	}
	if !tbs.ReadASN1Element(&part, asn1.SEQUENCE) {
		return "subject"
	}
	c.RawSubject = part
	if !tbs.ReadASN1Element(&part, asn1.SEQUENCE) {
		return "subjectPublicKeyInfo"
	}
	c.SPKI = part
	var spki, alg, id cryptobyte.String
	if !next(&part, &spki, asn1.SEQUENCE) || !next(&spki, &alg, asn1.SEQUENCE) || !next(&alg, &id, asn1.OBJECT_IDENTIFIER) ||
		!spki.SkipASN1(asn1.BIT_STRING) || !spki.Empty() {
		return "subjectPublicKeyInfo"
	}
	c.KeyAlgorithm = id
	for _, n := range []asn1.Tag{1, 2} {
		if !tbs.SkipOptionalASN1(n.ContextSpecific()) {
			return "unique identifier"
		}
	}
	if !tbs.ReadOptionalASN1(&part, &present, asn1.Tag(3).ContextSpecific().Constructed()) || !tbs.Empty() {
		return "extensions"
	}
	if present {
		if !part.ReadASN1(&c.ext, asn1.SEQUENCE) || !part.Empty() || c.ext.Empty() {
			return "extensions"
		}
		rest := c.ext
		for n := 0; !rest.Empty(); n++ {
			var e Extension
			if n == maxExtensions || !readExtension(&rest, &e) {
				return "extensions"
			}
			c.decode(&e, n)
		}
	}
	var ok bool
	if c.Issuer, ok = Canonical(c.RawIssuer); !ok {
		return "issuer"
	}
	if bytes.Equal(c.RawIssuer, c.RawSubject) {
		c.Subject = c.Issuer
	} else if c.Subject, ok = Canonical(c.RawSubject); !ok {
		return "subject"
	}
	return ""
}

// An Extension is one extension as it stands.
//
//	Extension ::= SEQUENCE {
//	     extnID      OBJECT IDENTIFIER,
//	     critical    BOOLEAN DEFAULT FALSE,
//	     extnValue   OCTET STRING }
type Extension struct {
	ID       []byte // content octets
	Critical bool
	Value    []byte
}

// Extensions yields every extension in order.
func (c *Certificate) Extensions(yield func(Extension) bool) { eachExtension(c.ext, yield) }

func eachExtension(list cryptobyte.String, yield func(Extension) bool) {
	for !list.Empty() {
		var e Extension
		if !readExtension(&list, &e) || !yield(e) {
			return
		}
	}
}

func readExtension(list *cryptobyte.String, e *Extension) bool {
	var seq, id, value cryptobyte.String
	if !next(list, &seq, asn1.SEQUENCE) || !next(&seq, &id, asn1.OBJECT_IDENTIFIER) {
		return false
	}
	*e = Extension{ID: id}
	if seq.PeekASN1Tag(asn1.BOOLEAN) {
		var b cryptobyte.String
		// QUIRK: some issuers write TRUE as 1 and spell out the default FALSE.
		if !next(&seq, &b, asn1.BOOLEAN) || len(b) != 1 {
			return false
		}
		e.Critical = b[0] != 0
	}
	if !next(&seq, &value, asn1.OCTET_STRING) || !seq.Empty() {
		return false
	}
	e.Value = value
	return true
}

// SelfIssued reports whether issuer and subject are the same name.
func (c *Certificate) SelfIssued() bool { return c.Issuer == c.Subject }

// SameSerial compares two INTEGER contents as numbers, ignoring padding.
func SameSerial(a, b []byte) bool { return bytes.Equal(TrimSerial(a), TrimSerial(b)) }

// TrimSerial returns the shortest content octets of the same INTEGER.
func TrimSerial(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}

// OID returns the content of the object identifier that leads an AlgorithmIdentifier.
func OID(algorithm []byte) []byte {
	s, seq, id := cryptobyte.String(algorithm), cryptobyte.String(nil), cryptobyte.String(nil)
	if !next(&s, &seq, asn1.SEQUENCE) || !next(&seq, &id, asn1.OBJECT_IDENTIFIER) {
		return nil
	}
	return id
}

// CurveID returns the identifier of the named curve of an EC key in a
// SubjectPublicKeyInfo; nil if the curve is given by parameters.
func CurveID(spki []byte) []byte {
	s := cryptobyte.String(spki)
	var body, alg, id cryptobyte.String
	if !next(&s, &body, asn1.SEQUENCE) || !next(&body, &alg, asn1.SEQUENCE) || !alg.SkipASN1(asn1.OBJECT_IDENTIFIER) || !next(&alg, &id, asn1.OBJECT_IDENTIFIER) {
		return nil
	}
	return id
}

// RSABits returns the size of the modulus of an RSA key in a SubjectPublicKeyInfo, 0 for
// other keys. It is for asking before anything is computed with the key.
func RSABits(spki []byte) int {
	s := cryptobyte.String(spki)
	var body, alg, key, n cryptobyte.String
	if !next(&s, &body, asn1.SEQUENCE) || !body.ReadASN1Element(&alg, asn1.SEQUENCE) || !next(&body, &key, asn1.BIT_STRING) || len(key) == 0 {
		return 0
	}
	switch oid.OID(OID(alg)) {
	case oid.RSA, oid.RSAPSS, oid.RSAOAEP:
	default:
		return 0
	}
	key = key[1:]
	if !next(&key, &body, asn1.SEQUENCE) || !next(&body, &n, asn1.INTEGER) {
		return 0
	}
	if n = TrimSerial(n); len(n) > 1 && n[0] == 0 {
		n = n[1:]
	}
	if len(n) == 0 {
		return 0
	}
	return 8*(len(n)-1) + bits.Len8(n[0])
}
