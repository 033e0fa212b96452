package cms_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/cms"
	samples "github.com/postseal/postseal/internal/corpus"
	forging "github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/kdf"
	"github.com/postseal/postseal/internal/keywrap"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// An envelope is an encrypted structure whose every part can be forged.
type envelope struct {
	typ        oid.OID
	recipients [][]byte
	algorithm  []byte
	text       []byte
	mac        []byte // left out if nil
}

func (e envelope) der() []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addOID(b, e.typ)
			b.AddASN1(context(0), func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(0)
					b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(e.recipients, nil)) })
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						addOID(b, oid.Data)
						b.AddBytes(e.algorithm)
						b.AddASN1(casn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(e.text) })
					})
					if e.mac != nil {
						b.AddASN1OctetString(e.mac)
					}
				})
			})
		})
	})
}

// gcmParameters encodes a nonce and, unless it is negative, a length of the tag.
func gcmParameters(nonce []byte, icv int) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(nonce)
			if icv >= 0 {
				b.AddASN1Int64(int64(icv))
			}
		})
	})
}

// sealedGCM is a good AuthEnvelopedData under cek, but for its recipients.
func sealedGCM(cek, plain []byte, recipients ...[]byte) envelope {
	o := map[int]oid.OID{16: oid.AES128GCM, 24: oid.AES192GCM, 32: oid.AES256GCM}[len(cek)]
	b, err := aes.NewCipher(cek)
	if err != nil {
		panic(err)
	}
	g, _ := cipher.NewGCM(b)
	nonce := make([]byte, 12)
	sealed := g.Seal(nil, nonce, plain, nil)
	n := len(plain)
	return envelope{oid.AuthEnvelopedData, recipients, algorithmDER(o, gcmParameters(nonce, 16)), sealed[:n], sealed[n:]}
}

// ktri encodes a KeyTransRecipientInfo for cert.
func ktri(cert *x509.Certificate, algorithm, key []byte) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(2)
			b.AddASN1(casn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(cert.SubjectKeyId) })
			b.AddBytes(algorithm)
			b.AddASN1OctetString(key)
		})
	})
}

// kekri encodes a KEKRecipientInfo.
func kekri(algorithm, key []byte) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(context(2), func(b *cryptobyte.Builder) {
			b.AddASN1Int64(4)
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1OctetString([]byte("id")) })
			b.AddBytes(algorithm)
			b.AddASN1OctetString(key)
		})
	})
}

func wrapped(kek, key []byte) []byte {
	b, err := aes.NewCipher(kek)
	if err != nil {
		panic(err)
	}
	out, err := keywrap.Wrap(b, key)
	if err != nil {
		panic(err)
	}
	return out
}

// failWithDecrypt unlocks with key and wants ErrDecrypt itself, and not a word more.
func failWithDecrypt(t *testing.T, what string, e envelope, cert *x509.Certificate, kind string, key crypto.PrivateKey) {
	t.Helper()
	o, err := unseal(bytes.NewReader(e.der()), cert, kind, key, cms.DecryptOptions{AllowLegacyCiphers: true})
	if err != cms.ErrDecrypt {
		t.Errorf("%s: %v", what, err)
	}
	if o.data != nil && o.data.Finish() != cms.ErrDecrypt {
		t.Errorf("%s: Finish has another error", what)
	}
}

type rsaGroup struct {
	KeySize                    int
	Sha, MgfSha, PrivateKeyPem string
	PrivateKeyPkcs8            samples.Hex
	PrivateKey                 struct {
		Modulus, PublicExponent, PrivateExponent, Prime1, Prime2 samples.Hex
	}
	Tests []struct {
		samples.Case
		Msg, Ct, Label samples.Hex
	}
}

// key reads the private key of a group, or returns nil for one crypto/rsa cannot have.
func (g rsaGroup) key(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	k, err := x509.ParsePKCS8PrivateKey(g.PrivateKeyPkcs8)
	if err != nil {
		t.Fatal(err)
	}
	return k.(*rsa.PrivateKey)
}

func holderOf(t *testing.T, k *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	info, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return bearer(7, info)
}

// Whatever is wrong with a PKCS #1 v1.5 ciphertext, the error is the same (C07).
func TestPaddingOracle(t *testing.T) {
	t.Parallel()
	plain := []byte("what was sent")
	opened, failed := 0, 0
	for _, file := range []string{"rsa_pkcs1_2048_test.json", "rsa_pkcs1_3072_test.json", "rsa_pkcs1_4096_test.json"} {
		for _, g := range samples.Wycheproof[rsaGroup](t, file) {
			k := g.key(t)
			cert := holderOf(t, k)
			for _, v := range g.Tests {
				info := ktri(cert, algorithmDER(oid.RSA, []byte{5, 0}), v.Ct)
				// A content key that the ciphertext would have to hold to be of any use.
				if n := len(v.Msg); v.Result == "valid" && (n == 16 || n == 24 || n == 32) {
					o, err := unseal(bytes.NewReader(sealedGCM(v.Msg, plain, info).der()), cert, "", k, cms.DecryptOptions{})
					if err != nil || !bytes.Equal(o.content, plain) {
						t.Errorf("%s %d: %v", file, v.TcID, err)
					}
					opened++
				}
				n := []int{16, 24, 32}[v.TcID%3]
				if n != len(v.Msg) {
					failWithDecrypt(t, fmt.Sprint(file, v.TcID, n), sealedGCM(make([]byte, n), plain, info), cert, "", k)
					failed++
				}
			}
		}
	}
	// The vectors' messages are short; a good one of our own completes the twin.
	h := holders()["rsa"]
	cek := someBytes(32)
	ct, _ := rsa.EncryptPKCS1v15(rand.Reader, &h.key.(*rsa.PrivateKey).PublicKey, cek)
	for _, parameters := range [][]byte{nil, {5, 0}} {
		info := ktri(h.cert, algorithmDER(oid.RSA, parameters), ct)
		if o, err := unseal(bytes.NewReader(sealedGCM(cek, plain, info).der()), h.cert, "", h.key, cms.DecryptOptions{}); err != nil || !bytes.Equal(o.content, plain) {
			t.Error(err)
		}
	}
	bad := bytes.Clone(ct)
	for i := range bad {
		bad[i] ^= 0x55
		failWithDecrypt(t, "altered octet", sealedGCM(cek, plain, ktri(h.cert, algorithmDER(oid.RSA, []byte{5, 0}), bad)), h.cert, "", h.key)
		bad[i] ^= 0x55
	}
	for _, n := range []int{0, 1, 255, 257, 512} {
		failWithDecrypt(t, "length", sealedGCM(cek, plain, ktri(h.cert, algorithmDER(oid.RSA, []byte{5, 0}), make([]byte, n))), h.cert, "", h.key)
	}
	failWithDecrypt(t, "above the modulus", sealedGCM(cek, plain, ktri(h.cert, algorithmDER(oid.RSA, []byte{5, 0}), bytes.Repeat([]byte{0xff}, 256))), h.cert, "", h.key)
	// A key of the right padding and the wrong length.
	for _, n := range []int{0, 1, 15, 16, 31, 33, 64} {
		ct, _ := rsa.EncryptPKCS1v15(rand.Reader, &h.key.(*rsa.PrivateKey).PublicKey, make([]byte, n))
		failWithDecrypt(t, "key length", sealedGCM(make([]byte, 32), plain, ktri(h.cert, algorithmDER(oid.RSA, []byte{5, 0}), ct)), h.cert, "", h.key)
	}
	t.Log(opened, "opened,", failed, "vectors failed alike")

}

