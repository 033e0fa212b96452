package chain_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/rand"
	"net"
	"net/url"
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

	inSubject bool // an address stands in the leaf's subject
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
	private := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55738, 666, 1}
	nets := []*net.IPNet{{IP: net.IP{10, 0, 0, 0}, Mask: net.IPMask{255, 0, 0, 0}}, {IP: net.IP{10, 1, 0, 0}, Mask: net.IPMask{255, 255, 0, 0}}}
	policies := [][]int{nil, nil, {1}, {0}, {1, 2}, {2}}
	for i := n - 1; i >= 0; i-- {
		c := &entity{}
		edit := func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: fmt.Sprintf("CA %d", i)}
			c.ExtKeyUsage = ekus[r.Intn(len(ekus))]
			if chance(6) {
				c.NotAfter = now.AddDate(0, 0, -1)
				p.oddity += " expired"
			}
			if chance(3) {
				c.NotBefore = now.AddDate(0, 0, 1)
				p.oddity += " young"
			}
			if chance(6) {
				extension(private, chance(50), []byte{5, 0})(c)
			}
			if list := policies[r.Intn(len(policies))]; list != nil {
				under(t, list...)(c)
			}
			if i == 0 {
				c.Subject.CommonName = "leaf"
				c.KeyUsage = x509.KeyUsageDigitalSignature
				if chance(5) {
					c.KeyUsage = x509.KeyUsageKeyAgreement
				}
				if chance(20) {
					c.IPAddresses = []net.IP{{10, byte(r.Intn(3)), 0, 1}}
				}
				if chance(20) {
					c.URIs = []*url.URL{{Scheme: "https", Host: hosts[r.Intn(len(hosts))]}}
				}
				if chance(10) {
					address := "a@" + hosts[r.Intn(len(hosts))]
					inSubject(address)(c)
					p.inSubject = true
				}
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
			if chance(8) {
				policyConstraints(t, true, r.Intn(3), -1)(c)
			}
			if chance(5) {
				extension(asn1.ObjectIdentifier{2, 5, 29, 54}, true, []byte{2, 1, byte(r.Intn(2))})(c)
			}
			if i < n-1 && chance(8) {
				maps(t, 1+r.Intn(2), 1+r.Intn(2))(c)
			}
			if !c.IsCA {
				c.KeyUsage, c.MaxPathLen, c.MaxPathLenZero = 0, 0, false
				return
			}
			if i > 0 && chance(20) {
				c.PermittedDNSDomainsCritical = chance(70)
				h := hosts[r.Intn(len(hosts))]
				switch r.Intn(8) {
				case 4:
					c.PermittedIPRanges = nets[:1+r.Intn(2)]
				case 5:
					c.ExcludedIPRanges = nets[r.Intn(2):]
				case 6:
					c.PermittedURIDomains = []string{h}
				case 7:
					c.ExcludedURIDomains = []string{h}
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
		if parent != nil && chance(4) {
			forged := bytes.Clone(c.Raw)
			forged[len(forged)-1] ^= 1
			c = &entity{parsed(t, forged), c.key}
			p.oddity += " forged"
		}
		p.certs = append([]*entity{c}, p.certs...)
		parent = c
	}
	p.explain(emails)
	return p
}

// explain finds the rules by which the two validators may differ about p.
func (p *drawnPKI) explain(emails []string) {
	if leaf := p.certs[0]; leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		p.why = append(p.why, "X8: the leaf's keyUsage is looked at")
	}
	for i, c := range p.certs[1:] {
		for _, h := range slices.Concat(c.PermittedEmailAddresses, c.ExcludedEmailAddresses) {
			if slices.ContainsFunc(emails, func(e string) bool { return strings.HasSuffix(e, "."+h) }) {
				p.why = append(p.why, "X1: a mail host constraint covers that host alone")
			}
		}
		if p.inSubject && len(c.PermittedEmailAddresses)+len(c.ExcludedEmailAddresses) > 0 {
			p.why = append(p.why, "X3: an address in the subject is constrained")
		}
		if len(c.PermittedURIDomains)+len(c.ExcludedURIDomains) > 0 && len(p.certs[0].URIs) > 0 {
			p.why = append(p.why, "X5: constraints on URIs")
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
	for seed := range int64(600) {
		if differ(t, seed, keys) {
			valid++
		}
	}
	if valid < 100 || valid > 500 {
		t.Errorf("%d of 600 paths are valid: the drawing is lopsided", valid)
	}
}

func FuzzDifferential(f *testing.F) {
	keys := keyring(f)
	f.Add(int64(1))
	f.Fuzz(func(t *testing.T, seed int64) { differ(t, seed, keys) })
}
