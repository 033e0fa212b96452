// Command hsm signs and opens mail with keys that never leave a token: an HSM, a smart
// card, or SoftHSM, which is enough to try it:
//
//	softhsm2-util --init-token --free --label mail --pin 1234 --so-pin 5678
//	HSM_PIN=1234 go run . -module /usr/lib/softhsm/libsofthsm2.so -token mail
//
// It is a module of its own, because PKCS #11 needs cgo and postseal does not. All that
// postseal asks of a key is in the standard library: crypto.Signer to sign,
// crypto.Decrypter or ecdh.KeyExchanger to decrypt.
package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/smime"
)

func main() {
	log.SetFlags(0)
	module := flag.String("module", "/usr/lib/softhsm/libsofthsm2.so", "the PKCS #11 library of the token")
	label := flag.String("token", "mail", "the label of the token; its PIN is taken from HSM_PIN")
	flag.Parse()
	token, err := OpenToken(*module, *label, os.Getenv("HSM_PIN"))
	if err != nil {
		log.Fatal("hsm: ", err)
	}
	if err := errors.Join(story(os.Stdout, token), token.Close()); err != nil {
		log.Fatal("hsm: ", err)
	}
}

// story makes keys in the token, has them certified, and signs and opens mail with them.
func story(w io.Writer, token *Token) error {
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	for _, kind := range []string{"RSA", "EC"} {
		key, err := token.Generate(kind)
		if err != nil {
			return fmt.Errorf("%s key: %w", kind, err)
		}
		id, err := ca.certify(key, "alice@example.com")
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "An %s key was made in the token and certified for %s.\n", kind, id.Certificate().EmailAddresses[0])

		var signed bytes.Buffer
		if err := smime.Sign(&signed, strings.NewReader(mail), id); err != nil {
			return fmt.Errorf("%s: sign: %w", kind, err)
		}
		if _, err := ca.open(&signed, nil); err != nil {
			return fmt.Errorf("%s: open what was signed: %w", kind, err)
		}
		fmt.Fprintln(w, "  It signed a message; anybody can verify it.")

		var sealed bytes.Buffer
		if err := smime.Seal(&sealed, strings.NewReader(mail), id, id.Certificate()); err != nil {
			return fmt.Errorf("%s: seal: %w", kind, err)
		}
		text, err := ca.open(&sealed, id)
		if err != nil {
			return fmt.Errorf("%s: open what was sealed: %w", kind, err)
		}
		fmt.Fprintf(w, "  A message encrypted to it was opened: %q\n", text)
	}
	return nil
}

const mail = "From: alice@example.com\r\nTo: alice@example.com\r\nSubject: Keys\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n\r\nNobody has seen the key of this message.\r\n"

// An authority certifies keys for the story. A real one is asked with a request that the
// token's key has signed (x509.CreateCertificateRequest takes it as it is).
type authority struct {
	cert   *x509.Certificate
	key    *rsa.PrivateKey
	serial int64
}

func newAuthority() (*authority, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Example CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert, key, 1}, err
}

// certify issues a certificate for mail and returns the identity that has the key.
func (a *authority) certify(key crypto.Signer, address string) (*certstore.Identity, error) {
	a.serial++
	usage := x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement
	if _, ok := key.Public().(*rsa.PublicKey); ok {
		usage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: "Alice"}, EmailAddresses: []string{address},
		NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		KeyUsage: usage, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return certstore.NewIdentity(cert, key)
}

// open opens a message, with the identity's key if it is encrypted, and returns its text.
func (a *authority) open(message io.Reader, id *certstore.Identity) (string, error) {
	anchors := new(chain.Collection)
	anchors.Add(a.cert)
	opener := &smime.Opener{Chain: chain.NewVerifier(anchors, chain.Revocation{})}
	if id != nil {
		keys := new(certstore.Memory)
		keys.AddIdentity(id)
		opener.Keys = keys
	}
	m, err := opener.Open(context.Background(), message)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(m.Body())
	return strings.TrimSpace(string(text)), err
}