// A key that its own wrapping shows to be wrong never passes for the right one, however the
// padding comes out that a random key leaves; only with RSA PKCS #1 v1.5, where even that
// would tell, one in 256 does (C07, C10).
func TestWrongKeyNeverFits(t *testing.T) {
	all := holders()
	rsaKey := &all["rsa"].key.(*rsa.PrivateKey).PublicKey
	id := algorithmDER(oid.RSA, []byte{5, 0})
	kek := someBytes(32)
	stray := func() []byte { // of the right length for everything that wraps 32 octets
		b := make([]byte, 40)
		rand.Read(b)
		return b
	}
	oaep, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, rsaKey, make([]byte, 32), []byte("a label that is not announced"))
	if err != nil {
		t.Fatal(err)
	}
	oaepID := algorithmDER(oid.RSAOAEP, forging.Sequence(forging.Tagged(0, algorithmDER(oid.SHA256, nil)), forging.Tagged(1, algorithmDER(oid.MGF1, algorithmDER(oid.SHA256, nil)))))
	text := someBytes(100)
	fits := func(info []byte, cert *x509.Certificate, kind string, key crypto.PrivateKey) bool {
		t.Helper()
		o, err := unseal(bytes.NewReader(sealedCBC(make([]byte, 32), text, info).der()), cert, kind, key, cms.DecryptOptions{})
		if err != nil && err != cms.ErrDecrypt {
			t.Fatal(kind, err)
		}
		return err == nil && !bytes.Equal(o.content, text)
	}
	for range 2000 {
		if fits(kekri(algorithmDER(oid.AES256Wrap, nil), stray()), nil, "kekri", cms.Secret(kek)) {
			t.Fatal("a key wrapped with another")
		}
	}
	for range 1500 {
		if fits(ktri(all["rsa"].cert, oaepID, oaep), all["rsa"].cert, "", all["rsa"].key) {
			t.Fatal("a key under another label")
		}
	}
	junk := bytes.Clone(oaep)
	for n := 0; !fits(ktri(all["rsa"].cert, id, junk), all["rsa"].cert, "", all["rsa"].key); n++ {
		if n > 10000 {
			t.Fatal("no random key fits: bad padding shows")
		}
	}
}

// A token that shows bad padding and right lengths to us shows them to nobody else: neither
// by the error nor by how often it is used on the ciphertext of the message (C07).
func TestPaddingOracleOfTokens(t *testing.T) {
	h, plain, cek := holders()["rsa"], []byte("what was sent"), someBytes(32)
	key := h.key.(*rsa.PrivateKey)
	encrypted := func(cek []byte) []byte {
		ct, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, cek)
		if err != nil {
			t.Fatal(err)
		}
		return ct
	}
	good := encrypted(cek)
	bad := bytes.Clone(good)
	bad[0] ^= 0x55
	for sessionKeyLen, probes := range map[string]int{"honours": 1, "refuses": 0, "ignores": 1} {
		for name, ct := range map[string][]byte{"good": good, "altered octet": bad, "key length": encrypted(cek[:31]), "no key": encrypted(nil)} {
			token := &plainToken{key: key, sessionKeyLen: sessionKeyLen, message: ct}
			der := sealedGCM(cek, plain, ktri(h.cert, algorithmDER(oid.RSA, []byte{5, 0}), ct))
			if name != "good" {
				failWithDecrypt(t, "token, "+name, der, h.cert, "", token)
			} else if o, err := unseal(bytes.NewReader(der.der()), h.cert, "", token, cms.DecryptOptions{}); err != nil || !bytes.Equal(o.content, plain) {
				t.Errorf("a token that %s it: %v", sessionKeyLen, err)
			}
			if token.onMessage != 1 || token.onOthers != probes {
				t.Errorf("a token that %s it, %s: used %d times on the message, %d times on other things", sessionKeyLen, name, token.onMessage, token.onOthers)
			}
		}
	}
}

// A plainToken honours, refuses or ignores a SessionKeyLen, shows bad padding without, and
// counts what its key is used for. Those behind github.com/ThalesGroup/crypto11 refuse it.
type plainToken struct {
	key                 *rsa.PrivateKey
	sessionKeyLen       string
	message             []byte
	onMessage, onOthers int
}

func (k *plainToken) Public() crypto.PublicKey { return k.key.Public() }

func (k *plainToken) Decrypt(r io.Reader, text []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if o := opts.(*rsa.PKCS1v15DecryptOptions); o.SessionKeyLen != 0 && k.sessionKeyLen == "refuses" {
		return nil, errors.New("token: unsupported option")
	}
	if bytes.Equal(text, k.message) {
		k.onMessage++
	} else {
		k.onOthers++
	}
	if k.sessionKeyLen == "ignores" {
		opts = nil
	}
	return k.key.Decrypt(r, text, opts)
}

// The same for RSAES-OAEP, with every pair of hashes and with labels: over a thousand
// inputs fail, all with one error (C09).
func TestOAEPOracle(t *testing.T) {
	t.Parallel()
	hash := func(name string) (oid.OID, bool) {
		o, ok := map[string]oid.OID{"SHA-1": oid.SHA1, "SHA-224": oid.SHA224, "SHA-256": oid.SHA256, "SHA-384": oid.SHA384,
			"SHA-512": oid.SHA512, "SHA-512/224": oid.SHA512_224, "SHA-512/256": oid.SHA512_256}[name]
		return o, ok
	}
	files, err := filepath.Glob(filepath.Join(samples.Path(t, "wycheproof", "testvectors_v1"), "rsa_*oaep*_test.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	plain := []byte("what was sent")
	opened, refused, small := 0, 0, 0
	for _, f := range files {
		for _, g := range samples.Wycheproof[rsaGroup](t, filepath.Base(f)) {
			if g.KeySize > 3072 && testing.Short() {
				continue
			}
			k := g.key(t)
			if k.N.BitLen() < 2048 {
				small += len(g.Tests)
			}
			cert := holderOf(t, k)
			h, ok1 := hash(g.Sha)
			mgf, ok2 := hash(g.MgfSha)
			if !ok1 || !ok2 {
				t.Fatal(g.Sha, g.MgfSha)
			}
			for _, v := range g.Tests {
				info := ktri(cert, algorithmDER(oid.RSAOAEP, oaepDER(h, mgf, v.Label)), v.Ct)
				n := len(v.Msg)
				if v.Result == "valid" && (n == 16 || n == 24 || n == 32) {
					opened++
					o, err := unseal(bytes.NewReader(sealedGCM(v.Msg, plain, info).der()), cert, "", k, cms.DecryptOptions{AllowLegacyCiphers: true})
					if err != nil || !bytes.Equal(o.content, plain) {
						t.Errorf("%s %d: %v", filepath.Base(f), v.TcID, err)
					}
					continue
				}
				refused++
				failWithDecrypt(t, fmt.Sprint(filepath.Base(f), v.TcID), sealedGCM(make([]byte, 32), plain, info), cert, "", k)
			}
		}
	}
	if refused < 1000 && !testing.Short() {
		t.Error("only", refused, "failing inputs")
	}
	t.Log(opened, "opened,", refused, "failed alike;", small, "of them with keys under 2048 bits")
}

func oaepDER(hash, mgf oid.OID, label []byte) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddBytes(algorithmDER(hash, []byte{5, 0})) })
			b.AddASN1(context(1), func(b *cryptobyte.Builder) {
				b.AddBytes(algorithmDER(oid.MGF1, algorithmDER(mgf, nil)))
			})
			if len(label) > 0 {
				b.AddASN1(context(2), func(b *cryptobyte.Builder) {
					b.AddBytes(algorithmDER(oid.PSpecified, build(func(b *cryptobyte.Builder) { b.AddASN1OctetString(label) })))
				})
			}
		})
	})
}

// Bad OAEP parameters never make PKCS #1 v1.5 be tried, and absent ones mean SHA-1 (C09).
func TestOAEPParameters(t *testing.T) {
	h := holders()["rsa"]
	pub := &h.key.(*rsa.PrivateKey).PublicKey
	cek, plain := someBytes(32), []byte("what was sent")
	v15, _ := rsa.EncryptPKCS1v15(rand.Reader, pub, cek)
	sha1, _ := rsa.EncryptOAEP(crypto.SHA1.New(), rand.Reader, pub, cek, nil)
	for name, parameters := range map[string][]byte{
		"NULL":             {5, 0},
		"octets":           {4, 1, 0},
		"unknown hash":     oaepDER(oid.MD5, oid.SHA256, nil),
		"unknown MGF hash": oaepDER(oid.SHA256, oid.MD5, nil),
		"a field more":     append([]byte{0x30, byte(len(oaepDER(oid.SHA256, oid.SHA256, nil)))}, append(oaepDER(oid.SHA256, oid.SHA256, nil)[2:], 0x30, 0)...),
		"not MGF1": build(func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(context(1), func(b *cryptobyte.Builder) { b.AddBytes(algorithmDER(oid.SHA256, nil)) })
			})
		}),
		"MGF without a hash": build(func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(context(1), func(b *cryptobyte.Builder) { b.AddBytes(algorithmDER(oid.MGF1, nil)) })
			})
		}),
		"label of a number": build(func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(context(2), func(b *cryptobyte.Builder) { b.AddBytes(algorithmDER(oid.PSpecified, []byte{2, 1, 1})) })
			})
		}),
	} {
		e := sealedGCM(cek, plain, ktri(h.cert, algorithmDER(oid.RSAOAEP, parameters), v15))
		o, err := unseal(bytes.NewReader(e.der()), h.cert, "", h.key, cms.DecryptOptions{})
		var syntax *cms.SyntaxError
		var unsupported *cms.UnsupportedError
		if !errors.As(err, &syntax) && !errors.As(err, &unsupported) || len(o.content) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, parameters := range map[string][]byte{"absent": nil, "empty": {0x30, 0}, "stated": oaepDER(oid.SHA1, oid.SHA1, nil)} {
		e := sealedGCM(cek, plain, ktri(h.cert, algorithmDER(oid.RSAOAEP, parameters), sha1))
		if o, err := unseal(bytes.NewReader(e.der()), h.cert, "", h.key, cms.DecryptOptions{}); err != nil || !bytes.Equal(o.content, plain) {
			t.Errorf("%s: %v", name, err)
		}
		failWithDecrypt(t, name, sealedGCM(cek, plain, ktri(h.cert, algorithmDER(oid.RSAOAEP, parameters), v15)), h.cert, "", h.key)
	}
}

