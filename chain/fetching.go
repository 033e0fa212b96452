package chain

import (
	"bytes"
	"context"
	"crypto/rand"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/bundle"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// Bounds of the network use of one question.
const (
	maxFetches       = 8
	maxIssuerFetches = 3
	maxParallel      = 4
	maxStoreRounds   = 8 // times the store is asked for a missing issuer
	nonceLength      = 32
)

// Bounds of the use of a store of revocation data by one question: how often it is asked,
// and how much of one answer is looked at. fromStoreText is where that came from.
const (
	maxStoreQuestions = 256
	maxStored         = 64
	fromStoreText     = "the store"
)

// A job is one fetch.
type job struct {
	kind    string // "crl", "ocsp" or "issuer"
	url     string
	request []byte
	nonce   []byte
	data    []byte
	err     error
}

// failure says from where nothing came and why, for people. The address stands in a
// certificate that anybody may have made, and errors repeat it.
func (j *job) failure() string {
	return printable(j.url) + ": " + printable(strings.Replace(j.err.Error(), j.url+": ", "", 1))
}

// fetchStatuses gets what is missing for the certificates of a path whose status is not
// known: OCSP answers first, lists for those that are still in the dark. The path has been
// verified up to an anchor, so the addresses come from CAs and not from who wrote the mail.
func (t *task) fetchStatuses(path []*node, missing func() []int) {
	for _, round := range []func(*node, *node) []*job{t.ocspJobs, t.crlJobs} {
		var jobs []*job
		for _, i := range missing() {
			jobs = append(jobs, round(path[i], path[i+1])...)
		}
		for _, j := range t.fetch(jobs) {
			t.useFetched(j)
		}
	}
}

// askStatusStore gets what the store has about the certificates of a path: the responses
// about each, and the lists of every name that may have issued one.
func (t *task) askStatusStore(path []*node) {
	e, store := t.evidence, t.rev().Store
	if e.stored == nil {
		e.stored = map[string]bool{}
	}
	take := func(key string, answers iter.Seq2[[]byte, error], add func(der []byte)) {
		if e.stored[key] || len(e.stored) >= maxStoreQuestions {
			return
		}
		e.stored[key] = true
		n := 0
		for der, err := range answers {
			if err != nil {
				t.early.add(warning, nil, "rev.store_failed", "the store of revocation data failed: "+printable(err.Error()))
				return
			}
			add(der)
			if n++; n == maxStored {
				return
			}
		}
	}
	lists := func(name []byte) {
		take("crl"+string(name), store.CRLs(t.ctx, name), func(der []byte) { t.addCRL(der, fromStoreText) })
	}
	for i, c := range path[:len(path)-1] {
		take("ocsp"+string(c.sum[:]), store.OCSP(t.ctx, c.x509()), func(der []byte) { t.addResponse(der, fromStoreText) })
		lists(c.RawIssuer)
		lists(path[i+1].RawSubject)
		for p := range pkix.Points(c.DistributionPoints) {
			if !p.HasIssuer {
				continue
			}
			for form, v := range p.CRLIssuer {
				if form == pkix.DirectoryName {
					lists(v)
				}
			}
		}
	}
}

// useFetched adds what a job brought to the evidence.
func (t *task) useFetched(j *job) {
	e := t.evidence
	clear(e.signers)
	switch {
	case j.err != nil:
		e.failures = append(e.failures, "from "+j.failure())
	case j.kind == "crl":
		if c := t.addCRL(j.data, j.url); c != nil {
			c.jobs = append(c.jobs, j)
		}
	case j.kind == "ocsp":
		if r := t.addResponse(j.data, j.url); r != nil {
			r.badNonce = j.nonce != nil && !bytes.Equal(r.Nonce, j.nonce)
			r.jobs = append(r.jobs, j)
		}
	}
}

// verified tells the Fetcher, if it wants to know, that what jobs brought is signed by who
// may sign it, once for each of them.
func (t *task) verified(jobs *[]*job) {
	f, ok := t.rev().Fetcher.(interface {
		Verified(kind, url string, request, data []byte)
	})
	if ok {
		for _, j := range *jobs {
			f.Verified(j.kind, j.url, j.request, j.data)
		}
	}
	*jobs = nil
}

// ocspJobs asks every responder that c names about c.
func (t *task) ocspJobs(c, issuer *node) (jobs []*job) {
	for method, uri := range pkix.Access(c.InfoAccess) {
		if oid.OID(method) != oid.AccessOCSP || !fetchable(uri) {
			continue
		}
		// SHA-1 names the issuer here and protects nothing; it is what every responder knows.
		name, key := certID(oid.SHA1, c, issuer)
		var nonce []byte
		if t.rev().Nonce {
			nonce = make([]byte, nonceLength)
			rand.Read(nonce)
		}
		jobs = append(jobs, &job{kind: "ocsp", url: uri, request: pkix.OCSPRequest(oid.SHA1, name, key, c.Serial, nonce), nonce: nonce})
	}
	return jobs
}

// crlJobs gets the lists, and their deltas, that c names.
func (t *task) crlJobs(c, _ *node) (jobs []*job) {
	for _, value := range [][]byte{c.DistributionPoints, c.FreshestCRL} {
		for p := range pkix.Points(value) {
			for form, v := range p.FullName {
				if form == pkix.URI && fetchable(string(v)) {
					jobs = append(jobs, &job{kind: "crl", url: string(v)})
				}
			}
		}
	}
	return jobs
}

// fetchable leaves ldap pointers and the like alone; the Fetcher decides about the rest.
func fetchable(uri string) bool {
	scheme, _, ok := strings.Cut(uri, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// fetch runs the jobs side by side, each address once per question, within the bounds of
// number and time. It returns those that were run.
func (t *task) fetch(jobs []*job) (done []*job) {
	e, rev := t.evidence, t.rev()
	if e.deadline.IsZero() {
		total := rev.PerVerification
		if total <= 0 {
			total = 15 * time.Second
		}
		e.deadline = time.Now().Add(total)
		e.fetched = map[string]bool{}
	}
	one := rev.PerFetch
	if one <= 0 {
		one = 5 * time.Second
	}
	for _, j := range jobs {
		key := j.kind + j.url
		if j.kind == "ocsp" && j.nonce == nil {
			key += string(j.request)
		}
		if e.left > 0 && !e.fetched[key] {
			e.fetched[key] = true
			e.left--
			done = append(done, j)
		}
	}
	ctx, cancel := context.WithDeadline(t.ctx, e.deadline)
	defer cancel()
	slots := make(chan struct{}, maxParallel)
	var wg sync.WaitGroup
	for _, j := range done {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, one)
			defer cancel()
			j.data, j.err = rev.Fetcher.Fetch(ctx, j.kind, j.url, j.request)
		})
	}
	wg.Wait()
	return done
}

