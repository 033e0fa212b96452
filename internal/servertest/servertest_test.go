//go:build unix

package servertest_test

import (
	"net"
	"net/url"
	"testing"

	"github.com/postseal/postseal/internal/servertest"
)

func reachable(t *testing.T, address string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestPostgres(t *testing.T) {
	var address string
	t.Run("up", func(t *testing.T) {
		address = servertest.Postgres(t)
		reachable(t, address)
	})
	if address != "" {
		gone(t, address)
	}
}

func TestSlapd(t *testing.T) {
	var s *servertest.Slapd
	t.Run("up", func(t *testing.T) {
		s = servertest.StartSlapd(t, nil)
		reachable(t, s.URL)
		reachable(t, s.TLSURL)
	})
	if s != nil {
		gone(t, s.URL)
	}
}

func gone(t *testing.T, address string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", u.Host); err == nil {
		c.Close()
		t.Errorf("%s still answers after its test", address)
	}
}

func TestSamba(t *testing.T) {
	s := servertest.StartSamba(t)
	reachable(t, "ldap://"+s.Address+":389")
}

func TestZone(t *testing.T) {
	z := servertest.StartZone(t, "@ MX 10 ns")
	for _, address := range []string{z.Authority, z.Resolver, z.Misled, z.Trusting} {
		reachable(t, "dns://"+address)
	}
}
