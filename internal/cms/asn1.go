package cms

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// The types of RFC 5652 that several content types share. Reading works on elements that
// ber.Reader.Element has given the framing of DER; the functions named read... consume an
// element from a cryptobyte.String and return false if it is not what they expect.

// An AlgorithmIdentifier is read from
//
//	AlgorithmIdentifier ::= SEQUENCE {
//	  algorithm  OBJECT IDENTIFIER,
//	  parameters ANY DEFINED BY algorithm OPTIONAL }
type AlgorithmIdentifier struct {
	OID        oid.OID
	Parameters []byte // DER of the parameters, nil if absent
	Raw        []byte // DER of the whole
}

// NoParameters reports whether the parameters are absent or NULL.
func (a AlgorithmIdentifier) NoParameters() bool {
	return a.Parameters == nil || bytes.Equal(a.Parameters, []byte{5, 0})
}

func readAlgorithm(s *cryptobyte.String, a *AlgorithmIdentifier) bool {
	var raw, body cryptobyte.String
	if !s.ReadASN1Element(&raw, casn1.SEQUENCE) {
		return false
	}
	a.Raw = raw
	if !raw.ReadASN1(&body, casn1.SEQUENCE) || !readOID(&body, &a.OID) {
		return false
	}
	a.Parameters = nil
	if !body.Empty() {
		var p cryptobyte.String
		if !body.ReadAnyASN1Element(&p, nil) {
			return false
		}
		a.Parameters = p
	}
	return body.Empty()
}

// addAlgorithm writes an AlgorithmIdentifier; parameters is DER, or nil to leave them out.
func addAlgorithm(b *cryptobyte.Builder, algorithm oid.OID, parameters []byte) {
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addOID(b, algorithm)
		b.AddBytes(parameters)
	})
}

// An Attribute is read from
//
//	Attribute ::= SEQUENCE {
//	  attrType   OBJECT IDENTIFIER,
//	  attrValues SET OF AttributeValue }
type Attribute struct {
	Type   oid.OID
	Values [][]byte // DER of each value
}

// parseAttributes reads the elements of a SET OF Attribute, without the tag and length of
// the SET, as signed, unsigned, authenticated and unprotected attributes have it.
func parseAttributes(s cryptobyte.String) ([]Attribute, error) {
	var out []Attribute
	for !s.Empty() {
		if len(out) == limits.Attributes {
			return nil, &limits.Exceeded{What: "attributes", Max: limits.Attributes}
		}
		var a Attribute
		var body, values, value cryptobyte.String
		if !s.ReadASN1(&body, casn1.SEQUENCE) || !readOID(&body, &a.Type) ||
			!body.ReadASN1(&values, casn1.SET) || !body.Empty() {
			return nil, malformed(0, "Attribute")
		}
		for !values.Empty() {
			if len(a.Values) == limits.Attributes {
				return nil, &limits.Exceeded{What: "values of one attribute", Max: limits.Attributes}
			}
			if !values.ReadAnyASN1Element(&value, nil) {
				return nil, malformed(0, "AttributeValue")
			}
			a.Values = append(a.Values, value)
		}
		out = append(out, a)
	}
	return out, nil
}

func addAttribute(b *cryptobyte.Builder, t oid.OID, value func(*cryptobyte.Builder)) {
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addOID(b, t)
		b.AddASN1(casn1.SET, value)
	})
}

// An IssuerAndSerialNumber is read from
//
//	IssuerAndSerialNumber ::= SEQUENCE {
//	  issuer       Name,
//	  serialNumber INTEGER }
type IssuerAndSerialNumber struct {
	RawIssuer []byte // DER of the Name
	Serial    *big.Int
}

func readIssuerAndSerial(s *cryptobyte.String, v *IssuerAndSerialNumber) bool {
	var body, issuer cryptobyte.String
	if !s.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1Element(&issuer, casn1.SEQUENCE) {
		return false
	}
	v.RawIssuer = issuer
	return readInteger(&body, &v.Serial) && body.Empty()
}

func (v *IssuerAndSerialNumber) add(b *cryptobyte.Builder) {
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(v.RawIssuer)
		b.AddASN1BigInt(v.Serial)
	})
}

// A CertificateID says which certificate a signer or recipient means. It is read from
//
//	SignerIdentifier ::= CHOICE {
//	  issuerAndSerialNumber IssuerAndSerialNumber,
//	  subjectKeyIdentifier  [0] SubjectKeyIdentifier }
//
// and from RecipientIdentifier, which has the same alternatives. If KeyID is nil, the
// other two fields are set.
type CertificateID struct {
	IssuerAndSerialNumber
	KeyID []byte
}

