package sqlstore_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/sqlstore"
	"github.com/postseal/postseal/internal/certtest"
)

// Attack row H09: hostile addresses are values, never SQL. Attack row H10: several stores on
// one database write, remove and read at once; run with -race.
func TestSQLite(t *testing.T) {
	suite(t, func(t *testing.T) string {
		return "sqlite:" + filepath.Join(t.TempDir(), "certs.db")
	})
}

// suite holds a kind of database to everything the package promises. fresh returns the
// name of a new one.
func suite(t *testing.T, fresh func(*testing.T) string) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, string)
	}{
		{"Queries", testQueries},
		{"FiledUnderOtherAddress", testFiled},
		{"PutReplaces", testPutReplaces},
		{"Remove", testRemove},
		{"Reopen", testReopen},
		{"ManyEntries", testMany},
		{"UseWhileReading", testUseWhileReading},
		{"Writers", testWriters},
		{"Identities", testIdentities},
		{"Secrets", testSecrets},
		{"Revocation", testRevocation},
		{"Prune", testPrune},
		{"HostileAddresses", testHostile},
		{"LongKeyID", testLongKeyID},
		{"Cancelled", testCancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}

func open(t testing.TB, name string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s certstore.Writer, entries ...*certstore.Entry) {
	t.Helper()
	if err := s.Put(t.Context(), entries...); err != nil {
		t.Fatal(err)
	}
}

func collect[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var list []T
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

// names describes the answer to a query: common name and address of every entry.
func names(t testing.TB, s certstore.Store, q certstore.Query) string {
	t.Helper()
	var list []string
	for _, e := range collect(t, s.Certificates(t.Context(), q)) {
		n := e.Certificate.Subject.CommonName
		if e.Address != "" {
			n += "<" + e.Address + ">"
		}
		list = append(list, n)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func issue(t testing.TB, ca *certtest.CA, name string, addresses ...string) (*x509.Certificate, crypto.PrivateKey) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return ca.IssueFor(t, public, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name}
		c.EmailAddresses = addresses
	}), key
}

func testQueries(t *testing.T, name string) {
	s, ca := open(t, name), certtest.NewCA(t, "root")
	alice, _ := issue(t, ca, "alice", "Alice@Example.org", "a.smith@example.org")
	bob, _ := issue(t, ca, "bob", "bob@xn--bcher-kva.example")
	put(t, s, &certstore.Entry{Certificate: alice}, &certstore.Entry{Certificate: bob}, &certstore.Entry{Certificate: ca.Certificate})
	for _, test := range []struct {
		what string
		q    certstore.Query
		want string
	}{
		{"address", certstore.Email("Alice@Example.org"), "alice"},
		{"domain without case, local part folded", certstore.Email("aLICE@EXAMPLE.ORG"), "alice"},
		{"second address", certstore.Email("a.smith@example.org"), "alice"},
		{"A-label", certstore.Email("bob@xn--bcher-kva.example"), "bob"},
		{"nobody", certstore.Email("carol@example.org"), ""},
		{"not an address", certstore.Email("alice"), ""},
		{"issuer and serial", certstore.IssuerSerial{RawIssuer: bob.RawIssuer, Serial: bob.SerialNumber}, "bob"},
		{"serial of another issuer", certstore.IssuerSerial{RawIssuer: bob.RawSubject, Serial: bob.SerialNumber}, ""},
		{"no serial", certstore.IssuerSerial{RawIssuer: bob.RawIssuer}, ""},
		{"key identifier", certstore.SubjectKeyID(alice.SubjectKeyId), "alice"},
		{"no key identifier", certstore.SubjectKeyID(nil), ""},
		{"subject", certstore.RawSubject(alice.RawSubject), "alice"},
		{"thumbprint", certstore.Thumbprint(sha256.Sum256(bob.Raw)), "bob"},
		{"any of none", certstore.AnyOf{}, ""},
		{"any of", certstore.AnyOf{certstore.Email("alice@example.org"), certstore.AnyOf{certstore.Email("bob@bücher.example"), certstore.SubjectKeyID(alice.SubjectKeyId)}, nil}, "alice bob"},
	} {
		if got := names(t, s, test.q); got != test.want {
			t.Errorf("%s: got %q, want %q", test.what, got, test.want)
		}
	}
	if n := len(collect(t, s.All(t.Context()))); n != 3 {
		t.Errorf("All yields %d entries, want 3", n)
	}
	many := certstore.AnyOf{}
	for i := range 1200 {
		many = append(many, certstore.Email(fmt.Sprintf("user%d@example.org", i)), certstore.SubjectKeyID{byte(i), byte(i >> 8)})
	}
	if got := names(t, s, append(many, certstore.Email("alice@example.org"))); got != "alice" {
		t.Errorf("one among 2401 questions: got %q, want alice", got)
	}
}

func testFiled(t *testing.T, name string) {
	s, ca := open(t, name), certtest.NewCA(t, "root")
	alice, _ := issue(t, ca, "alice", "alice@example.org")
	seen := time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)
	want := &certstore.Entry{Certificate: alice, Address: "sales@example.org", Source: "test", Default: true, Published: true, Capabilities: []byte{0x30, 0}, Seen: seen}
	put(t, s, want)
	for _, a := range []string{"alice@example.org", "sales@example.org", "SALES@EXAMPLE.org"} {
		found := collect(t, s.Certificates(t.Context(), certstore.Email(a)))
		if len(found) != 1 {
			t.Fatalf("%s: %d entries, want 1", a, len(found))
		}
		e := found[0]
		if !bytes.Equal(e.Certificate.Raw, alice.Raw) || e.Address != want.Address || e.Source != want.Source || !e.Default || !e.Published ||
			!bytes.Equal(e.Capabilities, want.Capabilities) || !e.Seen.Equal(seen) {
			t.Errorf("%s: got %+v, want %+v", a, e, want)
		}
	}
}

