package ldapstore_test

import (
	"context"
	"fmt"
	"log"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/ldapstore"
)

// Look a colleague up in Active Directory.
func Example() {
	store, err := ldapstore.New("ldaps://dc1.example.com")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	store.User, store.Password = "reader@example.com", "secret"
	for e, err := range store.Certificates(context.Background(), certstore.Email("bob@example.com")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Certificate.Subject, e.Source, e.Default)
	}
}

// Publish one's own certificate, as Outlook's "Publish to GAL" does.
func ExampleStore_Publish() {
	store, err := ldapstore.New("ldaps://dc1.example.com")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	store.User, store.Password = "alice@example.com", "secret"
	var alice *certstore.Identity // from certstore.ReadIdentities, or from a token
	done, err := store.Publish(context.Background(), &ldapstore.Publication{Identity: alice})
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range done.Changes {
		fmt.Println(c.Attribute, c.Added, c.Reason)
	}
}
