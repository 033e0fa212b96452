package chain_test

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"net"
	"testing"

	"github.com/postseal/postseal/chain"
)

// What an administrator trusts an anchor for can be less than what its certificate asks for.
func TestAnchorLimits(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	deep := issue(t, sub, "Deep", ca)
	leaf := issue(t, sub, "alice", mail)
	low := issue(t, deep, "alice", mail)
	tls := issue(t, sub, "host", san(t, false, dns("www.example.com"), ip(10, 1, 2, 3)))
	ask := func(limits *x509.Certificate, leaf *entity, use chain.Purpose) *chain.Report {
		t.Helper()
		c := collection(root)
		if err := c.Limit(root.Certificate, limits); err != nil {
			t.Fatal(err)
		}
		return verifier(c).Explain(context.Background(), chain.Request{Leaf: leaf.Certificate, Untrusted: certs(sub, deep), Purpose: use})
	}
	_, ten, _ := net.ParseCIDR("10.0.0.0/8")
	for _, tt := range []struct {
		name   string
		limits *x509.Certificate
		leaf   *entity
		use    chain.Purpose
		want   string
	}{
		{"none", nil, leaf, "", "valid"},
		{"empty", &x509.Certificate{}, leaf, "", "valid"},
		{"purpose: this", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}, leaf, "", "valid"},
		{"purpose: any", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageAny}}, leaf, "", "valid"},
		{"purpose: another", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, leaf, "", "anchor.constraint"},
		{"issued: in time", &x509.Certificate{NotBefore: leaf.NotBefore, NotAfter: leaf.NotBefore}, leaf, "", "valid"},
		{"issued: too late", &x509.Certificate{NotAfter: leaf.NotBefore.AddDate(0, 0, -1)}, leaf, "", "anchor.constraint"},
		{"issued: too early", &x509.Certificate{NotBefore: leaf.NotBefore.AddDate(0, 0, 1)}, leaf, "", "anchor.constraint"},
		{"path length: as long as allowed", &x509.Certificate{MaxPathLen: 1}, leaf, "", "valid"},
		{"path length: longer", &x509.Certificate{MaxPathLen: 1}, low, "", "anchor.constraint"},
		{"path length: none", &x509.Certificate{MaxPathLenZero: true}, leaf, "", "anchor.constraint"},
		{"mail: inside", &x509.Certificate{PermittedEmailAddresses: []string{"example.com"}}, leaf, "", "valid"},
		{"mail: outside", &x509.Certificate{PermittedEmailAddresses: []string{".example.com", "example.org"}}, leaf, "", "anchor.constraint"},
		{"mail: excluded", &x509.Certificate{ExcludedEmailAddresses: []string{"alice@example.com"}}, leaf, "", "anchor.constraint"},
		{"host: inside", &x509.Certificate{PermittedDNSDomains: []string{"example.com"}, PermittedIPRanges: []*net.IPNet{ten}}, tls, "server-auth", "valid"},
		{"host: outside", &x509.Certificate{PermittedDNSDomains: []string{"example.org"}}, tls, "server-auth", "anchor.constraint"},
		{"network: excluded", &x509.Certificate{ExcludedIPRanges: []*net.IPNet{ten}}, tls, "server-auth", "anchor.constraint"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, ask(tt.limits, tt.leaf, tt.use), tt.want)
		})
	}
	// Another anchor without limits serves instead, and limits can be lifted.
	other := issue(t, nil, "Other root", ca)
	cross := issueWith(t, sub.key, other, "Issuing", ca)
	c := collection(root)
	v := verifier(c)
	q := chain.Request{Leaf: leaf.Certificate, Untrusted: certs(sub, cross)}
	expect(t, v.Explain(context.Background(), q), "valid")
	none := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if err := c.Limit(root.Certificate, none); err != nil {
		t.Fatal(err)
	}
	expect(t, v.Explain(context.Background(), q), "anchor.constraint")
	c.AddAnchor(other.Certificate)
	expect(t, v.Explain(context.Background(), q), "valid")
	c.Remove(other.Certificate)
	var merged, copied chain.Collection
	merged.Merge(c)
	copied.Replace(c)
	for _, c := range []*chain.Collection{&merged, &copied, c.Difference(new(chain.Collection))} {
		expect(t, verifier(c).Explain(context.Background(), q), "anchor.constraint")
	}
	if err := c.Limit(root.Certificate, nil); err != nil {
		t.Fatal(err)
	}
	expect(t, v.Explain(context.Background(), q), "valid")
	// A leaf that is an anchor itself is limited too.
	self := collection(leaf)
	if err := self.Limit(leaf.Certificate, none); err != nil {
		t.Fatal(err)
	}
	expect(t, verifier(self).Explain(context.Background(), chain.Request{Leaf: leaf.Certificate}), "anchor.constraint")
	for name, err := range map[string]error{
		"no anchor":       c.Limit(other.Certificate, none),
		"bad name":        c.Limit(root.Certificate, &x509.Certificate{PermittedEmailAddresses: []string{"@example.com"}}),
		"unknown purpose": c.Limit(root.Certificate, &x509.Certificate{UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 2, 3}}}),
		"bad purpose":     c.Limit(root.Certificate, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
