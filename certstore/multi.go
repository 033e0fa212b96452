package certstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"iter"
	"slices"
)

// Multi returns a store that asks each of stores in turn and yields what they find, an
// entry with the same certificate and address only once, unless a later store says more of
// it than those before: that it is the default or published by its owner, its capabilities,
// or that it was seen later. Then it comes again, as that store has it. A store that fails never hides
// the answer of another: the errors of all come joined at the end of the sequence. A caller
// that stops early leaves the remaining stores unasked.
func Multi(stores ...Store) Store { return multi(slices.Clone(stores)) }

// Parallel returns a store like that of [Multi], which asks all of stores at the same time:
// the answer takes as long as the slowest of them. The order of the entries is the same.
func Parallel(stores ...Store) Store { return parallel(slices.Clone(stores)) }

type multi []Store

func (m multi) Certificates(ctx context.Context, q Query) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		u := union{said: map[entryKey]*Entry{}, yield: yield}
		for _, s := range m {
			if !u.add(s.Certificates(ctx, q)) {
				return
			}
		}
		u.end()
	}
}

type parallel []Store

// ahead is how many entries each store may be ahead of the caller.
const ahead = 64

func (p parallel) Certificates(ctx context.Context, q Query) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		type found struct {
			e   *Entry
			err error
		}
		answers := make([]chan found, len(p))
		for i, s := range p {
			c := make(chan found, ahead)
			answers[i] = c
			go func() {
				for e, err := range s.Certificates(ctx, q) {
					select {
					case c <- found{e, err}:
					case <-ctx.Done():
						return // and leave c open: this is not all
					}
				}
				close(c)
			}()
		}
		u := union{said: map[entryKey]*Entry{}, yield: yield}
		for _, c := range answers {
			more := u.add(func(yield func(*Entry, error) bool) {
				for {
					f, ok := found{}, true
					select {
					case f, ok = <-c: // also when time is up: another store may have taken it
					default:
						select {
						case f, ok = <-c:
						case <-ctx.Done(): // a store may take its time to notice
							f.err = ctx.Err()
						}
					}
					if !ok || !yield(f.e, f.err) {
						return
					}
				}
			})
			if !more {
				return
			}
		}
		u.end()
	}
}

// An entryKey is what an entry is known by.
type entryKey struct {
	cert    [32]byte
	address string
}

// A union puts sequences together, each entry once, or again where it says more, and the
// errors last.
type union struct {
	said  map[entryKey]*Entry // by all entries together
	errs  []error
	yield func(*Entry, error) bool
}

// add passes one sequence on. It returns false if the caller wants no more.
func (u *union) add(seq iter.Seq2[*Entry, error]) bool {
	for e, err := range seq {
		if err != nil {
			u.errs = append(u.errs, err)
			return true
		}
		k := entryKey{sha256.Sum256(e.Certificate.Raw), e.Address}
		said := u.said[k]
		if said == nil {
			said = &Entry{}
			u.said[k] = said
		} else if !said.lacks(e) {
			continue
		}
		said.Default = said.Default || e.Default
		said.Published = said.Published || e.Published
		if len(said.Capabilities) == 0 {
			said.Capabilities = e.Capabilities
		}
		if e.Seen.After(said.Seen) {
			said.Seen = e.Seen
		}
		if !u.yield(e, nil) {
			return false
		}
	}
	return true
}

// lacks reports whether e says anything that said does not.
func (said *Entry) lacks(e *Entry) bool {
	return e.Default && !said.Default || e.Published && !said.Published ||
		len(e.Capabilities) > 0 && len(said.Capabilities) == 0 || e.Seen.After(said.Seen)
}

func (u *union) end() {
	if err := errors.Join(u.errs...); err != nil {
		u.yield(nil, err)
	}
}
