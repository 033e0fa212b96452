package smime_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"iter"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/internal/catalogue"
	"github.com/postseal/postseal/smime/smimetest"
)

// earlier returns a certificate for the same key, as it was before it was renewed.
func earlier(id *certstore.Identity) *x509.Certificate {
	c := *id.Certificate()
	c.SerialNumber = new(big.Int).Add(c.SerialNumber, big.NewInt(1<<40))
	return &c
}

// A message to a certificate that was renewed with the same key, or lost, opens with
// TryKeys, whatever the kind of key, and the report tells which recipient it was by.
func TestTryKeys(t *testing.T) {
	pki := smimetest.NewPKI(t)
	stranger := pki.Issue(smimetest.Leaf{Emails: []string{"carol@good.example"}, Key: smimetest.RSA2048})
	for _, key := range []smimetest.Key{smimetest.RSA2048, smimetest.P256, smimetest.P521, smimetest.X25519, smimetest.MLKEM768} {
		bob := pki.Issue(smimetest.Leaf{Name: "Bob", Emails: []string{"bob@good.example"}, Key: key})
		keys := new(certstore.Memory)
		keys.AddIdentity(bob)
		var message bytes.Buffer
		c := &smime.Composer{Signers: []*certstore.Identity{pki.Alice()}, Recipients: []*x509.Certificate{stranger.Certificate(), earlier(bob)}, Time: pki.Time}
		if _, err := c.Compose(&message, strings.NewReader(fileFields+filePart)); err != nil {
			t.Fatal(key, err)
		}
		o := &smime.Opener{Chain: pki.Verifier(), Keys: keys}
		if _, err := o.Open(t.Context(), bytes.NewReader(message.Bytes())); !errors.Is(err, smime.ErrNoKey) {
			t.Errorf("%s: not asked to try: %v", key, err)
		}
		other := pki.Issue(smimetest.Leaf{Name: "Bob", Emails: []string{"bob@good.example"}, Key: key})
		o.TryKeys = []*certstore.Identity{pki.Alice(), other, bob}
		m, err := o.Open(t.Context(), bytes.NewReader(message.Bytes()))
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		if to := m.Report().Layers[0].Recipients; len(to) != 2 || to[0].Used || !to[1].Used {
			t.Errorf("%s: recipients %+v %+v", key, to[0], to[1])
		}
		o.TryKeys = []*certstore.Identity{bob} // nothing is held in memory then
		if _, err := o.Open(t.Context(), bytes.NewReader(message.Bytes())); err != nil {
			t.Errorf("%s: with one key: %v", key, err)
		}
		o.TryKeys = []*certstore.Identity{other}
		if f := failureOf(t, o, string(key), message.Bytes()); f != noKey() {
			t.Errorf("%s: %+v", key, f)
		}
	}
}

// noKey is what every failure to find a key by trying looks like, and a failure without.
func noKey() failure {
	return failure{"smime: the message is not-authentic (decrypt.no_key)", smime.NotAuthentic, "decrypt.no_key", "", "encrypted", false}
}

