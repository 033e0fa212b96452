package ldapstore

import (
	"context"

	"github.com/go-ldap/ldap/v3"
)

// withCertificates matches entries that hold a certificate. Presence is asked for plain:
// with ;binary Active Directory finds nothing.
const withCertificates = "(|(userCertificate=*)(userSMIMECertificate=*))"

// walk calls found for every object that has a certificate. Every page has s.Timeout.
func (s *Store) walk(ctx context.Context, found func(*object) error) error {
	filter := withCertificates
	if s.Filter != "" {
		filter = "(&" + s.Filter + filter + ")"
	}
	return s.withConn(ctx, false, func(ctx context.Context, c *conn) error {
		base, err := s.base(ctx, c)
		if err != nil {
			return err
		}
		var page []*ldap.Entry
		pulse := s.pulse(ctx, c)
		defer pulse.stop()
		err = c.pages(pulse.ctx, &ldap.SearchRequest{
			BaseDN: base, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases, Filter: filter, Attributes: s.attributes(),
		}, func(e *ldap.Entry, _ []ldap.Control) error {
			pulse.beat()
			page = append(page, e)
			return nil
		}, func(bool) error {
			for _, e := range page {
				if err := c.ranges(pulse.ctx, e); err != nil {
					return err
				}
				// found may take its time: that is not the server's.
				pulse.pause()
				err := found(s.object(e))
				pulse.beat()
				if err != nil {
					return err
				}
			}
			page = page[:0]
			return nil
		})
		return pulse.reason(err)
	})
}
