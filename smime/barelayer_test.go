package smime_test

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/keywrap"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/internal/catalogue"
)

func rsaPublic(id *certstore.Identity) *rsa.PublicKey {
	return id.Certificate().PublicKey.(*rsa.PublicKey)
}

// passwordMail returns EnvelopedData for several passwords.
func passwordMail(t *testing.T, passwords ...string) []byte {
	t.Helper()
	var to []*cms.Recipient
	for _, p := range passwords {
		to = append(to, &cms.Recipient{Passphrase: []byte(p), Iterations: 1000})
	}
	var der bytes.Buffer
	w, err := cms.NewEnvelopedWriter(&der, to, cms.EnvelopeOptions{Cipher: "aes256-gcm"})
	if err == nil {
		_, err = io.WriteString(w, filePart)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return der.Bytes()
}

// What CMS has and mail has not opens as a bare structure, and says nothing about an author
// (RFC 5652, Section 4, RFC 5652, Section 7 and the two after it; attack row A16).
func TestBareStructures(t *testing.T) {
	people := readOpenIdentities(t)
	secret := []byte("a secret that both sides have...")
	text := forge.CBC(forge.AES(secret), []byte(fileIV), forge.Padded([]byte(filePart), 16))
	encrypted := func(text []byte) []byte {
		return forge.ContentInfo(oid.EncryptedData, forge.Sequence(forge.Integer(0),
			forge.Sequence(forge.OID(oid.Data), forge.AESCBC(secret, []byte(fileIV)), forge.Element(0x80, text))))
	}
	digested := func(digest []byte) []byte {
		return forge.ContentInfo(oid.DigestedData, forge.Sequence(forge.Integer(0), forge.Algorithm(oid.SHA256, nil),
			forge.Sequence(forge.OID(oid.Data), forge.Tagged(0, forge.Octets([]byte(filePart)))), forge.Octets(digest)))
	}
	macKey := []byte("the key of the code: 32 octets..")
	wrapped, err := keywrap.Wrap(forge.AES(secret), macKey)
	if err != nil {
		t.Fatal(err)
	}
	shared := forge.SharedKey([]byte("k"), forge.Algorithm(oid.AES256Wrap, nil), wrapped)
	authenticated := func(content string, recipients ...[]byte) []byte {
		m := hmac.New(sha256.New, macKey)
		io.WriteString(m, filePart)
		return forge.ContentInfo(oid.AuthenticatedData, forge.Sequence(forge.Integer(0), forge.Set(recipients...), forge.Algorithm(oid.HMACSHA256, nil),
			forge.Sequence(forge.OID(oid.Data), forge.Tagged(0, forge.Octets([]byte(content)))), forge.Octets(m.Sum(nil))))
	}
	transported := catalogue.Transport(people.bob, macKey)
	withSecret := func(o *smime.Opener) { o.Secret = secret }
	otherSecret := func(o *smime.Opener) { o.Secret = []byte("another secret that one side has") }
	sum := forge.Digest(crypto.SHA256, []byte(filePart))
	for _, tt := range []struct {
		name    string
		der     []byte
		set     func(*smime.Opener)
		verdict smime.Verdict
		codes   string
		layer   string // as JSON
	}{
		{"data", forge.ContentInfo(oid.Data, forge.Octets([]byte(filePart))), nil, smime.Unsigned, "", `{"kind":"data","verdict":"unsigned"}`},
		{"digested", digested(sum), nil, smime.Unsigned, "", `{"kind":"digested","verdict":"unsigned","algorithm":"sha256"}`},
		{"digested, another digest", digested(make([]byte, 32)), nil, smime.NotAuthentic, "digest.mismatch", ""},
		{"encrypted", encrypted(text), withSecret, smime.Unsigned, "",
			`{"kind":"encrypted","form":"encrypted-data","verdict":"unsigned","cipher":"aes256-cbc","authenticated":false,"decrypted":true,"recipients":[]}`},
		{"encrypted, no secret", encrypted(text), nil, smime.NotAuthentic, "decrypt.no_key",
			`{"kind":"encrypted","form":"encrypted-data","verdict":"not-authentic","cipher":"aes256-cbc","authenticated":false,"decrypted":false,"recipients":[]}`},
		{"encrypted, cut", encrypted(text[:len(text)-1]), withSecret, smime.NotAuthentic, "decrypt.failed", ""},
		{"encrypted, a secret of another length", encrypted(text), func(o *smime.Opener) { o.Secret = secret[:16] }, smime.NotAuthentic, "decrypt.unsupported", ""},
		{"authenticated", authenticated(filePart, shared), withSecret, smime.Unsigned, "",
			`{"kind":"authenticated","verdict":"unsigned","algorithm":"hmac-sha256","authenticated":true,"recipients":[{"kind":"kekri","algorithm":"aes256-wrap","id":"key 6b","used":true}]}`},
		{"authenticated, by a certificate", authenticated(filePart, transported), nil, smime.Unsigned, "", ""},
		{"authenticated, the second secret", authenticated(filePart, catalogue.Transport(people.eve, macKey), shared), withSecret, smime.Unsigned, "", ""},
		{"authenticated, no key", authenticated(filePart, shared), nil, smime.NotAuthentic, "decrypt.no_key", ""},
		{"authenticated, another secret", authenticated(filePart, shared), otherSecret, smime.NotAuthentic, "decrypt.failed", ""},
		{"authenticated, other content", authenticated(catalogue.OtherPart, shared), withSecret, smime.NotAuthentic, "decrypt.failed",
			`{"kind":"authenticated","verdict":"not-authentic","algorithm":"hmac-sha256","authenticated":false,"recipients":[{"kind":"kekri","algorithm":"aes256-wrap","id":"key 6b","used":true}]}`},
	} {
		o := people.opener()
		if tt.set != nil {
			tt.set(o)
		}
		r, err := o.InspectCMS(t.Context(), bytes.NewReader(tt.der), nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != tt.verdict || strings.Join(r.Codes, " ") != tt.codes || r.Content != nil {
			t.Errorf("%s: %s %q %v", tt.name, r.Verdict, r.Codes, r.Content)
		}
		if text, err := r.Layers[0].MarshalJSON(); err != nil || tt.layer != "" && string(text) != tt.layer {
			t.Errorf("%s: %s, %v", tt.name, text, err)
		}
		var got bytes.Buffer
		if _, err := o.OpenCMS(t.Context(), &got, bytes.NewReader(tt.der), nil); err == nil {
			t.Errorf("%s: opens as if somebody had signed it", tt.name)
		}
		o.AllowUnsigned, o.AllowMalleable = true, true
		got.Reset()
		if _, err := o.OpenCMS(t.Context(), &got, bytes.NewReader(tt.der), nil); (err == nil) != (tt.verdict == smime.Unsigned) || err == nil && got.String() != filePart {
			t.Errorf("%s: %q, %v", tt.name, got.String(), err)
		}
		// In mail they have no place.
		if r := reported(t, o, opaqueMail(tt.der)); r.Verdict != smime.NotAuthentic || !slices.Contains(r.Codes, "cms.unsupported") {
			t.Errorf("%s: as a message %s %q", tt.name, r.Verdict, r.Codes)
		}
	}
}

// Row C04: a tag of twelve octets is what AES-GCM has where no length is stated (RFC 5084,
// Section 3.2). It takes a named option.
func TestShortTags(t *testing.T) {
	people := readOpenIdentities(t)
	m := newMaker(t, people)
	signed := m.SealedPart()
	key, nonce := []byte(fileKey), []byte(fileNonce)
	by := func(cipher []byte, n int) []byte {
		return []byte(authSealedMail(people.authEnvelope(signed, func(e *forge.Enveloped) { e.Cipher, e.MAC = cipher, e.MAC[:n] })))
	}
	absent := forge.Algorithm(oid.AES256GCM, forge.Sequence(forge.Octets(nonce)))
	for name, tt := range map[string]struct {
		message         []byte
		strict, allowed string // the codes; "" opens
	}{
		"sixteen":               {by(forge.AESGCM(key, nonce, 16), 16), "", ""},
		"twelve":                {by(forge.AESGCM(key, nonce, 12), 12), "decrypt.weak_cipher", ""},
		"absent, twelve sent":   {by(absent, 12), "decrypt.weak_cipher", ""},
		"absent, sixteen sent":  {by(absent, 16), "decrypt.weak_cipher", "decrypt.failed"},
		"twelve, sixteen sent":  {by(forge.AESGCM(key, nonce, 12), 16), "decrypt.weak_cipher", "decrypt.failed"},
		"sixteen, twelve sent":  {by(forge.AESGCM(key, nonce, 16), 12), "decrypt.failed", "decrypt.failed"},
		"eight, which none has": {by(forge.AESGCM(key, nonce, 8), 8), "decrypt.unsupported", "decrypt.unsupported"},
	} {
		for _, allow := range []bool{false, true} {
			o, want := people.opener(), tt.strict
			if allow {
				o.AllowShortTags, want = true, tt.allowed
			}
			if want == "" {
				if _, err := o.Open(t.Context(), bytes.NewReader(tt.message)); err != nil {
					t.Errorf("%s, allowed %v: %v", name, allow, err)
				}
				continue
			}
			if f := failureOf(t, o, name, tt.message); !strings.HasPrefix(f.codes, want) {
				t.Errorf("%s, allowed %v: %s", name, allow, f.codes)
			}
		}
	}
	p := &smime.Policy{Accept: []string{"short-tags"}}
	if o := p.Opener(new(smime.Opener)); p.Validate() != nil || !o.AllowShortTags {
		t.Error("a policy cannot name it")
	}
}