// The length of the tag is what the parameters say, and no less than policy asks; ciphers
// without a tag have no place in AuthEnvelopedData (C04).
func TestTagLengths(t *testing.T) {
	kek, cek, plain := someBytes(32), make([]byte, 32), []byte("what was sent")
	info := kekri(algorithmDER(oid.AES256Wrap, nil), wrapped(kek, cek))
	good := sealedGCM(cek, plain, info)
	for _, icv := range []int{-1, 0, 1, 4, 8, 11, 12, 13, 14, 15, 16, 17, 1000} {
		for _, have := range []int{0, 1, 4, 8, 11, 12, 13, 14, 15, 16, 17} {
			e := good
			e.algorithm = algorithmDER(oid.AES256GCM, gcmParameters(make([]byte, 12), icv))
			e.mac = append(bytes.Clone(good.mac), 0)[:have]
			stated := icv
			if icv == -1 {
				stated = 12
			}
			for _, short := range []bool{false, true} {
				o, err := unseal(bytes.NewReader(e.der()), nil, "kekri", cms.Secret(kek), cms.DecryptOptions{AllowShortTags: short})
				if want := stated == have && (have == 16 || short && have >= 12) && have <= 16; want != (err == nil) || want && !bytes.Equal(o.content, plain) {
					t.Errorf("parameters say %d, tag has %d, short ones allowed: %v: %v", icv, have, short, err)
				}
				if err == cms.ErrDecrypt {
					t.Errorf("%d and %d: a fault that everybody sees looks like a wrong key", icv, have)
				}
			}
		}
	}
	for name, e := range map[string]envelope{
		"CBC in AuthEnvelopedData": {oid.AuthEnvelopedData, [][]byte{info}, algorithmDER(oid.AES256CBC, append([]byte{4, 16}, make([]byte, 16)...)), make([]byte, 32), make([]byte, 16)},
		"GCM in EnvelopedData":     {oid.EnvelopedData, [][]byte{info}, good.algorithm, append(bytes.Clone(good.text), good.mac...), nil},
		"unknown in EnvelopedData": {oid.EnvelopedData, [][]byte{info}, algorithmDER(oid.SHA256, nil), make([]byte, 32), nil},
		"derived GCM in Enveloped": {oid.EnvelopedData, [][]byte{info}, algorithmDER(oid.CEKHKDFSHA256, good.algorithm), good.text, nil},
		"derived twice":            {oid.AuthEnvelopedData, [][]byte{info}, algorithmDER(oid.CEKHKDFSHA256, algorithmDER(oid.CEKHKDFSHA256, good.algorithm)), good.text, good.mac},
	} {
		o, err := unseal(bytes.NewReader(e.der()), nil, "kekri", cms.Secret(kek), cms.DecryptOptions{})
		var unsupported *cms.UnsupportedError
		if !errors.As(err, &unsupported) || len(o.content) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	// AES-CCM, whose tag of another length is another tag, and ChaCha20-Poly1305, which has
	// one length and no parameter for it.
	h := holders()["p256"]
	for _, cipher := range []string{"aes128-ccm", "chacha20-poly1305"} {
		der := seal(t, plain, 99, cms.EnvelopeOptions{Cipher: cipher}, &cms.Recipient{Certificate: h.cert})
		at := bytes.LastIndex(der, []byte{4, 16}) // the tag
		for _, icv := range []int{-1, 0, 1, 4, 6, 8, 10, 12, 14, 15, 16, 17} {
			if icv != -1 && cipher != "aes128-ccm" {
				continue
			}
			for have := range 20 {
				bad := forging.Splice(der, forging.Node{At: at, Body: at + 2, End: at + 18}, forging.Octets(append(bytes.Clone(der[at+2:at+18]), 0, 0, 0)[:have]))
				if cipher == "aes128-ccm" {
					i := bytes.Index(bad, derOf(oid.AES128CCM)) + len(derOf(oid.AES128CCM)) // 30 11 04 0c nonce 02 01 10
					parameters := forging.Sequence(bad[i+2 : i+16])
					if icv >= 0 {
						parameters = forging.Sequence(bad[i+2:i+16], forging.Integer(int64(icv)))
					}
					bad = forging.Splice(bad, forging.Node{At: i, Body: i + 2, End: i + 19}, parameters)
				}
				for _, short := range []bool{false, true} {
					o, err := unseal(bytes.NewReader(bad), h.cert, "", h.key, cms.DecryptOptions{AllowShortTags: short})
					if want := have == 16 && (icv == 16 || cipher != "aes128-ccm"); want != (err == nil) || want && !bytes.Equal(o.content, plain) {
						t.Errorf("%s: parameters say %d, tag has %d, short ones allowed: %v: %v", cipher, icv, have, short, err)
					}
					if err != nil && len(o.content) > 0 && cipher == "aes128-ccm" { // which is held until then
						t.Errorf("%s: parameters say %d, tag has %d: %d octets released", cipher, icv, have, len(o.content))
					}
				}
			}
		}
	}
	// No tag at all.
	e := good
	e.mac = nil
	var syntax *cms.SyntaxError
	if _, err := unseal(bytes.NewReader(e.der()), nil, "kekri", cms.Secret(kek), cms.DecryptOptions{}); !errors.As(err, &syntax) {
		t.Error(err)
	}
}

// AES-CCM has tags of every even length from 4 octets. Those from 12, the default, open; from
// 8 with the option for short ones; shorter ones never (C04).
func TestTagLengthsOfCCM(t *testing.T) {
	kek, cek, nonce, plain := someBytes(32), make([]byte, 16), make([]byte, 12), []byte("what was sent")
	info := kekri(algorithmDER(oid.AES256Wrap, nil), wrapped(kek, cek))
	for icv := 4; icv <= 16; icv += 2 {
		text, tag := sealCCM(cek, nonce, plain, icv)
		e := envelope{oid.AuthEnvelopedData, [][]byte{info}, algorithmDER(oid.AES128CCM, gcmParameters(nonce, icv)), text, tag}
		for _, short := range []bool{false, true} {
			o, err := unseal(bytes.NewReader(e.der()), nil, "kekri", cms.Secret(kek), cms.DecryptOptions{AllowShortTags: short})
			var weak *cms.WeakError
			if want := icv >= 12 || short && icv >= 8; want != (err == nil) || !want && !errors.As(err, &weak) || want && !bytes.Equal(o.content, plain) {
				t.Errorf("tag of %d octets, short ones allowed: %v: %v", icv, short, err)
			}
		}
		e.mac = bytes.Clone(tag)
		e.mac[icv-1] ^= 1
		if o, err := unseal(bytes.NewReader(e.der()), nil, "kekri", cms.Secret(kek), cms.DecryptOptions{AllowShortTags: true}); err == nil || len(o.content) > 0 {
			t.Errorf("altered tag of %d octets: %v", icv, err)
		}
	}
}

// sealCCM is CCM with a nonce of 12 octets and no additional data (RFC 3610, Section 2).
func sealCCM(key, nonce, plain []byte, icv int) (text, tag []byte) {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	first := append([]byte{byte((icv-2)/2<<3 | 2)}, nonce...)
	first = append(first, 0, 0, byte(len(plain)))
	padded := append(bytes.Clone(plain), make([]byte, (16-len(plain)%16)%16)...)
	chain := make([]byte, 16+len(padded))
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(chain, append(first, padded...))
	counter := append(append([]byte{2}, nonce...), 0, 0, 0)
	out := append(bytes.Clone(chain[len(chain)-16:]), plain...)
	cipher.NewCTR(block, counter).XORKeyStream(out, out)
	return out[16:], out[:icv]
}

// Nonces of another length than 12 octets, and parameters of another form (C05).
func TestNonces(t *testing.T) {
	kek, cek := someBytes(32), make([]byte, 32)
	info := kekri(algorithmDER(oid.AES256Wrap, nil), wrapped(kek, cek))
	good := sealedGCM(cek, []byte("x"), info)
	parameters := map[string][]byte{
		"absent": nil, "NULL": {5, 0}, "bare": append([]byte{4, 12}, make([]byte, 12)...), "empty": {0x30, 0},
		"context tags": append([]byte{0x30, 14, 0x80, 12}, make([]byte, 12)...),
		"two numbers":  append(append([]byte{0x30, 20, 4, 12}, make([]byte, 12)...), 2, 1, 16, 2, 1, 16),
	}
	for _, n := range []int{0, 1, 8, 11, 13, 16, 64, 65, 60000} {
		parameters[fmt.Sprint(n, " octets")] = gcmParameters(make([]byte, n), 16)
	}
	for name, p := range parameters {
		e := good
		e.algorithm = algorithmDER(oid.AES256GCM, p)
		_, err := unseal(bytes.NewReader(e.der()), nil, "kekri", cms.Secret(kek), cms.DecryptOptions{})
		var unsupported *cms.UnsupportedError
		var syntax *cms.SyntaxError
		if !errors.As(err, &unsupported) && !errors.As(err, &syntax) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e := good
	e.algorithm = algorithmDER(oid.AES256GCM, gcmParameters(make([]byte, 10<<20), 16))
	var limit *limits.Exceeded
	if _, err := cms.Open(bytes.NewReader(e.der())); !errors.As(err, &limit) {
		t.Error("10 MiB:", err)
	}
	for _, v := range []struct {
		o          oid.OID
		parameters []byte
	}{
		{oid.AES128CBC, append([]byte{4, 15}, make([]byte, 15)...)}, {oid.AES128CBC, nil}, {oid.TripleDESCBC, append([]byte{4, 16}, make([]byte, 16)...)},
		{oid.ChaCha20Poly1305, append([]byte{4, 8}, make([]byte, 8)...)}, {oid.ChaCha20Poly1305, nil},
		{oid.AES128CCM, gcmParameters(make([]byte, 6), 16)}, {oid.AES128CCM, gcmParameters(make([]byte, 14), 16)}, {oid.AES128CCM, gcmParameters(make([]byte, 12), 15)},
		{oid.AES128CCM, gcmParameters(make([]byte, 12), 2)}, {oid.RC2CBC, []byte{0x30, 3, 2, 1, 1}}, {oid.CEKHKDFSHA256, nil},
	} {
		e := envelope{oid.EnvelopedData, [][]byte{info}, algorithmDER(v.o, v.parameters), make([]byte, 32), nil}
		var syntax *cms.SyntaxError
		if _, err := unseal(bytes.NewReader(e.der()), nil, "kekri", cms.Secret(kek), cms.DecryptOptions{}); !errors.As(err, &syntax) {
			t.Errorf("%s: %v", v.o, err)
		}
	}
}

// The plaintext of a stream is followed by an error, never by its end, if the last octet of
// the tag is wrong (C06).
func TestWrongTagAtTheEnd(t *testing.T) {
	h := holders()["p256"]
	for _, cipher := range []string{"aes256-gcm", "chacha20-poly1305", "aes128-ccm"} {
		der := seal(t, someBytes(3<<20), 1<<20, cms.EnvelopeOptions{Cipher: cipher}, &cms.Recipient{Certificate: h.cert})
		i := len(der) - 1
		for der[i] == 0 && der[i-1] == 0 { // end-of-contents octets
			i -= 2
		}
		der[i] ^= 1
		c, err := cms.Open(bytes.NewReader(der))
		if err != nil {
			t.Fatal(err)
		}
		e := c.(*cms.EnvelopedData)
		if err := e.Unlock(e.Recipients()[0], h.key, cms.DecryptOptions{}); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, e)
		if err != cms.ErrDecrypt || e.Finish() != cms.ErrDecrypt {
			t.Errorf("%s: %v after %d octets", cipher, err, n)
		}
		if cipher == "aes128-ccm" && n != 0 {
			t.Errorf("%s: %d octets released", cipher, n)
		}
		if m, err := e.Read(make([]byte, 10)); m != 0 || err != cms.ErrDecrypt {
			t.Error("the error does not stay", m, err)
		}
	}
}

// The first recipient with the identifier decides; others have no influence (C08).
func TestOtherRecipientsHaveNoInfluence(t *testing.T) {
	h, other := holders()["rsa"], holders()["p256"]
	cek, plain := someBytes(32), []byte("what was sent")
	pub := &h.key.(*rsa.PrivateKey).PublicKey
	ct, _ := rsa.EncryptPKCS1v15(rand.Reader, pub, cek)
	chosen, _ := rsa.EncryptPKCS1v15(rand.Reader, pub, make([]byte, 32))
	rsaID := algorithmDER(oid.RSA, []byte{5, 0})
	good, wrong, junk := ktri(h.cert, rsaID, ct), ktri(h.cert, rsaID, chosen), ktri(h.cert, rsaID, make([]byte, 256))
	foreign := ktri(other.cert, rsaID, ct)
	for name, v := range map[string]struct {
		infos [][]byte
		ok    bool
	}{
		"alone":                {[][]byte{good}, true},
		"then a chosen one":    {[][]byte{good, wrong}, true},
		"then rubbish":         {[][]byte{good, junk, junk}, true},
		"after a chosen one":   {[][]byte{wrong, good}, false},
		"after rubbish":        {[][]byte{junk, good}, false},
		"between strangers":    {[][]byte{foreign, good, foreign}, true},
		"only strangers":       {[][]byte{foreign, foreign}, false},
		"unknown kinds around": {[][]byte{{0xa4, 5, 6, 1, 42, 5, 0}, good, {0xa9, 0}, {0xa1, 0}, {0x30, 0}}, true},
	} {
		o, err := unseal(bytes.NewReader(sealedGCM(cek, plain, v.infos...).der()), h.cert, "", h.key, cms.DecryptOptions{})
		if v.ok != (err == nil) || v.ok != bytes.Equal(o.content, plain) {
			t.Errorf("%s: %v", name, err)
		}
		if !v.ok && err != cms.ErrDecrypt && err != errNoRecipient {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every padding and every length that is wrong ends in the same error (C10).
func TestCBCOracle(t *testing.T) {
	type group struct {
		Tests []struct {
			samples.Case
			Key, Iv, Msg, Ct samples.Hex
		}
	}
	kek := someBytes(32)
	for _, g := range samples.Wycheproof[group](t, "aes_cbc_pkcs5_test.json") {
		for _, v := range g.Tests {
			o := map[int]oid.OID{16: oid.AES128CBC, 24: oid.AES192CBC, 32: oid.AES256CBC}[len(v.Key)]
			e := envelope{oid.EnvelopedData, [][]byte{kekri(algorithmDER(oid.AES256Wrap, nil), wrapped(kek, v.Key))},
				algorithmDER(o, append([]byte{4, 16}, v.Iv...)), v.Ct, nil}
			if v.Result == "invalid" {
				failWithDecrypt(t, fmt.Sprint(v.TcID, v.Comment), e, nil, "kekri", cms.Secret(kek))
				continue
			}
			if o, err := unseal(bytes.NewReader(e.der()), nil, "kekri", cms.Secret(kek), cms.DecryptOptions{}); err != nil || !bytes.Equal(o.content, v.Msg) {
				t.Errorf("%d: %v", v.TcID, err)
			}
		}
	}
	cek := make([]byte, 16)
	info := kekri(algorithmDER(oid.AES256Wrap, nil), wrapped(kek, cek))
	for n := range 64 { // lengths that are no multiple of a block, and nothing at all
		if n%16 != 0 || n == 0 {
			failWithDecrypt(t, fmt.Sprint("length ", n), envelope{oid.EnvelopedData, [][]byte{info},
				algorithmDER(oid.AES128CBC, append([]byte{4, 16}, make([]byte, 16)...)), make([]byte, n), nil}, nil, "kekri", cms.Secret(kek))
		}
	}
	b, _ := aes.NewCipher(cek)
	for last := range 256 { // every last octet, through the initial vector
		text := make([]byte, 16)
		b.Encrypt(text, text)
		iv := make([]byte, 16)
		iv[15] = byte(last)
		e := envelope{oid.EnvelopedData, [][]byte{info}, algorithmDER(oid.AES128CBC, append([]byte{4, 16}, iv...)), text, nil}
		if last == 1 {
			if o, err := unseal(bytes.NewReader(e.der()), nil, "kekri", cms.Secret(kek), cms.DecryptOptions{}); err != nil || len(o.content) != 15 {
				t.Error(err)
			}
			continue
		}
		failWithDecrypt(t, fmt.Sprint("last octet ", last), e, nil, "kekri", cms.Secret(kek))
	}
}

// Wrapped keys of other lengths and values (C11).
func TestUnwrapFaults(t *testing.T) {
	kek, cek, plain := someBytes(32), someBytes(32), []byte("what was sent")
	aes256 := algorithmDER(oid.AES256Wrap, nil)
	for _, n := range []int{0, 8, 15, 16, 17, 24, 32, 39, 40, 41, 48, 64 << 10} {
		failWithDecrypt(t, fmt.Sprint(n, " octets"), sealedGCM(cek, plain, kekri(aes256, make([]byte, n))), nil, "kekri", cms.Secret(kek))
	}
	for _, n := range []int{16, 24, 40, 64} { // the check value is right, the length is not
		failWithDecrypt(t, fmt.Sprint("key of ", n), sealedGCM(cek, plain, kekri(aes256, wrapped(kek, make([]byte, n)))), nil, "kekri", cms.Secret(kek))
	}
	good := wrapped(kek, cek)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		failWithDecrypt(t, fmt.Sprint("octet ", i), sealedGCM(cek, plain, kekri(aes256, bad)), nil, "kekri", cms.Secret(kek))
	}
	failWithDecrypt(t, "wrong secret", sealedGCM(cek, plain, kekri(aes256, good)), nil, "kekri", cms.Secret(make([]byte, 32)))
	block, _ := aes.NewCipher(kek)
	padded, _ := keywrap.WrapPad(block, cek)
	for name, info := range map[string][]byte{
		"RFC 3394": kekri(aes256, good),
		"NULL":     kekri(algorithmDER(oid.AES256Wrap, []byte{5, 0}), good), // Q15
		"RFC 5649": kekri(algorithmDER(oid.AES256WrapPad, nil), padded),
	} {
		if o, err := unseal(bytes.NewReader(sealedGCM(cek, plain, info).der()), nil, "kekri", cms.Secret(kek), cms.DecryptOptions{}); err != nil || !bytes.Equal(o.content, plain) {
			t.Errorf("%s: %v", name, err)
		}
	}
	type group struct {
		Tests []struct {
			samples.Case
			Key, Msg, Ct samples.Hex
		}
	}
	for file, ids := range map[string]map[int]oid.OID{
		"aes_wrap_test.json": {16: oid.AES128Wrap, 24: oid.AES192Wrap, 32: oid.AES256Wrap},
		"aes_kwp_test.json":  {16: oid.AES128WrapPad, 24: oid.AES192WrapPad, 32: oid.AES256WrapPad},
	} {
		for _, g := range samples.Wycheproof[group](t, file) {
			for _, v := range g.Tests {
				info := kekri(algorithmDER(ids[len(v.Key)], nil), v.Ct)
				n := len(v.Msg)
				if v.Result == "valid" && (n == 16 || n == 24 || n == 32) {
					if o, err := unseal(bytes.NewReader(sealedGCM(v.Msg, plain, info).der()), nil, "kekri", cms.Secret(v.Key), cms.DecryptOptions{}); err != nil || !bytes.Equal(o.content, plain) {
						t.Errorf("%s %d: %v", file, v.TcID, err)
					}
					continue
				}
				failWithDecrypt(t, fmt.Sprint(file, v.TcID), sealedGCM(make([]byte, 32), plain, info), nil, "kekri", cms.Secret(v.Key))
			}
		}
	}
}

// pwri encodes a PasswordRecipientInfo; kdf is left out if nil.
func pwri(kdf, algorithm, key []byte) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(context(3), func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			if kdf != nil {
				implicit := bytes.Clone(kdf)
				implicit[0] = 0xa0
				b.AddBytes(implicit)
			}
			b.AddBytes(algorithm)
			b.AddASN1OctetString(key)
		})
	})
}

