package sync_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/sqlstore"
	"github.com/postseal/postseal/certstore/sync"
	"github.com/postseal/postseal/internal/certtest"
)

// script is a source that says what a test wants it to say.
type script struct {
	name    string
	batches []*sync.Batch
	asked   []byte // the cursor of the last run
	err     error  // after the batches
}

func (s *script) Name() string { return s.name }

func (s *script) Changes(_ context.Context, cursor []byte) iter.Seq2[*sync.Batch, error] {
	s.asked = cursor
	return func(yield func(*sync.Batch, error) bool) {
		for _, b := range s.batches {
			if !yield(b, nil) {
				return
			}
		}
		if s.err != nil {
			yield(nil, s.err)
		}
	}
}

type target interface {
	certstore.Store
	certstore.Writer
	sync.Target
	All(context.Context) iter.Seq2[*certstore.Entry, error]
}

// writable is a store that a state file makes a target of.
type writable interface {
	certstore.Store
	certstore.Writer
	All(context.Context) iter.Seq2[*certstore.Entry, error]
}

// memoryTarget is a store with its state file.
type memoryTarget struct {
	writable
	sync.Target
}

// targets runs a test with every kind of target.
func targets(t *testing.T, test func(t *testing.T, to target)) {
	t.Run("SQLite", func(t *testing.T) {
		s, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "certs.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		test(t, s)
	})
	t.Run("Writer", func(t *testing.T) {
		var m certstore.Memory
		w, err := sync.ToWriter(&m, filepath.Join(t.TempDir(), "state"))
		if err != nil {
			t.Fatal(err)
		}
		test(t, memoryTarget{&m, w})
	})
	t.Run("Folder", func(t *testing.T) {
		d, err := certstore.OpenDir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		w, err := sync.ToWriter(d, filepath.Join(t.TempDir(), "state"))
		if err != nil {
			t.Fatal(err)
		}
		test(t, memoryTarget{d, w})
	})
}

// world is what the tests play with: a CA and a clock.
type world struct {
	t   testing.TB
	ca  *certtest.CA
	now time.Time
	to  target
	src *script
	log []string // of the last run
}

func newWorld(t testing.TB, to target) *world {
	return &world{t: t, ca: certtest.NewCA(t, "CA"), now: certtest.Epoch().AddDate(0, 1, 0), to: to, src: &script{name: "test"}}
}

func (w *world) cert(name string, change func(*x509.Certificate), addresses ...string) *x509.Certificate {
	w.t.Helper()
	_, key := w.ca.Issue(w.t)
	return w.ca.IssueFor(w.t, key.Public(), func(c *x509.Certificate) {
		c.Subject.CommonName, c.EmailAddresses = name, addresses
		if change != nil {
			change(c)
		}
	})
}

func object(id string, addresses []string, certs ...*x509.Certificate) *sync.Object {
	o := &sync.Object{ID: id, Name: "cn=" + id + ",ou=people,dc=test", Addresses: addresses}
	for _, c := range certs {
		o.Certificates = append(o.Certificates, sync.Certificate{Entry: certstore.Entry{Certificate: c, Source: "userCertificate"}})
	}
	return o
}

// run runs a sync over batches, the last of which is complete.
func (w *world) run(configure func(*sync.Syncer), batches ...*sync.Batch) *sync.Report {
	w.t.Helper()
	r, err := w.try(configure, batches...)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) try(configure func(*sync.Syncer), batches ...*sync.Batch) (*sync.Report, error) {
	w.t.Helper()
	w.log = nil
	w.src.batches = batches
	s := &sync.Syncer{Source: w.src, Target: w.to, Time: func() time.Time { return w.now }}
	s.Record = func(c sync.Change) {
		w.log = append(w.log, fmt.Sprintf("%s %s <%s> %s", c.Kind, c.ID, c.Address, c.Reason))
	}
	if configure != nil {
		configure(s)
	}
	return s.Run(w.t.Context())
}

func full(objects ...*sync.Object) *sync.Batch {
	return &sync.Batch{Reset: true, Complete: true, Everything: true, Objects: objects, Cursor: []byte("1")}
}

func changes(objects ...*sync.Object) *sync.Batch {
	return &sync.Batch{Complete: true, Objects: objects, Cursor: []byte("2")}
}

