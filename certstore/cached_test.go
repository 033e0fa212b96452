package certstore_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postseal/postseal/certstore"
)

// A slowStore counts how often it is asked, and takes its time.
type slowStore struct {
	certstore.Memory
	asked atomic.Int32
	delay time.Duration
	err   error
}

func (s *slowStore) Certificates(ctx context.Context, q certstore.Query) iter.Seq2[*certstore.Entry, error] {
	return func(yield func(*certstore.Entry, error) bool) {
		s.asked.Add(1)
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
			yield(nil, ctx.Err())
			return
		}
		if s.err != nil {
			yield(nil, s.err)
			return
		}
		s.Memory.Certificates(ctx, q)(yield)
	}
}

func TestCachedAges(t *testing.T) {
	key := newKey(t)
	one, two := selfSigned(t, key, 1, "x@example.org"), selfSigned(t, key, 2, "x@example.org")
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{delay: time.Second}
		slow.Add(one)
		c := &certstore.Cached{Store: slow, Fresh: time.Hour, Stale: time.Hour, Negative: time.Minute}
		ask := func(what, address string, asked int32, took time.Duration, want ...int64) {
			t.Helper()
			begin := time.Now()
			got := serials(t, c.Certificates(t.Context(), certstore.Email(address)))
			d := time.Since(begin)
			synctest.Wait()
			if !slices.Equal(got, want) || slow.asked.Load() != asked || d != took {
				t.Errorf("%s: found %v, store asked %d times, took %v; want %v, %d, %v", what, got, slow.asked.Load(), d, want, asked, took)
			}
		}
		ask("first", "x@example.org", 1, time.Second, 1)
		ask("again", "x@example.org", 1, 0, 1)
		slow.Add(two)
		ask("still fresh", "x@example.org", 1, 0, 1)
		time.Sleep(time.Hour)
		ask("stale, asked behind", "x@example.org", 2, 0, 1)
		ask("on its way, not asked twice", "x@example.org", 2, 0, 1)
		time.Sleep(2 * time.Second)
		ask("renewed", "x@example.org", 2, 0, 1, 2)
		time.Sleep(2 * time.Hour)
		ask("too old", "x@example.org", 3, time.Second, 1, 2)
		synctest.Wait()
		slow.err = errStore
		time.Sleep(time.Hour)
		ask("stale, and the store is down", "x@example.org", 4, 0, 1, 2)
		time.Sleep(2 * time.Second)
		ask("stale still", "x@example.org", 5, 0, 1, 2)
		time.Sleep(2 * time.Second)
		synctest.Wait() // the one asked behind is through
		slow.err = nil
		c.Forget()
		ask("forgotten", "x@example.org", 6, time.Second, 1, 2)
		ask("nothing", "y@example.org", 7, time.Second)
		ask("still nothing", "y@example.org", 7, 0)
		time.Sleep(time.Minute + time.Hour)
		ask("nothing is remembered for less long", "y@example.org", 8, time.Second)
		time.Sleep(time.Minute)
		time.Sleep(time.Hour)
	})
}

func TestCachedErrors(t *testing.T) {
	slow := &slowStore{err: errStore}
	c := &certstore.Cached{Store: slow}
	for range 2 {
		for e, err := range c.Certificates(t.Context(), certstore.Email("x@example.org")) {
			if e != nil || !errors.Is(err, errStore) {
				t.Errorf("got %v, %v", e, err)
			}
		}
	}
	if n := slow.asked.Load(); n != 2 {
		t.Errorf("store asked %d times: an error was remembered", n)
	}
}

func TestCachedSingleFlight(t *testing.T) {
	cert := selfSigned(t, newKey(t), 1, "x@example.org")
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{delay: time.Minute}
		slow.Add(cert)
		c := &certstore.Cached{Store: slow}
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for _, err := range c.Certificates(first, certstore.Email("x@example.org")) {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("the one who gave up: %v", err)
				}
			}
		})
		synctest.Wait()
		for range 20 {
			wg.Go(func() {
				if got := serials(t, c.Certificates(t.Context(), certstore.Email("x@example.org"))); !slices.Equal(got, []int64{1}) {
					t.Errorf("found %v", got)
				}
			})
		}
		impatient, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		for _, err := range c.Certificates(impatient, certstore.Email("x@example.org")) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the impatient one: %v", err)
			}
		}
		cancel()
		wg.Wait()
		if n := slow.asked.Load(); n != 2 { // the first gave up, one of the others asked again
			t.Errorf("store asked %d times", n)
		}
	})
}

// A store with a time limit of its own costs those who wait for one answer that limit
// once, not each of them once more.
func TestCachedTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{delay: time.Minute, err: fmt.Errorf("no answer: %w", context.DeadlineExceeded)}
		c := &certstore.Cached{Store: slow}
		begin := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				for _, err := range c.Certificates(t.Context(), certstore.Email("x@example.org")) {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("got %v", err)
					}
				}
			})
		}
		wg.Wait()
		if n := slow.asked.Load(); n != 1 || time.Since(begin) != time.Minute {
			t.Errorf("store asked %d times, in %v", n, time.Since(begin))
		}
	})
}