func pbkdf2DER(iterations int64, keyLength int, prf oid.OID) []byte {
	return algorithmDER(oid.PBKDF2, build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString([]byte("salt"))
			b.AddASN1Int64(iterations)
			if keyLength > 0 {
				b.AddASN1Int64(int64(keyLength))
			}
			if prf != "" {
				b.AddBytes(algorithmDER(prf, []byte{5, 0}))
			}
		})
	}))
}

// Password recipients out of bounds: stream ciphers, one block, no derivation, other
// lengths, and costs that nobody should pay (C12, C14).
func TestPasswordRecipients(t *testing.T) {
	cek, plain := someBytes(32), []byte("what was sent")
	iv := make([]byte, 16)
	inner := algorithmDER(oid.AES256CBC, append([]byte{4, 16}, iv...))
	outer := algorithmDER(oid.PWRIKEK, inner)
	wrap := func(hash func() hash.Hash) []byte {
		kek, err := kdf.PBKDF2(hash, []byte("secret"), []byte("salt"), 1000, 1000, 32)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := aes.NewCipher(kek)
		out, err := keywrap.WrapPassword(b, iv, cek)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	key := wrap(sha256.New)
	open := func(info []byte, key crypto.PrivateKey) ([]byte, error) {
		o, err := unseal(bytes.NewReader(sealedGCM(cek, plain, info).der()), nil, "pwri", key, cms.DecryptOptions{})
		return o.content, err
	}
	for name, info := range map[string][]byte{
		"SHA-256":           pwri(pbkdf2DER(1000, 0, oid.HMACSHA256), outer, key),
		"SHA-1 by default":  pwri(pbkdf2DER(1000, 0, ""), outer, wrap(crypto.SHA1.New)),
		"SHA-512":           pwri(pbkdf2DER(1000, 0, oid.HMACSHA512), outer, wrap(crypto.SHA512.New)),
		"key length stated": pwri(pbkdf2DER(1000, 32, oid.HMACSHA256), outer, key),
	} {
		if got, err := open(info, cms.Passphrase("secret")); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %v", name, err)
		}
		failWithDecrypt(t, name, sealedGCM(cek, plain, info), nil, "pwri", cms.Passphrase("wrong"))
	}
	good := pbkdf2DER(1000, 0, oid.HMACSHA256)
	for _, n := range []int{0, 1, 16, 31, 33, 64, 8192} {
		failWithDecrypt(t, fmt.Sprint(n, " octets"), sealedGCM(cek, plain, pwri(good, outer, make([]byte, n))), nil, "pwri", cms.Passphrase("secret"))
	}
	for i := range key {
		bad := bytes.Clone(key)
		bad[i] ^= 0x10
		failWithDecrypt(t, fmt.Sprint("octet ", i), sealedGCM(cek, plain, pwri(good, outer, bad)), nil, "pwri", cms.Passphrase("secret"))
	}
	start := time.Now()
	for name, info := range map[string][]byte{
		"GCM for the key":     pwri(good, algorithmDER(oid.PWRIKEK, algorithmDER(oid.AES256GCM, gcmParameters(make([]byte, 12), 16))), key),
		"unknown for the key": pwri(good, algorithmDER(oid.PWRIKEK, algorithmDER(oid.SHA256, nil)), key),
		"a bare cipher":       pwri(good, inner, key),
		"no parameters":       pwri(good, algorithmDER(oid.PWRIKEK, nil), key),
		"another derivation":  pwri(algorithmDER(oid.HKDFSHA256, nil), outer, key),
		"scrypt, a gigabyte":  pwri(algorithmDER("\x2b\x06\x01\x04\x01\xda\x47\x04\x0b", forging.Sequence(forging.Octets([]byte("salt")), forging.Integer(1<<20), forging.Integer(8), forging.Integer(1))), outer, key),
		"scrypt, for ever":    pwri(algorithmDER("\x2b\x06\x01\x04\x01\xda\x47\x04\x0b", forging.Sequence(forging.Octets([]byte("salt")), forging.Integer(1<<62), forging.Integer(1<<31), forging.Integer(1<<31))), outer, key),
		"another function":    pwri(pbkdf2DER(1000, 0, oid.SHA256), outer, key),
		"key length 16":       pwri(pbkdf2DER(1000, 16, ""), outer, key),
		"huge key length":     pwri(pbkdf2DER(1000, 1<<30, ""), outer, key),
		"a million and one":   pwri(pbkdf2DER(limits.KDFIterations+1, 0, ""), outer, key),
		"2^31-1":              pwri(pbkdf2DER(1<<31-1, 0, ""), outer, key),
		"2^62":                pwri(pbkdf2DER(1<<62, 0, ""), outer, key),
		"none":                pwri(pbkdf2DER(0, 0, ""), outer, key),
		"fewer than none":     pwri(pbkdf2DER(-1, 0, ""), outer, key),
		"no derivation":       pwri(nil, outer, key),
		"salt from elsewhere": pwri(algorithmDER(oid.PBKDF2, append(append([]byte{0x30, 17}, algorithmDER(oid.SHA256, nil)...), 2, 2, 3, 0xe8)), outer, key),
	} {
		got, err := open(info, cms.Passphrase("secret"))
		if err == nil || err == cms.ErrDecrypt || len(got) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Error("refused after", d)
	}
	// Without derivation the secret is the key itself.
	b, _ := aes.NewCipher(someBytes(32))
	direct, _ := keywrap.WrapPassword(b, iv, cek)
	if got, err := open(pwri(nil, outer, direct), cms.Secret(someBytes(32))); err != nil || !bytes.Equal(got, plain) {
		t.Error(err)
	}
}

