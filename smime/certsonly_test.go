package smime_test

import (
	"bytes"
	"crypto/x509"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/peertest"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

// Row A20: certificates are delivered and read, in both directions, and neither count as
// signed mail nor are trusted for having been sent.
func TestComposeCertificates(t *testing.T) {
	pki := smimetest.NewPKI(t)
	alice := pki.Alice()
	certs := append([]*x509.Certificate{alice.Certificate()}, alice.Intermediates()...)
	crl := pki.Issuing.CRL()
	const head = "From: alice@good.example\r\nTo: bob@good.example\r\nBcc: eve@evil.example\r\nSubject: my certificates\r\nContent-Language: en\r\n\r\n"
	var message bytes.Buffer
	if err := new(smime.Composer).ComposeCertificates(&message, strings.NewReader(head), certs, crl); err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(message.String(), "\r\n\r\n")
	for _, want := range []string{"From: alice@good.example\r\n", "Subject: my certificates\r\n", "MIME-Version: 1.0\r\n", "smime-type=certs-only", `name="smime.p7c"`} {
		if !strings.Contains(header, want) {
			t.Errorf("%q lacks %q", header, want)
		}
	}
	if strings.Contains(header, "evil") || strings.Contains(header, "Language") {
		t.Errorf("%q", header)
	}
	o := &smime.Opener{Chain: pki.Verifier(), AllowUnsigned: true}
	if m, err := o.Open(t.Context(), bytes.NewReader(message.Bytes())); err == nil {
		t.Errorf("a message: %+v", m)
	}
	r := reported(t, o, message.String())
	got, crls := r.Layers[0].Delivered()
	if r.Verdict != smime.NotAuthentic || len(r.Layers) != 1 || r.Layers[0].Certificates != 2 || len(r.Warnings) > 0 ||
		!slices.EqualFunc(got, certs, (*x509.Certificate).Equal) || len(crls) != 1 || !bytes.Equal(crls[0], crl) {
		t.Errorf("%s %q %q: %d certificates, %d CRLs", r.Verdict, r.Codes, r.Warnings, len(got), len(crls))
	}
	var signed bytes.Buffer
	if err := smime.Sign(&signed, strings.NewReader(plain), alice); err != nil {
		t.Fatal(err)
	}
	if got, crls := reported(t, o, signed.String()).Layers[0].Delivered(); got != nil || crls != nil {
		t.Error("a signature delivers", got)
	}
	for what, err := range map[string]error{
		"nothing":     new(smime.Composer).ComposeCertificates(io.Discard, strings.NewReader(head), nil),
		"nil":         new(smime.Composer).ComposeCertificates(io.Discard, strings.NewReader(head), []*x509.Certificate{nil}),
		"not parsed":  new(smime.Composer).ComposeCertificates(io.Discard, strings.NewReader(head), []*x509.Certificate{{}}),
		"a body":      new(smime.Composer).ComposeCertificates(io.Discard, strings.NewReader(head+"\r\nand a text\r\n"), certs),
		"a signer":    (&smime.Composer{Signers: []*certstore.Identity{alice}}).ComposeCertificates(io.Discard, strings.NewReader(head), certs),
		"a recipient": (&smime.Composer{Recipients: certs}).ComposeCertificates(io.Discard, strings.NewReader(head), certs),
		"two of From": new(smime.Composer).ComposeCertificates(io.Discard, strings.NewReader("From: eve@evil.example\r\n"+head), certs),
	} {
		if err == nil {
			t.Errorf("%s is no error", what)
		}
	}
	cmd := exec.Command("openssl", "smime", "-pk7out")
	cmd.Stdin = bytes.NewReader(message.Bytes())
	switch p7, err := cmd.Output(); {
	case err == nil:
		cmd = exec.Command("openssl", "pkcs7", "-print_certs", "-noout")
		cmd.Stdin = bytes.NewReader(p7)
		if text, err := cmd.CombinedOutput(); err != nil || strings.Count(string(text), "subject=") != 2 || !strings.Contains(string(text), "Certificate Revocation List") {
			t.Errorf("openssl: %s, %v", text, err)
		}
	case peertest.Required():
		t.Error(err)
	default:
		t.Log("openssl is not installed: ", err)
	}
}