func testPutReplaces(t *testing.T, name string) {
	s, ca := open(t, name), certtest.NewCA(t, "root")
	alice, _ := issue(t, ca, "alice", "alice@example.org")
	put(t, s, &certstore.Entry{Certificate: alice, Source: "first"}, &certstore.Entry{Certificate: alice, Address: "x@example.org", Source: "other"})
	put(t, s, &certstore.Entry{Certificate: alice, Source: "second"}, &certstore.Entry{Certificate: alice, Source: "third"})
	var sources []string
	for _, e := range collect(t, s.Certificates(t.Context(), certstore.Email("alice@example.org"))) {
		sources = append(sources, e.Source)
	}
	if want := []string{"third", "other"}; !slices.Equal(sources, want) {
		t.Errorf("sources %q, want %q", sources, want)
	}
	bad := &certstore.Entry{Source: "no certificate"}
	for _, address := range []string{"a\x00@example.org", "\xff@example.org"} {
		if err := s.Put(t.Context(), &certstore.Entry{Certificate: alice, Address: address}); err == nil {
			t.Errorf("an entry filed under %q was accepted", address)
		}
	}
	put(t, s, &certstore.Entry{Certificate: alice, Source: "odd \xff\x00 source"})
	if err := s.Put(t.Context(), &certstore.Entry{Certificate: ca.Certificate}, bad); err == nil {
		t.Error("an entry without a certificate was accepted")
	}
	if got := names(t, s, certstore.RawSubject(ca.Certificate.RawSubject)); got != "" {
		t.Errorf("a failed Put left %q behind", got)
	}
}

func testRemove(t *testing.T, name string) {
	s, ca := open(t, name), certtest.NewCA(t, "root")
	alice, _ := issue(t, ca, "alice", "alice@example.org")
	bob, _ := issue(t, ca, "bob", "bob@example.org")
	put(t, s, &certstore.Entry{Certificate: alice}, &certstore.Entry{Certificate: alice, Address: "x@example.org"}, &certstore.Entry{Certificate: bob})
	remove := func(entries ...*certstore.Entry) {
		t.Helper()
		if err := s.Remove(t.Context(), entries...); err != nil {
			t.Fatal(err)
		}
	}
	remove(&certstore.Entry{Certificate: alice}, &certstore.Entry{Certificate: ca.Certificate}, &certstore.Entry{Certificate: bob, Address: "no@example.org"})
	if got := names(t, s, certstore.Email("alice@example.org")); got != "alice<x@example.org>" {
		t.Errorf("got %q, want the other entry of the certificate", got)
	}
	remove(&certstore.Entry{Certificate: alice, Address: "x@example.org"})
	if got := names(t, s, certstore.AnyOf{certstore.Email("alice@example.org"), certstore.Email("x@example.org")}); got != "" {
		t.Errorf("still there: %q", got)
	}
	if got := names(t, s, certstore.Email("bob@example.org")); got != "bob" {
		t.Errorf("got %q, want bob untouched", got)
	}
}

