//go:build unix

package ldapstore_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/ldapstore"
	"github.com/postseal/postseal/certstore/ldapstore/kerberos"
	"github.com/postseal/postseal/certstore/sync"
	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/internal/servertest"
)

// A domain is a Samba domain controller and an administrator's connection to it.
type domain struct {
	*servertest.Samba
	t     testing.TB
	admin *ldap.Conn
	ca    *certtest.CA
}

func newDomain(t testing.TB) *domain {
	t.Helper()
	s := servertest.StartSamba(t)
	c, err := ldap.DialURL("ldaps://"+s.Address, ldap.DialWithTLSConfig(&tls.Config{RootCAs: s.Roots}))
	if err == nil {
		err = c.Bind(s.Admin, s.Password)
	}
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return &domain{s, t, c, certtest.NewCA(t, "Domain CA")}
}

func (d *domain) store(url string) *ldapstore.Store {
	d.t.Helper()
	s, err := ldapstore.New(url)
	must(d.t, err)
	s.User, s.Password, s.TLS = d.Admin, d.Password, &tls.Config{RootCAs: d.Roots}
	d.t.Cleanup(func() { s.Close() })
	return s
}

func (d *domain) dn(name string) string { return "CN=" + name + ",CN=Users," + d.Base }

// addUser adds a user with an address, an alias and the certificates.
func (d *domain) addUser(name string, certs ...*x509.Certificate) {
	d.t.Helper()
	d.add("user", name, certs...)
}

func (d *domain) add(class, name string, certs ...*x509.Certificate) {
	d.t.Helper()
	a := ldap.NewAddRequest(d.dn(name), nil)
	a.Attribute("objectClass", []string{class})
	if class == "user" {
		a.Attribute("sAMAccountName", []string{name})
	}
	a.Attribute("mail", []string{name + "@example.test"})
	a.Attribute("proxyAddresses", []string{"SMTP:" + name + "@example.test", "smtp:" + name + ".alias@example.test"})
	if len(certs) > 0 {
		a.Attribute("userCertificate", raws(certs))
	}
	must(d.t, d.admin.Add(a))
}

func raws(certs []*x509.Certificate) []string {
	var list []string
	for _, c := range certs {
		list = append(list, string(c.Raw))
	}
	return list
}

func (d *domain) change(name string, change func(*ldap.ModifyRequest)) {
	d.t.Helper()
	modify(d.t, d.admin, d.dn(name), change)
}

// TestSamba is all that needs Active Directory, on one domain, since making one takes time.
func TestSamba(t *testing.T) {
	d := newDomain(t)
	t.Run("Lookup", d.in(testADLookup))
	t.Run("Groups", d.in(testADGroups))
	t.Run("GlobalCatalog", d.in(testADGlobalCatalog))
	t.Run("Security", d.in(testADSecurity))
	t.Run("DirSync", d.in(func(t *testing.T, d *domain) { testADSync(t, d, "ds", (*ldapstore.Store).DirSync, true) }))
	t.Run("USN", d.in(func(t *testing.T, d *domain) { testADSync(t, d, "usn", (*ldapstore.Store).USN, true) }))
	t.Run("DirSyncLeaving", d.in(func(t *testing.T, d *domain) { testADLeaving(t, d, "dsleft", (*ldapstore.Store).DirSync) }))
	t.Run("USNLeaving", d.in(func(t *testing.T, d *domain) { testADLeaving(t, d, "usnleft", (*ldapstore.Store).USN) }))
	t.Run("FullPass", d.in(func(t *testing.T, d *domain) { testADSync(t, d, "full", (*ldapstore.Store).FullPass, false) }))
	t.Run("Cursors", d.in(testADCursors))
	t.Run("Rules", d.in(testADRules))
	t.Run("Publish", d.in(func(t *testing.T, d *domain) {
		d.addUser("publisher")
		for _, name := range []string{"twice1", "twice2"} {
			d.addUser(name)
			d.change(name, func(m *ldap.ModifyRequest) { m.Replace("mail", []string{"twice@example.test"}) })
		}
		b := &bench{d.store("ldaps://" + d.Address), d.admin, d.dn("publisher"), "", d.ca}
		testPublish(t, b)
		testPublishTogether(t, b)
	}))
	t.Run("Kerberos", d.in(testADKerberos))
	t.Run("OrdinaryAccount", d.in(testADOrdinary))
}

