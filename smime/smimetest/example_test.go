package smimetest_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/smime/smimetest"
)

func Example() {
	pki := smimetest.New() // in a test: smimetest.NewPKI(t)
	carol := pki.Issue(smimetest.Leaf{
		Emails: []string{"carol@good.example"},
		Key:    smimetest.Ed25519,
	})
	path, err := pki.Verifier().Verify(context.Background(), carol.Certificate(), chain.EmailSigning, carol.Intermediates()...)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range path.Certificates() {
		fmt.Println(c.Subject.CommonName)
	}
	// Output:
	// carol
	// Postseal Test Issuing CA
	// Postseal Test Root
}

// A certificate can be wrong in any way a test needs.
func ExampleLeaf() {
	pki := smimetest.New()
	old := pki.Issue(smimetest.Leaf{
		Emails:   []string{"dan@good.example"},
		NotAfter: smimetest.Now().AddDate(0, 0, -1),
		Change:   func(c *x509.Certificate) { c.ExtKeyUsage = nil },
	})
	_, err := pki.Verifier().Verify(context.Background(), old.Certificate(), chain.EmailSigning, old.Intermediates()...)
	fmt.Println(err != nil)
	// Output: true
}

func ExampleMail() {
	m := smimetest.Mail{Subject: "Lunch", Text: "At noon?\n"}
	for line := range strings.Lines(string(m.Bytes())) {
		fmt.Println(strings.TrimSuffix(line, "\r\n"))
	}
	// Output:
	// From: Alice <alice@good.example>
	// To: Bob <bob@good.example>
	// Subject: Lunch
	// Date: Mon, 01 Jun 2026 12:00:00 +0000
	// Message-ID: <20260601.120000@good.example>
	// MIME-Version: 1.0
	// Content-Type: text/plain; charset=utf-8
	// Content-Transfer-Encoding: 7bit
	//
	// At noon?
}