// holds checks what the target has: "name<address>", sorted.
func (w *world) holds(want ...string) {
	w.t.Helper()
	var got []string
	for e, err := range w.to.All(w.t.Context()) {
		if err != nil {
			w.t.Fatal(err)
		}
		got = append(got, e.Certificate.Subject.CommonName+"<"+e.Address+">")
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("the target holds\n\t%s\nwant\n\t%s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

func (w *world) logged(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.log, want) {
		w.t.Errorf("recorded\n\t%s\nwant\n\t%s", strings.Join(w.log, "\n\t"), strings.Join(want, "\n\t"))
	}
}

var at = []string{"a@example.test", "b@example.test"}

func TestLife(t *testing.T) { targets(t, testLife) }

func testLife(t *testing.T, to target) {
	w := newWorld(t, to)
	one, two := w.cert("one", nil, "a@example.test"), w.cert("two", nil, "a@example.test", "b@example.test")
	bob := w.cert("bob", nil, "bob@example.test")

	r := w.run(nil, full(object("alice", at, one), object("bob", []string{"bob@example.test"}, bob)))
	w.holds("one<a@example.test>", "bob<bob@example.test>")
	w.logged("added alice <a@example.test> in test userCertificate", "added bob <bob@example.test> in test userCertificate")
	if !r.Full || r.Added != 2 || r.Objects != 2 {
		t.Errorf("report %+v", r)
	}
	if w.src.asked != nil {
		t.Errorf("asked for changes since %q at first", w.src.asked)
	}

	r = w.run(nil, changes())
	w.logged()
	if string(w.src.asked) != "1" || r.Full {
		t.Errorf("asked for changes since %q, report %+v", w.src.asked, r)
	}

	w.run(nil, changes(object("alice", at, one, two)))
	w.logged("added alice <a@example.test> in test userCertificate", "added alice <b@example.test> in test userCertificate")
	w.holds("one<a@example.test>", "two<a@example.test>", "two<b@example.test>", "bob<bob@example.test>")
	if string(w.src.asked) != "2" {
		t.Errorf("asked for changes since %q", w.src.asked)
	}

	// The same once more: nothing happens twice.
	r = w.run(nil, changes(object("alice", at, one, two)))
	w.logged()
	if r.Unchanged != 1 {
		t.Errorf("report %+v", r)
	}

	w.run(nil, changes(object("alice", at[:1], two)))
	w.logged("removed alice <a@example.test> no longer in the object", "removed alice <b@example.test> no longer in the object")
	w.holds("two<a@example.test>", "bob<bob@example.test>")

	renamed := object("alice", []string{"b@example.test"}, two)
	renamed.Name = "cn=alice married,ou=people,dc=test"
	w.run(nil, changes(renamed))
	w.holds("two<b@example.test>", "bob<bob@example.test>")

	w.run(nil, changes(&sync.Object{ID: "alice", Name: "gone", Deleted: true}, &sync.Object{ID: "never seen", Deleted: true}))
	w.logged("removed alice <b@example.test> object was deleted")
	w.holds("bob<bob@example.test>")

	w.run(nil, changes(object("bob", []string{"bob@example.test"})))
	w.logged("removed bob <bob@example.test> object has no certificate to carry any more")
	w.holds()
}

// What the source does not name any more when it names everything is gone; an interrupted
// naming removes nothing.
func TestFullPass(t *testing.T) { targets(t, testFullPass) }

func testFullPass(t *testing.T, to target) {
	w := newWorld(t, to)
	var objects []*sync.Object
	var all []string
	for i := range 30 {
		a := fmt.Sprintf("u%02d@example.test", i)
		objects = append(objects, object(fmt.Sprint("u", i), []string{a}, w.cert(a, nil, a)))
		all = append(all, a+"<"+a+">")
	}
	w.run(nil, full(objects...))
	w.holds(all...)
	w.src.err = errors.New("connection lost")
	if _, err := w.try(nil, &sync.Batch{Reset: true, Objects: objects[:10], Cursor: []byte("half")}); err == nil || !strings.Contains(err.Error(), "connection lost") {
		t.Errorf("error %v", err)
	}
	w.holds(all...)
	w.src.err = nil
	if _, err := w.try(nil, &sync.Batch{Objects: objects[10:15]}); err == nil {
		t.Error("a source that stopped short was taken for a complete one")
	}
	w.holds(all...)
	// It goes on from where it was, and only now what was not named goes.
	r := w.run(nil, &sync.Batch{Objects: objects[15:20], Cursor: []byte("x")}, &sync.Batch{Objects: objects[20:25], Complete: true, Everything: true})
	w.holds(all[:25]...)
	if r.Removed != 5 || r.Reasons["removed: object is not in the source any more"] != 5 {
		t.Errorf("report %+v", r)
	}
	w.run(nil, full(objects[:3]...))
	w.holds(all[:3]...)
	// A source that names what is still there without saying all about it, and one that
	// names what it has but not everything.
	w.run(nil, full(&sync.Object{ID: "u0", Unchanged: true}, &sync.Object{ID: "u1", Unchanged: true}, &sync.Object{ID: "u9", Unchanged: true}))
	w.holds(all[:2]...)
	w.run(nil, &sync.Batch{Reset: true, Complete: true, Objects: objects[:1]})
	w.holds(all[:2]...)
}

func TestExpiry(t *testing.T) { targets(t, testExpiry) }

func testExpiry(t *testing.T, to target) {
	w := newWorld(t, to)
	a := w.cert("a", nil, "a@example.test")
	long := w.cert("long", func(c *x509.Certificate) { c.NotAfter = certtest.Epoch().AddDate(5, 0, 0) }, "a@example.test")
	w.run(nil, full(object("alice", at, a, long)))
	w.holds("a<a@example.test>", "long<a@example.test>")
	w.now = certtest.Epoch().AddDate(2, 0, 0)
	w.run(nil, changes())
	w.logged("removed alice <a@example.test> expired")
	w.holds("long<a@example.test>")
	w.run(nil, changes(object("alice", at, a, long)))
	w.logged("refused alice <> expired on 2027-01-01")
	w.holds("long<a@example.test>")
	w.run(func(s *sync.Syncer) { s.Rules.KeepExpired = true }, changes(object("alice", at, a, long)))
	w.holds("a<a@example.test>", "long<a@example.test>")
}

func TestRules(t *testing.T) {
	w := newWorld(t, nil)
	good := w.cert("good", nil, "a@example.test")
	tls := w.cert("tls", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, "a@example.test")
	signer := w.cert("crlsign", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }, "a@example.test")
	other := w.cert("other", nil, "mallory@example.test")
	nameless := w.cert("nameless", nil)
	expired := w.cert("expired", func(c *x509.Certificate) { c.NotAfter = certtest.Epoch().AddDate(0, 0, 1) }, "a@example.test")
	o := object("alice", at, good, tls, signer, other, nameless, expired, good, w.ca.Certificate)
	o.Problems = []string{"userCertificate: junk"}
	for _, test := range []struct {
		name    string
		rules   sync.Rules
		want    string
		refused int
	}{
		{"zero value", sync.Rules{}, "good<a>", 7},
		{"unusable too", sync.Rules{KeepUnusable: true, KeepForeign: true}, "CA<a> crlsign<a> good<a> nameless<a> other<a> tls<a>", 2},
		{"foreign too", sync.Rules{KeepForeign: true}, "good<a> nameless<a> other<a>", 5},
		{"expired too", sync.Rules{KeepExpired: true}, "expired<a> good<a>", 6},
		{"aliases", sync.Rules{Aliases: true}, "good<a> good<b>", 7},
		{"outside", sync.Rules{Within: []string{"ou=staff,dc=test"}}, "", 0},
		{"inside", sync.Rules{Within: []string{"OU=People, DC=test"}}, "good<a>", 7},
		{"excluded", sync.Rules{Without: []string{"ou=people,dc=test"}}, "", 0},
		{"suffix of another name", sync.Rules{Without: []string{"ople,dc=test"}}, "good<a>", 7},
		{"own rule", sync.Rules{Accept: func(_ *sync.Object, c *x509.Certificate) string { return "not today" }}, "", 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			targets(t, func(t *testing.T, to target) {
				w := &world{t: t, ca: w.ca, now: w.now, to: to, src: &script{name: "test"}}
				r := w.run(func(s *sync.Syncer) { s.Rules = test.rules }, full(o))
				var want []string
				for _, s := range strings.Fields(test.want) {
					want = append(want, strings.Replace(s, ">", "@example.test>", 1))
				}
				w.holds(want...)
				if r.Refused != test.refused {
					t.Errorf("%d refused, want %d:\n\t%s", r.Refused, test.refused, strings.Join(w.log, "\n\t"))
				}
			})
		})
	}
}