func (d *domain) in(test func(*testing.T, *domain)) func(*testing.T) {
	return func(t *testing.T) {
		sub := *d
		sub.t = t
		test(t, &sub)
	}
}

func testADLookup(t *testing.T, d *domain) {
	alice, alice2 := named(t, d.ca, "alice", "alice@example.test"), named(t, d.ca, "alice2", "alice@example.test")
	d.addUser("alice", alice, alice2)
	d.change("alice", func(m *ldap.ModifyRequest) { m.Add("userSMIMECertificate", []string{string(alice.Raw)}) })
	contact := named(t, d.ca, "contact", "contact@example.test")
	d.add("contact", "contact", contact)
	for _, url := range []string{"ldaps://" + d.Address, "ldap://" + d.Address, "ldaps://" + d.Address + "/CN=Users," + d.Base} {
		s := d.store(url)
		for _, test := range []struct {
			q    certstore.Query
			want string
		}{
			{certstore.Email("alice@example.test"), "alice2<alice@example.test> alice<alice@example.test>"},
			{certstore.Email("ALICE.alias@example.test"), "alice2<alice.alias@example.test> alice<alice.alias@example.test>"},
			{certstore.Email("contact@example.test"), "contact<contact@example.test>"},
			{certstore.Email("*@example.test"), ""},
			{certstore.AnyOf{certstore.Email("alice@example.test"), certstore.Email("contact@example.test")}, "alice2<alice@example.test> alice<alice@example.test> contact<contact@example.test>"},
		} {
			if got := describe(collect(t, s.Certificates(t.Context(), test.q))); got != test.want {
				t.Errorf("%s, %v: got %q, want %q", url, test.q, got, test.want)
			}
		}
	}
	// The enterprise's own authorities.
	services := "CN=Public Key Services,CN=Services,CN=Configuration," + d.Base
	for _, dn := range []string{services, "CN=AIA," + services} {
		a := ldap.NewAddRequest(dn, nil)
		a.Attribute("objectClass", []string{"container"})
		if err := d.admin.Add(a); err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultEntryAlreadyExists) {
			t.Fatal(err)
		}
	}
	a := ldap.NewAddRequest("CN=Domain CA,CN=AIA,"+services, nil)
	a.Attribute("objectClass", []string{"certificationAuthority"})
	a.Attribute("cACertificate", []string{string(d.ca.Certificate.Raw)})
	a.Attribute("certificateRevocationList", []string{"\x00"})
	a.Attribute("authorityRevocationList", []string{"\x00"})
	must(t, d.admin.Add(a))
	if got := describe(collect(t, d.store("ldaps://"+d.Address).Certificates(t.Context(), certstore.RawSubject(d.ca.Certificate.RawSubject)))); got != "Domain CA<>" {
		t.Errorf("the authority: got %q", got)
	}
}

func testADGroups(t *testing.T, d *domain) {
	for _, name := range []string{"member1", "member2", "outsider"} {
		d.addUser(name)
	}
	for _, name := range []string{"inner", "team"} {
		a := ldap.NewAddRequest(d.dn(name), nil)
		a.Attribute("objectClass", []string{"group"})
		a.Attribute("sAMAccountName", []string{name})
		a.Attribute("mail", []string{name + "@example.test"})
		must(t, d.admin.Add(a))
	}
	for name, members := range map[string][]string{"inner": {"member2"}, "team": {"member1", "inner"}} {
		for _, m := range members {
			d.change(name, func(r *ldap.ModifyRequest) { r.Add("member", []string{d.dn(m)}) })
		}
	}
	s := d.store("ldaps://" + d.Address)
	members, group, err := s.Members(t.Context(), "team@example.test")
	slices.Sort(members)
	if got := strings.Join(members, " "); err != nil || !group || got != "inner@example.test member1@example.test" {
		t.Errorf("members: %q, %v, %v", got, group, err)
	}
	others, err := s.OtherAddresses(t.Context(), "member1.alias@example.test")
	if got := strings.Join(others, " "); err != nil || got != "member1@example.test" {
		t.Errorf("others: %q, %v", got, err)
	}
}

