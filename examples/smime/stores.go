package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"os"
	"strings"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/ldapstore"
	"github.com/postseal/postseal/certstore/smimeastore"
	"github.com/postseal/postseal/certstore/sqlstore"
	"github.com/postseal/postseal/smime"
)

// storeHelp says what --store takes.
const storeHelp = "a file or folder of certificates, sqlite:FILE, postgres://..., ldap://..., ldaps://... (SMIME_LDAP_USER, SMIME_LDAP_PASSWORD, SMIME_LDAP_CA) or smimea:[RESOLVER]; repeatable, asked in order"

// A place is a store of --store, --from or --to. What it cannot be used as is nil.
type place struct {
	name string
	certstore.Store
	io.Closer
	all    func(context.Context) iter.Seq2[*certstore.Entry, error]
	ldap   *ldapstore.Store
	sql    *sqlstore.Store
	smimea bool
	// missing is the file of a database that a dry run does not make.
	missing string
	writer  interface {
		certstore.Store
		certstore.Writer
	}
}

// openPlace opens a store to read from. A database that is not there is not made: it would
// say that nobody has a certificate, and be believed.
func openPlace(name string) (*place, error) {
	if file, ok := strings.CutPrefix(name, "sqlite:"); ok {
		if _, err := os.Stat(file); err != nil {
			return nil, unreadable(err)
		}
	}
	return makePlace(name)
}

// openTarget opens a store to write to. What a dry run would make is taken for empty.
func openTarget(name string, dryRun bool) (*place, error) {
	if file, ok := strings.CutPrefix(name, "sqlite:"); ok && file != "" && dryRun {
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			m := new(certstore.Memory)
			return &place{name: name, Store: m, Closer: io.NopCloser(nil), all: m.All, writer: m, missing: file}, nil
		}
	}
	return makePlace(name)
}

