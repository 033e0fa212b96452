package chain_test

import (
	"context"
	"crypto/x509"
	"errors"
	"iter"
	"strings"
	"testing"

	"golang.org/x/crypto/ocsp"

	"github.com/postseal/postseal/chain"
)

// shelf is a store of revocation data in memory.
type shelf struct {
	lists     map[string][][]byte // by name of the issuer
	responses map[string][][]byte // by certificate
	fails     bool
	asked     int
}

func (s *shelf) CRLs(_ context.Context, rawIssuer []byte) iter.Seq2[[]byte, error] {
	return s.yield(s.lists[string(rawIssuer)])
}

func (s *shelf) OCSP(_ context.Context, c *x509.Certificate) iter.Seq2[[]byte, error] {
	return s.yield(s.responses[string(c.Raw)])
}

func (s *shelf) yield(list [][]byte) iter.Seq2[[]byte, error] {
	s.asked++
	return func(yield func([]byte, error) bool) {
		for _, der := range list {
			if !yield(der, nil) {
				return
			}
		}
		if s.fails {
			yield(nil, errors.New("the database is away"))
		}
	}
}

// What a store of revocation data has counts like what is supplied: verified, and with its
// source in the report.
func TestStatusStore(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	sub := issue(t, root, "Issuing", ca)
	leaf := issue(t, sub, "alice", mail)
	stranger := issue(t, nil, "Issuing", ca)
	of := func(e *entity) string { return string(e.RawSubject) }
	clear := map[string][][]byte{of(root): {listing(t, root, nil)}, of(sub): {listing(t, sub, nil)}}
	var many [][]byte
	for range 100 {
		many = append(many, []byte{1})
	}
	for _, tt := range []struct {
		name string
		s    *shelf
		rev  chain.Revocation
		want string
		warn string
	}{
		{"lists", &shelf{lists: clear}, chain.Revocation{RequireAll: true}, "valid", ""},
		{"nothing", &shelf{}, chain.Revocation{RequireAll: true}, "rev.unknown", ""},
		{"the leaf is listed", &shelf{lists: map[string][][]byte{of(sub): {listing(t, sub, nil, leaf)}}}, chain.Revocation{AllowUnknown: true}, "rev.revoked", ""},
		{"the issuer is listed", &shelf{lists: map[string][][]byte{of(root): {listing(t, root, nil, sub)}}}, chain.Revocation{AllowUnknown: true}, "rev.revoked", ""},
		{"a response", &shelf{lists: clear, responses: map[string][][]byte{string(leaf.Raw): {answer(t, sub, sub, leaf, func(r *ocsp.Response) {
			r.Status, r.RevokedAt = ocsp.Revoked, now
		})}}}, chain.Revocation{AllowUnknown: true}, "rev.revoked", ""},
		{"a list by somebody else", &shelf{lists: map[string][][]byte{of(root): clear[of(root)], of(sub): {listing(t, stranger, nil, leaf)}}}, chain.Revocation{RequireAll: true}, "rev.unknown", ""},
		{"rubbish", &shelf{lists: map[string][][]byte{of(root): many, of(sub): many}}, chain.Revocation{AllowUnknown: true}, "valid", "parse.ignored"},
		{"a failure", &shelf{lists: clear, fails: true}, chain.Revocation{RequireAll: true}, "valid", "rev.store_failed"},
		{"a failure and no answer", &shelf{fails: true}, chain.Revocation{RequireAll: true}, "rev.unknown", "rev.store_failed"},
		{"off", &shelf{lists: map[string][][]byte{of(sub): {listing(t, sub, nil, leaf)}}}, chain.Revocation{InsecureOff: true}, "valid", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.rev.Store = tt.s
			r := judge(t, root, leaf, tt.rev, sub)
			expect(t, r, tt.want)
			if tt.warn != "" && !warned(r, tt.warn) {
				t.Errorf("no warning %s\n%s", tt.warn, r)
			}
			if tt.want == "valid" && tt.rev.RequireAll && !strings.Contains(r.String(), "from the store") {
				t.Errorf("no source in\n%s", r)
			}
		})
	}
	// Nobody is asked about what has not been verified up to an anchor.
	s := &shelf{lists: clear}
	forged := issue(t, stranger, "alice", mail)
	if r := judge(t, root, forged, chain.Revocation{Store: s}, sub); r.Verdict != "invalid" || s.asked != 0 {
		t.Errorf("verdict %s, asked %d times", r.Verdict, s.asked)
	}
}

// Check tells what a verifier would leave out.
func TestRevocationCheck(t *testing.T) {
	root := issue(t, nil, "Root", ca)
	leaf := issue(t, root, "alice", mail)
	good := chain.Revocation{CRLs: [][]byte{listing(t, root, nil)}, OCSP: [][]byte{answer(t, root, root, leaf, nil), ocsp.TryLaterErrorResponse}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	bad := chain.Revocation{CRLs: [][]byte{good.CRLs[0], root.Raw}, OCSP: [][]byte{[]byte("x")}}
	if err := bad.Check(); err == nil || strings.Count(err.Error(), "chain: ") != 2 || !strings.Contains(err.Error(), "list 2 of 2") {
		t.Errorf("%v", err)
	}
}
