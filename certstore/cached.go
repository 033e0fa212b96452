package certstore

import (
	"cmp"
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"
)

// Cached is a [Store] that remembers the answers of another one, also that there was
// nothing to find. A question that several callers ask at once is asked once. An answer
// that has grown old, but not too old, is given at once while a new one is fetched behind
// it; errors are not remembered, and do not replace an answer that is.
//
// Only the fields above the line need to be set. It is safe for concurrent use once they
// are, and must not be copied.
//
//	directory := &certstore.Cached{Store: slow, Fresh: 10 * time.Minute, Stale: 24 * time.Hour}
type Cached struct {
	Store Store // asked for what is not remembered

	Fresh    time.Duration    // how long an answer is given without asking again; 0 means five minutes
	Stale    time.Duration    // how long after that it is given while asking again; 0 means not at all
	Negative time.Duration    // as Fresh, for an answer without entries; 0 means one minute, or Fresh if that is less
	Timeout  time.Duration    // bounds the asking behind a stale answer; 0 means 30 seconds
	Max      int              // entries held; 0 means 10,000. An answer of more is not remembered
	Time     func() time.Time // nil means time.Now

	mu      sync.Mutex
	answers map[[32]byte]*answer
	used    list.List // of *answer, the longest unused first
	held    int       // entries
	calls   map[[32]byte]*call
}

// An answer is what the store said to one question.
type answer struct {
	key     [32]byte
	entries []*Entry
	at      time.Time
	place   *list.Element
}

// A call is one question on its way.
type call struct {
	done    chan struct{}
	entries []*Entry
	err     error
	gaveUp  bool // whoever asked
}

// perAnswer is what an answer counts for, beside its entries: nothing found is not free.
const perAnswer = 1

// Certificates yields the entries that match q, as the store answered or answers. If it
// fails, and nothing it said before may still be given, they are the entries it found
// before it failed, and its error.
func (c *Cached) Certificates(ctx context.Context, q Query) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		key, ok := queryDigest(q)
		if !ok {
			return // a nil query
		}
		entries, err := c.ask(ctx, key, q)
		for _, e := range entries {
			if ctx.Err() != nil {
				err = ctx.Err()
				break
			}
			copied := *e
			if !yield(&copied, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// Forget drops every answer, so that the next questions reach the store.
func (c *Cached) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.answers)
	c.used.Init()
	c.held = 0
	clear(c.calls) // what is on its way may be old already: it must not be remembered
}

// ask returns the answer to q, from memory or from the store.
func (c *Cached) ask(ctx context.Context, key [32]byte, q Query) ([]*Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if a := c.answers[key]; a != nil {
		fresh := c.fresh(a)
		switch age := c.now().Sub(a.at); {
		case age < fresh:
			c.used.MoveToBack(a.place)
			c.mu.Unlock()
			return a.entries, nil
		case age < fresh+c.Stale:
			c.used.MoveToBack(a.place)
			if c.calls[key] == nil {
				// Not the caller's context: nobody waits for this.
				behind, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(c.Timeout, 30*time.Second))
				f := c.start(key)
				go func() {
					defer cancel()
					c.fetch(behind, key, q, f)
				}()
			}
			c.mu.Unlock()
			return a.entries, nil
		}
	}
	f := c.calls[key]
	mine := f == nil
	if mine {
		f = c.start(key)
	}
	c.mu.Unlock()
	if mine {
		c.fetch(ctx, key, q, f)
		return f.entries, f.err
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f.gaveUp {
		return c.ask(ctx, key, q) // we have not
	}
	return f.entries, f.err
}

// start notes that a question is on its way.
func (c *Cached) start(key [32]byte) *call {
	if c.calls == nil {
		c.calls = map[[32]byte]*call{}
	}
	f := &call{done: make(chan struct{})}
	c.calls[key] = f
	return f
}

// fetch asks the store and remembers what it says.
func (c *Cached) fetch(ctx context.Context, key [32]byte, q Query, f *call) {
	defer close(f.done)
	finished := false
	defer func() {
		if !finished { // the store panicked: let it, but leave nobody waiting
			f.err = errors.New("certstore: store panicked")
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.calls[key] != f {
			return // forgotten in the meantime
		}
		delete(c.calls, key)
		if f.err == nil {
			c.remember(key, f.entries)
		}
	}()
	for e, err := range c.Store.Certificates(ctx, q) {
		if err != nil {
			f.err = err
			break
		}
		copied := *e
		f.entries = append(f.entries, &copied)
	}
	f.gaveUp = f.err != nil && ctx.Err() != nil
	finished = true
}

// remember keeps an answer and drops those unused for longest.
func (c *Cached) remember(key [32]byte, entries []*Entry) {
	if old := c.answers[key]; old != nil {
		c.drop(old)
	}
	most := cmp.Or(c.Max, 10_000)
	if len(entries)+perAnswer > most {
		return
	}
	if c.answers == nil {
		c.answers = map[[32]byte]*answer{}
	}
	a := &answer{key: key, entries: entries, at: c.now()}
	a.place = c.used.PushBack(a)
	c.answers[key] = a
	for c.held += len(entries) + perAnswer; c.held > most; {
		c.drop(c.used.Front().Value.(*answer))
	}
}

func (c *Cached) drop(a *answer) {
	delete(c.answers, a.key)
	c.used.Remove(a.place)
	c.held -= len(a.entries) + perAnswer
}

// fresh returns how long a is given without asking again.
func (c *Cached) fresh(a *answer) time.Duration {
	fresh := cmp.Or(c.Fresh, 5*time.Minute)
	if len(a.entries) == 0 {
		return cmp.Or(c.Negative, min(fresh, time.Minute))
	}
	return fresh
}

func (c *Cached) now() time.Time {
	if c.Time == nil {
		return time.Now()
	}
	return c.Time()
}

// queryDigest returns the same digest for questions that have the same answer by their
// form: order and repetition in an AnyOf do not count.
func queryDigest(q Query) (d [32]byte, ok bool) {
	var text []byte
	switch q := q.(type) {
	case nil:
		return d, false
	case Email:
		text = []byte(emailKey(string(q)))
	case IssuerSerial:
		serial := "none"
		if q.Serial != nil {
			serial = q.Serial.Text(16)
		}
		text = []byte(issuerKey(q.RawIssuer, serial))
	case SubjectKeyID:
		text = []byte(keyIDKey(q))
	case RawSubject:
		text = []byte(subjectKey(q))
	case Thumbprint:
		text = []byte(thumbKey(q))
	case AnyOf:
		var parts [][32]byte
		for _, m := range q {
			if p, ok := queryDigest(m); ok {
				parts = append(parts, p)
			}
		}
		slices.SortFunc(parts, func(a, b [32]byte) int { return slices.Compare(a[:], b[:]) })
		text = []byte("a")
		for _, p := range slices.Compact(parts) {
			text = append(text, p[:]...)
		}
	default:
		return d, false
	}
	return sha256.Sum256(text), true
}
