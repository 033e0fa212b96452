package smime_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

// mailbox is what the examples take from somewhere else: the identity of the author, the
// certificate and the keys of the recipient, and the anchors that both trust.
func mailbox() (alice *certstore.Identity, bob *x509.Certificate, keys *certstore.Memory, anchors *chain.Collection) {
	pki := smimetest.NewAt(time.Now())
	keys = new(certstore.Memory)
	keys.AddIdentity(pki.Bob())
	return pki.Alice(), pki.Bob().Certificate(), keys, pki.Anchors()
}

// Alice seals a message to Bob, and he opens it.
func Example() {
	alice, bob, keys, anchors := mailbox()
	plain := smimetest.Mail{Text: "At noon?\n"}.Reader()
	var sealed bytes.Buffer
	if err := smime.Seal(&sealed, plain, alice, bob); err != nil {
		log.Fatal(err)
	}

	opener := &smime.Opener{Keys: keys, Chain: chain.NewVerifier(anchors, chain.Revocation{})}
	msg, err := opener.Open(context.Background(), &sealed)
	if err != nil {
		log.Fatal(err) // there is nothing to read
	}
	fmt.Println("from", msg.Report().From)
	io.Copy(os.Stdout, msg.Body())
	// Output:
	// from alice@good.example
	// At noon?
}

// A Composer has the settings that Sign, Encrypt and Seal leave at their defaults.
func ExampleComposer() {
	alice, bob, _, _ := mailbox()
	c := &smime.Composer{
		Signers:    []*certstore.Identity{alice},
		Recipients: []*x509.Certificate{bob},
		Opaque:     true,
		Digest:     "sha512",
		Cipher:     "aes256-gcm",
	}
	made, err := c.Compose(io.Discard, smimetest.Mail{}.Reader())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(made.Cipher, made.Digests)
	// Output: aes256-gcm [sha512]
}

// A message that is not authentic has no content, but a report.
func ExampleUnverifiedError() {
	_, _, keys, anchors := mailbox()
	opener := &smime.Opener{Keys: keys, Chain: chain.NewVerifier(anchors, chain.Revocation{})}
	_, err := opener.Open(context.Background(), strings.NewReader("From: alice@good.example\r\n\r\nTrust me.\r\n"))
	if unverified, ok := errors.AsType[*smime.UnverifiedError](err); ok {
		fmt.Println(unverified.Report.Verdict)
	}
	fmt.Println(errors.Is(err, smime.ErrNotSigned))
	// Output:
	// unsigned
	// true
}
