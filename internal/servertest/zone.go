//go:build unix

package servertest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A Zone is the DNSSEC-signed zone example.test on an authoritative server, with
// validating resolvers in front of it.
type Zone struct {
	Name      string // example.test
	Authority string // address of the authoritative server, which validates nothing
	Resolver  string // address of the resolver that trusts the zone's key
	Misled    string // address of a resolver that trusts another key
	Trusting  string // address of a resolver without any trust anchor for the zone
}

// StartZone signs and serves a zone. records are zone lines relative to example.test.
// The resolvers also answer for plain.test, which holds the same records unsigned.
func StartZone(t testing.TB, records string) *Zone {
	t.Helper()
	knotd, unbound, kdig := Need(t, "knotd"), Need(t, "unbound"), Need(t, "kdig")
	dir := folder(t, "zone")
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	for _, name := range []string{"example.test", "plain.test"} {
		write(t, filepath.Join(dir, name+".zone"), fmt.Appendf(nil, "$ORIGIN %s.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 300\n@ NS ns\nns A 127.0.0.1\n%s\n", name, records))
	}
	config := filepath.Join(dir, "knot.conf")
	write(t, config, fmt.Appendf(nil, `
server:
  listen: 127.0.0.1@%[2]d
  rundir: %[1]s/db
  pidfile: %[1]s/db/knot.pid
database:
  storage: %[1]s/db
log:
  - target: stderr
    any: warning
policy:
  - id: p
    algorithm: ecdsap256sha256
    nsec3: on
template:
  - id: default
    zonefile-sync: -1
    journal-content: all
zone:
  - domain: example.test
    file: %[1]s/example.test.zone
    dnssec-signing: on
    dnssec-policy: p
  - domain: plain.test
    file: %[1]s/plain.test.zone
`, dir, port))
	server := start(t, dir, nil, nil, knotd, "-c", config)
	var anchor string
	key := regexp.MustCompile(`(?m)^example\.test\.\s+\d+\s+IN\s+DNSKEY\s+257 .*$`)
	server.wait(t, 20*time.Second, func() error {
		if err := dialable(fmt.Sprintf("127.0.0.1:%d", port))(); err != nil {
			return err
		}
		anchor = key.FindString(run(t, dir, nil, nil, kdig, "@127.0.0.1", "-p", fmt.Sprint(port), "+tcp", "+noall", "+answer", "example.test", "DNSKEY"))
		if anchor == "" {
			return fmt.Errorf("no DNSKEY yet")
		}
		return nil
	})
	z := &Zone{Name: "example.test", Authority: fmt.Sprintf("127.0.0.1:%d", port)}
	// The key text is base64 of algorithm parameters and a point: another letter in the
	// middle makes another key.
	i := strings.LastIndexByte(anchor, ' ') + 20
	other := []byte(anchor)
	other[i] ^= 'A' ^ 'B'
	if c := other[i]; !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9') {
		other[i] = 'x'
	}
	z.Resolver = startUnbound(t, unbound, dir, port, "right", anchor)
	z.Misled = startUnbound(t, unbound, dir, port, "wrong", string(other))
	z.Trusting = startUnbound(t, unbound, dir, port, "none", "")
	return z
}

func startUnbound(t testing.TB, unbound, dir string, authority int, name, anchor string) string {
	t.Helper()
	port := freePort(t)
	trust := ""
	if anchor != "" {
		file := filepath.Join(dir, name+".key")
		write(t, file, []byte(anchor+"\n"))
		trust = fmt.Sprintf("trust-anchor-file: %q", file)
	}
	config := filepath.Join(dir, name+".conf")
	write(t, config, fmt.Appendf(nil, `
server:
  interface: 127.0.0.1
  port: %[2]d
  directory: "%[1]s"
  chroot: ""
  username: ""
  pidfile: "%[1]s/%[4]s.pid"
  do-not-query-localhost: no
  do-ip6: no
  use-syslog: no
  num-threads: 1
  %[5]s
  domain-insecure: "plain.test"
  local-zone: "test." nodefault
  access-control: 127.0.0.0/8 allow
  module-config: "validator iterator"
  val-bogus-ttl: 0
remote-control:
  control-enable: no
stub-zone:
  name: "example.test"
  stub-addr: 127.0.0.1@%[3]d
stub-zone:
  name: "plain.test"
  stub-addr: 127.0.0.1@%[3]d
`, dir, port, authority, name, trust))
	p := start(t, dir, nil, nil, unbound, "-d", "-c", config)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	p.wait(t, 10*time.Second, dialable(address))
	return address
}