func TestCachedBound(t *testing.T) {
	slow := &slowStore{}
	key := newKey(t)
	for i := range 5 {
		slow.Add(selfSigned(t, key, int64(i), "big@example.org", fmt.Sprintf("u%d@example.org", i)))
	}
	c := &certstore.Cached{Store: slow, Max: 6}
	ask := func(address string, asked int32) {
		t.Helper()
		serials(t, c.Certificates(t.Context(), certstore.Email(address)))
		if n := slow.asked.Load(); n != asked {
			t.Errorf("%s: store asked %d times, want %d", address, n, asked)
		}
	}
	ask("u0@example.org", 1) // each counts for two
	ask("u1@example.org", 2)
	ask("u2@example.org", 3)
	ask("u0@example.org", 3) // used again: u1 is the longest unused now
	ask("u3@example.org", 4)
	ask("u0@example.org", 4)
	ask("u1@example.org", 5)
	ask("big@example.org", 6) // counts for six: nothing else has room
	ask("big@example.org", 6)
	ask("u0@example.org", 7)
	c.Max = 5
	ask("big@example.org", 8)
	ask("big@example.org", 9) // more than may be held
}

func TestCachedQueries(t *testing.T) {
	slow := &slowStore{}
	cert := selfSigned(t, newKey(t), 1, "x@example.org")
	slow.Add(cert)
	c := &certstore.Cached{Store: slow}
	a, b := certstore.Email("x@example.org"), certstore.SubjectKeyID{1}
	for range 2 {
		for _, q := range []certstore.Query{
			a, b, certstore.AnyOf{a, b}, certstore.AnyOf{b, a, a, nil}, certstore.RawSubject("x@example.org"), nil,
			certstore.IssuerSerial{RawIssuer: cert.RawIssuer, Serial: cert.SerialNumber}, certstore.IssuerSerial{RawIssuer: cert.RawIssuer},
		} {
			serials(t, c.Certificates(t.Context(), q))
		}
	}
	if n := slow.asked.Load(); n != 6 {
		t.Errorf("six different questions, asked %d times", n)
	}
}

func TestParallel(t *testing.T) {
	key := newKey(t)
	synctest.Test(t, func(t *testing.T) {
		var stores []certstore.Store
		for i := range 3 {
			s := &slowStore{delay: time.Duration(3-i) * time.Minute}
			s.Add(selfSigned(t, key, int64(i+1), "x@example.org"))
			stores = append(stores, s)
		}
		stores = append(stores, &slowStore{err: errStore})
		begin := time.Now()
		var got []int64
		var failure error
		for e, err := range certstore.Parallel(stores...).Certificates(t.Context(), certstore.Email("x@example.org")) {
			if err != nil {
				failure = err
				continue
			}
			got = append(got, e.Certificate.SerialNumber.Int64())
		}
		if !slices.Equal(got, []int64{1, 2, 3}) || !errors.Is(failure, errStore) || time.Since(begin) != 3*time.Minute {
			t.Errorf("found %v, failure %v, in %v", got, failure, time.Since(begin))
		}
		for range certstore.Parallel(stores...).Certificates(t.Context(), certstore.Email("x@example.org")) {
			break // the others are called off
		}
	})
}

// A store that does not answer in time does not hide what another one has found by then.
func TestParallelTimeLimit(t *testing.T) {
	key := newKey(t)
	synctest.Test(t, func(t *testing.T) {
		hangs, quick := &slowStore{delay: time.Hour}, &slowStore{}
		for i := range 10 {
			quick.Add(selfSigned(t, key, int64(i), "x@example.org"))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		found := 0
		var failure error
		for e, err := range certstore.Parallel(hangs, quick).Certificates(ctx, certstore.Email("x@example.org")) {
			if failure = err; e != nil {
				found++
			}
		}
		if found != 10 || !errors.Is(failure, context.DeadlineExceeded) {
			t.Errorf("found %d, failure %v", found, failure)
		}
	})
}

// An answer that was cut off is never taken for a complete one.
func TestParallelCutOff(t *testing.T) {
	key := newKey(t)
	synctest.Test(t, func(t *testing.T) {
		var store certstore.Memory
		for i := range 200 {
			store.Add(selfSigned(t, key, int64(i), "x@example.org"))
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		found := 0
		var failure error
		for e, err := range certstore.Parallel(&store).Certificates(ctx, certstore.Email("x@example.org")) {
			if failure = err; e != nil {
				found++
			}
			cancel()
			synctest.Wait()
		}
		if found == 200 || !errors.Is(failure, context.Canceled) {
			t.Errorf("found %d, failure %v", found, failure)
		}
	})
}
