package ldapstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/usersmime"
)

// A Publication is what a user puts into the directory.
type Publication struct {
	// Identity is the user's: its certificate is published, its key signs the block.
	Identity *certstore.Identity
	// Encryption is the certificate to encrypt to, if the user has another one for that.
	Encryption *x509.Certificate
	// Address says whose entry it is; empty means the first mailbox that the certificate
	// of Identity names.
	Address string
	// Capabilities is the DER of SMIMECapabilities (RFC 8551, Section 2.5.2); nil means
	// what this module reads.
	Capabilities []byte
	// KeepExpired leaves expired certificates where they are.
	KeepExpired bool
	// DryRun finds out what would change, and changes nothing.
	DryRun bool
	// Time is the current time; zero means now.
	Time time.Time
}

// Published says what a publication did.
type Published struct {
	DN      string // of the entry
	Changes []PublishedChange
	// UserCertificates is how many values of userCertificate there are now. Exchange
	// Online takes no change of a user who has more than 15.
	UserCertificates int
}

// A PublishedChange is one value that was added or removed.
type PublishedChange struct {
	Attribute  string
	Added      bool     // otherwise it was removed
	Thumbprint [32]byte // SHA-256 of the first certificate in the value
	Reason     string   // for people
}

// Publish puts a user's certificates where readers look for them: userCertificate gets
// them as they are, userSMIMECertificate a block signed with the user's key, with the path
// and the capabilities. What the user published before under the same certificates, or
// under older ones of the same name from the same authority, is replaced; what has expired
// is removed; everything else stays, also if somebody else changes it at the same time.
// Publishing the same once more changes nothing. Both attributes change in one step, or
// neither does.
//
// The user must have write access. A block that exceeds what Active Directory takes is
// made shorter from the far end of the path.
func (s *Store) Publish(ctx context.Context, p *Publication) (*Published, error) {
	if s.globalCatalog() {
		return nil, fmt.Errorf("ldapstore: %s is a global catalog, which can only be read", s)
	}
	own := []*x509.Certificate{p.Identity.Certificate()}
	if p.Encryption != nil && !p.Encryption.Equal(own[0]) {
		own = append(own, p.Encryption)
	}
	for _, c := range own {
		if len(c.Raw) > usersmime.MaxValue {
			return nil, fmt.Errorf("ldapstore: certificate of %q: %w", c.Subject, &limits.Exceeded{What: "octets of a directory value", Max: usersmime.MaxValue})
		}
	}
	now := p.Time
	if now.IsZero() {
		now = time.Now()
	}
	block := &usersmime.Block{
		Certificate: own[0], Key: p.Identity.Key(), Chain: p.Identity.Intermediates(),
		Encryption: p.Encryption, Capabilities: p.Capabilities, Time: now,
	}
	address := p.Address
	if address == "" {
		if names := mailbox.Of(own[0]); len(names) > 0 {
			address = names[0].Address
		}
	}
	w := &publisher{store: s, publication: p, own: own, block: block, now: now, address: address}
	var out *Published
	err := s.with(ctx, false, func(ctx context.Context, c *conn) (err error) {
		out, err = w.publish(ctx, c)
		return err
	})
	return out, err
}

type publisher struct {
	store       *Store
	publication *Publication
	own         []*x509.Certificate
	block       *usersmime.Block
	now         time.Time
	address     string
}

// An edit is what is to be done to one attribute.
type edit struct {
	add, remove [][]byte
	keep        [][]byte // values that stay
	changes     []PublishedChange
}

func (p *publisher) publish(ctx context.Context, c *conn) (*Published, error) {
	root, err := p.store.describe(ctx, c)
	if err != nil {
		return nil, err
	}
	// Somebody else may write at the same time.
	const attempts = 50
	for attempt := 1; ; attempt++ {
		e, err := p.entry(ctx, c)
		if err != nil {
			return nil, err
		}
		certificates, err := p.certificates(valuesOf(e, "userCertificate"))
		if err != nil {
			return nil, err
		}
		blocks, err := p.blocks(valuesOf(e, "userSMIMECertificate"))
		if err != nil {
			return nil, err
		}
		if !p.publication.DryRun {
			err = p.write(ctx, c, e, root, certificates, blocks)
		}
		if err != nil && attempt < attempts && ldap.IsErrorAnyOf(err, ldap.LDAPResultAssertionFailed, ldap.LDAPResultNoSuchAttribute, ldap.LDAPResultAttributeOrValueExists) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(rand.N(time.Duration(attempt) * 5 * time.Millisecond)):
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", e.DN, err)
		}
		return &Published{
			DN: e.DN, Changes: append(certificates.changes, blocks.changes...),
			UserCertificates: len(certificates.keep) + len(certificates.add),
		}, nil
	}
}