// What the content is protected with is no stronger than what its key is wrapped with, and
// the reader says so (C15).
func TestWrapStrength(t *testing.T) {
	kek, cek := someBytes(16), make([]byte, 32)
	e := sealedGCM(cek, []byte("x"), kekri(algorithmDER(oid.AES128Wrap, nil), wrapped(kek, cek)))
	o, err := unseal(bytes.NewReader(e.der()), nil, "kekri", cms.Secret(kek), cms.DecryptOptions{})
	if err != nil || o.used.KeyBits != 128 || o.data.Cipher() != "aes256-gcm" {
		t.Error(err, o.used)
	}
	for _, name := range []string{"p256", "x25519", "ml-kem-768"} {
		h := holders()[name]
		for cipher, bits := range map[string]int{"aes128-gcm": 128, "aes192-cbc": 192, "aes256-gcm": 256} {
			o, err := unseal(bytes.NewReader(seal(t, []byte("x"), 1, cms.EnvelopeOptions{Cipher: cipher}, &cms.Recipient{Certificate: h.cert})), h.cert, "", h.key, cms.DecryptOptions{})
			if name == "ml-kem-768" { // RFC 9936: always AES-256
				bits = 256
			}
			if err != nil || o.used.KeyBits != bits {
				t.Errorf("%s, %s: %v, %d bits", name, cipher, err, o.used.KeyBits)
			}
		}
	}
}

