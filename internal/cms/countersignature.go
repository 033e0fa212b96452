package cms

import (
	"crypto/x509"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// A Countersignature is a signature over the signature value of a SignerInfo (RFC 5652,
// Section 11.4). It travels in an unsigned attribute: anybody can add one or take it away,
// and it says nothing about the content.
type Countersignature struct {
	*SignerInfo
	covered []byte
}

// Countersignatures reads the countersignatures of si. Each is a SignerInfo and may have
// countersignatures of its own. One that cannot be read stands in the list with the others,
// without a SignerInfo. The error is that there are more than limits.SignerInfos.
func (si *SignerInfo) Countersignatures() ([]Countersignature, error) {
	var out []Countersignature
	for v := range si.unsignedValues(oid.Countersignature) {
		if len(out) == limits.SignerInfos {
			return out, &limits.Exceeded{What: "countersignatures", Max: limits.SignerInfos}
		}
		inner, err := parseSignerInfo(v)
		if err != nil {
			inner = nil
		}
		out = append(out, Countersignature{inner, si.signature})
	}
	return out, nil
}

// Verify judges the countersignature with the key of cert, as [SignerInfo.Verify] does.
func (c Countersignature) Verify(cert *x509.Certificate, opt VerifyOptions) *SignatureResult {
	if c.SignerInfo == nil {
		return &SignatureResult{State: "invalid", Codes: []string{"cms.malformed"}}
	}
	h, _ := c.DigestAlgorithm()
	d := NewDigests(h)
	d.Write(c.covered)
	return c.verify(cert, "", d, opt)
}
