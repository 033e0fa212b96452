package cms

import (
	"bytes"
	"crypto/subtle"
	"crypto/x509"
	"io"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// A Timestamp is a token of a time-stamping authority over the signature value of a
// SignerInfo (RFC 3161, Appendix A). If its own signature and certificate hold, the
// signature existed at Time.
type Timestamp struct {
	Time   time.Time
	Policy oid.OID
	Serial *big.Int
	// SignedData is the token; its certificates and CRLs serve to judge the authority.
	SignedData *SignedData

	hash    AlgorithmIdentifier
	imprint []byte
	covered []byte
}

// Timestamps reads the time-stamp tokens of si. They travel in an unsigned attribute.
func (si *SignerInfo) Timestamps() ([]*Timestamp, error) {
	var out []*Timestamp
	for _, a := range si.unsigned {
		if a.Type != oid.TimeStampToken {
			continue
		}
		for _, v := range a.Values {
			if len(out) == limits.SignerInfos {
				return nil, &limits.Exceeded{What: "time stamps", Max: limits.SignerInfos}
			}
			t, err := readTimestamp(v)
			if err != nil {
				return nil, err
			}
			t.covered = si.signature
			out = append(out, t)
		}
	}
	return out, nil
}

// readTimestamp reads a TimeStampToken, a ContentInfo with SignedData, whose content is
//
//	TSTInfo ::= SEQUENCE {
//	  version        INTEGER,
//	  policy         TSAPolicyId,
//	  messageImprint MessageImprint,
//	  serialNumber   INTEGER,
//	  genTime        GeneralizedTime,
//	  accuracy       Accuracy OPTIONAL,
//	  ordering       BOOLEAN DEFAULT FALSE,
//	  nonce          INTEGER OPTIONAL,
//	  tsa            [0] GeneralName OPTIONAL,
//	  extensions     [1] IMPLICIT Extensions OPTIONAL }
//
//	MessageImprint ::= SEQUENCE {
//	  hashAlgorithm AlgorithmIdentifier,
//	  hashedMessage OCTET STRING }
//
// (RFC 3161, Section 2.4.2). What follows genTime is not needed.
func readTimestamp(token []byte) (*Timestamp, error) {
	c, err := Open(bytes.NewReader(token))
	if err != nil {
		return nil, err
	}
	sd, ok := c.(*SignedData)
	if !ok || sd.EContentType() != oid.TSTInfo {
		return nil, &UnsupportedError{What: "type of time-stamp token", OID: c.Type()}
	}
	info, err := io.ReadAll(io.LimitReader(sd, limits.AttributeSize))
	if err != nil {
		return nil, err
	}
	if err := sd.Finish(); err != nil {
		return nil, err
	}
	t := &Timestamp{SignedData: sd}
	in := cryptobyte.String(info)
	var body, imprint, hashed, when cryptobyte.String
	var version int
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !in.Empty() || !body.ReadASN1Integer(&version) || version != 1 ||
		!readOID(&body, &t.Policy) || !body.ReadASN1(&imprint, casn1.SEQUENCE) ||
		!readAlgorithm(&imprint, &t.hash) || !imprint.ReadASN1(&hashed, casn1.OCTET_STRING) || !imprint.Empty() ||
		!readInteger(&body, &t.Serial) || !body.ReadASN1(&when, casn1.GeneralizedTime) {
		return nil, malformed(0, "TSTInfo")
	}
	// RFC 3161, Section 2.4.2: with a fraction of a second, unlike other times.
	if t.Time, err = time.Parse("20060102150405.999999999Z", string(when)); err != nil {
		return nil, malformed(0, "genTime")
	}
	t.imprint = hashed
	return t, nil
}

// Signer returns the SignerInfo of the authority, to find its certificate, or nil if the
// token has not exactly one (RFC 3161, Section 2.4.2).
func (t *Timestamp) Signer() *SignerInfo {
	if infos := t.SignedData.SignerInfos(); len(infos) == 1 {
		return infos[0]
	}
	return nil
}

// Verify judges the token with the key of cert: that the authority signed it, that it
// covers this signature, and that it names cert as RFC 3161 asks. Whether cert is that of
// an authority to be trusted is for the caller to find out.
func (t *Timestamp) Verify(cert *x509.Certificate, opt VerifyOptions) *SignatureResult {
	signer := t.Signer()
	if signer == nil {
		return &SignatureResult{State: "invalid", Codes: []string{"cms.malformed"}}
	}
	r := signer.Verify(cert, oid.TSTInfo, t.SignedData.Digests(), opt)
	h, err := sigalg.ParseHash(t.hash.Raw)
	switch {
	case err != nil:
		r.end("unsupported", "sig.unsupported")
	case h == sigalg.MD5 && !opt.AllowMD5, h == sigalg.SHA1 && !opt.AllowSHA1:
		r.end("unsupported", "alg.weak_hash")
	case subtle.ConstantTimeCompare(h.Sum(t.covered), t.imprint) != 1:
		r.fail("digest.mismatch")
	}
	if r.State == "valid" && !signer.namesItsCertificate() {
		r.fail("attr.signing_certificate")
	}
	return r
}

// namesItsCertificate reports whether a signing certificate attribute is there at all.
func (si *SignerInfo) namesItsCertificate() bool {
	if si.signedAttrs == nil {
		return false
	}
	_, _, attrs, err := signedOctets(si.signedAttrs)
	return err == nil && slices.ContainsFunc(attrs, func(a Attribute) bool {
		return a.Type == oid.SigningCertificate || a.Type == oid.SigningCertificateV2
	})
}
