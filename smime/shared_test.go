package smime_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

// A message for who has a certificate, a secret or a password: each alone opens it.
func TestComposeForSecrets(t *testing.T) {
	pki := smimetest.NewPKI(t)
	secret, password := bytes.Repeat([]byte{7}, 32), []byte("correct horse")
	keys := new(certstore.Memory)
	keys.AddIdentity(pki.Bob())
	for _, tt := range []struct {
		name   string
		c      smime.Composer
		cipher string
		opens  string // which of certificate, secret, password
	}{
		{"secret", smime.Composer{Secret: secret, SecretID: []byte("k1")}, "aes256-gcm", "secret"},
		{"password", smime.Composer{Passphrase: password}, "aes256-gcm", "password"},
		{"all", smime.Composer{Recipients: []*x509.Certificate{pki.Bob().Certificate()}, Secret: secret, Passphrase: password}, "aes256-cbc", "certificate secret password"},
	} {
		var message bytes.Buffer
		tt.c.Signers, tt.c.Time = []*certstore.Identity{pki.Alice()}, pki.Time
		result, err := tt.c.Compose(&message, strings.NewReader(fileFields+filePart))
		if err != nil || result.Cipher != tt.cipher || len(result.Reasons) == 0 {
			t.Errorf("%s: %+v, %v", tt.name, result, err)
			continue
		}
		if strings.Contains(message.String(), "Greetings") {
			t.Errorf("%s: the subject is outside", tt.name)
		}
		for what, o := range map[string]*smime.Opener{
			"certificate": {Keys: keys}, "secret": {Secret: secret}, "password": {Passphrase: password}, "another secret": {Secret: make([]byte, 32)},
		} {
			o.Chain = pki.Verifier()
			m, err := o.Open(t.Context(), bytes.NewReader(message.Bytes()))
			if (err == nil) != strings.Contains(tt.opens, what) {
				t.Errorf("%s, by %s: %v", tt.name, what, err)
			}
			if err == nil && what == "secret" && tt.name == "secret" && m.Report().Layers[0].Recipients[0].ID != "key 6b31" {
				t.Errorf("%+v", m.Report().Layers[0].Recipients[0])
			}
		}
	}
	for name, c := range map[string]smime.Composer{
		"a secret too short for the cipher": {Secret: secret[:16], Cipher: "aes256-cbc"},
		"an odd secret":                     {Secret: secret[:20]},
		"an empty password":                 {Passphrase: []byte{}},
	} {
		var out bytes.Buffer
		if _, err := c.Compose(&out, strings.NewReader(fileFields+filePart)); err == nil || out.Len() > 0 {
			t.Errorf("%s: %v, %d octets written", name, err, out.Len())
		}
	}
	// A copy for Bcc is for nobody else.
	n := 0
	c := smime.Composer{Passphrase: password, Bcc: []*x509.Certificate{pki.Bob().Certificate()}, Time: pki.Time}
	err := c.ComposeCopies(func(to []*x509.Certificate) (io.WriteCloser, error) {
		n++
		return copyOf{t, func(message string) {
			o := &smime.Opener{Chain: pki.Verifier(), Passphrase: password, AllowUnsigned: true, AllowMalleable: true}
			if _, err := o.Open(t.Context(), strings.NewReader(message)); (err == nil) != (len(to) == 0) {
				t.Errorf("the copy for %d certificates: %v", len(to), err)
			}
		}, new(bytes.Buffer)}, nil
	}, strings.NewReader(fileFields+filePart))
	if err != nil || n != 2 {
		t.Errorf("%d copies, %v", n, err)
	}
}

type copyOf struct {
	t     *testing.T
	check func(string)
	*bytes.Buffer
}

func (c copyOf) Close() error {
	c.check(c.String())
	return nil
}

