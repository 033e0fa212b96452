package certstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"iter"
	"slices"
)

// Multi returns a store that asks each of stores in turn and yields what they find, an
// entry with the same certificate and address only once. A store that fails never hides
// the answer of another: the errors of all come joined at the end of the sequence. A caller
// that stops early leaves the remaining stores unasked.
func Multi(stores ...Store) Store { return multi(slices.Clone(stores)) }

type multi []Store

func (m multi) Certificates(ctx context.Context, q Query) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		type key struct {
			cert    [32]byte
			address string
		}
		seen := map[key]bool{}
		var errs []error
		for _, s := range m {
			for e, err := range s.Certificates(ctx, q) {
				if err != nil {
					errs = append(errs, err)
					break
				}
				k := key{sha256.Sum256(e.Certificate.Raw), e.Address}
				if seen[k] {
					continue
				}
				seen[k] = true
				if !yield(e, nil) {
					return
				}
			}
		}
		if err := errors.Join(errs...); err != nil {
			yield(nil, err)
		}
	}
}
