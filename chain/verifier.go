package chain

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/oid"
)

// A Verifier judges certificates against one collection of anchors. Set its fields
// before the first use; after that it may be used by several goroutines at once.
type Verifier struct {
	// Intermediates is asked for certificates of an issuer that neither the collection
	// nor the message has. Nothing it returns is trusted. May be nil.
	Intermediates certstore.Store

	// Time returns the instant for which everything is judged; nil means time.Now.
	Time func() time.Time

	// AllowSHA1 accepts signatures with SHA-1, SHA-224 and DSA and RSA keys from 1024
	// bits, for reading old mail. MD2 and MD5 stay refused.
	AllowSHA1 bool

	// AllowExpiredAnchors accepts anchors outside their own validity.
	AllowExpiredAnchors bool

	// MaxRSABits is the largest RSA key that is used; 0 means 4096. More than 16384 has
	// no effect: beyond that one signature takes too long.
	MaxRSABits int

	rev     Revocation
	anchors *Collection
	index   atomic.Pointer[index]
	edges   memo[edge, error]
	crls    crlCache
}

// NewVerifier returns a Verifier that trusts the anchors of the collection and nothing
// else, and treats revocation as rev says. The other certificates of the collection may
// stand in a path without being trusted. Changes of the collection count for all
// questions asked after them. Without anchors no certificate is valid.
func NewVerifier(anchors *Collection, rev Revocation) *Verifier {
	v := &Verifier{rev: rev, anchors: anchors}
	v.edges.max, v.edges.now = maxEdges, make(map[edge]error, 64)
	v.members()
	return v
}

// members returns the index of the collection as it is now.
func (v *Verifier) members() *index {
	now := v.anchors.index()
	ix := v.index.Load()
	if ix == nil || ix.of != now {
		ix = newIndex(now)
		v.index.Store(ix)
	}
	return ix
}

// Verify decides whether leaf may be used for a purpose now. The untrusted certificates
// may help to build a path; order and number do not matter. The Path is the proof; the
// error is a [*RejectedError], whose Report says everything [Verifier.Explain] would.
func (v *Verifier) Verify(ctx context.Context, leaf *x509.Certificate, use Purpose, untrusted ...*x509.Certificate) (*Path, error) {
	t, err := v.task(ctx, &Request{Leaf: leaf, Purpose: use, Untrusted: untrusted})
	if err == nil {
		t.search()
		if t.best != nil && t.best.worst() < unknown {
			return t.proof(), nil
		}
	}
	r := t.report(err)
	return nil, &RejectedError{Verdict: r.Verdict, Codes: r.Codes, Report: r}
}

// Explain answers a request and says why: every path tried, every check of each
// ([Report.Checks]), and every answer about revocation with its source and age. It never returns nil. A request that asks for something
// unknown is invalid with code request.unsupported or request.malformed.
func (v *Verifier) Explain(ctx context.Context, q Request) *Report {
	t, err := v.task(ctx, &q)
	if err == nil {
		t.search()
	}
	t.charge()
	r := t.report(err)
	if err == nil && !q.ClaimedTime.IsZero() {
		v.compareClaim(ctx, q, r)
	}
	return r
}

// compareClaim warns where the signer's own idea of the time would change the answer.
func (v *Verifier) compareClaim(ctx context.Context, q Request, r *Report) {
	q.Time, q.ClaimedTime = q.ClaimedTime, time.Time{}
	rev := v.rev
	if q.Revocation != nil {
		rev = *q.Revocation
	}
	rev.Fetcher = nil
	q.Revocation = &rev
	then := v.Explain(ctx, q)
	at := q.Time.UTC().Format(time.DateOnly)
	switch {
	case r.Verdict == invalid && r.Codes[0] == "time.expired" && !slices.Contains(then.Codes, "time.expired"):
		r.warn("time.expired_after_signing", "it had not expired on "+at+", when the signer claims to have signed; nobody vouches for that")
	case r.Verdict == valid && (slices.Contains(then.Codes, "time.expired") || slices.Contains(then.Codes, "time.not_yet_valid")):
		r.warn("time.claim_outside_validity", "the signer claims to have signed on "+at+", when the path was not valid")
	}
}