// A comma that is part of a name is no border, one after a backslash that is part of a name
// is.
func TestEscapedNames(t *testing.T) { targets(t, testEscapedNames) }

func testEscapedNames(t *testing.T, to target) {
	w := newWorld(t, to)
	inside, outside := object("inside", at, w.cert("inside", nil, "a@example.test")), object("outside", at, w.cert("outside", nil, "a@example.test"))
	inside.Name, outside.Name = `cn=x\\,ou=staff,dc=test`, `cn=x\,ou=staff,dc=test`
	w.run(func(s *sync.Syncer) { s.Rules.Without = []string{"ou=staff,dc=test"} }, full(inside, outside))
	w.holds("outside<a@example.test>")
}

// Exchange Online takes 15 certificates of an object. What is expired or doubled does not
// count; of the rest the best stay.
func TestFifteen(t *testing.T) { targets(t, testFifteen) }

func testFifteen(t *testing.T, to target) {
	w := newWorld(t, to)
	var certs []*x509.Certificate
	for i := range 17 {
		certs = append(certs, w.cert(fmt.Sprintf("c%02d", i), func(c *x509.Certificate) { c.NotBefore = certtest.Epoch().AddDate(0, 0, i) }, "a@example.test"))
	}
	expired := w.cert("expired", func(c *x509.Certificate) { c.NotAfter = certtest.Epoch().AddDate(0, 0, 1) }, "a@example.test")
	fifteen := append(slices.Clone(certs[:15]), expired, certs[0])
	names := func(certs []*x509.Certificate) (list []string) {
		for _, c := range certs {
			list = append(list, c.Subject.CommonName+"<a@example.test>")
		}
		return list
	}
	w.run(nil, full(object("alice", at, fifteen...)))
	w.holds(names(certs[:15])...)
	o := object("alice", at, certs...)
	o.Certificates[0].Default = true
	r := w.run(nil, changes(o))
	w.holds(names(append([]*x509.Certificate{certs[0]}, certs[3:]...))...)
	if want := "object has 17 usable certificates: only the 15 best are carried"; r.Refused != 2 || !strings.Contains(w.log[0], want) {
		t.Errorf("%d refused, %q", r.Refused, w.log)
	}
	w.run(func(s *sync.Syncer) { s.Rules.NoneAboveMax = true }, changes(o))
	w.holds()
	w.run(func(s *sync.Syncer) { s.Rules.MaxPerObject = -1 }, changes(o))
	w.holds(names(certs)...)
}

