package smimetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
)

// A PKI is a root authority, an authority below it that issues to people, and a clock.
// It is safe for concurrent use.
type PKI struct {
	Root    *Authority // signs Issuing, and is the one trust anchor
	Issuing *Authority // issues to people

	now  time.Time
	fail func(error)

	mu     sync.Mutex
	serial int64
	issued map[person]int // how many keys a name has had
	people map[string]*certstore.Identity
	others map[string]*certstore.Identity

	identities []*certstore.Identity // all that were issued
}

// Now returns noon of June 1, 2026 (UTC), where the clock of a PKI stands.
func Now() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// NewPKI returns a PKI for a test, which fails if something cannot be made.
func NewPKI(t testing.TB) *PKI {
	t.Helper()
	return newPKI(Now(), func(err error) {
		t.Helper()
		t.Fatal(err)
	})
}

// New is [NewPKI] for use outside of tests. It panics, as its methods do, if something
// cannot be made.
func New() *PKI { return NewAt(Now()) }

// NewAt is [New] with another clock, for programs that judge by the clock of the machine.
func NewAt(now time.Time) *PKI {
	return newPKI(now, func(err error) { panic(err) })
}

func newPKI(now time.Time, fail func(error)) *PKI {
	p := &PKI{
		now:    now.Truncate(time.Second),
		fail:   func(err error) { fail(fmt.Errorf("smimetest: %w", err)) },
		issued: map[person]int{},
		people: map[string]*certstore.Identity{},
		others: map[string]*certstore.Identity{},
	}
	p.Root = p.authority(nil, "Postseal Test Root")
	p.Issuing = p.Root.Authority("Postseal Test Issuing CA")
	enlist(p)
	return p
}

// Time returns the time at which the clock of p stands. The method is what the Time
// fields of smime and chain take.
func (p *PKI) Time() time.Time { return p.now }

// Anchors returns a new collection whose only certificate is the root, as an anchor.
func (p *PKI) Anchors() *chain.Collection {
	c := &chain.Collection{}
	c.AddAnchor(p.Root.cert)
	return c
}

// Verifier returns a verifier that trusts the root, judges at the time of p and takes
// revocation as strictly as it comes: see the zero [chain.Revocation].
func (p *PKI) Verifier() *chain.Verifier {
	v := chain.NewVerifier(p.Anchors(), chain.Revocation{})
	v.Time = p.Time
	return v
}

// Issue issues a certificate with the issuing authority.
func (p *PKI) Issue(leaf Leaf) *certstore.Identity { return p.Issuing.Issue(leaf) }

// Alice returns alice@good.example, with an RSA key; the same one each time.
func (p *PKI) Alice() *certstore.Identity {
	return p.person(Leaf{Name: "Alice", Emails: []string{"alice@good.example"}, Key: RSA2048})
}

// Bob returns bob@good.example, with an RSA key; the same one each time.
func (p *PKI) Bob() *certstore.Identity {
	return p.person(Leaf{Name: "Bob", Emails: []string{"bob@good.example"}, Key: RSA2048})
}

// Eve returns eve@evil.example, with a P-256 key; the same one each time. Nothing is wrong
// with her certificate except that she uses it to be somebody else.
func (p *PKI) Eve() *certstore.Identity {
	return p.person(Leaf{Name: "Eve", Emails: []string{"eve@evil.example"}, Key: P256})
}

func (p *PKI) person(leaf Leaf) *certstore.Identity {
	p.mu.Lock()
	id := p.people[leaf.Name]
	p.mu.Unlock()
	if id != nil {
		return id
	}
	id = p.Issue(leaf)
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.people[leaf.Name]; first != nil {
		return first
	}
	p.people[leaf.Name] = id
	return id
}

// nextSerial returns 1, 2, 3 and so on.
func (p *PKI) nextSerial() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serial++
	return p.serial
}
