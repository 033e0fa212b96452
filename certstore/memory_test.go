package certstore_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
)

// serials lists the serial numbers of the entries in the order they came.
func serials(t testing.TB, seq iter.Seq2[*certstore.Entry, error]) []int64 {
	t.Helper()
	var list []int64
	for e, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e.Certificate.SerialNumber.Int64())
	}
	return list
}

func TestQueries(t *testing.T) {
	key := newKey(t)
	alice := selfSigned(t, key, 1, "Alice@Example.org")
	bob := selfSigned(t, key, 2, "bob@example.org", "robert@example.net")
	idn := selfSigned(t, key, 3, "info@xn--bcher-kva.example")
	old := subjectEmail(t, key, 4, "carol@example.org")
	var m certstore.Memory
	m.Add(alice, bob, idn, old, alice)
	for _, tt := range []struct {
		name string
		q    certstore.Query
		want []int64
	}{
		{"as written", certstore.Email("Alice@Example.org"), []int64{1}},
		{"folded", certstore.Email("aLICE@EXAMPLE.ORG"), []int64{1}},
		{"second address", certstore.Email("robert@example.net"), []int64{2}},
		{"address in the subject", certstore.Email("carol@example.org"), []int64{4}},
		{"U-label", certstore.Email("info@bücher.example"), []int64{3}},
		{"A-label", certstore.Email("info@XN--BCHER-KVA.example"), []int64{3}},
		{"other local part", certstore.Email("alic@example.org"), nil},
		{"other domain", certstore.Email("alice@example.com"), nil},
		{"subdomain", certstore.Email("alice@mail.example.org"), nil},
		{"no address", certstore.Email("alice"), nil},
		{"empty address", certstore.Email(""), nil},
		{"issuer and serial", certstore.IssuerSerial{RawIssuer: bob.RawIssuer, Serial: bob.SerialNumber}, []int64{2}},
		{"other issuer", certstore.IssuerSerial{RawIssuer: alice.RawIssuer, Serial: bob.SerialNumber}, nil},
		{"no serial", certstore.IssuerSerial{RawIssuer: bob.RawIssuer}, nil},
		{"negative serial", certstore.IssuerSerial{RawIssuer: bob.RawIssuer, Serial: big.NewInt(-2)}, nil},
		{"key id", certstore.SubjectKeyID{2}, []int64{2}},
		{"empty key id", certstore.SubjectKeyID{}, nil},
		{"subject", certstore.RawSubject(alice.RawSubject), []int64{1}},
		{"thumbprint", certstore.Thumbprint(sha256.Sum256(idn.Raw)), []int64{3}},
		{"zero thumbprint", certstore.Thumbprint{}, nil},
		{"any of", certstore.AnyOf{certstore.SubjectKeyID{2}, certstore.Email("alice@example.org"), certstore.Email("robert@example.net")}, []int64{1, 2}},
		{"any of any of", certstore.AnyOf{certstore.AnyOf{certstore.SubjectKeyID{3}}}, []int64{3}},
		{"any of nothing", certstore.AnyOf{}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := serials(t, m.Certificates(t.Context(), tt.q)); !slices.Equal(got, tt.want) {
				t.Errorf("store found %v, want %v", got, tt.want)
			}
			var matched []int64
			for _, c := range []*x509.Certificate{alice, bob, idn, old} {
				if tt.q.Match(c) {
					matched = append(matched, c.SerialNumber.Int64())
				}
			}
			if !slices.Equal(matched, tt.want) {
				t.Errorf("Match says %v, want %v", matched, tt.want)
			}
		})
	}
}

