//go:build unix

package ldapstore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/certstore/ldapstore"
	"github.com/postseal/postseal/certstore/sqlstore"
	"github.com/postseal/postseal/certstore/sync"
	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/internal/servertest"
)

// admin returns a connection that may write.
func admin(t testing.TB, s *servertest.Slapd) *ldap.Conn {
	t.Helper()
	c, err := ldap.DialURL(s.TLSURL, ldap.DialWithTLSConfig(&tls.Config{RootCAs: s.Roots}))
	if err == nil {
		err = c.Bind(s.Admin, s.Password)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func person(uid string) string { return "uid=" + uid + ",ou=people,dc=example,dc=test" }

func modify(t testing.TB, c *ldap.Conn, dn string, change func(*ldap.ModifyRequest)) {
	t.Helper()
	m := ldap.NewModifyRequest(dn, nil)
	change(m)
	must(t, c.Modify(m))
}

// mirror is a database that a test keeps in step with a directory.
type mirror struct {
	t    testing.TB
	db   *sqlstore.Store
	from sync.Source
	log  []string

	rules    sync.Rules
	dry      bool
	progress int // how often it was told
}

func newMirror(t testing.TB, from sync.Source) *mirror {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "certs.db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return &mirror{t: t, db: db, from: from}
}

func (m *mirror) run() *sync.Report {
	m.t.Helper()
	m.log = nil
	s := &sync.Syncer{Source: m.from, Target: m.db, Rules: m.rules, DryRun: m.dry, Time: afterEpoch}
	s.Progress = func(sync.Report) { m.progress++ }
	s.Record = func(c sync.Change) {
		m.log = append(m.log, fmt.Sprintf("%s %s <%s> %s", c.Kind, c.Object, c.Address, c.Reason))
	}
	r, err := s.Run(m.t.Context())
	must(m.t, err)
	return r
}

func (m *mirror) holds(want ...string) {
	m.t.Helper()
	var got []string
	for _, e := range collect(m.t, m.db.All(m.t.Context())) {
		got = append(got, e.Certificate.Subject.CommonName+"<"+e.Address+">")
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		m.t.Errorf("the mirror holds\n\t%s\nwant\n\t%s\nlast run:\n\t%s", strings.Join(got, " "), strings.Join(want, " "), strings.Join(m.log, "\n\t"))
	}
}

// Every source keeps a mirror of slapd in step through everything that can happen to an
// entry; those that are told what changed do not read the rest.
func TestSyncSlapd(t *testing.T) {
	for name, source := range map[string]func(*ldapstore.Store) sync.Source{
		"Syncrepl": (*ldapstore.Store).Syncrepl, "FullPass": (*ldapstore.Store).FullPass,
	} {
		t.Run(name, func(t *testing.T) {
			ca := certtest.NewCA(t, "CA")
			var data bytes.Buffer
			var all []string
			for i := range 20 {
				uid := fmt.Sprintf("u%02d", i)
				a := uid + "@example.test"
				ldif(&data, uid, "mail: "+a, "userCertificate;binary:: "+b64(named(t, ca, uid, a).Raw))
				all = append(all, uid+"<"+a+">")
			}
			crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: certtest.Epoch(), NextUpdate: certtest.Epoch().AddDate(0, 0, 7)}, ca.Certificate, ca.Key)
			must(t, err)
			fmt.Fprintf(&data, "dn: cn=ca,dc=example,dc=test\nobjectClass: organizationalRole\nobjectClass: pkiCA\ncn: ca\ncACertificate;binary:: %s\ncertificateRevocationList;binary:: %s\n\n", b64(ca.Certificate.Raw), b64(crl))
			server := servertest.StartSlapd(t, data.Bytes())
			c := admin(t, server)
			s := newStore(t, server.URL, server)
			m := newMirror(t, source(s))
			incremental := name == "Syncrepl"

			r := m.run()
			m.holds(all...)
			if !r.Full || r.Added != 20 || r.CRLs != 1 {
				t.Errorf("first run: %+v", r)
			}
			if got := collect(t, m.db.CRLs(t.Context(), ca.Certificate.RawSubject)); len(got) != 1 || !bytes.Equal(got[0], crl) {
				t.Errorf("%d revocation lists", len(got))
			}
			r = m.run()
			m.holds(all...)
			if r.Added+r.Updated+r.Removed != 0 || incremental && (r.Full || r.Objects != 0) {
				t.Errorf("nothing changed: %+v", r)
			}

			second := named(t, ca, "second", "u00@example.test")
			modify(t, c, person("u00"), func(m *ldap.ModifyRequest) { m.Add("userCertificate;binary", []string{string(second.Raw)}) })
			modify(t, c, person("u01"), func(m *ldap.ModifyRequest) { m.Delete("userCertificate;binary", nil) })
			must(t, c.Del(ldap.NewDelRequest(person("u02"), nil)))
			must(t, c.ModifyDN(ldap.NewModifyDNRequest(person("u03"), "uid=renamed", true, "")))
			modify(t, c, person("u04"), func(m *ldap.ModifyRequest) { m.Replace("mail", []string{"other@example.test"}) })
			add := ldap.NewAddRequest(person("new"), nil)
			for k, v := range map[string]string{"objectClass": "inetOrgPerson", "uid": "new", "cn": "new", "sn": "new", "mail": "new@example.test", "userCertificate;binary": string(named(t, ca, "new", "new@example.test").Raw)} {
				add.Attribute(k, []string{v})
			}
			must(t, c.Add(add))
			r = m.run()
			after := append(slices.Clone(all[5:]), all[0], all[3], "second<u00@example.test>", "new<new@example.test>")
			m.holds(after...)
			if incremental && (r.Full || r.Objects > 8) {
				t.Errorf("six changes: %+v", r)
			}
			held, err := m.db.Outdated(t.Context(), m.from.Name(), 1<<40, "", 100)
			must(t, err)
			if len(held) != 18 {
				t.Errorf("%d objects are remembered, want 18", len(held))
			}

			// After a restart the log of deletions is gone: the server names what is left.
			must(t, c.Del(ldap.NewDelRequest(person("u05"), nil)))
			server.Stop()
			server.Start(t)
			c = admin(t, server)
			modify(t, c, person("u06"), func(m *ldap.ModifyRequest) { m.Delete("userCertificate;binary", nil) })
			m.run()
			m.holds(append(slices.Clone(all[7:]), all[0], all[3], "second<u00@example.test>", "new<new@example.test>")...)
		})
	}
}

