package smime

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mailbox"
)

// A Resolver finds the certificates to encrypt to. It asks a store, has package chain judge
// what comes back, and ranks the rest. A Resolver is safe for concurrent use once its
// fields are set, as far as its store and functions are.
type Resolver struct {
	// Store is asked for certificates; see certstore.Multi for several. Required.
	Store certstore.Store
	// Chain judges them. Required: a directory vouches for nothing.
	Chain *chain.Verifier

	// Pinned are certificates the user chose by hand. They rank first for the mailboxes
	// they name, and are judged like all others.
	Pinned []*x509.Certificate
	// Secondary returns the other addresses of the person who has an address, such as
	// the proxyAddresses of a directory. Certificates for them are accepted too. May be nil.
	Secondary func(ctx context.Context, address string) ([]string, error)
	// Expand returns the members of the group that has an address, or false if it is
	// nobody's group. Members may be groups again. May be nil.
	Expand func(ctx context.Context, address string) (members []string, group bool, err error)
	// ExpandTimeout bounds each call of Expand. Zero means a minute.
	ExpandTimeout time.Duration

	// AllowUnknownRevocation uses certificates whose revocation status cannot be found out.
	AllowUnknownRevocation bool
	// AllUsable makes Resolve return every usable certificate of a recipient instead of
	// the best, for people who read mail on devices with different keys.
	AllUsable bool
}

// A Candidate is a certificate that was found for an address.
type Candidate struct {
	Certificate *x509.Certificate
	Source      string // where it was found, for people
	Usable      bool   // may be encrypted to
	// Code is why it is refused: a code of package chain, or "address.mismatch". Empty
	// if it is usable.
	Code string
	// Reasons says what gave it its rank or made it refused, the weightiest first.
	Reasons []string
	// Path is the proof that the certificate is good; nil if it is refused.
	Path *chain.Path

	rank rankOf
}

// MarshalJSON writes what the lookup command prints.
func (c Candidate) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Usable      bool      `json:"usable"`
		Code        string    `json:"code,omitempty"`
		Reasons     []string  `json:"reasons"`
		Source      string    `json:"source,omitempty"`
		Certificate *Signer   `json:"certificate"`
		NotBefore   time.Time `json:"not_before"`
		NotAfter    time.Time `json:"not_after"`
	}{c.Usable, c.Code, nonNil(c.Reasons), c.Source, signerOf(c.Certificate), c.Certificate.NotBefore.UTC(), c.Certificate.NotAfter.UTC()})
}

// Candidates returns every certificate found for an address, the best first and those that
// must not be used last, each with its reasons. An error that is not nil says that a part
// of the store could not be asked; the candidates are those of the others.
func (r *Resolver) Candidates(ctx context.Context, address string) ([]Candidate, error) {
	if r.Store == nil || r.Chain == nil {
		return nil, errors.New("smime: a Resolver needs Store and Chain")
	}
	if _, _, ok := mailbox.Split(address); !ok {
		return nil, fmt.Errorf("smime: %q is no address", clip(address))
	}
	l := &lookup{r: r, ctx: ctx, addresses: []string{address}, now: time.Now()}
	if r.Chain.Time != nil {
		l.now = r.Chain.Time()
	}
	var failed []error
	if r.Secondary != nil {
		others, err := r.Secondary(ctx, address)
		if err != nil {
			failed = append(failed, fmt.Errorf("smime: other addresses of %s: %w", address, err))
		}
		l.addresses = append(l.addresses, others...)
	}
	l.index = mailbox.NewIndex(l.addresses)
	for _, c := range r.Pinned {
		if certstore.Email(address).Match(c) {
			l.add(&certstore.Entry{Certificate: c, Source: "pinned", Address: address}, true)
		}
	}
	var q certstore.AnyOf
	for _, a := range l.addresses {
		q = append(q, certstore.Email(a))
	}
	for e, err := range r.Store.Certificates(ctx, q) {
		if err != nil {
			failed = append(failed, fmt.Errorf("smime: looking for %s: %w", address, err))
			break
		}
		if !l.add(e, false) {
			break
		}
	}
	l.judgeAll()
	for i := range l.found {
		if c := &l.found[i]; c.Usable {
			c.Reasons = append(c.rank.reasons(), c.Reasons...)
		}
	}
	slices.SortStableFunc(l.found, func(a, b Candidate) int { return a.rank.compare(b.rank) })
	return l.found, errors.Join(failed...)
}

// Resolve returns the certificates to encrypt to for all the addresses, groups expanded,
// each certificate once. It returns them for everybody or for nobody: the error then
// unwraps to one [*RecipientError] for each address that has no usable certificate. A list
// without an error is never nil: where a group has no members it is empty, which a
// [Composer] refuses.
func (r *Resolver) Resolve(ctx context.Context, addresses ...string) ([]*x509.Certificate, error) {
	people, err := r.expand(ctx, addresses)
	if err != nil {
		return nil, err
	}
	certs := []*x509.Certificate{}
	var missing []error
	for _, address := range people {
		list, err := r.Candidates(ctx, address)
		for i, c := range list {
			if !c.Usable || i > 0 && !r.AllUsable {
				break
			}
			// The best of one address may be there for another one already.
			if !slices.ContainsFunc(certs, c.Certificate.Equal) {
				certs = append(certs, c.Certificate)
			}
		}
		if len(list) > 0 && list[0].Usable {
			continue
		}
		missing = append(missing, uncovered(address, list, err))
	}
	if len(missing) > 0 {
		return nil, errors.Join(missing...)
	}
	return certs, ctx.Err()
}

