package smime_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

// Keys in a token: each does one thing, shows nothing else, and counts.
type (
	// signToken is given digests to sign.
	signToken struct {
		crypto.Signer
		used *int
	}
	// messageToken hashes for itself, and refuses to sign a digest.
	messageToken struct {
		key  crypto.Signer
		used *int
	}
	// decryptToken is an RSA key. What it does about a SessionKeyLen is one of three things:
	// "honours" it, "refuses" it, as github.com/ThalesGroup/crypto11 does, or "ignores" it.
	// Without one it shows bad padding.
	decryptToken struct {
		key           *rsa.PrivateKey
		sessionKeyLen string
		used          *int
	}
	// agreeToken only agrees on secrets.
	agreeToken struct {
		ecdh.KeyExchanger
		used *int
	}
	// kemToken only decapsulates.
	kemToken struct {
		crypto.Decapsulator
		used *int
	}
)

func (k signToken) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	*k.used++
	return k.Signer.Sign(r, digest, opts)
}

func (k messageToken) Public() crypto.PublicKey { return k.key.Public() }

func (k messageToken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("token: signs messages only")
}

func (k messageToken) SignMessage(r io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	*k.used++
	return crypto.SignMessage(k.key, r, message, opts)
}

func (k decryptToken) Public() crypto.PublicKey { return k.key.Public() }

func (k decryptToken) Decrypt(r io.Reader, text []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if o, ok := opts.(*rsa.PKCS1v15DecryptOptions); ok && o.SessionKeyLen != 0 {
		switch k.sessionKeyLen {
		case "refuses":
			return nil, errors.New("token: unsupported RSA option value")
		case "ignores":
			opts = nil
		}
	}
	*k.used++
	return k.key.Decrypt(r, text, opts)
}

func (k agreeToken) ECDH(p *ecdh.PublicKey) ([]byte, error) {
	*k.used++
	return k.KeyExchanger.ECDH(p)
}

func (k kemToken) Decapsulate(text []byte) ([]byte, error) {
	*k.used++
	return k.Decapsulator.Decapsulate(text)
}

// A key in a token signs and decrypts through the interfaces of the standard library, and
// nothing else is asked of it.
func TestTokens(t *testing.T) {
	pki := smimetest.NewPKI(t)
	used := 0
	exchanger := func(key crypto.PrivateKey) ecdh.KeyExchanger {
		if k, ok := key.(*ecdsa.PrivateKey); ok {
			dh, err := k.ECDH()
			if err != nil {
				t.Fatal(err)
			}
			return dh
		}
		return key.(*ecdh.PrivateKey)
	}
	digests := func(key crypto.PrivateKey) crypto.PrivateKey { return signToken{key.(crypto.Signer), &used} }
	messages := func(key crypto.PrivateKey) crypto.PrivateKey { return messageToken{key.(crypto.Signer), &used} }
	rsaToken := func(sessionKeyLen string) func(crypto.PrivateKey) crypto.PrivateKey {
		return func(key crypto.PrivateKey) crypto.PrivateKey {
			return decryptToken{key.(*rsa.PrivateKey), sessionKeyLen, &used}
		}
	}
	crypto11 := rsaToken("refuses")
	agrees := func(key crypto.PrivateKey) crypto.PrivateKey { return agreeToken{exchanger(key), &used} }
	kem := func(key crypto.PrivateKey) crypto.PrivateKey {
		return kemToken{key.(crypto.Decapsulator), &used}
	}
	inToken := func(address string, kind smimetest.Key, wrap func(crypto.PrivateKey) crypto.PrivateKey) *certstore.Identity {
		id := pki.Issue(smimetest.Leaf{Emails: []string{address}, Key: kind})
		token, err := certstore.NewIdentity(id.Certificate(), wrap(id.Key()), id.Intermediates()...)
		if err != nil {
			t.Fatal(kind, err)
		}
		return token
	}
	for _, c := range []struct {
		kind smimetest.Key
		wrap func(crypto.PrivateKey) crypto.PrivateKey
		pss  bool
	}{
		{smimetest.RSA2048, digests, false}, {smimetest.RSA2048, digests, true}, {smimetest.P256, digests, false},
		{smimetest.P384, digests, false}, {smimetest.Ed25519, digests, false}, {smimetest.MLDSA65, digests, false},
		{smimetest.RSA2048, messages, false}, {smimetest.RSA2048, messages, true}, {smimetest.P256, messages, false},
		{smimetest.Ed25519, messages, false},
	} {
		used = 0
		alice := inToken("alice@good.example", c.kind, c.wrap)
		var signed bytes.Buffer
		composer := &smime.Composer{Signers: []*certstore.Identity{alice}, PSS: c.pss, Time: pki.Time}
		if _, err := composer.Compose(&signed, smimetest.Mail{}.Reader()); err != nil {
			t.Errorf("%s: %v", c.kind, err)
			continue
		}
		if m, err := (&smime.Opener{Chain: pki.Verifier()}).Open(context.Background(), &signed); err != nil || len(m.Signatures()) != 1 || used != 1 {
			t.Errorf("%s: opened: %v, token used %d times", c.kind, err, used)
		}
	}
	for _, c := range []struct {
		kind      smimetest.Key
		wrap      func(crypto.PrivateKey) crypto.PrivateKey
		transport string
		times     int // that the token is used: once more if it takes a SessionKeyLen, to find that out
	}{
		{smimetest.RSA2048, crypto11, "pkcs1", 1}, {smimetest.RSA2048, crypto11, "oaep", 1},
		{smimetest.RSA2048, rsaToken("honours"), "pkcs1", 2}, {smimetest.RSA2048, rsaToken("honours"), "oaep", 1},
		{smimetest.RSA2048, rsaToken("ignores"), "pkcs1", 2}, {smimetest.RSA2048, rsaToken("ignores"), "oaep", 1},
		{smimetest.P256, agrees, "", 1}, {smimetest.P384, agrees, "", 1}, {smimetest.P521, agrees, "", 1}, {smimetest.X25519, agrees, "", 1},
		{smimetest.MLKEM768, kem, "", 1}, {smimetest.MLKEM1024, kem, "", 1},
	} {
		bob := inToken("bob@good.example", c.kind, c.wrap)
		composer := &smime.Composer{Signers: []*certstore.Identity{pki.Alice()}, Recipients: []*x509.Certificate{bob.Certificate()},
			Opaque: true, KeyTransport: c.transport, Time: pki.Time}
		var sealed bytes.Buffer
		if _, err := composer.Compose(&sealed, smimetest.Mail{}.Reader()); err != nil {
			t.Errorf("%s %s: %v", c.kind, c.transport, err)
			continue
		}
		used = 0
		keys := new(certstore.Memory)
		keys.AddIdentity(bob)
		o := &smime.Opener{Chain: pki.Verifier(), Keys: keys}
		m, err := o.Open(context.Background(), bytes.NewReader(sealed.Bytes()))
		if err != nil || used != c.times {
			t.Errorf("%s %s: opened: %v, token used %d times", c.kind, c.transport, err, used)
			continue
		}
		if text, err := io.ReadAll(m.Entity()); err != nil || !strings.Contains(string(text), "see you on Tuesday") {
			t.Errorf("%s %s: %q, %v", c.kind, c.transport, text, err)
		}
	}
}