// A reader who may not see entryUUID is told it by content synchronisation all the same, so
// that deletions are his, and what stays is not taken for deleted.
func TestSyncreplHiddenUUID(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	var data bytes.Buffer
	for _, uid := range []string{"u1", "u2"} {
		ldif(&data, uid, "mail: "+uid+"@example.test", "userCertificate;binary:: "+b64(named(t, ca, uid, uid+"@example.test").Raw))
	}
	server := servertest.StartSlapd(t, data.Bytes())
	server.Stop()
	config := filepath.Join(filepath.Dir(server.RootFile), "slapd.conf")
	text, err := os.ReadFile(config)
	must(t, err)
	must(t, os.WriteFile(config, []byte(strings.Replace(string(text), "access to * by * read", "access to attrs=entryUUID by * none\naccess to * by * read", 1)), 0o600))
	server.Start(t)
	m := newMirror(t, newStore(t, server.URL, server).Syncrepl())
	m.run()
	m.holds("u1<u1@example.test>", "u2<u2@example.test>")
	must(t, admin(t, server).Del(ldap.NewDelRequest(person("u1"), nil)))
	m.run()
	m.holds("u2<u2@example.test>")
	server.Stop() // it forgets what was deleted and names what is left
	server.Start(t)
	m.run()
	m.holds("u2<u2@example.test>")
}

// A store with another filter, further addresses or another user sees what has not changed
// for the first time.
func TestSyncOtherEyes(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	var data bytes.Buffer
	for _, uid := range []string{"u1", "u2"} {
		ldif(&data, uid, "mail: "+uid+"@example.test", "userCertificate;binary:: "+b64(named(t, ca, uid, uid+"@example.test").Raw))
	}
	server := servertest.StartSlapd(t, data.Bytes())
	some, all := newStore(t, server.URL, server), newStore(t, server.URL, server)
	some.Filter = "(uid=u1)"
	m := newMirror(t, some.Syncrepl())
	m.run()
	m.holds("u1<u1@example.test>")
	m.from = all.Syncrepl()
	m.run()
	m.holds("u1<u1@example.test>", "u2<u2@example.test>")
	m.from = some.Syncrepl()
	m.run()
	m.holds("u1<u1@example.test>")
}