// A dry run reports what a run would do, and does nothing.
func TestDryRun(t *testing.T) { targets(t, testDryRun) }

func testDryRun(t *testing.T, to target) {
	w := newWorld(t, to)
	one, two := w.cert("one", nil, "a@example.test"), w.cert("two", nil, "a@example.test")
	bob := w.cert("bob", nil, "bob@example.test")
	dry := func(s *sync.Syncer) { s.DryRun = true }
	for step, batches := range [][]*sync.Batch{
		{full(object("alice", at, one), object("bob", []string{"bob@example.test"}, bob))},
		{changes(object("alice", at, two))},
		{full(object("alice", at, two))},
		{full(object("alice", at, two)), changes()},
	} {
		before := w.dump()
		w.run(dry, batches...)
		would := w.log
		if after := w.dump(); !slices.Equal(before, after) {
			t.Errorf("step %d: the dry run changed %q into %q", step, before, after)
		}
		w.run(nil, batches...)
		if !slices.Equal(would, w.log) {
			t.Errorf("step %d: the dry run said\n\t%s\nthe run\n\t%s", step, strings.Join(would, "\n\t"), strings.Join(w.log, "\n\t"))
		}
	}
	w.holds("two<a@example.test>")
}

// A dry run counts once what is named as expired and is still held. An entry that somebody
// else made is not said to be removed.
func TestDryRunExpiry(t *testing.T) { targets(t, testDryRunExpiry) }

func testDryRunExpiry(t *testing.T, to target) {
	w := newWorld(t, to)
	a, b, c := w.cert("a", nil, "a@example.test"), w.cert("b", nil, "a@example.test"), w.cert("c", nil, "a@example.test")
	if err := to.Put(t.Context(), &certstore.Entry{Certificate: c, Address: "a@example.test", Source: "mail"}); err != nil {
		t.Fatal(err)
	}
	w.run(nil, full(object("alice", at, a, c), object("bob", at, b)))
	w.now = certtest.Epoch().AddDate(2, 0, 0)
	batch := full(object("alice", at, a, c))
	if r := w.run(func(s *sync.Syncer) { s.DryRun = true }, batch); r.Removed != 2 {
		t.Errorf("dry run: %d removed", r.Removed)
	}
	would := w.log
	if r := w.run(nil, batch); r.Removed != 2 || !slices.Equal(would, w.log) {
		t.Errorf("the dry run said\n\t%s\nthe run\n\t%s", strings.Join(would, "\n\t"), strings.Join(w.log, "\n\t"))
	}
	w.holds("c<a@example.test>")
}

func (w *world) dump() (list []string) {
	for e, err := range w.to.All(w.t.Context()) {
		if err != nil {
			w.t.Fatal(err)
		}
		h := sha256.Sum256(e.Certificate.Raw)
		list = append(list, fmt.Sprintf("%x %s %s %v %v %x", h[:4], e.Address, e.Source, e.Default, e.Published, e.Capabilities))
	}
	slices.Sort(list)
	return list
}