func testReopen(t *testing.T, name string) {
	ca := certtest.NewCA(t, "root")
	s := open(t, name)
	put(t, s, &certstore.Entry{Certificate: ca.Certificate})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Certificates(t.Context(), certstore.RawSubject(ca.Certificate.RawSubject)) {
		if err == nil {
			t.Error("a closed store answers")
		}
	}
	if got := names(t, open(t, name), certstore.RawSubject(ca.Certificate.RawSubject)); got != "root" {
		t.Errorf("after reopening: %q, want root", got)
	}
}

// testMany crosses the bounds of pages and of statements.
func testMany(t *testing.T, name string) {
	s, ca := open(t, name), certtest.NewCA(t, "root")
	const n = 1300
	entries := make([]*certstore.Entry, n)
	for i := range entries {
		entries[i] = &certstore.Entry{Certificate: ca.Certificate, Address: fmt.Sprintf("u%04d@example.org", i)}
	}
	put(t, s, entries...)
	found := collect(t, s.Certificates(t.Context(), certstore.RawSubject(ca.Certificate.RawSubject)))
	got := map[string]bool{}
	for _, e := range found {
		got[e.Address] = true
	}
	if len(found) != n || len(got) != n {
		t.Errorf("%d entries, %d different ones, want %d", len(found), len(got), n)
	}
	count := 0
	for range s.All(t.Context()) {
		if count++; count == 300 {
			break
		}
	}
	if err := s.Remove(t.Context(), entries...); err != nil {
		t.Fatal(err)
	}
	if n := len(collect(t, s.All(t.Context()))); n != 0 {
		t.Errorf("%d entries left", n)
	}
}

