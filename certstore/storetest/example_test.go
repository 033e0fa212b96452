package storetest_test

import (
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/storetest"
)

// A store of your own passes the tests that every store of this module passes.
func Example() {
	_ = func(t *testing.T) { // TestStore in your package
		storetest.Test(t, storetest.Backend{
			Store: func(t testing.TB, entries ...*certstore.Entry) certstore.Store {
				s := &certstore.Memory{} // yours
				if err := s.Put(t.Context(), entries...); err != nil {
					t.Fatal(err)
				}
				return s
			},
		})
	}
}
