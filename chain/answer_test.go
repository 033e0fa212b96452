package chain_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/chain"
)

// A path that was found once is not searched and its signatures are not checked again.
func TestPathsAreRemembered(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	v := verifier(collection(root))
	q := chain.Request{Leaf: leaf.Certificate, Untrusted: certs(sub), Revocation: &chain.Revocation{AllowUnknown: true}}
	first := v.Explain(context.Background(), q)
	expect(t, first, "valid")
	if paths, signatures := v.Remembered(); paths != 1 || signatures != 2 {
		t.Errorf("%d paths and %d signatures are remembered", paths, signatures)
	}
	v.ForgetSignatures()
	again := v.Explain(context.Background(), q)
	if _, signatures := v.Remembered(); signatures != 0 {
		t.Errorf("%d signatures were checked again", signatures)
	}
	if a, b := account(t, first), account(t, again); a != b {
		t.Errorf("the same question got another answer\n%s\n%s", a, b)
	}
}

// account is everything a report says.
func account(t testing.TB, r *chain.Report) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return r.String() + r.DOT() + string(b)
}

// Nothing that is remembered survives a change that matters: every row asks once what is
// valid, changes one thing, and asks again.
func TestMemoryHeedsChanges(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca, between(now.AddDate(-1, 0, 0), now.AddDate(0, 6, 0)))
	leaf := issue(t, sub, "alice", mail)
	forged := bytes.Clone(leaf.Raw)
	forged[len(forged)-1] ^= 1
	forgedSub := bytes.Clone(sub.Raw)
	forgedSub[len(forgedSub)-1] ^= 1
	hit := listing(t, sub, nil, leaf)
	none := 0
	for _, tt := range []struct {
		name   string
		change func(*chain.Verifier, *chain.Collection, *chain.Request)
		want   string
	}{
		{"nothing", func(*chain.Verifier, *chain.Collection, *chain.Request) {}, "valid"},
		{"the issuer has expired", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) { q.Time = now.AddDate(0, 7, 0) }, "time.expired"},
		{"the issuer is not valid yet", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) { q.Time = now.AddDate(-2, 0, 0) }, "time.not_yet_valid"},
		{"the last second counts", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) { q.Time = sub.NotAfter }, "valid"},
		{"a second later", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) { q.Time = sub.NotAfter.Add(time.Second) }, "time.expired"},
		{"the leaf is revoked", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) {
			q.Revocation, q.CRLs = &chain.Revocation{AllowUnknown: true}, [][]byte{hit}
		}, "rev.revoked"},
		{"a status is required", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) {
			q.Revocation = &chain.Revocation{RequireAll: true}
		}, "rev.unknown"},
		{"the anchor is gone", func(_ *chain.Verifier, c *chain.Collection, _ *chain.Request) { c.Remove(root.Certificate) }, "path.no_issuer"},
		{"the collection is replaced", func(_ *chain.Verifier, c *chain.Collection, _ *chain.Request) { c.Replace(new(chain.Collection)) }, "path.no_issuer"},
		{"the issuer does not come along", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) { q.Untrusted = nil }, "path.no_issuer"},
		{"the issuer came altered", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) {
			q.Untrusted = []*x509.Certificate{{Raw: forgedSub}}
		}, "sig.invalid"},
		{"the leaf is altered", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) {
			q.Leaf = &x509.Certificate{Raw: forged}
		}, "sig.invalid"},
		{"another purpose", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) { q.Purpose = "server-auth" }, "eku.leaf"},
		{"another address", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) { q.Address = "bob@example.com" }, "address.mismatch"},
		{"a host", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) { q.DNSName = "a.example" }, "host.mismatch"},
		{"an address of the network", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) { q.IPAddress = "192.0.2.1" }, "host.mismatch"},
		{"a policy", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) { q.RequireExplicitPolicy = true }, "policy.none"},
		{"a depth", func(_ *chain.Verifier, _ *chain.Collection, q *chain.Request) { q.MaxDepth = &none }, "path.depth"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := collection(root)
			v := verifier(c)
			q := chain.Request{Leaf: leaf.Certificate, Untrusted: certs(sub)}
			expect(t, v.Explain(context.Background(), q), "valid")
			tt.change(v, c, &q)
			expect(t, v.Explain(context.Background(), q), tt.want)
		})
	}
	// A caller may use his buffers again.
	v := verifier(collection(root))
	buffer := &x509.Certificate{Raw: bytes.Clone(sub.Raw)}
	q := chain.Request{Leaf: leaf.Certificate, Untrusted: []*x509.Certificate{buffer}}
	expect(t, v.Explain(context.Background(), q), "valid")
	clear(buffer.Raw)
	if r := v.Explain(context.Background(), q); r.Verdict != "invalid" {
		t.Errorf("an issuer that is gone: %s", r)
	}
	expect(t, v.Explain(context.Background(), chain.Request{Leaf: leaf.Certificate, Untrusted: certs(sub)}), "valid")
	// A context that has ended gets no answer from memory either.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	expect(t, v.Explain(ctx, chain.Request{Leaf: leaf.Certificate, Untrusted: certs(sub)}), "path.budget")
}

