package ldapstore_test

import (
	"crypto/x509"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/certtest"
)

func collect[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var list []T
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

// describe names the certificates of an answer and the address each is filed under.
func describe(entries []*certstore.Entry) string {
	var list []string
	for _, e := range entries {
		list = append(list, e.Certificate.Subject.CommonName+"<"+e.Address+">")
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func named(t testing.TB, ca *certtest.CA, name string, addresses ...string) *x509.Certificate {
	t.Helper()
	_, key := ca.Issue(t)
	return ca.IssueFor(t, key.Public(), func(c *x509.Certificate) {
		c.Subject.CommonName = name
		c.EmailAddresses = addresses
	})
}
