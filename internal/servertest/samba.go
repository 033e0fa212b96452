//go:build unix

package servertest

import (
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A Samba is a running Active Directory domain controller.
type Samba struct {
	Address  string         // its own loopback address; 389, 636, 3268 and 88 are on it
	Host     string         // dc1.smime.test, which resolves nowhere: dial Address
	Realm    string         // SMIME.TEST
	Base     string         // DC=smime,DC=test
	Admin    string         // user principal name of the administrator
	Password string         // of Admin
	Roots    *x509.CertPool // the authority of its TLS certificate, which names Host and Address
	RootFile string         // the same as a PEM file
	Krb5     string         // a krb5.conf for its KDC
	Config   string         // its smb.conf, for samba-tool
}

// StartSamba provisions a new domain and starts its domain controller, which takes some
// ten seconds. It needs root, since the ports are fixed.
func StartSamba(t testing.TB) *Samba {
	t.Helper()
	tool, samba := Need(t, "samba-tool"), Need(t, "samba")
	if os.Geteuid() != 0 {
		Missing(t, "samba needs root for its ports")
	}
	dir := folder(t, "samba")
	s := &Samba{
		Address: fmt.Sprintf("127.77.%d.%d", 1+rand.IntN(250), 1+rand.IntN(250)),
		Host:    "dc1.smime.test", Realm: "SMIME.TEST", Base: "DC=smime,DC=test",
		Admin: "Administrator@SMIME.TEST", Password: "Passw0rd!x1",
		RootFile: filepath.Join(dir, "ca.pem"), Krb5: filepath.Join(dir, "krb5.conf"),
		Config: filepath.Join(dir, "dc/etc/smb.conf"),
	}
	run(t, dir, nil, nil, tool, "domain", "provision", "--realm="+s.Realm, "--domain=SMIMETEST", "--server-role=dc", "--dns-backend=NONE",
		"--use-rfc2307", "--adminpass="+s.Password, "--targetdir="+filepath.Join(dir, "dc"), "--host-name=dc1", "--host-ip=127.0.0.1")
	s.Roots = serverCertificate(t, dir, []string{s.Host}, net.ParseIP(s.Address))
	config, err := os.ReadFile(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	ours := regexp.MustCompile(`server services|interfaces|log file|^\s*logging|max log size|panic action`)
	var lines []string
	for line := range strings.Lines(string(config)) {
		if !ours.MatchString(line) {
			lines = append(lines, line)
		}
		if strings.HasPrefix(line, "[global]") {
			lines = append(lines, fmt.Sprintf(`
	interfaces = %[2]s/8
	bind interfaces only = yes
	server services = ldap, cldap, kdc
	ncalrpc dir = %[1]s/dc/run/ncalrpc
	pid directory = %[1]s/dc/run
	disable netbios = yes
	ldap server require strong auth = allow_sasl_over_tls
	tls enabled = yes
	tls keyfile = %[1]s/srv.key
	tls certfile = %[1]s/srv.pem
	tls cafile = %[1]s/ca.pem
`, dir, s.Address))
		}
	}
	write(t, s.Config, []byte(strings.Join(lines, "")))
	if err := os.MkdirAll(filepath.Join(dir, "dc/run"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, s.Krb5, fmt.Appendf(nil, `[libdefaults]
 default_realm = %[1]s
 dns_lookup_realm = false
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
 rdns = false
[realms]
 %[1]s = {
  kdc = %[2]s
 }
`, s.Realm, s.Address))
	run(t, dir, nil, nil, tool, "spn", "add", "ldap/"+s.Host, "DC1$", "-s", s.Config)
	p := start(t, dir, nil, []string{"KRB5_CONFIG=" + s.Krb5}, samba, "-i", "-M", "single", "-s", s.Config, "--debug-stdout")
	for _, port := range []string{"636", "389", "3268", "88"} {
		p.wait(t, 60*time.Second, dialable(net.JoinHostPort(s.Address, port)))
	}
	return s
}
