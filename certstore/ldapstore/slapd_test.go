//go:build unix

package ldapstore_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/ldapstore"
	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/internal/servertest"
)

// ldif writes one person of the test directory.
func ldif(b *bytes.Buffer, uid string, lines ...string) {
	fmt.Fprintf(b, "dn: uid=%[1]s,ou=people,dc=example,dc=test\nobjectClass: inetOrgPerson\nobjectClass: adMailUser\nuid: %[1]s\ncn: %[1]s\nsn: %[1]s\n", uid)
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	b.WriteString("\n")
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func newStore(t testing.TB, url string, server *servertest.Slapd) *ldapstore.Store {
	t.Helper()
	s, err := ldapstore.New(url)
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = &tls.Config{RootCAs: server.Roots}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestSlapd is what a real OpenLDAP answers. Attack row H05: addresses with wildcards,
// parentheses, NUL and backslashes find nobody.
func TestSlapd(t *testing.T) {
	ca := certtest.NewCA(t, "Test CA")
	alice, alice2 := named(t, ca, "alice", "alice@example.test"), named(t, ca, "alice2", "alice@example.test")
	bob, carol := named(t, ca, "bob", "bob@example.test"), named(t, ca, "carol", "carol@example.test")
	var data bytes.Buffer
	ldif(&data, "alice", "mail: alice@example.test", "proxyAddresses: SMTP:Alice@example.test", "proxyAddresses: smtp:a.smith@example.test", "proxyAddresses: X500:/o=x/cn=alice",
		"userCertificate;binary:: "+b64(alice.Raw), "userCertificate;binary:: "+b64(alice2.Raw), "userSMIMECertificate:: "+b64(alice.Raw))
	ldif(&data, "bob", "mail: bob@example.test", "mail: shared@example.test", "userCertificate;binary:: "+b64(bob.Raw))
	ldif(&data, "carol", "mail: carol@example.test", "mail: shared@example.test", "userSMIMECertificate:: "+b64(carol.Raw), "userSMIMECertificate:: "+b64([]byte("junk")))
	ldif(&data, "nobody", "mail: nobody@example.test")
	fmt.Fprintf(&data, "dn: cn=team,ou=people,dc=example,dc=test\nobjectClass: groupOfNames\nobjectClass: extensibleObject\ncn: team\nmail: team@example.test\n"+
		"member: uid=alice,ou=people,dc=example,dc=test\nmember: uid=bob,ou=people,dc=example,dc=test\nmember: uid=gone,ou=people,dc=example,dc=test\nmember: ou=people,dc=example,dc=test\n\n")
	fmt.Fprintf(&data, "dn: cn=ca,dc=example,dc=test\nobjectClass: organizationalRole\nobjectClass: pkiCA\ncn: ca\ncACertificate;binary:: %s\n\n", b64(ca.Certificate.Raw))
	server := servertest.StartSlapd(t, data.Bytes())

	for name, url := range map[string]string{"StartTLS": server.URL, "LDAPS": server.TLSURL, "Base": server.URL + "/ou=people,dc=example,dc=test"} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, url, server)
			for _, test := range []struct {
				what string
				q    certstore.Query
				want string
			}{
				{"mail", certstore.Email("alice@example.test"), "alice2<alice@example.test> alice<alice@example.test>"},
				{"mail in capitals", certstore.Email("ALICE@EXAMPLE.TEST"), "alice2<alice@example.test> alice<alice@example.test>"},
				{"secondary address", certstore.Email("a.smith@example.test"), "alice2<a.smith@example.test> alice<a.smith@example.test>"},
				{"two people", certstore.Email("shared@example.test"), "bob<shared@example.test> carol<shared@example.test>"},
				{"several", certstore.AnyOf{certstore.Email("bob@example.test"), certstore.Email("carol@example.test"), certstore.Email("none@example.test")}, "bob<bob@example.test> carol<carol@example.test>"},
				{"without certificate", certstore.Email("nobody@example.test"), ""},
				{"unknown", certstore.Email("none@example.test"), ""},
				{"no address", certstore.Email("alice"), ""},
				{"a user's key", certstore.SubjectKeyID(bob.SubjectKeyId), ""},
			} {
				if got := describe(collect(t, s.Certificates(t.Context(), test.q))); got != test.want {
					t.Errorf("%s: got %q, want %q", test.what, got, test.want)
				}
			}
		})
	}
	t.Run("Authorities", func(t *testing.T) {
		s := newStore(t, server.URL, server)
		for _, q := range []certstore.Query{certstore.RawSubject(ca.Certificate.RawSubject), certstore.SubjectKeyID(ca.Certificate.SubjectKeyId), certstore.AnyOf{certstore.RawSubject(ca.Certificate.RawSubject)}} {
			if got := describe(collect(t, s.Certificates(t.Context(), q))); got != "Test CA<>" {
				t.Errorf("%T: got %q", q, got)
			}
		}
	})
	t.Run("Scan", func(t *testing.T) {
		s := newStore(t, server.URL, server)
		s.Scan = true
		for _, q := range []certstore.Query{
			certstore.RawSubject(bob.RawSubject), certstore.SubjectKeyID(bob.SubjectKeyId),
			certstore.IssuerSerial{RawIssuer: bob.RawIssuer, Serial: bob.SerialNumber}, certstore.Thumbprint(sha256.Sum256(bob.Raw)),
		} {
			if got := describe(collect(t, s.Certificates(t.Context(), q))); got != "bob<bob@example.test>" {
				t.Errorf("%T: got %q", q, got)
			}
		}
		if got := len(collect(t, s.All(t.Context()))); got != 2*2+2+2 {
			t.Errorf("All yields %d entries", got)
		}
	})
	t.Run("Injection", func(t *testing.T) {
		s := newStore(t, server.URL, server)
		for _, address := range []string{"*", "*@example.test", "*)(mail=*", "alice@example.test)(mail=*", "a*@example.test", "alice@example.test\x00", "\\2a@example.test", "*)(uid=*))(|(uid=*@example.test", "(mail=*)@example.test"} {
			for e, err := range s.Certificates(t.Context(), certstore.Email(address)) {
				t.Errorf("%q: %v %v", address, e, err)
			}
		}
	})
	t.Run("WrongAuthority", func(t *testing.T) {
		for _, url := range []string{server.URL, server.TLSURL} {
			s := newStore(t, url, server)
			s.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
			refused(t, s, "certificate signed by unknown authority")
		}
	})
	t.Run("WrongName", func(t *testing.T) {
		for _, url := range []string{server.URL, server.TLSURL} {
			s := newStore(t, url, server)
			s.TLS.ServerName = "dc.example.com"
			refused(t, s, "not dc.example.com")
		}
	})
	t.Run("Bind", func(t *testing.T) {
		s := newStore(t, server.URL, server)
		s.User, s.Password = server.Admin, server.Password
		if got := describe(collect(t, s.Certificates(t.Context(), certstore.Email("bob@example.test")))); got != "bob<bob@example.test>" {
			t.Errorf("got %q", got)
		}
		s = newStore(t, server.URL, server)
		s.User, s.Password = server.Admin, "wrong"
		refused(t, s, "Invalid Credentials")
		s = newStore(t, server.URL, server)
		s.User = server.Admin
		refused(t, s, "a user without a password")
		s = newStore(t, server.URL, server)
		s.User, s.Password, s.AllowCleartext = server.Admin, server.Password, true
		refused(t, s, "a password is not sent without TLS")
		s = newStore(t, server.URL, server)
		s.AllowCleartext = true
		if got := describe(collect(t, s.Certificates(t.Context(), certstore.Email("bob@example.test")))); got != "bob<bob@example.test>" {
			t.Errorf("in clear: got %q", got)
		}
	})
	t.Run("People", func(t *testing.T) {
		s := newStore(t, server.URL, server)
		for address, want := range map[string]string{
			"alice@example.test": "a.smith@example.test", "a.smith@example.test": "alice@example.test",
			"nobody@example.test": "", "shared@example.test": "", "none@example.test": "", "*": "",
		} {
			others, err := s.OtherAddresses(t.Context(), address)
			if got := strings.Join(others, " "); err != nil || got != want {
				t.Errorf("others of %s: %q, %v, want %q", address, got, err, want)
			}
		}
		members, group, err := s.Members(t.Context(), "TEAM@example.test")
		if got := strings.Join(members, " "); err != nil || !group || got != "alice@example.test bob@example.test" {
			t.Errorf("members: %q, %v, %v", got, group, err)
		}
		for _, address := range []string{"alice@example.test", "none@example.test", "*"} {
			if members, group, err := s.Members(t.Context(), address); err != nil || group || members != nil {
				t.Errorf("%s: %q, %v, %v", address, members, group, err)
			}
		}
	})
	t.Run("Reconnect", func(t *testing.T) {
		s := newStore(t, server.URL, server)
		for range 3 {
			collect(t, s.Certificates(t.Context(), certstore.Email("bob@example.test")))
			s.BreakIdle()
		}
	})
}

