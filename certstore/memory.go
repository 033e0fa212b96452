package certstore

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"iter"
	"sync"
)

// Memory is a [Store], a [KeyStore] and a [Writer] kept in memory, indexed by everything a
// [Query] can ask for. Its zero value is empty and ready for use. It is safe for concurrent
// use; a sequence shows the store as it was when the iteration began.
type Memory struct {
	mu      sync.RWMutex
	entries index[Entry]
	ids     index[*Identity]
}

// Add adds certificates. One that is there already is not added again.
func (m *Memory) Add(certs ...*x509.Certificate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range certs {
		if m.entry(c, "") == nil {
			m.entries.add(c, "", Entry{Certificate: c, Source: "memory"})
		}
	}
}

// AddIdentity adds identities, and their certificates and intermediates as [Memory.Add]
// does. Of identities with the same certificate the last one stays.
func (m *Memory) AddIdentity(ids ...*Identity) {
	for _, id := range ids {
		m.Add(id.cert)
		m.Add(id.inter...)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		for _, old := range m.ids.find(Thumbprint(sha256.Sum256(id.cert.Raw))) {
			m.ids.remove(old)
		}
		m.ids.add(id.cert, "", id)
	}
}

// Put adds entries, and replaces those that have the same certificate and address.
func (m *Memory) Put(ctx context.Context, entries ...*Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, e := range entries {
		if e == nil || e.Certificate == nil {
			return errors.New("certstore: entry without a certificate")
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range entries {
		if old := m.entry(e.Certificate, e.Address); old != nil {
			old.value = *e
		} else {
			m.entries.add(e.Certificate, e.Address, *e)
		}
	}
	return nil
}

// Remove removes the entries that have the certificate and the address of one of entries.
// Removing what is not there is not an error. Identities stay.
func (m *Memory) Remove(ctx context.Context, entries ...*Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range entries {
		if e == nil || e.Certificate == nil {
			return errors.New("certstore: entry without a certificate")
		}
		if old := m.entry(e.Certificate, e.Address); old != nil {
			m.entries.remove(old)
		}
	}
	return nil
}

// Certificates yields the entries that match q, in the order they were added. An entry
// also matches an [Email] that equals the address it is filed under.
func (m *Memory) Certificates(ctx context.Context, q Query) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		m.mu.RLock()
		found := values(m.entries.find(q))
		m.mu.RUnlock()
		yieldEntries(ctx, found, yield)
	}
}

// All yields every entry in the order they were added.
func (m *Memory) All(ctx context.Context) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		m.mu.RLock()
		found := values(m.entries.all())
		m.mu.RUnlock()
		yieldEntries(ctx, found, yield)
	}
}

// Identities yields the identities that match q, in the order they were added.
func (m *Memory) Identities(ctx context.Context, q Query) iter.Seq2[*Identity, error] {
	return func(yield func(*Identity, error) bool) {
		m.mu.RLock()
		found := values(m.ids.find(q))
		m.mu.RUnlock()
		for _, id := range found {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(id, nil) {
				return
			}
		}
	}
}

// entry returns the item for c filed under address, or nil.
func (m *Memory) entry(c *x509.Certificate, address string) *item[Entry] {
	for _, it := range m.entries.find(Thumbprint(sha256.Sum256(c.Raw))) {
		if it.value.Address == address {
			return it
		}
	}
	return nil
}

// values copies what the items hold: items change under the lock only.
func values[T any](items []*item[T]) []T {
	list := make([]T, len(items))
	for i, it := range items {
		list[i] = it.value
	}
	return list
}

func yieldEntries(ctx context.Context, found []Entry, yield func(*Entry, error) bool) {
	for i := range found {
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return
		}
		if !yield(&found[i], nil) {
			return
		}
	}
}
