//go:build unix

package sync_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/sqlstore"
	"github.com/postseal/postseal/certstore/sync"
	"github.com/postseal/postseal/internal/certtest"
)

// history is a source with a past: event n gives one of a few objects another of a few
// certificates, or deletes it. The cursor is the number of the next event, so that a lost
// or a doubled event shows in the end.
type history struct {
	certs  []*x509.Certificate
	events int
}

const historyObjects = 12

func (h history) Name() string { return "history" }

func (h history) event(n int) *sync.Object {
	id := "object " + strconv.Itoa(n*7%historyObjects)
	if n%11 == 10 {
		return &sync.Object{ID: id, Deleted: true}
	}
	o := &sync.Object{ID: id, Name: "event " + strconv.Itoa(n), Addresses: []string{"a@example.test", id[7:] + "@example.test"}}
	for i := range 1 + n%3 {
		o.Certificates = append(o.Certificates, sync.Certificate{Entry: certstore.Entry{Certificate: h.certs[(n+5*i)%len(h.certs)], Source: strconv.Itoa(n)}})
	}
	return o
}

func (h history) Changes(_ context.Context, cursor []byte) iter.Seq2[*sync.Batch, error] {
	return func(yield func(*sync.Batch, error) bool) {
		n, _ := strconv.Atoi(string(cursor))
		for first := true; ; first = false {
			b := &sync.Batch{Reset: first && cursor == nil}
			for range 5 {
				if n < h.events {
					b.Objects = append(b.Objects, h.event(n))
					n++
				}
			}
			b.Cursor, b.Complete = []byte(strconv.Itoa(n)), n == h.events
			if !yield(b, nil) || b.Complete {
				return
			}
		}
	}
}

// TestMain runs the sync of the crash test when the test starts itself.
func TestMain(m *testing.M) {
	if dir := os.Getenv("POSTSEAL_CRASH_TEST"); dir != "" {
		if err := syncHistory(dir, endlessHistory); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func loadHistory(dir string, events int) (history, error) {
	h := history{events: events}
	data, err := os.ReadFile(filepath.Join(dir, "certs.pem"))
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return h, err
		}
		h.certs = append(h.certs, c)
	}
	return h, err
}

// endlessHistory is more than any machine gets through between a hundred kills.
const endlessHistory = 1 << 30

func syncHistory(dir string, events int) error {
	h, err := loadHistory(dir, events)
	if err != nil {
		return err
	}
	s, err := sqlstore.Open(context.Background(), "sqlite:"+filepath.Join(dir, "certs.db"))
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = (&sync.Syncer{Source: h, Target: s, Rules: sync.Rules{KeepForeign: true, Aliases: true}, Time: afterEpoch}).Run(context.Background())
	return err
}

func afterEpoch() time.Time { return certtest.Epoch().AddDate(0, 1, 0) }

// A sync that is killed a hundred times at random points loses nothing and does nothing
// twice: what its target holds in the end is what an undisturbed run gives.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a process a hundred times")
	}
	dir := t.TempDir()
	w := newWorld(t, nil)
	var bundle []byte
	for i := range 10 {
		c := w.cert(fmt.Sprint("c", i), nil, fmt.Sprintf("%d@example.test", i))
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	if err := os.WriteFile(filepath.Join(dir, "certs.pem"), bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "POSTSEAL_CRASH_TEST="+dir)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(5+rand.IntN(60)) * time.Millisecond)
		cmd.Process.Kill()
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
			t.Fatalf("it ended by itself: %v", err)
		}
	}
	s, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(dir, "certs.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h, err := loadHistory(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	// Where it is now, and a little further.
	var state struct{ Cursor []byte }
	raw, err := s.State(t.Context(), h.Name())
	if err == nil {
		err = json.Unmarshal(raw, &state)
	}
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(string(state.Cursor))
	t.Logf("after 100 kills it is at event %d", n)
	if n < 500 {
		t.Errorf("only %d events in 100 runs: the runs hardly got to work", n)
	}
	historyEvents := n + 33
	if err := syncHistory(dir, historyEvents); err != nil {
		t.Fatal(err)
	}
	h.events = historyEvents

	last := map[string]*sync.Object{}
	for n := range historyEvents {
		o := h.event(n)
		last[o.ID] = o
	}
	var want []string
	for _, o := range last {
		for _, c := range o.Certificates {
			for _, a := range o.Addresses {
				want = append(want, fmt.Sprintf("%x %s", sha256.Sum256(c.Certificate.Raw), a))
			}
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	var got []string
	for e, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%x %s", sha256.Sum256(e.Certificate.Raw), e.Address))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the target has %d entries, want %d", len(got), len(want))
	}
	held, err := s.Held(t.Context(), "history", slices.Collect(func(yield func(string) bool) {
		for i := range historyObjects {
			yield(fmt.Sprint("object ", i))
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	for id, o := range last {
		if h := held[id]; (h == nil) != o.Deleted || h != nil && h.Name != o.Name {
			t.Errorf("%s: %+v, want what %q said", id, h, o.Name)
		}
	}
	r, err := (&sync.Syncer{Source: h, Target: s, Rules: sync.Rules{KeepForeign: true, Aliases: true}, Time: afterEpoch}).Run(t.Context())
	if err != nil || r.Objects+r.Added+r.Updated+r.Removed != 0 {
		t.Errorf("another run still found something to do: %+v, %v", r, err)
	}
}
