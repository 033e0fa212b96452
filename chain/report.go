package chain

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/oid"
)

// A Verdict is "valid", "invalid" or "indeterminate". Valid: a path exists and every
// check passed. Invalid: no path can pass, and more data would not help except another
// certificate. Indeterminate: the answer hangs on something not at hand, that is on
// revocation status or on a search that was given up.
type Verdict string

const (
	valid         Verdict = "valid"
	invalid       Verdict = "invalid"
	indeterminate Verdict = "indeterminate"
)

// A Finding is one observation about a path.
type Finding struct {
	Code        string            // stable and dotted, such as "nc.excluded"
	Severity    string            // "error", "warning" or "info"
	Certificate *x509.Certificate // which one; nil if it is about the request or the path
	Reference   string            // the rule, such as "RFC 5280, Section 4.2.1.10"
	Detail      string            // one sentence for people
}

// A RejectedError is why [Verifier.Verify] returned no path.
type RejectedError struct {
	Verdict Verdict  // "invalid" or "indeterminate"
	Codes   []string // the deciding one first; never empty
	Report  *Report  // the whole story
}

func (e *RejectedError) Error() string {
	s := "chain: certificate is " + string(e.Verdict) + " (" + strings.Join(e.Codes, ", ") + ")"
	if e.Report != nil && e.Report.Detail != "" {
		s += ": " + e.Report.Detail
	}
	return s
}

// A Report is the answer to one question with its reasons.
type Report struct {
	Verdict  Verdict
	Codes    []string // why it is not valid, the deciding one first; empty if valid
	Warnings []string // codes of what was seen and did not matter
	Detail   string   // one sentence for people

	Purpose Purpose
	Time    time.Time // the instant everything was judged for
	Basis   string    // where that comes from: "now", or who vouches for it

	Certificates []*x509.Certificate // best path found, leaf first; complete if valid
	Policies     []string            // user-constrained policy set, dotted, if valid
	Findings     []Finding           // about that path, errors first

	// Tried lists the paths the search completed or followed to their ends, in order: the
	// first 32, the one of Certificates always among them.
	Tried []struct {
		Certificates []*x509.Certificate
		Findings     []Finding
	}

	Path *Path // the proof if the verdict is valid, nil otherwise
}

// A Path is the proof that a certificate may be used for a purpose at a time. Only a
// [Verifier] makes one. The methods of a zero Path panic.
type Path struct {
	nodes    []*node
	at       time.Time
	purpose  Purpose
	policies []oid.OID
}

// Leaf returns the certificate in question.
func (p *Path) Leaf() *x509.Certificate { p.check(); return p.nodes[0].x509() }

// Anchor returns the anchor the path ends at; it is the leaf if that is itself an anchor.
func (p *Path) Anchor() *x509.Certificate { p.check(); return p.nodes[len(p.nodes)-1].x509() }

// Certificates returns the path, leaf first, anchor last.
func (p *Path) Certificates() []*x509.Certificate { p.check(); return certificates(p.nodes) }

// At returns the instant the path was judged for.
func (p *Path) At() time.Time { p.check(); return p.at }

// Purpose returns what the path was judged for.
func (p *Path) Purpose() Purpose { p.check(); return p.purpose }

// Policies returns the user-constrained policy set of RFC 5280, Section 6.1.6, dotted.
func (p *Path) Policies() []string { p.check(); return dotted(p.policies) }

// check panics for a Path that no Verifier made.
func (p *Path) check() {
	if len(p.nodes) == 0 {
		panic("chain: a Path that no Verifier made proves nothing")
	}
}

func dotted(set []oid.OID) []string {
	out := make([]string, len(set))
	for i, p := range set {
		out[i] = p.String()
	}
	return out
}

func certificates(path []*node) []*x509.Certificate {
	out := make([]*x509.Certificate, len(path))
	for i, n := range path {
		out[i] = n.x509()
	}
	return out
}