// Entries that somebody else made are neither overwritten nor removed; an entry that two
// objects or two sources brought stays until both are gone.
func TestSharing(t *testing.T) { targets(t, testSharing) }

func testSharing(t *testing.T, to target) {
	w := newWorld(t, to)
	a, b := w.cert("a", nil, "a@example.test"), w.cert("b", nil, "b@example.test")
	if err := to.Put(t.Context(), &certstore.Entry{Certificate: a, Address: "a@example.test", Source: "mail", Capabilities: []byte("learned")}); err != nil {
		t.Fatal(err)
	}
	w.run(nil, full(object("one", at, a, b), object("two", at, b)))
	w.holds("a<a@example.test>", "b<b@example.test>")
	other := &world{t: t, ca: w.ca, now: w.now, to: to, src: &script{name: "other"}}
	other.run(nil, full(object("one", at, b)))
	w.run(nil, changes(object("one", at)))
	w.holds("a<a@example.test>", "b<b@example.test>")
	for e := range to.Certificates(t.Context(), certstore.Email("a@example.test")) {
		if e.Source != "mail" || string(e.Capabilities) != "learned" {
			t.Errorf("the learned entry became %+v", e)
		}
	}
	w.run(nil, changes(&sync.Object{ID: "two", Deleted: true}))
	w.holds("a<a@example.test>", "b<b@example.test>")
	other.run(nil, full())
	w.holds("a<a@example.test>")
}

// Other rules make the source name everything again; the same ones do not.
func TestRulesChange(t *testing.T) { targets(t, testRulesChange) }

func testRulesChange(t *testing.T, to target) {
	w := newWorld(t, to)
	o := object("one", at, w.cert("a", nil, "a@example.test"))
	w.run(nil, full(o))
	within := func(dn string) func(*sync.Syncer) {
		return func(s *sync.Syncer) { s.Rules.Within = []string{dn} }
	}
	for _, step := range []struct {
		dn     string
		cursor string
	}{{"ou=people,dc=test", ""}, {"ou=people,dc=test", "1"}, {"ou=staff,dc=test", ""}, {"ou=staff,dc=test", "1"}} {
		w.run(within(step.dn), full(o))
		if string(w.src.asked) != step.cursor {
			t.Errorf("%s: asked for changes since %q, want %q", step.dn, w.src.asked, step.cursor)
		}
	}
	w.holds()
}

func TestUpdate(t *testing.T) { targets(t, testUpdate) }

func testUpdate(t *testing.T, to target) {
	w := newWorld(t, to)
	a := w.cert("a", nil, "a@example.test")
	o := object("one", at, a)
	w.run(nil, full(o))
	o.Certificates[0].Default, o.Certificates[0].Capabilities = true, []byte("new")
	w.run(nil, changes(o))
	w.logged("updated one <a@example.test> source says otherwise now")
	for e := range to.Certificates(t.Context(), certstore.Email("a@example.test")) {
		if !e.Default || string(e.Capabilities) != "new" || !e.Seen.Equal(w.now) {
			t.Errorf("got %+v", e)
		}
	}
	chain := object("two", []string{"b@example.test"}, w.cert("b", nil, "b@example.test"), w.ca.Certificate)
	chain.Certificates[1].Chain = true
	w.run(nil, changes(chain))
	w.holds("a<a@example.test>", "b<b@example.test>", "CA<>")
}

// interloper lets another run for the same source and target finish in between.
type interloper struct {
	*script
	between func()
}

func (s interloper) Changes(ctx context.Context, cursor []byte) iter.Seq2[*sync.Batch, error] {
	return func(yield func(*sync.Batch, error) bool) {
		for b := range s.script.Changes(ctx, cursor) {
			s.between()
			if !yield(b, nil) {
				return
			}
		}
	}
}

func TestConflict(t *testing.T) { targets(t, testConflict) }

