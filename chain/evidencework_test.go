package chain_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/postseal/postseal/chain"
)

// costly makes n CAs with the name of a real one and keys that take 40 times as long as P-256.
func costly(t testing.TB, root *entity, name string, n int, edit func(*x509.Certificate)) (list []*entity) {
	t.Helper()
	for range n {
		key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, issueWith(t, key, root, name, ca, edit))
	}
	return list
}

// like makes a CA look as if it were another, and be tried before it.
func like(other *entity) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.SubjectKeyId, c.NotBefore = other.SubjectKeyId, other.NotBefore.AddDate(0, 0, 1)
	}
}

// softly are the settings for which a status that is not known does not stand in the way of
// a certificate without sources.
func softly(crls ...[]byte) map[string]chain.Revocation {
	return map[string]chain.Revocation{"zero": {CRLs: crls}, "soft": {CRLs: crls, AllowUnknown: true}}
}

// Attack rows G01 and G08: what a message brings cannot spend the work that reading the
// caller's own list takes, however close to the bound it goes.
func TestDecoysLeaveRevocationItsWork(t *testing.T) {
	fake, root := issue(t, nil, "Root", ca), issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	many := costly(t, fake, "Issuing", 50, like(sub))
	for range 47 {
		many = append(many, issue(t, fake, "Issuing", ca, like(sub)))
	}
	for _, n := range []int{0, 96, 97} {
		bag := certs(append(many[:n:n], sub)...)
		for want, der := range map[string][]byte{"rev.revoked": listing(t, sub, nil, leaf), "valid": listing(t, sub, nil)} {
			if n > 96 {
				want = "path.budget" // with the 97th the search itself is over
			}
			for mode, rev := range softly(der) {
				v := verifier(collection(root))
				for range 2 { // the second answer may come from memory
					t.Run(fmt.Sprintf("%d decoys, %s, %s", n, mode, want), func(t *testing.T) {
						expect(t, v.Explain(context.Background(), chain.Request{Leaf: leaf.Certificate, Untrusted: bag, Revocation: &rev}), want)
					})
				}
			}
		}
	}
}

// Attack row G08: what was not verified for lack of work may say "revoked": the answer is indeterminate,
// whatever else says "good" and whether a status is asked for or not.
func TestUnreadEvidence(t *testing.T) {
	fake, root := issue(t, nil, "Root", ca), issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	many := costly(t, fake, "Issuing", 30, func(*x509.Certificate) {})
	impostor := issue(t, nil, "Issuing", ca)
	newer := func(k int) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) { l.ThisUpdate = now.Add(-time.Duration(k) * time.Minute) }
	}
	var forged [][]byte
	for k := range 3 {
		forged = append(forged, listing(t, impostor, newer(k+1)))
	}
	good := answer(t, sub, sub, leaf, func(*ocsp.Response) {})
	for _, tt := range []struct {
		name   string
		decoys int
		own    []byte
		ocsp   [][]byte
		want   string
	}{
		{"a list that names it", 30, listing(t, sub, nil, leaf), nil, "path.budget"},
		{"twin: few decoys", 1, listing(t, sub, nil, leaf), nil, "rev.revoked"},
		{"a list that does not", 30, listing(t, sub, nil), nil, "path.budget"},
		{"twin: few decoys, clean", 1, listing(t, sub, nil), nil, "valid"},
		{"a response says good", 30, listing(t, sub, nil, leaf), [][]byte{good}, "path.budget"},
		{"twin: few decoys, and a response", 1, listing(t, sub, nil), [][]byte{good}, "valid"},
	} {
		for mode, rev := range softly(tt.own) {
			t.Run(tt.name+", "+mode, func(t *testing.T) {
				q := chain.Request{Leaf: leaf.Certificate, Untrusted: certs(append(many[:tt.decoys:tt.decoys], sub)...), CRLs: forged, OCSP: tt.ocsp, Revocation: &rev}
				v := verifier(collection(root))
				first := v.Explain(context.Background(), q)
				expect(t, first, tt.want)
				if tt.want == "path.budget" && first.Verdict != "indeterminate" {
					t.Errorf("verdict %s", first.Verdict)
				}
				// The bound does not depend on what is remembered of the path.
				v = verifier(collection(root))
				bare := q
				bare.CRLs, bare.OCSP, bare.Revocation = nil, nil, &chain.Revocation{AllowUnknown: true}
				expect(t, v.Explain(context.Background(), bare), "valid")
				for range 2 {
					if a, b := account(t, first), account(t, v.Explain(context.Background(), q)); a != b {
						t.Errorf("another answer from memory\n%s\n%s", a, b)
					}
				}
			})
		}
	}
}

