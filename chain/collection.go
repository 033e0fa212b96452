package chain

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/sigalg"
)

// A Collection is a virtual certificate collection: the trust anchors a verifier accepts
// and the intermediate certificates it may use, and nothing else. No system root is in it
// unless its owner adds it. It can be read from files ([ReadCollection]), listed and
// written. The zero value is empty and ready for use.
//
// A Collection is safe for concurrent use. It is indexed once after each change, so that a
// verifier searches nothing; [Collection.Replace] changes it whole while it is in use.
type Collection struct {
	mu       sync.Mutex
	members  []member
	bySum    map[[32]byte]int // position in members
	names    map[[32]byte]string
	warnings []error

	built atomic.Pointer[collectionIndex] // nil after a change
}

type member struct {
	cert   *x509.Certificate
	sum    [32]byte
	anchor bool
	limits *anchorLimits // of an anchor; nil: none
}

// A collectionIndex is a Collection at one moment. It never changes: a verifier may
// remember what it worked out for as long as index returns the same pointer.
type collectionIndex struct {
	members []member
	bySum   map[[32]byte]*member
}

// Add adds certificates: self-signed ones as trust anchors, others as intermediates. One
// that is there already stays what it is. One call checks the signatures of a
// thousand real roots and more; of a file made of nothing but costly keys the last ones
// become intermediates.
func (c *Collection) Add(certs ...*x509.Certificate) {
	anchor := make([]bool, len(certs))
	left := selfSigningCost
	for i, cert := range certs {
		anchor[i] = selfSigned(cert, &left)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, cert := range certs {
		if _, ok := c.bySum[sha256.Sum256(cert.Raw)]; !ok {
			c.add(cert, anchor[i])
		}
	}
}

// AddAnchor adds certificates as trust anchors, self-signed or not: a path may end at any
// of them. One that is there as an intermediate becomes an anchor.
func (c *Collection) AddAnchor(certs ...*x509.Certificate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cert := range certs {
		c.add(cert, true)
	}
}

// AddIntermediate adds certificates as intermediates, even self-signed ones. It never
// takes an anchor's trust away.
func (c *Collection) AddIntermediate(certs ...*x509.Certificate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cert := range certs {
		c.add(cert, false)
	}
}

// Remove removes certificates. What is not there need not be removed.
func (c *Collection) Remove(certs ...*x509.Certificate) {
	gone := make(map[[32]byte]bool, len(certs))
	for _, cert := range certs {
		gone[sha256.Sum256(cert.Raw)] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members = slices.DeleteFunc(c.members, func(m member) bool { return gone[m.sum] })
	clear(c.bySum)
	for i, m := range c.members {
		c.bySum[m.sum] = i
	}
	c.built.Store(nil)
}

// Merge adds every member of other, anchors as anchors with their limits. An anchor that c
// has already keeps the limits it has there.
func (c *Collection) Merge(other *Collection) {
	members, names := other.index().members, other.allNames()
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.Copy(names, c.names)
	c.names = names
	for _, m := range members {
		known, ok := c.bySum[m.sum]
		trusted := ok && c.members[known].anchor
		c.add(m.cert, m.anchor)
		if m.anchor && !trusted {
			c.members[c.bySum[m.sum]].limits = m.limits
		}
	}
}

// Difference returns a new collection of the members of c that other does not have, or
// does not have as anchor.
func (c *Collection) Difference(other *Collection) *Collection {
	theirs := other.index().bySum
	d := Collection{names: c.allNames()}
	for _, m := range c.index().members {
		if o := theirs[m.sum]; o == nil || m.anchor && !o.anchor {
			d.add(m.cert, m.anchor)
			d.members[len(d.members)-1].limits = m.limits
		}
	}
	return &d
}

// Replace makes c hold what other holds now, in one step: a verifier that uses c sees the
// old members or the new ones, never a mixture.
func (c *Collection) Replace(other *Collection) {
	ix := other.index()
	other.mu.Lock()
	names, warnings := other.names, slices.Clone(other.warnings)
	other.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members = slices.Clone(ix.members)
	c.bySum = make(map[[32]byte]int, len(c.members))
	for i, m := range c.members {
		c.bySum[m.sum] = i
	}
	c.names, c.warnings = names, warnings
	c.built.Store(ix)
}

// Anchors returns the trust anchors, in the order they were added.
func (c *Collection) Anchors() []*x509.Certificate {
	return c.list(func(m member) bool { return m.anchor })
}

// Intermediates returns the members that are not anchors, in the order they were added.
func (c *Collection) Intermediates() []*x509.Certificate {
	return c.list(func(m member) bool { return !m.anchor })
}

// Certificates returns every member, in the order they were added.
func (c *Collection) Certificates() []*x509.Certificate {
	return c.list(func(member) bool { return true })
}

// Len returns the number of members.
func (c *Collection) Len() int { return len(c.index().members) }

// Thumbprints returns the SHA-256 of every member in hexadecimal, in the order of
// [Collection.Certificates].
func (c *Collection) Thumbprints() []string {
	var list []string
	for _, m := range c.index().members {
		list = append(list, hex.EncodeToString(m.sum[:]))
	}
	return list
}

// FriendlyName returns the name that the file cert was read from has for it, or "". It is
// for display only: whoever made the file chose it.
func (c *Collection) FriendlyName(cert *x509.Certificate) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names[sha256.Sum256(cert.Raw)]
}

// allNames returns a copy of the names of members. A nil Collection has none.
func (c *Collection) allNames() map[[32]byte]string {
	names := map[[32]byte]string{}
	if c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		maps.Copy(names, c.names)
	}
	return names
}