// A source takes over from another: the cursor of one means nothing to the next, which
// reads everything anew and doubles nothing.
func TestSourcesTakeOver(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	var data bytes.Buffer
	ldif(&data, "u", "mail: u@example.test", "userCertificate;binary:: "+b64(named(t, ca, "u", "u@example.test").Raw))
	server := servertest.StartSlapd(t, data.Bytes())
	s := newStore(t, server.URL, server)
	best, err := s.Source(t.Context())
	must(t, err)
	m := newMirror(t, best)
	for _, from := range []sync.Source{best, s.FullPass(), s.Syncrepl(), best} {
		m.from = from
		r := m.run()
		m.holds("u<u@example.test>")
		if r.Updated+r.Removed != 0 {
			t.Errorf("%+v", r)
		}
	}
	for _, from := range []sync.Source{s.DirSync(), s.USN()} {
		if _, err := (&sync.Syncer{Source: from, Target: m.db}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no Active Directory") {
			t.Errorf("on OpenLDAP: %v", err)
		}
	}
	m.holds("u<u@example.test>")
}

// dialTo returns a dialer that knows one machine only.
func dialTo(host string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(host, port))
	}
}

// DirSync may take several answers to name everything. Whoever was named in one, and then
// changes, leaves or is deleted before the next, is in the next with that, and with nothing
// else.
func TestDirSyncMeanwhile(t *testing.T) {
	ca := certtest.NewCA(t, "CA")
	person := func(n byte, name string, more ...attribute) (string, []attribute) {
		return "CN=" + name + ",dc=example,dc=test", append([]attribute{
			{"objectGUID", []string{strings.Repeat(string(rune(n)), 16)}}, {"name", []string{name}}, {"objectClass", []string{"user"}},
		}, more...)
	}
	whole := func(n byte, name string) (string, []attribute) {
		return person(n, name, attribute{"mail", []string{name + "@example.test"}}, attribute{"userCertificate", []string{string(named(t, ca, name, name+"@example.test").Raw)}})
	}
	second := string(named(t, ca, "second", "changes@example.test").Raw)
	step := 0
	s := fake(t, answering(func(w io.Writer, id int64, request *ber.Packet) {
		send := func(dn string, attributes []attribute) { w.Write(entry(id, dn, attributes...)) }
		base, _ := request.Children[0].Value.(string)
		filter, err := ldap.DecompileFilter(request.Children[6])
		if err != nil {
			t.Error(err)
		}
		switch {
		case base == "":
			w.Write(entry(id, "", attribute{"defaultNamingContext", []string{"dc=example,dc=test"}}, attribute{"supportedCapabilities", []string{"1.2.840.113556.1.4.800"}}))
		case strings.Contains(filter, "RevocationList"):
		case strings.Contains(filter, "objectGUID"):
			dn, attributes := whole('c', "changes")
			attributes[4].values = append(attributes[4].values, second)
			send(dn, attributes)
		default:
			step++
			if step == 1 {
				send(whole('s', "stays"))
				send(whole('d', "deleted"))
				send(whole('l', "loses"))
				send(whole('c', "changes"))
				w.Write(doneWith(id, true, "one"))
				return
			}
			send(whole('n', "new"))
			send(person('l', "loses"))
			send("CN=deleted", []attribute{{"objectGUID", []string{strings.Repeat("d", 16)}}, {"isDeleted", []string{"TRUE"}}})
			send("CN=changes,dc=example,dc=test", []attribute{{"objectGUID", []string{strings.Repeat("c", 16)}}, {"userCertificate", []string{second}}})
			w.Write(doneWith(id, false, "two"))
			return
		}
		w.Write(doneWith(id, false, ""))
	}))
	s.Timeout = time.Minute
	m := newMirror(t, s.DirSync())
	m.rules.KeepForeign = true
	m.run()
	m.holds("changes<changes@example.test>", "new<new@example.test>", "second<changes@example.test>", "stays<stays@example.test>")
}
