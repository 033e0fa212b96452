package sqlstore_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"filippo.io/mldsa"

	"github.com/postseal/postseal/certstore/sqlstore"
	"github.com/postseal/postseal/internal/keyfile"
	"github.com/postseal/postseal/internal/x448"
)

// Every kind of key comes out as it went in.
func TestKeys(t *testing.T) {
	must := func(key crypto.PrivateKey, err error) crypto.PrivateKey {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	kem768, err := mlkem.GenerateKey768()
	must(nil, err)
	kem1024, err := mlkem.GenerateKey1024()
	must(nil, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(nil, err)
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(nil, err)
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	must(nil, err)
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	must(nil, err)
	agree, err := x448.GenerateKey()
	must(nil, err)
	dsa, err := mldsa.GenerateKey(mldsa.MLDSA65())
	must(nil, err)
	for name, key := range map[string]crypto.PrivateKey{
		"ML-KEM-768": kem768, "ML-KEM-1024": kem1024, "Ed25519": ed, "ECDSA": ec, "RSA": r, "X25519": x25519, "X448": agree, "ML-DSA": dsa,
	} {
		der, err := sqlstore.MarshalKey(key)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		back, err := keyfile.ParsePrivateKey(der)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := sqlstore.MarshalKey(back)
		if err != nil || !bytes.Equal(der, again) {
			t.Errorf("%s came back as another %T, %v", name, back, err)
		}
	}
	if _, err := sqlstore.MarshalKey(struct{}{}); err == nil {
		t.Error("something that is no key was taken for one")
	}
}
