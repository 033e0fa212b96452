package cms_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/cipherstream"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/keywrap"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/x448"
)

// A holder is a recipient: a certificate and the key that belongs to it.
type holder struct {
	cert *x509.Certificate
	key  crypto.PrivateKey
}

// spki encodes a public key of the given algorithm, whose parameters are DER or nil.
func spki(algorithm oid.OID, parameters, key []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(algorithm)) })
			b.AddBytes(parameters)
		})
		b.AddASN1BitString(key)
	})
	return b.BytesOrPanic()
}

// bearer makes what package cms needs of a certificate for any kind of public key.
func bearer(serial int64, publicKeyInfo []byte) *x509.Certificate {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(oid.CommonName)) })
				b.AddASN1(casn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte("Testers")) })
			})
		})
	})
	id := sha1.Sum(publicKeyInfo)
	return &x509.Certificate{RawIssuer: b.BytesOrPanic(), SerialNumber: big.NewInt(serial),
		SubjectKeyId: id[:], RawSubjectPublicKeyInfo: publicKeyInfo}
}

var holders = sync.OnceValue(func() map[string]holder {
	out := make(map[string]holder)
	add := func(name string, key crypto.PrivateKey, publicKeyInfo []byte) {
		out[name] = holder{bearer(int64(len(out)+1), publicKeyInfo), key}
	}
	must := func(b []byte, err error) []byte {
		if err != nil {
			panic(err)
		}
		return b
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	add("rsa", r, must(x509.MarshalPKIXPublicKey(&r.PublicKey)))
	add("rsa-oaep-only", r, spki(oid.RSAOAEP, nil, x509.MarshalPKCS1PublicKey(&r.PublicKey)))
	for name, c := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		k, _ := ecdsa.GenerateKey(c, rand.Reader)
		add(name, k, must(x509.MarshalPKIXPublicKey(&k.PublicKey)))
	}
	x, _ := ecdh.X25519().GenerateKey(rand.Reader)
	add("x25519", x, must(x509.MarshalPKIXPublicKey(x.PublicKey())))
	y, _ := x448.GenerateKey()
	add("x448", y, spki(oid.X448, nil, y.PublicKey()))
	k768, _ := mlkem.GenerateKey768()
	add("ml-kem-768", k768, spki(oid.MLKEM768, nil, k768.EncapsulationKey().Bytes()))
	k1024, _ := mlkem.GenerateKey1024()
	add("ml-kem-1024", k1024, spki(oid.MLKEM1024, nil, k1024.EncapsulationKey().Bytes()))
	return out
})

func someBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// seal encrypts content; step is the size of the writes.
func seal(tb testing.TB, content []byte, step int, opt cms.EnvelopeOptions, to ...*cms.Recipient) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := cms.NewEnvelopedWriter(&out, to, opt)
	if err != nil {
		tb.Fatal(err)
	}
	for len(content) > 0 {
		n := min(step, len(content))
		if _, err := w.Write(content[:n]); err != nil {
			tb.Fatal(err)
		}
		content = content[n:]
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// opened is what reading an encrypted structure gave.
type opened struct {
	content []byte
	used    *cms.RecipientInfo
	data    *cms.EnvelopedData
}

var errNoRecipient = errors.New("no recipient matches")

// unseal decrypts with the first recipient that matches cert, or that has the given kind
// if cert is nil.
func unseal(r io.Reader, cert *x509.Certificate, kind string, key crypto.PrivateKey, opt cms.DecryptOptions) (o opened, err error) {
	c, err := cms.Open(r)
	if err != nil {
		return o, err
	}
	e, ok := c.(*cms.EnvelopedData)
	if !ok {
		return o, fmt.Errorf("a %T", c)
	}
	o.data = e
	for _, ri := range e.Recipients() {
		if cert != nil && ri.Matches(cert) || cert == nil && ri.Kind == kind {
			o.used = ri
			break
		}
	}
	if o.used == nil {
		return o, errNoRecipient
	}
	if err := e.Unlock(o.used, key, opt); err != nil {
		return o, err
	}
	o.content, err = io.ReadAll(e)
	if err != nil {
		return o, err
	}
	return o, e.Finish()
}

// Recipients stand in the order of DER, so that those by key transport come first, however
// they were given (QUIRK of gpgsm 2.2).
func TestOrderOfRecipients(t *testing.T) {
	all := holders()
	var to []*cms.Recipient
	for _, name := range []string{"ml-kem-768", "p256", "rsa", "x25519", "rsa"} {
		if all[name].cert == nil {
			t.Fatal("nobody has a key called", name)
		}
		to = append(to, &cms.Recipient{Certificate: all[name].cert})
	}
	to = append(to, &cms.Recipient{Secret: make([]byte, 32), SecretID: []byte("id")})
	for range len(to) {
		to = append(to[1:], to[0])
		c, err := cms.Open(bytes.NewReader(seal(t, []byte("content"), 7, cms.EnvelopeOptions{}, to...)))
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, ri := range c.(*cms.EnvelopedData).Recipients() {
			kinds = append(kinds, ri.Kind)
		}
		if want := []string{"ktri", "ktri", "kari", "kari", "kekri", "kemri"}; !slices.Equal(kinds, want) {
			t.Errorf("%v, not %v", kinds, want)
		}
	}
}

func TestEveryCipher(t *testing.T) {
	h := holders()["rsa"]
	for _, cipher := range []string{"aes128-cbc", "aes192-cbc", "aes256-cbc", "aes128-gcm", "aes192-gcm", "aes256-gcm",
		"aes128-ccm", "aes192-ccm", "aes256-ccm", "chacha20-poly1305"} {
		for _, derive := range []bool{false, true} {
			for _, n := range []int{0, 1, 15, 16, 17, 1000, 65519, 65520, 65521, 65536, 65537, 200000, 3 << 20} {
				if n > 1000 && derive {
					continue
				}
				plain := someBytes(n)
				der := seal(t, plain, 1+n/3, cms.EnvelopeOptions{Cipher: cipher, Derive: derive}, &cms.Recipient{Certificate: h.cert})
				o, err := unseal(bytes.NewReader(der), h.cert, "", h.key, cms.DecryptOptions{})
				if err != nil || !bytes.Equal(o.content, plain) {
					t.Fatalf("%s, %d octets: %v", cipher, n, err)
				}
				if o.data.Cipher() != cipher || o.data.Derived() != derive || o.data.ContentType() != oid.Data ||
					o.data.Authenticated() != cms.AuthenticatedCipher(cipher) {
					t.Errorf("%s: read as %s, derived %v", cipher, o.data.Cipher(), o.data.Derived())
				}
				if small := der[1] != 0x80; small != (n < 65520) && small != (n <= 65536) {
					t.Errorf("%s, %d octets: definite length: %v", cipher, n, small)
				}
			}
		}
	}
	if _, err := cms.NewEnvelopedWriter(io.Discard, []*cms.Recipient{{Certificate: h.cert}}, cms.EnvelopeOptions{Cipher: "3des-cbc"}); err == nil {
		t.Error("3DES is written")
	}
}

func TestEveryRecipient(t *testing.T) {
	want := map[string]string{
		"rsa": "rsa-pkcs1", "rsa-oaep-only": "rsa-oaep-sha256",
		"p256": "ecdh-sha256-aes256-wrap", "p384": "ecdh-sha384-aes256-wrap", "p521": "ecdh-sha512-aes256-wrap",
		"x25519": "ecdh-hkdf-sha256-aes256-wrap", "x448": "ecdh-hkdf-sha512-aes256-wrap",
		"ml-kem-768": "ml-kem-768-hkdf-sha256-aes256-wrap", "ml-kem-1024": "ml-kem-1024-hkdf-sha256-aes256-wrap",
	}
	plain := someBytes(5000)
	var all []*cms.Recipient
	for name, h := range holders() {
		for _, keyID := range []bool{false, true} {
			r := &cms.Recipient{Certificate: h.cert, KeyID: keyID}
			all = append(all, r)
			der := seal(t, plain, 999, cms.EnvelopeOptions{}, r)
			o, err := unseal(bytes.NewReader(der), h.cert, "", h.key, cms.DecryptOptions{})
			if err != nil || !bytes.Equal(o.content, plain) {
				t.Errorf("%s, key id %v: %v", name, keyID, err)
				continue
			}
			if o.used.Algorithm != want[name] {
				t.Errorf("%s: algorithm %s", name, o.used.Algorithm)
			}
			if by := o.used.ID[:3] == "key"; by != keyID {
				t.Errorf("%s: named by %s", name, o.used.ID)
			}
		}
	}
	secret := &cms.Recipient{Secret: someBytes(32), SecretID: []byte("shared")}
	password := &cms.Recipient{Passphrase: []byte("correct horse"), Iterations: 1000}
	all = append(all, secret, password)
	for _, cipher := range []string{"aes256-cbc", "aes256-gcm"} {
		der := seal(t, plain, 5000, cms.EnvelopeOptions{Cipher: cipher}, all...)
		for name, h := range holders() {
			if o, err := unseal(bytes.NewReader(der), h.cert, "", h.key, cms.DecryptOptions{}); err != nil || !bytes.Equal(o.content, plain) {
				t.Errorf("one of many, %s: %v", name, err)
			}
		}
		o, err := unseal(bytes.NewReader(der), nil, "kekri", cms.Secret(secret.Secret), cms.DecryptOptions{})
		if err != nil || !bytes.Equal(o.content, plain) || o.used.Algorithm != "aes256-wrap" ||
			!o.used.MatchesKeyID([]byte("shared")) || o.used.MatchesKeyID([]byte("other")) {
			t.Error("kekri", err)
		}
		o, err = unseal(bytes.NewReader(der), nil, "pwri", cms.Passphrase("correct horse"), cms.DecryptOptions{})
		if err != nil || !bytes.Equal(o.content, plain) || o.used.Algorithm != "pbkdf2-hmac-sha256-pwri-kek-aes256-cbc" {
			t.Error("pwri", err)
		}
		if n := len(o.data.Recipients()); n != len(all) {
			t.Error(n, "recipients for", len(all))
		}
	}
	o, err := unseal(bytes.NewReader(seal(t, plain, 1, cms.EnvelopeOptions{}, &cms.Recipient{Certificate: holders()["rsa"].cert, OAEP: true})),
		holders()["rsa"].cert, "", holders()["rsa"].key, cms.DecryptOptions{})
	if err != nil || o.used.Algorithm != "rsa-oaep-sha256" {
		t.Error("OAEP", err)
	}
}

// An opaque key, as a hardware token has it, opens as the key itself does.
func TestOpaqueKeys(t *testing.T) {
	plain := someBytes(100)
	all := holders()
	ec, err := all["p256"].key.(*ecdsa.PrivateKey).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.PrivateKey{
		"rsa":        struct{ crypto.Decrypter }{all["rsa"].key.(crypto.Decrypter)},
		"p256":       struct{ ecdh.KeyExchanger }{ec},
		"x25519":     struct{ ecdh.KeyExchanger }{all["x25519"].key.(ecdh.KeyExchanger)},
		"ml-kem-768": struct{ crypto.Decapsulator }{all["ml-kem-768"].key.(crypto.Decapsulator)},
	} {
		der := seal(t, plain, 100, cms.EnvelopeOptions{}, &cms.Recipient{Certificate: all[name].cert})
		if o, err := unseal(bytes.NewReader(der), all[name].cert, "", key, cms.DecryptOptions{}); err != nil || !bytes.Equal(o.content, plain) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A key of another type is told apart at once, since the message itself says it.
	for name, other := range map[string]string{"rsa": "p256", "p256": "rsa", "x25519": "ml-kem-768", "ml-kem-768": "x448"} {
		der := seal(t, plain, 100, cms.EnvelopeOptions{}, &cms.Recipient{Certificate: all[name].cert})
		if _, err := unseal(bytes.NewReader(der), all[name].cert, "", all[other].key, cms.DecryptOptions{}); err == nil || err == cms.ErrDecrypt {
			t.Errorf("a %s key for a %s recipient: %v", other, name, err)
		}
	}
}

func TestAuthenticatedAttributes(t *testing.T) {
	h := holders()["p256"]
	plain := someBytes(70000)
	attribute := func(t oid.OID, value []byte) []byte {
		var b cryptobyte.Builder
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(t)) })
			b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(value) })
		})
		return b.BytesOrPanic()
	}
	mine := attribute(oid.SigningTime, []byte("\x17\x0d260102030405Z"))
	for _, cipher := range []string{"aes256-gcm", "aes128-ccm", "chacha20-poly1305"} {
		for _, n := range []int{100, 70000} {
			der := seal(t, plain[:n], 1000, cms.EnvelopeOptions{Cipher: cipher, ContentType: oid.SignedData, Attributes: [][]byte{mine}},
				&cms.Recipient{Certificate: h.cert})
			o, err := unseal(iotest.OneByteReader(bytes.NewReader(der)), h.cert, "", h.key, cms.DecryptOptions{})
			if err != nil || !bytes.Equal(o.content, plain[:n]) {
				t.Fatalf("%s, %d octets: %v", cipher, n, err)
			}
			if o.data.ContentType() != oid.SignedData || len(o.data.Attributes()) != 2 {
				t.Error(cipher, o.data.ContentType(), o.data.Attributes())
			}
			// The attributes are part of what the tag protects.
			bad := bytes.Replace(der, []byte("260102030405Z"), []byte("260102030406Z"), 1)
			if _, err := unseal(bytes.NewReader(bad), h.cert, "", h.key, cms.DecryptOptions{}); err != cms.ErrDecrypt {
				t.Errorf("%s, altered attribute: %v", cipher, err)
			}
		}
	}
	for name, attributes := range map[string][][]byte{
		"message-digest":     {attribute(oid.MessageDigest, []byte{4, 1, 0})},
		"twice":              {mine, mine},
		"other content type": {attribute(oid.ContentType, append([]byte{6, 9}, oid.SignedData...))},
		"no value":           {attribute(oid.SigningTime, nil)},
	} {
		der := seal(t, plain[:10], 10, cms.EnvelopeOptions{Attributes: attributes}, &cms.Recipient{Certificate: h.cert})
		var syntax *cms.SyntaxError
		if _, err := unseal(bytes.NewReader(der), h.cert, "", h.key, cms.DecryptOptions{}); !errors.As(err, &syntax) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := cms.NewEnvelopedWriter(io.Discard, []*cms.Recipient{{Certificate: h.cert}},
		cms.EnvelopeOptions{Cipher: "aes256-cbc", Attributes: [][]byte{mine}}); err == nil {
		t.Error("attributes without authentication")
	}
}

