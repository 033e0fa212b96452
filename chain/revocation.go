package chain

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// A Revocation says how revocation is judged. With the zero value every certificate of a
// path that names a CRL or an OCSP responder must be known not to be revoked, or the
// answer is indeterminate; one that names neither passes with the warning
// rev.not_checked. Anchors are never asked about. A verified "revoked" decides against
// any number of "good".
type Revocation struct {
	// InsecureOff looks at no revocation data: the mail of a revoked signer verifies.
	InsecureOff bool
	// AllowUnknown makes a missing status a warning ("soft fail").
	AllowUnknown bool
	// RequireAll wants a status of every certificate, also of those that name no source.
	// It wins over AllowUnknown.
	RequireAll bool

	// CRLs and OCSP are DER of lists and responses at hand. They are verified before
	// they count for anything.
	CRLs, OCSP [][]byte

	// Store has further lists and responses, such as a database of them: CRLs yields the
	// lists whose issuer has a DER name, OCSP the responses about a certificate. It is
	// asked about certificates that have been verified up to an anchor, before anything is
	// fetched. What it yields is not trusted. nil: none.
	Store interface {
		CRLs(ctx context.Context, rawIssuer []byte) iter.Seq2[[]byte, error]
		OCSP(ctx context.Context, c *x509.Certificate) iter.Seq2[[]byte, error]
	}

	// Fetcher gets what is not at hand from the addresses that certificates name, and
	// only for certificates that have been verified up to an anchor; nil: no network.
	Fetcher Fetcher
	// FetchIssuers also gets missing issuers from where a certificate says they are.
	// That has to happen before anything is verified: whoever made the message learns
	// when and from where it is read.
	FetchIssuers bool
	// Nonce asks OCSP responders for an answer made for this request (RFC 9654) and
	// takes no other from them. Responders with prepared answers cannot serve that.
	Nonce bool
	// PerFetch and PerVerification bound the time of one fetch and of all fetches of one
	// question. Zero means 5 and 15 seconds.
	PerFetch, PerVerification time.Duration
}

// Check returns an error that names every list and response at hand that cannot be read. A
// verifier leaves them out with the warning parse.ignored; who reads them from files may
// want to know before.
func (r *Revocation) Check() error {
	var errs []error
	for i, der := range r.CRLs {
		if _, err := pkix.ParseCRL(der); err != nil {
			errs = append(errs, fmt.Errorf("chain: list %d of %d: %w", i+1, len(r.CRLs), err))
		}
	}
	for i, der := range r.OCSP {
		if _, err := pkix.ParseOCSP(der); err != nil {
			errs = append(errs, fmt.Errorf("chain: response %d of %d: %w", i+1, len(r.OCSP), err))
		}
	}
	return errors.Join(errs...)
}

// A Fetcher gets revocation data and issuers from the network. Package chain/fetch has
// one. Fetch gets the object at url, which is of kind "crl", "ocsp" or "issuer"; request
// is the DER of the OCSPRequest for that kind and nil for the others. Several calls may
// run at once. What it returns is not trusted.
//
// A Fetcher that keeps answers may also have the method
//
//	Verified(kind, url string, request, data []byte)
//
// It is called, with the arguments of Fetch and what that returned, once a list or response
// proves to be signed by who may sign it, and an issuer to be on a path to an anchor. Until
// then anybody on the line may have made it: it should not be kept for long, nor decide
// what is taken later. Without the method nothing is told.
type Fetcher interface {
	Fetch(ctx context.Context, kind, url string, request []byte) ([]byte, error)
}

// A state is what is known about one certificate.
type state uint8

const (
	stateUnknown state = iota
	stateGood
	stateHold
	stateRevoked
)

// A status is the answer about one certificate of a path.
type status struct {
	at      *node
	state   state
	source  string // what said so, for people
	revoked *pkix.Revoked
	reasons notes // why other data did not count
	cut     bool  // some data was not verified, for lack of work
}

// because notes why something did not count, each code once.
func (s *status) because(code, detail string) {
	for i := range s.reasons {
		if s.reasons[i].code == code && (code != "rev.fetch_failed" || s.reasons[i].detail == detail) {
			return
		}
	}
	s.reasons = append(s.reasons, note{code, detail, s.at, info})
}

// take records what verified data says. The worse state wins.
func (t *task) take(s *status, st state, r *pkix.Revoked, source string) {
	if st >= stateHold && t.present > t.now && r.At > t.now && !(r.HasInvalidity && r.InvalidityAt <= t.now) {
		st, source = stateGood, source+"; revoked only on "+day(r.At)
	}
	if st > s.state {
		s.state, s.revoked, s.source = st, r, source
	}
}

// rev returns the settings of this question.
func (t *task) rev() *Revocation {
	if t.req.Revocation != nil {
		return t.req.Revocation
	}
	return &t.v.rev
}

// revocation asks about every certificate of a complete path but the anchor, from the
// anchor down, and adds what it learned to the outcome.
func (t *task) revocation(path []*node, o *outcome) {
	rev := t.rev()
	if rev.InsecureOff {
		return // the report says so
	}
	t.known()
	if rev.Store != nil {
		t.askStatusStore(path)
	}
	missing := func() (list []int) {
		for i := len(path) - 2; i >= 0; i-- {
			if t.status(path, i).state == stateUnknown {
				list = append(list, i)
			}
		}
		// What is learned next may change the answers about the others too.
		clear(t.evidence.statuses)
		return list
	}
	if rev.Fetcher != nil {
		t.fetchStatuses(path, missing)
	}
	for i := len(path) - 2; i >= 0; i-- {
		s := t.status(path, i)
		o.rev = append(o.rev, s)
		t.weigh(s, rev, o)
	}
}