// uncovered says why nobody can encrypt to an address.
func uncovered(address string, list []Candidate, err error) error {
	e := &RecipientError{Recipient: address, Code: "recipient.no_certificate", Detail: "no certificate was found"}
	switch {
	case len(list) > 0:
		e.Code = list[0].Code
		e.Detail = fmt.Sprintf("none of %d certificates can be used; the best: %s", len(list), list[0].Reasons[0])
		if len(list) == 1 {
			e.Detail = "the only certificate cannot be used: " + list[0].Reasons[0]
		}
		if err != nil { // there may be a better one where nobody could look
			e.Detail += "; and " + err.Error()
		}
	case err != nil:
		e.Code, e.Detail = "store.failed", err.Error()
	}
	return e
}

// expand replaces groups by their members. Nothing recurses: a group inside a group goes
// to the end of the list, and an address is looked at once.
func (r *Resolver) expand(ctx context.Context, addresses []string) ([]string, error) {
	timeout := r.ExpandTimeout
	if timeout <= 0 {
		timeout = time.Minute
	}
	var people []string
	seen := map[string]bool{}
	for list := slices.Clone(addresses); len(list) > 0; list = list[1:] {
		address := list[0]
		local, domain, ok := mailbox.Split(address)
		if !ok {
			return nil, fmt.Errorf("smime: %q is no address", clip(address))
		}
		if key := local + "@" + domain; seen[key] {
			continue
		} else if seen[key] = true; len(seen) > limits.RecipientInfos {
			return nil, fmt.Errorf("smime: %w", &limits.Exceeded{What: "recipients", Max: limits.RecipientInfos})
		}
		if r.Expand != nil {
			limited, cancel := context.WithTimeout(ctx, timeout)
			members, group, err := r.Expand(limited, address)
			if err == nil {
				err = limited.Err()
			}
			cancel()
			if err != nil {
				return nil, fmt.Errorf("smime: expanding the group %s: %w", address, err)
			}
			if group {
				list = append(list, members...)
				continue
			}
		}
		people = append(people, address)
	}
	return people, nil
}

// A lookup collects the candidates for one person.
type lookup struct {
	r         *Resolver
	ctx       context.Context
	addresses []string       // the one asked for first
	index     *mailbox.Index // of addresses
	now       time.Time
	read      int         // entries of the store
	fit       []Candidate // that may turn out usable
	unfit     []Candidate // that will not, by what they say of themselves
	found     []Candidate
}

// add takes an entry in. It returns false when enough were seen: of what cannot be used
// anyway there may be much, such as what has expired, before something that can.
func (l *lookup) add(e *certstore.Entry, pinned bool) bool {
	if l.read++; l.read > limits.StoreElements {
		return false
	}
	if e == nil || e.Certificate == nil {
		return true
	}
	for _, list := range [][]Candidate{l.fit, l.unfit} {
		if i := slices.IndexFunc(list, func(c Candidate) bool { return c.Certificate.Equal(e.Certificate) }); i >= 0 {
			list[i].rank.learn(e)
			return true
		}
	}
	named, ok := l.names(e.Certificate)
	list := &l.unfit
	if ok && l.promising(e.Certificate) {
		list = &l.fit
	}
	if len(*list) == limits.Candidates {
		return list == &l.unfit
	}
	c := Candidate{Certificate: e.Certificate, Source: e.Source}
	c.rank = rankOf{pinned: pinned, named: named, primary: named == l.addresses[0]}
	c.rank.entry.Certificate = e.Certificate
	c.rank.learn(e)
	*list = append(*list, c)
	return true
}

// promising reports whether a certificate is valid now and for encryption, as far as it
// says so itself: that costs nothing to find out.
func (l *lookup) promising(c *x509.Certificate) bool {
	const encrypts = x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
	return !l.now.Before(c.NotBefore) && !l.now.After(c.NotAfter) && (c.KeyUsage == 0 || c.KeyUsage&encrypts != 0)
}

// judgeAll judges what was collected, up to its bound.
func (l *lookup) judgeAll() {
	l.found = append(l.fit, l.unfit...)
	l.found = l.found[:min(len(l.found), limits.Candidates)]
	for i := range l.found {
		c := &l.found[i]
		if c.rank.named == "" {
			c.refuse("address.mismatch", "it names neither "+l.addresses[0]+" nor another address of the same person")
		} else {
			l.judge(c)
		}
		c.rank.usable = c.Usable
	}
}

// names returns the first of the person's addresses that a certificate is for.
func (l *lookup) names(c *x509.Certificate) (string, bool) {
	if named := l.index.Find(mailbox.Of(c)...); len(named) > 0 {
		return named[0], true
	}
	return "", false
}

// judge asks chain whether the certificate may be encrypted to.
func (l *lookup) judge(c *Candidate) {
	report := l.r.Chain.Explain(l.ctx, chain.Request{Leaf: c.Certificate, Purpose: chain.EmailEncryption})
	unknown := report.Verdict == "indeterminate" && l.r.AllowUnknownRevocation &&
		len(report.Codes) > 0 && report.Codes[0] == "rev.unknown"
	switch {
	case report.Verdict == "valid":
		c.Usable, c.Path = true, report.Path
	case unknown:
		c.Usable = true
		c.Reasons = append(c.Reasons, "its revocation status is unknown")
	default:
		code := "chain.invalid"
		if len(report.Codes) > 0 {
			code = report.Codes[0]
		}
		detail := report.Detail
		if detail == "" {
			detail = code
		}
		c.refuse(code, detail)
	}
}

func (c *Candidate) refuse(code, reason string) {
	c.Code, c.Reasons = code, []string{reason}
}