func testUseWhileReading(t *testing.T, name string) {
	s, ca := open(t, name), certtest.NewCA(t, "root")
	put(t, s, &certstore.Entry{Certificate: ca.Certificate}, &certstore.Entry{Certificate: ca.Certificate, Address: "a@example.org"})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// More readers inside each other than there are connections.
	var nest func(depth int)
	nest = func(depth int) {
		for e, err := range s.All(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if depth < 20 {
				nest(depth + 1)
			} else if err := s.Put(ctx, e); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	nest(0)
}

// testWriters has several stores on one database write and remove the same certificates
// at the same time.
func testWriters(t *testing.T, name string) {
	ca := certtest.NewCA(t, "root")
	certs := make([]*x509.Certificate, 20)
	for i := range certs {
		certs[i], _ = issue(t, ca, fmt.Sprint("user", i), fmt.Sprintf("user%d@example.org", i))
	}
	var wg sync.WaitGroup
	for w := range 4 {
		s := open(t, name)
		wg.Go(func() {
			for round := range 5 {
				var entries []*certstore.Entry
				for i, c := range certs {
					entries = append(entries, &certstore.Entry{Certificate: c, Address: fmt.Sprintf("w%d@example.org", (i+w)%2), Source: fmt.Sprint(w, round)})
				}
				if w%2 == 1 {
					slices.Reverse(entries)
				}
				if err := s.Put(t.Context(), entries...); err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
				if round < 4 {
					if err := s.Remove(t.Context(), entries[:10]...); err != nil {
						t.Errorf("writer %d: %v", w, err)
					}
				}
				for _, err := range s.Certificates(t.Context(), certstore.Email("user1@example.org")) {
					if err != nil {
						t.Errorf("reader %d: %v", w, err)
					}
				}
			}
		})
	}
	wg.Wait()
	s := open(t, name)
	for i := range certs {
		address := fmt.Sprintf("user%d@example.org", i)
		if n := len(collect(t, s.Certificates(t.Context(), certstore.Email(address)))); n != 2 {
			// Whoever comes last puts his, and removes nothing afterwards.
			t.Errorf("%s: %d entries, want 2", address, n)
		}
	}
}

func testIdentities(t *testing.T, name string) {
	s, ca := open(t, name), certtest.NewCA(t, "root")
	cert, key := ca.Issue(t, "alice@example.org")
	id, err := certstore.NewIdentity(cert, key, ca.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutIdentity(t.Context(), id); !errors.Is(err, sqlstore.ErrLocked) {
		t.Errorf("put into a locked store: %v, want ErrLocked", err)
	}
	for _, err := range s.Identities(t.Context(), certstore.Email("alice@example.org")) {
		if !errors.Is(err, sqlstore.ErrLocked) {
			t.Errorf("read from a locked store: %v, want ErrLocked", err)
		}
	}
	if err := s.UnlockKey(t.Context(), bytes.Repeat([]byte{7}, 32)); err != nil {
		t.Fatal(err)
	}
	put(t, s, &certstore.Entry{Certificate: cert, Source: "directory"})
	if err := s.PutIdentity(t.Context(), id, id); err != nil {
		t.Fatal(err)
	}
	for what, q := range map[string]certstore.Query{
		"address": certstore.Email("ALICE@example.org"), "key id": certstore.SubjectKeyID(cert.SubjectKeyId),
		"issuer": certstore.IssuerSerial{RawIssuer: cert.RawIssuer, Serial: cert.SerialNumber},
		"any":    certstore.AnyOf{certstore.Email("alice@example.org"), certstore.SubjectKeyID(cert.SubjectKeyId)},
	} {
		found := collect(t, s.Identities(t.Context(), q))
		if len(found) != 1 {
			t.Fatalf("%s: %d identities, want 1", what, len(found))
		}
		if !key.Equal(found[0].Key()) || !found[0].Certificate().Equal(cert) || len(found[0].Intermediates()) != 1 {
			t.Errorf("%s: got another identity", what)
		}
	}
	if n := len(collect(t, s.Identities(t.Context(), certstore.RawSubject(ca.Certificate.RawSubject)))); n != 0 {
		t.Errorf("%d identities for a certificate without a key", n)
	}
	e := collect(t, s.Certificates(t.Context(), certstore.Email("alice@example.org")))
	if len(e) != 1 || e[0].Source != "directory" {
		t.Errorf("the entry of the directory was replaced: %+v", e)
	}
	if err := s.Remove(t.Context(), e...); err != nil {
		t.Fatal(err)
	}
	if n := len(collect(t, s.Identities(t.Context(), certstore.Email("alice@example.org")))); n != 1 {
		t.Errorf("removing the entry left %d identities, want 1", n)
	}
	if err := s.RemoveIdentity(t.Context(), cert); err != nil {
		t.Fatal(err)
	}
	if n := len(collect(t, s.Identities(t.Context(), certstore.Email("alice@example.org")))); n != 0 {
		t.Error("the identity is still there")
	}
	token, err := certstore.NewIdentity(cert, opaque{key})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutIdentity(t.Context(), token); err == nil {
		t.Error("a key that lives in a token was stored")
	}
}

// opaque is a key that gives its bytes to nobody.
type opaque struct{ crypto.Signer }

func testSecrets(t *testing.T, name string) {
	s, ca := open(t, name), certtest.NewCA(t, "root")
	cert, key := ca.Issue(t, "alice@example.org")
	scalar, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	id, err := certstore.NewIdentity(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Unlock(t.Context(), "correct horse"); err != nil {
		t.Fatal(err)
	}
	if err := s.PutIdentity(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if path, ok := strings.CutPrefix(name, "sqlite:"); ok {
		for _, file := range []string{path, path + "-wal"} {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(b, scalar) || bytes.Contains(b, []byte("correct horse")) {
				t.Errorf("%s holds a secret in clear", filepath.Base(file))
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %v, want 0600", filepath.Base(file), info.Mode())
			}
		}
	}
	other := open(t, name)
	if err := other.Unlock(t.Context(), "wrong horse"); !errors.Is(err, sqlstore.ErrWrongSecret) {
		t.Errorf("wrong passphrase: %v, want ErrWrongSecret", err)
	}
	for _, err := range other.Identities(t.Context(), certstore.SubjectKeyID(cert.SubjectKeyId)) {
		if !errors.Is(err, sqlstore.ErrLocked) {
			t.Errorf("after a wrong passphrase: %v, want ErrLocked", err)
		}
	}
	if err := other.Unlock(t.Context(), "correct horse"); err != nil {
		t.Fatal(err)
	}
	if n := len(collect(t, other.Identities(t.Context(), certstore.SubjectKeyID(cert.SubjectKeyId)))); n != 1 {
		t.Errorf("%d identities under the right passphrase, want 1", n)
	}
	// Another passphrase: the keys stay, the old one opens nothing any more.
	if err := other.Reseal(t.Context(), "battery staple"); err != nil {
		t.Fatal(err)
	}
	if n := len(collect(t, other.Identities(t.Context(), certstore.SubjectKeyID(cert.SubjectKeyId)))); n != 1 {
		t.Errorf("%d identities after resealing, want 1", n)
	}
	if err := s.PutIdentity(t.Context(), id); !errors.Is(err, sqlstore.ErrWrongSecret) {
		t.Errorf("a store with the old passphrase still writes: %v", err)
	}
	third := open(t, name)
	if err := third.Unlock(t.Context(), "correct horse"); !errors.Is(err, sqlstore.ErrWrongSecret) {
		t.Errorf("the old passphrase: %v, want ErrWrongSecret", err)
	}
	if err := third.Reseal(t.Context(), "anything"); !errors.Is(err, sqlstore.ErrLocked) {
		t.Errorf("resealed while locked: %v", err)
	}
	if err := third.Unlock(t.Context(), "battery staple"); err != nil {
		t.Fatal(err)
	}
	if n := len(collect(t, third.Identities(t.Context(), certstore.SubjectKeyID(cert.SubjectKeyId)))); n != 1 {
		t.Errorf("%d identities under the new passphrase, want 1", n)
	}
	other.Lock()
	for _, err := range other.Identities(t.Context(), certstore.SubjectKeyID(cert.SubjectKeyId)) {
		if !errors.Is(err, sqlstore.ErrLocked) {
			t.Errorf("after Lock: %v, want ErrLocked", err)
		}
	}
	if err := other.UnlockKey(t.Context(), []byte("short")); err == nil {
		t.Error("a short key was accepted")
	}
}

func testRevocation(t *testing.T, name string) {
	s, ca := open(t, name), certtest.NewCA(t, "root")
	crl := func(number int64, at time.Time) []byte {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: at, NextUpdate: at.AddDate(0, 0, 7)}, ca.Certificate, ca.Key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	first, second := crl(1, certtest.Epoch()), crl(2, certtest.Epoch().AddDate(0, 0, 1))
	for _, der := range [][]byte{first, second, second, first} {
		if err := s.PutCRL(t.Context(), "http://crl.example/1", der); err != nil {
			t.Fatal(err)
		}
	}
	got := collect(t, s.CRLs(t.Context(), ca.Certificate.RawSubject))
	if len(got) == 0 || !bytes.Equal(got[0], second) {
		t.Errorf("%d lists, the latest is not first", len(got))
	}
	if n := len(collect(t, s.CRLs(t.Context(), []byte("another issuer")))); n != 0 {
		t.Errorf("%d lists of another issuer", n)
	}
	for what, der := range map[string][]byte{"nothing": nil, "a certificate": ca.Certificate.Raw, "half a list": first[:40], "more than a list": append(slices.Clone(first), 0)} {
		if err := s.PutCRL(t.Context(), "test", der); err == nil {
			t.Errorf("%s was kept as a revocation list", what)
		}
	}
	cert, _ := ca.Issue(t, "alice@example.org")
	other, _ := ca.Issue(t, "bob@example.org")
	answer, err := ocsp.CreateResponse(ca.Certificate, ca.Certificate, ocsp.Response{SerialNumber: cert.SerialNumber, Status: ocsp.Good, ThisUpdate: certtest.Epoch(), NextUpdate: certtest.Epoch().AddDate(0, 0, 1)}, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutOCSP(t.Context(), cert, answer); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, s.OCSP(t.Context(), cert)); len(got) != 1 || !bytes.Equal(got[0], answer) {
		t.Errorf("OCSP answer: got %x", got)
	}
	if err := s.PutOCSP(t.Context(), other, answer); err == nil {
		t.Error("an answer about another certificate was kept")
	}
	// One response may be about several certificates.
	var twin *x509.Certificate
	for another := certtest.NewCA(t, "another"); twin == nil || twin.SerialNumber.Cmp(cert.SerialNumber) < 0; {
		twin, _ = another.Issue(t, "carol@example.org")
	}
	if err := s.PutOCSP(t.Context(), twin, answer); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*x509.Certificate{cert, twin} {
		if got := collect(t, s.OCSP(t.Context(), c)); len(got) != 1 {
			t.Errorf("%d responses about %s", len(got), c.Subject)
		}
	}
	// The certificates beside a response are to help, and need not be the signer's.
	helped, err := ocsp.CreateResponse(ca.Certificate, ca.Certificate, ocsp.Response{SerialNumber: cert.SerialNumber, Status: ocsp.Good, ThisUpdate: certtest.Epoch(), Certificate: other}, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutOCSP(t.Context(), cert, helped); err != nil {
		t.Error(err)
	}
	for what, der := range map[string][]byte{"nothing": nil, "a certificate": ca.Certificate.Raw, "an error": ocsp.TryLaterErrorResponse} {
		if err := s.PutOCSP(t.Context(), cert, der); err == nil {
			t.Errorf("%s was kept as an answer", what)
		}
	}
	if n := len(collect(t, s.OCSP(t.Context(), other))); n != 0 {
		t.Errorf("%d answers about another certificate", n)
	}
	// Nobody has verified what is put: one of a later date leaves the one before where it is,
	// and what is kept is bounded.
	put := func(days int) (list, answer []byte) {
		at := certtest.Epoch().AddDate(0, 0, days)
		list = crl(int64(days), at)
		answer, err := ocsp.CreateResponse(ca.Certificate, ca.Certificate, ocsp.Response{SerialNumber: other.SerialNumber, Status: ocsp.Revoked, RevokedAt: at, ThisUpdate: at}, ca.Key)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.PutCRL(t.Context(), "http://crl.example/2", list); err != nil {
			t.Fatal(err)
		}
		if err := s.PutOCSP(t.Context(), other, answer); err != nil {
			t.Fatal(err)
		}
		return list, answer
	}
	list, answer := put(10)
	put(11)
	holds := func(all [][]byte, der []byte) bool {
		return slices.ContainsFunc(all, func(b []byte) bool { return bytes.Equal(b, der) })
	}
	if !holds(collect(t, s.CRLs(t.Context(), ca.Certificate.RawSubject)), list) {
		t.Error("a list of a later date took the place of the one before")
	}
	if !holds(collect(t, s.OCSP(t.Context(), other)), answer) {
		t.Error("a response of a later date took the place of the one before")
	}
	for days := range 10 {
		put(12 + days)
	}
	if holds(collect(t, s.CRLs(t.Context(), ca.Certificate.RawSubject)), list) || len(collect(t, s.OCSP(t.Context(), other))) != 4 {
		t.Error("everything is kept")
	}
}

func testPrune(t *testing.T, name string) {
	s, ca := open(t, name), certtest.NewCA(t, "root") // the root lives for ten years
	cert, _ := ca.Issue(t, "alice@example.org")
	kept, key := ca.Issue(t, "bob@example.org")
	id, err := certstore.NewIdentity(kept, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.UnlockKey(t.Context(), make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	put(t, s, &certstore.Entry{Certificate: cert}, &certstore.Entry{Certificate: ca.Certificate})
	if err := s.PutIdentity(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Prune(t.Context(), certtest.Epoch().AddDate(2, 0, 0)); err != nil || n == 0 {
		t.Errorf("pruned %d rows, %v", n, err)
	}
	if got := len(collect(t, s.All(t.Context()))); got != 2 {
		t.Errorf("%d entries left, want the root and the one with a key", got)
	}
	if n := len(collect(t, s.Identities(t.Context(), certstore.Email("bob@example.org")))); n != 1 {
		t.Error("an expired certificate lost its key, with which old mail is read")
	}
}

func testHostile(t *testing.T, name string) {
	s, ca := open(t, name), certtest.NewCA(t, "root")
	alice, _ := issue(t, ca, "alice", "alice@example.org")
	put(t, s, &certstore.Entry{Certificate: alice})
	for _, address := range []string{
		"' OR '1'='1@example.org", "alice@example.org' --", "x'; DROP TABLE entries; --@example.org", "%@example.org", "*@example.org",
		"alice@example.org\x00", "\xff\xfe@example.org", "a?b$1@example.org", strings.Repeat("a", 5000) + "@example.org", "$1@example.org",
	} {
		for _, q := range []certstore.Query{certstore.Email(address), certstore.AnyOf{certstore.Email(address), certstore.Email(address)}, certstore.RawSubject(address), certstore.SubjectKeyID(address)} {
			for e, err := range s.Certificates(t.Context(), q) {
				if err != nil {
					t.Errorf("%q: %v", address, err)
				} else {
					t.Errorf("%q found %v", address, e.Certificate.Subject)
				}
			}
		}
	}
	odd := "o'hara?$1%_@example.org"
	put(t, s, &certstore.Entry{Certificate: ca.Certificate, Address: odd, Source: "'; DELETE FROM entries; --"})
	if got := names(t, s, certstore.Email(odd)); got != "root<"+odd+">" {
		t.Errorf("%q: got %q", odd, got)
	}
	if got := names(t, s, certstore.Email("alice@example.org")); got != "alice" {
		t.Errorf("afterwards: %q, want alice", got)
	}
}

// A key identifier may have any length; one that no index takes does not keep out the
// certificates that come along.
func testLongKeyID(t *testing.T, name string) {
	s, ca := open(t, name), certtest.NewCA(t, "root")
	alice, key := issue(t, ca, "alice", "alice@example.org")
	id := make([]byte, 20_000)
	rand.Read(id)
	long := ca.IssueFor(t, key.(crypto.Signer).Public(), func(c *x509.Certificate) { c.Subject.CommonName, c.SubjectKeyId = "long", id })
	put(t, s, &certstore.Entry{Certificate: alice}, &certstore.Entry{Certificate: long})
	for _, c := range []*x509.Certificate{alice, long} {
		if got := names(t, s, certstore.SubjectKeyID(c.SubjectKeyId)); got != c.Subject.CommonName {
			t.Errorf("by the key identifier of %s: %q", c.Subject.CommonName, got)
		}
	}
	h := sha256.Sum256(id)
	if got := names(t, s, certstore.SubjectKeyID(h[:])); got != "" {
		t.Errorf("by the hash of a key identifier: %q", got)
	}
}

func testCancelled(t *testing.T, name string) {
	s, ca := open(t, name), certtest.NewCA(t, "root")
	put(t, s, &certstore.Entry{Certificate: ca.Certificate})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, &certstore.Entry{Certificate: ca.Certificate, Address: "a@example.org"}); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v, want context.Canceled", err)
	}
	n := 0
	for _, err := range s.All(ctx) {
		if n++; !errors.Is(err, context.Canceled) {
			t.Errorf("read: %v, want context.Canceled", err)
		}
	}
	if n != 1 {
		t.Errorf("%d answers, want one error", n)
	}
}

func TestOpenNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"", "certs.db", "mysql://localhost/x", "sqlite:", "sqlite:" + filepath.Join(dir, "no", "such", "folder"), "sqlite:a\x00b", "postgres://%zz"} {
		if s, err := sqlstore.Open(t.Context(), name); err == nil {
			s.Close()
			t.Errorf("%q was opened", name)
		}
	}
	for _, file := range []string{"a b.db", "100%.db", "what?mode=ro.db", "#1.db", "ü.db"} {
		open(t, "sqlite:"+filepath.Join(dir, file))
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Errorf("%q: %v", file, err)
		}
	}
}
