package smime

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/sigalg"
)

// What stands beside a signature without being covered by it: time stamps and
// countersignatures. Anybody can add one or take it away, so neither can make a message
// worse, and only a time stamp of an authority that leads to an anchor can make it better
// (attacks.md, A13 and A15).

// A Timestamp is what a time-stamping authority says about one signature: that it existed
// at a time (RFC 3161, Appendix A). It is evidence only if Crypto and Trust are "valid".
type Timestamp struct {
	Time   time.Time `json:"time,omitzero"` // when the signature existed at the latest
	Crypto string    `json:"crypto"`        // of the token: "valid", "invalid" or "unsupported"
	Trust  string    `json:"trust"`         // of the authority's certificate: "valid", "invalid", "indeterminate" or "not-checked"
	Codes  []string  `json:"codes"`         // why one of the two is not good, and remarks
	// Used says that the signer's certificate was judged as of Time, because it is not
	// good any more.
	Used      bool    `json:"used"`
	Policy    string  `json:"policy,omitempty"`    // of the authority, a dotted OID
	Authority *Signer `json:"authority,omitempty"` // nil if no certificate was found
	// Path is the proof that the authority's certificate was acceptable; nil if it was not.
	Path *chain.Path `json:"-"`
}

// timestamps judges the time stamps of a signature, once.
func (p *pass) timestamps(l *signedLayer, si *cms.SignerInfo) []*Timestamp {
	if list, done := p.stamps[si]; done {
		return list
	}
	tokens, err := si.Timestamps()
	list := make([]*Timestamp, 0, len(tokens))
	for _, token := range tokens {
		list = append(list, p.judgeTimestamp(l, token))
	}
	if err != nil && len(list) > 0 {
		list[len(list)-1].Codes = append(list[len(list)-1].Codes, "limit.timestamps")
	}
	if p.stamps == nil {
		p.stamps = map[*cms.SignerInfo][]*Timestamp{}
	}
	p.stamps[si] = list
	return list
}

// judgeTimestamp asks whether the authority signed this time for this signature, and
// whether it leads to an anchor. The authority is judged for now, whatever time it tells.
func (p *pass) judgeTimestamp(l *signedLayer, token *cms.Timestamp) *Timestamp {
	t := &Timestamp{Crypto: "invalid", Trust: "not-checked", Codes: []string{}, Policy: token.Policy.String()}
	signer := token.Signer()
	if signer == nil {
		r := token.Verify(nil, p.verifyOptions())
		t.Crypto, t.Codes, t.Policy = r.State, append(t.Codes, r.Codes...), ""
		return t
	}
	// The latest time that it may have been, in the whole seconds that chains are judged for.
	t.Time = token.Time.Add(token.Accuracy + time.Second - 1).Truncate(time.Second).UTC()
	inside := &signedLayer{crls: token.SignedData.CRLs(), ocsp: token.SignedData.OCSPResponses()}
	for _, der := range token.SignedData.Certificates() {
		if c, err := pkix.ParseCertificate(der); err == nil {
			inside.bag = append(inside.bag, c)
		}
	}
	inside.bag = append(inside.bag, l.bag...)
	inside.crls = append(inside.crls, l.crls...)
	inside.ocsp = append(inside.ocsp, l.ocsp...)
	s := p.judgeBeside(inside, signer, "time-stamping", func(c *x509.Certificate) *cms.SignatureResult {
		return token.Verify(c, p.verifyOptions())
	})
	t.Crypto, t.Trust, t.Codes, t.Authority, t.Path = s.Crypto, s.Trust, s.Codes, s.Signer, s.Path
	if s.Path == nil {
		return t
	}
	switch cert, at := s.certificate, token.Time; {
	case at.Add(-token.Accuracy).After(s.Path.At()):
		t.doubt("timestamp.future")
	case at.Before(cert.NotBefore) || at.After(cert.NotAfter):
		t.doubt("timestamp.outside_validity")
	}
	return t
}

