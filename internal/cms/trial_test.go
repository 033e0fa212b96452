package cms_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/kdf"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// openTrying opens der with every key for every recipient that could have it.
func openTrying(der []byte, keys ...any) ([]byte, error) {
	c, err := cms.Open(bytes.NewReader(der))
	if err != nil {
		return nil, err
	}
	e := c.(*cms.EnvelopedData)
	var tries []cms.Try
	for _, ri := range e.Recipients() {
		for _, k := range keys {
			tries = append(tries, cms.Try{Recipient: ri, Key: k})
		}
	}
	if err := e.UnlockAny(tries, cms.DecryptOptions{}); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(e)
	if err != nil {
		return nil, err
	}
	return content, e.Finish()
}

// A key is found without its certificate, and a recipient somebody adds changes nothing
// about that (C08).
func TestUnlockAny(t *testing.T) {
	all := holders()
	rsaKey, plain := all["rsa"].key.(*rsa.PrivateKey), someBytes(50000)
	to := []*cms.Recipient{{Certificate: all["p384"].cert}, {Certificate: all["rsa"].cert}, {Certificate: all["rsa"].cert, OAEP: true}, {Certificate: all["p256"].cert}}
	der := seal(t, plain, 50000, cms.EnvelopeOptions{}, to...)
	for name, keys := range map[string][]any{
		"RSA": {rsaKey}, "a curve": {all["p256"].key}, "several": {all["x25519"].key, all["p521"].key, all["p384"].key},
	} {
		if got, err := openTrying(der, keys...); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openTrying(der, stranger); err != cms.ErrDecrypt {
		t.Error("a stranger:", err)
	}
	for _, name := range []string{"p521", "ml-kem-768", "x25519"} {
		if _, err := openTrying(der, all[name].key); err == nil || err == cms.ErrDecrypt {
			t.Errorf("a key of type %s that no recipient can have: %v", name, err)
		}
	}
	if _, err := openTrying(der); err == nil {
		t.Error("no key at all")
	}
	if _, err := openTrying(der[:len(der)-5], rsaKey); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("cut:", err)
	}
	cek := someBytes(32)
	ct, _ := rsa.EncryptPKCS1v15(rand.Reader, &rsaKey.PublicKey, cek)
	chosen, _ := rsa.EncryptPKCS1v15(rand.Reader, &rsaKey.PublicKey, make([]byte, 32))
	good, bad, junk := ktri(all["p256"].cert, algorithmDER(oid.RSA, nil), ct), ktri(all["p256"].cert, algorithmDER(oid.RSA, nil), chosen), ktri(all["p256"].cert, algorithmDER(oid.RSA, nil), make([]byte, 256))
	for name, infos := range map[string][][]byte{
		"chosen first": {bad, good}, "chosen last": {good, bad}, "rubbish first": {junk, junk, good}, "rubbish last": {good, junk},
	} {
		if got, err := openTrying(sealedGCM(cek, plain, infos...).der(), rsaKey); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, infos := range map[string][][]byte{"chosen": {bad, bad}, "rubbish": {junk, junk}, "both": {bad, junk}} {
		if _, err := openTrying(sealedGCM(cek, plain, infos...).der(), rsaKey); err != cms.ErrDecrypt {
			t.Errorf("%s: %v", name, err)
		}
	}
	var limit *limits.Exceeded
	many := make([][]byte, 65)
	for i := range many {
		many[i] = ktri(all["p256"].cert, algorithmDER(oid.RSA, nil), make([]byte, 384))
	}
	many[64] = good // the others are for keys of another size
	if got, err := openTrying(sealedGCM(cek, plain, many...).der(), rsaKey); err != nil || !bytes.Equal(got, plain) {
		t.Error("one try of 65:", err)
	}
	for i := range many {
		many[i] = good
	}
	if _, err := openTrying(sealedGCM(cek, plain, many...).der(), rsaKey); !errors.As(err, &limit) {
		t.Error("65 tries:", err)
	}
}

// Of several passwords and secrets, which no recipient names, the right one is found. What
// a password costs is for the sender to choose, so there are few tries.
func TestUnlockAnySecret(t *testing.T) {
	plain, password, secret := []byte("what was sent"), cms.Passphrase("a password"), cms.Secret(bytes.Repeat([]byte{7}, 32))
	several := func(n int) []*cms.Recipient {
		var to []*cms.Recipient
		for range n - 1 {
			to = append(to, &cms.Recipient{Passphrase: []byte("another"), Iterations: 1000}, &cms.Recipient{Secret: bytes.Repeat([]byte{8}, 32)})
		}
		return append(to, &cms.Recipient{Passphrase: password, Iterations: 1000}, &cms.Recipient{Secret: secret})
	}
	for name, key := range map[string]any{"password": password, "secret": secret} {
		c, err := cms.Open(bytes.NewReader(seal(t, plain, 100, cms.EnvelopeOptions{}, several(4)...)))
		if err != nil {
			t.Fatal(err)
		}
		e := c.(*cms.EnvelopedData)
		var tries []cms.Try
		for _, ri := range e.Recipients() {
			tries = append(tries, cms.Try{Recipient: ri, Key: key})
		}
		if err := e.UnlockAny(tries, cms.DecryptOptions{}); err != nil || e.Tried() != -1 {
			t.Fatal(name, err, e.Tried())
		}
		got, err := io.ReadAll(e)
		if err != nil || !bytes.Equal(got, plain) || e.Finish() != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if want := e.Recipients()[e.Tried()].Kind; want != map[string]string{"password": "pwri", "secret": "kekri"}[name] {
			t.Errorf("%s: by %d, of kind %s", name, e.Tried(), want)
		}
	}
	der := seal(t, plain, 100, cms.EnvelopeOptions{}, several(5)...)
	var limit *limits.Exceeded
	if _, err := openTrying(der, password); !errors.As(err, &limit) {
		t.Error("five passwords:", err)
	}
	if got, err := openTrying(der, secret); err != nil || !bytes.Equal(got, plain) {
		t.Error("five secrets:", err)
	}
}

// What several passwords cost together is bounded, whatever the hash: none is derived where
// it is too much (C14).
func TestUnlockAnyDerivations(t *testing.T) {
	outer := algorithmDER(oid.PWRIKEK, algorithmDER(oid.AES256CBC, append([]byte{4, 16}, make([]byte, 16)...)))
	for _, tt := range []struct {
		name       string
		n          int
		iterations int64
		prf        oid.OID
		beyond     bool
	}{
		{"four with SHA-256", 4, 1000, oid.HMACSHA256, false},
		{"four with SHA-512", 4, 1000, oid.HMACSHA512, false},
		{"five", 5, 1000, oid.HMACSHA256, true},
		{"long ones with SHA-512", 2, limits.KDFIterations, oid.HMACSHA512, true},
		{"long ones of two rounds", 3, limits.KDFIterations, oid.HMACSHA1, true},
	} {
		var infos [][]byte
		for range tt.n {
			infos = append(infos, pwri(pbkdf2DER(tt.iterations, 0, tt.prf), outer, make([]byte, 48)))
		}
		_, err := openTrying(sealedGCM(someBytes(32), []byte("x"), infos...).der(), cms.Passphrase("secret"))
		if beyond := errors.As(err, new(*limits.Exceeded)); err == nil || beyond != tt.beyond {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// A sender with a static key names its certificate, which comes with the message or from
// the caller (RFC 5753, Section 3.1).
func TestStaticAgreement(t *testing.T) {
	sender, h, plain, cek := holders()["p384"], holders()["p256"], []byte("what was sent"), someBytes(16)
	from, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sender.cert = bearer(77, spki(oid.ECPublicKey, derOf(oid.P256), from.PublicKey().Bytes()))
	key, _ := h2ecdh(h)
	z, _ := from.ECDH(key.PublicKey())
	ukm := []byte("fresh every time")
	info := build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(algorithmDER(oid.AES128Wrap, nil))
			b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(ukm) })
			b.AddASN1(context(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString([]byte{0, 0, 0, 128}) })
		})
	})
	kek, _ := kdf.X963(sha256.New, z, info, 16)
	kari := func(ukm []byte) []byte {
		return build(func(b *cryptobyte.Builder) {
			b.AddASN1(context(1), func(b *cryptobyte.Builder) {
				b.AddASN1Int64(3)
				b.AddASN1(context(0), func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(sender.cert.RawIssuer)
						b.AddASN1BigInt(sender.cert.SerialNumber)
					})
				})
				b.AddASN1(context(1), func(b *cryptobyte.Builder) { b.AddASN1OctetString(ukm) })
				b.AddBytes(algorithmDER(oid.ECDHStdSHA256, algorithmDER(oid.AES128Wrap, nil)))
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(h.cert.SubjectKeyId) })
						b.AddASN1OctetString(wrapped(kek, cek))
					})
				})
			})
		})
	}
	with := cms.DecryptOptions{Originators: append([]*x509.Certificate{h.cert}, sender.cert)}
	e := sealedGCM(cek, plain, kari(ukm))
	if o, err := unseal(bytes.NewReader(e.der()), h.cert, "", h.key, with); err != nil || !bytes.Equal(o.content, plain) {
		t.Error(err)
	}
	var unsupported *cms.UnsupportedError
	if _, err := unseal(bytes.NewReader(e.der()), h.cert, "", h.key, cms.DecryptOptions{}); !errors.As(err, &unsupported) {
		t.Error("without the sender's certificate:", err)
	}
	// Others with the sender's serial number, and names that take long to compare (D04).
	name := build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddBytes([]byte{6, 3, 0x55, 4, 3})
					b.AddASN1(casn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Repeat([]byte("\ufdfa"), 600)) })
				})
			})
		})
	})
	var others cms.DecryptOptions
	for range 256 {
		others.Originators = append(others.Originators, &x509.Certificate{SerialNumber: sender.cert.SerialNumber, RawIssuer: name})
	}
	start := time.Now()
	for range 5 {
		if _, err := unseal(bytes.NewReader(e.der()), h.cert, "", h.key, others); !errors.As(err, &unsupported) {
			t.Error("without the sender's certificate among others:", err)
		}
	}
	if took := time.Since(start); took > 3*time.Second { // without a bound 5 s
		t.Error("it took", took)
	}
	others.Originators = append(others.Originators, sender.cert)
	if o, err := unseal(bytes.NewReader(e.der()), h.cert, "", h.key, others); err != nil || !bytes.Equal(o.content, plain) {
		t.Error("the sender behind others:", err)
	}
	e = sealedGCM(cek, plain, kari([]byte("another material")))
	if _, err := unseal(bytes.NewReader(e.der()), h.cert, "", h.key, with); err != cms.ErrDecrypt {
		t.Error("other material:", err)
	}
}

