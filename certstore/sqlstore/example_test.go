package sqlstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/sqlstore"
)

// A database in one file, with a passphrase for the private keys.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	store, err := sqlstore.Open(ctx, "sqlite:"+filepath.Join(dir, "certs.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Unlock(ctx, "correct horse battery staple"); err != nil {
		log.Fatal(err)
	}
	found := 0
	for _, err := range store.Certificates(ctx, certstore.Email("alice@example.org")) {
		if err != nil {
			log.Fatal(err)
		}
		found++
	}
	fmt.Println(found, "certificates")
	// Output: 0 certificates
}
