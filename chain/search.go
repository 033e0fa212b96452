package chain

import (
	"bytes"
	"context"

	"github.com/postseal/postseal/internal/oid"
)

// Bounds of one search. Signature work is counted, not timed, so that the same question
// always gets the same answer.
const (
	maxSignatureWork = 2048 * 10 // tenths of a P-256 verification: about 0.15 s
	// The same for revocation, which the search cannot spend: a list and a response for each
	// of four certificates take 1600 of it with Ed448, the slowest there is.
	maxEvidenceWork = 2048 * 10
	maxSteps        = 8192 // partial paths looked at
	maxDepth        = 32   // certificates in a path
	maxTried        = 32   // paths a report tells of
	maxFaultySteps  = 256  // partial paths looked at once no clean one is left
	maxGroups       = 2048 // names reached from the leaf
)

// A task is one question on its way to an answer.
type task struct {
	v          *Verifier
	ctx        context.Context
	req        *Request
	ix         *index
	bag        map[string][]*node
	purpose    Purpose
	algorithms algorithms
	policies   policyInput
	now        int64 // the instant certificates are judged for
	present    int64 // the instant revocation data is judged for
	maxDepth   int   // most CAs between leaf and anchor; -1: any

	leaf         *node
	sums         [][32]byte // SHA-256 of each certificate in req.Untrusted
	collected    bool       // they are in the bag
	leafIsAnchor bool
	asked        question
	memorable    bool  // the answer may be remembered, or have been
	from, until  int64 // the time between which this search goes the same way
	only         *node // the one anchor that counts; nil: any
	groups       []group
	firstGroups  [4]group // room for most questions, as in what else is first
	firstSteps   [4]step
	firstQueue   [4]*step
	firstOutcome outcome
	usedSteps    int
	byName       map[string]int32 // index into groups, once there are many
	broken       map[*node]bool   // certificates that cannot be in a clean path
	failed       map[*node]int    // how many candidates did not sign a certificate
	dirty        bool             // broken has grown since the clean distances were measured

	queue       []*step
	climbing    bool // no anchor is in reach: the longest path is wanted
	seq         int
	searching   purse
	purse       *purse // what is spent from: searching, or that of the evidence
	comparisons int
	steps       int
	early       notes // about the request and what came with it
	tried       []*outcome
	best        *outcome
	gaveUp      string // which bound was hit
	evidence    *evidence
}

// A step is a partial path from the leaf up to n.
type step struct {
	n       *node
	below   *step
	length  int   // certificates so far
	cas     int   // of these, issuers that are not self-issued
	own     notes // about n in this place
	penalty int   // faults in the path so far, those foreseen included
	credit  int   // of these, faults that were foreseen and have not been met
	rank    int   // key identifiers that do not match
	seq     int
	checked bool // the signature of below verifies with n's key, or the failure is in own
	weighed bool // constraints that waited for the path to be complete were looked at
}

// step returns a new step.
func (t *task) step() *step {
	if t.usedSteps == len(t.firstSteps) {
		return new(step)
	}
	t.usedSteps++
	return &t.firstSteps[t.usedSteps-1]
}

// outcome returns a new outcome.
func (t *task) outcome(o outcome) *outcome {
	if t.firstOutcome.top != nil {
		return &o
	}
	t.firstOutcome = o
	return &t.firstOutcome
}

// charge adds faults to the penalty, those that were foreseen first.
func (s *step) charge(faults int) {
	used := min(faults, s.credit)
	s.credit -= used
	s.penalty += faults - used
}

func (s *step) anchor() bool { return s.n.origin == fromAnchors }

// path returns the certificates, leaf first.
func (s *step) path() []*node {
	out := make([]*node, s.length)
	for i := s.length - 1; s != nil; s, i = s.below, i-1 {
		out[i] = s.n
	}
	return out
}

// An outcome is a path that was judged.
type outcome struct {
	top      *step
	path     []*node // leaf first; nil until asked for
	notes    notes
	complete bool
	policies []oid.OID
	rev      []*status
}

func (o *outcome) worst() level { return o.notes.worst() }

func (o *outcome) faults() (n int) {
	for i := range o.notes {
		if o.notes[i].level == fault {
			n++
		}
	}
	return n
}