// refused checks that the store does not answer, soon, and with a reason that says why.
func refused(t *testing.T, s *ldapstore.Store, reason string) {
	t.Helper()
	start, n := time.Now(), 0
	for e, err := range s.Certificates(t.Context(), certstore.Email("alice@example.test")) {
		if n++; err == nil {
			t.Errorf("got %v, want an error about %q", e, reason)
		} else if !strings.Contains(err.Error(), reason) {
			t.Errorf("error %q, want one about %q", err, reason)
		}
	}
	if n != 1 {
		t.Errorf("%d answers, want one error about %q", n, reason)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}

// Attack row H05: an address becomes values of a filter, never its structure.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"alice@example.test", "*)(mail=*@x", "\\@x", "\x00@x", "ä@ö.example", "a@b)(|(c=d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		filter := new(ldapstore.Store).AddressFilter(address)
		p, err := ldap.CompileFilter(filter)
		if err != nil {
			t.Fatalf("%q gives %q: %v", address, filter, err)
		}
		// (|(mail=X)(proxyAddresses=smtp:X)), the pair once more if the domain has another form
		if p.Tag != ldap.FilterOr || len(p.Children) != 2 && len(p.Children) != 4 {
			t.Fatalf("%q gives %q", address, filter)
		}
		for _, c := range p.Children {
			if c.Tag != ldap.FilterEqualityMatch {
				t.Fatalf("%q gives %q: not only equality", address, filter)
			}
		}
	})
}
