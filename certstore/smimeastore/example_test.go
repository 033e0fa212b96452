package smimeastore_test

import (
	"context"
	"fmt"
	"log"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/smimeastore"
)

// Ask the validating resolver on this machine, and remember what it says.
func Example() {
	dns, err := smimeastore.New("127.0.0.1")
	if err != nil {
		log.Fatal(err)
	}
	store := &certstore.Cached{Store: dns}
	for e, err := range store.Certificates(context.Background(), certstore.Email("bob@example.com")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Certificate.Subject, e.Source)
	}
}

// Where the records for an address are.
func ExampleName() {
	name, _ := smimeastore.Name("hugh@example.com")
	fmt.Println(name)
	// Output: c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.example.com.
}
