package kerberos_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/certstore/ldapstore/kerberos"
)

// A key distribution centre that never answers is waited for until the context ends.
func TestSilentCentre(t *testing.T) {
	centre, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer centre.Close()
	config := filepath.Join(t.TempDir(), "krb5.conf")
	text := fmt.Sprintf("[libdefaults]\n default_realm = EXAMPLE.TEST\n dns_lookup_kdc = false\n udp_preference_limit = 1\n[realms]\n EXAMPLE.TEST = {\n  kdc = %s\n }\n", centre.Addr())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	defer far.Close()
	c := ldap.NewConn(near, true)
	c.Start()
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	login := &kerberos.Login{User: "reader", Realm: "EXAMPLE.TEST", Password: "secret", Config: config, Service: "ldap/dc1.example.test"}
	if err := login.Bind(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
