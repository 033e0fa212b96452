// Package storetest tests that a store keeps the promises of package certstore. Every back
// end of this module runs it; run it for yours:
//
//	func TestStore(t *testing.T) {
//		storetest.Test(t, storetest.Backend{
//			Store: func(t testing.TB, entries ...*certstore.Entry) certstore.Store {
//				s := mystore.New()
//				s.Fill(entries)
//				return s
//			},
//		})
//	}
//
// # Security
//
// Nothing here contacts anything but the store it is given. The certificates are made for
// each test and valid on a fixed clock.
package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/certtest"
)

// A Backend says how to make stores of the kind under test, and what the kind cannot do.
type Backend struct {
	// Store returns a store that holds exactly entries. If it implements
	// [certstore.Writer], that is tested as well.
	Store func(t testing.TB, entries ...*certstore.Entry) certstore.Store

	// KeyStore returns a key store that holds exactly ids. If nil, there is none to test.
	KeyStore func(t testing.TB, ids ...*certstore.Identity) certstore.KeyStore

	// EmailOnly says that the store can be asked by address alone, as DNS can. It must
	// answer other questions with nothing, or with a right answer.
	EmailOnly bool

	// NotFiled says that the store keeps certificates alone: the address an entry is filed
	// under, and what else an entry holds, are lost.
	NotFiled bool
}

// Test runs every test that applies to b, each as a subtest.
func Test(t *testing.T, b Backend) {
	x := &suite{b: b, ca: certtest.NewCA(t, "storetest root")}
	x.alice, _ = x.ca.Issue(t, "Alice@Example.org", "a.smith@example.org")
	x.bob, _ = x.ca.Issue(t, "bob@xn--bcher-kva.example")
	for name, f := range map[string]func(*testing.T){
		"queries": x.queries, "many at once": x.many, "nothing held": x.nothing, "ends early": x.endsEarly,
		"cancelled": x.cancelled, "again": x.again, "concurrent": x.concurrent, "callers keep their hands off": x.copies,
	} {
		t.Run(name, f)
	}
	if !b.NotFiled {
		t.Run("filed by address", x.filed)
	}
	if _, ok := b.Store(t).(certstore.Writer); ok {
		t.Run("put and remove", x.writer)
		t.Run("concurrent writers", x.writers)
	}
	if b.KeyStore != nil {
		t.Run("identities", x.identities)
	}
}

type suite struct {
	b          Backend
	ca         *certtest.CA
	alice, bob *x509.Certificate
}

func entriesOf(certs ...*x509.Certificate) (list []*certstore.Entry) {
	for _, c := range certs {
		list = append(list, &certstore.Entry{Certificate: c})
	}
	return list
}

// names describes what s answers to q: the common name or first mailbox of every
// certificate, and the address it is filed under if it does not name it; sorted.
func names(t testing.TB, s certstore.Store, q certstore.Query) string {
	t.Helper()
	return describe(t, s.Certificates(t.Context(), q))
}

