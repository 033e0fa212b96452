package certstore_test

import (
	"context"
	"fmt"
	"log"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime/smimetest"
)

// Several stores answer as one. What they return was found, not trusted.
func ExampleMulti() {
	pki := smimetest.New()
	var colleagues, partners certstore.Memory
	colleagues.Add(pki.Alice().Certificate())
	partners.Add(pki.Bob().Certificate())

	everybody := certstore.Multi(&colleagues, &partners)
	for e, err := range everybody.Certificates(context.Background(), certstore.Email("Bob@GOOD.example")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Certificate.Subject.CommonName, e.Certificate.EmailAddresses)
	}
	// Output: Bob [bob@good.example]
}

// An identity is looked for by whatever a message names it with.
func ExampleMemory() {
	pki := smimetest.New()
	var keys certstore.Memory
	keys.AddIdentity(pki.Alice(), pki.Bob())

	bob := pki.Bob().Certificate()
	named := certstore.IssuerSerial{RawIssuer: bob.RawIssuer, Serial: bob.SerialNumber}
	for id, err := range keys.Identities(context.Background(), named) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(id.Certificate().Subject.CommonName)
	}
	// Output: Bob
}

// A certificate and a key that do not belong together are no identity.
func ExampleNewIdentity() {
	pki := smimetest.New()
	bob := pki.Bob().Certificate()
	_, err := certstore.NewIdentity(bob, pki.Alice().Key())
	fmt.Println(err != nil)
	// Output: true
}
