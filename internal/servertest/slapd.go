//go:build unix

package servertest

import (
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Slapd is a running OpenLDAP server.
type Slapd struct {
	URL      string         // ldap://127.0.0.1:PORT, StartTLS offered
	TLSURL   string         // ldaps://127.0.0.1:PORT
	Base     string         // suffix of its database
	Admin    string         // DN that may write
	Password string         // of Admin
	Roots    *x509.CertPool // the authority of its TLS certificate
	RootFile string         // the same as a PEM file, for other programs
	process  *process
	dir      string
	program  string
}

// Stop stops the server before the test ends.
func (s *Slapd) Stop() { s.process.stop() }

// Start starts the server again after [Slapd.Stop], at the same address with the same
// data; what it had only in memory, such as the log of deletions, is gone.
func (s *Slapd) Start(t testing.TB) {
	t.Helper()
	s.process = start(t, s.dir, nil, nil, s.program, "-d", "0", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", s.URL+" "+s.TLSURL)
	for _, address := range []string{s.URL, s.TLSURL} {
		s.process.wait(t, 20*time.Second, dialable(address[strings.LastIndexByte(address, '/')+1:]))
	}
}

// adSchema holds the attributes of Active Directory that readers look at, with their
// object identifiers there.
const adSchema = `
attributetype ( 1.2.840.113556.1.2.210 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.99999.1.1 NAME 'adMailUser' SUP top AUXILIARY MAY ( proxyAddresses $ sAMAccountName ) )
`

// StartSlapd starts OpenLDAP with an empty folder ou=people. ldif is loaded before the
// start, which is much faster than adding over LDAP; it may be empty.
func StartSlapd(t testing.TB, ldif []byte) *Slapd {
	t.Helper()
	slapd, slapadd := Need(t, "slapd"), Need(t, "slapadd")
	dir := folder(t, "slapd")
	for _, sub := range []string{"db", "run"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s := &Slapd{Base: "dc=example,dc=test", Admin: "cn=admin,dc=example,dc=test", Password: "secret", RootFile: filepath.Join(dir, "ca.pem")}
	s.Roots = serverCertificate(t, dir, []string{"localhost"}, net.IPv4(127, 0, 0, 1))
	write(t, filepath.Join(dir, "ad.schema"), []byte(adSchema))
	write(t, filepath.Join(dir, "slapd.conf"), fmt.Appendf(nil, `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include %[1]s/ad.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload syncprov
pidfile %[1]s/run/pid
argsfile %[1]s/run/args
TLSCACertificateFile %[1]s/ca.pem
TLSCertificateFile %[1]s/srv.pem
TLSCertificateKeyFile %[1]s/srv.key
sizelimit unlimited
database mdb
maxsize 4294967296
dbnosync
suffix "%[2]s"
rootdn "%[3]s"
rootpw %[4]s
directory %[1]s/db
index objectClass eq
index mail eq
index proxyAddresses eq
index uid,cn eq
index entryCSN,entryUUID eq
overlay syncprov
syncprov-checkpoint 100 10
syncprov-sessionlog 1000
access to attrs=userPassword by anonymous auth by self write
access to * by * read
`, dir, s.Base, s.Admin, s.Password))
	data := filepath.Join(dir, "data.ldif")
	write(t, data, append(fmt.Appendf(nil, "dn: %[1]s\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: example\n\ndn: ou=people,%[1]s\nobjectClass: organizationalUnit\nou: people\n\n", s.Base), ldif...))
	run(t, dir, nil, nil, slapadd, "-q", "-f", filepath.Join(dir, "slapd.conf"), "-l", data)
	os.Remove(data)
	plain, tls := freePort(t), freePort(t)
	s.URL, s.TLSURL = fmt.Sprintf("ldap://127.0.0.1:%d", plain), fmt.Sprintf("ldaps://127.0.0.1:%d", tls)
	s.dir, s.program = dir, slapd
	s.Start(t)
	return s
}