func describe(t testing.TB, seq iter.Seq2[*certstore.Entry, error]) string {
	t.Helper()
	var list []string
	for e, err := range seq {
		switch {
		case err != nil:
			t.Errorf("query failed: %v", err)
			return ""
		case e == nil || e.Certificate == nil:
			t.Error("the store yields an entry without a certificate and no error")
			return ""
		}
		name := e.Certificate.Subject.CommonName
		if len(e.Certificate.EmailAddresses) > 0 {
			name = strings.ToLower(e.Certificate.EmailAddresses[0])
		}
		if e.Address != "" && !certstore.Email(e.Address).Match(e.Certificate) {
			name += " as " + e.Address
		}
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func (x *suite) queries(t *testing.T) {
	s := x.b.Store(t, entriesOf(x.alice, x.bob, x.ca.Certificate)...)
	const alice, bob, root = "alice@example.org", "bob@xn--bcher-kva.example", "storetest root"
	for _, tt := range []struct {
		what string
		q    certstore.Query
		want string
	}{
		{"address", certstore.Email("Alice@Example.org"), alice},
		{"address in another case", certstore.Email("aLICE@EXAMPLE.ORG"), alice},
		{"second address", certstore.Email("a.smith@example.org"), alice},
		{"U-label", certstore.Email("bob@bücher.example"), bob},
		{"A-label", certstore.Email("bob@XN--BCHER-KVA.example"), bob},
		{"nobody's address", certstore.Email("carol@example.org"), ""},
		{"part of an address", certstore.Email("lice@example.org"), ""},
		{"parent domain", certstore.Email("alice@org"), ""},
		{"no address", certstore.Email("alice"), ""},
		{"empty address", certstore.Email(""), ""},
		{"wildcards", certstore.Email("%@example.org"), ""},
		{"filter characters", certstore.Email("*)(mail=*@example.org"), ""},
		{"quotes", certstore.Email(`' OR '1'='1@example.org`), ""},
		{"NUL", certstore.Email("alice\x00@example.org"), ""},
		{"issuer and serial", certstore.IssuerSerial{RawIssuer: x.bob.RawIssuer, Serial: x.bob.SerialNumber}, bob},
		{"serial of another issuer", certstore.IssuerSerial{RawIssuer: x.bob.RawSubject, Serial: x.bob.SerialNumber}, ""},
		{"negative serial", certstore.IssuerSerial{RawIssuer: x.bob.RawIssuer, Serial: new(big.Int).Neg(x.bob.SerialNumber)}, ""},
		{"no serial", certstore.IssuerSerial{RawIssuer: x.bob.RawIssuer}, ""},
		{"key identifier", certstore.SubjectKeyID(x.alice.SubjectKeyId), alice},
		{"empty key identifier", certstore.SubjectKeyID{}, ""},
		{"subject", certstore.RawSubject(x.ca.Certificate.RawSubject), root},
		{"empty subject", certstore.RawSubject{}, ""},
		{"thumbprint", certstore.Thumbprint(sha256.Sum256(x.bob.Raw)), bob},
		{"zero thumbprint", certstore.Thumbprint{}, ""},
		{"any of nothing", certstore.AnyOf{}, ""},
		{"any of nil", certstore.AnyOf{nil}, ""},
		{"any of two", certstore.AnyOf{certstore.Email("bob@bücher.example"), certstore.Email("alice@example.org")}, alice + ", " + bob},
		{"the same twice", certstore.AnyOf{certstore.Email("a.smith@example.org"), certstore.Email("alice@example.org"), certstore.Email("alice@example.org")}, alice},
		{"any of kinds", certstore.AnyOf{certstore.Email("alice@example.org"), certstore.AnyOf{certstore.RawSubject(x.ca.Certificate.RawSubject)}}, alice + ", " + root},
	} {
		got := names(t, s, tt.q)
		if x.b.EmailOnly && got != tt.want {
			_, byEmail := tt.q.(certstore.Email)
			if !byEmail && !strings.Contains(tt.what, "two") && !strings.Contains(tt.what, "twice") {
				continue // it may not know, but see "callers check": never a wrong certificate
			}
		}
		if got != tt.want {
			t.Errorf("%s: found %q, want %q", tt.what, got, tt.want)
		}
	}
}

func (x *suite) many(t *testing.T) {
	s := x.b.Store(t, entriesOf(x.alice, x.bob)...)
	var q certstore.AnyOf
	for i := range 300 {
		q = append(q, certstore.Email(fmt.Sprintf("user%d@example.org", i)))
	}
	q = append(q, certstore.Email("alice@example.org"))
	if got := names(t, s, q); got != "alice@example.org" {
		t.Errorf("one of 301 questions has an answer: found %q", got)
	}
}

func (x *suite) nothing(t *testing.T) {
	s := x.b.Store(t)
	if got := names(t, s, certstore.Email("alice@example.org")); got != "" {
		t.Errorf("an empty store finds %q", got)
	}
}

func (x *suite) endsEarly(t *testing.T) {
	s := x.b.Store(t, entriesOf(x.alice, x.bob)...)
	q := certstore.AnyOf{certstore.Email("alice@example.org"), certstore.Email("bob@bücher.example")}
	for range 50 {
		for range s.Certificates(t.Context(), q) {
			break
		}
	}
	if got := names(t, s, q); strings.Count(got, ",") != 1 {
		t.Errorf("after fifty callers that stopped early: %q", got)
	}
}

func (x *suite) cancelled(t *testing.T) {
	s := x.b.Store(t, entriesOf(x.alice)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n, failed := 0, false
	begin := time.Now()
	for e, err := range s.Certificates(ctx, certstore.Email("alice@example.org")) {
		if failed {
			t.Error("the sequence goes on after an error")
		}
		if err != nil {
			failed = true
			if e != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v, %v", e, err)
			}
		}
		n++
	}
	if !failed {
		t.Errorf("a cancelled query yields %d entries and no error", n)
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("a cancelled query takes %v", d)
	}
}

func (x *suite) again(t *testing.T) {
	seq := x.b.Store(t, entriesOf(x.alice)...).Certificates(t.Context(), certstore.Email("alice@example.org"))
	if first, second := describe(t, seq), describe(t, seq); first != second || first == "" {
		t.Errorf("one sequence read twice: %q, then %q", first, second)
	}
}

func (x *suite) concurrent(t *testing.T) {
	s := x.b.Store(t, entriesOf(x.alice, x.bob)...)
	var wg sync.WaitGroup
	for i := range 8 {
		address, want := certstore.Email("alice@example.org"), "alice@example.org"
		if i%2 == 1 {
			address, want = "bob@bücher.example", "bob@xn--bcher-kva.example"
		}
		wg.Go(func() {
			for range 10 {
				if got := names(t, s, address); got != want {
					t.Errorf("found %q, want %q", got, want)
				}
			}
		})
	}
	wg.Wait()
}

// copies: what a caller does to an entry is the caller's own affair.
func (x *suite) copies(t *testing.T) {
	s := x.b.Store(t, entriesOf(x.alice)...)
	for e, err := range s.Certificates(t.Context(), certstore.Email("alice@example.org")) {
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(e.Certificate.Raw, x.alice.Raw) {
			t.Error("the certificate is not the one that was put in")
		}
		*e = certstore.Entry{Certificate: x.bob}
	}
	if got := names(t, s, certstore.Email("alice@example.org")); got != "alice@example.org" {
		t.Errorf("after a caller overwrote its entry: %q", got)
	}
}

func (x *suite) filed(t *testing.T) {
	want := &certstore.Entry{Certificate: x.alice, Address: "sales@example.org"}
	s := x.b.Store(t, want)
	for _, address := range []string{"sales@example.org", "SALES@EXAMPLE.org", "alice@example.org"} {
		if got := names(t, s, certstore.Email(address)); got != "alice@example.org as sales@example.org" {
			t.Errorf("%s finds %q, want the entry filed under sales@example.org", address, got)
		}
	}
}

// A writable store is what the tests of writers need.
type writable interface {
	certstore.Store
	certstore.Writer
}

func (x *suite) writer(t *testing.T) {
	ctx := t.Context()
	s := x.b.Store(t).(writable)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	full := &certstore.Entry{Certificate: x.alice, Address: "sales@example.org", Source: "first", Default: true,
		Published: true, Capabilities: []byte{0x30, 0}, Seen: time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)}
	second := *full
	second.Address = "info@example.org"
	must(s.Put(ctx, &certstore.Entry{Certificate: x.bob}, full, &second))
	must(s.Put(ctx)) // nothing to do
	if x.b.NotFiled {
		if got := names(t, s, certstore.Email("alice@example.org")); got == "" {
			t.Error("not found after Put")
		}
	} else {
		found := 0
		for e, err := range s.Certificates(ctx, certstore.Email("sales@example.org")) {
			if err != nil {
				t.Fatal(err)
			}
			found++
			if e.Address != full.Address || e.Source != full.Source || !e.Default || !e.Published ||
				!bytes.Equal(e.Capabilities, full.Capabilities) || !e.Seen.Equal(full.Seen) {
				t.Errorf("put %+v, found %+v", full, e)
			}
		}
		if found != 1 {
			t.Errorf("%d entries filed under one address, want 1", found)
		}
		must(s.Put(ctx, &certstore.Entry{Certificate: x.alice, Address: "sales@example.org", Source: "second"}))
		for e, err := range s.Certificates(ctx, certstore.Email("sales@example.org")) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Source != "second" || e.Default || e.Published || len(e.Capabilities) > 0 || !e.Seen.IsZero() {
				t.Errorf("Put did not replace the entry: %+v", e)
			}
		}
		must(s.Remove(ctx, &certstore.Entry{Certificate: x.alice, Address: "sales@example.org"}))
		if got := names(t, s, certstore.AnyOf{certstore.Email("sales@example.org"), certstore.Email("info@example.org")}); got != "alice@example.org as info@example.org" {
			t.Errorf("after removing one of two addresses: %q", got)
		}
	}
	must(s.Remove(ctx, full, &second, &second, &certstore.Entry{Certificate: x.ca.Certificate}))
	if got := names(t, s, certstore.AnyOf{certstore.Email("alice@example.org"), certstore.Email("info@example.org")}); got != "" {
		t.Errorf("after removing: %q", got)
	}
	if got := names(t, s, certstore.Email("bob@bücher.example")); got != "bob@xn--bcher-kva.example" {
		t.Errorf("what was not to be removed: %q", got)
	}
	if s.Put(ctx, &certstore.Entry{Address: "x@example.org"}) == nil {
		t.Error("Put takes an entry without a certificate")
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Put(cancelled, full); !errors.Is(err, context.Canceled) {
		t.Errorf("Put with a cancelled context: %v", err)
	}
	if err := s.Remove(cancelled, full); !errors.Is(err, context.Canceled) {
		t.Errorf("Remove with a cancelled context: %v", err)
	}
	// Putting while reading must not deadlock.
	for _, err := range s.Certificates(ctx, certstore.Email("bob@bücher.example")) {
		if err != nil {
			t.Fatal(err)
		}
		must(s.Put(ctx, &certstore.Entry{Certificate: x.alice}))
	}
}

// writers is attack row H10: a reader sees an entry after Put has returned and none after
// Remove has, whatever others do meanwhile. Run it with -race.
func (x *suite) writers(t *testing.T) {
	s := x.b.Store(t).(writable)
	var wg sync.WaitGroup
	for i := range 4 {
		address := fmt.Sprintf("writer%d@example.org", i)
		c, _ := x.ca.Issue(t, address)
		wg.Go(func() {
			e := &certstore.Entry{Certificate: c}
			for range 5 {
				if err := s.Put(t.Context(), e); err != nil {
					t.Error(err)
				}
				if got := names(t, s, certstore.Email(address)); got != address {
					t.Errorf("after Put: %q", got)
				}
				if err := s.Remove(t.Context(), e); err != nil {
					t.Error(err)
				}
				if got := names(t, s, certstore.Email(address)); got != "" {
					t.Errorf("after Remove: %q", got)
				}
			}
		})
	}
	wg.Wait()
}

func (x *suite) identities(t *testing.T) {
	var ids []*certstore.Identity
	for i := range 3 {
		c, key := x.ca.Issue(t, fmt.Sprintf("user%d@example.org", i))
		id, err := certstore.NewIdentity(c, key, x.ca.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	s := x.b.KeyStore(t, ids...)
	leaf := ids[1].Certificate()
	for what, q := range map[string]certstore.Query{
		"address":           certstore.Email("USER1@example.org"),
		"issuer and serial": certstore.IssuerSerial{RawIssuer: leaf.RawIssuer, Serial: leaf.SerialNumber},
		"key identifier":    certstore.SubjectKeyID(leaf.SubjectKeyId),
		"thumbprint":        certstore.Thumbprint(sha256.Sum256(leaf.Raw)),
		"any of": certstore.AnyOf{certstore.Email("user1@example.org"), certstore.Email("nobody@example.org"),
			certstore.Thumbprint(sha256.Sum256(leaf.Raw))},
	} {
		n := 0
		for id, err := range s.Identities(t.Context(), q) {
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if n++; !bytes.Equal(id.Certificate().Raw, leaf.Raw) || id.Key() == nil {
				t.Errorf("%s: another identity", what)
			}
			if len(id.Intermediates()) != 1 {
				t.Errorf("%s: %d intermediates, want 1", what, len(id.Intermediates()))
			}
		}
		if n != 1 {
			t.Errorf("%s: %d identities, want 1", what, n)
		}
	}
	for _, err := range s.Identities(t.Context(), certstore.Email("nobody@example.org")) {
		t.Errorf("nobody's identity: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for id, err := range s.Identities(ctx, certstore.Email("user1@example.org")) {
		if id != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v, %v", id, err)
		}
	}
}