// sealedCBC is a good EnvelopedData under cek, but for its recipients.
func sealedCBC(cek, plain []byte, recipients ...[]byte) envelope {
	block, o := cipher.Block(nil), oid.AES256CBC
	var err error
	if len(cek) == 24 {
		o = oid.TripleDESCBC
		block, err = des.NewTripleDESCipher(cek)
	} else {
		block, err = aes.NewCipher(cek)
	}
	if err != nil {
		panic(err)
	}
	n := block.BlockSize()
	pad := n - len(plain)%n
	text := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, make([]byte, n)).CryptBlocks(text, text)
	return envelope{oid.EnvelopedData, recipients, algorithmDER(o, append([]byte{4, byte(n)}, make([]byte, n)...)), text, nil}
}

// A wrong key under which the padding of AES-CBC looks right, as one in 256 does, does not
// stand in for the right one, wherever its recipient stands.
func TestWrongKeyThatPads(t *testing.T) {
	kek := cms.Secret(someBytes(32))
	info := func(cek []byte) []byte { return kekri(algorithmDER(oid.AES256Wrap, nil), wrapped(kek, cek)) }
	cek := someBytes(32)
	for _, plain := range [][]byte{[]byte("Content-Type: text/plain\r\n\r\nhello"), append([]byte("Content-Type: text/plain; charset=utf-8; format=flowed\r\n\r\nhello: "), someBytes(100)...)} {
		e := sealedCBC(cek, plain)
		last := len(e.text) - aes.BlockSize
		wrong := make([]byte, 32)
		for out := make([]byte, aes.BlockSize); out[15] != 1; {
			rand.Read(wrong)
			b, err := aes.NewCipher(wrong)
			if err != nil {
				t.Fatal(err)
			}
			cipher.NewCBCDecrypter(b, e.text[last-aes.BlockSize:last]).CryptBlocks(out, e.text[last:])
		}
		for name, infos := range map[string][][]byte{"first": {info(wrong), info(cek)}, "last": {info(cek), info(wrong)}} {
			e.recipients = infos
			if got, err := openTrying(e.der(), kek); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		e.recipients = [][]byte{info(wrong), info(wrong)} // nothing better is left to take
		if got, err := openTrying(e.der(), kek); err != nil || bytes.Equal(got, plain) {
			t.Errorf("wrong keys alone: %q, %v", got, err)
		}
	}
	// What is no text is found as long as no wrong key pads before it.
	binary := someBytes(1000)
	if got, err := openTrying(sealedCBC(cek, binary, info(cek), info(make([]byte, 32))).der(), kek); err != nil || !bytes.Equal(got, binary) {
		t.Errorf("binary: %v", err)
	}
}

// Octets times keys are bounded, and more tightly for a slow cipher.
func TestUnlockAnyWork(t *testing.T) {
	kek := cms.Secret(someBytes(32))
	open := func(keyLen, size, recipients int) error {
		cek := someBytes(keyLen)
		infos := make([][]byte, recipients)
		for i := range infos {
			infos[i] = kekri(algorithmDER(oid.AES256Wrap, nil), wrapped(kek, cek))
		}
		c, err := cms.Open(bytes.NewReader(sealedCBC(cek, make([]byte, size), infos...).der()))
		if err != nil {
			t.Fatal(err)
		}
		e := c.(*cms.EnvelopedData)
		var tries []cms.Try
		for _, ri := range e.Recipients() {
			tries = append(tries, cms.Try{Recipient: ri, Key: kek})
		}
		if err := e.UnlockAny(tries, cms.DecryptOptions{AllowLegacyCiphers: true}); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, e)
		if err == nil && n != int64(size) {
			t.Errorf("%d octets of %d", n, size)
		}
		return err
	}
	for name, c := range map[string]struct {
		keyLen, size, recipients int
		ok                       bool
	}{
		"AES":                            {32, 8 << 20, 8, true},
		"AES, one block too much for 64": {32, limits.TriedOctets / 64, 64, false},
		"3DES":                           {24, 1 << 20, 2, true},
		"3DES, too much for 64":          {24, limits.TriedLegacy / 64, 64, false},
		"AES, as much as that":           {32, limits.TriedLegacy / 64, 64, true},
	} {
		if err := open(c.keyLen, c.size, c.recipients); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