// A message for authenticated encryption turned into one without does not decipher under
// the same key once the key is derived, and is never called authenticated (C03).
func TestDowngrade(t *testing.T) {
	kek, cek, plain := someBytes(32), make([]byte, 32), someBytes(64)
	info := kekri(algorithmDER(oid.AES256Wrap, nil), wrapped(kek, cek))
	for _, derive := range []bool{false, true} {
		key, sent := cek, sealedGCM(cek, plain, info)
		if derive {
			key, _ = kdf.ContentKey(cek, sent.algorithm)
			inner := sent.algorithm
			sent = sealedGCM(key, plain, info)
			sent.algorithm = algorithmDER(oid.CEKHKDFSHA256, inner)
		}
		if o, err := unseal(bytes.NewReader(sent.der()), nil, "kekri", cms.Secret(kek), cms.DecryptOptions{}); err != nil || !bytes.Equal(o.content, plain) {
			t.Fatal(err)
		}
		// The attacker knows a block of plaintext, thus of key stream, which is the cipher
		// of a counter block: that comes out in CBC mode if the key is the same.
		counter := append(make([]byte, 15), 2)
		stream := make([]byte, 16)
		for n := range stream {
			stream[n] = sent.text[n] ^ plain[n]
		}
		bare := algorithmDER(oid.AES256CBC, append([]byte{4, 16}, make([]byte, 16)...))
		for name, algorithm := range map[string][]byte{"bare": bare, "derived": algorithmDER(oid.CEKHKDFSHA256, bare)} {
			e := envelope{oid.EnvelopedData, [][]byte{info}, algorithm, append(bytes.Clone(stream), stream...), nil}
			c, err := cms.Open(bytes.NewReader(e.der()))
			if err != nil {
				t.Fatal(err)
			}
			d := c.(*cms.EnvelopedData)
			if d.Authenticated() {
				t.Error("called authenticated")
			}
			if err := d.Unlock(d.Recipients()[0], cms.Secret(kek), cms.DecryptOptions{}); err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			d.WriteTo(&got)
			if same := bytes.HasPrefix(got.Bytes(), counter); same != (!derive && name == "bare") {
				t.Errorf("key derived %v, forged %s: the same key serves: %v", derive, name, same)
			}
		}
	}
}

func derOf(o oid.OID) []byte { return build(func(b *cryptobyte.Builder) { addOID(b, o) }) }

