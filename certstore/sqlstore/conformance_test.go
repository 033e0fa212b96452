package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/storetest"
)

func TestConformance(t *testing.T) {
	conformance(t, func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "certs.db") })
}

// conformance runs the tests that every store passes; fresh returns the name of a new
// database.
func conformance(t *testing.T, fresh func(testing.TB) string) {
	storetest.Test(t, storetest.Backend{
		Store: func(t testing.TB, entries ...*certstore.Entry) certstore.Store {
			s := open(t, fresh(t))
			put(t, s, entries...)
			return s
		},
		KeyStore: func(t testing.TB, ids ...*certstore.Identity) certstore.KeyStore {
			s := open(t, fresh(t))
			if err := s.UnlockKey(t.Context(), make([]byte, 32)); err != nil {
				t.Fatal(err)
			}
			if err := s.PutIdentity(t.Context(), ids...); err != nil {
				t.Fatal(err)
			}
			return s
		},
	})
}