func (t *task) proof() *Path {
	return &Path{nodes: t.best.path, at: time.Unix(t.now, 0).UTC(), purpose: t.purpose, policies: t.best.policies}
}

// report tells what the search found; err is why there was none.
func (t *task) report(err error) *Report {
	r := &Report{Purpose: t.purpose, Time: time.Unix(t.now, 0).UTC(), Basis: t.req.Basis, Codes: []string{}}
	if r.Basis == "" {
		if r.Basis = "vouched for by the caller"; t.req.Time.IsZero() {
			r.Basis = "now"
		}
	}
	all := slices.Clone(t.early)
	if n := t.ix.rejected; n > 0 {
		all.add(warning, nil, "parse.ignored", fmt.Sprintf("%d of the collection's certificates cannot be read", n))
	}
	switch {
	case err != nil:
		code := "parse.malformed"
		var q *requestError
		if errors.As(err, &q) {
			code = q.code
		}
		all.fault(nil, code, err.Error())
	case t.best != nil:
		all = append(all, t.best.notes...)
		if t.rev().InsecureOff && t.best.top.length > 1 && t.best.worst() < fault {
			all.add(warning, nil, "rev.not_checked", "revocation was not checked")
		}
		r.Certificates = certificates(t.best.top.path())
	}
	if t.leaf != nil {
		microsoft(t.leaf, &all)
	}
	if t.gaveUp != "" && (t.best == nil || t.best.worst() >= unknown) {
		all = append(all, note{"path.budget", "the search was given up: " + t.gaveUp, nil, unknown})
	}
	if t.best == nil && err == nil && t.leaf != nil {
		r.Certificates = certificates([]*node{t.leaf})
		if t.gaveUp == "" {
			all.fault(nil, "path.no_anchor", "no path leads to an anchor")
		}
	}
	r.decide(all, t.gaveUp != "")
	if r.Verdict == valid {
		r.Path = t.proof()
		r.Policies = dotted(t.best.policies)
		r.Detail = "valid for " + string(t.purpose)
		if t.req.Address != "" {
			r.Detail += " as " + printable(t.req.Address)
		}
	}
	for _, o := range t.tried {
		list := o.notes.sorted()
		r.Tried = append(r.Tried, struct {
			Certificates []*x509.Certificate
			Findings     []Finding
		}{certificates(o.top.path()), findings(list)})
	}
	return r
}

// decide sets verdict, codes and findings. A search that was given up is indeterminate
// even if every path seen so far is invalid.
func (r *Report) decide(all notes, gaveUp bool) {
	all = all.sorted()
	r.Verdict = valid
	switch w := all.worst(); {
	case w == unknown || w == fault && gaveUp:
		r.Verdict = indeterminate
	case w == fault:
		r.Verdict = invalid
	}
	for _, n := range all {
		switch {
		case n.level >= unknown:
			if !slices.Contains(r.Codes, n.code) {
				r.Codes = append(r.Codes, n.code)
			}
			if r.Detail == "" {
				r.Detail = n.sentence()
			}
		case n.level == warning && !slices.Contains(r.Warnings, n.code):
			r.Warnings = append(r.Warnings, n.code)
		}
	}
	if gaveUp && r.Verdict == indeterminate {
		// The deciding reason is that the search did not end.
		r.Codes = slices.DeleteFunc(r.Codes, func(c string) bool { return c == "path.budget" })
		r.Codes = slices.Insert(r.Codes, 0, "path.budget")
	}
	r.Findings = findings(all)
}

// warn adds a warning about the path as a whole.
func (r *Report) warn(code, detail string) {
	r.Warnings = append(r.Warnings, code)
	r.Findings = append(r.Findings, Finding{Code: code, Severity: "warning", Reference: reference(code), Detail: detail})
}

// sentence names the certificate in front of what is wrong with it.
func (n *note) sentence() string {
	if n.at == nil {
		return n.detail
	}
	return subjectText(n.at) + ": " + n.detail
}