// Points that are not on the curve or of low order, and curves that are not the key's (B05).
func TestBadPoints(t *testing.T) {
	plain := []byte("what was sent")
	p256, x25519 := holders()["p256"], holders()["x25519"]
	kari := func(h holder, algorithm, point []byte, scheme oid.OID) []byte {
		return build(func(b *cryptobyte.Builder) {
			b.AddASN1(context(1), func(b *cryptobyte.Builder) {
				b.AddASN1Int64(3)
				b.AddASN1(context(0), func(b *cryptobyte.Builder) {
					b.AddASN1(context(1), func(b *cryptobyte.Builder) {
						b.AddBytes(algorithm)
						b.AddASN1BitString(point)
					})
				})
				b.AddBytes(algorithmDER(scheme, algorithmDER(oid.AES128Wrap, nil)))
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					for range 2 { // two recipients share the agreement; the second is ours
						b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(h.cert.SubjectKeyId) })
							b.AddASN1OctetString(make([]byte, 24))
						})
					}
				})
			})
		})
	}
	ec := algorithmDER(oid.ECPublicKey, derOf(oid.P256))
	// What is not read says so, whatever the key: Diffie-Hellman over finite fields (RFC
	// 3370, Section 4.1), and MQV (RFC 5753, Section 3.2).
	for name, scheme := range map[string]oid.OID{
		"ephemeral-static DH": "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x03\x05", "static-static DH": "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x03\x0a",
		"MQV with SHA-1": "\x2b\x81\x05\x10\x86\x48\x3f\x00\x10", "MQV with SHA-256": "\x2b\x81\x04\x01\x0f\x01",
	} {
		e := sealedGCM(someBytes(16), plain, kari(p256, ec, make([]byte, 65), scheme))
		_, err := unseal(bytes.NewReader(e.der()), p256.cert, "", p256.key, cms.DecryptOptions{})
		if unsupported, ok := errors.AsType[*cms.UnsupportedError](err); !ok || unsupported.OID != scheme {
			t.Errorf("%s: %v", name, err)
		}
	}
	key, _ := h2ecdh(p256)
	point := key.PublicKey().Bytes()
	off := bytes.Clone(point)
	off[64] ^= 1
	other, _ := ecdh.P384().GenerateKey(rand.Reader)
	for name, v := range map[string]struct {
		h         holder
		algorithm []byte
		point     []byte
		scheme    oid.OID
	}{
		"off the curve":        {p256, ec, off, oid.ECDHStdSHA256},
		"infinity":             {p256, ec, []byte{0}, oid.ECDHStdSHA256},
		"empty":                {p256, ec, nil, oid.ECDHStdSHA256},
		"compressed":           {p256, ec, append([]byte{2 + point[64]&1}, point[1:33]...), oid.ECDHStdSHA256},
		"of another curve":     {p256, ec, other.PublicKey().Bytes(), oid.ECDHStdSHA256},
		"another curve named":  {p256, algorithmDER(oid.ECPublicKey, derOf(oid.P384)), point, oid.ECDHStdSHA256},
		"explicit parameters":  {p256, algorithmDER(oid.ECPublicKey, []byte{0x30, 3, 2, 1, 1}), point, oid.ECDHStdSHA256},
		"another algorithm":    {p256, algorithmDER(oid.X25519, nil), point, oid.ECDHStdSHA256},
		"X25519 zero":          {x25519, algorithmDER(oid.X25519, nil), make([]byte, 32), oid.ECDHHKDFSHA256},
		"X25519 one":           {x25519, algorithmDER(oid.X25519, nil), append([]byte{1}, make([]byte, 31)...), oid.ECDHHKDFSHA256},
		"X25519 short":         {x25519, algorithmDER(oid.X25519, nil), make([]byte, 31), oid.ECDHHKDFSHA256},
		"X448 zero":            {holders()["x448"], algorithmDER(oid.X448, nil), make([]byte, 56), oid.ECDHHKDFSHA512},
		"X448 short":           {holders()["x448"], algorithmDER(oid.X448, nil), make([]byte, 55), oid.ECDHHKDFSHA512},
		"X448 as X25519":       {holders()["x448"], algorithmDER(oid.X25519, nil), make([]byte, 56), oid.ECDHHKDFSHA512},
		"a good point, no key": {p256, ec, point, oid.ECDHStdSHA256},
	} {
		failWithDecrypt(t, name, sealedGCM(make([]byte, 16), plain, kari(v.h, v.algorithm, v.point, v.scheme)), v.h.cert, "", v.h.key)
	}
	// Every point of small order, in every encoding, gives a secret of zero.
	for _, v := range []struct {
		name   string
		oid    oid.OID
		scheme oid.OID
		points []string
	}{
		{"x25519", oid.X25519, oid.ECDHHKDFSHA256, []string{
			strings.Repeat("00", 32), "01" + strings.Repeat("00", 31), "ec" + strings.Repeat("ff", 30) + "7f", "ed" + strings.Repeat("ff", 30) + "7f", "ee" + strings.Repeat("ff", 30) + "7f",
			"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
			"cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880", "4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
			"d9" + strings.Repeat("ff", 31), "da" + strings.Repeat("ff", 31), "db" + strings.Repeat("ff", 31), strings.Repeat("00", 31) + "80", "01" + strings.Repeat("00", 30) + "80",
		}},
		{"x448", oid.X448, oid.ECDHHKDFSHA512, []string{
			strings.Repeat("00", 56), "01" + strings.Repeat("00", 55), "fe" + strings.Repeat("ff", 27) + "fe" + strings.Repeat("ff", 27),
			strings.Repeat("ff", 28) + "fe" + strings.Repeat("ff", 27), strings.Repeat("00", 28) + strings.Repeat("ff", 28),
		}},
	} {
		h := holders()[v.name]
		for _, text := range append(v.points, "the twin") {
			point, err := hex.DecodeString(text)
			secret := make([]byte, len(point)) // right for whoever takes zero for a secret
			if text == "the twin" {
				if v.name != "x25519" {
					continue
				}
				e, _ := ecdh.X25519().GenerateKey(rand.Reader)
				point = e.PublicKey().Bytes()
				secret, err = e.ECDH(h.key.(*ecdh.PrivateKey).PublicKey())
			}
			if err != nil {
				t.Fatal(err)
			}
			info := append(append([]byte{0x30, 0}, algorithmDER(oid.AES128Wrap, nil)...), 0xa2, 6, 4, 4, 0, 0, 0, 128)
			info[1] = byte(len(info) - 2)
			hash := map[string]crypto.Hash{"x25519": crypto.SHA256, "x448": crypto.SHA512}[v.name]
			kek, err := kdf.HKDF(hash.New, secret, nil, info, 16)
			if err != nil {
				t.Fatal(err)
			}
			cek := make([]byte, 16)
			ri := bytes.ReplaceAll(kari(h, algorithmDER(v.oid, nil), point, v.scheme), append([]byte{4, 24}, make([]byte, 24)...), append([]byte{4, 24}, wrapped(kek, cek)...))
			if text == "the twin" {
				if o, err := unseal(bytes.NewReader(sealedGCM(cek, plain, ri).der()), h.cert, "", h.key, cms.DecryptOptions{}); err != nil || !bytes.Equal(o.content, plain) {
					t.Error(text, err)
				}
				continue
			}
			failWithDecrypt(t, v.name+" "+text, sealedGCM(cek, plain, ri), h.cert, "", h.key)
		}
	}
	// The good twin: the curve named, left out, or NULL.
	e, _ := ecdh.P256().GenerateKey(rand.Reader)
	z, _ := e.ECDH(key.PublicKey())
	cek := someBytes(16)
	info := append(append([]byte{0x30, 0}, algorithmDER(oid.AES128Wrap, nil)...), 0xa2, 6, 4, 4, 0, 0, 0, 128)
	info[1] = byte(len(info) - 2)
	kek, _ := kdf.X963(sha256.New, z, info, 16)
	for name, algorithm := range map[string][]byte{"named": ec, "absent": algorithmDER(oid.ECPublicKey, nil), "NULL": algorithmDER(oid.ECPublicKey, []byte{5, 0})} {
		ri := bytes.ReplaceAll(kari(p256, algorithm, e.PublicKey().Bytes(), oid.ECDHCofactorSHA256), make([]byte, 24), wrapped(kek, cek))
		o, err := unseal(bytes.NewReader(sealedGCM(cek, plain, ri).der()), p256.cert, "", p256.key, cms.DecryptOptions{})
		if err != nil || !bytes.Equal(o.content, plain) || len(o.data.Recipients()) != 2 {
			t.Errorf("curve %s: %v", name, err)
		}
	}
}

func h2ecdh(h holder) (*ecdh.PrivateKey, error) { return h.key.(*ecdsa.PrivateKey).ECDH() }

