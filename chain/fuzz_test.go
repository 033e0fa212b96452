package chain_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"testing"

	"github.com/postseal/postseal/chain"
	lenient "github.com/postseal/postseal/internal/pkix"
)

// FuzzExplain changes what a message brings. Whatever it is, there is an answer with its
// reasons, and valid is only what the anchor's keys have signed.
func FuzzExplain(f *testing.F) {
	root := issue(f, nil, "Root", ca)
	sub := issue(f, root, "Issuing", ca)
	leaf := issue(f, sub, "alice", mail, sources("http://crl.example/", "http://ocsp.example/"))
	list, response := listing(f, sub, nil, root), answer(f, sub, sub, leaf, nil)
	signed := [][]byte{leaf.RawTBSCertificate, sub.RawTBSCertificate}
	f.Add(leaf.Raw, sub.Raw, list, response)
	f.Add(sub.Raw, leaf.Raw, response, list)
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
