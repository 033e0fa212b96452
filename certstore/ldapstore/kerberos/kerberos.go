// Package kerberos binds to a directory with a Kerberos ticket (RFC 4752), as one does in
// Active Directory where no password should be kept in a configuration:
//
//	login := &kerberos.Login{User: "reader", Realm: "EXAMPLE.COM", Keytab: "reader.keytab", Service: "ldap/dc1.example.com"}
//	store.Bind = login.Bind
//
// It is a package of its own because of its dependencies. No security layer is negotiated:
// TLS protects the connection, and package ldapstore insists on it.
package kerberos

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-ldap/ldap/v3"
	"github.com/go-ldap/ldap/v3/gssapi"
)

// A Login says who binds, and with what. Exactly one of Password, Keytab and CredentialCache
// is set.
type Login struct {
	User            string // without the realm
	Realm           string // empty means the default realm of Config
	Password        string
	Keytab          string // a file
	CredentialCache string // a file, as kinit writes it; User and Realm are then its own
	Config          string // krb5.conf; empty means /etc/krb5.conf
	Service         string // the directory's principal, "ldap/HOST" with its full name
}

// Bind authenticates a connection of package ldapstore. The ticket is fetched from the
// key distribution centre each time. When ctx ends so does Bind, and the connection must be
// closed: the Kerberos library knows no context, and lets go of it after its own time limits.
func (l *Login) Bind(ctx context.Context, c *ldap.Conn) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- l.bind(c) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("kerberos: %s: %w", l.Service, context.Cause(ctx))
	}
}

func (l *Login) bind(c *ldap.Conn) error {
	client, err := l.client()
	if err != nil {
		return fmt.Errorf("kerberos: %w", err)
	}
	defer client.Close()
	if err := c.GSSAPIBind(client, l.Service, ""); err != nil {
		return fmt.Errorf("kerberos: %s: %w", l.Service, err)
	}
	return nil
}

func (l *Login) client() (*gssapi.Client, error) {
	config := l.Config
	if config == "" {
		config = "/etc/krb5.conf"
	}
	given := 0
	for _, s := range []string{l.Password, l.Keytab, l.CredentialCache} {
		if s != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return nil, errors.New("want one of a password, a keytab and a credential cache")
	case l.Service == "":
		return nil, errors.New("the directory's service principal is missing")
	case l.Password != "":
		return gssapi.NewClientWithPassword(l.User, l.Realm, l.Password, config)
	case l.Keytab != "":
		return gssapi.NewClientWithKeytab(l.User, l.Realm, l.Keytab, config)
	}
	return gssapi.NewClientFromCCache(l.CredentialCache, config)
}
