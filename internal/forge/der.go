package forge

import (
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
)

// Build returns what f writes. It panics if that cannot be encoded.
func Build(f func(*cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	f(&b)
	return b.BytesOrPanic()
}

// Element returns the elements, in the order given, under the tag.
func Element(tag casn1.Tag, elements ...[]byte) []byte {
	return Build(func(b *cryptobyte.Builder) {
		b.AddASN1(tag, func(b *cryptobyte.Builder) {
			for _, e := range elements {
				b.AddBytes(e)
			}
		})
	})
}

// Sequence returns the elements in a SEQUENCE.
func Sequence(elements ...[]byte) []byte { return Element(casn1.SEQUENCE, elements...) }

// Set returns the elements in a SET, in the order given.
func Set(elements ...[]byte) []byte { return Element(casn1.SET, elements...) }

// Tagged returns the elements under the constructed context tag [n].
func Tagged(n uint8, elements ...[]byte) []byte {
	return Element(casn1.Tag(n).ContextSpecific().Constructed(), elements...)
}

// Octets returns an OCTET STRING.
func Octets(v []byte) []byte { return Element(casn1.OCTET_STRING, v) }

// Integer returns an INTEGER.
func Integer(n int64) []byte {
	return Build(func(b *cryptobyte.Builder) { b.AddASN1Int64(n) })
}

// BigInteger returns an INTEGER of any size.
func BigInteger(n *big.Int) []byte {
	return Build(func(b *cryptobyte.Builder) { b.AddASN1BigInt(n) })
}

// Null returns NULL.
func Null() []byte { return []byte{5, 0} }

// OID returns an OBJECT IDENTIFIER.
func OID(o oid.OID) []byte { return Element(casn1.OBJECT_IDENTIFIER, []byte(o)) }

// Algorithm returns an AlgorithmIdentifier; parameters is DER, or nil to leave them out.
func Algorithm(o oid.OID, parameters []byte) []byte { return Sequence(OID(o), parameters) }

// Attribute returns an Attribute with the values in the order given.
func Attribute(t oid.OID, values ...[]byte) []byte { return Sequence(OID(t), Set(values...)) }

// ContentInfo returns a ContentInfo around the content.
func ContentInfo(t oid.OID, content []byte) []byte { return Sequence(OID(t), Tagged(0, content)) }

// IssuerAndSerial returns an IssuerAndSerialNumber for an encoded name.
func IssuerAndSerial(issuer []byte, serial *big.Int) []byte {
	return Sequence(issuer, BigInteger(serial))
}

// Indefinite returns the DER of a constructed element with an indefinite length instead.
func Indefinite(der []byte) []byte {
	out := append([]byte{der[0], 0x80}, Content(der)...)
	return append(out, 0, 0)
}

// Content returns the content of an element that has a short tag.
func Content(der []byte) []byte {
	s := cryptobyte.String(der)
	var body cryptobyte.String
	if !s.ReadAnyASN1(&body, nil) {
		panic("forge: not an element")
	}
	return body
}

// Nested returns n elements with the given header octets, each inside the one before, and
// no ends: 0x30, 0x80 for sequences of indefinite length.
func Nested(n int, header ...byte) []byte {
	out := make([]byte, 0, n*len(header))
	for range n {
		out = append(out, header...)
	}
	return out
}
