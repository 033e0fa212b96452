package certstore_test

import (
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/storetest"
)

func memoryOf(t testing.TB, entries ...*certstore.Entry) certstore.Store {
	m := &certstore.Memory{}
	if err := m.Put(t.Context(), entries...); err != nil {
		t.Fatal(err)
	}
	return m
}

// Every store of this package keeps the promises of its interface.
func TestConformance(t *testing.T) {
	half := func(join func(...certstore.Store) certstore.Store) func(testing.TB, ...*certstore.Entry) certstore.Store {
		return func(t testing.TB, entries ...*certstore.Entry) certstore.Store {
			n := len(entries) / 2
			return join(memoryOf(t, entries[:n]...), memoryOf(t, entries[n:]...), memoryOf(t, entries...))
		}
	}
	for name, b := range map[string]storetest.Backend{
		"Memory": {
			Store: memoryOf,
			KeyStore: func(t testing.TB, ids ...*certstore.Identity) certstore.KeyStore {
				m := &certstore.Memory{}
				m.AddIdentity(ids...)
				return m
			},
		},
		"Dir": {Store: func(t testing.TB, entries ...*certstore.Entry) certstore.Store {
			d, err := certstore.OpenDir(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
			if err := d.Put(t.Context(), entries...); err != nil {
				t.Fatal(err)
			}
			return d
		}},
		"Multi":    {Store: half(certstore.Multi)},
		"Parallel": {Store: half(certstore.Parallel)},
		"Cached": {Store: func(t testing.TB, entries ...*certstore.Entry) certstore.Store {
			return &certstore.Cached{Store: memoryOf(t, entries...)}
		}},
	} {
		t.Run(name, func(t *testing.T) { storetest.Test(t, b) })
	}
}
