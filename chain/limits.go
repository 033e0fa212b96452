package chain

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// anchorLimits narrow what an anchor is trusted for.
type anchorLimits struct {
	purposes    []oid.OID // nil: all
	from, until int64     // when the certificate in question may have been issued
	pathLen     int       // -1: any
	names       *nameConstraints
}

// Limit trusts an anchor of c for less than its certificate asks for, as an administrator
// does who needs it for one partner's mail only (RFC 5914 calls these path controls). The
// fields of limits that count are, where they are set:
//
//   - ExtKeyUsage: the purposes. ExtKeyUsageAny is no limit.
//   - NotBefore and NotAfter: when the certificate in question must have been issued, by its
//     own notBefore, so that an authority can be left without dropping what it did before.
//   - MaxPathLen, or MaxPathLenZero: the CA certificates below it, self-issued ones apart.
//   - PermittedEmailAddresses, ExcludedEmailAddresses and their likes for DNS names, URIs and
//     addresses of the network: the names below it, as name constraints say them (RFC 5280,
//     Section 4.2.1.10).
//
// A path that breaks one has the code anchor.constraint. New limits replace old ones; limits
// that are nil lift them. It is an error if anchor is none of c, or if the limits hold what
// cannot be judged.
func (c *Collection) Limit(anchor, limits *x509.Certificate) error {
	l, err := newAnchorLimits(limits)
	if err != nil {
		return fmt.Errorf("chain: limits of %s: %w", pkix.NameString(anchor.RawSubject), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.bySum[sha256.Sum256(anchor.Raw)]
	if !ok || !c.members[i].anchor {
		return fmt.Errorf("chain: limits of %s: not an anchor of the collection", pkix.NameString(anchor.RawSubject))
	}
	c.members[i].limits = l
	c.built.Store(nil)
	return nil
}

func newAnchorLimits(x *x509.Certificate) (*anchorLimits, error) {
	if x == nil {
		return nil, nil
	}
	l := &anchorLimits{from: alwaysFrom, until: alwaysUntil, pathLen: -1, names: &nameConstraints{}}
	if !slices.Contains(x.ExtKeyUsage, x509.ExtKeyUsageAny) {
		for _, u := range x.ExtKeyUsage {
			id, ok := map[x509.ExtKeyUsage]oid.OID{
				x509.ExtKeyUsageEmailProtection: oid.EmailProtection, x509.ExtKeyUsageServerAuth: oid.ServerAuth,
				x509.ExtKeyUsageClientAuth: oid.ClientAuth, x509.ExtKeyUsageTimeStamping: oid.TimeStamping,
			}[u]
			if !ok {
				return nil, fmt.Errorf("extended key usage %d is no purpose here", u)
			}
			l.purposes = append(l.purposes, id)
		}
	}
	if len(x.UnknownExtKeyUsage) > 0 {
		return nil, fmt.Errorf("extended key usage %v is no purpose here", x.UnknownExtKeyUsage[0])
	}
	if !x.NotBefore.IsZero() {
		l.from = x.NotBefore.Unix()
	}
	if !x.NotAfter.IsZero() {
		l.until = x.NotAfter.Unix()
	}
	if x.MaxPathLen > 0 || x.MaxPathLenZero {
		l.pathLen = x.MaxPathLen
	}
	bad := false
	add := func(list *[pkix.RegisteredID + 1][]subtree, form pkix.NameForm, values []string) {
		for _, v := range values {
			s := newSubtree(form, []byte(v))
			bad = bad || s.kind == unusable
			list[form] = append(list[form], s)
		}
	}
	for _, of := range []struct {
		list               *[pkix.RegisteredID + 1][]subtree
		emails, hosts, uri []string
		nets               []*net.IPNet
	}{
		{&l.names.permitted, x.PermittedEmailAddresses, x.PermittedDNSDomains, x.PermittedURIDomains, x.PermittedIPRanges},
		{&l.names.excluded, x.ExcludedEmailAddresses, x.ExcludedDNSDomains, x.ExcludedURIDomains, x.ExcludedIPRanges},
	} {
		add(of.list, pkix.RFC822Name, of.emails)
		add(of.list, pkix.DNSName, of.hosts)
		add(of.list, pkix.URI, of.uri)
		for _, n := range of.nets {
			add(of.list, pkix.IPAddress, []string{string(n.IP) + string(n.Mask)})
		}
	}
	if bad {
		return nil, errors.New("a name cannot be used as a constraint")
	}
	return l, nil
}

// limit checks a path against the limits of the anchor it ends at; s is its last step.
func (t *task) limit(s *step, l *anchorLimits) {
	breach := func(detail string, always bool) {
		s.own.fault(s.n, "anchor.constraint", "it is not trusted for "+detail)
		if always {
			t.spoil(s.n) // below this anchor stands the same leaf in every path
		}
	}
	if want := t.purpose.eku(); want != "" && l.purposes != nil && !slices.Contains(l.purposes, want) {
		breach(string(t.purpose), true)
	}
	if issued := t.leaf.NotBefore; issued < l.from || issued > l.until {
		breach("certificates issued on "+time.Unix(issued, 0).UTC().Format(time.DateOnly), true)
	}
	if l.pathLen >= 0 && s.cas > l.pathLen {
		breach("a path with that many CAs", false)
	}
	for b := s.below; b != nil; b = b.below {
		if b.below != nil && b.n.SelfIssued() {
			continue
		}
		if code, detail := l.names.check(&b.n.Certificate, &t.comparisons); code == "path.budget" {
			s.own.fault(b.n, code, detail)
			return
		} else if code != "" {
			breach("that name: "+detail, b.below == nil)
			return
		}
	}
}
