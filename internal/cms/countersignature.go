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
// countersignatures of its own.
func (si *SignerInfo) Countersignatures() ([]Countersignature, error) {
	var out []Countersignature
	for _, a := range si.unsigned {
		if a.Type != oid.Countersignature {
			continue
		}
		for _, v := range a.Values {
			if len(out) == limits.SignerInfos {
				return nil, &limits.Exceeded{What: "countersignatures", Max: limits.SignerInfos}
			}
			inner, err := parseSignerInfo(v)
			if err != nil {
				return nil, err
			}
			out = append(out, Countersignature{inner, si.signature})
		}
	}
	return out, nil
}

// Verify judges the countersignature with the key of cert, as [SignerInfo.Verify] does.
func (c Countersignature) Verify(cert *x509.Certificate, opt VerifyOptions) *SignatureResult {
	h, _ := c.DigestAlgorithm()
	d := NewDigests(h)
	d.Write(c.covered)
	return c.verify(cert, "", d, opt)
}
