package chain_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"testing"

	"golang.org/x/crypto/ocsp"

	"github.com/postseal/postseal/chain"
	lenient "github.com/postseal/postseal/internal/pkix"
)

// FuzzExplain changes what a message brings. Whatever it is, there is an answer with its
// reasons, and valid is only what the anchor's keys have signed.
func FuzzExplain(f *testing.F) {
	// The processes of a fuzzing run must all make the same certificates.
	key := func(n byte) crypto.Signer { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)) }
	number := func(n int64) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.SerialNumber = big.NewInt(n) }
	}
	root := issueWith(f, key(1), nil, "Root", ca, number(1))
	sub := issueWith(f, key(2), root, "Issuing", ca, number(2))
	leaf := issueWith(f, key(3), sub, "alice", mail, number(3), sources("http://crl.example/", "http://ocsp.example/"))
	list := listing(f, sub, nil, root)
	signed := [][]byte{leaf.RawTBSCertificate, sub.RawTBSCertificate}
	f.Add(leaf.Raw, sub.Raw, list, []byte(ocsp.TryLaterErrorResponse))
	f.Add(sub.Raw, leaf.Raw, list, list)
	f.Fuzz(func(t *testing.T, a, b, c, d []byte) {
		rev := chain.Revocation{AllowUnknown: true, CRLs: [][]byte{c, d}, OCSP: [][]byte{d, c}}
		r := verifier(collection(root)).Explain(context.Background(), chain.Request{
			Leaf: raw(a), Untrusted: []*x509.Certificate{raw(b), raw(c)}, Purpose: "any", Revocation: &rev, Address: "alice@example.com",
		})
		if (r.Verdict == "valid") != (len(r.Codes) == 0) || (r.Verdict == "valid") != (r.Path != nil) {
			t.Fatalf("verdict %s with codes %v", r.Verdict, r.Codes)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
		if r.String() == "" {
			t.Fatal("no text")
		}
		if r.Verdict != "valid" {
			return
		}
		got, err := lenient.Parse(a)
		if err != nil || !bytes.Equal(got.RawTBS, signed[0]) && !bytes.Equal(got.RawTBS, signed[1]) && !bytes.Equal(a, root.Raw) {
			t.Fatalf("valid, and nobody signed it: %x", a)
		}
	})
}
