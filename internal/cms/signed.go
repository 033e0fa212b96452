package cms

import (
	"io"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// SignedData is signed content, or without signers a bag of certificates (RFC 5652,
// Section 5.1). It reads as the content, of which it computes the digests on the way.
// Certificates, CRLs and SignerInfos follow the content on the wire and are there once
// Finish has returned nil. Nothing in it is trusted.
type SignedData struct {
	br       *ber.Reader
	enc      *encapsulated
	digests  *Digests
	finished bool
	err      error

	certificates [][]byte
	crls         [][]byte
	ocsp         [][]byte
	infos        []*SignerInfo
	beside       int64
}

// openSigned reads
//
//	SignedData ::= SEQUENCE {
//	  version          CMSVersion,
//	  digestAlgorithms SET OF DigestAlgorithmIdentifier,
//	  encapContentInfo EncapsulatedContentInfo,
//	  certificates     [0] IMPLICIT CertificateSet OPTIONAL,
//	  crls             [1] IMPLICIT RevocationInfoChoices OPTIONAL,
//	  signerInfos      SET OF SignerInfo }
//
// up to the content.
func openSigned(br *ber.Reader) (*SignedData, error) {
	if err := br.Enter(ber.Sequence); err != nil {
		return nil, err
	}
	if err := nextVersion(br); err != nil {
		return nil, err
	}
	sd := &SignedData{br: br}
	if err := br.Enter(ber.Set); err != nil {
		return nil, err
	}
	var announced []sigalg.Hash
	for n := 0; ; n++ {
		if _, err := br.Peek(); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		if n == limits.SignerInfos {
			return nil, &limits.Exceeded{What: "digest algorithms", Max: limits.SignerInfos}
		}
		a, err := nextAlgorithm(br, "digestAlgorithm")
		if err != nil {
			return nil, err
		}
		// One unknown digest must not hide the signers that use another.
		if h, err := sigalg.ParseHash(a.Raw); err == nil {
			announced = append(announced, h)
		}
	}
	if err := br.Leave(); err != nil {
		return nil, err
	}
	if len(announced) == 0 {
		announced = []sigalg.Hash{sigalg.SHA256, sigalg.SHA384, sigalg.SHA512}
	}
	sd.digests = NewDigests(announced...)
	var err error
	sd.enc, err = openEncapsulated(br)
	return sd, err
}

// Type returns id-signedData.
func (sd *SignedData) Type() oid.OID { return oid.SignedData }

// EContentType returns the type of the content, id-data in mail.
func (sd *SignedData) EContentType() oid.OID { return sd.enc.contentType }

// HasContent reports whether the content is inside, even if it is empty. A detached
// signature has none.
func (sd *SignedData) HasContent() bool { return sd.enc.content != nil }

// Compute adds digests to those the structure announces, which need not be those its
// signers use. It must be called before the first Read.
func (sd *SignedData) Compute(hs ...sigalg.Hash) { sd.digests.add(hs...) }

// Digests returns the digests of the content read so far: all of it after Finish.
func (sd *SignedData) Digests() *Digests { return sd.digests }

// Read implements [Content]. Without content it returns io.EOF.
func (sd *SignedData) Read(p []byte) (int, error) {
	if sd.enc.content == nil {
		return 0, io.EOF
	}
	n, err := sd.enc.content.Read(p)
	sd.digests.Write(p[:n])
	return n, err
}

// WriteTo implements io.WriterTo; the content is not copied on its way to w.
func (sd *SignedData) WriteTo(w io.Writer) (int64, error) {
	if sd.enc.content == nil {
		return 0, nil
	}
	return sd.enc.content.(io.WriterTo).WriteTo(io.MultiWriter(sd.digests, w))
}

// Finish implements [Content].
func (sd *SignedData) Finish() error {
	if !sd.finished {
		sd.finished = true
		sd.err = sd.finish()
	}
	return sd.err
}

// Certificates returns the certificates as received, in the order received. Attribute
// certificates and other kinds are left out.
func (sd *SignedData) Certificates() [][]byte { return sd.certificates }

// CRLs returns the certificate revocation lists as received.
func (sd *SignedData) CRLs() [][]byte { return sd.crls }

// OCSPResponses returns the OCSP responses as received (RFC 5940, Section 2.1).
func (sd *SignedData) OCSPResponses() [][]byte { return sd.ocsp }

// SignerInfos returns the signers in the order received. There may be none.
func (sd *SignedData) SignerInfos() []*SignerInfo { return sd.infos }

// Beside returns how many octets of certificates, lists and SignerInfos there are.
func (sd *SignedData) Beside() int64 { return sd.beside }

func (sd *SignedData) finish() error {
	if _, err := sd.WriteTo(io.Discard); err != nil {
		return err
	}
	if err := sd.enc.end(); err != nil {
		return err
	}
	for _, step := range []func() error{sd.readCertificates, sd.readCRLs, sd.readSignerInfos} {
		if err := step(); err != nil {
			return err
		}
	}
	return endContentInfo(sd.br)
}

// readCertificates reads
//
//	CertificateSet ::= SET OF CertificateChoices
//
//	CertificateChoices ::= CHOICE {
//	  certificate         Certificate,
//	  extendedCertificate [0] IMPLICIT ExtendedCertificate,
//	  v1AttrCert          [1] IMPLICIT AttributeCertificateV1,
//	  v2AttrCert          [2] IMPLICIT AttributeCertificateV2,
//	  other               [3] IMPLICIT OtherCertificateFormat }
//
// if it is there.
func (sd *SignedData) readCertificates() error {
	room := int64(limits.Element)
	return sd.set(ber.Context(0), true, limits.Certificates, "certificates", func(t ber.Tag) error {
		if t != ber.Sequence {
			return sd.br.Skip()
		}
		c, err := sd.br.Raw(min(limits.CertificateSize, room))
		sd.certificates = append(sd.certificates, c)
		room -= int64(len(c))
		sd.beside += int64(len(c))
		return err
	})
}

// readCRLs reads RevocationInfoChoices ::= SET OF RevocationInfoChoice, if it is there.
func (sd *SignedData) readCRLs() error {
	room := int64(limits.CRLSize)
	return sd.set(ber.Context(1), true, limits.CRLs, "CRLs", func(t ber.Tag) error {
		crl, ocsp, err := nextRevocationInfo(sd.br, t, room)
		if crl != nil {
			sd.crls = append(sd.crls, crl)
		}
		if ocsp != nil {
			sd.ocsp = append(sd.ocsp, ocsp)
		}
		room -= int64(len(crl) + len(ocsp))
		sd.beside += int64(len(crl) + len(ocsp))
		return err
	})
}

func (sd *SignedData) readSignerInfos() error {
	room := int64(limits.Element)
	return sd.set(ber.Set, false, limits.SignerInfos, "SignerInfos", func(ber.Tag) error {
		offset := sd.br.Offset()
		raw, err := sd.br.Raw(min(signerInfoSize, room))
		if err != nil {
			return err
		}
		room -= int64(len(raw))
		sd.beside += int64(len(raw))
		si, err := parseSignerInfo(raw)
		if err != nil {
			return relocate(err, offset)
		}
		sd.infos = append(sd.infos, si)
		return nil
	})
}

// set reads the elements of a SET OF under the tag t, at most max of them.
func (sd *SignedData) set(t ber.Tag, optional bool, max int, what string, element func(ber.Tag) error) error {
	br := sd.br
	h, err := br.Peek()
	if optional && (err == io.EOF || err == nil && h.Tag != t) {
		return nil
	}
	if err := br.Enter(t); err != nil {
		return err
	}
	for n := 0; ; n++ {
		h, err := br.Peek()
		if err == io.EOF {
			return br.Leave()
		}
		if err != nil {
			return err
		}
		if n == max {
			return &limits.Exceeded{What: what, Max: int64(max)}
		}
		if err := element(h.Tag); err != nil {
			return err
		}
	}
}

// relocate moves a syntax error inside a part of the input to where it is in the whole.
func relocate(err error, offset int64) error {
	if e, ok := err.(*SyntaxError); ok {
		return &SyntaxError{Offset: e.Offset + offset, What: e.What, Err: e.Err}
	}
	return err
}
