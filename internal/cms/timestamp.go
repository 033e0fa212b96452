package cms

import (
	"bytes"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"io"
	"iter"
	"math/big"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// A Timestamp is a token of a time-stamping authority over the signature value of a
// SignerInfo (RFC 3161, Appendix A). If its own signature and certificate hold, the
// signature existed at Time, give or take Accuracy.
type Timestamp struct {
	Time     time.Time
	Accuracy time.Duration // zero if the authority does not say
	Policy   oid.OID
	Serial   *big.Int
	// SignedData is the token; its certificates and CRLs serve to judge the authority. It
	// is nil if the token could not be read; then Verify says so.
	SignedData *SignedData

	hash    AlgorithmIdentifier
	imprint []byte
	covered []byte
	err     error
}

// Timestamps reads the time-stamp tokens of si, which travel in an unsigned attribute:
// anybody can add one or take it away. A token that cannot be read stands in the list with
// the others. The error is that there are more than limits.SignerInfos.
func (si *SignerInfo) Timestamps() ([]*Timestamp, error) {
	var out []*Timestamp
	for v := range si.unsignedValues(oid.TimeStampToken) {
		if len(out) == limits.SignerInfos {
			return out, &limits.Exceeded{What: "time stamps", Max: limits.SignerInfos}
		}
		t, err := readTimestamp(v)
		if err != nil {
			t = &Timestamp{err: err}
		}
		t.covered = si.signature
		out = append(out, t)
	}
	return out, nil
}

// unsignedValues yields the values of the unsigned attributes of type t.
func (si *SignerInfo) unsignedValues(t oid.OID) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, a := range si.unsigned {
			for _, v := range a.Values {
				if a.Type == t && !yield(v) {
					return
				}
			}
		}
	}
}

// readTimestamp reads a TimeStampToken, a ContentInfo with SignedData around a TSTInfo.
func readTimestamp(token []byte) (*Timestamp, error) {
	c, err := Open(bytes.NewReader(token))
	if err != nil {
		return nil, err
	}
	sd, ok := c.(*SignedData)
	if !ok || sd.EContentType() != oid.TSTInfo {
		return nil, &UnsupportedError{What: "type of time-stamp token", OID: c.Type()}
	}
	// The announced digests need not be those the authority uses (threats.md, A12).
	sd.Compute(sigalg.SHA256, sigalg.SHA384, sigalg.SHA512)
	info, err := io.ReadAll(io.LimitReader(sd, limits.AttributeSize))
	if err != nil {
		return nil, err
	}
	if err := sd.Finish(); err != nil {
		return nil, err
	}
	t := &Timestamp{SignedData: sd}
	return t, parseTSTInfo(info, t)
}

// Signer returns the SignerInfo of the authority, to find its certificate, or nil if the
// token has not exactly one (RFC 3161, Section 2.4.2).
func (t *Timestamp) Signer() *SignerInfo {
	if t.SignedData == nil {
		return nil
	}
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
	if _, ok := errors.AsType[*UnsupportedError](t.err); ok {
		return &SignatureResult{State: "unsupported", Codes: []string{"cms.unsupported"}}
	}
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
