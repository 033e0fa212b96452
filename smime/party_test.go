package smime_test

import (
	"crypto"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/smime"
)

// A party is what the tests of this package exchange messages with: Alice and Bob, whom a
// collection trusts, and Eve, whom it does not.
type party struct {
	now             time.Time
	anchors         *chain.Collection
	alice, bob, eve *certstore.Identity // RSA
	aliceEC, bobEC  *certstore.Identity
	carol           *certstore.Identity // trusted, another author
}

var theParty = sync.OnceValue(func() *party {
	t := new(testing.T)
	ca, stranger := certtest.NewCA(t, "Root"), certtest.NewCA(t, "Stranger")
	p := &party{now: certtest.Epoch().AddDate(0, 6, 0), anchors: new(chain.Collection)}
	p.anchors.Add(ca.Certificate)
	identity := func(ca *certtest.CA, cert *x509.Certificate, key crypto.PrivateKey) *certstore.Identity {
		id, err := certstore.NewIdentity(cert, key, ca.Certificate)
		if err != nil {
			panic(err)
		}
		return id
	}
	rsaOf := func(ca *certtest.CA, address string) *certstore.Identity {
		cert, key := ca.IssueRSA(t, address)
		return identity(ca, cert, key)
	}
	ecOf := func(address string) *certstore.Identity {
		cert, key := ca.Issue(t, address)
		return identity(ca, cert, key)
	}
	p.alice, p.bob, p.eve = rsaOf(ca, "alice@example.com"), rsaOf(ca, "bob@example.com"), rsaOf(stranger, "alice@example.com")
	p.aliceEC, p.bobEC = ecOf("alice@example.com"), ecOf("bob@example.com")
	p.carol = rsaOf(ca, "carol@example.com")
	return p
})

func newParty(t testing.TB) *party {
	t.Helper()
	return theParty()
}

func (p *party) clock() func() time.Time { return func() time.Time { return p.now } }

// composer signs as Alice and encrypts to Bob, as asked. Protected headers have tests of
// their own.
func (p *party) composer(sign, encrypt, opaque bool) *smime.Composer {
	c := &smime.Composer{Opaque: opaque, Time: p.clock(), ProtectHeaders: "off"}
	if sign {
		c.Signers = []*certstore.Identity{p.alice}
	}
	if encrypt {
		c.Recipients = []*x509.Certificate{p.bob.Certificate()}
	}
	return c
}

// opener opens as Bob.
func (p *party) opener() *smime.Opener {
	v := chain.NewVerifier(p.anchors, chain.Revocation{})
	v.Time = p.clock()
	keys := new(certstore.Memory)
	keys.AddIdentity(p.bob, p.bobEC)
	return &smime.Opener{Chain: v, Keys: keys}
}
