package smime_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/emersion/go-message/mail"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/smime"
)

// Exchange's settings become a policy. What weakens security is told.
func ExampleParseSmimeConfig() {
	settings := `{
		"OWAAlwaysSign": true,
		"OWAEncryptionAlgorithms": "6610;6603",
		"OWABCCEncryptedEmailForking": 0,
		"OWADisableCRLCheck": true
	}`
	policy, notes, err := smime.ParseSmimeConfig(strings.NewReader(settings))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("sign:", policy.Sign, "ciphers:", policy.Ciphers, "bcc:", policy.Bcc)
	for _, n := range notes {
		fmt.Printf("%s: %s: %s\n", n.Severity, n.About, n.Detail)
	}
	// Output:
	// sign: true ciphers: [aes256-cbc 3des-cbc] bcc: each
	// warning: OWAEncryptionAlgorithms: 3des-cbc is too weak to be written and is never used
	// warning: OWADisableCRLCheck: certificates are not checked for revocation, so the mail of revoked signers verifies
}

// Rules decide about single messages, and say why.
func ExamplePolicy_Evaluate() {
	policy := &smime.Policy{Sign: true, Rules: []smime.Rule{
		{Name: "partner", To: []string{".partner.example"}, Action: "encrypt"},
		{Name: "drafts", Header: map[string]string{"X-Status": "draft"}, Action: "hold"},
	}}
	var header mail.Header
	header.SetSubject("The offer")
	action, reasons := policy.Evaluate("alice@good.example", []string{"carl@mail.partner.example"}, header, 2048)
	fmt.Println(action)
	for _, r := range reasons {
		fmt.Println("-", r)
	}
	// Output:
	// seal
	// - policy: every message is signed
	// - rule "partner": recipient carl@mail.partner.example: encrypt
}

// A Resolver finds certificates for addresses, and says what gave each its rank.
func ExampleResolver() {
	alice, bob, _, anchors := mailbox()
	store := new(certstore.Memory)
	store.Add(bob)
	anchors.AddIntermediate(alice.Intermediates()...)
	resolver := &smime.Resolver{Store: store, Chain: chain.NewVerifier(anchors, chain.Revocation{})}
	certs, err := resolver.Resolve(context.Background(), "bob@good.example")
	if err != nil {
		log.Fatal(err) // names everybody who has no usable certificate
	}
	var sealed bytes.Buffer
	if err := smime.Seal(&sealed, strings.NewReader("From: alice@good.example\r\n\r\nhi\r\n"), alice, certs...); err != nil {
		log.Fatal(err)
	}
	_, err = resolver.Resolve(context.Background(), "carl@good.example")
	fmt.Println(err)
	// Output:
	// smime: carl@good.example: no certificate was found (recipient.no_certificate)
}

// Nobody learns who was in Bcc: they get copies of their own.
func ExampleComposer_ComposeCopies() {
	alice, bob, _, _ := mailbox()
	c := &smime.Composer{
		Signers:    []*certstore.Identity{alice},
		Recipients: []*x509.Certificate{bob},
		Bcc:        []*x509.Certificate{alice.Certificate()},
		Time:       time.Now,
	}
	outbox := new(mailbag) // in earnest, a message file for each copy
	err := c.ComposeCopies(outbox.create, strings.NewReader("From: alice@good.example\r\nBcc: alice@good.example\r\n\r\nhi\r\n"))
	fmt.Println(len(outbox.copies), "messages,", err)
	// Output:
	// 2 messages, <nil>
}