// Cut anywhere, a message is truncated, whatever the key (attacks.md, J01).
func TestEnvelopeTruncated(t *testing.T) {
	h := holders()["p256"]
	for _, cipher := range []string{"aes128-cbc", "aes128-gcm"} {
		for _, n := range []int{20, 66000} {
			der := seal(t, someBytes(n), n, cms.EnvelopeOptions{Cipher: cipher}, &cms.Recipient{Certificate: h.cert})
			step := 1 + len(der)/100
			for cut := 0; cut < len(der); cut += step {
				_, err := unseal(bytes.NewReader(der[:cut]), h.cert, "", h.key, cms.DecryptOptions{})
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s, %d of %d octets: %v", cipher, cut, len(der), err)
				}
			}
			// Without a key the same holds.
			for cut := 0; cut < len(der); cut += step {
				c, err := cms.Open(bytes.NewReader(der[:cut]))
				if err == nil {
					err = c.Finish()
				}
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s, %d of %d octets, locked: %v", cipher, cut, len(der), err)
				}
			}
			if _, err := unseal(bytes.NewReader(append(der, 0)), h.cert, "", h.key, cms.DecryptOptions{}); !errors.Is(err, cms.ErrTrailingData) {
				t.Errorf("%s, an octet more: %v", cipher, err)
			}
		}
	}
}

