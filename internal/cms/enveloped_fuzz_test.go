package cms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/mlkem"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// fixedHolders are the same in every process: what one worker finds another must repeat.
var fixedHolders = sync.OnceValue(func() map[string]holder {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	out := make(map[string]holder)
	p, err := ecdh.P256().NewPrivateKey(someBytes(33)[1:])
	must(err)
	out["p256"] = holder{bearer(1, spki(oid.ECPublicKey, derOf(oid.P256), p.PublicKey().Bytes())), p}
	x, err := ecdh.X25519().NewPrivateKey(someBytes(32))
	must(err)
	out["x25519"] = holder{bearer(2, spki(oid.X25519, nil, x.PublicKey().Bytes())), x}
	k, err := mlkem.NewDecapsulationKey768(someBytes(64))
	must(err)
	out["ml-kem"] = holder{bearer(3, spki(oid.MLKEM768, nil, k.EncapsulationKey().Bytes())), k}
	return out
})

// fuzzKeys holds keys for every kind of recipient but a password, whose derivation may
// rightly take a quarter of a second.
var fuzzKeys = sync.OnceValue(func() map[string][]crypto.PrivateKey {
	h := fixedHolders()
	return map[string][]crypto.PrivateKey{
		"ktri":  {holders()["rsa"].key},
		"kari":  {h["p256"].key, h["x25519"].key, holders()["x448"].key},
		"kekri": {cms.Secret(someBytes(32))},
		"kemri": {h["ml-kem"].key},
	}
})

// typed reports whether err is one of those that this package documents.
func typed(err error) bool {
	var (
		syntax      *cms.SyntaxError
		unsupported *cms.UnsupportedError
		weak        *cms.WeakError
		limit       *limits.Exceeded
		key         *sigalg.WeakKeyError
	)
	return err == nil || err == cms.ErrDecrypt || errors.As(err, &syntax) || errors.As(err, &unsupported) || errors.As(err, &weak) ||
		errors.As(err, &limit) || errors.As(err, &key) || errors.Is(err, cms.ErrNoContent)
}

// FuzzEnvelopedData reads anything with every kind of key: no panic, no untyped error, the
// same twice, and what ends well does so for Finish as well.
func FuzzEnvelopedData(f *testing.F) {
	h := fixedHolders()
	to := []*cms.Recipient{{Certificate: holders()["rsa"].cert, OAEP: true}, {Certificate: h["p256"].cert}, {Certificate: h["x25519"].cert, KeyID: true},
		{Certificate: h["ml-kem"].cert}, {Secret: someBytes(32)}, {Passphrase: []byte("p"), Iterations: 2}}
	for _, r := range to[1:5] {
		f.Add(seal(f, []byte("some content"), 12, cms.EnvelopeOptions{Cipher: "aes128-gcm"}, r))
	}
	for _, cipher := range []string{"aes128-cbc", "aes256-gcm", "aes192-ccm", "chacha20-poly1305"} {
		f.Add(seal(f, []byte("some content"), 12, cms.EnvelopeOptions{Cipher: cipher, Derive: cipher == "aes256-gcm"}, to...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var n int
		c, err := cms.Open(bytes.NewReader(b))
		if !typed(err) {
			t.Fatal(err)
		}
		if e, ok := c.(*cms.EnvelopedData); ok && err == nil {
			n = len(e.Recipients())
			if err := e.Finish(); !typed(err) {
				t.Fatal(err)
			}
		}
		for i := range min(n, 20) {
			kind := ""
			for k := 0; k == 0 || k < len(fuzzKeys()[kind]); k++ {
				c, err := cms.Open(bytes.NewReader(b))
				if err != nil {
					t.Fatal("not the same twice:", err)
				}
				e := c.(*cms.EnvelopedData)
				ri := e.Recipients()[i]
				kind = ri.Kind
				keys := fuzzKeys()[kind]
				if k >= len(keys) {
					break
				}
				if err := e.Unlock(ri, keys[k], cms.DecryptOptions{AllowLegacyCiphers: true}); err != nil {
					if ri.Err() != nil && !typed(err) {
						t.Fatal(err)
					}
					continue
				}
				_, err = io.Copy(io.Discard, e)
				if !typed(err) {
					t.Fatal(err)
				}
				if again := e.Finish(); again != err {
					t.Fatal(err, again)
				}
			}
		}
	})
}