// No answer depends on what was asked before: a verifier that has answered everything, in
// any order, by several goroutines and with a memory that turns over, says the same as one
// that was never asked.
func TestMemoryIsInvisible(t *testing.T) {
	root, other := issue(t, nil, "Root", ca), issue(t, nil, "Other root", ca)
	sub := issue(t, root, "Issuing", ca, between(now.AddDate(-1, 0, 0), now.AddDate(0, 6, 0)))
	next := issueWith(t, sub.key, root, "Issuing", ca, between(now.AddDate(0, 3, 0), now.AddDate(1, 0, 0)))
	cross := issueWith(t, sub.key, other, "Issuing", ca)
	named := sources("http://crl.example/a.crl", "")
	leaves := []*entity{issue(t, sub, "alice", mail), issue(t, sub, "bob", mail, named), issue(t, root, "carol", mail)}
	bags := [][]*x509.Certificate{nil, certs(sub), certs(next), certs(sub, next), certs(next, sub), certs(cross, sub), {sub.Certificate, raw([]byte{1})}}
	crls := [][][]byte{nil, {listing(t, sub, nil)}, {listing(t, sub, nil, leaves[1])}}
	r := rand.New(rand.NewSource(1))
	var questions []chain.Request
	for range 300 {
		q := chain.Request{
			Leaf: leaves[r.Intn(len(leaves))].Certificate, Untrusted: bags[r.Intn(len(bags))], CRLs: crls[r.Intn(len(crls))],
			Time: now.AddDate(0, r.Intn(14), 0), Purpose: []chain.Purpose{chain.EmailSigning, chain.EmailEncryption, "any"}[r.Intn(3)],
			Address: []string{"", "", "alice@example.com", "ALICE@example.com"}[r.Intn(4)], RequireExplicitPolicy: r.Intn(8) == 0,
			Revocation: []*chain.Revocation{{AllowUnknown: true}, {}, {RequireAll: true}, {InsecureOff: true}}[r.Intn(4)],
		}
		questions = append(questions, q)
	}
	want := make([]string, len(questions))
	valid := 0
	for i, q := range questions {
		report := verifier(collection(root)).Explain(context.Background(), q)
		if want[i] = account(t, report); report.Verdict == "valid" {
			valid++
		}
	}
	if valid < 50 || valid > 250 {
		t.Errorf("%d of %d questions are valid: the drawing is lopsided", valid, len(questions))
	}
	for _, less := range []bool{false, true} {
		v := verifier(collection(root))
		if less {
			v.RememberLess()
		}
		var wg sync.WaitGroup
		for range 4 {
			order := r.Perm(len(questions))
			wg.Go(func() {
				for _, i := range slices.Concat(order, order) {
					if got := account(t, v.Explain(context.Background(), questions[i])); got != want[i] {
						t.Errorf("question %d got another answer\n%s\n%s", i, want[i], got)
						return
					}
				}
			})
		}
		wg.Wait()
		if paths, signatures := v.Remembered(); less && (paths > 4 || signatures > 4) || paths == 0 {
			t.Errorf("%d paths and %d signatures are remembered", paths, signatures)
		}
	}
}

// The bound on work is the same whether signatures are remembered or not: a search that was
// given up is not continued by asking again.
func TestBudgetIgnoresMemory(t *testing.T) {
	fake := issue(t, nil, "Root", ca)
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	bag := certs(append(decoys(t, fake, "Issuing", sub.SubjectKeyId, 60), sub)...)
	v := verifier(collection(root))
	var spent []int
	for range 3 {
		budget := 1000
		expect(t, v.Explain(context.Background(), chain.Request{Leaf: leaf.Certificate, Untrusted: bag, Budget: &budget}), "valid")
		spent = append(spent, 1000-budget)
	}
	if spent[0] != spent[1] || spent[1] != spent[2] || spent[0] == 0 {
		t.Errorf("the same question costs %v", spent)
	}
}

// BenchmarkRemembered prints what the second question about the same message costs, with
// what a hostile message brings along.
func BenchmarkRemembered(b *testing.B) {
	fake, root := issue(b, nil, "Root", ca), issue(b, nil, "Root", ca)
	sub := issue(b, root, "Issuing", ca)
	leaf := issue(b, sub, "alice", mail)
	for _, n := range []int{0, 1000} {
		bag := certs(append(decoys(b, fake, "Issuing", sub.SubjectKeyId, n), sub)...)
		b.Run(fmt.Sprintf("decoys=%d", n), func(b *testing.B) {
			v := verifier(collection(root))
			ask := func() { mustVerify(b, v, leaf, bag...) }
			d := fastest(func() { v = verifier(collection(root)) }, ask, ask)
			b.ReportMetric(float64(d[1].Nanoseconds())/1e3, "us-first")
			b.ReportMetric(float64(d[2].Nanoseconds())/1e3, "us-again")
			b.ReportMetric(float64(d[2])/float64(d[1]), "of-first")
			b.ReportMetric(0, "ns/op")
		})
	}
}
