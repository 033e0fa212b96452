package chain_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/chain/fetch"
)

// keeping is a Fetcher that wants to know what was verified.
type keeping struct {
	counting
	told []string
}

func (k *keeping) Verified(kind, url string, request, data []byte) {
	if !bytes.Equal(data, k.data[url]) || (request != nil) != (kind == "ocsp") {
		k.told = append(k.told, "something else")
	}
	k.told = append(k.told, kind)
}

// A fetcher is told, once for each fetch, what proved to be signed by who may sign it, and of
// nothing else.
func TestFetcherIsTold(t *testing.T) {
	root, stranger := issue(t, nil, "Root", ca), issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca, sources("http://ca.example/", ""))
	leaf := issue(t, root, "alice", mail, sources("http://ca.example/", ""))
	asking := issue(t, root, "alice", mail, sources("", "http://ca.example/"))
	mallory := issue(t, root, "mallory", mail)
	both := issue(t, sub, "alice", mail, sources("http://ca.example/sub", ""))
	below := issue(t, sub, "alice", mail, func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://ca.example/"} })
	later := func(l *x509.RevocationList) { l.ThisUpdate = now.Add(time.Hour) }
	ended := func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = now.Add(-2*time.Hour), now.Add(-time.Hour) }
	for _, tt := range []struct {
		name    string
		leaf    *entity
		data    []byte
		rev     chain.Revocation
		others  []*entity
		told    []string
		verdict string
	}{
		{name: "a list", leaf: leaf, data: listing(t, root, nil), told: []string{"crl"}, verdict: "valid"},
		{name: "a list that names it", leaf: leaf, data: listing(t, root, nil, leaf), told: []string{"crl"}, verdict: "rev.revoked"},
		{name: "a list by somebody else", leaf: leaf, data: listing(t, stranger, nil), verdict: "rev.unknown"},
		{name: "a list by somebody else, softly", leaf: leaf, data: listing(t, stranger, nil), rev: chain.Revocation{AllowUnknown: true}, verdict: "valid"},
		{name: "a list of the future", leaf: leaf, data: listing(t, root, later), verdict: "rev.unknown"},
		{name: "a list that ended", leaf: leaf, data: listing(t, root, ended), verdict: "rev.unknown"},
		{name: "the list of one of two", leaf: both, others: []*entity{sub}, data: listing(t, root, nil), told: []string{"crl"}, verdict: "rev.unknown"},
		{name: "no list", leaf: leaf, data: []byte("rubbish"), verdict: "rev.unknown"},
		{name: "a response", leaf: asking, data: answer(t, root, root, asking, nil), told: []string{"ocsp"}, verdict: "valid"},
		{name: "a response that it is revoked", leaf: asking, data: answer(t, root, root, asking, func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, now.Add(-2*time.Hour) }), told: []string{"ocsp"}, verdict: "rev.revoked"},
		{name: "a response by somebody else", leaf: asking, data: answer(t, root, mallory, asking, nil), verdict: "rev.unknown"},
		{name: "a response about something else", leaf: asking, data: answer(t, root, root, leaf, nil), verdict: "rev.unknown"},
		{name: "a response to another request", leaf: asking, data: answer(t, root, root, asking, nil), rev: chain.Revocation{Nonce: true}, verdict: "rev.unknown"},
		{name: "an issuer", leaf: below, data: sub.Raw, rev: chain.Revocation{AllowUnknown: true, FetchIssuers: true}, told: []string{"issuer"}, verdict: "valid"},
		{name: "an issuer of the same name", leaf: below, data: issue(t, stranger, "Issuing", ca).Raw, rev: chain.Revocation{AllowUnknown: true, FetchIssuers: true}, verdict: "sig.invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := map[string][]byte{"http://ca.example/": tt.data}
			f := &keeping{counting: counting{data: data}}
			tt.rev.Fetcher = f
			expect(t, judge(t, root, tt.leaf, tt.rev, tt.others...), tt.verdict)
			if !slices.Equal(f.told, tt.told) {
				t.Errorf("told %v", f.told)
			}
			// One that does not want to know hears the same verdict.
			tt.rev.Fetcher = &counting{data: data}
			expect(t, judge(t, root, tt.leaf, tt.rev, tt.others...), tt.verdict)
		})
	}
}

// Attack row G08: who sits on the line for one answer cannot keep the genuine ones away. The
// twin is that a verified list stays, and does not give way to an older one.
func TestForgedAnswerHeals(t *testing.T) {
	root, stranger := issue(t, nil, "Root", ca), issue(t, nil, "Root", ca)
	long := between(now.AddDate(-1, 0, 0), now.AddDate(30, 0, 0))
	root = issueWith(t, root.key, nil, "Root", ca, long)
	from := func(this, next time.Time) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = this, next }
	}
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }))
	defer s.Close()
	for _, tt := range []struct {
		name        string
		by          *entity
		this, next  time.Time
		first, then string // at once, and two minutes later with a list that names the leaf
	}{
		{"genuine", root, now.Add(-time.Hour), now.Add(time.Hour), "valid", "valid"},
		{"forged, of today", stranger, now, now.AddDate(1, 0, 0), "rev.unknown", "rev.revoked"},
		{"forged, of the future", stranger, now.AddDate(20, 0, 0), now.AddDate(21, 0, 0), "rev.unknown", "rev.revoked"},
		{"of the future", root, now.AddDate(20, 0, 0), now.AddDate(21, 0, 0), "rev.unknown", "rev.revoked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock, dir := now, t.TempDir()
			leaf := issue(t, root, "alice", mail, long, sources(s.URL+"/a.crl", ""))
			ask := func(want string) {
				t.Helper()
				for _, soft := range []bool{false, true} {
					client := &fetch.Client{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Dir: dir, Time: func() time.Time { return clock }}
					v := chain.NewVerifier(collection(root), chain.Revocation{Fetcher: client, AllowUnknown: soft})
					v.Time = client.Time
					expected := want
					if soft && want == "rev.unknown" {
						expected = "valid"
					}
					expect(t, v.Explain(context.Background(), chain.Request{Leaf: leaf.Certificate}), expected)
				}
			}
			body = listing(t, tt.by, from(tt.this, tt.next))
			ask(tt.first)
			clock = now.Add(2 * time.Minute)
			body = listing(t, root, from(now.Add(-time.Minute), now.Add(time.Hour)), leaf)
			ask(tt.then)
			for _, days := range []int{11, 365, 3650} {
				clock = now.AddDate(0, 0, days)
				body = listing(t, root, from(clock.Add(-time.Hour), clock.Add(time.Hour)), leaf)
				ask("rev.revoked")
				clock = clock.Add(2 * time.Hour) // an older one, that still counts, does not lift it
				body = listing(t, root, from(clock.Add(-9*time.Hour), clock.Add(time.Hour)))
				ask("rev.unknown")
			}
		})
	}
}