// makePlace opens one store, and makes a database that is not there.
func makePlace(name string) (*place, error) {
	p := &place{name: name}
	scheme, rest, _ := strings.Cut(name, ":")
	switch scheme {
	case "sqlite", "postgres", "postgresql":
		s, err := sqlstore.Open(context.Background(), name)
		if err != nil {
			return nil, unreadable(err)
		}
		p.Store, p.Closer, p.all, p.sql, p.writer = s, s, s.All, s, s
		p.name = withoutPassword(name)
	case "ldap", "ldaps":
		s, err := openLDAP(name)
		if err != nil {
			return nil, err
		}
		p.Store, p.Closer, p.all, p.ldap = s, s, s.All, s
		p.name = s.String() // without a password
	case "smimea":
		s, err := smimeastore.New(rest)
		if err != nil {
			return nil, wrongUsage("%v", err)
		}
		p.Store, p.Closer, p.smimea = s, io.NopCloser(nil), true
	default:
		if err := p.openFiles(name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// withoutPassword takes the passwords out of a postgres:// URL: with the user, or in a
// parameter. It need not be one for net/url, since it may name several hosts.
func withoutPassword(name string) string {
	scheme, rest, ok := strings.Cut(name, "://")
	if !ok || !strings.HasPrefix(scheme, "postgres") {
		return name
	}
	rest, parameters, some := strings.Cut(rest, "?")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		user, _, _ := strings.Cut(rest[:i], ":")
		rest = user + rest[i:]
	}
	if some {
		list := strings.Split(parameters, "&")
		for i, p := range list {
			if key, _, _ := strings.Cut(p, "="); key == "password" || key == "sslpassword" {
				list[i] = key + "="
			}
		}
		rest += "?" + strings.Join(list, "&")
	}
	return scheme + "://" + rest
}

// openFiles opens a folder, or reads a file of certificates.
func (p *place) openFiles(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return unreadable(err)
	}
	if info.IsDir() {
		d, err := certstore.OpenDir(name)
		if err != nil {
			return unreadable(err)
		}
		p.Store, p.Closer, p.all, p.writer = d, d, d.All, d
		return nil
	}
	certs, err := readCertificates(name)
	if err != nil {
		return err
	}
	m := new(certstore.Memory)
	m.Add(certs...)
	p.Store, p.Closer, p.all = m, io.NopCloser(nil), m.All
	return nil
}

// openLDAP makes a store of a URL, which may hold a user and a password where the
// environment does not.
func openLDAP(name string) (*ldapstore.Store, error) {
	u, err := url.Parse(name)
	if err != nil {
		return nil, wrongUsage("--store: not a URL") // the error would show the password
	}
	user, password := os.Getenv("SMIME_LDAP_USER"), os.Getenv("SMIME_LDAP_PASSWORD")
	if u.User != nil {
		user = u.User.Username()
		if p, ok := u.User.Password(); ok {
			password = p
		}
		u.User = nil
	}
	s, err := ldapstore.New(u.String())
	if err != nil {
		return nil, wrongUsage("%v", err)
	}
	s.User, s.Password = user, password
	if file := os.Getenv("SMIME_LDAP_CA"); file != "" {
		certs, err := readCertificates(file)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		for _, c := range certs {
			pool.AddCert(c)
		}
		s.TLS = &tls.Config{RootCAs: pool}
	}
	return s, nil
}

// places are the stores of --store, in order.
type places []*place

func openPlaces(names []string) (places, error) {
	var all places
	for _, name := range names {
		p, err := openPlace(name)
		if err != nil {
			all.Close()
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Close closes all of them.
func (all places) Close() error {
	var errs []error
	for _, p := range all {
		errs = append(errs, p.Closer.Close())
	}
	return errors.Join(errs...)
}

// store is one that asks all of them; nil if there are none.
func (all places) store() certstore.Store {
	if len(all) == 0 {
		return nil
	}
	stores := make([]certstore.Store, len(all))
	for i, p := range all {
		stores[i] = p.Store
	}
	return certstore.Multi(stores...)
}

// otherAddresses asks the directories for the further addresses of whoever has one.
func (all places) otherAddresses() func(context.Context, string) ([]string, error) {
	return func(ctx context.Context, address string) (list []string, err error) {
		for _, p := range all {
			if p.ldap == nil {
				continue
			}
			more, err := p.ldap.OtherAddresses(ctx, address)
			if err != nil {
				return list, err
			}
			list = append(list, more...)
		}
		return list, nil
	}
}

// databases are the stores that keep revocation data beside certificates.
type databases []*sqlstore.Store

func (all places) databases() (list databases) {
	for _, p := range all {
		if p.sql != nil {
			list = append(list, p.sql)
		}
	}
	return list
}

// CRLs yields the lists of an issuer that any of them has.
func (all databases) CRLs(ctx context.Context, rawIssuer []byte) iter.Seq2[[]byte, error] {
	return all.each(func(s *sqlstore.Store) iter.Seq2[[]byte, error] { return s.CRLs(ctx, rawIssuer) })
}

// OCSP yields the responses about a certificate that any of them has.
func (all databases) OCSP(ctx context.Context, c *x509.Certificate) iter.Seq2[[]byte, error] {
	return all.each(func(s *sqlstore.Store) iter.Seq2[[]byte, error] { return s.OCSP(ctx, c) })
}

func (all databases) each(ask func(*sqlstore.Store) iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, s := range all {
			for der, err := range ask(s) {
				if !yield(der, err) {
					return
				}
			}
		}
	}
}

// lookup finds the best certificate of an address: what lookup ranks first.
func (o *composeOptions) lookup(address string) (*x509.Certificate, error) {
	if len(o.stores) == 0 {
		return nil, fmt.Errorf("%s needs --store to be looked up in", address)
	}
	all, err := openPlaces(o.stores)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	found, err := (&finder{places: all, chain: &o.chain, now: o.composer.Time}).find(context.Background(), address)
	if len(found) > 0 && found[0].Usable {
		best := found[0].Certificate
		if o.known == nil {
			o.known = map[string][]byte{}
		}
		o.known[string(best.Raw)] = (&smime.Resolver{Store: all.store()}).Capabilities(context.Background(), best)
		return best, nil
	}
	switch {
	case len(found) > 0:
		return nil, fmt.Errorf("none of %d certificates of %s can be used; the best: %s", len(found), address, found[0].Reasons[0])
	case err != nil:
		return nil, err
	}
	return nil, fmt.Errorf("no certificate of %s in the stores", address)
}

// allOf is what can be read from end to end.
type allOf struct {
	all func(context.Context) iter.Seq2[*certstore.Entry, error]
}

func (a allOf) All(ctx context.Context) iter.Seq2[*certstore.Entry, error] { return a.all(ctx) }