func testADGlobalCatalog(t *testing.T, d *domain) {
	d.addUser("gcuser", named(t, d.ca, "gcuser", "gcuser@example.test"))
	s := d.store("ldap://" + d.Address + ":3268")
	if got := describe(collect(t, s.Certificates(t.Context(), certstore.Email("gcuser@example.test")))); got != "gcuser<gcuser@example.test>" {
		t.Errorf("global catalog: got %q", got)
	}
}

func testADSecurity(t *testing.T, d *domain) {
	anonymous := d.store("ldaps://" + d.Address)
	anonymous.User, anonymous.Password = "", ""
	refused(t, anonymous, "Operations Error")
	wrong := d.store("ldaps://" + d.Address)
	wrong.Password = "wrong"
	refused(t, wrong, "Invalid Credentials")
	clear := d.store("ldap://" + d.Address)
	clear.AllowCleartext = true
	refused(t, clear, "a password is not sent without TLS")
	name := d.store("ldaps://" + d.Address)
	name.TLS.ServerName = "dc2.smime.test"
	refused(t, name, "not dc2.smime.test")
	// By name, as one does where names resolve.
	s := d.store("ldaps://" + d.Host)
	s.Dial = dialTo(d.Address)
	if n := len(collect(t, s.Certificates(t.Context(), certstore.Email("nobody@example.test")))); n != 0 {
		t.Errorf("%d certificates", n)
	}
}

// testADSync keeps a mirror in step with the domain through everything that can happen.
func testADSync(t *testing.T, d *domain, prefix string, source func(*ldapstore.Store) sync.Source, incremental bool) {
	s := d.store("ldaps://" + d.Address)
	s.Filter = "(sAMAccountName=" + prefix + "*)"
	m := newMirror(t, source(s))
	n := func(i int) string { return fmt.Sprint(prefix, i) }
	entry := func(i int) string { return fmt.Sprintf("%s<%s@example.test>", n(i), n(i)) }
	for i := range 6 {
		d.addUser(n(i), named(t, d.ca, n(i), n(i)+"@example.test"))
	}
	m.run()
	m.holds(entry(0), entry(1), entry(2), entry(3), entry(4), entry(5))
	r := m.run()
	if r.Added+r.Updated+r.Removed != 0 || incremental && r.Objects != 0 {
		t.Errorf("nothing changed: %+v %q", r, m.log)
	}
	// One more certificate, one fewer, none any more, another address, a new name, gone, new.
	extra := named(t, d.ca, "extra", n(0)+"@example.test")
	d.change(n(0), func(m *ldap.ModifyRequest) { m.Add("userCertificate", []string{string(extra.Raw)}) })
	d.change(n(1), func(m *ldap.ModifyRequest) { m.Delete("userCertificate", nil) })
	d.change(n(2), func(m *ldap.ModifyRequest) {
		m.Replace("mail", []string{"married@example.test"})
		m.Replace("proxyAddresses", []string{"SMTP:married@example.test"})
		m.Replace("userCertificate", []string{string(named(t, d.ca, "married", "married@example.test").Raw)})
	})
	must(t, d.admin.ModifyDN(ldap.NewModifyDNRequest(d.dn(n(3)), "CN="+prefix+" renamed", true, "")))
	must(t, d.admin.Del(ldap.NewDelRequest(d.dn(n(4)), nil)))
	d.addUser(n(6), named(t, d.ca, n(6), n(6)+"@example.test"))
	d.change(n(5), func(m *ldap.ModifyRequest) { m.Replace("description", []string{"nothing to do with mail"}) })
	r = m.run()
	m.holds(entry(0), fmt.Sprintf("extra<%s@example.test>", n(0)), "married<married@example.test>", entry(3), entry(5), entry(6))
	if incremental && (r.Full || r.Objects > 8) {
		t.Errorf("seven changes: %+v", r)
	}
	if r := m.run(); r.Added+r.Updated+r.Removed != 0 {
		t.Errorf("once more: %+v %q", r, m.log)
	}
	renamed := false
	for _, o := range heldNames(t, m) {
		renamed = renamed || strings.HasPrefix(o, "CN="+prefix+" renamed,")
	}
	if !renamed {
		t.Errorf("the new name did not arrive: %q", heldNames(t, m))
	}
	d.change(n(0), func(m *ldap.ModifyRequest) { m.Delete("userCertificate", []string{string(extra.Raw)}) })
	m.run()
	m.holds(entry(0), "married<married@example.test>", entry(3), entry(5), entry(6))
	must(t, d.admin.ModifyDN(ldap.NewModifyDNRequest(d.dn(n(6)), "CN="+n(6), true, "OU=Domain Controllers,"+d.Base)))
	m.run()
	m.holds(entry(0), "married<married@example.test>", entry(3), entry(5), entry(6))
}

