package cms_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/keywrap"
	"github.com/postseal/postseal/internal/oid"
)

// What OpenSSL encrypts under a key alone, we read.
func TestEncryptedData(t *testing.T) {
	dir, _ := lab(t)
	plain := someBytes(70001)
	write(t, dir, "plain", plain)
	for flag, v := range map[string]struct {
		cipher string
		size   int
	}{"-aes-128-cbc": {"aes128-cbc", 16}, "-aes-192-cbc": {"aes192-cbc", 24}, "-aes-256-cbc": {"aes256-cbc", 32}, "-des3": {"3des-cbc", 24}} {
		key := someBytes(v.size)
		der, err := runOpenSSL(t, dir, "cms", "-EncryptedData_encrypt", "-binary", "-in", "plain", "-outform", "DER", flag, "-secretkey", hex.EncodeToString(key))
		if err != nil {
			t.Fatal(err)
		}
		open := func(der, key []byte, opt cms.DecryptOptions) ([]byte, error) {
			c, err := cms.Open(bytes.NewReader(der))
			if err != nil {
				return nil, err
			}
			e := c.(*cms.EncryptedData)
			if e.Cipher() != v.cipher || e.Type() != oid.EncryptedData {
				t.Error(e.Cipher())
			}
			if err := e.Unlock(cms.Secret(key), opt); err != nil {
				return nil, err
			}
			got, err := io.ReadAll(e)
			if err != nil {
				return nil, err
			}
			return got, e.Finish()
		}
		legacy := cms.DecryptOptions{AllowLegacyCiphers: flag == "-des3"}
		if got, err := open(der, key, legacy); err != nil || !bytes.Equal(got, plain) {
			t.Error(flag, err)
		}
		if flag == "-des3" {
			var weak *cms.WeakError
			if _, err := open(der, key, cms.DecryptOptions{}); !errors.As(err, &weak) {
				t.Error(flag, err)
			}
		}
		if _, err := open(der, key[1:], legacy); err == nil || err == cms.ErrDecrypt {
			t.Error("a short key:", err)
		}
		if _, err := open(append(der, 0), key, legacy); !errors.Is(err, cms.ErrTrailingData) {
			t.Error("an octet more:", err)
		}
		for cut := 1; cut < len(der); cut += 997 {
			if _, err := open(der[:cut], key, legacy); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("cut at %d: %v", cut, err)
			}
		}
		bad := bytes.Clone(der)
		bad[len(bad)-1] ^= 1
		if _, err := open(bad, key, legacy); err != cms.ErrDecrypt && err != nil {
			t.Error("altered end:", err)
		}
	}
}

// authenticated builds an AuthenticatedData for a secret of 32 octets.
type authenticated struct {
	contentType oid.OID
	content     []byte
	mac         oid.OID
	parameters  []byte
	digest      bool     // state a digest algorithm
	attributes  [][]byte // authenticated attributes
	code        []byte   // instead of the right one
	key         []byte
}

func (a authenticated) der(t *testing.T, kek []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(kek)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := keywrap.Wrap(block, a.key)
	if err != nil {
		t.Fatal(err)
	}
	set := bytes.Join(a.attributes, nil)
	var covered cryptobyte.Builder
	covered.AddASN1(casn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(set) })
	over := covered.BytesOrPanic()
	if a.attributes == nil {
		over = a.content
	}
	code := a.code
	if code == nil && a.mac == oid.AES256GMAC {
		b, _ := aes.NewCipher(a.key)
		g, _ := cipher.NewGCM(b)
		code = g.Seal(nil, make([]byte, 12), nil, over)
	} else if code == nil {
		m := hmac.New(sha256.New, a.key)
		m.Write(over)
		code = m.Sum(nil)
	}
	identifier := func(b *cryptobyte.Builder, tag casn1.Tag, o oid.OID, parameters []byte) {
		b.AddASN1(tag, func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(o)) })
			b.AddBytes(parameters)
		})
	}
	explicit := func(n uint8) casn1.Tag { return casn1.Tag(n).ContextSpecific().Constructed() }
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(oid.AuthenticatedData)) })
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(0)
				b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(explicit(2), func(b *cryptobyte.Builder) {
						b.AddASN1Int64(4)
						b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1OctetString([]byte{1}) })
						identifier(b, casn1.SEQUENCE, oid.AES256Wrap, nil)
						b.AddASN1OctetString(wrapped)
					})
				})
				identifier(b, casn1.SEQUENCE, a.mac, a.parameters)
				if a.digest {
					identifier(b, explicit(1), oid.SHA256, nil)
				}
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(a.contentType)) })
					b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(a.content) })
				})
				if a.attributes != nil {
					b.AddASN1(explicit(2), func(b *cryptobyte.Builder) { b.AddBytes(set) })
				}
				b.AddASN1OctetString(code)
			})
		})
	})
	return b.BytesOrPanic()
}

