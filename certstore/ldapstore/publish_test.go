//go:build unix

package ldapstore_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/ldapstore"
	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/internal/servertest"
)

// A bench is a directory with one user, and what the publishing tests need to know of it.
type bench struct {
	store  *ldapstore.Store
	admin  *ldap.Conn
	dn     string
	binary string // option of userCertificate on this server
	ca     *certtest.CA
}

var publishTime = certtest.Epoch().AddDate(0, 6, 0)

func identity(t testing.TB, ca *certtest.CA, address string, change func(*x509.Certificate)) *certstore.Identity {
	t.Helper()
	_, key := ca.Issue(t)
	c := ca.IssueFor(t, key.Public(), func(c *x509.Certificate) {
		c.Subject.CommonName, c.EmailAddresses = address, []string{address}
		c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement
		if change != nil {
			change(c)
		}
	})
	id, err := certstore.NewIdentity(c, crypto.PrivateKey(key), ca.Certificate)
	must(t, err)
	return id
}

func (b *bench) publish(t testing.TB, p *ldapstore.Publication) (*ldapstore.Published, string) {
	t.Helper()
	if p.Time.IsZero() {
		p.Time = publishTime
	}
	out, err := b.store.Publish(t.Context(), p)
	must(t, err)
	var list []string
	for _, c := range out.Changes {
		sign := "-"
		if c.Added {
			sign = "+"
		}
		list = append(list, sign+c.Attribute)
	}
	slices.Sort(list)
	return out, strings.Join(list, " ")
}

// values counts the values of an attribute as the directory has them.
func (b *bench) values(t testing.TB, name string) (values [][]byte) {
	t.Helper()
	r, err := b.admin.Search(&ldap.SearchRequest{BaseDN: b.dn, Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: []string{name}})
	must(t, err)
	for _, a := range r.Entries[0].Attributes {
		values = append(values, a.ByteValues...)
	}
	return values
}

