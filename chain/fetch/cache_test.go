package fetch_test

import (
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postseal/postseal/chain/fetch"
)

func TestCacheFolder(t *testing.T) {
	newer := newCRL(t, now.Add(-time.Hour), now.Add(time.Hour))
	list := newer
	address, count := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(list) })
	dir := t.TempDir()
	clock := now
	open := func() *fetch.Client {
		return &fetch.Client{Allow: loopback(), Dir: dir, Time: func() time.Time { return clock }}
	}
	get := func(c *fetch.Client, want []byte, requests int64) {
		t.Helper()
		got, err := c.Fetch(context.Background(), "crl", address, nil)
		if err != nil || string(got) != string(want) || count.Load() != requests {
			t.Errorf("%d octets of %d, %v, %d requests of %d", len(got), len(want), err, count.Load(), requests)
		}
		c.Verified("crl", address, nil, got)
	}
	get(open(), newer, 1)
	get(open(), newer, 1) // another run of the program
	files, _ := filepath.Glob(filepath.Join(dir, "*.fetched"))
	if len(files) != 1 {
		t.Fatalf("%d files", len(files))
	}
	if err := os.WriteFile(files[0], []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	get(open(), newer, 2)
	clock = now.Add(2 * time.Hour) // past nextUpdate
	list = newCRL(t, now.Add(90*time.Minute), now.Add(3*time.Hour))
	get(open(), list, 3)
}

// What stands in the cache folder is never more than a copy of what a server said: damaged,
// cut short, replaced by something else, it is fetched again.
func TestCacheIsNotTrusted(t *testing.T) {
	list := newCRL(t, now.Add(-time.Hour), now.Add(time.Hour))
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, file string, data []byte)
		again  bool
	}{
		{"whole", func(*testing.T, string, []byte) {}, false},
		{"gone", func(t *testing.T, file string, _ []byte) { must(t, os.Remove(file)) }, true},
		{"empty", func(t *testing.T, file string, _ []byte) { must(t, os.WriteFile(file, nil, 0o600)) }, true},
		{"cut short", func(t *testing.T, file string, data []byte) {
			must(t, os.WriteFile(file, data[:len(data)-1], 0o600))
		}, true},
		{"one bit of the signature", func(t *testing.T, file string, data []byte) {
			data[len(data)-1] ^= 1
			must(t, os.WriteFile(file, data, 0o600))
		}, true},
		{"one bit of the digest", func(t *testing.T, file string, data []byte) {
			data[0] ^= 1
			must(t, os.WriteFile(file, data, 0o600))
		}, true},
		{"giant", func(t *testing.T, file string, _ []byte) { must(t, os.Truncate(file, 1<<40)) }, true},
		{"a folder", func(t *testing.T, file string, _ []byte) {
			must(t, os.Remove(file))
			must(t, os.Mkdir(file, 0o700))
		}, true},
		{"a link", func(t *testing.T, file string, data []byte) {
			other := file + ".other"
			must(t, os.WriteFile(other, data, 0o600))
			must(t, os.Remove(file))
			must(t, os.Symlink(other, file))
		}, true},
		{"years old", func(t *testing.T, file string, _ []byte) {
			must(t, os.Chtimes(file, now.AddDate(-2, 0, 0), now.AddDate(-2, 0, 0)))
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, count := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(list) })
			dir := t.TempDir()
			open := func() *fetch.Client {
				return &fetch.Client{Allow: loopback(), Dir: dir, Time: func() time.Time { return now }}
			}
			verified(t, open(), "crl", address)
			files, _ := filepath.Glob(filepath.Join(dir, "*.fetched"))
			if len(files) != 1 {
				t.Fatalf("files %v", files)
			}
			data, err := os.ReadFile(files[0])
			must(t, err)
			tt.damage(t, files[0], data)
			got, err := open().Fetch(context.Background(), "crl", address, nil)
			if err != nil || string(got) != string(list) {
				t.Fatalf("%d octets, %v", len(got), err)
			}
			if again := count.Load() > 1; again != tt.again {
				t.Errorf("fetched again: %v", again)
			}
		})
	}
}