// Somebody whose certificate is for signing alone says which one replies are to be encrypted
// to, and sends it along; whoever reads the message learns it.
func TestEncryptionCertificate(t *testing.T) {
	pki := smimetest.NewPKI(t)
	alice := func(key smimetest.Key, ku x509.KeyUsage) *certstore.Identity {
		return pki.Issue(smimetest.Leaf{Name: "Alice", Emails: []string{"alice@good.example"}, Key: key, KeyUsage: ku})
	}
	signs := alice(smimetest.RSA2048, x509.KeyUsageDigitalSignature)
	encrypts := alice(smimetest.X25519, x509.KeyUsageKeyAgreement)
	for _, include := range []string{"", "leaf", "none"} {
		var message bytes.Buffer
		c := &smime.Composer{Signers: []*certstore.Identity{signs}, EncryptionCertificate: encrypts.Certificate(), Include: include, Time: pki.Time}
		if _, err := c.Compose(&message, strings.NewReader(fileFields+filePart)); err != nil {
			t.Fatal(err)
		}
		store := new(certstore.Memory)
		store.AddIdentity(signs)
		v := pki.Verifier()
		v.Intermediates = store
		m, err := (&smime.Opener{Chain: v, Certs: store}).Open(t.Context(), bytes.NewReader(message.Bytes()))
		if err != nil {
			t.Fatalf("%q: %v", include, err)
		}
		learned := new(certstore.Memory)
		n, err := (&smime.Resolver{Chain: v}).Learn(t.Context(), learned, m)
		if want := map[string]int{"": 1, "leaf": 1, "none": 0}[include]; err != nil || n != want {
			t.Errorf("%q: learned %d, %v", include, n, err)
		}
		for e := range learned.Certificates(t.Context(), certstore.Email("alice@good.example")) {
			if !e.Certificate.Equal(encrypts.Certificate()) || !e.Default {
				t.Errorf("%q: learned %s", include, e.Certificate.Subject)
			}
		}
	}
	c := &smime.Composer{Signers: []*certstore.Identity{signs}, EncryptionCertificate: signs.Certificate(), Time: pki.Time}
	if _, err := c.Compose(io.Discard, strings.NewReader(fileFields+filePart)); err == nil {
		t.Error("replies encrypted to a certificate that does not encrypt")
	}
}

// What a password costs is for the sender to choose up to a limit (RFC 8018, Section 4.2).
// Beyond it the message is unreadable, unless another recipient opens it.
func TestCostlyPassword(t *testing.T) {
	pki := smimetest.NewPKI(t)
	keys := new(certstore.Memory)
	keys.AddIdentity(pki.Bob())
	bob := &cms.Recipient{Certificate: pki.Bob().Certificate()}
	costly := &cms.Recipient{Passphrase: []byte("correct horse"), Iterations: 1_000_000}
	for _, tt := range []struct {
		name       string
		to         []*cms.Recipient
		beyond     bool
		passphrase string
		verdict    smime.Verdict
		code       string
	}{
		{"the twin", []*cms.Recipient{costly}, false, "correct horse", smime.Unsigned, ""},
		{"beyond", []*cms.Recipient{costly}, true, "correct horse", smime.Unreadable, "limit.exceeded"},
		{"beyond, twice", []*cms.Recipient{costly, costly}, true, "correct horse", smime.Unreadable, "limit.exceeded"},
		{"beyond, and another key", []*cms.Recipient{costly, bob}, true, "correct horse", smime.Unsigned, ""},
		{"beyond, for others", []*cms.Recipient{costly}, true, "", smime.NotAuthentic, "decrypt.no_key"},
	} {
		var der bytes.Buffer
		w, err := cms.NewEnvelopedWriter(&der, tt.to, cms.EnvelopeOptions{})
		if err == nil {
			_, err = io.WriteString(w, filePart)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		text := der.Bytes()
		if tt.beyond {
			text = bytes.ReplaceAll(text, []byte{2, 3, 0x0f, 0x42, 0x40}, []byte{2, 3, 0x0f, 0x42, 0x41})
		}
		message := fileFields + "Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(text)
		o := &smime.Opener{Chain: pki.Verifier(), Keys: keys}
		if tt.passphrase != "" {
			o.Passphrase = []byte(tt.passphrase)
		}
		r, err := o.Inspect(t.Context(), strings.NewReader(message))
		if err != nil || r.Verdict != tt.verdict || (len(r.Codes) > 0) != (tt.code != "") || tt.code != "" && r.Codes[0] != tt.code {
			t.Errorf("%s: %v, %+v", tt.name, err, r)
		}
	}
}
