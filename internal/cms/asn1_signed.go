package cms

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// signerInfoSize bounds a SignerInfo: it is made of its attributes.
const signerInfoSize = limits.Attributes * limits.AttributeSize

// parseSignerInfo reads
//
//	SignerInfo ::= SEQUENCE {
//	  version            CMSVersion,
//	  sid                SignerIdentifier,
//	  digestAlgorithm    DigestAlgorithmIdentifier,
//	  signedAttrs        [0] IMPLICIT SignedAttributes OPTIONAL,
//	  signatureAlgorithm SignatureAlgorithmIdentifier,
//	  signature          SignatureValue,
//	  unsignedAttrs      [1] IMPLICIT UnsignedAttributes OPTIONAL }
//
// from the octets as received.
func parseSignerInfo(raw []byte) (*SignerInfo, error) {
	r := ber.NewBytesReader(raw)
	si := new(SignerInfo)
	if err := r.Enter(ber.Sequence); err != nil {
		return nil, err
	}
	if err := nextVersion(r); err != nil {
		return nil, err
	}
	offset := r.Offset()
	sid, err := r.Element(limits.AttributeSize)
	if err != nil {
		return nil, err
	}
	if s := cryptobyte.String(sid); !readCertificateID(&s, &si.id) {
		return nil, malformed(offset, "signer identifier")
	}
	if si.digestAlgorithm, err = nextAlgorithm(r, "digestAlgorithm"); err != nil {
		return nil, err
	}
	if h, err := r.Peek(); err == nil && h.Tag == ber.Context(0) && h.Constructed {
		if si.signedAttrs, err = r.Raw(signerInfoSize); err != nil {
			return nil, err
		}
		var limit *limits.Exceeded // any other error is one of this signer alone
		if _, _, _, err := signedOctets(si.signedAttrs); errors.As(err, &limit) {
			return nil, err
		}
	}
	if si.signatureAlgorithm, err = nextAlgorithm(r, "signatureAlgorithm"); err != nil {
		return nil, err
	}
	signature, err := r.Octets(ber.OctetString)
	if err != nil {
		return nil, err
	}
	if si.signature, err = io.ReadAll(signature); err != nil {
		return nil, err
	}
	if h, err := r.Peek(); err == nil && h.Tag == ber.Context(1) && h.Constructed {
		b, err := r.Element(signerInfoSize)
		if err != nil {
			return nil, err
		}
		if si.unsigned, err = parseAttributeSet(b); err != nil {
			return nil, err
		}
	}
	if err := r.Leave(); err != nil {
		return nil, err
	}
	return si, r.End()
}

// parseAttributeSet reads a SET OF Attribute with DER framing, under whatever tag.
func parseAttributeSet(b []byte) (attributeSet, error) {
	in := cryptobyte.String(b)
	var body cryptobyte.String
	var tag casn1.Tag
	if !in.ReadAnyASN1(&body, &tag) || !in.Empty() {
		return nil, malformed(0, "attributes")
	}
	return parseAttributes(body)
}

// signedOctets returns what a signature over the signed attributes covers (RFC 5652,
// Section 5.4): first as received, with the tag of a SET; and if that is not DER, second
// their DER. The parsed attributes are those of the DER.
func signedOctets(raw []byte) (received, der []byte, attrs attributeSet, err error) {
	received = bytes.Clone(raw)
	received[0] = 0x31
	framed, err := ber.ToDER(received, signerInfoSize)
	if err != nil {
		return nil, nil, nil, err
	}
	if attrs, err = parseAttributeSet(framed); err != nil {
		return nil, nil, nil, err
	}
	for _, a := range attrs {
		size := 0
		for _, v := range a.Values {
			size += len(v)
		}
		if size > limits.AttributeSize {
			return nil, nil, nil, &limits.Exceeded{What: "octets in an attribute", Max: limits.AttributeSize}
		}
	}
	if der = attrs.der(); bytes.Equal(der, received) {
		der = nil
	}
	return received, der, attrs, nil
}

// der returns the SET OF Attribute with its elements, and those of the sets of values, in
// the order of DER (X.690, Section 11.6).
func (s attributeSet) der() []byte {
	var all [][]byte
	for _, a := range s {
		var b cryptobyte.Builder
		addAttribute(&b, a.Type, func(b *cryptobyte.Builder) {
			for _, v := range slices.SortedFunc(slices.Values(a.Values), bytes.Compare) {
				b.AddBytes(v)
			}
		})
		all = append(all, b.BytesOrPanic())
	}
	slices.SortFunc(all, bytes.Compare)
	var b cryptobyte.Builder
	b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
		for _, a := range all {
			b.AddBytes(a)
		}
	})
	return b.BytesOrPanic()
}

// nextRevocationInfo consumes one of
//
//	RevocationInfoChoice ::= CHOICE {
//	  crl   CertificateList,
//	  other [1] IMPLICIT OtherRevocationInfoFormat }
//
//	OtherRevocationInfoFormat ::= SEQUENCE {
//	  otherRevInfoFormat OBJECT IDENTIFIER,
//	  otherRevInfo       ANY DEFINED BY otherRevInfoFormat }
//
// and returns a CRL or an OCSP response (RFC 5940, Section 2.1) as received, or neither if
// it is something else.
func nextRevocationInfo(r *ber.Reader, tag ber.Tag, max int64) (crl, ocsp []byte, err error) {
	switch tag {
	case ber.Sequence:
		crl, err = r.Raw(max)
		return crl, nil, err
	case ber.Context(1):
		if err := r.Enter(tag); err != nil {
			return nil, nil, err
		}
		format, err := nextOID(r, "otherRevInfoFormat")
		if err != nil {
			return nil, nil, err
		}
		if format == oid.RevocationInfoOCSP {
			ocsp, err = r.Raw(max)
		} else {
			err = r.Skip()
		}
		if err != nil {
			return nil, nil, err
		}
		return nil, ocsp, r.Leave()
	}
	return nil, nil, r.Skip()
}