// doubt takes the trust from a time stamp.
func (t *Timestamp) doubt(code string) {
	t.Trust, t.Path = "invalid", nil
	t.Codes = append(t.Codes, code)
}

// countersignatures judges the countersignatures of a signature.
func (p *pass) countersignatures(l *signedLayer, si *cms.SignerInfo) []*Signature {
	list, err := si.Countersignatures()
	var out []*Signature
	for _, c := range list {
		s := &Signature{Crypto: "invalid", Trust: "not-checked", Address: "not-checked", Codes: []string{"cms.malformed"}}
		if c.SignerInfo != nil {
			s = p.judgeBeside(l, c.SignerInfo, chain.EmailSigning, func(cert *x509.Certificate) *cms.SignatureResult {
				return c.Verify(cert, p.verifyOptions())
			})
		}
		out = append(out, s)
	}
	if err != nil && len(out) > 0 {
		out[len(out)-1].Codes = append(out[len(out)-1].Codes, "limit.countersignatures")
	}
	return out
}

// judgeBeside judges a signature that is not over the content: its mathematics, by verify,
// and the certificate.
func (p *pass) judgeBeside(l *signedLayer, si *cms.SignerInfo, use chain.Purpose, verify func(*x509.Certificate) *cms.SignatureResult) *Signature {
	candidates, err := p.signerCertificates(l, si)
	best := &Signature{Crypto: "unsupported", Trust: "not-checked", Address: "not-checked", Codes: []string{"signer.no_certificate"}}
	if err != nil {
		best.Codes = append(best.Codes, "store.failed")
	}
	for i, cert := range candidates {
		s := &Signature{Crypto: "unsupported", Trust: "not-checked", Address: "not-checked", Codes: []string{}}
		if p.checks++; p.checks > limits.SignatureChecks || p.work > limits.SignatureWork {
			s.Codes = append(s.Codes, "limit.signature_checks")
			return s
		}
		if key, err := sigalg.PublicKey(cert.RawSubjectPublicKeyInfo); err == nil {
			p.work += sigalg.Cost(key)
		}
		r := verify(cert)
		p.describe(s, r)
		s.Crypto, s.Signer, s.certificate = r.State, signerOf(cert), cert
		if s.Crypto == "valid" && p.o.Chain != nil {
			s.judged(p.o.Chain.Explain(p.ctx, chain.Request{
				Leaf: cert, Purpose: use, Untrusted: l.bag, CRLs: l.crls, OCSP: l.ocsp, Budget: &p.budget,
			}))
		}
		if i == 0 || rank(s) > rank(best) {
			best = s
		}
	}
	return best
}

// judged takes over what package chain says about the certificate.
func (s *Signature) judged(r *chain.Report) {
	s.Trust, s.Path = string(r.Verdict), r.Path
	s.Codes = append(s.Codes, r.Codes...)
	s.Codes = append(s.Codes, r.Warnings...)
	s.remarks = append(s.remarks, r.Warnings...)
}

// stamped judges a certificate that is not good now as of the earliest time for which an
// authority vouches, which it returns too. It returns nil if that makes no difference.
func (p *pass) stamped(l *signedLayer, si *cms.SignerInfo, q chain.Request, now *chain.Report) (*chain.Report, *Timestamp) {
	var first *Timestamp
	for _, t := range p.timestamps(l, si) {
		if t.Crypto == "valid" && t.Trust == "valid" && (first == nil || t.Time.Before(first.Time)) {
			first = t
		}
	}
	if first == nil || !first.Time.Before(now.Time) {
		return nil, nil
	}
	q.ClaimedTime = time.Time{}
	q.Time, q.Basis, q.EvidenceTime = first.Time, "timestamp", now.Time
	r := p.o.Chain.Explain(p.ctx, q)
	if r.Verdict == "indeterminate" && slices.Contains(now.Codes, "time.expired") {
		// The present need not know of a certificate that has ended: what was known then.
		q.EvidenceTime = time.Time{}
		r = p.o.Chain.Explain(p.ctx, q)
	}
	if r.Verdict != "valid" {
		return nil, nil
	}
	return r, first
}