// Row C08: trying makes no oracle. Whatever is wrong with the key or the content, nothing
// but "no key" comes out, the same as without trying; and where a recipient is named, it
// decides, and nothing is tried.
func TestTryKeysTellsNothing(t *testing.T) {
	people := readOpenIdentities(t)
	m := newMaker(t, people)
	signed := m.SealedPart()
	bob, key := people.bob, []byte(fileKey)
	old, err := certstore.NewIdentity(people.eve.Certificate(), people.eve.Key())
	if err != nil {
		t.Fatal(err)
	}
	pub := bob.Certificate().PublicKey.(interface{ Size() int }).Size()
	rsa := func(block []byte) []byte {
		return forge.KeyTransport(earlier(bob), forge.Algorithm(oid.RSA, forge.Null()), forge.RSAEncrypted(rsaPublic(bob), block))
	}
	good := rsa(forge.EncryptionBlock(pub, key))
	by := func(change func(*forge.Enveloped), recipients ...[]byte) []byte {
		return []byte(sealedMail(people.envelope(signed, func(e *forge.Enveloped) {
			e.Recipients = recipients
			if change != nil {
				change(e)
			}
		})))
	}
	opener := func(try ...*certstore.Identity) *smime.Opener {
		o := people.opener()
		o.TryKeys = try
		return o
	}
	if _, err := opener(bob).Open(t.Context(), bytes.NewReader(by(nil, good))); err != nil {
		t.Fatal("the twin:", err)
	}
	if _, err := opener(old, bob, people.alice).Open(t.Context(), bytes.NewReader(by(nil, rsa(make([]byte, 256)), good, rsa(forge.EncryptionBlock(pub, make([]byte, 32)))))); err != nil {
		t.Error("the right one among others:", err)
	}
	for name, message := range map[string][]byte{
		"another key":         by(nil, rsa(forge.EncryptionBlock(pub, make([]byte, 32)))),
		"a key too short":     by(nil, rsa(forge.EncryptionBlock(pub, make([]byte, 16)))),
		"bad padding":         by(nil, rsa(make([]byte, 256))),
		"bad length":          by(nil, forge.KeyTransport(earlier(bob), forge.Algorithm(oid.RSA, forge.Null()), make([]byte, 128))),
		"cut ciphertext":      by(func(e *forge.Enveloped) { e.Text = e.Text[:len(e.Text)-1] }, good),
		"bad end":             by(func(e *forge.Enveloped) { e.Text[len(e.Text)-17] ^= 0x40 }, good),
		"another cipher":      by(func(e *forge.Enveloped) { e.Cipher = forge.AESCBC(key[:16], []byte(fileIV)) }, good),
		"a beginning changed": by(func(e *forge.Enveloped) { e.Text[3] ^= 1 }, good),
		"65 recipients":       by(nil, repeated(good, 65)...),
		"nobody":              by(nil),
	} {
		for how, o := range map[string]*smime.Opener{"without trying": opener(), "with one key": opener(bob), "with two": opener(bob, old)} {
			if how == "without trying" && name == "the twin" {
				continue
			}
			if f := failureOf(t, o, name, message); f != noKey() {
				t.Errorf("%s, %s: %+v", name, how, f)
			}
		}
	}
	// Bob's certificate is named, with another key; trying would find the right one.
	named := by(nil, catalogue.Transport(bob, make([]byte, 32)), good)
	if f := failureOf(t, opener(bob), "named", named); f != theFailure() {
		t.Errorf("%+v", f)
	}
}

func repeated(b []byte, n int) (list [][]byte) {
	for range n {
		list = append(list, b)
	}
	return list
}

// Several passwords, as OpenSSL writes them for several readers: no recipient names any.
func TestSeveralPasswords(t *testing.T) {
	message := passwordMail(t, "first", "second", "third")
	for _, password := range []string{"first", "second", "third"} {
		o := &smime.Opener{Passphrase: []byte(password), AllowUnsigned: true}
		r, err := o.InspectCMS(t.Context(), bytes.NewReader(message), nil)
		if err != nil || r.Verdict != smime.Unsigned || !r.Layers[0].Decrypted {
			t.Errorf("%s: %+v, %v", password, r, err)
			continue
		}
		used := 0
		for _, to := range r.Layers[0].Recipients { // in an order that nobody chooses
			if to.Used {
				used++
			}
		}
		if used != 1 {
			t.Errorf("%s: by %d of the recipients", password, used)
		}
	}
	r, err := (&smime.Opener{Passphrase: []byte("fourth")}).InspectCMS(t.Context(), bytes.NewReader(message), nil)
	if err != nil || r.Verdict != smime.NotAuthentic || strings.Join(r.Codes, " ") != "decrypt.failed" {
		t.Errorf("a wrong password: %+v, %v", r, err)
	}
}