func testConflict(t *testing.T, to target) {
	w := newWorld(t, to)
	a := w.cert("a", nil, "a@example.test")
	w.run(nil, full())
	inner := newWorld(t, to)
	w.src.batches = []*sync.Batch{changes(object("one", at, a))}
	s := &sync.Syncer{Source: interloper{w.src, func() { inner.run(nil, full()) }}, Target: to, Time: func() time.Time { return w.now }}
	if _, err := s.Run(t.Context()); !errors.Is(err, sync.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	w.holds()
}

func TestFromStore(t *testing.T) { targets(t, testFromStore) }

func testFromStore(t *testing.T, to target) {
	w := newWorld(t, to)
	var from certstore.Memory
	a, b := w.cert("a", nil, "a@example.test"), w.cert("b", nil, "b@example.test")
	put := func(entries ...*certstore.Entry) {
		if err := from.Put(t.Context(), entries...); err != nil {
			t.Fatal(err)
		}
	}
	put(&certstore.Entry{Certificate: a, Address: "a@example.test"}, &certstore.Entry{Certificate: b, Address: "b@example.test"}, &certstore.Entry{Certificate: w.ca.Certificate})
	s := &sync.Syncer{Source: sync.FromStore("memory", &from), Target: to, Time: func() time.Time { return w.now }}
	for range 2 {
		if _, err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.holds("a<a@example.test>", "b<b@example.test>", "CA<>")
	}
	if err := from.Remove(t.Context(), &certstore.Entry{Certificate: a, Address: "a@example.test"}); err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(t.Context())
	if err != nil || r.Removed != 1 || r.Unchanged != 2 {
		t.Errorf("report %+v, %v", r, err)
	}
	w.holds("b<b@example.test>", "CA<>")
}

// Certificates that are filed under no address have to be fit for mail too, unless they
// belong to authorities.
func TestFromFiles(t *testing.T) { targets(t, testFromFiles) }

func testFromFiles(t *testing.T, to target) {
	w := newWorld(t, to)
	tls := w.cert("tls", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	var from certstore.Memory
	from.Add(w.cert("a", nil, "a@example.test"), tls, w.ca.Certificate)
	s := &sync.Syncer{Source: sync.FromStore("memory", &from), Target: to, Time: func() time.Time { return w.now }}
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.holds("a<>", "CA<>")
	s.Rules.KeepUnusable = true
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.holds("a<>", "tls<>", "CA<>")
}

// One object's certificate that is too large for any target does not stop the others.
func TestLargeCertificate(t *testing.T) { targets(t, testLargeCertificate) }

func testLargeCertificate(t *testing.T, to target) {
	w := newWorld(t, to)
	large := w.cert("large", func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: []int{1, 2, 3}, Value: make([]byte, 64<<10)})
	}, "a@example.test")
	w.run(nil, full(object("alice", at, large), object("bob", []string{"b@example.test"}, w.cert("b", nil, "b@example.test"))))
	w.logged("refused alice <> certificate has more than 65536 octets", "added bob <b@example.test> in test userCertificate")
	w.holds("b<b@example.test>")
}

// Nor does an address that no database keeps.
func TestOddAddress(t *testing.T) { targets(t, testOddAddress) }

func testOddAddress(t *testing.T, to target) {
	w := newWorld(t, to)
	keep := func(s *sync.Syncer) { s.Rules.KeepForeign = true }
	c := w.cert("a", nil, "a@example.test")
	w.run(keep, full(object("alice", []string{"a\xff@example.test", "a\x00@example.test", strings.Repeat("a", 4000) + "@example.test"}, c),
		object("bob", []string{"a\xff@example.test", "a@example.test"}, c)))
	w.holds("a<>", "a<a@example.test>")
	w.run(nil, full(object("alice", []string{"a\xff@example.test"}, c)))
	w.holds() // whose it is cannot be told
}

// Whoever finds that another process has moved on leaves the store as the other made it.
func TestConflictBetweenProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	var m certstore.Memory
	w := newWorld(t, nil)
	process := func() *world {
		to, err := sync.ToWriter(&m, path)
		if err != nil {
			t.Fatal(err)
		}
		return &world{t: t, ca: w.ca, now: w.now, to: memoryTarget{&m, to}, src: &script{name: "test"}}
	}
	one, two := process(), process()
	a, b := w.cert("a", nil, "a@example.test"), w.cert("b", nil, "a@example.test")
	one.run(nil, full(object("alice", at, a)))
	if _, err := two.try(nil, full(object("alice", at, b))); !errors.Is(err, sync.ErrConflict) {
		t.Errorf("got %v", err)
	}
	one.holds("a<a@example.test>")
}

// The state file survives being reopened, cut off and shortened.
func TestStateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	var m certstore.Memory
	var w *world
	reopen := func() {
		to, err := sync.ToWriter(&m, path)
		if err != nil {
			t.Fatal(err)
		}
		if w == nil {
			w = newWorld(t, nil)
		}
		w.to = memoryTarget{&m, to}
	}
	reopen()
	a, b := w.cert("a", nil, "a@example.test"), w.cert("b", nil, "b@example.test")
	w.run(nil, full(object("one", at, a)))
	reopen()
	appendFile(t, path, `{"source":"test","sta`)
	w.run(nil, changes(object("two", at, b)))
	reopen()
	if string(w.src.asked) != "1" {
		t.Errorf("asked for changes since %q", w.src.asked)
	}
	for i := range 2100 {
		w.run(nil, &sync.Batch{Complete: true, Cursor: []byte(fmt.Sprint("c", i))})
	}
	reopen()
	w.run(nil, changes())
	if string(w.src.asked) != "c2099" {
		t.Errorf("asked for changes since %q", w.src.asked)
	}
	w.run(nil, changes(&sync.Object{ID: "one", Deleted: true}))
	w.holds("b<b@example.test>")
	if size := fileSize(t, path); size > 1<<20 {
		t.Errorf("the state file has grown to %d octets", size)
	}
}

