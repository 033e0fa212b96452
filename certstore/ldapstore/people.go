package ldapstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mailbox"
)

// OtherAddresses returns the further addresses of the one person who has an address, the
// primary one first. It returns none if nobody has it, or several have.
//
// It fits smime.Resolver.Secondary, and does then what Exchange does when a certificate
// does not name the address a message goes to.
func (s *Store) OtherAddresses(ctx context.Context, address string) ([]string, error) {
	var others []string
	err := s.with(ctx, true, func(ctx context.Context, c *conn) error {
		found, err := s.having(ctx, c, address, nil)
		if err != nil || len(found) != 1 {
			return err
		}
		for _, a := range s.object(found[0]).addresses {
			if mailbox.Compare(address, mailbox.Mailbox{Address: a}) == mailbox.Different {
				others = append(others, a)
			}
		}
		return nil
	})
	return others, err
}

// Members returns the addresses of the members of the group that has an address, or false
// if no group has it. A member without an address cannot get mail and is left out; one
// that is a group itself is named by its own address. More than 10,000 members are an
// error.
//
// It fits smime.Resolver.Expand.
func (s *Store) Members(ctx context.Context, address string) (members []string, group bool, err error) {
	err = s.with(ctx, true, func(ctx context.Context, c *conn) error {
		members, group = nil, false
		found, err := s.having(ctx, c, address, []string{"objectClass", "member", "uniqueMember"})
		if err != nil {
			return err
		}
		for _, e := range found {
			if !isGroup(e) {
				continue
			}
			group = true
			if err := ranges(ctx, c, e); err != nil {
				return err
			}
			for _, dn := range append(textsOf(e, "member"), textsOf(e, "uniqueMember")...) {
				if len(members) == limits.RecipientInfos {
					return fmt.Errorf("group %q: %w", e.DN, &limits.Exceeded{What: "members", Max: limits.RecipientInfos})
				}
				member, err := s.addressOf(ctx, c, dn)
				if err != nil {
					return fmt.Errorf("member %q of %q: %w", dn, e.DN, err)
				}
				if member != "" {
					members = append(members, member)
				}
			}
		}
		return nil
	})
	return members, group, err
}

func isGroup(e *ldap.Entry) bool {
	for _, class := range textsOf(e, "objectClass") {
		switch strings.ToLower(class) {
		case "group", "groupofnames", "groupofuniquenames", "groupofmembers":
			return true
		}
	}
	return false
}

// having returns the entries that have an address. Without attributes, those that hold
// addresses are read.
func (s *Store) having(ctx context.Context, c *conn, address string, attributes []string) ([]*ldap.Entry, error) {
	if _, _, ok := mailbox.Split(address); !ok {
		return nil, nil
	}
	base, err := s.base(ctx, c)
	if err != nil {
		return nil, err
	}
	if attributes == nil {
		attributes = append([]string{"mail", "proxyAddresses"}, s.Addresses...)
	}
	var found []*ldap.Entry
	err = c.search(ctx, &ldap.SearchRequest{
		BaseDN: base, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases, SizeLimit: s.maxEntries(),
		Filter: s.addressFilter([]string{address}), Attributes: attributes,
	}, func(e *ldap.Entry, _ []ldap.Control) error {
		if len(found) == s.maxEntries() {
			return fmt.Errorf("more than %d entries have the address %s", s.maxEntries(), address)
		}
		found = append(found, e)
		return nil
	}, nil)
	return found, err
}

// addressOf returns the primary address of an entry, or nothing if it has none or is not
// here to be seen.
func (s *Store) addressOf(ctx context.Context, c *conn, dn string) (string, error) {
	address := ""
	err := c.search(ctx, &ldap.SearchRequest{
		BaseDN: dn, Scope: ldap.ScopeBaseObject, DerefAliases: ldap.NeverDerefAliases,
		Filter: "(objectClass=*)", Attributes: append([]string{"mail", "proxyAddresses"}, s.Addresses...),
	}, func(e *ldap.Entry, _ []ldap.Control) error {
		if o := s.object(e); len(o.addresses) > 0 {
			address = o.addresses[0]
		}
		return nil
	}, nil)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return "", nil
	}
	return address, err
}
