package chain_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/postseal/postseal/chain"
)

// within fails if f takes out of all proportion long. The bound the project sets itself
// is 50 ms on an idle machine, see BenchmarkHostile; tests run beside others.
func within(t *testing.T, bound time.Duration, f func()) {
	t.Helper()
	best := time.Hour
	for range 3 {
		start := time.Now()
		f()
		if best = min(best, time.Since(start)); best <= bound {
			return
		}
	}
	if best > 10*bound {
		t.Errorf("took %v, want at most %v", best, bound)
	}
}

// decoys makes n CAs with the name and key identifier of a real one, and other keys.
func decoys(t testing.TB, root *entity, name string, keyID []byte, n int) []*entity {
	var list []*entity
	for range n {
		list = append(list, issue(t, root, name, ca, func(c *x509.Certificate) { c.SubjectKeyId = keyID }))
	}
	return list
}

// Attack row G01: a hundred and more same-named CAs must not hide the one that signed.
func TestManySameNamedCAs(t *testing.T) {
	fake := issue(t, nil, "Root", ca)
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	for _, n := range []int{100, 400} {
		bag := append(decoys(t, fake, "Issuing", sub.SubjectKeyId, n), sub)
		v := verifier(collection(root))
		bound := 50 * time.Millisecond
		if n > 100 {
			bound = 500 * time.Millisecond
		}
		within(t, bound, func() {
			v = verifier(collection(root))
			r := v.Explain(context.Background(), chain.Request{Leaf: leaf.Certificate, Untrusted: certs(bag...)})
			expect(t, r, "valid")
		})
		within(t, bound, func() {
			v = verifier(collection(root))
			r := v.Explain(context.Background(), chain.Request{Leaf: leaf.Certificate, Untrusted: certs(bag[:n]...)})
			expect(t, r, "sig.invalid")
		})
	}
}

// Attack row G01: same-named CAs of issuers that nobody has, and with more name constraints
// than can be compared, must not hide the one that signed, wherever it comes from.
func TestManyBloatedCAs(t *testing.T) {
	fake, root := issue(t, nil, "Root", ca), issue(t, nil, "Root", ca)
	mail1 := constraints(t, true, []asn1.RawValue{rfc822("example.com")}, nil)
	mid := issue(t, root, "Mid", ca, mail1)
	sub := issue(t, mid, "Issuing", ca, mail1)
	leaf := issue(t, sub, "alice", mail)
	key := newKey(t)
	var strangers, bloated []*entity
	for i := range 2100 {
		of := &entity{&x509.Certificate{Subject: pkix.Name{CommonName: fmt.Sprint("Nobody ", i)}}, key}
		strangers = append(strangers, issueWith(t, key, of, "Issuing", ca, like(sub)))
	}
	many := make([]asn1.RawValue, 9000)
	for i := range many {
		many[i] = rfc822("x")
	}
	heavy := constraints(t, true, []asn1.RawValue{rfc822("example.com")}, many)
	for range 150 {
		bloated = append(bloated, issueWith(t, key, fake, "Issuing", ca, heavy, like(sub)))
	}
	outside := make([]asn1.RawValue, 300)
	for i := range outside {
		outside[i] = rfc822(fmt.Sprintf("%d.example", i))
	}
	strict := issueWith(t, sub.key, mid, "Issuing", ca, constraints(t, true, outside, nil))
	for _, tt := range []struct {
		name    string
		anchors *chain.Collection
		bag     []*entity
		want    string
	}{
		{"strangers, issuer in the message", collection(root), append(strangers, mid, sub), "valid"},
		{"strangers, issuer in the collection", collection(root, mid, sub), strangers, "valid"},
		{"strangers alone", collection(root), strangers, "path.no_anchor"},
		{"bloated, issuer in the message", collection(root), append(bloated, mid, sub), "valid"},
		{"bloated, issuer in the collection", collection(root, mid, sub), bloated, "valid"},
		{"bloated alone", collection(root, mid), bloated, "sig.invalid"},
		{"many constraints of the issuer itself", collection(root), []*entity{mid, strict}, "nc.not_permitted"},
		{"many constraints of one certificate of the issuer", collection(root), []*entity{mid, strict, sub}, "valid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			within(t, 100*time.Millisecond, func() {
				r := verifier(tt.anchors).Explain(context.Background(), chain.Request{Leaf: leaf.Certificate, Untrusted: certs(tt.bag...)})
				expect(t, r, tt.want)
			})
		})
	}
}