// Who is moved out of the base, or does not meet the store's filter any more, such as a
// disabled account, is gone with the next run; who comes back is there again.
func testADLeaving(t *testing.T, d *domain, prefix string, source func(*ldapstore.Store) sync.Source) {
	s := d.store("ldaps://" + d.Address + "/CN=Users," + d.Base)
	s.Filter = "(&(sAMAccountName=" + prefix + "*)(!(description=disabled)))"
	m := newMirror(t, source(s))
	n := func(i int) string { return fmt.Sprint(prefix, i) }
	entry := func(i int) string { return fmt.Sprintf("%s<%s@example.test>", n(i), n(i)) }
	for i := range 3 {
		d.addUser(n(i), named(t, d.ca, n(i), n(i)+"@example.test"))
	}
	m.run()
	m.holds(entry(0), entry(1), entry(2))
	away := "OU=Domain Controllers," + d.Base
	must(t, d.admin.ModifyDN(ldap.NewModifyDNRequest(d.dn(n(1)), "CN="+n(1), true, away)))
	d.change(n(2), func(m *ldap.ModifyRequest) { m.Replace("description", []string{"disabled"}) })
	if r := m.run(); r.Full || r.Removed != 2 {
		t.Errorf("%+v %q", r, m.log)
	}
	m.holds(entry(0))
	must(t, d.admin.ModifyDN(ldap.NewModifyDNRequest("CN="+n(1)+","+away, "CN="+n(1), true, "CN=Users,"+d.Base)))
	d.change(n(2), func(m *ldap.ModifyRequest) { m.Delete("description", nil) })
	m.run()
	m.holds(entry(0), entry(1), entry(2))
}

func heldNames(t testing.TB, m *mirror) (list []string) {
	t.Helper()
	ids, err := m.db.Outdated(t.Context(), m.from.Name(), 1<<40, "", 1000)
	must(t, err)
	held, err := m.db.Held(t.Context(), m.from.Name(), ids)
	must(t, err)
	for _, h := range held {
		list = append(list, h.Name)
	}
	return list
}

