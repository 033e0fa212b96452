package bundle

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/oid"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// der reads structures one after the other: certificates, CRLs and PKCS#7.
func (r Reader) der(b *Bundle, data []byte, offset int) error {
	in := ber.NewBytesReader(data)
	for {
		h, err := in.Peek()
		if err == io.EOF {
			return nil
		}
		at := offset + int(in.Offset())
		if rest := data[in.Offset():]; in.Offset() > 0 && len(bytes.Trim(rest, "\x00\r\n\x1a")) == 0 {
			return nil // a last line end or padding
		}
		if err != nil || h.Tag != ber.Sequence {
			return r.odd(b, at, errors.New("neither a certificate nor PKCS#7 nor a CRL"))
		}
		begin := in.Offset()
		if err := in.Skip(); err != nil {
			return r.odd(b, at, err)
		}
		if err := r.structure(b, data[begin:in.Offset()], at); err != nil {
			return err
		}
	}
}

// structure reads one structure, which it knows by its first elements.
func (r Reader) structure(b *Bundle, raw []byte, offset int) error {
	in := ber.NewBytesReader(raw)
	if err := in.Enter(ber.Sequence); err != nil {
		return err
	}
	h, err := in.Peek()
	if err != nil {
		return r.odd(b, offset, errors.New("empty structure"))
	}
	switch h.Tag {
	case ber.ObjectIdentifier:
		return r.pkcs7(b, raw, offset)
	case ber.Integer:
		// PFX ::= SEQUENCE { version INTEGER, ... } (RFC 7292, Section 4)
		return r.odd(b, offset, ErrEncrypted)
	}
	if isCRL(raw) {
		return r.crl(b, raw)
	}
	_, err = r.certificate(b, raw, offset)
	return err
}

// isCRL tells a CertificateList from a Certificate: its third or fourth element is a time,
// where a certificate has a name or a validity (RFC 5280, Sections 4.1 and 5.1).
func isCRL(der []byte) bool {
	var list, tbs cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&list, asn1.SEQUENCE) || !list.ReadASN1(&tbs, asn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(asn1.INTEGER) || !tbs.SkipASN1(asn1.SEQUENCE) || !tbs.SkipASN1(asn1.SEQUENCE) {
		return false
	}
	return tbs.PeekASN1Tag(asn1.UTCTime) || tbs.PeekASN1Tag(asn1.GeneralizedTime)
}

// pkcs7 reads the certificates and CRLs of a SignedData, which is how PKCS#7 bundles are
// made; signatures in it, if there are any, are passed over (RFC 5652, Section 5.1).
//
//	SignedData ::= SEQUENCE {
//	  version CMSVersion,
//	  digestAlgorithms DigestAlgorithmIdentifiers,
//	  encapContentInfo EncapsulatedContentInfo,
//	  certificates [0] IMPLICIT CertificateSet OPTIONAL,
//	  crls [1] IMPLICIT RevocationInfoChoices OPTIONAL,
//	  signerInfos SignerInfos }
//
// It does not go through package cms, whose limit of certificates is that of a message.
func (r Reader) pkcs7(b *Bundle, raw []byte, offset int) error {
	if b.Format == "der" {
		b.Format = "pkcs7"
	}
	in := ber.NewBytesReader(raw)
	bad := func(err error) error { return r.odd(b, offset, err) }
	if err := in.Enter(ber.Sequence); err != nil {
		return bad(err)
	}
	id, err := in.Element(64)
	if err != nil {
		return bad(err)
	}
	if t := oid.OID(id[2:]); t != oid.SignedData {
		return bad(fmt.Errorf("PKCS#7 of content type %v holds no certificates", t))
	}
	for _, t := range []ber.Tag{ber.Context(0), ber.Sequence} {
		if err := in.Enter(t); err != nil {
			return bad(err)
		}
	}
	for _, t := range []ber.Tag{ber.Integer, ber.Set, ber.Sequence} {
		if h, err := in.Peek(); err != nil || h.Tag != t {
			return bad(errors.New("not a SignedData"))
		}
		if err := in.Skip(); err != nil {
			return bad(err)
		}
	}
	for {
		h, err := in.Peek()
		if err == io.EOF {
			break
		}
		if err != nil {
			return bad(err)
		}
		switch h.Tag {
		case ber.Context(0), ber.Context(1):
			if err := r.certificateSet(b, in, raw, h.Tag, offset); err != nil {
				return err
			}
		case ber.Set:
			if err := in.Skip(); err != nil {
				return bad(err)
			}
		default:
			return bad(fmt.Errorf("%v in a SignedData", h.Tag))
		}
	}
	for range 3 {
		if err := in.Leave(); err != nil {
			return bad(err)
		}
	}
	return nil
}

// certificateSet reads the certificates of [0] or the CRLs of [1].
func (r Reader) certificateSet(b *Bundle, in *ber.Reader, raw []byte, set ber.Tag, offset int) error {
	bad := func(err error) error {
		return &Error{b.Format, b.elements, offset + int(in.Offset()), err}
	}
	if err := in.Enter(set); err != nil {
		return bad(err)
	}
	for {
		h, err := in.Peek()
		if err == io.EOF {
			break
		}
		if err != nil {
			return bad(err)
		}
		at := in.Offset()
		if err := in.Skip(); err != nil {
			return bad(err)
		}
		element := raw[at:in.Offset()]
		switch {
		case h.Tag == ber.Sequence && set == ber.Context(0):
			_, err = r.certificate(b, element, offset+int(at))
		case h.Tag == ber.Sequence:
			err = r.crl(b, element)
		default:
			err = r.odd(b, offset+int(at), fmt.Errorf("%v in place of a certificate or CRL", h.Tag))
		}
		if err != nil {
			return err
		}
	}
	if err := in.Leave(); err != nil {
		return bad(err)
	}
	return nil
}

// WriteP7B writes certs in their order, each once, as a SignedData without signers
// (RFC 5652, Section 5.1; RFC 8551, Section 3.8).
func WriteP7B(w io.Writer, certs []*x509.Certificate) error {
	_, err := w.Write(cms.CertsOnly(unique(certs), nil))
	return err
}