// mesh makes n CAs each of which has certified every other.
func mesh(t testing.TB, n int) (cas []*entity, cross []*entity) {
	for i := range n {
		cas = append(cas, issue(t, nil, fmt.Sprintf("Mesh %d", i), ca))
	}
	for i := range cas {
		for j := range cas {
			if i != j {
				cross = append(cross, issueWith(t, cas[j].key, cas[i], fmt.Sprintf("Mesh %d", j), ca))
			}
		}
	}
	return cas, cross
}

// Attack row G01: a mesh of cross-certified CAs has more paths than can be walked.
func TestMeshOfCAs(t *testing.T) {
	cas, cross := mesh(t, 20)
	leaf := issue(t, cas[0], "alice", mail)
	root := issue(t, nil, "Root", ca)
	above := issueWith(t, cas[19].key, root, "Mesh 19", ca)
	forged := *above
	raw := bytes.Clone(above.Raw)
	raw[len(raw)-1] ^= 1
	forged.Certificate = &x509.Certificate{Raw: raw}
	expired := issueWith(t, cas[19].key, root, "Mesh 19", ca, between(now.AddDate(-2, 0, 0), now.AddDate(-1, 0, 0)))
	narrow := issueWith(t, cas[19].key, root, "Mesh 19", ca, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	for _, tt := range []struct {
		name string
		more *entity
		want string
	}{
		{"root above one", above, "valid"},
		{"no root", nil, "path.no_anchor"},
		{"forged link to the root", &forged, "sig.invalid"},
		{"expired link to the root", expired, "time.expired"},
		{"path length at the top", narrow, "ca.path_len"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bag := certs(cross...)
			if tt.more != nil {
				bag = append(bag, tt.more.Certificate)
			}
			within(t, 50*time.Millisecond, func() {
				r := verifier(collection(root)).Explain(context.Background(), chain.Request{Leaf: leaf.Certificate, Untrusted: bag})
				expect(t, r, tt.want)
			})
		})
	}
}

// Attack rows B04 and G01: candidates with huge keys are refused before any arithmetic,
// and do not hide the real one.
func TestHugeKeys(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	bag := []*x509.Certificate{}
	for i := range 100 {
		n := new(big.Int).Lsh(big.NewInt(1), 16383)
		n.SetBit(n, 0, 1).SetBit(n, i+1, 1)
		bag = append(bag, &x509.Certificate{Raw: withRSAKey(t, sub.Certificate, n, 1<<31-1)})
	}
	within(t, 50*time.Millisecond, func() {
		r := verifier(collection(root)).Explain(context.Background(), chain.Request{Leaf: leaf.Certificate, Untrusted: bag})
		expect(t, r, "sig.invalid")
	})
	within(t, 50*time.Millisecond, func() {
		r := verifier(collection(root)).Explain(context.Background(), chain.Request{Leaf: leaf.Certificate, Untrusted: append(bag, sub.Certificate)})
		expect(t, r, "valid")
	})
}

// withRSAKey returns c with another key; its signature is no longer right.
func withRSAKey(t testing.TB, c *x509.Certificate, n *big.Int, e int) []byte {
	t.Helper()
	key, err := asn1.Marshal(struct {
		N *big.Int
		E int
	}{n, e})
	if err != nil {
		t.Fatal(err)
	}
	spki, err := asn1.Marshal(struct {
		Algorithm struct {
			ID   asn1.ObjectIdentifier
			Null asn1.RawValue
		}
		Key asn1.BitString
	}{struct {
		ID   asn1.ObjectIdentifier
		Null asn1.RawValue
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.NullRawValue}, asn1.BitString{Bytes: key, BitLength: 8 * len(key)}})
	if err != nil {
		t.Fatal(err)
	}
	return replaceTBS(t, c.Raw, c.RawSubjectPublicKeyInfo, spki)
}

// replaceTBS replaces one element of a TBSCertificate and mends the lengths around it.
func replaceTBS(t testing.TB, der, old, new []byte) []byte {
	t.Helper()
	var cert struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &cert); err != nil {
		t.Fatal(err)
	}
	body := bytes.Replace(cert.TBS.Bytes, old, new, 1)
	if bytes.Equal(body, cert.TBS.Bytes) {
		t.Fatal("nothing was replaced")
	}
	tbs, err := asn1.Marshal(asn1.RawValue{Tag: 16, IsCompound: true, Bytes: body})
	if err != nil {
		t.Fatal(err)
	}
	cert.TBS = asn1.RawValue{FullBytes: tbs}
	out, err := asn1.Marshal(cert)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A long line of CAs, each certified by the next, ends at a bound and not at a hang.
