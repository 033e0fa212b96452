package chain

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"slices"

	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// A response is a parsed OCSP response with its digest.
type response struct {
	*pkix.OCSP
	sum    [32]byte
	origin string
	certs  []*node

	badNonce bool   // it was asked with a nonce and came back without
	jobs     []*job // what brought it, until the Fetcher is told that it is verified
}

// maxResponses bounds the responses one question looks at; maxAge is how old an answer
// without nextUpdate may be.
const (
	maxResponses = 1024
	maxAge       = 24 * 60 * 60
)

func (t *task) addResponse(der []byte, origin string) *response {
	e := t.evidence
	parsed, err := pkix.ParseOCSP(der)
	switch {
	case err != nil:
		t.early.add(warning, nil, "parse.ignored", "an OCSP response cannot be read: "+err.Error())
		return nil
	case len(e.ocsp) == maxResponses:
		t.early.add(warning, nil, "parse.ignored", "there are more OCSP responses than are looked at")
		return nil
	}
	r := &response{OCSP: parsed, sum: sha256.Sum256(der), origin: origin}
	for _, der := range parsed.Certificates {
		if n, err := newNode(der, sha256.Sum256(der), fromMessage); err == nil {
			r.certs = append(r.certs, n)
		}
	}
	e.ocsp = append(e.ocsp, r)
	return r
}

// askOCSP judges every response about path[i] (RFC 6960, Section 3.2).
func (t *task) askOCSP(s *status, path []*node, i int) {
	for _, r := range t.evidence.ocsp {
		t.useResponse(s, r, path, i)
	}
}

func (t *task) useResponse(s *status, r *response, path []*node, i int) {
	if r.Status != 0 {
		s.because("ocsp.error_status", "the OCSP responder answered with an error")
		return
	}
	c, issuer := path[i], path[i+1]
	var match []*pkix.Single
	for k := range r.Singles {
		if about(&r.Singles[k], c, issuer) {
			match = append(match, &r.Singles[k])
		}
	}
	switch {
	case len(match) == 0:
		s.because("ocsp.certid", "the OCSP response is about another certificate")
		return
	case r.UnknownCritical != nil || slices.ContainsFunc(match, func(x *pkix.Single) bool { return x.UnknownCritical != nil }):
		s.because("ocsp.unknown_critical", "the OCSP response has an unknown critical extension")
		return
	}
	if r.badNonce {
		s.because("ocsp.nonce", "the OCSP response was not made for this request")
		return
	}
	if code, detail := t.algorithms.signature(r.Algorithm); code != "" && code != "alg.legacy" {
		s.because(code, "the OCSP response: "+detail)
		return
	}
	signer, code, detail := t.responder(r, path, i)
	if code != "" {
		s.because(code, detail)
		return
	}
	t.verified(&r.jobs)
	for _, x := range match {
		t.useSingle(s, r, x, signer)
	}
}

func (t *task) useSingle(s *status, r *response, x *pkix.Single, signer *node) {
	source := "the OCSP response of " + subjectText(signer) + t.fromTo(x.ThisUpdate, x.NextUpdate, x.HasNextUpdate)
	if r.origin != "supplied" {
		source += ", from " + printable(r.origin)
	}
	current := x.HasNextUpdate && t.present <= x.NextUpdate || !x.HasNextUpdate && t.present-x.ThisUpdate <= maxAge
	switch {
	case t.ahead(x.ThisUpdate, r.origin):
		s.because("ocsp.not_yet_valid", "the OCSP response counts only from "+day(x.ThisUpdate))
	case x.ThisUpdate > r.ProducedAt+clockSkew:
		// What was signed before cannot know it, whatever the signer was allowed to say then.
		s.because("ocsp.malformed", "the OCSP response tells of a time after it was made")
	case x.HasNextUpdate && !current && !t.over(s.at):
		s.because("ocsp.stale", "the OCSP response ended on "+day(x.NextUpdate))
	case !current && !t.over(s.at):
		s.because("ocsp.stale", "the OCSP response is of "+day(x.ThisUpdate)+" and does not say how long it counts")
	case x.Good && t.dated(s.at, x.ThisUpdate, current):
		s.because("ocsp.stale", source+" is older than the time in question")
	case x.Good && t.ended(s.at, x.ThisUpdate, x.KeepsExpired, x.KeptSince):
		s.because("ocsp.after_expiry", source+" is younger than the end of the certificate, and need not know of its revocation")
	case x.Good:
		t.take(s, stateGood, nil, source)
	case x.Revoked == nil:
		s.because("ocsp.unknown", "the OCSP responder does not know it")
	case x.Revoked.Reason == pkix.CertificateHold:
		t.take(s, stateHold, x.Revoked, source)
	default:
		t.take(s, stateRevoked, x.Revoked, source)
	}
}

// about reports whether a CertID means c: issuer name, issuer key and serial number must
// all match (RFC 6960, Section 4.1.1).
func about(x *pkix.Single, c, issuer *node) bool {
	if !pkix.SameSerial(x.Serial, c.Serial) {
		return false
	}
	name, key := certID(x.Hash, c, issuer)
	return name != nil && bytes.Equal(name, x.NameHash) && bytes.Equal(key, x.KeyHash)
}

