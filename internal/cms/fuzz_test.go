package cms_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/cms"
	forging "github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// openStructures are the structures of the messages of testdata/open that are nothing else,
// up to 6000 octets of each.
func openStructures(f *testing.F) (ders [][]byte) {
	f.Helper()
	names, err := filepath.Glob("../../testdata/open/*.eml")
	if err != nil || len(names) < 400 {
		f.Fatal(len(names), "messages,", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		_, body, _ := strings.Cut(string(text), "\r\n\r\n")
		if der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\r\n", "")); err == nil && len(der) > 0 && len(der) < 6000 {
			ders = append(ders, der)
		}
	}
	return ders
}

// FuzzContent reads structures of every type, those of testdata/open among them: no panic,
// no untyped error, the same content however it is read, and an end that stays.
func FuzzContent(f *testing.F) {
	for _, der := range openStructures(f) {
		f.Add(der)
	}
	kek := someBytes(32)
	f.Add(compress(f, content))
	f.Add(forging.ContentInfo(oid.DigestedData, forging.Sequence(forging.Integer(0), algorithmDER(oid.SHA256, nil),
		forging.Sequence(derOf(oid.Data), forging.Tagged(0, forging.Octets(content))), forging.Octets(sigalg.SHA256.Sum(content)))))
	f.Add(forging.ContentInfo(oid.EncryptedData, forging.Sequence(forging.Integer(0),
		forging.Sequence(derOf(oid.Data), forging.AESCBC(kek, make([]byte, 16)), forging.Element(0x80, forging.CBC(forging.AES(kek), make([]byte, 16), forging.Padded(content, 16)))))))
	f.Add(forging.ContentInfo(oid.AuthenticatedData, forging.Sequence(forging.Integer(0),
		forging.Set(forging.SharedKey([]byte("id"), algorithmDER(oid.AES256Wrap, nil), wrapped(kek, someBytes(32)))), algorithmDER(oid.HMACSHA256, nil),
		forging.Sequence(derOf(oid.Data), forging.Tagged(0, forging.Octets(content))), forging.Octets(make([]byte, 32)))))
	f.Add(cms.CertsOnly([]*x509.Certificate{someone(f, "p256").cert}, nil))
	f.Add(forging.ContentInfo(oid.Data, forging.Octets(content)))
	f.Fuzz(func(t *testing.T, der []byte) {
		unlocked := func() cms.Content {
			c, err := cms.Open(bytes.NewReader(der))
			if !typed(err) {
				t.Fatalf("%T %v", err, err)
			}
			if err != nil {
				return nil
			}
			switch c := c.(type) {
			case *cms.EncryptedData:
				c.Unlock(cms.Secret(kek), cms.DecryptOptions{AllowLegacyCiphers: true})
			case *cms.AuthenticatedData:
				for _, ri := range c.Recipients() {
					if ri.Kind == "kekri" && c.Unlock(ri, cms.Secret(kek), cms.DecryptOptions{}) == nil {
						break
					}
				}
			case *cms.EnvelopedData:
				for _, ri := range c.Recipients() {
					if ri.Kind == "kekri" && c.Unlock(ri, cms.Secret(kek), cms.DecryptOptions{AllowLegacyCiphers: true, AllowShortTags: true}) == nil {
						break
					}
				}
			}
			return c
		}
		c := unlocked()
		if c == nil {
			return
		}
		whole, err := io.ReadAll(c)
		if err == nil {
			err = c.Finish()
		}
		if !typed(err) && err != cms.ErrDigest && !locked(c) {
			t.Fatalf("%T %v", err, err)
		}
		if a, ok := c.(*cms.AuthenticatedData); ok && a.Verified() && err != nil {
			t.Fatal("verified, and", err)
		}
		if err != nil {
			return
		}
		if again := c.Finish(); again != nil {
			t.Fatal("the end does not stay:", again)
		}
		var b bytes.Buffer
		c = unlocked()
		if _, err := io.Copy(&b, c); err != nil || c.Finish() != nil || !bytes.Equal(b.Bytes(), whole) {
			t.Fatalf("copied: %d octets, %v; read: %d octets", b.Len(), err, len(whole))
		}
	})
}

// locked reports whether c is encrypted, so that an error may say that nobody unlocked it.
func locked(c cms.Content) bool {
	switch c.(type) {
	case *cms.EnvelopedData, *cms.EncryptedData:
		return true
	}
	return false
}