// verified fetches, and says that what came has been verified.
func verified(t testing.TB, c *fetch.Client, kind, address string) {
	t.Helper()
	data, err := c.Fetch(context.Background(), kind, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Verified(kind, address, nil, data)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The folder is bounded in files and octets, and left alone but for what is ours.
func TestCacheFolderIsBounded(t *testing.T) {
	list := newCRL(t, now.Add(-time.Hour), now.Add(time.Hour))
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(list) })
	dir := t.TempDir()
	write := func(name string, size int64, age time.Duration) {
		t.Helper()
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, nil, 0o600))
		must(t, os.Truncate(file, size))
		must(t, os.Chtimes(file, now.Add(-age), now.Add(-age)))
	}
	for i := range 600 {
		write(fmt.Sprintf("%03d.fetched", i), 100, time.Duration(i)*time.Minute)
	}
	write("large.fetched", 1<<30, time.Hour)
	write("fetching-old", 1, 2*time.Hour)
	write("fetching-new", 1, time.Minute)
	write("notes.txt", 1, 1000*time.Hour)
	must(t, os.Mkdir(filepath.Join(dir, "folder.fetched"), 0o700))
	c := client()
	c.Dir = dir
	verified(t, c, "crl", address)
	files, _ := filepath.Glob(filepath.Join(dir, "*.fetched"))
	var total int64
	for _, f := range files {
		info, err := os.Stat(f)
		must(t, err)
		total += info.Size()
	}
	if len(files) > 513 || len(files) < 50 || total > 256<<20 {
		t.Errorf("%d files of %d octets", len(files), total)
	}
	for name, want := range map[string]bool{"000.fetched": true, "599.fetched": false, "large.fetched": false, "fetching-old": false, "fetching-new": true, "notes.txt": true, "folder.fetched": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s is there: %v", name, err == nil)
		}
	}
	// A folder that cannot be written, or is none, is no reason to fail.
	for _, dir := range []string{filepath.Join(dir, "missing"), filepath.Join(dir, "notes.txt")} {
		c := client()
		c.Dir = dir
		verified(t, c, "crl", address)
	}
}

// Who sits on the line cannot put an older list after a newer one, in this run of the program
// or in the next; and what has no end is not kept.
func TestCacheNeverGoesBack(t *testing.T) {
	newer, older := newCRL(t, now.Add(-time.Hour), now.Add(time.Hour)), newCRL(t, now.Add(-2*time.Hour), now.Add(9*time.Hour))
	later := newCRL(t, now.Add(time.Hour), now.Add(9*time.Hour))
	for _, folder := range []bool{false, true} {
		body := newer
		address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(body) })
		clock, dir := now, ""
		if folder {
			dir = t.TempDir()
		}
		c := &fetch.Client{Allow: loopback(), Dir: dir, Time: func() time.Time { return clock }}
		get := func() ([]byte, error) {
			if folder {
				c = &fetch.Client{Allow: loopback(), Dir: dir, Time: func() time.Time { return clock }}
			}
			return c.Fetch(context.Background(), "crl", address, nil)
		}
		verified(t, c, "crl", address)
		clock, body = now.Add(2*time.Hour), older
		if _, err := get(); err == nil {
			t.Error("an older list took the place of a newer one")
		}
		clock, body = now.Add(3*time.Hour), later
		if got, err := get(); err != nil || string(got) != string(later) {
			t.Errorf("a newer list: %v", err)
		}
	}
}

// Responses and issuers are kept in the folder too.
func TestCacheKinds(t *testing.T) {
	dir := t.TempDir()
	address, count := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("a certificate, to be parsed by who asked"))
	})
	clock := now
	for _, tt := range []struct {
		after    time.Duration
		requests int64
	}{{0, 1}, {time.Hour, 1}, {25 * time.Hour, 2}} {
		clock = now.Add(tt.after)
		c := &fetch.Client{Allow: loopback(), Dir: dir, Time: func() time.Time { return clock }}
		verified(t, c, "issuer", address)
		if count.Load() != tt.requests {
			t.Errorf("after %v: %d requests", tt.after, count.Load())
		}
	}
}

// A response about several certificates is kept until the first of its answers ends, whichever
// was asked for.
func TestCacheOfSeveralAnswers(t *testing.T) {
	type certID struct {
		Algorithm pkix.AlgorithmIdentifier
		Name, Key []byte
		Serial    int
	}
	type single struct {
		ID   certID
		Good asn1.RawValue
		This time.Time `asn1:"generalized"`
		Next time.Time `asn1:"generalized,explicit,tag:0"`
	}
	type data struct {
		Responder asn1.RawValue
		Produced  time.Time `asn1:"generalized"`
		Responses []single
	}
	marshal := func(v any) []byte {
		der, err := asn1.Marshal(v)
		must(t, err)
		return der
	}
	about := func(serial int, hours time.Duration) single {
		id := certID{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}}, make([]byte, 20), make([]byte, 20), serial}
		return single{id, asn1.RawValue{Class: 2}, now.Add(-time.Hour), now.Add(hours * time.Hour)}
	}
	for _, hours := range [][]time.Duration{{9, 2}, {2, 9}} {
		body := marshal(struct {
			Data      data
			Algorithm pkix.AlgorithmIdentifier
			Signature asn1.BitString
		}{
			data{asn1.RawValue{Class: 2, Tag: 2, IsCompound: true, Bytes: marshal(make([]byte, 20))}, now, []single{about(1, hours[0]), about(2, hours[1])}},
			pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, asn1.BitString{Bytes: []byte{1}, BitLength: 8},
		})
		bytes := marshal(struct {
			Type     asn1.ObjectIdentifier
			Response []byte
		}{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}, body})
		response := marshal(struct {
			Status asn1.Enumerated
			Bytes  asn1.RawValue
		}{0, asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: bytes}})
		address, count := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(response) })
		clock := now
		c := &fetch.Client{Allow: loopback(), Dir: t.TempDir(), Time: func() time.Time { return clock }}
		for _, tt := range []struct {
			after    time.Duration
			requests int64
		}{{0, 1}, {time.Hour, 1}, {3 * time.Hour, 2}} {
			clock = now.Add(tt.after)
			verified(t, c, "ocsp", address)
			if count.Load() != tt.requests {
				t.Errorf("%v, after %v: %d requests", hours, tt.after, count.Load())
			}
		}
	}
}

