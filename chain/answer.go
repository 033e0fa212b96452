package chain

import (
	"crypto/sha256"
	"math"
	"strings"

	"github.com/postseal/postseal/internal/oid"
)

// A question is everything that a search depends on, but for three things: the collection,
// because every index of one has a memo of its own; the time, for which an answer has a
// window; and revocation, which is judged anew for every path that is remembered.
type question struct {
	leaf      [32]byte // SHA-256 of the certificate in question
	untrusted [32]byte // of the digests of what came with it, in order; zero if nothing did
	purpose   Purpose

	policies                    string // separated by blanks
	explicit, noMapping, noAny  bool
	legacy, expiredAnchors      bool
	maxRSA, maxDepth            int
	address, dnsName, ipAddress string
}

// maxQuestion bounds the text of a question that is remembered.
const maxQuestion = 1024

// An answer is the first path of a search that reached an anchor, if nothing spoke against
// it and nothing else had been tried before.
type answer struct {
	from, until int64 // no certificate that was looked at begins or ends in between
	path        []place
	notes       []placedNote
	policies    []oid.OID
	work        int
	steps       int
	comparisons int
}

// A place is a certificate of a remembered path: the leaf, a member of the collection, or
// one that came with the message and will have come again.
type place struct {
	member    *node // nil if the certificate came with the question
	untrusted int   // position in Request.Untrusted; -1: the leaf
}

// A placedNote is a note about the certificate at a place of the path, -1: about none.
type placedNote struct {
	note
	place int
}

// askedAs returns the question of t as a key, and false if answers to it are not kept.
func (t *task) askedAs() (question, bool) {
	q := t.req
	k := question{
		leaf: t.leaf.sum, purpose: t.purpose, explicit: q.RequireExplicitPolicy, noMapping: q.InhibitPolicyMapping, noAny: q.InhibitAnyPolicy,
		legacy: t.algorithms.legacy, expiredAnchors: t.v.AllowExpiredAnchors, maxRSA: t.algorithms.maxRSA, maxDepth: t.maxDepth,
		address: q.Address, dnsName: q.DNSName, ipAddress: q.IPAddress,
	}
	if len(q.Policies) > 0 {
		k.policies = strings.Join(q.Policies, " ")
	}
	if len(k.policies)+len(k.address)+len(k.dnsName)+len(k.ipAddress) > maxQuestion {
		return k, false
	}
	if len(t.sums) > 0 {
		h := sha256.New()
		for i := range t.sums {
			h.Write(t.sums[i][:])
		}
		h.Sum(k.untrusted[:0])
	}
	return k, true
}

// within narrows the time for which the search goes as it does now.
func (t *task) within(begin, end int64) {
	switch {
	case t.now < begin:
		t.until = min(t.until, begin-1)
	case t.now > end:
		t.from = max(t.from, end+1)
	default:
		t.from, t.until = max(t.from, begin), min(t.until, end)
	}
}

// remember keeps the first outcome of a search, before revocation was looked at.
func (t *task) remember(o *outcome, path []*node) {
	if !t.memorable || len(t.tried) > 0 || len(t.early) > 0 || t.gaveUp != "" || o.notes.worst() > warning {
		return
	}
	a := &answer{from: t.from, until: t.until, path: make([]place, len(path)), policies: o.policies, work: t.searching.work, steps: t.steps, comparisons: t.comparisons}
	for i, n := range path {
		switch {
		case i == 0:
			a.path[i].untrusted = -1
		case t.ix.bySum[n.sum] == n:
			a.path[i].member = n
		default:
			for a.path[i].untrusted = 0; t.sums[a.path[i].untrusted] != n.sum; a.path[i].untrusted++ {
			}
		}
	}
	for _, n := range o.notes {
		p := placedNote{n, -1}
		for i := range path {
			if n.at == path[i] {
				p.place = i
			}
		}
		if p.at != nil && p.place < 0 {
			return
		}
		p.at = nil
		a.notes = append(a.notes, p)
	}
	t.ix.answers.put(t.asked, a)
}