// certID hashes the two issuer fields of a CertID; nil if the hash is not known.
func certID(hash oid.OID, c, issuer *node) (name, key []byte) {
	bits := pkix.KeyBits(issuer.SPKI)
	switch hash {
	case oid.SHA1:
		n, k := sha1.Sum(c.RawIssuer), sha1.Sum(bits)
		return n[:], k[:]
	case oid.SHA256:
		n, k := sha256.Sum256(c.RawIssuer), sha256.Sum256(bits)
		return n[:], k[:]
	case oid.SHA384:
		n, k := sha512.Sum384(c.RawIssuer), sha512.Sum384(bits)
		return n[:], k[:]
	case oid.SHA512:
		n, k := sha512.Sum512(c.RawIssuer), sha512.Sum512(bits)
		return n[:], k[:]
	}
	return nil, nil
}

// responder finds who signed a response and whether it may answer for the issuer of
// path[i]: the issuer itself, or a certificate that the issuer's key signed directly and
// that is made for signing responses (RFC 6960, Section 4.2.2.2).
func (t *task) responder(r *response, path []*node, i int) (signer *node, code, detail string) {
	issuer := path[i+1]
	if r.identifies(issuer) && t.signs(issuer, path, r.sum, r.Algorithm, r.RawTBS, r.Signature) {
		return issuer, "", ""
	}
	code, detail = "ocsp.unauthorized_responder", "no certificate of the OCSP responder is at hand"
	for _, c := range t.responders(r) {
		if bytes.Equal(c.SPKI, issuer.SPKI) && c.Subject == issuer.Subject {
			continue // another certificate of the issuer, which has been tried
		}
		if k, _ := t.algorithms.size(c.rsaBits); k != "" || !t.signs(c, path, r.sum, r.Algorithm, r.RawTBS, r.Signature) {
			if code != "ocsp.unauthorized_responder" || detail[0] == 'n' {
				code, detail = "ocsp.signature", "the signature of the OCSP response does not verify"
			}
			continue
		}
		if why := t.unfit(c, r, path, i); why != "" {
			code, detail = "ocsp.unauthorized_responder", "the OCSP responder "+subjectText(c)+" "+why
			continue
		}
		return c, "", ""
	}
	if r.identifies(issuer) {
		code, detail = "ocsp.signature", "the signature of the OCSP response does not verify"
	}
	return nil, code, detail
}

// responders lists the certificates that a response may be signed with, any order.
func (t *task) responders(r *response) []*node {
	var out []*node
	add := func(c *node) {
		if r.identifies(c) && !slices.ContainsFunc(out, func(o *node) bool { return o.sum == c.sum }) {
			out = append(out, c)
		}
	}
	for _, c := range r.certs {
		add(c)
	}
	if r.HasName {
		for _, set := range [][]*node{t.ix.bySubject[r.ResponderName], t.bag[r.ResponderName]} {
			for _, c := range set {
				add(c)
			}
		}
		return out
	}
	for _, c := range t.ix.responders {
		add(c)
	}
	for _, set := range t.bag {
		for _, c := range set {
			add(c)
		}
	}
	slices.SortFunc(out, order)
	return out
}

// identifies reports whether the responderID names c.
func (r *response) identifies(c *node) bool {
	if r.HasName {
		return r.ResponderName == c.Subject
	}
	sum := sha1.Sum(pkix.KeyBits(c.SPKI))
	return bytes.Equal(r.ResponderKey, sum[:])
}

// unfit says why c may not answer for the issuer of path[i], or "".
func (t *task) unfit(c *node, r *response, path []*node, i int) string {
	issuer := path[i+1]
	switch {
	case c.Issuer != issuer.Subject:
		return "was not certified by " + subjectText(issuer)
	case !c.Has(pkix.ExtExtKeyUsage) || !c.AllowsEKU(oid.OCSPSigning):
		return "is not certified for signing OCSP responses"
	case c.Has(pkix.ExtKeyUsage) && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0:
		return "may not sign by its keyUsage"
	case r.ProducedAt < c.NotBefore || r.ProducedAt > c.NotAfter:
		return "was not valid when it answered"
	case t.present > c.NotAfter && !t.over(path[i]):
		// RFC 6960, Section 3.2: currently authorized. Who has its key by now writes any
		// date, and nobody says of a certificate that has expired whether it is revoked.
		return "is not valid any more"
	case c.UnknownCritical != nil || c.Bad&c.Critical != 0 || c.Twice != 0:
		return "has an extension that cannot be processed"
	}
	if code, _ := t.algorithms.signature(c.Algorithm); code != "" && code != "alg.legacy" {
		return "is certified with a weak algorithm"
	}
	if !t.signs(issuer, path, c.sum, c.Algorithm, c.RawTBS, c.Signature) {
		return "was not signed by " + subjectText(issuer)
	}
	if c.Has(pkix.ExtNoCheck) {
		return ""
	}
	return t.responderRevoked(c, path, i)
}

// responderRevoked asks about a responder without id-pkix-ocsp-nocheck. Its
// status may be unknown, as the certificate's own would have been, where that is allowed.
func (t *task) responderRevoked(c *node, path []*node, i int) string {
	e := t.evidence
	if e.pending[c] || len(e.pending) >= maxNested {
		return "depends on its own answer"
	}
	// Responders that answer for each other could be asked in every order.
	if !t.purse.spend(len(e.ocsp) + len(e.crls)) {
		return "may be revoked: finding out takes too much work"
	}
	e.pending[c] = true
	defer delete(e.pending, c)
	s := &status{at: c}
	below := append([]*node{c}, path[i+1:]...)
	t.askOCSP(s, below, 0)
	t.askCRLs(s, below, 0)
	switch {
	case s.state >= stateHold:
		return "is revoked"
	case s.state == stateUnknown && t.rev().RequireAll:
		return "may be revoked: its status is not known"
	case s.state == stateUnknown && !t.rev().AllowUnknown && namesSource(c):
		return "may be revoked: its status is not known"
	}
	return ""
}