// search looks for a path with what is at hand, then with what the store has, and last,
// if that is wanted, with issuers fetched from where certificates say they are.
func (t *task) search() {
	if t.gaveUp != "" {
		return // before it began
	}
	if t.replay() {
		return
	}
	t.collect()
	t.run()
	for range maxStoreRounds {
		if t.v.Intermediates == nil || !t.askStore() {
			break
		}
		t.again()
	}
	rev := t.rev()
	if rev.Fetcher == nil || !rev.FetchIssuers || rev.InsecureOff && t.best != nil && t.best.worst() < unknown {
		return
	}
	for range maxIssuerFetches {
		if !t.fetchIssuers() {
			break
		}
		t.again()
	}
	t.verifiedIssuers()
}

// verifiedIssuers tells the Fetcher which issuers it got stand on a path to an anchor.
func (t *task) verifiedIssuers() {
	if t.evidence == nil || t.best == nil || !t.best.complete || t.best.worst() >= fault {
		return
	}
	for _, n := range t.best.top.path() {
		if j := t.evidence.issuers[n.sum]; j != nil {
			t.verified(&[]*job{j})
		}
	}
}

// again forgets what depended on the certificates at hand and searches anew.
func (t *task) again() {
	evidence := t.evidence
	*t = task{
		v: t.v, ctx: t.ctx, req: t.req, ix: t.ix, bag: t.bag, purpose: t.purpose, algorithms: t.algorithms, policies: t.policies, now: t.now, present: t.present,
		maxDepth: t.maxDepth, leaf: t.leaf, sums: t.sums, collected: t.collected, leafIsAnchor: t.leafIsAnchor, early: t.early, searching: t.searching, purse: t.purse, evidence: evidence,
	}
	if evidence != nil {
		clear(evidence.statuses)
		clear(evidence.signers)
	}
	t.run()
}

// lacking returns the certificates of the best path whose issuer was not found.
func (t *task) lacking() (list []*node) {
	if t.best == nil || t.best.worst() < fault {
		return nil
	}
	for _, n := range t.best.notes {
		if n.at == nil {
			continue
		}
		switch n.code {
		case "path.no_issuer", "path.untrusted_self_signed", "sig.invalid":
			list = append(list, n.at)
		}
	}
	if !t.best.complete && len(list) == 0 {
		list = append(list, t.best.top.n)
	}
	return list
}

// askStore looks for missing issuers in the store and reports whether anything new came.
func (t *task) askStore() (found bool) {
	for _, n := range t.lacking() {
		for e, err := range t.v.Intermediates.Certificates(t.ctx, certstore.RawSubject(n.RawIssuer)) {
			if err != nil {
				t.early.add(warning, nil, "path.store", "the store of intermediates failed: "+printable(err.Error()))
				break
			}
			if c, err := nodeOf(e.Certificate, fromStore); err == nil && c.Subject == n.Issuer && t.addUntrusted(c) {
				found = true
			}
		}
	}
	return found
}

// fetchIssuers follows the caIssuers addresses of certificates whose issuer is missing.
func (t *task) fetchIssuers() (found bool) {
	var jobs []*job
	for _, n := range t.lacking() {
		for method, uri := range pkix.Access(n.InfoAccess) {
			if oid.OID(method) == oid.AccessCAIssuers && fetchable(uri) {
				jobs = append(jobs, &job{kind: "issuer", url: uri})
			}
		}
	}
	if len(jobs) == 0 {
		return false
	}
	t.known()
	for _, j := range t.fetch(jobs[:min(len(jobs), maxIssuerFetches)]) {
		if j.err != nil {
			t.early.add(warning, nil, "path.fetch_failed", "an issuer could not be fetched from "+j.failure())
			continue
		}
		b, err := bundle.Parse(j.data)
		if err != nil {
			t.early.add(warning, nil, "path.fetch_failed", "no certificate came from "+printable(j.url))
			continue
		}
		for _, c := range b.Certificates[:min(len(b.Certificates), 16)] {
			n, err := nodeOf(c, fromNetwork)
			if err != nil {
				continue
			}
			if t.evidence.issuers[n.sum] == nil {
				t.evidence.issuers[n.sum] = j
			}
			if t.addUntrusted(n) {
				found = true
			}
		}
	}
	return found
}
