package smime

import (
	"crypto/x509"
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
// (threats.md, A13 and A15).

// timestamps judges the time stamps of a signature, once.
func (p *pass) timestamps(l *signedLayer, si *cms.SignerInfo) []*Signature {
	if list, done := p.stamps[si]; done {
		return list
	}
	tokens, err := si.Timestamps()
	var list []*Signature
	for _, token := range tokens {
		list = append(list, p.judgeTimestamp(l, token))
	}
	if err != nil {
		list[len(list)-1].note("limit.timestamps")
	}
	if p.stamps == nil {
		p.stamps = map[*cms.SignerInfo][]*Signature{}
	}
	p.stamps[si] = list
	return list
}

// judgeTimestamp asks whether the authority signed this time for this signature, and
// whether it leads to an anchor. The authority is judged for now, whatever time it tells.
func (p *pass) judgeTimestamp(l *signedLayer, token *cms.Timestamp) *Signature {
	signer := token.Signer()
	if signer == nil {
		r := token.Verify(nil, p.verifyOptions())
		return &Signature{Crypto: r.State, Trust: "not-checked", Address: "not-checked", Codes: r.Codes}
	}
	inside := &signedLayer{crls: token.SignedData.CRLs(), ocsp: token.SignedData.OCSPResponses()}
	for _, der := range token.SignedData.Certificates() {
		if p.stampOctets += len(der); p.stampOctets > limits.EvidenceOctets {
			break
		}
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
	// The latest time that it may have been, in the whole seconds that chains are judged for.
	s.Time = token.Time.Add(token.Accuracy + time.Second - 1).Truncate(time.Second).UTC()
	if s.Path == nil {
		return s
	}
	switch cert, at := s.certificate, token.Time; {
	case at.Add(-token.Accuracy).After(s.Path.At()):
		s.Trust, s.Path = "invalid", nil
		s.note("timestamp.future")
	case at.Before(cert.NotBefore) || at.After(cert.NotAfter):
		s.Trust, s.Path = "invalid", nil
		s.note("timestamp.outside_validity")
	}
	return s
}

// countersignatures judges the countersignatures of a signature, and the time stamps of
// each. Those that countersignatures have in turn are not looked at.
func (p *pass) countersignatures(l *signedLayer, si *cms.SignerInfo) []*Signature {
	list, err := si.Countersignatures()
	var out []*Signature
	for _, c := range list {
		s := &Signature{Crypto: "invalid", Trust: "not-checked", Address: "not-checked", Codes: []string{"cms.malformed"}}
		if c.SignerInfo != nil {
			s = p.judgeBeside(l, c.SignerInfo, chain.EmailSigning, func(cert *x509.Certificate) *cms.SignatureResult {
				return c.Verify(cert, p.verifyOptions())
			})
			if s.Crypto == "valid" {
				s.Timestamps = p.timestamps(l, c.SignerInfo)
			}
		}
		out = append(out, s)
	}
	if err != nil {
		out[len(out)-1].note("limit.countersignatures")
	}
	return out
}

// judgeBeside judges a signature that is not over the content: its mathematics, by verify,
// and the certificate.
func (p *pass) judgeBeside(l *signedLayer, si *cms.SignerInfo, use chain.Purpose, verify func(*x509.Certificate) *cms.SignatureResult) *Signature {
	candidates, err := p.signerCertificates(l, si, &p.beside)
	best := &Signature{Crypto: "unsupported", Trust: "not-checked", Address: "not-checked", Codes: []string{"signer.no_certificate"}}
	if err != nil {
		best.Codes = append(best.Codes, "store.failed")
	}
	for i, cert := range candidates {
		s := &Signature{Crypto: "unsupported", Trust: "not-checked", Address: "not-checked", Codes: []string{}}
		if p.beside.checks++; p.beside.checks > limits.EvidenceChecks || p.beside.work > limits.EvidenceWork {
			s.Codes = append(s.Codes, "limit.signature_checks")
			return s
		}
		if key, err := sigalg.PublicKey(cert.RawSubjectPublicKeyInfo); err == nil {
			p.beside.work += sigalg.Cost(key)
		}
		r := verify(cert)
		p.describe(s, r)
		s.Crypto, s.Signer, s.certificate = r.State, signerOf(cert), cert
		if s.Crypto == "valid" && p.o.Chain != nil {
			s.judged(p.o.Chain.Explain(p.ctx, chain.Request{
				Leaf: cert, Purpose: use, Untrusted: l.bag, CRLs: l.crls, OCSP: l.ocsp, Budget: &p.beside.budget,
			}))
		}
		if i == 0 || rank(s) > rank(best) {
			best = s
		}
	}
	return best
}

func (s *Signature) note(code string) { s.Codes = append(s.Codes, code) }

// judged takes over what package chain says about the certificate.
func (s *Signature) judged(r *chain.Report) {
	s.Trust, s.Path = string(r.Verdict), r.Path
	s.Codes = append(s.Codes, r.Codes...)
	s.Codes = append(s.Codes, r.Warnings...)
	s.remarks = append(s.remarks, r.Warnings...)
}

// stamped judges a certificate that is not good now as of the earliest time for which an
// authority vouches, which it returns too. It returns nil if that makes no difference.
func (p *pass) stamped(l *signedLayer, si *cms.SignerInfo, q chain.Request, now *chain.Report) (*chain.Report, *Signature) {
	var first *Signature
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
	if r.Verdict != "valid" {
		return nil, nil
	}
	return r, first
}
