// Command quickstart tells postseal's main job as a story, on an embedded store and with
// no service: a certification authority, a virtual certificate collection, a message that
// is sealed and opened, and three forgeries that are refused.
//
//	go run ./examples/quickstart [folder]
//
// The messages stay in the folder for other programs to open.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/smime"
)

func main() {
	log.SetFlags(0)
	folder := filepath.Join(os.TempDir(), "postseal-quickstart")
	if len(os.Args) > 1 {
		folder = os.Args[1]
	}
	if err := story(os.Stdout, folder); err != nil {
		log.Fatal("quickstart: ", err)
	}
}

func story(w io.Writer, folder string) error {
	ctx := context.Background()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	tell := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	save := func(name string, data []byte) error {
		return os.WriteFile(filepath.Join(folder, name), data, 0o600)
	}

	tell("1. A certification authority issues certificates to Alice and Bob.")
	pki, err := newPKI("Example")
	if err != nil {
		return err
	}
	alice, err := pki.issue("Alice", "alice@example.com")
	if err != nil {
		return err
	}
	bob, err := pki.issue("Bob", "bob@example.com")
	if err != nil {
		return err
	}
	tell("   %s and %s, issued by %s under %s.", alice.Certificate().EmailAddresses[0],
		bob.Certificate().EmailAddresses[0], pki.issuing.Subject.CommonName, pki.root.Subject.CommonName)

	tell("2. The administrator saves a virtual certificate collection: the CAs Bob's company trusts.")
	anchors := new(chain.Collection)
	anchors.Add(pki.root, pki.issuing)
	var sst bytes.Buffer
	if err := anchors.WriteSST(&sst); err != nil {
		return err
	}
	if err := save("collection.sst", sst.Bytes()); err != nil {
		return err
	}
	if anchors, err = chain.ReadCollection(bytes.NewReader(sst.Bytes())); err != nil {
		return err
	}
	tell("   collection.sst, %d bytes, read back with %d certificates.", sst.Len(), len(anchors.Certificates()))

	tell("3. Alice looks up Bob by his address and seals a message with an attachment to him.")
	directory := new(certstore.Memory)
	directory.Add(alice.Certificate(), bob.Certificate())
	found, err := find(ctx, directory, "bob@example.com")
	if err != nil {
		return err
	}
	plain := message("alice@example.com", "bob@example.com")
	var sealed bytes.Buffer
	if err := smime.Seal(&sealed, bytes.NewReader(plain), alice, found.Certificate); err != nil {
		return err
	}
	if err := save("sealed.eml", sealed.Bytes()); err != nil {
		return err
	}
	tell("   %d bytes became %d: %s", len(plain), sealed.Len(), contentType(sealed.Bytes()))

	tell("4. Bob opens it.")
	keys := new(certstore.Memory)
	keys.AddIdentity(bob)
	opener := &smime.Opener{
		Chain: chain.NewVerifier(anchors, chain.Revocation{}),
		Keys:  keys,
	}
	msg, err := opener.Open(ctx, bytes.NewReader(sealed.Bytes()))
	if err != nil {
		return err
	}
	opened, err := io.ReadAll(msg.Entity())
	if err != nil {
		return err
	}
	if err := save("opened.eml", opened); err != nil {
		return err
	}
	tell("   %s. Signed by %s; the path:", msg.Report().Verdict, msg.Report().From)
	for _, c := range msg.Signatures()[0].Path.Certificates() {
		tell("     %s", c.Subject)
	}
	tell("   What Alice wrote: %q", firstLine(opened))

	tell("5. What Bob must not be shown.")
	flipped := bytes.Clone(sealed.Bytes())
	flip(flipped)
	stranger, err := newPKI("Stranger")
	if err != nil {
		return err
	}
	mallory, err := stranger.issue("Alice", "alice@example.com")
	if err != nil {
		return err
	}
	var forged, borrowed bytes.Buffer
	if err := smime.Seal(&forged, bytes.NewReader(plain), mallory, found.Certificate); err != nil {
		return err
	}
	other := message("carol@example.com", "bob@example.com")
	if err := smime.Seal(&borrowed, bytes.NewReader(other), alice, found.Certificate); err != nil {
		return err
	}
	for _, attack := range []struct {
		what, file string
		mail       []byte
	}{
		{"one flipped byte", "flipped.eml", flipped},
		{"a stranger's certificate for Alice's address", "stranger.eml", forged.Bytes()},
		{"Alice's signature under Carol's name", "mismatch.eml", borrowed.Bytes()},
	} {
		if err := save(attack.file, attack.mail); err != nil {
			return err
		}
		_, err := opener.Open(ctx, bytes.NewReader(attack.mail))
		var unverified *smime.UnverifiedError
		if !errors.As(err, &unverified) {
			return fmt.Errorf("%s was not refused: %v", attack.what, err)
		}
		tell("   %-46s refused: %s", attack.what, strings.Join(unverified.Report.Codes, ", "))
	}

	if err := pki.save(folder, bob); err != nil {
		return err
	}
	tell("\nThe messages are in %s. OpenSSL reads them too:", folder)
	tell("   openssl cms -decrypt -in sealed.eml -recip bob.pem -inkey bob.key | openssl cms -verify -CAfile root.pem")
	return nil
}

// find returns the first certificate a store has for an address.
func find(ctx context.Context, s certstore.Store, address string) (*certstore.Entry, error) {
	for e, err := range s.Certificates(ctx, certstore.Email(address)) {
		return e, err
	}
	return nil, errors.New("no certificate of " + address)
}
