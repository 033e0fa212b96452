package ldapstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/net/idna"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mailbox"
)

// addressesPerSearch is how many addresses one search asks for.
const addressesPerSearch = 20

// Certificates yields the certificates of every directory entry that has the address of an
// [certstore.Email]: first those of userSMIMECertificate, then
// those of userCertificate, as Exchange and Outlook prefer them; within an attribute the
// order means nothing. They are yielded whether or not they name the address: one that
// does is filed under the first address of its entry that it names, any other under the
// address that was asked for.
//
// Other queries find the certificates of certification authorities (RFC 4523, Section
// 2.5), and with [Store.Scan] those of everybody.
func (s *Store) Certificates(ctx context.Context, q certstore.Query) iter.Seq2[*certstore.Entry, error] {
	return func(yield func(*certstore.Entry, error) bool) {
		emails, others := split(q)
		type key struct {
			cert    [32]byte
			address string
		}
		seen := map[key]bool{}
		send := func(entries []*certstore.Entry) bool {
			for _, e := range entries {
				k := key{sha256.Sum256(e.Certificate.Raw), e.Address}
				if seen[k] {
					continue
				}
				seen[k] = true
				if !yield(e, nil) {
					return false
				}
			}
			return true
		}
		left := s.timeout() // for all searches together, but not for whoever takes the entries
		for chunk := range slices.Chunk(emails, addressesPerSearch) {
			began := time.Now()
			limited, cancel := context.WithTimeoutCause(ctx, left, s.tooSlow())
			entries, err := s.byAddress(limited, chunk)
			cancel()
			left -= time.Since(began)
			if !send(entries) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
		if len(others) == 0 {
			return
		}
		entries, err := s.authorities(ctx, others)
		if err == nil && s.Scan {
			var all []*certstore.Entry
			all, err = s.scan(ctx, others)
			entries = append(entries, all...)
		}
		if !send(entries) {
			return
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// split takes a query apart into the addresses and the rest.
func split(q certstore.Query) (emails []string, others certstore.AnyOf) {
	open := []certstore.Query{q}
	for len(open) > 0 {
		q := open[len(open)-1]
		open = open[:len(open)-1]
		switch q := q.(type) {
		case nil:
		case certstore.AnyOf:
			for _, m := range slices.Backward(q) {
				open = append(open, m)
			}
		case certstore.Email:
			if _, _, ok := mailbox.Split(string(q)); ok && !slices.Contains(emails, string(q)) {
				emails = append(emails, string(q))
			}
		default:
			others = append(others, q)
		}
	}
	return emails, others
}

// byAddress finds the entries that have one of the addresses.
func (s *Store) byAddress(ctx context.Context, addresses []string) ([]*certstore.Entry, error) {
	found, err := s.people(ctx, addresses)
	if err != nil {
		return nil, err
	}
	byAddress := make([][]*certstore.Entry, len(addresses))
	for _, e := range found {
		if err := ctx.Err(); err != nil {
			return nil, s.wrap(ctx, err)
		}
		o := s.object(e)
		for i, address := range addresses {
			if filed := o.spelling(address); filed != "" {
				byAddress[i] = append(byAddress[i], s.entries(o, filed)...)
			}
		}
	}
	return slices.Concat(byAddress...), nil
}

// people returns the directory entries that have one of the addresses, complete.
func (s *Store) people(ctx context.Context, addresses []string) ([]*ldap.Entry, error) {
	limit := s.maxEntries() * len(addresses)
	if base, ok := s.knownBase(); ok && s.Bind == nil {
		found, err := s.peopleLean(ctx, base, addresses, limit)
		if err != nil || !slices.ContainsFunc(found, isPartial) {
			return found, err
		}
		// What is left is asked for by the LDAP library, as everything that is rare.
		return found, s.with(ctx, false, func(ctx context.Context, c *conn) error { return complete(ctx, c, found) })
	}
	var found []*ldap.Entry
	err := s.with(ctx, true, func(ctx context.Context, c *conn) error {
		base, err := s.base(ctx, c)
		if err != nil {
			return err
		}
		g := gatherer{limit: limit}
		err = c.search(ctx, &ldap.SearchRequest{
			BaseDN: base, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases,
			SizeLimit: limit, Filter: s.addressFilter(addresses), Attributes: s.attributes(),
		}, func(e *ldap.Entry, _ []ldap.Control) error { return g.add(e) }, nil)
		if err != nil {
			return tooMany(err, limit, addresses)
		}
		found = g.entries
		return complete(ctx, c, found)
	})
	return found, err
}

func (s *Store) peopleLean(ctx context.Context, base string, addresses []string, limit int) ([]*ldap.Entry, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout(), s.tooSlow())
	defer cancel()
	found, err := s.lookup(ctx, base, addresses, limit)
	return found, s.wrap(ctx, tooMany(err, limit, addresses))
}

// answerOctets bounds the values of one answer that is held in memory: ten thousand
// certificates of the usual size.
const answerOctets = 32 << 20

// A gatherer holds the entries of an answer, up to its bounds.
type gatherer struct {
	limit   int
	octets  int
	entries []*ldap.Entry
}

func (g *gatherer) add(e *ldap.Entry) error {
	if len(g.entries) == g.limit {
		return ldap.ErrSizeLimitExceeded
	}
	for _, a := range e.Attributes {
		for _, v := range a.ByteValues {
			g.octets += len(v)
		}
	}
	if g.octets > answerOctets {
		return &limits.Exceeded{What: "octets of one answer", Max: answerOctets}
	}
	g.entries = append(g.entries, e)
	return nil
}

func tooMany(err error, limit int, addresses []string) error {
	if errors.Is(err, ldap.ErrSizeLimitExceeded) || ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		return fmt.Errorf("more than %d entries for %d addresses", limit, len(addresses))
	}
	return err
}

// isPartial reports whether a server left out a part of an attribute of many values.
func isPartial(e *ldap.Entry) bool {
	return slices.ContainsFunc(e.Attributes, func(a *ldap.EntryAttribute) bool {
		_, _, partial := rangeOf(a.Name)
		return partial
	})
}

// addressFilter is a filter for entries that have one of the addresses. Every address
// comes escaped (RFC 4515, Section 3), so that it can match values only.
func (s *Store) addressFilter(addresses []string) string {
	var b strings.Builder
	b.WriteString("(|")
	for _, address := range addresses {
		for _, form := range forms(address) {
			form = ldap.EscapeFilter(form)
			b.WriteString("(mail=" + form + ")(proxyAddresses=smtp:" + form + ")")
			for _, name := range s.Addresses {
				b.WriteString("(" + ldap.EscapeFilter(name) + "=" + form + ")")
			}
		}
	}
	b.WriteString(")")
	if s.Filter != "" {
		return "(&" + s.Filter + b.String() + ")"
	}
	return b.String()
}

// forms returns the ways a directory may write an address: as it was asked for, with the
// domain as A-labels, since mail is an ASCII attribute (RFC 4524, Section 2.16), and as
// U-labels, since in Active Directory it is not.
func forms(address string) []string {
	list := []string{address}
	add := func(form string) {
		if !slices.ContainsFunc(list, func(f string) bool { return strings.EqualFold(f, form) }) {
			list = append(list, form)
		}
	}
	if local, domain, ok := mailbox.Split(address); ok {
		add(local + "@" + domain)
		if u, err := idna.Lookup.ToUnicode(domain); err == nil {
			add(local + "@" + u)
		}
	}
	return list
}

// attributes are what is read of an entry: both spellings of the certificates, since no
// single one works everywhere.
func (s *Store) attributes() []string {
	return append([]string{
		"mail", "proxyAddresses", "userCertificate", "userCertificate;binary", "userSMIMECertificate", "userSMIMECertificate;binary",
	}, s.Addresses...)
}

// entries makes the entries of an object's own certificates, for one of its addresses.
func (s *Store) entries(o *object, address string) []*certstore.Entry {
	var list []*certstore.Entry
	for _, v := range o.values {
		if v.Chain {
			continue
		}
		filed := address
		if slices.Contains(v.named, address) {
			filed = o.filed(v)
		}
		list = append(list, &certstore.Entry{
			Certificate: v.Certificate, Source: s.String() + " " + v.attribute, Address: filed,
			Default: v.Default, Published: v.Published, Capabilities: v.Capabilities,
		})
	}
	return list
}

// authorities finds certification authorities whose certificate matches.
func (s *Store) authorities(ctx context.Context, q certstore.AnyOf) ([]*certstore.Entry, error) {
	var list []*certstore.Entry
	err := s.with(ctx, true, func(ctx context.Context, c *conn) error {
		list = nil
		base, err := s.base(ctx, c)
		if err != nil {
			return err
		}
		bases := []string{base}
		// Active Directory keeps them under Public Key Services in the configuration.
		if root, err := s.describe(ctx, c); err != nil {
			return err
		} else if root.configuration != "" && base != "" {
			bases = append(bases, "CN=Public Key Services,CN=Services,"+root.configuration)
		}
		for i, base := range bases {
			err := pages(ctx, c, &ldap.SearchRequest{
				BaseDN: base, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases,
				Filter:     "(|(objectClass=certificationAuthority)(objectClass=pkiCA)(objectClass=pKIEnrollmentService))",
				Attributes: []string{"cACertificate", "cACertificate;binary"},
			}, func(e *ldap.Entry, _ []ldap.Control) error {
				for _, v := range s.object(e).values {
					if q.Match(v.Certificate) {
						list = append(list, &certstore.Entry{Certificate: v.Certificate, Source: s.String() + " " + v.attribute})
					}
				}
				return nil
			}, nil)
			var answer *ldap.Error
			if i > 0 && errors.As(err, &answer) && answer.ResultCode == ldap.LDAPResultNoSuchObject {
				err = nil // no public key services in this forest
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// scan reads the whole directory.
func (s *Store) scan(ctx context.Context, q certstore.AnyOf) ([]*certstore.Entry, error) {
	var list []*certstore.Entry
	err := s.walk(ctx, func(o *object) error {
		for _, v := range o.values {
			if q.Match(v.Certificate) {
				list = append(list, &certstore.Entry{
					Certificate: v.Certificate, Source: s.String() + " " + v.attribute, Address: o.filed(v),
					Default: v.Default, Published: v.Published, Capabilities: v.Capabilities,
				})
			}
		}
		return nil
	})
	slices.SortStableFunc(list, func(a, b *certstore.Entry) int { return cmp.Compare(a.Address, b.Address) })
	return list, err
}

// All yields every entry of every object that has a certificate: each of the object's own
// certificates filed under its addresses, and those of its path under none. It reads the
// directory page by page, each within [Store.Timeout].
func (s *Store) All(ctx context.Context) iter.Seq2[*certstore.Entry, error] {
	return func(yield func(*certstore.Entry, error) bool) {
		stopped := errors.New("stopped")
		err := s.walk(ctx, func(o *object) error {
			for _, v := range o.values {
				addresses := o.addresses
				if v.Chain || len(addresses) == 0 {
					addresses = []string{""}
				}
				for _, a := range addresses {
					if !yield(&certstore.Entry{
						Certificate: v.Certificate, Source: s.String() + " " + v.attribute, Address: a,
						Default: v.Default, Published: v.Published, Capabilities: v.Capabilities,
					}, nil) {
						return stopped
					}
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, stopped) {
			yield(nil, err)
		}
	}
}
