package kerberos_test

import (
	"log"

	"github.com/postseal/postseal/certstore/ldapstore"
	"github.com/postseal/postseal/certstore/ldapstore/kerberos"
)

// A service binds with the key in its keytab.
func Example() {
	store, err := ldapstore.New("ldaps://dc1.example.com")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	login := &kerberos.Login{User: "reader", Realm: "EXAMPLE.COM", Keytab: "/etc/reader.keytab", Service: "ldap/dc1.example.com"}
	store.Bind = login.Bind
}