// better orders outcomes: valid, indeterminate, invalid; then complete before not; then
// fewer faults; then longer if incomplete. Ties go to the earlier one.
func (o *outcome) better(than *outcome) bool {
	if than == nil {
		return true
	}
	if a, b := o.worst(), than.worst(); max(a, warning) != max(b, warning) {
		return a < b
	}
	if o.complete != than.complete {
		return o.complete
	}
	if a, b := o.faults(), than.faults(); a != b {
		return a < b
	}
	return !o.complete && o.top.length > than.top.length
}

// run searches for a path and leaves the best outcome in t.best.
func (t *task) run() {
	root := t.step()
	*root = step{n: t.leaf, length: 1, checked: true, own: t.judge(t.leaf, leafRole)}
	t.judgeLeaf(&root.own)
	if t.leafIsAnchor {
		if l := t.ix.bySum[t.leaf.sum].limits; l != nil {
			t.limit(root, l)
		}
		t.complete(root)
		return
	}
	t.survey()
	if g := t.group(t.leaf.Issuer); g == nil || g.dist == 0 {
		t.climb(root)
		return
	}
	t.extend(root, true)
	faulty := 0
	for t.best == nil || t.best.worst() >= unknown {
		s := t.pop()
		if s == nil {
			return
		}
		if s.penalty > 0 {
			// No clean path is left: what follows only finds the best explanation.
			if t.best != nil && t.best.penalty() <= s.penalty {
				return
			}
			if faulty++; faulty > maxFaultySteps {
				t.settle(s)
				return
			}
		}
		if t.steps++; t.steps > maxSteps && t.gaveUp == "" {
			t.gaveUp = "too many partial paths"
		}
		if t.gaveUp == "" && t.ctx.Err() != nil {
			t.gaveUp = t.ctx.Err().Error()
		}
		if t.gaveUp != "" {
			if t.best != nil || s.penalty == 0 {
				return
			}
		}
		t.visit(s)
	}
}

// linkFault is the penalty of a signature that does not verify: a certificate that is
// merely expired explains more.
const linkFault = 2

// settle ends a search for an explanation that takes too long with the best path in the
// queue that has reached an anchor.
func (t *task) settle(s *step) {
	for ; s != nil && t.best == nil; s = t.pop() {
		if s.anchor() && s.checked {
			t.complete(s)
		}
	}
}

// penalty of an outcome, comparable with that of a step.
func (o *outcome) penalty() int {
	if o.worst() < fault {
		return 1 // only better paths are of interest, and those have none
	}
	return max(o.top.penalty, 1)
}

// visit checks the signature that leads to s and goes on from there.
func (t *task) visit(s *step) {
	if s.penalty == 0 && !s.anchor() && !t.cleanly(s.n) {
		s.penalty, s.credit = linkFault, linkFault
		t.push(s)
		return
	}
	if !s.checked {
		s.checked = true
		if code, detail := t.link(s.below.n, s.n); code != "" {
			s.own.fault(s.below.n, code, detail)
			t.severed(s.below.n)
			s.charge(linkFault)
			t.push(s)
			return
		}
	}
	if s.anchor() {
		t.complete(s)
		return
	}
	t.extend(s, true)
}

// extend pushes every candidate for the issuer of s.n.
func (t *task) extend(s *step, reaching bool) int {
	g := t.group(s.n.Issuer)
	if g == nil {
		return 0
	}
	if s.length >= maxDepth {
		if t.gaveUp == "" && s.penalty == 0 && !t.climbing {
			t.gaveUp = "a path is longer than is looked at"
		}
		return 0
	}
	pushed := 0
	for _, c := range g.list {
		if s.repeats(c) {
			continue
		}
		r := issuerRole
		if c.origin == fromAnchors {
			if t.only != nil && t.only != c {
				continue
			}
			r = anchorRole
		} else if reaching && t.distance(c) == 0 {
			continue
		}
		next := t.step()
		*next = step{n: c, below: s, length: s.length + 1, cas: s.cas, penalty: s.penalty, credit: s.credit, rank: s.rank, seq: t.seq}
		t.seq++
		if next.own = t.judge(c, r); next.own.worst() == fault {
			t.spoil(c)
		}
		t.place(next, r)
		if r != anchorRole && !c.SelfIssued() {
			next.cas++
		}
		for i := range next.own {
			if next.own[i].level == fault {
				next.charge(1)
			}
		}
		if s.n.AKI != nil && c.SKI != nil && !bytes.Equal(s.n.AKI, c.SKI) {
			next.rank++
		}
		t.push(next)
		pushed++
	}
	return pushed
}

