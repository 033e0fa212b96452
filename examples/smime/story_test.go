//go:build unix

package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/internal/servertest"
)

// A story is two users in an Active Directory, and a third party that writes to them
// without ever asking the directory.
type story struct {
	t     *testing.T
	dir   string
	ca    *certtest.CA
	samba *servertest.Samba
	admin *ldap.Conn
	now   string
}

func (s *story) file(name string, data []byte) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// identity issues a certificate that names a revocation list, and writes it with its key.
func (s *story) identity(name, address string, from time.Time) (file string, c *x509.Certificate) {
	s.t.Helper()
	_, key := s.ca.Issue(s.t)
	c = s.ca.IssueFor(s.t, key.Public(), func(c *x509.Certificate) {
		c.Subject.CommonName, c.EmailAddresses, c.NotBefore = name, []string{address}, from
		c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement
		c.CRLDistributionPoints = []string{"http://crl.example.test/ca.crl"}
	})
	return s.file(name+".pem", keyPEM(s.t, key, c)), c
}

// smime runs the program and checks its exit status.
func (s *story) smime(want int, args ...string) string {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	args = append(slices.Clone(args), "--time", s.now)
	if got := run(args, strings.NewReader(""), &stdout, &stderr); got != want {
		s.t.Fatalf("smime %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), got, want, stdout.String(), stderr.String())
	}
	return stdout.String() + stderr.String()
}

func (s *story) ldaps() string { return "ldaps://" + s.samba.Address }
func (s *story) db() string    { return "sqlite:" + filepath.Join(s.dir, "certs.db") }
func (s *story) dn(name string) string {
	return "CN=" + name + ",CN=Users," + s.samba.Base
}

func (s *story) addUser(name, address string) {
	s.t.Helper()
	a := ldap.NewAddRequest(s.dn(name), nil)
	a.Attribute("objectClass", []string{"user"})
	a.Attribute("sAMAccountName", []string{name})
	a.Attribute("mail", []string{address})
	a.Attribute("proxyAddresses", []string{"SMTP:" + address})
	s.must(s.admin.Add(a))
}

func (s *story) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// revoke publishes a revocation list in the directory.
func (s *story) revoke(number int64, revoked ...*x509.Certificate) {
	s.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: certtest.Epoch().Add(time.Duration(number) * time.Hour), NextUpdate: certtest.Epoch().AddDate(2, 0, 0)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: certtest.Epoch()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, s.ca.Certificate, s.ca.Key)
	s.must(err)
	services := "CN=Public Key Services,CN=Services,CN=Configuration," + s.samba.Base
	dn := "CN=Story CA,CN=Certification Authorities," + services
	m := ldap.NewModifyRequest(dn, nil)
	m.Replace("certificateRevocationList", []string{string(der)})
	if err := s.admin.Modify(m); !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		s.must(err)
		return
	}
	for _, dn := range []string{services, "CN=Certification Authorities," + services} {
		a := ldap.NewAddRequest(dn, nil)
		a.Attribute("objectClass", []string{"container"})
		if err := s.admin.Add(a); !ldap.IsErrorWithCode(err, ldap.LDAPResultEntryAlreadyExists) {
			s.must(err)
		}
	}
	a := ldap.NewAddRequest(dn, nil)
	a.Attribute("objectClass", []string{"certificationAuthority"})
	a.Attribute("cACertificate", []string{string(s.ca.Certificate.Raw)})
	a.Attribute("authorityRevocationList", []string{"\x00"})
	a.Attribute("certificateRevocationList", []string{string(der)})
	s.must(s.admin.Add(a))
}

func (s *story) sync() map[string]any {
	s.t.Helper()
	var report map[string]any
	s.must(json.Unmarshal([]byte(s.smime(exitGood, "sync", "--from", s.ldaps(), "--to", s.db(), "--json")), &report))
	return report
}

// seal seals a message to an address whose certificate only the database knows.
func (s *story) seal(want int, address string) (message string) {
	s.t.Helper()
	out := filepath.Join(s.dir, "sealed.eml")
	os.Remove(out)
	s.smime(want, "seal", "--identity", filepath.Join(s.dir, "alice.pem"), "--to", address, "--store", s.db(), "--roots", filepath.Join(s.dir, "ca.pem"), "--out", out, filepath.Join(s.dir, "plain.eml"))
	if _, err := os.Stat(out); (err == nil) != (want == exitGood) {
		s.t.Errorf("after exit status %d: %v", want, err)
	}
	return out
}

