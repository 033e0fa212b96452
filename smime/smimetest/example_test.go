package smimetest_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/smime"
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

// A harness forges a message with each defect there is and holds what a program says about
// it against the catalogue.
func ExampleForge() {
	pki := smimetest.New() // in a test: smimetest.NewPKI(t)
	msg := pki.Message(smimetest.Opaque, smimetest.Mail{Text: "At noon?\n"})
	opener := &smime.Opener{Chain: pki.Verifier()} // or any other program that reads mail
	for _, defect := range []smimetest.Defect{smimetest.StrippedAttributes, smimetest.TwoFrom, smimetest.OtherSigner} {
		forged, err := smimetest.Forge(defect, msg)
		if err != nil {
			fmt.Println(err) // the defect does not apply to such a message
			continue
		}
		report, err := opener.Inspect(context.Background(), bytes.NewReader(forged))
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(defect, report.Verdict, report.Codes[0])
	}
	// Output:
	// a02-attributes-as-content not-authentic attr.forgery
	// e07-two-from not-authentic from.several
	// f01-other-signer not-authentic address.mismatch
}

// The catalogue says what is to be answered about every defect.
func ExampleCases() {
	for c := range smimetest.Cases() {
		if c.Row == "A08" && c.Needs == "signed" && c.Defect == smimetest.AlteredContent {
			fmt.Println(c.Note, "->", c.Verdict, c.Codes)
		}
	}
	// Output:
	// other content than was signed -> not-authentic [digest.mismatch]
}