// spoil notes that c cannot be in a clean path, whatever stands below it.
func (t *task) spoil(c *node) {
	if !t.broken[c] {
		if t.broken == nil {
			t.broken, t.failed = map[*node]bool{}, map[*node]int{}
		}
		t.broken[c], t.dirty = true, true
	}
}

// severed notes that one more candidate did not sign c. When none is left, c leads
// nowhere: without this, a mesh of CAs would be walked in every order.
func (t *task) severed(c *node) {
	if t.failed == nil {
		t.broken, t.failed = map[*node]bool{}, map[*node]int{}
	}
	if t.failed[c]++; t.failed[c] >= len(t.group(c.Issuer).list) {
		t.spoil(c)
	}
}

// cleanly reports whether issuers of n without known fault lead to an anchor.
func (t *task) cleanly(n *node) bool {
	if t.dirty {
		t.dirty = false
		t.measure(true)
	}
	g := t.group(n.Issuer)
	return g != nil && g.clean > 0
}

// repeats reports whether c is already in the path, as a certificate or as the same
// entity: RFC 5280, Section 6.1 wants no certificate twice, and an entity certified
// twice only adds a loop. The leaf may certify an older key of its issuer.
func (s *step) repeats(c *node) bool {
	for ; s != nil; s = s.below {
		if s.n == c || s.n.sum == c.sum || s.below != nil && s.n.sameEntity(c) {
			return true
		}
	}
	return false
}

// place checks what depends on the certificates below s.n: path length, depth and, mostly,
// name constraints (RFC 5280, Sections 6.1.3 (b) and (c) and 6.1.4 (l) and (m)).
func (t *task) place(s *step, r role) {
	if n := s.n; n.PathLen >= 0 && s.cas > n.PathLen {
		s.own.fault(n, "ca.path_len", "more CAs stand below it than its basicConstraints allow")
		if g := t.group(n.Subject); g != nil && g.level > n.PathLen {
			t.spoil(n)
		}
	}
	between := s.cas
	if r != anchorRole && !s.n.SelfIssued() {
		between++
	}
	if t.maxDepth >= 0 && between > t.maxDepth {
		s.own.fault(s.n, "path.depth", "more CAs than asked for stand between leaf and anchor")
	}
	if s.n.limits != nil {
		t.limit(s, s.n.limits)
	}
	if !s.n.weighty() {
		t.constrain(s)
	}
}

// maxEarlyConstraints bounds the octets of name constraints that are looked at before anybody
// is known to have signed them.
const maxEarlyConstraints = 2048

// weighty reports whether the constraints of n wait until the path is complete: anybody can
// make a certificate with thousands, and so many that nothing is left for the genuine ones.
func (n *node) weighty() bool {
	return n.origin > fromCollection && len(n.NameConstraints) > maxEarlyConstraints
}

// constrain checks the names below s.n against its constraints.
func (t *task) constrain(s *step) {
	nc := s.n.namesBelow()
	if nc.none {
		return
	}
	for b := s.below; b != nil; b = b.below {
		if b.below != nil && b.n.SelfIssued() {
			continue
		}
		if code, detail := nc.check(&b.n.Certificate, &t.comparisons); code != "" {
			s.own.fault(b.n, code, detail+" ("+subjectText(s.n)+")")
			if b.below == nil {
				t.spoil(s.n) // the leaf is in every path
			}
			return
		}
	}
}

