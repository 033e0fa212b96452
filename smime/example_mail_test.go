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

	"github.com/emersion/go-message/mail"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

// What the examples share: a PKI for tests, a message and somewhere to put it.
var (
	ctx     = context.Background()
	pki     = smimetest.New()
	alice   = pki.Alice()
	bob     = pki.Bob()
	anchors = pki.Anchors()
	letter  = "From: alice@good.example\r\nTo: bob@good.example\r\nSubject: The offer\r\n\r\nThe offer stands.\r\n"
)

// A message is signed in one call; everybody can read it, and those who know the signer's
// certification authority can verify it.
func ExampleSign() {
	if err := smime.Sign(os.Stdout, strings.NewReader(letter), alice); err != nil {
		log.Fatal(err)
	}
}

// Sealing is signing and then encrypting. A sender who wants to read the message later
// adds the own certificate to the recipients.
func ExampleSeal() {
	if err := smime.Seal(os.Stdout, strings.NewReader(letter), alice, bob.Certificate(), alice.Certificate()); err != nil {
		log.Fatal(err)
	}
}

// Open returns a message if it is authentic, and an error that says why if it is not.
func ExampleOpener_Open() {
	var sealed bytes.Buffer
	composer := &smime.Composer{Signers: []*certstore.Identity{alice}, Recipients: certificates(bob), Time: pki.Time}
	if _, err := composer.Compose(&sealed, strings.NewReader(letter)); err != nil {
		log.Fatal(err)
	}

	keys := new(certstore.Memory)
	keys.AddIdentity(bob)
	verifier := chain.NewVerifier(anchors, chain.Revocation{})
	verifier.Time = pki.Time // a test's clock; leave it out for the real one

	opener := &smime.Opener{Chain: verifier, Keys: keys}
	msg, err := opener.Open(ctx, &sealed)
	if err != nil {
		log.Fatal(err) // nothing unverified can be reached from msg
	}
	fmt.Println("from", msg.Report().From)
	io.Copy(os.Stdout, msg.Body())
	// Output:
	// from alice@good.example
	// The offer stands.
}

// A large message goes to a file that gets its name only once it is proven.
func ExampleOpener_OpenTo() {
	opener := &smime.Opener{Chain: pki.Verifier()}
	f, err := os.CreateTemp("", "quarantine-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	_, err = opener.OpenTo(ctx, f, strings.NewReader(letter))
	var unverified *smime.UnverifiedError
	if errors.As(err, &unverified) {
		fmt.Println(unverified.Report.Verdict)
	}
	// Output: unsigned
}

// Inspect has something to say about every message, for a mail reader to show.
func ExampleOpener_Inspect() {
	var mail bytes.Buffer
	stranger := smimetest.New().Alice()
	composer := &smime.Composer{Signers: []*certstore.Identity{stranger}, Time: pki.Time}
	if _, err := composer.Compose(&mail, strings.NewReader(letter)); err != nil {
		log.Fatal(err)
	}
	report, err := (&smime.Opener{Chain: pki.Verifier()}).Inspect(ctx, &mail)
	if err != nil {
		log.Fatal(err)
	}
	signature := report.Layers[0].Signatures[0]
	fmt.Println(report.Verdict, signature.Crypto, signature.Trust, signature.Address)
	// Output: not-authentic valid invalid match
}

// A push-style writer suits programs that produce a message piece by piece.
func ExampleComposer_NewWriter() {
	var mail bytes.Buffer
	composer := &smime.Composer{Signers: []*certstore.Identity{alice}, Opaque: true, Time: pki.Time}
	w, err := composer.NewWriter(&mail)
	if err != nil {
		log.Fatal(err)
	}
	io.WriteString(w, letter)
	if err := w.Close(); err != nil { // without it there is no signature
		log.Fatal(err)
	}
	_, err = (&smime.Opener{Chain: pki.Verifier()}).Open(ctx, &mail)
	fmt.Println(err)
	// Output: <nil>
}

// A draft is encrypted to its author alone, before it is stored anywhere. It keeps what no
// message that is sent may keep: who is to be in Bcc.
func ExampleComposer_draft() {
	composer := &smime.Composer{Recipients: certificates(bob), Draft: true, Time: pki.Time}
	var draft bytes.Buffer
	if _, err := composer.Compose(&draft, strings.NewReader("From: bob@good.example\r\nBcc: carol@good.example\r\nSubject: The offer\r\n\r\nDear all,\r\n")); err != nil {
		log.Fatal(err)
	}
	fmt.Println("readable:", strings.Contains(draft.String(), "carol"))

	// Nobody signed the draft; its author knows what he put there.
	keys := new(certstore.Memory)
	keys.AddIdentity(bob)
	opener := &smime.Opener{Chain: pki.Verifier(), Keys: keys, AllowUnsigned: true, AllowMalleable: true}
	msg, err := opener.Open(ctx, &draft)
	if err != nil {
		log.Fatal(err)
	}
	header := msg.Header()
	fmt.Println("Bcc:", header.Get("Bcc"))
	// Output:
	// readable: false
	// Bcc: carol@good.example
}

// An attachment of any size goes through a Composer in constant memory: go-message writes
// the parts, and each is encrypted as it comes.
func ExampleComposer_attachment() {
	var sealed bytes.Buffer // in earnest, a file or a connection
	composer := &smime.Composer{Signers: []*certstore.Identity{alice}, Recipients: certificates(bob), Opaque: true, Time: pki.Time}
	w, err := composer.NewWriter(&sealed)
	if err != nil {
		log.Fatal(err)
	}
	var header mail.Header
	header.SetAddressList("From", []*mail.Address{{Address: "alice@good.example"}})
	header.SetSubject("The plans")
	parts, err := mail.CreateWriter(w, header)
	if err != nil {
		log.Fatal(err)
	}
	var about mail.AttachmentHeader
	about.Set("Content-Type", "application/octet-stream")
	about.SetFilename("plans.bin")
	attachment, err := parts.CreateAttachment(about)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.CopyN(attachment, zeros{}, 1<<20); err != nil {
		log.Fatal(err)
	}
	for _, c := range []io.Closer{attachment, parts, w} { // the last one signs
		if err := c.Close(); err != nil {
			log.Fatal(err)
		}
	}

	keys := new(certstore.Memory)
	keys.AddIdentity(bob)
	msg, err := (&smime.Opener{Chain: pki.Verifier(), Keys: keys}).Open(ctx, &sealed)
	if err != nil {
		log.Fatal(err)
	}
	entity, err := mail.CreateReader(msg.Entity())
	if err != nil {
		log.Fatal(err)
	}
	part, err := entity.NextPart()
	if err != nil {
		log.Fatal(err)
	}
	n, err := io.Copy(io.Discard, part.Body)
	fmt.Println(n, err)
	// Output: 1048576 <nil>
}

// zeros are octets without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func certificates(ids ...*certstore.Identity) []*x509.Certificate {
	var all []*x509.Certificate
	for _, id := range ids {
		all = append(all, id.Certificate())
	}
	return all
}
