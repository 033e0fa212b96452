package smime_test

import (
	"bytes"
	"crypto"
	"io"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

// RFC 8702: RSA keys sign with a SHAKE by RSASSA-PSS, curves as they always do, ML-DSA with
// SHAKE256 beside it. A pipe is read once, so micalg must name the digest.
func TestComposeWithShake(t *testing.T) {
	pki := smimetest.NewPKI(t)
	for _, tt := range []struct {
		key               smimetest.Key
		digest, algorithm string // an empty algorithm is refused
	}{
		{smimetest.RSA2048, "shake128", "rsa-pss"},
		{smimetest.RSA3072, "shake256", "rsa-pss"},
		{smimetest.P256, "shake128", "ecdsa"},
		{smimetest.P521, "shake256", "ecdsa"},
		{smimetest.MLDSA65, "shake256", "ml-dsa-65"},
		{smimetest.MLDSA65, "shake128", ""},
		{smimetest.Ed25519, "shake256", ""},
	} {
		alice := pki.Issue(smimetest.Leaf{Emails: []string{"alice@good.example"}, Key: tt.key})
		for _, opaque := range []bool{false, true} {
			var message bytes.Buffer
			c := &smime.Composer{Signers: []*certstore.Identity{alice}, Digest: tt.digest, Opaque: opaque, Time: pki.Time}
			if _, err := c.Compose(&message, strings.NewReader(fileFields+filePart)); (err == nil) != (tt.algorithm != "") {
				t.Errorf("%s with %s: %v", tt.key, tt.digest, err)
			}
			if tt.algorithm == "" {
				continue
			}
			if !opaque && !bytes.Contains(message.Bytes(), []byte("micalg="+tt.digest)) {
				t.Errorf("%s with %s: no micalg", tt.key, tt.digest)
			}
			m, err := (&smime.Opener{Chain: pki.Verifier()}).OpenTo(t.Context(), io.Discard, io.MultiReader(&message))
			if err != nil {
				t.Errorf("%s with %s: %v", tt.key, tt.digest, err)
				continue
			}
			if s := m.Signatures()[0]; s.Digest != tt.digest || s.Algorithm != tt.algorithm {
				t.Errorf("%s with %s: %s %s", tt.key, tt.digest, s.Algorithm, s.Digest)
			}
		}
	}
	// A device is never asked for what it cannot be asked for.
	rsa := pki.Alice()
	device, err := certstore.NewIdentity(rsa.Certificate(), struct{ crypto.Signer }{rsa.Key().(crypto.Signer)})
	if err != nil {
		t.Fatal(err)
	}
	c := &smime.Composer{Signers: []*certstore.Identity{device}, Digest: "shake256", Time: pki.Time}
	if _, err := c.Compose(io.Discard, strings.NewReader(fileFields+filePart)); err == nil {
		t.Error("a device signs RSASSA-PSS with a SHAKE")
	}
}
