package sync_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/ldapstore"
	"github.com/postseal/postseal/certstore/sqlstore"
	"github.com/postseal/postseal/certstore/sync"
)

// Keep a database in step with Active Directory; run it every few minutes.
func Example() {
	ctx := context.Background()
	directory, err := ldapstore.New("ldaps://dc1.example.com")
	if err != nil {
		log.Fatal(err)
	}
	defer directory.Close()
	directory.User, directory.Password = "reader@example.com", "secret"
	database, err := sqlstore.Open(ctx, "sqlite:certs.db")
	if err != nil {
		log.Fatal(err)
	}
	defer database.Close()
	s := &sync.Syncer{Source: directory.DirSync(), Target: database}
	s.Record = func(c sync.Change) { log.Println(c.Kind, c.Object, c.Address, c.Reason) }
	if _, err := s.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// From one store to another, with the memory of the target in a file.
func ExampleToWriter() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var from, to certstore.Memory
	target, err := sync.ToWriter(&to, filepath.Join(dir, "state"))
	if err != nil {
		log.Fatal(err)
	}
	report, err := (&sync.Syncer{Source: sync.FromStore("memory", &from), Target: target}).Run(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Objects, "objects,", report.Added, "added")
	// Output: 0 objects, 0 added
}