// sorted orders notes by weight, then from the most to the least specific code.
func (l notes) sorted() notes {
	l = slices.Clone(l)
	slices.SortStableFunc(l, func(a, b note) int {
		if a.level != b.level {
			return int(b.level) - int(a.level)
		}
		return rankOf(a.code) - rankOf(b.code)
	})
	return l
}

// rankOf orders codes from the most specific reason to the least.
func rankOf(code string) int {
	for i, prefix := range [...]string{"parse.malformed", "sig.", "rev.revoked", "rev.on_hold", "time.", "anchor.", "alg.", "ext.unknown_critical", "ca.", "nc.", "policy.", "eku.", "ku.",
		"address.", "host.", "cert.", "ext.", "name.", "parse.", "path.depth", "path.untrusted", "path.no_issuer", "path.", "rev.unknown", "rev.", "crl.", "ocsp."} {
		if strings.HasPrefix(code, prefix) {
			return i
		}
	}
	return 99
}

func findings(list notes) []Finding {
	out := make([]Finding, len(list))
	for i, n := range list {
		f := Finding{Code: n.code, Severity: "error", Reference: reference(n.code), Detail: n.detail}
		switch n.level {
		case warning:
			f.Severity = "warning"
		case info:
			f.Severity = "info"
		}
		if n.at != nil {
			f.Certificate = n.at.x509()
		}
		out[i] = f
	}
	return out
}

// reference names the rule behind a code.
func reference(code string) string {
	switch code {
	case "sig.invalid":
		return "RFC 5280, Section 6.1.3 (a)(1)"
	case "sig.unsupported":
		return "RFC 8550, Section 4.3"
	case "time.expired_after_signing", "time.claim_outside_validity":
		return "RFC 8550, Section 6"
	case "time.expired", "time.not_yet_valid":
		return "RFC 5280, Section 6.1.3 (a)(2)"
	case "rev.revoked", "rev.on_hold", "rev.unknown", "rev.not_checked":
		return "RFC 5280, Section 6.1.3 (a)(3)"
	case "nc.not_permitted", "nc.excluded", "nc.unsupported", "nc.malformed":
		return "RFC 5280, Section 4.2.1.10"
	case "policy.none":
		return "RFC 5280, Section 6.1.5 (g)"
	case "policy.mapping_any":
		return "RFC 5280, Section 6.1.4 (a)"
	case "anchor.constraint":
		return "RFC 5914, Section 2.5"
	case "ca.not_ca":
		return "RFC 5280, Section 6.1.4 (k)"
	case "ca.path_len":
		return "RFC 5280, Section 6.1.4 (m)"
	case "ca.key_usage":
		return "RFC 5280, Section 6.1.4 (n)"
	case "ext.unknown_critical":
		return "RFC 5280, Section 6.1.4 (o)"
	case "ext.duplicate", "ext.malformed", "ext.criticality", "ext.missing":
		return "RFC 5280, Section 4.2"
	case "cert.sigalg_mismatch":
		return "RFC 5280, Section 4.1.1.2"
	case "cert.serial":
		return "RFC 5280, Section 4.1.2.2"
	case "cert.version":
		return "RFC 5280, Section 4.1.2.1"
	case "name.empty_subject", "name.empty_issuer", "address.mismatch", "address.absent", "address.case_folded", "address.subject_only":
		return "RFC 8550, Section 3"
	case "host.mismatch":
		return "RFC 9525, Section 6"
	case "ku.sign", "ku.encrypt":
		return "RFC 8550, Section 4.4.2"
	case "eku.leaf", "eku.issuer":
		return "RFC 8550, Section 4.4.4"
	case "alg.weak_hash", "alg.weak_key", "alg.too_large", "alg.legacy":
		return "RFC 8550, Section 4.3"
	case "path.untrusted_self_signed", "path.no_issuer", "path.no_anchor", "path.depth", "path.budget":
		return "RFC 8550, Section 2.3"
	}
	return ""
}