// entry returns the one entry that has the user's address.
func (p *publisher) entry(ctx context.Context, c *conn) (*ldap.Entry, error) {
	if _, _, ok := mailbox.Split(p.address); !ok {
		return nil, fmt.Errorf("%q is not an address", p.address)
	}
	base, err := p.store.base(ctx, c)
	if err != nil {
		return nil, err
	}
	var found []*ldap.Entry
	err = c.search(ctx, &ldap.SearchRequest{
		BaseDN: base, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases, SizeLimit: 10,
		Filter: p.store.addressFilter([]string{p.address}), Attributes: append(p.store.attributes(), "entryCSN"),
	}, func(e *ldap.Entry, _ []ldap.Control) error {
		found = append(found, e)
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		var names []string
		for _, e := range found {
			names = append(names, fmt.Sprintf("%q", e.DN))
		}
		return nil, fmt.Errorf("%d entries have the address %s, want one %s", len(found), p.address, strings.Join(names, ", "))
	}
	return found[0], ranges(ctx, c, found[0])
}

// valuesOf returns the values of an attribute, under whatever options they come.
func valuesOf(e *ldap.Entry, name string) [][]byte {
	var values [][]byte
	for _, a := range e.Attributes {
		if n, _, _ := strings.Cut(a.Name, ";"); !strings.EqualFold(n, name) {
			continue
		}
		for _, v := range a.ByteValues {
			if !slices.ContainsFunc(values, func(w []byte) bool { return bytes.Equal(v, w) }) {
				values = append(values, v)
			}
		}
	}
	return values
}

func (e *edit) removes(attribute string, value []byte, c *x509.Certificate, reason string) {
	e.remove = append(e.remove, value)
	e.changes = append(e.changes, PublishedChange{Attribute: attribute, Thumbprint: sha256.Sum256(c.Raw), Reason: reason})
}

// certificates decides about userCertificate.
func (p *publisher) certificates(values [][]byte) (*edit, error) {
	const name = "userCertificate"
	e := &edit{}
	for _, v := range values {
		c, err := pkix.ParseCertificate(v)
		switch reason := ""; {
		case err != nil || p.has(c):
			e.keep = append(e.keep, v)
		default:
			if reason = p.obsolete(c); reason != "" {
				e.removes(name, v, c, reason)
			} else {
				e.keep = append(e.keep, v)
			}
		}
	}
	for _, c := range p.own {
		if !slices.ContainsFunc(values, func(v []byte) bool { return bytes.Equal(v, c.Raw) }) {
			e.add = append(e.add, c.Raw)
			e.changes = append(e.changes, PublishedChange{name, true, sha256.Sum256(c.Raw), "published"})
		}
	}
	return e, nil
}

// blocks decides about userSMIMECertificate.
func (p *publisher) blocks(values [][]byte) (*edit, error) {
	const name = "userSMIMECertificate"
	e := &edit{}
	current := false
	for _, v := range values {
		found, _, err := usersmime.Parse(v)
		reason, first := p.judge(found)
		switch {
		case err != nil || first == nil:
			e.keep = append(e.keep, v)
		case !current && p.says(found):
			current = true
			e.keep = append(e.keep, v)
		case reason != "":
			e.removes(name, v, first, reason)
		default:
			e.keep = append(e.keep, v)
		}
	}
	if !current {
		value, err := usersmime.Sign(p.block)
		if err != nil {
			return nil, err
		}
		e.add = append(e.add, value)
		e.changes = append(e.changes, PublishedChange{name, true, sha256.Sum256(p.own[0].Raw), "published"})
	}
	return e, nil
}

// judge returns why a block goes away, if all certificates in it that are the user's are
// published anew, replaced or expired, and the first of them.
func (p *publisher) judge(found []usersmime.Found) (reason string, first *x509.Certificate) {
	for _, f := range found {
		if f.Chain {
			continue
		}
		why := p.obsolete(f.Certificate)
		if p.has(f.Certificate) {
			why = "published anew"
		}
		if first == nil {
			first, reason = f.Certificate, why
		}
		if why == "" {
			return "", first
		}
	}
	return reason, first
}

// says reports whether a block already says what we would.
func (p *publisher) says(found []usersmime.Found) bool {
	n := 0
	for _, f := range found {
		if f.Chain {
			continue
		}
		wanted := p.block.Encryption == nil || f.Certificate.Equal(p.block.Encryption)
		if n++; !p.has(f.Certificate) || !f.Published && f.Certificate.Equal(p.own[0]) {
			return false
		}
		if !f.Published {
			continue // it is somebody else's by what it names: nothing is said about it
		}
		if p.block.Encryption != nil && f.Default != wanted {
			return false
		}
		if p.block.Capabilities != nil && !bytes.Equal(f.Capabilities, p.block.Capabilities) {
			return false
		}
	}
	return n == len(p.own)
}

func (p *publisher) has(c *x509.Certificate) bool {
	return slices.ContainsFunc(p.own, c.Equal)
}

// obsolete returns why a certificate need not stay, or nothing.
func (p *publisher) obsolete(c *x509.Certificate) string {
	if p.now.After(c.NotAfter) {
		if p.publication.KeepExpired {
			return "" // whatever has replaced it: old mail is read with it
		}
		return "expired on " + c.NotAfter.UTC().Format(time.DateOnly)
	}
	for _, o := range p.own {
		if !c.Equal(o) && bytes.Equal(c.RawIssuer, o.RawIssuer) && bytes.Equal(c.RawSubject, o.RawSubject) && c.KeyUsage == o.KeyUsage && !c.NotBefore.After(o.NotBefore) {
			return "replaced by a newer one"
		}
	}
	return ""
}

const (
	controlPermissiveModify = "1.2.840.113556.1.4.1413"
	controlAssertion        = "1.3.6.1.1.12"
)

// A spelled is an attribute as one server may want it.
type spelled struct {
	name  string
	edit  *edit
	whole bool // written as a whole: the server cannot compare its values
}

// write changes both attributes in one step, so that no reader finds one without the
// other, and value by value, so that values that somebody else adds at the same time stay.
func (p *publisher) write(ctx context.Context, c *conn, e *ldap.Entry, root *rootDSE, certificates, blocks *edit) error {
	spellings := []string{"userCertificate;binary", "userCertificate"}
	if root.activeDirectory {
		slices.Reverse(spellings)
	}
	var err error
	for _, block := range []string{"userSMIMECertificate", "userSMIMECertificate;binary"} {
		for _, certificate := range spellings {
			attributes := []*spelled{{name: block, edit: blocks}, {name: certificate, edit: certificates}}
			attributes = slices.DeleteFunc(attributes, func(a *spelled) bool { return len(a.edit.add)+len(a.edit.remove) == 0 })
			if len(attributes) == 0 {
				return nil
			}
			err = p.modify(c, e, root, attributes)
			for _, a := range attributes {
				if !ldap.IsErrorWithCode(err, ldap.LDAPResultInappropriateMatching) {
					break
				}
				a.whole = true
				err = p.modify(c, e, root, attributes)
			}
			if !wrongSpelling(err) || ctx.Err() != nil {
				return err
			}
		}
	}
	return err
}

// modify asks for a change of all attributes at once.
func (p *publisher) modify(c *conn, e *ldap.Entry, root *rootDSE, attributes []*spelled) error {
	m := ldap.NewModifyRequest(e.DN, nil)
	if slices.ContainsFunc(attributes, func(a *spelled) bool { return a.whole }) {
		// The server is asked to write everything only if the entry is still the one we
		// read (RFC 4528).
		if csn := textOf(e, "entryCSN"); csn != "" && contains(root.controls, controlAssertion) {
			assertion, err := ldap.CompileFilter("(entryCSN=" + ldap.EscapeFilter(csn) + ")")
			if err != nil {
				return err
			}
			m.Controls = append(m.Controls, ldap.NewControlString(controlAssertion, true, string(assertion.Bytes())))
		}
	}
	if contains(root.controls, controlPermissiveModify) {
		m.Controls = append(m.Controls, ldap.NewControlString(controlPermissiveModify, true, ""))
	}
	for _, a := range attributes {
		if a.whole {
			m.Replace(a.name, stringsOf(append(slices.Clone(a.edit.keep), a.edit.add...)))
			continue
		}
		if len(a.edit.remove) > 0 {
			m.Delete(a.name, stringsOf(a.edit.remove))
		}
		if len(a.edit.add) > 0 {
			m.Add(a.name, stringsOf(a.edit.add))
		}
	}
	return c.Modify(m)
}

// wrongSpelling reports whether a server may want the attribute with ;binary, or without.
func wrongSpelling(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchAttribute, ldap.LDAPResultUndefinedAttributeType)
}

func stringsOf(values [][]byte) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return list
}
