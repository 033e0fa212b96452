//go:build unix

package smimeastore_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/smimeastore"
	"github.com/postseal/postseal/certstore/storetest"
	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/internal/servertest"
)

// Attack row H07: a real signed zone, real resolvers: records count with proof, and only with proof.
func TestZone(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	alice, _ := ca.Issue(t, "alice@example.test")
	umlaut, _ := ca.Issue(t, "alice@example.test")
	var records strings.Builder
	for _, r := range []struct {
		address string
		usage   smimeastore.Usage
	}{{"alice@example.test", smimeastore.DANEEE}, {"alice@example.test", smimeastore.PKIXEE}, {"jürgen@example.test", smimeastore.DANEEE}} {
		c := alice
		if r.usage == smimeastore.PKIXEE {
			c = umlaut
		}
		line, err := smimeastore.Record(r.address, c, r.usage, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		records.WriteString(line + "\n")
		// plain.test has the same names.
	}
	relative := strings.ReplaceAll(records.String(), ".example.test.", "")
	z := servertest.StartZone(t, relative)
	find := func(resolver, address string) (int, error) {
		s := ask(t, resolver)
		s.Timeout = 5 * time.Second
		list, err := collect(s.Certificates(t.Context(), certstore.Email(address)))
		return len(list), err
	}
	if n, err := find(z.Resolver, "alice@example.test"); n != 2 || err != nil {
		t.Errorf("%d certificates, %v", n, err)
	}
	if n, err := find(z.Resolver, "jürgen@example.test"); n != 1 || err != nil {
		t.Errorf("UTF-8: %d certificates, %v", n, err)
	}
	// Denied with NSEC3 proof.
	if n, err := find(z.Resolver, "nobody@example.test"); n != 0 || err != nil {
		t.Errorf("nobody: %d certificates, %v", n, err)
	}
	// The zone is not signed.
	if n, err := find(z.Resolver, "alice@plain.test"); n != 0 || !errors.Is(err, smimeastore.ErrInsecure) {
		t.Errorf("unsigned: %d certificates, %v", n, err)
	}
	// A resolver that trusts another key, one that trusts none, and one that does not validate.
	if n, err := find(z.Misled, "alice@example.test"); n != 0 || err == nil || !strings.Contains(err.Error(), "SERVFAIL") {
		t.Errorf("wrong anchor: %d certificates, %v", n, err)
	}
	if n, err := find(z.Trusting, "alice@example.test"); n != 0 || !errors.Is(err, smimeastore.ErrInsecure) {
		t.Errorf("no anchor: %d certificates, %v", n, err)
	}
	if n, err := find(z.Authority, "alice@example.test"); n != 0 || !errors.Is(err, smimeastore.ErrInsecure) {
		t.Errorf("authoritative server: %d certificates, %v", n, err)
	}
}

func TestConformance(t *testing.T) {
	storetest.Test(t, storetest.Backend{
		Store: func(t testing.TB, entries ...*certstore.Entry) certstore.Store {
			return fakeZone(t, entries)
		},
		EmailOnly: true, NotFiled: true,
	})
}
