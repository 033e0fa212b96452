package chain_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/chain"
)

// Every check of every path is told: what passed, what did not and what was not reached.
func TestChecks(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	old := issue(t, root, "Old", ca, between(now.AddDate(-2, 0, 0), now.AddDate(-1, 0, 0)))
	late := issue(t, old, "bob", mail)
	severities := func(r *chain.Report, code string) (list []string) {
		for _, f := range r.Checks(0) {
			if f.Code == code || strings.HasPrefix(code, "rev") && strings.HasPrefix(f.Code, "rev.") {
				list = append(list, f.Severity)
			}
			if f.Reference == "" || f.Detail == "" || f.Certificate == nil {
				t.Errorf("incomplete check %+v", f)
			}
		}
		return list
	}
	crls := [][]byte{listing(t, root, nil), listing(t, sub, nil)}
	good := judge(t, root, leaf, chain.Revocation{CRLs: crls}, sub)
	revoked := judge(t, root, leaf, chain.Revocation{CRLs: [][]byte{crls[0], listing(t, sub, nil, leaf)}}, sub)
	for _, tt := range []struct {
		name string
		r    *chain.Report
		code string
		want string
	}{
		{"signatures", good, "sig.invalid", "passed passed"},
		{"times", good, "time.expired", "passed passed passed"},
		{"issuers", good, "ca.path_len", "passed passed"},
		{"policies", good, "policy.none", "passed passed"},
		{"revocation", good, "rev", "passed passed"},
		{"revoked", revoked, "rev", "error passed"},
		{"nobody asked", explain(t, root, leaf, chain.Request{}, sub), "rev", "skipped skipped"},
		{"expired", explain(t, root, late, chain.Request{}, old), "time.expired", "passed error passed"},
		{"not reached", explain(t, root, late, chain.Request{}, old), "policy.none", "skipped skipped"},
		{"no anchor", explain(t, root, issue(t, issue(t, nil, "Stranger", ca), "carol", mail), chain.Request{}), "sig.invalid", "skipped"},
	} {
		if got := strings.Join(severities(tt.r, tt.code), " "); got != tt.want {
			t.Errorf("%s: %s, want %s\n%s", tt.name, got, tt.want, tt.r)
		}
	}
	if good.Checks(-1) != nil || good.Checks(len(good.Tried)) != nil {
		t.Error("checks of a path that there is not")
	}
	// No error about a certificate of a path is missing among its checks.
	for _, r := range []*chain.Report{
		explain(t, root, late, chain.Request{Address: "x@example.com", Purpose: chain.EmailEncryption}, old),
		explain(t, root, leaf, chain.Request{RequireExplicitPolicy: true}, sub), revoked,
	} {
		for i, path := range r.Tried {
			checks := r.Checks(i)
			for _, f := range path.Findings {
				if f.Severity == "error" && f.Certificate != nil && !slices.ContainsFunc(checks, func(c chain.Finding) bool { return c.Code == f.Code && c.Severity == "error" }) {
					t.Errorf("%s is not among the checks", f.Code)
				}
			}
		}
	}
	for _, f := range good.Checks(0) {
		if strings.HasPrefix(f.Code, "rev.") && !strings.Contains(f.Detail, "60 minutes old") {
			t.Errorf("no age in %q", f.Detail)
		}
	}
}