// halting is a target whose process ends after some changes.
type halting struct {
	target
	left int
}

func (h *halting) Apply(ctx context.Context, source string, u *sync.Update) error {
	if h.left--; h.left < 0 {
		return errDead
	}
	return h.target.Apply(ctx, source, u)
}

// A run that ends after the source has named everything, and before what it did not name is
// removed, is made good by the next: it asks from before the last part.
func TestKilledBeforeSweep(t *testing.T) { targets(t, testKilledBeforeSweep) }

func testKilledBeforeSweep(t *testing.T, to target) {
	w := newWorld(t, to)
	a, b := w.cert("a", nil, "a@example.test"), w.cert("b", nil, "b@example.test")
	first := func() *sync.Batch {
		return &sync.Batch{Reset: true, Objects: []*sync.Object{object("alice", at, a)}, Cursor: []byte("first")}
	}
	last := func() *sync.Batch { return &sync.Batch{Complete: true, Everything: true, Cursor: []byte("last")} }
	for _, test := range []struct {
		left  int
		asked string
		named func() []*sync.Batch // from one cursor on
	}{
		{1, "", func() []*sync.Batch { return []*sync.Batch{full(object("alice", at, a))} }},
		{2, "first", func() []*sync.Batch { return []*sync.Batch{first(), last()} }},
	} {
		w.to = to
		w.run(nil, full(object("alice", at, a), object("bob", at, b)))
		w.holds("a<a@example.test>", "b<b@example.test>")
		w.to = &halting{to, test.left}
		batches := test.named()
		if _, err := w.try(nil, batches...); !errors.Is(err, errDead) {
			t.Fatalf("got %v", err)
		}
		w.to = to
		w.run(nil, batches[len(batches)-1])
		w.holds("a<a@example.test>")
		if string(w.src.asked) != test.asked {
			t.Errorf("asked for changes since %q, want %q", w.src.asked, test.asked)
		}
	}
}

// dying is a store of a process that ends in the middle of changing it, or just after.
type dying struct {
	*certstore.Memory
	dead bool
	puts int // that are done
}

var errDead = errors.New("the process was killed")

func (d *dying) Put(ctx context.Context, entries ...*certstore.Entry) error {
	if !d.dead || len(entries) == 0 {
		return d.Memory.Put(ctx, entries...)
	}
	return errors.Join(errDead, d.Memory.Put(ctx, entries[:min(d.puts, len(entries))]...))
}

func (d *dying) Remove(ctx context.Context, entries ...*certstore.Entry) error {
	err := d.Memory.Remove(ctx, entries...)
	if d.dead && len(entries) > 0 {
		return errors.Join(errDead, err)
	}
	return err
}

// What a killed run left in the store is known as its own afterwards, whatever the source
// says then: that the object is gone, that it is as it was before, or nothing about it. It
// is the same in a process that goes on.
func TestKilledBetween(t *testing.T) {
	for _, test := range []struct {
		puts    int
		goingOn bool
	}{{0, false}, {1, false}, {2, false}, {0, true}, {1, true}, {2, true}} {
		path := filepath.Join(t.TempDir(), "state")
		store := &dying{Memory: new(certstore.Memory), puts: test.puts}
		w := newWorld(t, nil)
		open := func() {
			to, err := sync.ToWriter(store, path)
			if err != nil {
				t.Fatal(err)
			}
			w.to = memoryTarget{store, to}
		}
		open()
		killed := func(batch *sync.Batch) {
			t.Helper()
			store.dead = true
			if _, err := w.try(nil, batch); !errors.Is(err, errDead) {
				t.Fatalf("got %v", err)
			}
			if store.dead = false; !test.goingOn {
				open()
			}
		}
		a, b, c := w.cert("a", nil, "a@example.test"), w.cert("b", nil, "a@example.test"), w.cert("c", nil, "a@example.test")

		// It came, and has gone by the next run, which tells of it or just does not name it.
		killed(full(object("alice", at, a, b)))
		w.run(nil, full(object("bob", at, c)))
		w.holds("c<a@example.test>")
		killed(changes(object("alice", at, a, b)))
		w.run(nil, changes(&sync.Object{ID: "alice", Deleted: true}))
		w.holds("c<a@example.test>")
		killed(changes(object("alice", at, a, b)))
		w.run(nil, full(object("bob", at, c)))
		w.holds("c<a@example.test>")

		// It went, or got another certificate, and is as it was by the next run.
		killed(changes(&sync.Object{ID: "bob", Deleted: true}))
		w.holds()
		w.run(nil, changes(object("bob", at, c)))
		w.holds("c<a@example.test>")
		killed(changes(object("bob", at, a)))
		w.run(nil, changes(object("bob", at, c)))
		w.holds("c<a@example.test>")
		if r := w.run(nil, changes(object("bob", at, c))); r.Unchanged != 1 {
			t.Errorf("%+v", r)
		}
	}
}