func attributeOf(t oid.OID, value []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(t)) })
		b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(value) })
	})
	return b.BytesOrPanic()
}

// The content, the attributes and the code hold together, or nothing is verified
// (threats.md, A16).
func TestAuthenticatedData(t *testing.T) {
	kek := someBytes(32)
	content := someBytes(3000)
	sum := sha256.Sum256(content)
	typeAttr := attributeOf(oid.ContentType, append([]byte{6, byte(len(oid.Data))}, oid.Data...))
	digestAttr := attributeOf(oid.MessageDigest, append([]byte{4, 32}, sum[:]...))
	gmac := append([]byte{0x30, 0x11, 4, 12}, append(make([]byte, 12), 2, 1, 16)...)
	bare := authenticated{contentType: oid.Data, content: content, mac: oid.HMACSHA256, key: someBytes(32)}
	full := bare
	full.digest, full.attributes = true, [][]byte{typeAttr, digestAttr}
	with := func(a authenticated, f func(*authenticated)) authenticated { f(&a); return a }
	const (
		good = iota
		failed
		malformed
		unsupported
	)
	for name, v := range map[string]struct {
		a    authenticated
		want int
	}{
		"bare":                {bare, good},
		"attributes":          {full, good},
		"GMAC":                {with(bare, func(a *authenticated) { a.mac, a.parameters = oid.AES256GMAC, gmac }), good},
		"GMAC, full":          {with(full, func(a *authenticated) { a.mac, a.parameters = oid.AES256GMAC, gmac }), good},
		"wrong code":          {with(bare, func(a *authenticated) { a.code = make([]byte, 32) }), failed},
		"no code":             {with(bare, func(a *authenticated) { a.code = []byte{} }), failed},
		"other digest":        {with(full, func(a *authenticated) { a.content = append([]byte{1}, content...) }), failed},
		"no digest algorithm": {with(full, func(a *authenticated) { a.digest = false }), malformed},
		"no attributes":       {with(bare, func(a *authenticated) { a.digest = true }), malformed},
		"no content type":     {with(full, func(a *authenticated) { a.attributes = [][]byte{digestAttr} }), malformed},
		"no message digest":   {with(full, func(a *authenticated) { a.attributes = [][]byte{typeAttr} }), malformed},
		"digest twice":        {with(full, func(a *authenticated) { a.attributes = [][]byte{typeAttr, digestAttr, digestAttr} }), malformed},
		"other content type":  {with(full, func(a *authenticated) { a.contentType = oid.SignedData }), malformed},
		"bare, not data":      {with(bare, func(a *authenticated) { a.contentType = oid.SignedData }), malformed},
		"unknown code":        {with(bare, func(a *authenticated) { a.mac = oid.SHA256 }), unsupported},
	} {
		der := v.a.der(t, kek)
		c, err := cms.Open(bytes.NewReader(der))
		if err != nil {
			t.Fatal(name, err)
		}
		a := c.(*cms.AuthenticatedData)
		if err := a.Unlock(a.Recipients()[0], cms.Secret(kek), cms.DecryptOptions{}); err != nil {
			var u *cms.UnsupportedError
			if v.want != unsupported || !errors.As(err, &u) {
				t.Error(name, err)
			}
			continue
		}
		got, err := io.ReadAll(a)
		if err != nil || !bytes.Equal(got, v.a.content) {
			t.Error(name, err)
		}
		err = a.Finish()
		var syntax *cms.SyntaxError
		switch v.want {
		case good:
			if err != nil || !a.Verified() {
				t.Error(name, err)
			}
		case failed:
			if err != cms.ErrDecrypt || a.Verified() {
				t.Error(name, err)
			}
		case malformed:
			if !errors.As(err, &syntax) || a.Verified() {
				t.Error(name, err)
			}
		default:
			t.Error(name, "unlocked")
		}
		// Another key, and none at all.
		if v.want == good {
			c, _ := cms.Open(bytes.NewReader(der))
			a := c.(*cms.AuthenticatedData)
			a.Unlock(a.Recipients()[0], cms.Secret(make([]byte, 32)), cms.DecryptOptions{})
			if err := a.Finish(); err != cms.ErrDecrypt || a.Verified() {
				t.Error(name, "wrong key:", err)
			}
			c, _ = cms.Open(bytes.NewReader(der))
			if err := c.Finish(); err != nil || c.(*cms.AuthenticatedData).Verified() {
				t.Error(name, "no key:", err)
			}
		}
	}
}