// link checks that issuer signed child. The answer is remembered across calls.
func (t *task) link(child, issuer *node) (code, detail string) {
	if code, _ := t.algorithms.size(issuer.rsaBits); code != "" {
		return "", "" // noted where the key stands; no arithmetic with it
	}
	key := issuer.publicKey()
	if key.inherits || key.err != nil {
		return "", "" // known when the path is complete, or noted where the key stands
	}
	if code, _ := t.algorithms.signature(child.Algorithm); code != "" && code != "alg.legacy" {
		return "", "" // noted with the child
	}
	edge := edge{child.sum, key.sum}
	if !t.purse.pay(edge, key.cost) {
		if t.gaveUp == "" {
			t.gaveUp = "too many signatures to check"
		}
		return "sig.invalid", "its signature was not checked: too many candidates"
	}
	err, known := t.v.edges.get(edge)
	if !known {
		err = key.verify(child.Algorithm, child.RawTBS, child.Signature)
		t.v.edges.put(edge, err)
	}
	return signatureCode(err, issuer)
}

// climb follows the issuers as far as they go where no anchor can be reached by names,
// to say where the path ends. The longest path without fault explains best.
func (t *task) climb(root *step) {
	if t.climbing = true; t.gaveUp == "" {
		// The answer is certain; only its explanation is cut short.
		defer func() { t.gaveUp = "" }()
	}
	t.push(root)
	for range maxFaultySteps {
		s := t.pop()
		if s == nil || t.gaveUp != "" && t.best != nil || t.best != nil && t.best.top.penalty <= s.penalty {
			return
		}
		if !s.checked {
			s.checked = true
			if code, detail := t.link(s.below.n, s.n); code != "" {
				s.own.fault(s.below.n, code, detail)
				s.charge(linkFault)
				t.push(s)
				continue
			}
		}
		if t.extend(s, false) == 0 {
			t.summit(s)
		}
	}
}

// summit records a path that goes no further and leads to no anchor.
func (t *task) summit(s *step) {
	o := &outcome{top: s, notes: s.collect()}
	g := t.group(s.n.Issuer)
	switch {
	case s.n.SelfIssued():
		o.notes.fault(s.n, "path.untrusted_self_signed", "it is self-signed and not among the anchors")
	case g == nil || len(g.list) == 0:
		o.notes.fault(s.n, "path.no_issuer", "no certificate of its issuer "+nameText(s.n.RawIssuer)+" is at hand")
	}
	o.notes.fault(nil, "path.no_anchor", "no path leads to an anchor")
	t.finish(o)
}

// collect returns the notes of the whole path.
func (s *step) collect() notes {
	var all notes
	for ; s != nil; s = s.below {
		all = append(all, s.own...)
	}
	return all
}

// finish records an outcome. The best is always among those that are told.
func (t *task) finish(o *outcome) {
	better := o.better(t.best)
	switch {
	case len(t.tried) < maxTried:
		t.tried = append(t.tried, o)
	case better:
		t.tried[maxTried-1] = o
	}
	if better {
		t.best = o
	}
}

// push and pop keep a heap with the most promising step on top.
func (t *task) push(s *step) {
	if t.queue == nil {
		t.queue = t.firstQueue[:0]
	}
	q := append(t.queue, s)
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 2
		if !t.before(q[i], q[up]) {
			break
		}
		q[i], q[up] = q[up], q[i]
		i = up
	}
	t.queue = q
}

func (t *task) pop() *step {
	q := t.queue
	if len(q) == 0 {
		return nil
	}
	top := q[0]
	last := len(q) - 1
	q[0], q[last] = q[last], nil
	q = q[:last]
	for i := 0; ; {
		small := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if t.before(q[c], q[small]) {
				small = c
			}
		}
		if small == i {
			break
		}
		q[i], q[small] = q[small], q[i]
		i = small
	}
	t.queue = q
	return top
}

// before orders steps: fewest faults, shortest way to an anchor, matching key
// identifier, then the order of discovery.
func (t *task) before(a, b *step) bool {
	if a.penalty != b.penalty {
		return a.penalty < b.penalty
	}
	if t.climbing && a.length != b.length {
		return a.length > b.length
	}
	if x, y := a.length+t.distance(a.n), b.length+t.distance(b.n); x != y {
		return x < y
	}
	if a.rank != b.rank && a.penalty == 0 {
		return a.rank < b.rank
	}
	if a.length != b.length {
		return a.length > b.length
	}
	if a.rank != b.rank {
		return a.rank < b.rank
	}
	return a.seq < b.seq
}
