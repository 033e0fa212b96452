//go:build unix

package sync_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
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

// TestMain runs the sync of the crash test when the test starts itself. It says when it is
// at work.
func TestMain(m *testing.M) {
	if dir := os.Getenv("POSTSEAL_CRASH_TEST"); dir != "" {
		_, err := syncHistory(dir, os.Getenv("POSTSEAL_CRASH_TARGET"), endlessHistory, func(sync.Report) { os.Stdout.WriteString(".") })
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
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

// crashTarget opens what is synchronised to: a database, or a folder with a state file.
func crashTarget(ctx context.Context, dir, kind string) (target, io.Closer, error) {
	if kind == "SQLite" {
		s, err := sqlstore.Open(ctx, "sqlite:"+filepath.Join(dir, "certs.db"))
		return s, s, err
	}
	folder, err := certstore.OpenDir(filepath.Join(dir, "folder"))
	if err != nil {
		return nil, nil, err
	}
	to, err := sync.ToWriter(folder, filepath.Join(dir, "state"))
	return &memoryTarget{folder, to}, folder, err
}

func syncHistory(dir, kind string, events int, progress func(sync.Report)) (*sync.Report, error) {
	h, err := loadHistory(dir, events)
	if err != nil {
		return nil, err
	}
	to, closer, err := crashTarget(context.Background(), dir, kind)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return (&sync.Syncer{Source: h, Target: to, Rules: sync.Rules{KeepForeign: true, Aliases: true}, Time: afterEpoch, Progress: progress}).Run(context.Background())
}

func afterEpoch() time.Time { return certtest.Epoch().AddDate(0, 1, 0) }

// A sync that is killed a hundred times at random points loses nothing and does nothing
// twice: what its target holds in the end is what an undisturbed run gives.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a process two hundred times")
	}
	for _, kind := range []string{"SQLite", "Dir"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			testKill(t, kind)
		})
	}
}

func testKill(t *testing.T, kind string) {
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
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const kills, early = 100, 5 // every fifth is killed at any time, the others when they are at work
	for i := range kills {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "POSTSEAL_CRASH_TEST="+dir, "POSTSEAL_CRASH_TARGET="+kind)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		most := 30_000
		if i%early != 0 {
			if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
				t.Fatalf("it ended before it was at work: %v", err)
			}
			most = 15_000
		}
		time.Sleep(time.Duration(rand.IntN(most)) * time.Microsecond)
		cmd.Process.Kill()
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
			t.Fatalf("it ended by itself: %v", err)
		}
	}
	s, closer, err := crashTarget(t.Context(), dir, kind)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
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
	t.Logf("after %d kills it is at event %d", kills, n)
	if least := (kills - kills/early) * 5; n < least {
		t.Errorf("%d events, want %d: what was done was lost", n, least)
	}
	historyEvents := n + 33
	if _, err := syncHistory(dir, kind, historyEvents, nil); err != nil {
		t.Fatal(err)
	}
	h.events = historyEvents
	if kind != "SQLite" { // what another run did is known after the state file was read again
		if s, closer, err = crashTarget(t.Context(), dir, kind); err != nil {
			t.Fatal(err)
		}
		defer closer.Close()
	}

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
	r, err := syncHistory(dir, kind, historyEvents, nil)
	if err != nil || r.Objects+r.Added+r.Updated+r.Removed != 0 {
		t.Errorf("another run still found something to do: %+v, %v", r, err)
	}
}