// Attack row G08: what nobody has verified is forgotten after a minute, is not in the folder
// and holds up nothing that comes later, whatever it says about its time; what is dated in
// the future is not kept even if somebody vouches for it.
func TestCacheForgetsWhatIsForged(t *testing.T) {
	genuine := newCRL(t, now.Add(-time.Hour), now.Add(24*time.Hour))
	future := newCRL(t, now.AddDate(20, 0, 0), now.AddDate(21, 0, 0))
	fast := newCRL(t, now.Add(4*time.Minute), now.Add(24*time.Hour))
	for _, tt := range []struct {
		name     string
		first    []byte
		vouched  []byte // what is said to be verified
		requests int64  // two minutes later
	}{
		{"verified", genuine, genuine, 1},
		{"verified, by a clock that is a little fast", fast, fast, 1},
		{"not verified", genuine, nil, 2},
		{"something else verified", newCRL(t, now, now.Add(48*time.Hour)), genuine, 2},
		{"forged, of today", newCRL(t, now, now.AddDate(1, 0, 0)), nil, 2},
		{"forged, of the future", future, nil, 2},
		{"of the future, and vouched for", future, future, 2},
	} {
		for _, folder := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, folder %v", tt.name, folder), func(t *testing.T) {
				body, clock, dir := tt.first, now, ""
				if folder {
					dir = t.TempDir()
				}
				address, count := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(body) })
				c := &fetch.Client{Allow: loopback(), Dir: dir, Time: func() time.Time { return clock }}
				get := func() ([]byte, error) { return c.Fetch(context.Background(), "crl", address, nil) }
				for range 2 { // the second time from memory
					got, err := get()
					if err != nil || string(got) != string(tt.first) || count.Load() != 1 {
						t.Fatalf("%d octets, %v, %d requests", len(got), err, count.Load())
					}
				}
				c.Verified("crl", address, nil, tt.vouched)
				want := 0
				if folder && tt.requests == 1 {
					want = 1
				}
				if files, _ := filepath.Glob(filepath.Join(dir, "*.fetched")); folder && len(files) != want {
					t.Errorf("the folder has %d files", len(files))
				}
				body, clock = genuine, now.Add(2*time.Minute)
				then := genuine
				if tt.requests == 1 {
					then = tt.first
				}
				if folder {
					c = &fetch.Client{Allow: loopback(), Dir: dir, Time: c.Time}
				}
				if got, err := get(); err != nil || string(got) != string(then) || count.Load() != tt.requests {
					t.Errorf("%d octets, %v, %d requests of %d", len(got), err, count.Load(), tt.requests)
				}
				// And for years to come.
				for _, days := range []int{11, 365, 3650} {
					clock = now.AddDate(0, 0, days)
					body = newCRL(t, clock.Add(-time.Hour), clock.Add(24*time.Hour))
					if got, err := get(); err != nil || string(got) != string(body) {
						t.Errorf("%d days later: %v", days, err)
					}
				}
			})
		}
	}
}

// A verified list counts ten days from when it came, however often it is read again.
func TestCacheEnds(t *testing.T) {
	address, count := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(newCRL(t, now.Add(-time.Hour), now.AddDate(1, 0, 0)))
	})
	clock, dir := now, t.TempDir()
	open := func() *fetch.Client {
		return &fetch.Client{Allow: loopback(), Dir: dir, Time: func() time.Time { return clock }}
	}
	verified(t, open(), "crl", address)
	clock = now.AddDate(0, 0, 9)
	c := open()
	verified(t, c, "crl", address)
	if count.Load() != 1 {
		t.Errorf("%d requests within ten days", count.Load())
	}
	clock = now.AddDate(0, 0, 11)
	verified(t, c, "crl", address)
	if count.Load() != 2 {
		t.Errorf("%d requests after ten days", count.Load())
	}
}