func testPublish(t *testing.T, b *bench) {
	const user = "publisher@example.test"
	id := identity(t, b.ca, user, nil)
	foreign := named(t, b.ca, "foreign", user)
	expired := b.ca.IssueFor(t, id.Certificate().PublicKey, func(c *x509.Certificate) {
		c.Subject.CommonName, c.NotAfter = "expired", certtest.Epoch().AddDate(0, 1, 0)
	})
	modify(t, b.admin, b.dn, func(m *ldap.ModifyRequest) {
		m.Add("userCertificate"+b.binary, []string{string(foreign.Raw), string(expired.Raw)})
		m.Add("userSMIMECertificate", []string{"what is this?", string(foreign.Raw), string(expired.Raw)})
	})

	dry, changes := b.publish(t, &ldapstore.Publication{Identity: id, DryRun: true})
	want := "+userCertificate +userSMIMECertificate -userCertificate -userSMIMECertificate"
	if changes != want || len(b.values(t, "userCertificate")) != 2 {
		t.Errorf("dry run: %s", changes)
	}
	out, changes := b.publish(t, &ldapstore.Publication{Identity: id})
	if changes != want || out.UserCertificates != 2 || !strings.EqualFold(out.DN, b.dn) || len(out.Changes) != len(dry.Changes) {
		t.Errorf("first: %s, %+v", changes, out)
	}
	certs, blocks := b.values(t, "userCertificate"), b.values(t, "userSMIMECertificate")
	if len(certs) != 2 || !containsValue(certs, foreign.Raw) || !containsValue(certs, id.Certificate().Raw) {
		t.Errorf("%d values of userCertificate", len(certs))
	}
	if len(blocks) != 3 || !containsValue(blocks, []byte("what is this?")) || !containsValue(blocks, foreign.Raw) {
		t.Errorf("%d values of userSMIMECertificate", len(blocks))
	}
	var mine *certstore.Entry
	for _, e := range collect(t, b.store.Certificates(t.Context(), certstore.Email(user))) {
		if e.Certificate.Equal(id.Certificate()) {
			mine = e
		}
	}
	if mine == nil || !mine.Published || !mine.Default || mine.Capabilities == nil {
		t.Errorf("found again as %+v", mine)
	}
	if _, changes = b.publish(t, &ldapstore.Publication{Identity: id}); changes != "" {
		t.Errorf("once more: %s", changes)
	}
	caps := []byte{0x30, 0x0d, 0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 0x2a}
	if _, changes = b.publish(t, &ldapstore.Publication{Identity: id, Capabilities: caps}); changes != "+userSMIMECertificate -userSMIMECertificate" {
		t.Errorf("other capabilities: %s", changes)
	}

	// A certificate for encryption beside the one for signing.
	encryption := named(t, b.ca, "encryption", user)
	if _, changes = b.publish(t, &ldapstore.Publication{Identity: id, Encryption: encryption}); changes != "+userCertificate +userSMIMECertificate -userSMIMECertificate" {
		t.Errorf("with an encryption certificate: %s", changes)
	}
	defaults := 0
	for _, e := range collect(t, b.store.Certificates(t.Context(), certstore.Email(user))) {
		if e.Default {
			defaults++
			if !e.Certificate.Equal(encryption) || !e.Published {
				t.Errorf("the default is %+v", e)
			}
		}
	}
	if defaults != 1 {
		t.Errorf("%d defaults", defaults)
	}

	// The next certificate of the same name from the same authority replaces ours.
	next := identity(t, b.ca, user, func(c *x509.Certificate) { c.NotBefore = certtest.Epoch().AddDate(0, 5, 0) })
	if _, changes = b.publish(t, &ldapstore.Publication{Identity: next, Encryption: encryption}); changes != "+userCertificate +userSMIMECertificate -userCertificate -userSMIMECertificate" {
		t.Errorf("renewal: %s", changes)
	}
	certs, blocks = b.values(t, "userCertificate"), b.values(t, "userSMIMECertificate")
	if len(certs) != 3 || len(blocks) != 3 || containsValue(certs, id.Certificate().Raw) {
		t.Errorf("after the renewal %d and %d values", len(certs), len(blocks))
	}

	// What has expired can stay, also what would be replaced.
	kept := &ldapstore.Publication{Identity: identity(t, b.ca, user, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = certtest.Epoch().AddDate(1, 0, 0), certtest.Epoch().AddDate(3, 0, 0)
	}), KeepExpired: true, DryRun: true, Time: certtest.Epoch().AddDate(2, 0, 0)}
	if out, changes = b.publish(t, kept); changes != "+userCertificate +userSMIMECertificate" || out.UserCertificates != 4 {
		t.Errorf("with all that has expired: %s, %d values", changes, out.UserCertificates)
	}

	// Everything expires but what is published.
	later := identity(t, b.ca, user, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = certtest.Epoch().AddDate(1, 0, 0), certtest.Epoch().AddDate(3, 0, 0)
	})
	out, _ = b.publish(t, &ldapstore.Publication{Identity: later, Time: certtest.Epoch().AddDate(2, 0, 0)})
	if certs, blocks := b.values(t, "userCertificate"), b.values(t, "userSMIMECertificate"); len(certs) != 1 || len(blocks) != 2 || out.UserCertificates != 1 {
		t.Errorf("years later %d and %d values", len(certs), len(blocks))
	}

	for what, p := range map[string]*ldapstore.Publication{
		"nobody's address": {Identity: id, Address: "nobody@example.test"},
		"no address":       {Identity: id, Address: "publisher"},
		"two entries":      {Identity: id, Address: "twice@example.test"},
	} {
		if _, err := b.store.Publish(t.Context(), p); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func containsValue(values [][]byte, v []byte) bool {
	return slices.ContainsFunc(values, func(w []byte) bool { return bytes.Equal(v, w) })
}

func TestPublishSlapd(t *testing.T) {
	var data bytes.Buffer
	ldif(&data, "publisher", "mail: publisher@example.test")
	ldif(&data, "one", "mail: twice@example.test")
	ldif(&data, "two", "mail: twice@example.test")
	// An entry that may have userCertificate, and no userSMIMECertificate.
	const half = "cn=half,ou=people,dc=example,dc=test"
	data.WriteString("dn: " + half + "\nobjectClass: organizationalRole\nobjectClass: pkiUser\nobjectClass: adMailUser\ncn: half\nproxyAddresses: SMTP:half@example.test\n\n")
	server := servertest.StartSlapd(t, data.Bytes())
	s := newStore(t, server.URL, server)
	s.User, s.Password = server.Admin, server.Password
	b := &bench{s, admin(t, server), person("publisher"), ";binary", certtest.NewCA(t, "CA")}
	testPublish(t, b)
	t.Run("Together", func(t *testing.T) { testPublishTogether(t, b) })
	t.Run("BothOrNeither", func(t *testing.T) {
		b := *b
		b.dn = half
		if out, err := b.store.Publish(t.Context(), &ldapstore.Publication{Identity: identity(t, b.ca, "half@example.test", nil), Time: publishTime}); err == nil {
			t.Errorf("a block was published where none is allowed: %+v", out)
		}
		if n := len(b.values(t, "userCertificate")); n != 0 {
			t.Errorf("one attribute was written without the other: %d values", n)
		}
	})
	t.Run("NotAllowed", func(t *testing.T) {
		anonymous := newStore(t, server.URL, server)
		if _, err := anonymous.Publish(t.Context(), &ldapstore.Publication{Identity: identity(t, b.ca, "publisher@example.test", nil)}); err == nil {
			t.Error("anybody may publish for others")
		}
		gc, err := ldapstore.New("ldap://127.0.0.1:3268")
		must(t, err)
		if _, err := gc.Publish(t.Context(), &ldapstore.Publication{Identity: identity(t, b.ca, "publisher@example.test", nil)}); err == nil || !strings.Contains(err.Error(), "global catalog") {
			t.Errorf("global catalog: %v", err)
		}
	})
}

// Several devices of a user publish at the same time: nobody's value gets lost.
func testPublishTogether(t *testing.T, b *bench) {
	const n = 6
	errs := make(chan error, n)
	ids := make([]*certstore.Identity, n)
	for i := range n {
		ids[i] = identity(t, b.ca, "publisher@example.test", func(c *x509.Certificate) {
			c.Subject.CommonName = fmt.Sprint("device ", i)
			c.NotAfter = certtest.Epoch().AddDate(4, 0, 0)
		})
	}
	for i := range n {
		go func() {
			_, err := b.store.Publish(t.Context(), &ldapstore.Publication{Identity: ids[i], Time: publishTime})
			errs <- err
		}()
	}
	for range n {
		must(t, <-errs)
	}
	certs, blocks := b.values(t, "userCertificate"), 0
	for _, e := range collect(t, b.store.Certificates(t.Context(), certstore.Email("publisher@example.test"))) {
		if e.Published && strings.HasPrefix(e.Certificate.Subject.CommonName, "device ") {
			blocks++
		}
	}
	for i, id := range ids {
		if !containsValue(certs, id.Certificate().Raw) {
			t.Errorf("device %d is missing", i)
		}
	}
	if blocks != n {
		t.Errorf("%d blocks of devices, want %d", blocks, n)
	}
}