// From the users' own publication to a sealed message, and everything that can happen to a
// user afterwards: the directory is the only place that is ever told.
func TestStory(t *testing.T) {
	s := &story{t: t, dir: t.TempDir(), ca: certtest.NewCA(t, "Story CA"), samba: servertest.StartSamba(t), now: "2026-06-01T00:00:00Z"}
	var err error
	s.admin, err = ldap.DialURL(s.ldaps(), ldap.DialWithTLSConfig(&tls.Config{RootCAs: s.samba.Roots}))
	if err == nil {
		err = s.admin.Bind(s.samba.Admin, s.samba.Password)
	}
	s.must(err)
	defer s.admin.Close()
	t.Setenv("SMIME_LDAP_USER", s.samba.Admin)
	t.Setenv("SMIME_LDAP_PASSWORD", s.samba.Password)
	t.Setenv("SMIME_LDAP_CA", s.samba.RootFile)
	s.file("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.Certificate.Raw}))
	s.file("plain.eml", []byte("From: alice@example.test\r\nTo: bob@example.test\r\nSubject: the plan\r\n\r\nmeet at noon\r\n"))
	alice, _ := s.identity("alice", "alice@example.test", certtest.Epoch())
	bob, bobCert := s.identity("bob", "bob@example.test", certtest.Epoch())
	s.addUser("alice", "alice@example.test")
	s.addUser("bob", "bob@example.test")
	s.revoke(1)

	// Nobody has published anything yet.
	s.sync()
	s.seal(exitNotGood, "bob@example.test")

	s.smime(exitGood, "publish", "--store", s.ldaps(), "--identity", alice)
	s.smime(exitGood, "publish", "--store", s.ldaps(), "--identity", bob)
	if out := s.smime(exitGood, "publish", "--store", s.ldaps(), "--identity", bob); !strings.Contains(out, "nothing to change") {
		t.Errorf("published twice: %s", out)
	}
	if out := s.smime(exitGood, "lookup", "--store", s.ldaps(), "--roots", filepath.Join(s.dir, "ca.pem"), "--revocation", "off", "bob@example.test"); !strings.Contains(out, "published and signed by its owner") {
		t.Errorf("lookup: %s", out)
	}
	if r := s.sync(); r["added"] != 2.0 {
		t.Errorf("sync: %v", r)
	}
	if r := s.sync(); r["added"] != 0.0 || r["objects"] != 0.0 {
		t.Errorf("nothing new: %v", r)
	}
	sealed := s.seal(exitGood, "bob@example.test")
	if out := s.smime(exitGood, "open", "--identity", bob, "--roots", filepath.Join(s.dir, "ca.pem"), "--revocation", "off", sealed); !strings.Contains(out, "meet at noon") {
		t.Errorf("bob reads: %s", out)
	}

	// Bob's key is lost: the authority revokes, and the directory carries the list.
	s.revoke(2, bobCert)
	s.sync()
	s.seal(exitNotGood, "bob@example.test")
	if out := s.smime(exitNotGood, "lookup", "--store", s.db(), "--roots", filepath.Join(s.dir, "ca.pem"), "bob@example.test"); !strings.Contains(out, "revoked") {
		t.Errorf("lookup: %s", out)
	}
	bob, _ = s.identity("bob", "bob@example.test", certtest.Epoch().AddDate(0, 1, 0))
	s.smime(exitGood, "publish", "--store", s.ldaps(), "--identity", bob)
	s.sync()
	sealed = s.seal(exitGood, "bob@example.test")
	s.smime(exitGood, "open", "--identity", bob, "--roots", filepath.Join(s.dir, "ca.pem"), "--revocation", "off", sealed)

	// Alice marries: another name, another address, another certificate.
	s.must(s.admin.ModifyDN(ldap.NewModifyDNRequest(s.dn("alice"), "CN=Alice Jones", true, "")))
	m := ldap.NewModifyRequest(s.dn("Alice Jones"), nil)
	m.Replace("mail", []string{"alice.jones@example.test"})
	m.Replace("proxyAddresses", []string{"SMTP:alice.jones@example.test"})
	s.must(s.admin.Modify(m))
	jones, _ := s.identity("jones", "alice.jones@example.test", certtest.Epoch())
	s.smime(exitGood, "publish", "--store", s.ldaps(), "--identity", jones)
	s.sync()
	s.seal(exitGood, "alice.jones@example.test")
	s.seal(exitNotGood, "alice@example.test")

	// Time passes: what has expired goes, although nobody touched the directory.
	before := s.now
	s.now = "2027-06-01T00:00:00Z"
	if r := s.sync(); r["removed"] != 2.0 {
		t.Errorf("a year later: %v", r)
	}
	s.seal(exitNotGood, "bob@example.test")
	s.now = before
	s.smime(exitGood, "sync", "--from", s.ldaps(), "--to", s.db(), "--full")
	s.seal(exitGood, "bob@example.test")

	// Bob leaves.
	s.must(s.admin.Del(ldap.NewDelRequest(s.dn("bob"), nil)))
	s.sync()
	s.seal(exitNotGood, "bob@example.test")
	s.seal(exitGood, "alice.jones@example.test")
}