// Expires returns the time when the first member expires or has expired; zero if c is empty.
func (c *Collection) Expires() time.Time {
	var first time.Time
	for _, m := range c.index().members {
		if first.IsZero() || m.cert.NotAfter.Before(first) {
			first = m.cert.NotAfter
		}
	}
	return first
}

// Expired returns the members that have expired at the time at, the longest expired first.
// An instant in the future makes it a report of what will have expired by then.
func (c *Collection) Expired(at time.Time) []*x509.Certificate {
	list := c.list(func(m member) bool { return at.After(m.cert.NotAfter) })
	slices.SortStableFunc(list, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	return list
}

// Check is the rule by which Exchange imports a collection: one expired member, and the
// whole is refused. The error names every member that has expired at the time at.
func (c *Collection) Check(at time.Time) error {
	var errs []error
	for _, cert := range c.Expired(at) {
		errs = append(errs, fmt.Errorf("chain: %s expired on %s (sha256 %x)", pkix.NameString(cert.RawSubject), cert.NotAfter.UTC().Format(time.DateOnly), sha256.Sum256(cert.Raw)))
	}
	return errors.Join(errs...)
}

// add adds one member under the lock.
func (c *Collection) add(cert *x509.Certificate, anchor bool) {
	sum := sha256.Sum256(cert.Raw)
	if i, ok := c.bySum[sum]; ok {
		if anchor && !c.members[i].anchor {
			c.members[i].anchor = true
			c.built.Store(nil)
		}
		return
	}
	if c.bySum == nil {
		c.bySum = map[[32]byte]int{}
	}
	c.bySum[sum] = len(c.members)
	c.members = append(c.members, member{cert: cert, sum: sum, anchor: anchor})
	c.built.Store(nil)
}

func (c *Collection) list(want func(member) bool) []*x509.Certificate {
	var list []*x509.Certificate
	for _, m := range c.index().members {
		if want(m) {
			list = append(list, m.cert)
		}
	}
	return list
}

// index returns the index of c as it is now. A nil Collection is an empty one.
func (c *Collection) index() *collectionIndex {
	if c == nil {
		return &collectionIndex{}
	}
	if ix := c.built.Load(); ix != nil {
		return ix
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ix := &collectionIndex{members: slices.Clone(c.members), bySum: make(map[[32]byte]*member, len(c.members))}
	for i := range ix.members {
		ix.bySum[ix.members[i].sum] = &ix.members[i]
	}
	c.built.Store(ix)
	return ix
}

// nameKey returns a form of the DER of a Name under which equal names are equal strings
// (RFC 5280, Section 7.1); a name that is none equals itself alone.
func nameKey(raw []byte) string {
	if k, ok := pkix.Canonical(raw); ok {
		return k
	}
	return "\x00" + string(raw)
}

// selfSigningCost bounds the signatures that one call of Add checks, in the unit of
// sigalg.Cost: a quarter of a second, or a thousand roots of 4096 bits.
const selfSigningCost = 40_000

// selfSigned reports whether c is signed with its own key, and takes what that costs from
// left. Where the signature cannot be checked, equal names and key identifiers decide: what
// is wrong about such a certificate shows when a path ends at it.
func selfSigned(c *x509.Certificate, left *int) bool {
	if nameKey(c.RawSubject) != nameKey(c.RawIssuer) {
		return false
	}
	if len(c.AuthorityKeyId) > 0 && len(c.SubjectKeyId) > 0 && !bytes.Equal(c.AuthorityKeyId, c.SubjectKeyId) {
		return false
	}
	p, err := pkix.Parse(c.Raw)
	if err != nil {
		return false
	}
	k := newPublicKey(p.SPKI)
	if *left -= k.cost; *left < 0 {
		return false
	}
	return !errors.Is(k.verify(p.Algorithm, p.RawTBS, p.Signature), sigalg.ErrInvalid)
}