// Senders name issuers in an encoding of their own, and compute key identifiers where the
// certificate has none (RFC 5280, Sections 7.1 and 4.2.1.2).
func TestQueriesForWhatSendersMake(t *testing.T) {
	key := newKey(t)
	alice := selfSigned(t, key, 1, "alice@example.org")
	plain := sign(t, key, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: alice.Subject})
	named := selfSigned(t, key, 2, "bob@example.org")
	if len(plain.SubjectKeyId) > 0 {
		t.Fatal("the certificate has a key identifier")
	}
	reencoded := bytes.Replace(alice.RawIssuer, []byte("\x13\x09subject 1"), []byte("\x0c\x09SUBJECT 1"), 1)
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	ofKey, whole := sha1.Sum(point), sha1.Sum(alice.RawSubjectPublicKeyInfo)
	decoys := func(q certstore.Query) (list certstore.AnyOf) {
		for range 10_000 {
			list = append(list, certstore.IssuerSerial{RawIssuer: named.RawIssuer, Serial: alice.SerialNumber})
		}
		return append(list, q)
	}
	query := certstore.IssuerSerial{RawIssuer: reencoded, Serial: alice.SerialNumber}
	var m certstore.Memory
	m.Add(alice, plain, named)
	for _, tt := range []struct {
		name string
		q    certstore.Query
		want []int64
	}{
		{"issuer in another encoding", query, []int64{1}},
		{"one of several", certstore.AnyOf{certstore.SubjectKeyID{9}, query}, []int64{1}},
		{"another serial number", certstore.IssuerSerial{RawIssuer: reencoded, Serial: big.NewInt(3)}, nil},
		{"another name of that length", certstore.IssuerSerial{RawIssuer: bytes.Replace(reencoded, []byte("T 1"), []byte("T 3"), 1), Serial: alice.SerialNumber}, nil},
		{"identifier of the key", certstore.SubjectKeyID(ofKey[:]), []int64{2}},
		{"identifier of the SubjectPublicKeyInfo", certstore.SubjectKeyID(whole[:]), []int64{2}},
		{"identifier of the certificate", certstore.SubjectKeyID{2}, []int64{2}},
		{"behind many names that are compared", decoys(query), nil},
		{"behind many names, octet for octet", decoys(certstore.IssuerSerial{RawIssuer: alice.RawIssuer, Serial: alice.SerialNumber}), []int64{1}},
	} {
		if got := serials(t, m.Certificates(t.Context(), tt.q)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: store found %v, want %v", tt.name, got, tt.want)
		}
		matched := []int64(nil)
		for _, c := range []*x509.Certificate{alice, plain, named} {
			if tt.q.Match(c) {
				matched = append(matched, c.SerialNumber.Int64())
			}
		}
		if !slices.Equal(matched, tt.want) {
			t.Errorf("%s: Match says %v, want %v", tt.name, matched, tt.want)
		}
	}
}

func TestMemoryWriter(t *testing.T) {
	ctx := t.Context()
	key := newKey(t)
	a, b := selfSigned(t, key, 1, "a@example.org"), selfSigned(t, key, 2, "b@example.org")
	var m certstore.Memory
	put := func(e *certstore.Entry) {
		t.Helper()
		if err := m.Put(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	put(&certstore.Entry{Certificate: a, Address: "alias@example.org"})
	put(&certstore.Entry{Certificate: a, Address: "second@example.org"})
	put(&certstore.Entry{Certificate: b})
	put(&certstore.Entry{Certificate: a, Address: "alias@example.org", Default: true})
	if got := serials(t, m.All(ctx)); !slices.Equal(got, []int64{1, 1, 2}) {
		t.Fatalf("after three entries and one replacement the store holds %v", got)
	}
	for e, err := range m.Certificates(ctx, certstore.Email("ALIAS@example.org")) {
		if err != nil || !e.Default || e.Address != "alias@example.org" {
			t.Errorf("entry filed under its address: %+v, %v", e, err)
		}
		e.Default = false // the caller's copy
	}
	if err := m.Remove(ctx, &certstore.Entry{Certificate: a, Address: "second@example.org"}, &certstore.Entry{Certificate: b, Address: "nobody@example.org"}); err != nil {
		t.Fatal(err)
	}
	for e := range m.All(ctx) {
		if e.Certificate == a && !e.Default {
			t.Error("a reader changed the store")
		}
	}
	if got := serials(t, m.All(ctx)); !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("after removal the store holds %v", got)
	}
	if got := serials(t, m.Certificates(ctx, certstore.Email("second@example.org"))); len(got) != 0 {
		t.Errorf("removed entry found: %v", got)
	}
	if m.Put(ctx, &certstore.Entry{}) == nil {
		t.Error("Put accepted an entry without a certificate")
	}
}

func TestMemoryCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var m certstore.Memory
	m.Add(selfSigned(t, newKey(t), 1, "a@example.org"))
	for e, err := range m.Certificates(ctx, certstore.Email("a@example.org")) {
		if e != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled search yielded %v, %v", e, err)
		}
	}
}