// Attack row G07: a certificate of thousands of distribution points and a message of many
// lists are not held against each other one by one.
func TestManyPoints(t *testing.T) {
	root, impostor := issue(t, nil, "Root", ca), issue(t, nil, "Root", ca)
	lists := [][]byte{listing(t, root, nil)}
	for k := range 40 {
		lists = append(lists, listing(t, impostor, func(l *x509.RevocationList) { l.ThisUpdate = now.Add(-time.Duration(k) * time.Minute) }))
	}
	for n, want := range map[int]string{100: "valid", 25_000: "path.budget"} {
		points := append([]byte{0x30, 0x82, byte(2 * n >> 8), byte(2 * n)}, bytes.Repeat([]byte{0x30, 0}, n)...)
		if n == 100 {
			points = append([]byte{0x30, 0x81, byte(2 * n)}, points[4:]...)
		}
		leaf := issue(t, root, "alice", mail, extension(asn1.ObjectIdentifier{2, 5, 29, 31}, false, points))
		within(t, 200*time.Millisecond, func() {
			expect(t, explain(t, root, leaf, chain.Request{CRLs: lists, Revocation: &chain.Revocation{}}), want)
		})
	}
}

// Attack row G08: responders that answer for each other are not asked in every order.
func TestRespondersOfEachOther(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	var all []*entity
	for i := range 12 {
		all = append(all, issue(t, root, fmt.Sprint("Responder ", i), responder, sources("", "http://responder.example"), func(c *x509.Certificate) { c.ExtraExtensions = nil }))
	}
	for n, want := range map[int]string{2: "valid", 12: "path.budget"} {
		responses := [][]byte{answer(t, root, root, all[0], nil)} // this one is known to be good
		for _, r := range all[:n] {
			responses = append(responses, answer(t, root, r, leaf, nil))
			for _, other := range all[:n] {
				if other != r {
					responses = append(responses, answer(t, root, r, other, nil))
				}
			}
		}
		within(t, time.Second, func() {
			expect(t, explain(t, root, leaf, chain.Request{OCSP: responses, Revocation: &chain.Revocation{RequireAll: true}}), want)
		})
	}
}

// The path of who signed a list is part of verifying it.
func TestUnreadPathOfListSigner(t *testing.T) {
	fake, root := issue(t, nil, "Root", ca), issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	mid := issue(t, root, "Mid", ca)
	crlSign := func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCRLSign }
	signer := issue(t, mid, "Issuing", ca, crlSign)
	above, line := root, []*entity{sub}
	for i := range 40 {
		above = issue(t, above, fmt.Sprintf("CA %d", i), ca)
		line = append(line, above)
	}
	far := issue(t, above, "Issuing", ca, crlSign)
	near := issue(t, line[5], "Issuing", ca, crlSign)
	for _, tt := range []struct {
		name   string
		signer *entity
		bag    []*entity
		want   string
	}{
		{"decoys of the CA above", signer, append(costly(t, fake, "Mid", 60, like(mid)), sub, mid, signer), "path.budget"},
		{"twin: none", signer, []*entity{sub, mid, signer}, "rev.revoked"},
		{"below more CAs than are looked at", far, append(slices.Clone(line), far), "path.budget"},
		{"twin: below a few", near, append(slices.Clone(line), near), "rev.revoked"},
	} {
		for mode, rev := range softly(listing(t, tt.signer, nil, leaf)) {
			t.Run(tt.name+", "+mode, func(t *testing.T) {
				expect(t, explain(t, root, leaf, chain.Request{Revocation: &rev}, tt.bag...), tt.want)
			})
		}
	}
}
