package smime_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

// A shelf is a store that returns what it has, whatever is asked.
type shelf struct {
	entries []*certstore.Entry
	err     error
}

func (s *shelf) Certificates(context.Context, certstore.Query) iter.Seq2[*certstore.Entry, error] {
	return func(yield func(*certstore.Entry, error) bool) {
		for _, e := range s.entries {
			if !yield(e, nil) {
				return
			}
		}
		if s.err != nil {
			yield(nil, s.err)
		}
	}
}

func entryOf(c *x509.Certificate) *certstore.Entry {
	return &certstore.Entry{Certificate: c, Source: "shelf"}
}

// judging returns a verifier that knows the issuing authority.
func judging(pki *smimetest.PKI) *chain.Verifier {
	c := pki.Anchors()
	c.AddIntermediate(pki.Issuing.Certificate())
	v := chain.NewVerifier(c, chain.Revocation{})
	v.Time = pki.Time
	return v
}

func days(n int) time.Time { return smimetest.Now().AddDate(0, 0, n) }

// TestCandidates ranks certificates by every rule there is, one after the other, in any
// order of the store (attack rows H06, C20).
func TestCandidates(t *testing.T) {
	pki := smimetest.NewPKI(t)
	leaf := func(name string, change func(*smimetest.Leaf)) *certstore.Entry {
		l := smimetest.Leaf{Name: name, Emails: []string{"bob@good.example"}, NotBefore: days(-100)}
		if change != nil {
			change(&l)
		}
		return entryOf(pki.Issue(l).Certificate())
	}
	with := func(e *certstore.Entry, change func(*certstore.Entry)) *certstore.Entry {
		change(e)
		return e
	}
	pinned := leaf("pinned", nil)
	want := []*certstore.Entry{
		pinned,
		with(leaf("default", nil), func(e *certstore.Entry) { e.Default = true }),
		with(leaf("published", nil), func(e *certstore.Entry) { e.Published = true }),
		with(leaf("capable", nil), func(e *certstore.Entry) { e.Capabilities = []byte{0x30, 0} }),
		leaf("newest", func(l *smimetest.Leaf) { l.NotBefore = days(-1) }),
		with(leaf("seen", nil), func(e *certstore.Entry) { e.Seen = days(-1) }),
		leaf("strong", func(l *smimetest.Leaf) { l.Key = smimetest.P384 }),
		leaf("plain", nil),
		with(leaf("alias", func(l *smimetest.Leaf) { l.Emails = []string{"robert@good.example"}; l.NotBefore = days(-1) }), func(e *certstore.Entry) { e.Default = true }),
	}
	refusals := map[string]*certstore.Entry{
		"time.expired":       leaf("expired", func(l *smimetest.Leaf) { l.NotBefore, l.NotAfter = days(-100), days(-1) }),
		"time.not_yet_valid": leaf("future", func(l *smimetest.Leaf) { l.NotBefore = days(1) }),
		"ku.encrypt":         leaf("signing", func(l *smimetest.Leaf) { l.KeyUsage = x509.KeyUsageDigitalSignature }),
		"eku.leaf":           leaf("server", func(l *smimetest.Leaf) { l.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"address.mismatch":   leaf("other", func(l *smimetest.Leaf) { l.Emails = []string{"carol@good.example"} }),
	}
	stranger := smimetest.New().Issue(smimetest.Leaf{Name: "stranger", Emails: []string{"bob@good.example"}})
	refusals["sig.invalid"] = entryOf(stranger.Certificate())
	all := slices.Clone(want)
	for _, e := range refusals {
		all = append(all, e)
	}
	r := &smime.Resolver{
		Chain: judging(pki), Pinned: []*x509.Certificate{pinned.Certificate},
		Secondary: func(_ context.Context, address string) ([]string, error) {
			if address != "bob@good.example" {
				t.Errorf("asked for the other addresses of %s", address)
			}
			return []string{"robert@good.example"}, nil
		},
	}
	for range 5 {
		slices.SortFunc(all, func(a, b *certstore.Entry) int {
			return bytes.Compare(a.Certificate.Signature, b.Certificate.Signature)
		})
		all = append(all[3:], all[:3]...)
		r.Store = &shelf{entries: all}
		got, err := r.Candidates(t.Context(), "bob@good.example")
		if err != nil || len(got) != len(all) {
			t.Fatalf("%d candidates of %d, %v", len(got), len(all), err)
		}
		for i, e := range want {
			c := got[i]
			if !c.Certificate.Equal(e.Certificate) || !c.Usable || c.Path == nil || c.Code != "" || len(c.Reasons) == 0 {
				t.Fatalf("rank %d is %s %q, want %s", i, c.Certificate.Subject, c.Reasons, e.Certificate.Subject)
			}
		}
		for _, c := range got[len(want):] {
			e := refusals[c.Code]
			if c.Usable || e == nil || !c.Certificate.Equal(e.Certificate) || len(c.Reasons) == 0 || c.Path != nil {
				t.Errorf("%s is refused by %s %q", c.Certificate.Subject, c.Code, c.Reasons)
			}
		}
	}
	r.Store = &shelf{entries: all}
	text, err := json.Marshal(func() any { c, _ := r.Candidates(t.Context(), "bob@good.example"); return c }())
	if err != nil || !strings.Contains(string(text), `"usable":true,"reasons":["chosen by the user"`) {
		t.Errorf("JSON: %s, %v", text, err)
	}
}

// TestCandidatesTwice: what several entries say about one certificate counts together, in
// whatever order they come.
func TestCandidatesTwice(t *testing.T) {
	pki := smimetest.NewPKI(t)
	leaf := func(before time.Time) *x509.Certificate {
		return pki.Issue(smimetest.Leaf{Emails: []string{"bob@good.example"}, NotBefore: before}).Certificate()
	}
	older, newer := leaf(days(-100)), leaf(days(-1))
	for _, say := range []func(*certstore.Entry){
		func(e *certstore.Entry) { e.Default = true },
		func(e *certstore.Entry) { e.Published = true },
		func(e *certstore.Entry) { e.Source = "signed mail" },
		func(e *certstore.Entry) { e.Capabilities = []byte{0x30, 0} },
	} {
		said := entryOf(older)
		said.Address = "bob@good.example"
		say(said)
		for _, entries := range [][]*certstore.Entry{
			{entryOf(older), entryOf(newer), said}, {said, entryOf(newer), entryOf(older)}, {entryOf(newer), entryOf(older), said},
		} {
			r := &smime.Resolver{Store: &shelf{entries: entries}, Chain: judging(pki)}
			list, err := r.Candidates(t.Context(), "bob@good.example")
			if err != nil || len(list) != 2 || !list[0].Certificate.Equal(older) || len(list[0].Reasons) != len(list[1].Reasons)+1 {
				t.Errorf("%+v: %v, %v", said, list, err)
			}
		}
	}
}

// TestResolve finds everybody or nobody, and names who is missing and why (attack row C20).
func TestResolve(t *testing.T) {
	pki := smimetest.NewPKI(t)
	store := new(certstore.Memory)
	old := pki.Issue(smimetest.Leaf{Name: "old", Emails: []string{"bob@good.example"}, NotBefore: days(-100), NotAfter: days(-1)})
	dora := pki.Issue(smimetest.Leaf{Name: "dora", Emails: []string{"dora@good.example"}, KeyUsage: x509.KeyUsageDigitalSignature})
	store.Add(old.Certificate(), pki.Bob().Certificate(), pki.Alice().Certificate(), dora.Certificate())
	r := &smime.Resolver{Store: store, Chain: judging(pki)}
	certs, err := r.Resolve(t.Context(), "bob@good.example", "ALICE@Good.Example", "bob@good.example")
	if err != nil || len(certs) != 2 || !certs[0].Equal(pki.Bob().Certificate()) || !certs[1].Equal(pki.Alice().Certificate()) {
		t.Fatalf("%v, %v: an expired certificate must not block a good one", certs, err)
	}
	certs, err = r.Resolve(t.Context(), "bob@good.example", "nobody@good.example", "dora@good.example")
	if certs != nil || err == nil {
		t.Fatalf("%d certificates, %v", len(certs), err)
	}
	missing := map[string]string{}
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var who *smime.RecipientError
		if !errors.As(e, &who) {
			t.Fatalf("%T", e)
		}
		missing[who.Recipient] = who.Code
	}
	if len(missing) != 2 || missing["nobody@good.example"] != "recipient.no_certificate" || missing["dora@good.example"] != "ku.encrypt" {
		t.Errorf("missing: %v", missing)
	}
	// Every usable certificate of a person.
	second := pki.Issue(smimetest.Leaf{Name: "phone", Emails: []string{"bob@good.example"}})
	store.Add(second.Certificate())
	r.AllUsable = true
	if certs, err = r.Resolve(t.Context(), "bob@good.example"); err != nil || len(certs) != 2 {
		t.Errorf("%d certificates, %v", len(certs), err)
	}
	for _, bad := range []string{"", "bob", "bob@good.example, eve@evil.example", "bob@good.example\x00"} {
		if _, err := r.Resolve(t.Context(), bad); err == nil {
			t.Errorf("%q was resolved", bad)
		}
	}
	if _, err := (&smime.Resolver{Store: store}).Resolve(t.Context(), "bob@good.example"); err == nil {
		t.Error("resolved without anybody to judge")
	}
	broken := &smime.Resolver{Store: &shelf{err: errors.New("no connection")}, Chain: judging(pki)}
	if _, err := broken.Resolve(t.Context(), "bob@good.example"); err == nil || !strings.Contains(err.Error(), "no connection") {
		t.Errorf("a store that failed: %v", err)
	}
	broken.Store = &shelf{entries: []*certstore.Entry{entryOf(pki.Bob().Certificate())}, err: errors.New("no connection")}
	if certs, err = broken.Resolve(t.Context(), "bob@good.example"); err != nil || len(certs) != 1 {
		t.Errorf("a store that failed after a good answer: %v", err)
	}
}

// TestCandidatesBehindOthers: however many certificates stand in front of it that cannot be
// used, a good one is found (attack row H06). It has been seen twice then, and what was said
// of it the second time counts.
func TestCandidatesBehindOthers(t *testing.T) {
	pki := smimetest.NewPKI(t)
	for name, bad := range map[string]smimetest.Leaf{
		"expired":       {NotBefore: days(-100), NotAfter: days(-1)},
		"not yet valid": {NotBefore: days(1)},
		"for signing":   {KeyUsage: x509.KeyUsageDigitalSignature},
		"other people":  {Emails: []string{"carol@good.example"}},
	} {
		if bad.Emails == nil {
			bad.Emails = []string{"bob@good.example"}
		}
		s := &shelf{}
		for range 40 {
			s.entries = append(s.entries, entryOf(pki.Issue(bad).Certificate()))
		}
		again := entryOf(pki.Bob().Certificate())
		again.Default = true
		s.entries = append(s.entries, entryOf(pki.Bob().Certificate()), again)
		list, err := (&smime.Resolver{Store: s, Chain: judging(pki)}).Candidates(t.Context(), "bob@good.example")
		if err != nil || len(list) != 32 || !list[0].Usable || !list[0].Certificate.Equal(pki.Bob().Certificate()) || !strings.Contains(list[0].Reasons[1], "marked by its owner") {
			t.Errorf("%s: %d candidates, %v", name, len(list), err)
		}
	}
}

// TestResolveOneForTwo: the best certificate of one address is that of another one too. Nobody
// encrypts to the second best for that.
func TestResolveOneForTwo(t *testing.T) {
	pki := smimetest.NewPKI(t)
	issue := func(from int) *x509.Certificate {
		return pki.Issue(smimetest.Leaf{Emails: []string{"bob@good.example", "sales@good.example"}, NotBefore: days(from)}).Certificate()
	}
	old, current := issue(-100), issue(-1)
	r := &smime.Resolver{Store: &shelf{entries: []*certstore.Entry{entryOf(old), entryOf(current)}}, Chain: judging(pki)}
	for _, all := range []bool{false, true} {
		r.AllUsable = all
		certs, err := r.Resolve(t.Context(), "bob@good.example", "sales@good.example")
		want := []*x509.Certificate{current, old}
		if !all {
			want = want[:1]
		}
		if err != nil || !slices.EqualFunc(certs, want, (*x509.Certificate).Equal) {
			t.Errorf("all of them %v: %d certificates, %v", all, len(certs), err)
		}
	}
}

// Who is told that a certificate has expired is told too that not every store was asked.
func TestResolveStoreFailed(t *testing.T) {
	pki := smimetest.NewPKI(t)
	old := pki.Issue(smimetest.Leaf{Emails: []string{"bob@good.example"}, NotBefore: days(-100), NotAfter: days(-1)}).Certificate()
	for _, failure := range []error{errors.New("the directory is down"), nil} {
		r := &smime.Resolver{Store: &shelf{[]*certstore.Entry{entryOf(old)}, failure}, Chain: judging(pki)}
		_, err := r.Resolve(t.Context(), "bob@good.example")
		who, _ := errors.AsType[*smime.RecipientError](err)
		if who == nil || who.Code != "time.expired" || strings.Contains(who.Detail, "the directory is down") != (failure != nil) {
			t.Errorf("%v: %v", failure, err)
		}
	}
}

// TestCandidatesAreBounded: a directory cannot make anybody judge certificates for ever
// (attack row H06).
func TestCandidatesAreBounded(t *testing.T) {
	pki := smimetest.NewPKI(t)
	s := &shelf{}
	for range 40 {
		s.entries = append(s.entries, entryOf(pki.Issue(smimetest.Leaf{Emails: []string{"bob@good.example"}}).Certificate()))
	}
	list, err := (&smime.Resolver{Store: s, Chain: judging(pki)}).Candidates(t.Context(), "bob@good.example")
	if err != nil || len(list) != 32 {
		t.Errorf("%d candidates, %v", len(list), err)
	}
}

func TestUnknownRevocation(t *testing.T) {
	pki := smimetest.NewPKI(t)
	e := entryOf(pki.Issue(smimetest.Leaf{Emails: []string{"bob@good.example"}, CRLSources: []string{"http://crl.invalid/1.crl"}}).Certificate())
	r := &smime.Resolver{Store: &shelf{entries: []*certstore.Entry{e}}, Chain: judging(pki)}
	list, _ := r.Candidates(t.Context(), "bob@good.example")
	if len(list) != 1 || list[0].Usable || list[0].Code != "rev.unknown" {
		t.Errorf("%+v", list)
	}
	r.AllowUnknownRevocation = true
	list, _ = r.Candidates(t.Context(), "bob@good.example")
	if len(list) != 1 || !list[0].Usable || !slices.Contains(list[0].Reasons, "its revocation status is unknown") {
		t.Errorf("%+v", list)
	}
}

func TestGroups(t *testing.T) {
	pki := smimetest.NewPKI(t)
	store := new(certstore.Memory)
	store.Add(pki.Bob().Certificate(), pki.Alice().Certificate())
	groups := map[string][]string{
		"team@good.example":  {"bob@good.example", "inner@good.example", "team@good.example"},
		"inner@good.example": {"alice@good.example", "team@good.example", "Bob@good.example"},
		"empty@good.example": {},
	}
	r := &smime.Resolver{Store: store, Chain: judging(pki), Expand: func(_ context.Context, a string) ([]string, bool, error) {
		m, ok := groups[a]
		return m, ok, nil
	}}
	certs, err := r.Resolve(t.Context(), "team@good.example")
	if err != nil || len(certs) != 2 {
		t.Errorf("%d certificates, %v", len(certs), err)
	}
	// Nobody to encrypt to is not nothing to encrypt.
	certs, err = r.Resolve(t.Context(), "empty@good.example")
	if err != nil || certs == nil || len(certs) != 0 {
		t.Errorf("an empty group: %v, %v", certs, err)
	}
	c := &smime.Composer{Signers: []*certstore.Identity{pki.Alice()}, Recipients: certs, Time: pki.Time}
	if _, err := c.Compose(io.Discard, strings.NewReader("From: alice@good.example\r\n\r\nsecret\r\n")); err == nil {
		t.Error("a message for an empty group went out for everybody to read")
	}
	endless := 0
	r.Expand = func(_ context.Context, a string) ([]string, bool, error) {
		endless++
		return []string{"x" + a}, true, nil
	}
	if _, err := r.Resolve(t.Context(), "a@good.example"); err == nil || endless > 20_000 {
		t.Errorf("an endless group: %v after %d", err, endless)
	}
	r.ExpandTimeout = 10 * time.Millisecond
	r.Expand = func(ctx context.Context, a string) ([]string, bool, error) {
		<-ctx.Done()
		return []string{"bob@good.example"}, true, nil
	}
	if _, err := r.Resolve(t.Context(), "a@good.example"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a slow group: %v", err)
	}
}

// TestLearn keeps certificates from signed mail only after everything about it was good
// (attack row G10).
func TestLearn(t *testing.T) {
	pki := smimetest.NewPKI(t)
	alice, bob := pki.Alice(), pki.Bob()
	message := func(by *certstore.Identity, at time.Time) *smime.Message {
		t.Helper()
		c := &smime.Composer{Signers: []*certstore.Identity{by}, Time: func() time.Time { return at }}
		o := &smime.Opener{Chain: pki.Verifier(), AllowMismatchedSender: true}
		m, err := o.Open(t.Context(), bytes.NewReader(composed(t, c, "From: alice@good.example\r\n\r\nhi\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	store := new(certstore.Memory)
	r := &smime.Resolver{Store: store, Chain: judging(pki)}
	if n, err := r.Learn(t.Context(), store, message(bob, pki.Time())); n != 0 || err != nil {
		t.Errorf("learned %d certificates from a message that somebody else signed: %v", n, err)
	}
	if n, err := r.Learn(t.Context(), store, new(smime.Message)); n != 0 || err != nil {
		t.Errorf("learned %d certificates from a message that nobody opened: %v", n, err)
	}
	earlier := pki.Time().Add(-48 * time.Hour)
	if n, err := r.Learn(t.Context(), store, message(alice, earlier)); n != 1 || err != nil {
		t.Fatalf("learned %d, %v", n, err)
	}
	list, err := r.Candidates(t.Context(), "alice@good.example")
	if err != nil || len(list) != 1 || !list[0].Certificate.Equal(alice.Certificate()) || !slices.Contains(list[0].Reasons, "seen in mail its owner signed") {
		t.Fatalf("%+v, %v", list, err)
	}
	ca := 0
	for range store.Certificates(t.Context(), certstore.RawSubject(pki.Issuing.Certificate().RawSubject)) {
		ca++
	}
	if ca != 1 {
		t.Error("the issuing authority was not kept")
	}
	seen := func() (at time.Time) {
		for e := range store.Certificates(t.Context(), certstore.Email("alice@good.example")) {
			if e.Source == "signed mail" {
				at = e.Seen
			}
		}
		return at
	}
	if !seen().Equal(earlier) {
		t.Errorf("seen at %v", seen())
	}
	if n, _ := r.Learn(t.Context(), store, message(alice, earlier.Add(-time.Hour))); n != 0 || !seen().Equal(earlier) {
		t.Error("an older message displaced newer knowledge")
	}
	if n, _ := r.Learn(t.Context(), store, message(alice, pki.Time().Add(240*time.Hour))); n != 1 || !seen().Equal(pki.Time()) {
		t.Errorf("a message from the future was seen at %v", seen())
	}
}