// KEM recipients: the lengths and identifiers are bound, and a wrong ciphertext is told
// by nothing but the content (K01, K02, K03).
func TestKEMRecipients(t *testing.T) {
	h := holders()["ml-kem-768"]
	plain := []byte("what was sent")
	der := seal(t, plain, 99, cms.EnvelopeOptions{Cipher: "aes256-gcm"}, &cms.Recipient{Certificate: h.cert})
	open := func(der []byte) error {
		_, err := unseal(bytes.NewReader(der), h.cert, "", h.key, cms.DecryptOptions{})
		return err
	}
	if err := open(der); err != nil {
		t.Fatal(err)
	}
	change := func(what string, from, to []byte) []byte {
		t.Helper()
		if len(from) != len(to) || bytes.Count(der, from) != 1 {
			t.Fatal(what, bytes.Count(der, from))
		}
		return bytes.Replace(der, from, to, 1)
	}
	wrap256, hkdf := algorithmDER(oid.AES256Wrap, nil), algorithmDER(oid.HKDFSHA256, nil)
	length := append(bytes.Clone(hkdf), 2, 1, 32)
	for name, bad := range map[string][]byte{
		"kekLength 16": change("kekLength", length, append(bytes.Clone(hkdf), 2, 1, 16)),
		"kekLength 0":  change("kekLength", length, append(bytes.Clone(hkdf), 2, 1, 0)),
		"kekLength -1": change("kekLength", length, append(bytes.Clone(hkdf), 2, 1, 0xff)),
		"AES-128 wrap": change("wrap", wrap256, algorithmDER(oid.AES128Wrap, nil)),
		"unknown KDF":  change("kdf", hkdf, algorithmDER(oid.RC2Wrap, nil)),
		"unknown KEM":  change("kem", derOf(oid.MLKEM768), derOf("\x60\x86\x48\x01\x65\x03\x04\x04\x09")),
	} {
		var syntax *cms.SyntaxError
		var unsupported *cms.UnsupportedError
		if err := open(bad); !errors.As(err, &syntax) && !errors.As(err, &unsupported) && err != errNoRecipient {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, n := range []int64{24, 33, 64, 255, 65535, 65536, 1 << 31, 1 << 62} {
		i := bytes.Index(der, length)
		bad := forging.Splice(der, forging.Node{At: i + len(hkdf), Body: i + len(hkdf) + 2, End: i + len(length)}, forging.Integer(n))
		var syntax *cms.SyntaxError
		if err := open(bad); !errors.As(err, &syntax) && err != errNoRecipient {
			t.Errorf("kekLength %d: %v", n, err)
		}
	}
	// Bound, but not refused before the key is used.
	for name, bad := range map[string][]byte{
		"another HKDF":      change("kdf", hkdf, algorithmDER(oid.HKDFSHA512, nil)),
		"wrap with padding": change("wrap", wrap256, algorithmDER(oid.AES256WrapPad, nil)),
		"another set":       change("kem", derOf(oid.MLKEM768), derOf(oid.MLKEM1024)),
	} {
		if err := open(bad); err != cms.ErrDecrypt {
			t.Errorf("%s: %v", name, err)
		}
	}
	i := bytes.Index(der, []byte{4, 0x82, 0x04, 0x40}) // the ciphertext, 1088 octets
	for _, at := range []int{0, 1, 500, 1087} {
		bad := bytes.Clone(der)
		bad[i+4+at] ^= 1
		if err := open(bad); err != cms.ErrDecrypt {
			t.Errorf("ciphertext altered at %d: %v", at, err)
		}
	}
	for _, n := range []int{0, 1, 32, 768, 1087, 1089, 1568} {
		bad := forging.Splice(der, forging.Node{At: i, Body: i + 4, End: i + 4 + 1088}, forging.Octets(append(bytes.Clone(der[i+4:i+4+1088]), make([]byte, 500)...)[:n]))
		if err := open(bad); err != cms.ErrDecrypt {
			t.Errorf("a ciphertext of %d octets: %v", n, err)
		}
	}
	random := bytes.Clone(der)
	rand.Read(random[i+4 : i+4+1088])
	if err := open(random); err != cms.ErrDecrypt {
		t.Error("random ciphertext:", err)
	}
}

// A KEM recipient with user keying material, which binds it (K02).
func TestKEMUserKeyingMaterial(t *testing.T) {
	h := holders()["ml-kem-768"]
	d := h.key.(crypto.Decapsulator)
	secret, ct := d.Encapsulator().Encapsulate()
	cek, plain := someBytes(32), []byte("what was sent")
	kemri := func(ukm, boundTo []byte) []byte {
		optional := func(b *cryptobyte.Builder, ukm []byte) {
			if ukm != nil {
				b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(ukm) })
			}
		}
		info := build(func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(algorithmDER(oid.AES256Wrap, nil))
				b.AddASN1Int64(32)
				optional(b, boundTo)
			})
		})
		kek, _ := kdf.HKDF(sha256.New, secret, nil, info, 32)
		return build(func(b *cryptobyte.Builder) {
			b.AddASN1(context(4), func(b *cryptobyte.Builder) {
				addOID(b, oid.KEMRecipientInfo)
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(0)
					b.AddASN1(casn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(h.cert.SubjectKeyId) })
					b.AddBytes(algorithmDER(oid.MLKEM768, nil))
					b.AddASN1OctetString(ct)
					b.AddBytes(algorithmDER(oid.HKDFSHA256, nil))
					b.AddASN1Int64(32)
					optional(b, ukm)
					b.AddBytes(algorithmDER(oid.AES256Wrap, nil))
					b.AddASN1OctetString(wrapped(kek, cek))
				})
			})
		})
	}
	for _, ukm := range [][]byte{nil, {}, []byte("material")} {
		o, err := unseal(bytes.NewReader(sealedGCM(cek, plain, kemri(ukm, ukm)).der()), h.cert, "", h.key, cms.DecryptOptions{})
		if err != nil || !bytes.Equal(o.content, plain) {
			t.Errorf("%q: %v", ukm, err)
		}
	}
	for _, v := range [][2][]byte{{[]byte("material"), nil}, {nil, []byte("material")}, {[]byte("other"), []byte("material")}} {
		failWithDecrypt(t, fmt.Sprintf("%q for %q", v[0], v[1]), sealedGCM(cek, plain, kemri(v[0], v[1])), h.cert, "", h.key)
	}
}

// Any one node of a message taken away leaves an error of ours or a good message, and no
// panic (C13, D06, D08, D09).
func TestMissingNodes(t *testing.T) {
	all := holders()
	rsa, p256, kem := all["rsa"], all["p256"], all["ml-kem-768"]
	der := seal(t, []byte("x"), 1, cms.EnvelopeOptions{}, &cms.Recipient{Certificate: rsa.cert, OAEP: true}, &cms.Recipient{Certificate: p256.cert},
		&cms.Recipient{Certificate: kem.cert, KeyID: true}, &cms.Recipient{Secret: someBytes(32)}, &cms.Recipient{Passphrase: []byte("p"), Iterations: 10})
	try := func(what string, der []byte) {
		defer func() {
			if r := recover(); r != nil {
				t.Errorf("%s: panic: %v", what, r)
			}
		}()
		for _, v := range []struct {
			cert *x509.Certificate
			kind string
			key  crypto.PrivateKey
		}{{rsa.cert, "", rsa.key}, {p256.cert, "", p256.key}, {kem.cert, "", kem.key}, {nil, "kekri", cms.Secret(someBytes(32))}, {nil, "pwri", cms.Passphrase("p")}} {
			o, err := unseal(bytes.NewReader(der), v.cert, v.kind, v.key, cms.DecryptOptions{AllowLegacyCiphers: true})
			if err == nil && string(o.content) != "x" {
				t.Errorf("%s: read as %q", what, o.content)
			}
		}
	}
	n := 0
	var walk func(prefix, der, suffix []byte, rebuild func([]byte) []byte)
	walk = func(_, body, _ []byte, rebuild func([]byte) []byte) {
		s := cryptobyte.String(body)
		at := 0
		for !s.Empty() {
			var node cryptobyte.String
			var tag casn1.Tag
			if !s.ReadAnyASN1Element(&node, &tag) {
				return
			}
			from, to := at, at+len(node)
			at = to
			without := append(bytes.Clone(body[:from]), body[to:]...)
			twice := append(bytes.Clone(body[:to]), body[from:]...)
			n++
			try(fmt.Sprintf("node %d, tag %x, removed", n, tag), rebuild(without))
			try(fmt.Sprintf("node %d, tag %x, doubled", n, tag), rebuild(twice))
			flipped := bytes.Clone(body)
			flipped[from] ^= 1
			try(fmt.Sprintf("node %d, tag %x, flipped", n, tag), rebuild(flipped))
			if tag&0x20 != 0 {
				inner := cryptobyte.String(node)
				var content cryptobyte.String
				inner.ReadASN1(&content, tag)
				walk(nil, content, nil, func(b []byte) []byte {
					whole := build(func(w *cryptobyte.Builder) { w.AddASN1(tag, func(w *cryptobyte.Builder) { w.AddBytes(b) }) })
					return rebuild(append(append(bytes.Clone(body[:from]), whole...), body[to:]...))
				})
			}
		}
	}
	walk(nil, der, nil, func(b []byte) []byte { return b })
	if n < 90 {
		t.Error("only", n, "nodes")
	}
	for i := range der { // and every octet altered
		bad := bytes.Clone(der)
		bad[i] ^= 0x80
		try(fmt.Sprint("octet ", i), bad)
	}
}

// More recipients than the limit are refused, as many are read (D10).
func TestRecipientFlood(t *testing.T) {
	kek, cek := someBytes(32), make([]byte, 32)
	info := kekri(algorithmDER(oid.AES256Wrap, nil), wrapped(kek, cek))
	for n, ok := range map[int]bool{limits.RecipientInfos: true, limits.RecipientInfos + 1: false} {
		e := sealedGCM(cek, []byte("x"), bytes.Repeat(info, n))
		_, err := unseal(bytes.NewReader(e.der()), nil, "kekri", cms.Secret(kek), cms.DecryptOptions{})
		var limit *limits.Exceeded
		if ok != (err == nil) || !ok && !errors.As(err, &limit) {
			t.Errorf("%d recipients: %v", n, err)
		}
	}
	if _, err := cms.Open(strings.NewReader("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x80\x30\x80\x02\x01\x00\x31\x83\x7f\xff\xff")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("a claim of 8 MiB:", err)
	}
}
