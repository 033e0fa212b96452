package chain_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/chain"
)

// A drawnPKI is a path drawn at random, with what may be odd about it.
type drawnPKI struct {
	certs  []*entity // leaf first, anchor last
	why    []string  // rules by which crypto/x509 and this package differ here
	oddity string
}

// draw makes a path of two to five certificates out of a seed. Every property that both
// validators judge is drawn; the ones they judge differently are noted with the number of
// the rule in the list of crypto/x509's defects.
func draw(t testing.TB, r *rand.Rand, keys []crypto.Signer) *drawnPKI {
	p := &drawnPKI{}
	chance := func(percent int) bool { return r.Intn(100) < percent }
	hosts := []string{"example.com", "sub.example.com", "example.org"}
	ekus := [][]x509.ExtKeyUsage{nil, nil, nil, {x509.ExtKeyUsageEmailProtection}, {x509.ExtKeyUsageAny}, {x509.ExtKeyUsageServerAuth}, {x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageEmailProtection}}
	n := 2 + r.Intn(4)
	var parent *entity
	var emails, dnsNames []string
	for i := n - 1; i >= 0; i-- {
		c := &entity{}
		edit := func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: fmt.Sprintf("CA %d", i)}
			c.ExtKeyUsage = ekus[r.Intn(len(ekus))]
			if chance(6) {
				c.NotAfter = now.AddDate(0, 0, -1)
				p.oddity += " expired"
			}
			if i == 0 {
				c.Subject.CommonName = "leaf"
				c.KeyUsage = x509.KeyUsageDigitalSignature
				for range r.Intn(3) {
					emails = append(emails, "a@"+hosts[r.Intn(len(hosts))])
				}
				for range r.Intn(2) {
					dnsNames = append(dnsNames, hosts[r.Intn(len(hosts))])
				}
				c.EmailAddresses, c.DNSNames = emails, dnsNames
				return
			}
			c.BasicConstraintsValid, c.IsCA = true, !chance(4)
			c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
			if chance(15) {
				c.MaxPathLen = r.Intn(3)
				c.MaxPathLenZero = c.MaxPathLen == 0
			}
			if chance(4) {
				c.KeyUsage = x509.KeyUsageCRLSign
			}
			if !c.IsCA {
				c.KeyUsage, c.MaxPathLen, c.MaxPathLenZero = 0, 0, false
				return
			}
			if i > 0 && chance(15) {
				c.PermittedDNSDomainsCritical = true
				h := hosts[r.Intn(len(hosts))]
				switch r.Intn(4) {
				case 0:
					c.PermittedDNSDomains = []string{h}
				case 1:
					c.ExcludedDNSDomains = []string{h}
				case 2:
					c.PermittedEmailAddresses = []string{h}
				case 3:
					c.ExcludedEmailAddresses = []string{h}
				}
			}
			if chance(8) && i < n-1 {
				c.Subject = parent.Subject // self-issued
				p.oddity += " self-issued"
			}
		}
		c = issueWith(t, keys[i], parent, "", edit)
		p.certs = append([]*entity{c}, p.certs...)
		parent = c
	}
	p.explain(emails)
	return p
}

// explain finds the rules by which the two validators may differ about p.
func (p *drawnPKI) explain(emails []string) {
	for i, c := range p.certs[1:] {
		for _, h := range slices.Concat(c.PermittedEmailAddresses, c.ExcludedEmailAddresses) {
			if slices.ContainsFunc(emails, func(e string) bool { return strings.HasSuffix(e, "."+h) }) {
				p.why = append(p.why, "X1: a mail host constraint covers that host alone")
			}
		}
		if bytes.Equal(c.RawIssuer, c.RawSubject) && i+1 < len(p.certs)-1 {
			p.why = append(p.why, "X7: self-issued certificates do not count")
		}
		if !c.BasicConstraintsValid || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
			p.why = append(p.why, "X14: an anchor is judged like any issuer")
		}
	}
}

// differ reports whether the path of a seed is valid to us.
func differ(t *testing.T, seed int64, keys []crypto.Signer) bool {
	t.Helper()
	p := draw(t, rand.New(rand.NewSource(seed)), keys)
	root, leaf := p.certs[len(p.certs)-1], p.certs[0]
	opts := pools(root, p.certs[1:len(p.certs)-1]...)
	_, theirs := leaf.Verify(opts)
	ours := verifier(collection(root)).Explain(context.Background(), chain.Request{Leaf: leaf.Certificate, Untrusted: certs(p.certs[1:]...)})
	if (theirs == nil) != (ours.Verdict == "valid") && len(p.why) == 0 {
		t.Errorf("seed %d (%d certificates,%s): crypto/x509 says %v, we say\n%s", seed, len(p.certs), p.oddity, theirs, ours)
	}
	return ours.Verdict == "valid"
}

func keyring(t testing.TB) (keys []crypto.Signer) {
	for range 6 {
		keys = append(keys, newKey(t))
	}
	return keys
}

// TestDifferential holds this validator against crypto/x509 on random paths: every
// disagreement must be one that a rule explains.
func TestDifferential(t *testing.T) {
	keys := keyring(t)
	valid := 0
	for seed := range int64(400) {
		if differ(t, seed, keys) {
			valid++
		}
	}
	if valid < 100 || valid > 300 {
		t.Errorf("%d of 400 paths are valid: the drawing is lopsided", valid)
	}
}

func FuzzDifferential(f *testing.F) {
	keys := keyring(f)
	f.Add(int64(1))
	f.Fuzz(func(t *testing.T, seed int64) { differ(t, seed, keys) })
}