// A Request is one question. The zero value of every field but Leaf is the default. Of
// certificates only the field Raw is looked at, which is parsed leniently:
// &x509.Certificate{Raw: der} will do.
type Request struct {
	Leaf      *x509.Certificate   // the certificate in question
	Untrusted []*x509.Certificate // may help to build a path; never trusted
	CRLs      [][]byte            // DER; complete, delta, indirect, of version 1 or 2
	OCSP      [][]byte            // DER of OCSPResponse

	// Time is the instant for which everything is judged, instead of the verifier's; a
	// fraction of a second is dropped. It is the caller who vouches for it: a time the
	// signer claims must not stand here.
	Time time.Time
	// Basis says in the report where Time comes from: "now" if Time is zero, otherwise
	// "vouched for by the caller" unless the caller says more, such as "timestamp".
	Basis string
	// EvidenceTime is the instant for which revocation data is judged; zero means Time.
	// With a trusted time in the past and evidence of the present, a certificate that was
	// revoked later counts as good, unless its key is said to have been compromised before.
	// One that has ended in between need not be known at present: what was issued from Time
	// on until its end counts too, and of what is older only "revoked".
	EvidenceTime time.Time
	// ClaimedTime is when the signer says the signature was made. It decides nothing;
	// a warning says if the answer would have been another one then.
	ClaimedTime time.Time

	Purpose Purpose // "" is EmailSigning

	Policies              []string // user-initial-policy-set, dotted; empty: any policy
	RequireExplicitPolicy bool     // initial-explicit-policy
	InhibitAnyPolicy      bool     // initial-any-policy-inhibit
	InhibitPolicyMapping  bool     // initial-policy-mapping-inhibit

	Address   string // mailbox the certificate must name
	DNSName   string // host the certificate must name
	IPAddress string // address the certificate must name
	MaxDepth  *int   // most CAs between leaf and anchor, self-issued ones not counted

	AllowSHA1  bool        // in addition to the verifier's setting
	Revocation *Revocation // instead of the verifier's

	// Budget is what is left of the work for several questions that somebody else asked
	// together, as the signers of one message do, in verifications of an ECDSA signature
	// with P-256. Explain takes what it spent from it. Once nothing is left, answers are
	// indeterminate with code path.budget. nil: every question has a bound of its own.
	Budget *int
}

// A requestError is a question that cannot be asked.
type requestError struct{ code, detail string }

func (e *requestError) Error() string { return e.detail }