func TestLongPath(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	above, line := root, []*entity{}
	for i := range 100 {
		above = issue(t, above, fmt.Sprintf("CA %d", i), ca)
		line = append(line, above)
	}
	leaf := issue(t, above, "alice", mail)
	within(t, 50*time.Millisecond, func() {
		r := explain(t, root, leaf, chain.Request{}, line...)
		expect(t, r, "path.budget")
		if r.Verdict != "indeterminate" {
			t.Errorf("a search that was given up is %s", r.Verdict)
		}
	})
	leaf = issue(t, line[9], "alice", mail)
	expect(t, explain(t, root, leaf, chain.Request{}, line...), "valid")
}

// The answer is the same whatever the order and number of what the message brings.
func TestOrderDoesNotMatter(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	twin := issueWith(t, sub.key, root, "Issuing", ca, between(now.AddDate(-3, 0, 0), now.AddDate(-2, 0, 0)))
	other := issueWith(t, sub.key, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	bag := []*entity{sub, twin, other, root, leaf, sub, twin}
	var first string
	for i := range bag {
		rotated := append(append([]*entity{}, bag[i:]...), bag[:i]...)
		r := explain(t, root, leaf, chain.Request{}, rotated...)
		expect(t, r, "valid")
		got := fmt.Sprintf("%x", r.Certificates[1].SerialNumber)
		if first == "" {
			first = got
		}
		if got != first {
			t.Errorf("rotation %d takes another path", i)
		}
	}
}

// A context that has ended stops the search at once.
func TestCancelledContext(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := verifier(collection(root)).Explain(ctx, chain.Request{Leaf: leaf.Certificate})
	expect(t, r, "path.budget")
}

// keyIDOf is the usual key identifier: SHA-1 of the key bits (RFC 5280, Section 4.2.1.2).
func keyIDOf(c *x509.Certificate) []byte {
	var spki struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki); err != nil {
		return nil
	}
	sum := sha1.Sum(spki.Key.Bytes)
	return sum[:]
}

// BenchmarkHostile shows what hostile graphs cost, each asked of a new verifier.
func BenchmarkHostile(b *testing.B) {
	fake, root := issue(b, nil, "Root", ca), issue(b, nil, "Root", ca)
	sub := issue(b, root, "Issuing", ca)
	leaf := issue(b, sub, "alice", mail)
	cas, cross := mesh(b, 20)
	meshLeaf := issue(b, cas[0], "alice", mail)
	above := issueWith(b, cas[19].key, root, "Mesh 19", ca)
	for _, h := range []struct {
		name string
		leaf *entity
		bag  []*entity
	}{
		{"100-same-named-and-the-real-one", leaf, append(decoys(b, fake, "Issuing", sub.SubjectKeyId, 100), sub)},
		{"1000-same-named-and-the-real-one", leaf, append(decoys(b, fake, "Issuing", sub.SubjectKeyId, 1000), sub)},
		{"mesh-of-20-root-above-one", meshLeaf, append(cross, above)},
		{"mesh-of-20-no-root", meshLeaf, cross},
	} {
		bag := certs(h.bag...)
		b.Run(h.name, func(b *testing.B) {
			for b.Loop() {
				verifier(collection(root)).Explain(context.Background(), chain.Request{Leaf: h.leaf.Certificate, Untrusted: bag})
			}
		})
	}
}

// Questions that somebody else asked together share one bound.
func TestBudget(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	v := verifier(collection(root))
	budget := 100
	ask := func() *chain.Report {
		return v.Explain(context.Background(), chain.Request{Leaf: leaf.Certificate, Untrusted: certs(leaf, leaf, leaf, leaf), Budget: &budget})
	}
	expect(t, ask(), "valid")
	if budget >= 100 || budget < 80 {
		t.Errorf("a question left %d of 100", budget)
	}
	budget = 0
	if r := ask(); r.Verdict != "indeterminate" || r.Codes[0] != "path.budget" || r.Path != nil {
		t.Errorf("without a budget the answer is %s %v", r.Verdict, r.Codes)
	}
}

// Keys that cannot be read stand beside the issuer's, and one of them under its name.
func TestUnreadableKeys(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	rsaKey := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 1 << 40}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: sub.Subject, SubjectKeyId: sub.SubjectKeyId,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
	}
	ca(template)
	der, err := x509.CreateCertificate(rand.Reader, template, root.Certificate, rsaKey, root.key)
	if err != nil {
		t.Fatal(err)
	}
	fake := &entity{Certificate: &x509.Certificate{Raw: der}}
	expect(t, explain(t, root, leaf, chain.Request{}, fake, sub), "valid")
	if r := explain(t, root, leaf, chain.Request{}, fake); r.Verdict == "valid" {
		t.Error("a path leads through a key that cannot be read")
	}
}
