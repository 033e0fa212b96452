package chain

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// A node is a certificate as the builder sees it. What is computed on demand may be
// computed twice by two goroutines, with the same result.
type node struct {
	pkix.Certificate
	sum     [32]byte // SHA-256 of the DER
	rsaBits int
	origin  origin
	limits  *anchorLimits // of an anchor; nil: none

	public      atomic.Pointer[publicKey]
	constraints atomic.Pointer[nameConstraints]
	view        atomic.Pointer[x509.Certificate]
}

// An origin says where a certificate came from; lower ones are tried first.
type origin uint8

const (
	fromAnchors origin = iota
	fromCollection
	fromStore
	fromMessage
	fromNetwork
)

func (o origin) String() string {
	return [...]string{"anchor", "collection", "store", "message", "network"}[o]
}

// newNode parses der, which the node keeps and whose SHA-256 is sum.
func newNode(der []byte, sum [32]byte, from origin) (*node, error) {
	n := &node{sum: sum, origin: from}
	if err := n.Read(der); err != nil {
		return nil, err
	}
	n.rsaBits = pkix.RSABits(n.SPKI)
	return n, nil
}

// nodeOf makes a node of a certificate, of which only Raw counts.
func nodeOf(c *x509.Certificate, from origin) (*node, error) {
	if c == nil {
		return nil, errNoCertificate
	}
	return nodeWithSum(c, sha256.Sum256(c.Raw), from)
}

// nodeWithSum is nodeOf for a certificate whose digest is known.
func nodeWithSum(c *x509.Certificate, sum [32]byte, from origin) (*node, error) {
	n, err := newNode(c.Raw, sum, from)
	if err == nil && c.RawTBSCertificate != nil {
		n.view.Store(c)
	}
	return n, err
}

var errNoCertificate = errors.New("certificate is nil")

// x509 returns the certificate in everybody's form.
func (n *node) x509() *x509.Certificate {
	if c := n.view.Load(); c != nil {
		return c
	}
	c, err := pkix.ParseCertificate(n.Raw)
	if err != nil {
		c = n.X509()
	}
	n.view.Store(c)
	return c
}

// sameEntity reports whether two certificates certify one key under one name: the same
// entity in the sense of RFC 5280, Section 6.1.
func (n *node) sameEntity(o *node) bool {
	return n.Subject == o.Subject && bytes.Equal(n.SPKI, o.SPKI)
}

// order sorts candidates so that no order of input can change an answer: by origin,
// then newest first, then by digest.
func order(a, b *node) int {
	if a.origin != b.origin {
		return int(a.origin) - int(b.origin)
	}
	if a.NotBefore != b.NotBefore {
		if a.NotBefore > b.NotBefore {
			return -1
		}
		return 1
	}
	return bytes.Compare(a.sum[:], b.sum[:])
}

// An index holds the certificates of a collection by subject. It never changes.
type index struct {
	of         *collectionIndex
	bySubject  map[string][]*node
	bySum      map[[32]byte]*node
	responders []*node // certified for signing OCSP responses
	rejected   int     // members that cannot be read
	answers    memo[question, *answer]
}

func newIndex(c *collectionIndex) *index {
	ix := &index{answers: memo[question, *answer]{max: maxAnswers}, of: c, bySubject: make(map[string][]*node, len(c.members)), bySum: make(map[[32]byte]*node, len(c.members))}
	for i := range c.members {
		from := fromCollection
		if c.members[i].anchor {
			from = fromAnchors
		}
		ix.add(&c.members[i], from)
	}
	ix.answers.now = make(map[question]*answer, 64)
	for _, list := range ix.bySubject {
		slices.SortFunc(list, order)
	}
	return ix
}

func (ix *index) add(m *member, from origin) {
	n, err := nodeOf(m.cert, from)
	if err != nil {
		ix.rejected++
		return
	}
	if ix.bySum[n.sum] != nil {
		return
	}
	n.limits = m.limits
	n.publicKey()
	n.namesBelow()
	ix.bySum[n.sum] = n
	ix.bySubject[n.Subject] = append(ix.bySubject[n.Subject], n)
	if n.AllowsEKU(oid.OCSPSigning) {
		ix.responders = append(ix.responders, n)
	}
}
