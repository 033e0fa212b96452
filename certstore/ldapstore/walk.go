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
	return s.withSearcher(ctx, func(ctx context.Context, c searcher) error {
		base, err := s.base(ctx, c)
		if err != nil {
			return err
		}
		p := s.pulse(ctx, c)
		defer p.stop()
		f := &feed{store: s, ctx: p.ctx, conn: c, pulse: p}
		err = f.search(base, s.filtered(withCertificates), nil, func(e *ldap.Entry) error {
			// found may take its time: that is not the server's.
			p.pause()
			err := found(s.object(e))
			p.beat()
			return err
		})
		return p.reason(err)
	})
}
