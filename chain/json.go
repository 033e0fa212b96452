package chain

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"

	"github.com/postseal/postseal/internal/pkix"
)

type jsonCertificate struct {
	Subject string `json:"subject"`
	SHA256  string `json:"sha256"`
}

type jsonFinding struct {
	Code      string `json:"code"`
	Severity  string `json:"severity"`
	Cert      string `json:"cert,omitempty"`
	Reference string `json:"reference,omitempty"`
	Detail    string `json:"detail,omitempty"`
}

type jsonReport struct {
	Verdict  Verdict           `json:"verdict"`
	Codes    []string          `json:"codes"`
	Warnings []string          `json:"warnings,omitempty"`
	Path     []jsonCertificate `json:"path"`
	Policies *[]string         `json:"valid_policies,omitempty"`
	Detail   string            `json:"detail,omitempty"`
	Findings []jsonFinding     `json:"findings,omitempty"`
}

// MarshalJSON writes the report as one object with the fields verdict, codes, warnings,
// path (a list of subject and sha256, leaf first), valid_policies (if valid), detail and
// findings (code, severity, cert, reference, detail). Certificates are named by the
// SHA-256 of their DER in hexadecimal.
func (r *Report) MarshalJSON() ([]byte, error) {
	j := jsonReport{Verdict: r.Verdict, Codes: r.Codes, Warnings: r.Warnings, Path: []jsonCertificate{}, Detail: r.Detail}
	if j.Codes == nil {
		j.Codes = []string{}
	}
	for _, c := range r.Certificates {
		j.Path = append(j.Path, jsonCertificate{pkix.NameString(c.RawSubject), thumbprint(c)})
	}
	if r.Verdict == valid {
		policies := append([]string{}, r.Policies...)
		j.Policies = &policies
	}
	for _, f := range r.Findings {
		jf := jsonFinding{f.Code, f.Severity, "", f.Reference, f.Detail}
		if f.Certificate != nil {
			jf.Cert = thumbprint(f.Certificate)
		}
		j.Findings = append(j.Findings, jf)
	}
	return json.Marshal(j)
}

func thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}