// Attack row H10: import, removal and lookup at once, a hundred thousand of them from each
// of eight goroutines. Run with -race.
func TestMemoryRaces(t *testing.T) {
	ctx := t.Context()
	rounds := 100_000 / 3
	if testing.Short() {
		rounds = 500
	}
	key := newKey(t)
	var certs []*x509.Certificate
	for i := range 8 {
		certs = append(certs, selfSigned(t, key, int64(i+1), fmt.Sprintf("u%d@example.org", i)))
	}
	var m certstore.Memory
	var wg sync.WaitGroup
	for i, c := range certs {
		wg.Go(func() {
			e := &certstore.Entry{Certificate: c, Address: "shared@example.org"}
			for range rounds {
				if err := m.Put(ctx, e); err != nil {
					t.Error(err)
				}
				found := false
				for got, err := range m.Certificates(ctx, certstore.Email("shared@example.org")) {
					found = found || err == nil && got.Certificate == c
				}
				if !found {
					t.Errorf("certificate %d not found after Put", i)
					return
				}
				if err := m.Remove(ctx, e); err != nil {
					t.Error(err)
				}
				m.AddIdentity()
			}
		})
	}
	wg.Wait()
	if got := serials(t, m.All(ctx)); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}

// failing yields one entry and then fails.
type failing struct{ c *x509.Certificate }

var errStore = errors.New("store is down")

func (f failing) Certificates(context.Context, certstore.Query) iter.Seq2[*certstore.Entry, error] {
	return func(yield func(*certstore.Entry, error) bool) {
		if yield(&certstore.Entry{Certificate: f.c}, nil) {
			yield(nil, errStore)
		}
	}
}

func TestMulti(t *testing.T) {
	key := newKey(t)
	a, b := selfSigned(t, key, 1, "a@example.org"), selfSigned(t, key, 2, "a@example.org")
	var one, two certstore.Memory
	one.Add(a)
	two.Add(a, b)
	all := certstore.Multi(&one, failing{a}, &two)
	var got []int64
	var failure error
	for e, err := range all.Certificates(t.Context(), certstore.Email("a@example.org")) {
		if err != nil {
			failure = err
			continue
		}
		got = append(got, e.Certificate.SerialNumber.Int64())
	}
	if !slices.Equal(got, []int64{1, 2}) || !errors.Is(failure, errStore) {
		t.Errorf("found %v, failure %v; want [1 2] and the store's error", got, failure)
	}
	for range all.Certificates(t.Context(), certstore.Email("a@example.org")) {
		break // must not go on yielding
	}
}

// What only a later store knows of an entry is not lost.
func TestMultiSaysMore(t *testing.T) {
	c := selfSigned(t, newKey(t), 1, "a@example.org")
	plain := certstore.Entry{Certificate: c, Address: "a@example.org", Source: "plain", Seen: time.Unix(1, 0)}
	for what, say := range map[string]func(*certstore.Entry){
		"nothing":      func(*certstore.Entry) {},
		"default":      func(e *certstore.Entry) { e.Default = true },
		"published":    func(e *certstore.Entry) { e.Published = true },
		"capabilities": func(e *certstore.Entry) { e.Capabilities = []byte{0x30, 0} },
		"later":        func(e *certstore.Entry) { e.Seen = time.Unix(2, 0) },
	} {
		said := plain
		said.Source = "said"
		say(&said)
		var one, two, three certstore.Memory
		for m, e := range map[*certstore.Memory]*certstore.Entry{&one: &plain, &two: &said, &three: &said} {
			if err := m.Put(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"plain", "said"}
		if what == "nothing" {
			want = want[:1]
		}
		for _, all := range []certstore.Store{certstore.Multi(&one, &two, &three), certstore.Parallel(&one, &two, &three)} {
			var got []string
			for e, err := range all.Certificates(t.Context(), certstore.Email("a@example.org")) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, e.Source)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
	}
}