// weigh turns a status into notes.
func (t *task) weigh(s *status, rev *Revocation, o *outcome) {
	if s.cut && s.state < stateHold {
		// What nobody read may say "revoked", whatever else may stay unknown.
		t.gaveUp = "too many signatures to check in what is known about revocation"
		o.notes.fault(s.at, "path.budget", "not everything at hand about its revocation was checked")
		return
	}
	switch s.state {
	case stateGood:
		o.notes.add(info, s.at, "rev.good", "it is not revoked, says "+s.source)
	case stateRevoked, stateHold:
		code, what := "rev.revoked", "revoked"
		if s.state == stateHold {
			code, what = "rev.on_hold", "on hold"
		}
		detail := "it is " + what + " since " + day(s.revoked.At)
		if name := reasonText(s.revoked.Reason); name != "" && s.state == stateRevoked {
			detail += " (" + name + ")"
		}
		o.notes.fault(s.at, code, detail+", says "+s.source)
	default:
		lv := unknown
		switch {
		case rev.RequireAll:
		case rev.AllowUnknown:
			lv = warning
		case !namesSource(s.at):
			o.notes.add(warning, s.at, "rev.not_checked", "it names neither a CRL nor an OCSP responder")
			return
		}
		o.notes.add(lv, s.at, "rev.unknown", "whether it is revoked is not known")
		for _, why := range s.reasons {
			why.level = lv
			o.notes = append(o.notes, why)
		}
	}
}

// namesSource reports whether c says where its status can be learned. An ldap pointer is
// one, although nothing here can follow it.
func namesSource(c *node) bool {
	if c.Has(pkix.ExtCDP) {
		return true
	}
	for method := range pkix.Access(c.InfoAccess) {
		if oid.OID(method) == oid.AccessOCSP {
			return true
		}
	}
	return false
}

func reasonText(reason int) string {
	names := [...]string{"", "key compromise", "CA compromise", "affiliation changed", "superseded", "cessation of operation", "certificate hold", "", "removed from CRL", "privilege withdrawn", "AA compromise"}
	if reason >= 0 && reason < len(names) {
		return names[reason]
	}
	return fmt.Sprintf("reason %d", reason)
}

// status finds out about path[i]. The answer is remembered for the rest of the question:
// several paths may share the certificate and its issuer.
func (t *task) status(path []*node, i int) *status {
	c, issuer := path[i], path[i+1]
	anchor := path[len(path)-1]
	e := t.known()
	key := statusKey{c, issuer, anchor, t.now}
	if s := e.statuses[key]; s != nil {
		return s
	}
	s := &status{at: c}
	if e.pending[c] || len(e.pending) >= maxNested {
		s.because("crl.issuer_path", "its status depends on itself")
		return s
	}
	e.pending[c] = true
	outer, refused, gaveUp := t.purse, e.purse.refused, t.gaveUp
	t.purse = &e.purse
	t.askOCSP(s, path, i)
	t.askCRLs(s, path, i)
	t.purse, t.gaveUp = outer, gaveUp
	s.cut = e.purse.refused > refused
	if s.state == stateUnknown {
		for _, f := range e.failures {
			s.because("rev.fetch_failed", f)
		}
	}
	delete(e.pending, c)
	e.statuses[key] = s
	return s
}

// maxNested bounds how many certificates may wait for the status of another: a CRL signer
// whose own status a CRL of a third party tells, and so on.
const maxNested = 8

type statusKey struct {
	c, issuer, anchor *node
	at                int64
}

// evidence is the revocation data of one question and what was found out with it.
type evidence struct {
	crls     []*crl
	ocsp     []*response
	statuses map[statusKey]*status
	pending  map[*node]bool
	signers  map[signerKey]*verdictOf
	fetched  map[string]bool
	stored   map[string]bool   // what the store was asked about
	issuers  map[[32]byte]*job // what brought certificates, by their digests
	failures []string          // what could not be fetched and why
	left     int               // fetches that may still be made
	purse    purse
	deadline time.Time // for all fetches
}

// known parses what was supplied, once. What the settings have comes first: a message cannot
// crowd it out.
func (t *task) known() *evidence {
	if t.evidence != nil {
		return t.evidence
	}
	e := &evidence{statuses: map[statusKey]*status{}, pending: map[*node]bool{}, signers: map[signerKey]*verdictOf{}, issuers: map[[32]byte]*job{}, left: maxFetches, purse: newPurse(maxEvidenceWork)}
	t.evidence = e
	rev := t.rev()
	for _, list := range [][][]byte{rev.CRLs, t.req.CRLs} {
		for _, der := range list {
			t.addCRL(der, "supplied")
		}
	}
	for _, list := range [][][]byte{rev.OCSP, t.req.OCSP} {
		for _, der := range list {
			t.addResponse(der, "supplied")
		}
	}
	return e
}

// clockSkew is how far the clock of a server may be ahead of ours, in seconds.
const clockSkew = 5 * 60

// ahead reports whether something was issued only after the instant in question. What was
// fetched for a question about the present may have been made while it was asked, by a clock
// that is a little fast.
func (t *task) ahead(issued int64, origin string) bool {
	at := t.present
	if t.req.Time.IsZero() && t.req.EvidenceTime.IsZero() && origin != "supplied" && origin != fromStoreText {
		at += clockSkew
	}
	return at < issued
}

// fromTo says when an answer was issued, how old it is and until when it counts.
func (t *task) fromTo(this int64, next int64, hasNext bool) string {
	s := " issued " + day(this) + ageText(t.present-this)
	if hasNext {
		s += ", good until " + day(next)
	}
	return s
}