// NewCertificateID names cert by its subject key identifier if keyID is set and cert has
// one, and by issuer and serial number otherwise.
func NewCertificateID(cert *x509.Certificate, keyID bool) CertificateID {
	if keyID && len(cert.SubjectKeyId) > 0 {
		return CertificateID{KeyID: cert.SubjectKeyId}
	}
	return CertificateID{IssuerAndSerialNumber: IssuerAndSerialNumber{RawIssuer: cert.RawIssuer, Serial: cert.SerialNumber}}
}

// Matches reports whether cert is the certificate that id names. Issuer names are equal if
// their encodings are, or else by RFC 5280, Section 7.1. For a certificate without subject
// key identifier, it is computed from the public key.
func (id CertificateID) Matches(cert *x509.Certificate) bool {
	switch {
	case id.KeyID == nil:
		return id.Serial != nil && cert.SerialNumber != nil && id.Serial.Cmp(cert.SerialNumber) == 0 &&
			pkix.SameName(id.RawIssuer, cert.RawIssuer)
	case len(cert.SubjectKeyId) > 0:
		return bytes.Equal(id.KeyID, cert.SubjectKeyId)
	}
	for _, computed := range pkix.KeyIdentifiers(cert.RawSubjectPublicKeyInfo) {
		if bytes.Equal(id.KeyID, computed) {
			return true
		}
	}
	return false
}

// Compares reports whether [CertificateID.Matches] has to compare two names that are not the
// same octets, which takes long: who asks about many certificates has to bound it.
func (id CertificateID) Compares(cert *x509.Certificate) bool {
	return id.Serial != nil && cert.SerialNumber != nil && id.Serial.Cmp(cert.SerialNumber) == 0 &&
		!bytes.Equal(id.RawIssuer, cert.RawIssuer)
}

// String returns the identifier in a form for people and logs: "serial 1a2b" or "key 3c4d",
// in hexadecimal.
func (id CertificateID) String() string {
	switch {
	case id.KeyID != nil:
		return "key " + hex.EncodeToString(id.KeyID)
	case id.Serial != nil:
		return "serial " + id.Serial.Text(16)
	}
	return "nobody"
}

func readCertificateID(s *cryptobyte.String, id *CertificateID) bool {
	if s.PeekASN1Tag(casn1.SEQUENCE) {
		return readIssuerAndSerial(s, &id.IssuerAndSerialNumber)
	}
	var key cryptobyte.String
	if !s.ReadASN1(&key, casn1.Tag(0).ContextSpecific()) || len(key) == 0 {
		return false
	}
	id.KeyID = key
	return true
}

func (id CertificateID) add(b *cryptobyte.Builder) {
	if id.KeyID == nil {
		id.IssuerAndSerialNumber.add(b)
		return
	}
	b.AddASN1(casn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(id.KeyID) })
}

// readOID reads an OBJECT IDENTIFIER.
func readOID(s *cryptobyte.String, v *oid.OID) bool {
	var b cryptobyte.String
	if !s.ReadASN1(&b, casn1.OBJECT_IDENTIFIER) || len(b) > limits.OIDLength {
		return false
	}
	*v = oid.OID(b)
	return v.Valid()
}

func addOID(b *cryptobyte.Builder, v oid.OID) {
	b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(v)) })
}

// readInteger reads an INTEGER of any size and sign. Encodings that are longer than need
// be are taken: old serial numbers have them.
func readInteger(s *cryptobyte.String, v **big.Int) bool {
	var b cryptobyte.String
	if !s.ReadASN1(&b, casn1.INTEGER) || len(b) == 0 {
		return false
	}
	n := new(big.Int).SetBytes(b)
	if b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	*v = n
	return true
}

// nextOID consumes an OBJECT IDENTIFIER from r; what names it in the error.
func nextOID(r *ber.Reader, what string) (oid.OID, error) {
	offset := r.Offset()
	b, err := r.Element(limits.OIDLength + 8)
	if err != nil {
		return "", err
	}
	var v oid.OID
	if s := cryptobyte.String(b); !readOID(&s, &v) {
		return "", malformed(offset, what)
	}
	return v, nil
}

// nextVersion consumes a CMSVersion from r. Its value is of no use: senders get it wrong,
// and every structure says by its tags what it holds.
func nextVersion(r *ber.Reader) error {
	offset := r.Offset()
	b, err := r.Element(16)
	if err != nil {
		return err
	}
	var version int
	if s := cryptobyte.String(b); !s.ReadASN1Integer(&version) {
		return malformed(offset, "version")
	}
	return nil
}

// nextAlgorithm consumes an AlgorithmIdentifier from r; what names it in the error.
func nextAlgorithm(r *ber.Reader, what string) (AlgorithmIdentifier, error) {
	offset := r.Offset()
	b, err := r.Element(limits.AttributeSize)
	if err != nil {
		return AlgorithmIdentifier{}, err
	}
	var a AlgorithmIdentifier
	if s := cryptobyte.String(b); !readAlgorithm(&s, &a) {
		return AlgorithmIdentifier{}, malformed(offset, what)
	}
	return a, nil
}