func TestLocked(t *testing.T) {
	h := holders()["p256"]
	der := seal(t, someBytes(100), 100, cms.EnvelopeOptions{}, &cms.Recipient{Certificate: h.cert})
	c, err := cms.Open(bytes.NewReader(der))
	if err != nil {
		t.Fatal(err)
	}
	e := c.(*cms.EnvelopedData)
	if n, err := e.Read(make([]byte, 10)); n != 0 || err == nil || err == io.EOF {
		t.Error(n, err)
	}
	if err := e.Finish(); err != nil {
		t.Error(err)
	}
	if err := e.Unlock(e.Recipients()[0], h.key, cms.DecryptOptions{}); err == nil {
		t.Error("unlocked at the end")
	}
	c, _ = cms.Open(bytes.NewReader(der))
	e = c.(*cms.EnvelopedData)
	if err := e.Unlock(e.Recipients()[0], h.key, cms.DecryptOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := e.Unlock(e.Recipients()[0], h.key, cms.DecryptOptions{}); err == nil {
		t.Error("unlocked twice")
	}
}

func TestRefusesToWrite(t *testing.T) {
	all := holders()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := x509.MarshalPKIXPublicKey(&small.PublicKey)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	info224, _ := x509.MarshalPKIXPublicKey(&p224.PublicKey)
	for name, to := range map[string][]*cms.Recipient{
		"nobody":            nil,
		"an empty one":      {{}},
		"RSA of 1024 bits":  {{Certificate: bearer(1, info)}},
		"P-224":             {{Certificate: bearer(1, info224)}},
		"Ed25519":           {{Certificate: bearer(1, spki(oid.Ed25519, nil, make([]byte, 32)))}},
		"X25519 of order 1": {{Certificate: bearer(1, spki(oid.X25519, nil, make([]byte, 32)))}},
		"X448 of order 1":   {{Certificate: bearer(1, spki(oid.X448, nil, make([]byte, 56)))}},
		"short secret":      {{Secret: make([]byte, 16)}},
		"odd secret":        {{Secret: make([]byte, 33)}},
		"one good, one bad": {{Certificate: all["rsa"].cert}, {}},
		"too many rounds":   {{Passphrase: []byte("x"), Iterations: 2_000_000}},
	} {
		var out bytes.Buffer
		if _, err := cms.NewEnvelopedWriter(&out, to, cms.EnvelopeOptions{}); err == nil || out.Len() > 0 {
			t.Error(name, "accepted")
		}
	}
}

// A fresh key, nonce and ephemeral key every time (attacks.md, C16).
func TestNothingRepeats(t *testing.T) {
	h := holders()["p256"]
	seen := make(map[string]bool)
	const runs = 300
	for range runs {
		der := seal(t, []byte("the same"), 8, cms.EnvelopeOptions{Cipher: "aes128-gcm"}, &cms.Recipient{Certificate: h.cert})
		// The last 24 octets are ciphertext's end and tag; the ephemeral point starts with 04.
		i := bytes.Index(der, []byte{0x00, 0x04})
		seen[string(der[len(der)-24:])] = true
		seen[string(der[i:i+66])] = true
	}
	if len(seen) != 2*runs {
		t.Errorf("%d different values in %d runs", len(seen), runs)
	}
	// Ten thousand messages under the same secret: neither the content keys, unwrapped, nor
	// the nonces and initial vectors come twice.
	const many = 10_000
	kek, err := aes.NewCipher(someBytes(32))
	if err != nil {
		t.Fatal(err)
	}
	keys, starts := make(map[string]bool), make(map[string]bool)
	for i := range many {
		cipher, size, start := "aes256-gcm", 12, []byte{0x30, 0x11, 4, 12}
		if i%2 == 0 {
			cipher, size, start = "aes256-cbc", 16, []byte{4, 16}
		}
		der := seal(t, []byte("the same"), 8, cms.EnvelopeOptions{Cipher: cipher}, &cms.Recipient{Secret: someBytes(32), SecretID: []byte("id")})
		at := bytes.Index(der, derOf(oid.AES256Wrap)) + len(derOf(oid.AES256Wrap))
		cek, ok, err := keywrap.Unwrap(kek, der[at+2:at+42])
		if err != nil || ok != 1 {
			t.Fatal("the content key is elsewhere:", ok, err)
		}
		at += bytes.Index(der[at+42:], start) + 42 + len(start)
		keys[string(cek)], starts[string(der[at:at+size])] = true, true
	}
	if len(keys) != many || len(starts) != many {
		t.Errorf("%d keys and %d nonces in %d messages", len(keys), len(starts), many)
	}
}

func TestConstantMemoryReading(t *testing.T) {
	h := holders()["p256"]
	pr, pw := io.Pipe()
	const total = 64 << 20
	go func() {
		w, err := cms.NewEnvelopedWriter(pw, []*cms.Recipient{{Certificate: h.cert}}, cms.EnvelopeOptions{})
		if err == nil {
			_, err = io.CopyN(w, zero{}, total)
		}
		if err == nil {
			err = w.Close()
		}
		pw.CloseWithError(err)
	}()
	c, err := cms.Open(pr)
	if err != nil {
		t.Fatal(err)
	}
	e := c.(*cms.EnvelopedData)
	if err := e.Unlock(e.Recipients()[0], h.key, cms.DecryptOptions{}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	n, err := io.Copy(io.Discard, e)
	if err != nil || n != total {
		t.Error(n, err)
	}
	if err := e.Finish(); err != nil {
		t.Error(err)
	}
	t.Logf("%.0f MB/s through a pipe, both ends", total/1e6/time.Since(start).Seconds())
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// AES-CCM needs the whole message: more than is held is refused, on either side (C14).
func TestHeldContentIsBounded(t *testing.T) {
	h := holders()["p256"]
	to := &cms.Recipient{Certificate: h.cert}
	w, err := cms.NewEnvelopedWriter(io.Discard, []*cms.Recipient{to}, cms.EnvelopeOptions{Cipher: "aes128-ccm"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, zero{}, cipherstream.LongestCCM(12)); err != nil {
		t.Error(err)
	}
	var limit *limits.Exceeded
	if _, err := w.Write([]byte{1}); !errors.As(err, &limit) || limit.Max != cipherstream.LongestCCM(12) {
		t.Error("more than the limit:", err)
	}
	if err := w.Close(); err == nil {
		t.Error("closed as if all had been written")
	}
	der := seal(t, nil, 1, cms.EnvelopeOptions{Cipher: "aes128-gcm"}, to)
	der = bytes.Replace(der, derOf(oid.AES128GCM), derOf(oid.AES128CCM), 1)
	at := bytes.LastIndex(der, []byte{0x80, 0}) // the empty content
	head := []byte{0x80, 0x84, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[2:], uint32(cipherstream.LongestCCM(12)+1))
	// Only the length of what is around grows: the lengths of the DER outside are dropped.
	start := bytes.Index(der, derOf(oid.AuthEnvelopedData))
	content := der[start+len(derOf(oid.AuthEnvelopedData)):]
	body := content[bytes.Index(content, []byte{2, 1, 0}):]
	inner := bytes.Index(body, append(derOf(oid.Data), 0x30))
	open := append([]byte{0x30, 0x80}, derOf(oid.AuthEnvelopedData)...)
	open = append(open, 0xa0, 0x80, 0x30, 0x80)
	open = append(open, body[:inner-2]...)
	open = append(open, 0x30, 0x80)
	open = append(append(open, der[bytes.LastIndex(der, derOf(oid.Data)):at]...), head...)
	c, err := cms.Open(io.MultiReader(bytes.NewReader(open), zero{}))
	if err != nil {
		t.Fatal(err)
	}
	e := c.(*cms.EnvelopedData)
	if err := e.Unlock(e.Recipients()[0], h.key, cms.DecryptOptions{}); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, e); n != 0 || !errors.As(err, &limit) || limit.Max != cipherstream.LongestCCM(12) {
		t.Error(n, err)
	}
}