// What is carried from a domain is what the rules say, a dry run says the same, and every
// refusal has its reason.
func testADRules(t *testing.T, d *domain) {
	unit := "OU=Staff," + d.Base
	a := ldap.NewAddRequest(unit, nil)
	a.Attribute("objectClass", []string{"organizationalUnit"})
	must(t, d.admin.Add(a))
	issue := func(name, address string, change func(*x509.Certificate)) *x509.Certificate {
		_, key := d.ca.Issue(t)
		return d.ca.IssueFor(t, key.Public(), func(c *x509.Certificate) {
			c.Subject.CommonName, c.EmailAddresses = name, []string{address}
			if change != nil {
				change(c)
			}
		})
	}
	var many []*x509.Certificate
	for i := range 17 {
		many = append(many, issue(fmt.Sprintf("many%02d", i), "rule1@example.test", func(c *x509.Certificate) { c.NotBefore = certtest.Epoch().AddDate(0, 0, i) }))
	}
	expired := issue("expired", "rule1@example.test", func(c *x509.Certificate) { c.NotAfter = certtest.Epoch().AddDate(0, 0, 1) })
	server := issue("server", "rule1@example.test", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	d.addUser("rule1", append(many, expired, server, named(t, d.ca, "foreign", "somebody@example.test"))...)
	d.addUser("rule2", named(t, d.ca, "rule2", "rule2@example.test"))
	must(t, d.admin.ModifyDN(ldap.NewModifyDNRequest(d.dn("rule2"), "CN=rule2", true, unit)))

	s := d.store("ldaps://" + d.Address)
	s.Filter = "(sAMAccountName=rule*)"
	all := func(from int) (list []string) {
		for _, c := range many[from:] {
			list = append(list, c.Subject.CommonName+"<rule1@example.test>")
		}
		return list
	}
	for name, test := range map[string]struct {
		rules   sync.Rules
		want    []string
		refused int
		why     string
	}{
		"zero value":     {sync.Rules{}, append(all(2), "rule2<rule2@example.test>"), 5, "object has 17 usable certificates: only the 15 best are carried"},
		"within a unit":  {sync.Rules{Within: []string{unit}}, []string{"rule2<rule2@example.test>"}, 0, ""},
		"without a unit": {sync.Rules{Without: []string{strings.ToLower(unit)}}, all(2), 5, "expired on"},
		"none above":     {sync.Rules{NoneAboveMax: true}, []string{"rule2<rule2@example.test>"}, 20, "more than 15: none is carried"},
		"no bound":       {sync.Rules{MaxPerObject: -1}, append(all(0), "rule2<rule2@example.test>"), 3, "extended key usage does not allow mail"},
		"everything":     {sync.Rules{MaxPerObject: -1, KeepExpired: true, KeepUnusable: true, KeepForeign: true}, append(all(0), "rule2<rule2@example.test>", "expired<rule1@example.test>", "server<rule1@example.test>", "foreign<rule1@example.test>"), 0, ""},
	} {
		m := newMirror(t, s.DirSync())
		m.rules = test.rules
		m.dry = true
		would := m.run()
		said := m.log
		m.holds()
		m.dry = false
		did := m.run()
		m.holds(test.want...)
		if would.Added != did.Added || !slices.Equal(said, m.log) || did.Refused != test.refused || did.Added != len(test.want) || m.progress == 0 {
			t.Errorf("%s: said %+v, did %+v, %d signs of progress", name, would, did, m.progress)
		}
		if !strings.Contains(strings.Join(m.log, "\n"), test.why) {
			t.Errorf("%s: no word of %q in\n\t%s", name, test.why, strings.Join(m.log, "\n\t"))
		}
	}
}

// A cursor that the server does not know, or that another server gave, leads to reading
// everything anew, and to nothing else.
func testADCursors(t *testing.T, d *domain) {
	d.addUser("cur1", named(t, d.ca, "cur1", "cur1@example.test"))
	s := d.store("ldaps://" + d.Address)
	s.Filter = "(sAMAccountName=cur*)"
	for name, test := range map[string]struct {
		from sync.Source
		bad  string
	}{
		"cookie":     {s.DirSync(), `{"kind":"dirsync","cookie":"Z2FyYmFnZQ=="}`},
		"invocation": {s.USN(), `{"kind":"usn","usn":1,"invocation":"00"}`},
		"number":     {s.USN(), `{"kind":"usn","usn":9999999999,"invocation":"00"}`},
		"kind":       {s.USN(), `{"kind":"dirsync","cookie":"Z2FyYmFnZQ=="}`},
		"garbage":    {s.DirSync(), `]`},
	} {
		m := newMirror(t, test.from)
		m.run()
		before, err := m.db.State(t.Context(), m.from.Name())
		must(t, err)
		var state map[string]any
		must(t, json.Unmarshal(before, &state))
		var good struct{ Cursor []byte }
		var of struct{ View string }
		must(t, json.Unmarshal(before, &good))
		must(t, json.Unmarshal(good.Cursor, &of))
		state["cursor"] = []byte(strings.Replace(test.bad, `{`, fmt.Sprintf(`{"view":%q,`, of.View), 1))
		after, err := json.Marshal(state)
		must(t, err)
		must(t, m.db.Apply(t.Context(), m.from.Name(), &sync.Update{Before: before, After: after}))
		r := m.run()
		if !r.Full || r.Added+r.Updated+r.Removed != 0 {
			t.Errorf("%s: %+v %q", name, r, m.log)
		}
		if r := m.run(); r.Full && name != "kind" || r.Objects != 0 {
			t.Errorf("%s, afterwards: %+v", name, r)
		}
	}
}

// An account without any rights of replication may follow the changes too.
func testADOrdinary(t *testing.T, d *domain) {
	d.addUser("ordinary", named(t, d.ca, "ordinary", "ordinary@example.test"))
	const password = "Passw0rd!y2"
	quoted := []byte{}
	for _, r := range `"` + password + `"` {
		quoted = append(quoted, byte(r), 0)
	}
	d.change("ordinary", func(m *ldap.ModifyRequest) {
		m.Replace("unicodePwd", []string{string(quoted)})
		m.Replace("userAccountControl", []string{"512"})
	})
	for name, source := range map[string]func(*ldapstore.Store) sync.Source{"DirSync": (*ldapstore.Store).DirSync, "USN": (*ldapstore.Store).USN} {
		s := d.store("ldaps://" + d.Address)
		s.User, s.Password = "ordinary@"+d.Realm, password
		s.Filter = "(sAMAccountName=ordinary)"
		m := newMirror(t, source(s))
		m.run()
		second := named(t, d.ca, "second "+name, "ordinary@example.test")
		d.change("ordinary", func(m *ldap.ModifyRequest) { m.Add("userCertificate", []string{string(second.Raw)}) })
		if r := m.run(); r.Added != 1 || r.Full {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func testADKerberos(t *testing.T, d *domain) {
	d.addUser("ticket", named(t, d.ca, "ticket", "ticket@example.test"))
	login := &kerberos.Login{User: "Administrator", Realm: d.Realm, Password: d.Password, Config: d.Krb5, Service: "ldap/" + d.Host}
	s := d.store("ldaps://" + d.Host)
	s.Dial, s.User, s.Password, s.Bind = dialTo(d.Address), "", "", login.Bind
	if got := describe(collect(t, s.Certificates(t.Context(), certstore.Email("ticket@example.test")))); got != "ticket<ticket@example.test>" {
		t.Errorf("got %q", got)
	}
	for name, change := range map[string]func(*kerberos.Login){
		"wrong password":  func(l *kerberos.Login) { l.Password = "wrong" },
		"unknown service": func(l *kerberos.Login) { l.Service = "ldap/elsewhere.test" },
		"nothing":         func(l *kerberos.Login) { l.Password = "" },
	} {
		l := *login
		change(&l)
		s := d.store("ldaps://" + d.Host)
		s.Dial, s.User, s.Password, s.Bind = dialTo(d.Address), "", "", l.Bind
		for _, err := range s.Certificates(t.Context(), certstore.Email("ticket@example.test")) {
			if err == nil || !strings.Contains(err.Error(), "kerberos: ") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	clear := d.store("ldap://" + d.Address)
	clear.AllowCleartext, clear.Bind = true, login.Bind
	refused(t, clear, "nobody is bound")
}
