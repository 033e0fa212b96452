package smime_test

import (
	"bytes"
	"fmt"
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

// TestOneFailureOfEveryKind (rows C04, C07, C09, C10, C11, C12 and K03): for every kind of recipient
// and every cipher, an octet of the encrypted key, of the ciphertext or of the tag that is
// another, wherever it is, is the one failure.
func TestOneFailureOfEveryKind(t *testing.T) {
	pki := smimetest.NewPKI(t)
	bob := func(k smimetest.Key) *certstore.Identity {
		return pki.Issue(smimetest.Leaf{Name: "Bob", Emails: []string{"bob@good.example"}, Key: k})
	}
	secret, passphrase := bytes.Repeat([]byte("k"), 32), []byte("correct horse")
	opener := func(ids ...*certstore.Identity) *smime.Opener {
		keys := new(certstore.Memory)
		keys.AddIdentity(ids...)
		return &smime.Opener{Chain: pki.Verifier(), Keys: keys, Secret: secret, Passphrase: passphrase}
	}
	content := fileOpaque + catalogue.Base64Lines(catalogue.Forged(filePart, pki.Alice()).DER())
	recipients := map[string]struct {
		to *cms.Recipient
		o  *smime.Opener
	}{
		"a secret key": {&cms.Recipient{Secret: secret}, opener()},
		"a password":   {&cms.Recipient{Passphrase: passphrase, Iterations: 1}, opener()},
	}
	for _, k := range []smimetest.Key{smimetest.RSA2048, smimetest.P256, smimetest.P384, smimetest.P521, smimetest.X25519, smimetest.MLKEM768, smimetest.MLKEM1024} {
		id := bob(k)
		recipients[string(k)] = struct {
			to *cms.Recipient
			o  *smime.Opener
		}{&cms.Recipient{Certificate: id.Certificate()}, opener(id)}
		if k == smimetest.RSA2048 {
			recipients["OAEP"] = struct {
				to *cms.Recipient
				o  *smime.Opener
			}{&cms.Recipient{Certificate: id.Certificate(), OAEP: true}, opener(id)}
		}
	}
	n := 0
	for name, r := range recipients {
		for _, cipher := range []string{"aes256-gcm", "chacha20-poly1305", "aes128-ccm", "aes192-cbc"} {
			label, authenticated := "enveloped-data", cms.AuthenticatedCipher(cipher)
			if authenticated {
				label = "authEnveloped-data"
			}
			mail := func(der []byte) []byte {
				return []byte(fileFields + strings.Replace(fileOpaque, "signed-data", label, 1) + catalogue.Base64Lines(der))
			}
			var b bytes.Buffer
			w, err := cms.NewEnvelopedWriter(&b, []*cms.Recipient{r.to}, cms.EnvelopeOptions{Cipher: cipher})
			if err == nil {
				_, err = w.Write([]byte(content))
			}
			if err == nil {
				err = w.Close()
			}
			if err != nil {
				t.Fatal(name, cipher, err)
			}
			der := b.Bytes()
			if _, err := r.o.Open(t.Context(), bytes.NewReader(mail(der))); err != nil {
				t.Errorf("%s, %s: %v", name, cipher, err)
				continue
			}
			// The encrypted key ends before the type of the content, whose ciphertext follows.
			key := bytes.Index(der, forge.OID(oid.Data)) - 6
			places := map[string]int{}
			if authenticated {
				for i := range 16 {
					places[fmt.Sprint("octet of the key ", i)] = key - i
					places[fmt.Sprint("octet of the tag ", i)] = len(der) - 1 - i
					places[fmt.Sprint("octet of the text ", i)] = len(der) - 40 - 11*i
				}
			} else {
				places["padding"] = len(der) - 17
			}
			for what, at := range places {
				n++
				bad := bytes.Clone(der)
				bad[at] ^= 0x10
				if f := failureOf(t, r.o, name+", "+cipher+", "+what, mail(bad)); f != theFailure() {
					t.Errorf("%s, %s, %s: %+v", name, cipher, what, f)
				}
			}
		}
	}
	t.Log(n, "faults")
	if n < 1000 {
		t.Error("only", n, "faults")
	}
}