// replay answers from memory: the path is the one a search would find first, and its
// revocation is judged as it would be then. Where that stands against it, the search has to
// go on, and replay reports false.
func (t *task) replay() bool {
	if !t.memorable || t.ctx.Err() != nil {
		return false
	}
	a, ok := t.ix.answers.get(t.asked)
	if !ok || t.now < a.from || t.now > a.until {
		return false
	}
	if t.wantsEvidence() {
		t.collect()
	}
	path := make([]*node, len(a.path))
	var top *step
	for i, p := range a.path {
		if path[i] = t.at(p); path[i] == nil {
			return false
		}
		top = &step{n: path[i], below: top, length: i + 1, checked: true}
	}
	o := &outcome{top: top, path: path, complete: true, policies: a.policies}
	for _, n := range a.notes {
		if n.place >= 0 {
			n.at = path[n.place]
		}
		o.notes = append(o.notes, n.note)
	}
	t.searching.work, t.steps, t.comparisons = a.work, a.steps, a.comparisons
	t.revocation(path, o)
	if o.notes.worst() >= unknown {
		t.searching, t.steps, t.comparisons, t.gaveUp = newPurse(maxSignatureWork), 0, 0, ""
		if t.evidence != nil {
			t.evidence.purse = newPurse(maxEvidenceWork)
			clear(t.evidence.statuses)
			clear(t.evidence.signers)
		}
		return false
	}
	t.finish(o)
	return true
}

// at returns the certificate at a place; nil if it cannot be read, which cannot be.
func (t *task) at(p place) *node {
	switch {
	case p.member != nil:
		return p.member
	case p.untrusted < 0:
		return t.leaf
	}
	sum := t.sums[p.untrusted]
	for _, set := range t.bag {
		for _, n := range set {
			if n.sum == sum {
				return n
			}
		}
	}
	n, _ := nodeWithSum(t.req.Untrusted[p.untrusted], sum, fromMessage)
	return n
}

// wantsEvidence reports whether judging revocation may look at certificates of the message:
// for who signed a list or a response.
func (t *task) wantsEvidence() bool {
	rev := t.rev()
	return !rev.InsecureOff && (rev.Fetcher != nil || rev.Store != nil || len(t.req.CRLs)+len(t.req.OCSP)+len(rev.CRLs)+len(rev.OCSP) > 0)
}

// always is the window of a search that has looked at no certificate yet.
const (
	alwaysFrom  = math.MinInt64
	alwaysUntil = math.MaxInt64
)

// paid lists the signatures that a question has been charged for: each once, and whether
// its verification was remembered or not, so that no bound depends on what was asked before.
type paid struct {
	few  [6]edge // room for most questions
	n    int
	more map[edge]bool
}

func (p *paid) add(e edge) (first bool) {
	for i := range p.few[:p.n] {
		if p.few[i] == e {
			return false
		}
	}
	if p.n < len(p.few) {
		p.few[p.n] = e
		p.n++
		return true
	}
	if p.more[e] {
		return false
	}
	if p.more == nil {
		p.more = map[edge]bool{}
	}
	p.more[e] = true
	return true
}

// A purse is work that may be done, in tenths of a P-256 verification. The search for a path
// and what is learned about revocation have one each: whoever sends decoys along spends the
// first and must not leave a list at hand unread for it.
type purse struct {
	work, most int
	refused    int // verifications that were not made, and searches that did not end
	paid       paid
}

func newPurse(most int) purse { return purse{most: most} }

// spend charges for work and reports whether it may be done.
func (p *purse) spend(cost int) bool {
	if p.work += cost; p.work > p.most {
		p.refused++
		return false
	}
	return true
}

// pay charges for one verification and reports whether it may be made.
func (p *purse) pay(e edge, cost int) bool {
	if !p.paid.add(e) {
		cost = 0
	}
	return p.spend(cost)
}