// task prepares a question. The task is usable for a report even if err is not nil.
func (v *Verifier) task(ctx context.Context, q *Request) (*task, error) {
	t := &task{v: v, ctx: ctx, req: q, ix: v.members(), purpose: q.Purpose, maxDepth: -1, from: alwaysFrom, until: alwaysUntil, searching: newPurse(maxSignatureWork)}
	t.purse = &t.searching
	t.algorithms = algorithms{legacy: v.AllowSHA1 || q.AllowSHA1, maxRSA: v.MaxRSABits}
	if t.algorithms.maxRSA == 0 {
		t.algorithms.maxRSA = 4096
	}
	if t.purpose == "" {
		t.purpose = EmailSigning
	}
	switch {
	case !q.Time.IsZero():
		t.now = q.Time.Unix()
	case v.Time != nil:
		t.now = v.Time().Unix()
	default:
		t.now = time.Now().Unix()
	}
	if t.present = t.now; !q.EvidenceTime.IsZero() {
		t.present = max(t.now, q.EvidenceTime.Unix())
	}
	if !t.purpose.known() {
		return t, &requestError{"request.unsupported", fmt.Sprintf("unknown purpose %q", string(q.Purpose))}
	}
	if q.MaxDepth != nil {
		if *q.MaxDepth < 0 {
			return t, &requestError{"request.malformed", fmt.Sprintf("a path of at most %d CAs", *q.MaxDepth)}
		}
		t.maxDepth = *q.MaxDepth
	}
	t.policies = policyInput{explicit: q.RequireExplicitPolicy, inhibitMapping: q.InhibitPolicyMapping, inhibitAnyInitial: q.InhibitAnyPolicy}
	for _, p := range q.Policies {
		id, err := oid.Parse(p)
		if err != nil {
			return t, &requestError{"request.malformed", fmt.Sprintf("policy %q is no object identifier", p)}
		}
		t.policies.initial = append(t.policies.initial, id)
	}
	if slices.Contains(t.policies.initial, oid.AnyPolicy) {
		t.policies.initial = nil
	}
	if q.Leaf == nil {
		return t, &requestError{"request.malformed", "no certificate to judge"}
	}
	leaf, err := nodeOf(q.Leaf, fromMessage)
	if err != nil {
		return t, err
	}
	t.leaf = leaf
	if q.Budget != nil && *q.Budget <= 0 {
		t.gaveUp = "what came with it took too much work"
		return t, nil
	}
	if known := t.ix.bySum[leaf.sum]; known != nil && known.origin == fromAnchors {
		t.leafIsAnchor = true
	}
	if len(q.Untrusted) > 0 {
		t.sums = make([][32]byte, len(q.Untrusted))
		for i, c := range q.Untrusted {
			if c != nil {
				t.sums[i] = sha256.Sum256(c.Raw)
			}
		}
	}
	t.asked, t.memorable = t.askedAs()
	return t, nil
}

// collect indexes what came with the message, without what the collection has already. It
// does so once.
func (t *task) collect() {
	if t.collected {
		return
	}
	t.collected = true
	for i, c := range t.req.Untrusted {
		if c == nil {
			t.early.add(warning, nil, "parse.ignored", "a certificate of the message cannot be read: "+errNoCertificate.Error())
			continue
		}
		if sum := t.sums[i]; t.ix.bySum[sum] != nil || sum == t.leaf.sum {
			continue
		}
		n, err := nodeWithSum(c, t.sums[i], fromMessage)
		if err != nil {
			t.early.add(warning, nil, "parse.ignored", "a certificate of the message cannot be read: "+err.Error())
			continue
		}
		t.addUntrusted(n)
	}
	for name := range t.bag {
		slices.SortFunc(t.bag[name], order)
	}
}

func (t *task) addUntrusted(n *node) bool {
	if t.ix.bySum[n.sum] != nil || n.sum == t.leaf.sum || slices.ContainsFunc(t.bag[n.Subject], func(o *node) bool { return o.sum == n.sum }) {
		return false
	}
	if t.bag == nil {
		t.bag = map[string][]*node{}
	}
	t.bag[n.Subject] = append(t.bag[n.Subject], n)
	return true
}

// charge takes what the question cost from a shared budget: signatures and, by the time
// they take, the partial paths and the comparisons of names, and reading what came with it:
// long names take long to prepare for comparison.
func (t *task) charge() {
	if t.req.Budget == nil {
		return
	}
	size := 0
	for _, list := range [][][]byte{t.req.CRLs, t.req.OCSP} {
		for _, der := range list {
			size += len(der)
		}
	}
	names := 0
	for _, c := range t.req.Untrusted {
		if c != nil {
			names += (len(c.RawIssuer) + len(c.RawSubject)) >> 7
		}
	}
	work := t.searching.work
	if t.evidence != nil {
		work += t.evidence.purse.work
	}
	*t.req.Budget -= work/10 + t.steps/8 + t.comparisons/512 + len(t.req.Untrusted)/2 + names + size>>16
}