// After passwords that everybody can see to be too many, a named recipient opens the
// message: the report says which, and who reads what was not written to him (row A18).
func TestNamedAfterPasswords(t *testing.T) {
	people := readOpenIdentities(t)
	pki := smimetest.NewPKI(t)
	bob := pki.Issue(smimetest.Leaf{Emails: []string{"bob@good.example"}, Key: smimetest.MLKEM768}) // whose recipient comes last in the order of DER
	keys := new(certstore.Memory)
	keys.AddIdentity(bob)
	for address, warned := range map[string]bool{"carol@good.example": true, "bob@good.example": false} {
		inside := fileFields[:strings.Index(fileFields, "\r\n")+2] + "To: " + address + "\r\nContent-Type: text/plain; hp=\"clear\"\r\n\r\nhello\r\n"
		signed := "Content-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
			catalogue.Base64Lines(newMaker(t, people).Forged(inside, nil).DER())
		to := []*cms.Recipient{{Certificate: bob.Certificate()}}
		for range 5 {
			to = append(to, &cms.Recipient{Passphrase: []byte("another"), Iterations: 1000})
		}
		var der bytes.Buffer
		w, err := cms.NewEnvelopedWriter(&der, to, cms.EnvelopeOptions{Cipher: "aes256-cbc"})
		if err == nil {
			_, err = io.WriteString(w, signed)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		o := people.opener()
		o.Keys, o.Passphrase = keys, []byte("mine")
		r := reported(t, o, sealedMail(der.Bytes()))
		if r.Verdict != smime.Authentic {
			t.Fatalf("%s %q", r.Verdict, r.Codes)
		}
		for _, to := range r.Layers[0].Recipients {
			if to.Used == (to.Kind == "pwri") {
				t.Errorf("a recipient of kind %s is used: %t", to.Kind, to.Used)
			}
		}
		if slices.Contains(r.Warnings, "recipient.not_named") != warned {
			t.Errorf("to %s: warnings %q", address, r.Warnings)
		}
	}
}

// brokenKeys is a key store that cannot be asked.
type brokenKeys struct{ *certstore.Memory }

func (brokenKeys) Identities(context.Context, certstore.Query) iter.Seq2[*certstore.Identity, error] {
	return func(yield func(*certstore.Identity, error) bool) { yield(nil, errors.New("no connection")) }
}

// Ciphertext that does not say so does not become content because the key store fails.
func TestHiddenLayerWithoutKeyStore(t *testing.T) {
	pki := smimetest.NewPKI(t)
	bob := pki.Bob()
	var der bytes.Buffer
	w, err := cms.NewEnvelopedWriter(&der, []*cms.Recipient{{Certificate: bob.Certificate()}}, cms.EnvelopeOptions{Cipher: "aes256-gcm"})
	if err == nil {
		_, err = io.WriteString(w, filePart)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	mail := func(data []byte) string {
		return fileFields + "Content-Type: application/x-foo\r\nContent-Transfer-Encoding: base64\r\n\r\n" + catalogue.Base64Lines(data)
	}
	keys := new(certstore.Memory)
	keys.AddIdentity(bob)
	o := &smime.Opener{Chain: pki.Verifier(), Keys: keys, AllowUnsigned: true}
	if r := reported(t, o, mail(der.Bytes())); len(r.Layers) != 1 || !r.Layers[0].Decrypted || !slices.Contains(r.Warnings, "mime.hidden_type") {
		t.Errorf("the twin: %+v", r)
	}
	o.Keys = brokenKeys{keys}
	if m, err := o.Open(t.Context(), strings.NewReader(mail(der.Bytes()))); err == nil || !strings.Contains(err.Error(), "no connection") {
		t.Errorf("opened without the store: %+v, %v", m, err)
	}
	if r := reported(t, o, mail([]byte("no CMS, so nobody is asked"))); r.Verdict != smime.Unsigned || len(r.Layers) != 0 {
		t.Errorf("content: %s, %d layers", r.Verdict, len(r.Layers))
	}
}