// asked counts the questions that a store gets.
type asked struct {
	certstore.Memory
	n int
}

func (a *asked) Certificates(ctx context.Context, q certstore.Query) iter.Seq2[*certstore.Entry, error] {
	a.n++
	return a.Memory.Certificates(ctx, q)
}

// However much goes at once, the store is asked once for it.
func TestRemovalsTogether(t *testing.T) {
	var store asked
	to, err := sync.ToWriter(&store, filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, memoryTarget{&store, to})
	var objects []*sync.Object
	for i := range 20 {
		objects = append(objects, object(fmt.Sprint("o", i), at, w.cert("c", nil, "a@example.test")))
	}
	w.run(nil, full(objects...))
	store.n = 0
	w.run(nil, full())
	if w.holds(); store.n != 1 {
		t.Errorf("asked %d times", store.n)
	}
}

// Nor is it asked for each object that comes, who else may have it there: of a folder that
// would be a look at every file of it.
func TestArrivalsTogether(t *testing.T) {
	var store asked
	to, err := sync.ToWriter(&store, filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, memoryTarget{&store, to})
	theirs := w.cert("theirs", nil, "a@example.test")
	if err := store.Put(t.Context(), &certstore.Entry{Certificate: theirs, Address: "a@example.test", Source: "import"}); err != nil {
		t.Fatal(err)
	}
	objects := []*sync.Object{object("theirs", at, theirs)}
	for i := range 20 {
		objects = append(objects, object(fmt.Sprint("o", i), at, w.cert("c", nil, "a@example.test")))
	}
	w.run(nil, full(objects...))
	if store.n != 1 {
		t.Errorf("asked %d times", store.n)
	}
	w.run(nil, full())
	w.holds("theirs<a@example.test>")
}

// A file that is not a state file is left alone; one whose last line a crash cut off, or
// left as zeros, is none the worse.
func TestOtherStateFile(t *testing.T) {
	for text, good := range map[string]bool{
		"": true, `{"sour`: true, `{"source":"test","sta`: true, "\x00\x00": true, `{"sou` + "\x00\x00": true,
		`{"password":"x"}`: false, "dear diary": false, "dear diary\n": false, `{"source":"test","put":[null]}` + "\n": false,
	} {
		path := filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sync.ToWriter(&certstore.Memory{}, path); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// crowd is a source of many objects, made one by one.
type crowd struct {
	n    int
	cert *x509.Certificate
}

func (crowd) Name() string { return "crowd" }

func (c crowd) Changes(context.Context, []byte) iter.Seq2[*sync.Batch, error] {
	return func(yield func(*sync.Batch, error) bool) {
		b := &sync.Batch{Reset: true}
		for i := range c.n {
			b.Objects = append(b.Objects, object(fmt.Sprintf("%08d", i), []string{fmt.Sprintf("u%d@example.test", i)}, c.cert))
			if len(b.Objects) == 500 {
				if !yield(b, nil) {
					return
				}
				b = &sync.Batch{}
			}
		}
		b.Complete, b.Everything = true, true
		yield(b, nil)
	}
}

// The memory a run takes does not grow with what it carries.
func TestMemory(t *testing.T) {
	w := newWorld(t, nil)
	cert := w.cert("everybody's", nil)
	peak := func(n int) (most uint64) {
		db, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "certs.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		s := &sync.Syncer{Source: crowd{n, cert}, Target: db, Rules: sync.Rules{KeepForeign: true}, Time: func() time.Time { return w.now }}
		s.Progress = func(sync.Report) {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
		r, err := s.Run(t.Context())
		if err != nil || r.Added != n {
			t.Fatalf("%+v, %v", r, err)
		}
		return most
	}
	few, many := peak(1_000), peak(20_000)
	t.Logf("%d KiB for a thousand objects, %d KiB for twenty thousand", few>>10, many>>10)
	if many > few+8<<20 {
		t.Errorf("%d KiB for a thousand objects, %d KiB for twenty thousand", few>>10, many>>10)
	}
}

func appendFile(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func fileSize(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
