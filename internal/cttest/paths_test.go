package cttest_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"io"
	"math/big"
	"testing"

	"github.com/postseal/postseal/internal/cipherstream"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/cttest"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/keywrap"
	"github.com/postseal/postseal/internal/oid"
)

// sealed encrypts content for one recipient and returns the structure and the places in it
// that end the encrypted key and begin the tag.
func sealed(t *testing.T, cipher string, content []byte, to *cms.Recipient) (der []byte, key, tag int) {
	t.Helper()
	var out bytes.Buffer
	w, err := cms.NewEnvelopedWriter(&out, []*cms.Recipient{to}, cms.EnvelopeOptions{Cipher: cipher})
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	der = out.Bytes()
	// The encrypted key is the last thing before the SEQUENCE that begins with the type of
	// the content.
	key = bytes.LastIndex(der[:len(der)-len(content)], forge.OID(oid.Data))
	for _, header := range [][]byte{{0x30, 0x82, der[key-2], der[key-1]}, {0x30, 0x81, der[key-1]}, {0x30, der[key-1]}} {
		if bytes.HasSuffix(der[:key], header) {
			return der, key - len(header), bytes.LastIndex(der, []byte{0x04, 0x10}) + 2
		}
	}
	t.Fatal("the structure has another form")
	return nil, 0, 0
}

// bearer makes what package cms needs of a certificate.
func bearer(t *testing.T, pub any) *x509.Certificate {
	t.Helper()
	var info []byte
	var err error
	if k, ok := pub.(*mlkem.EncapsulationKey768); ok {
		info = forge.Sequence(forge.Algorithm(oid.MLKEM768, nil), append([]byte{3, 0x82, 4, 0xa1, 0}, k.Bytes()...))
	} else if info, err = x509.MarshalPKIXPublicKey(pub); err != nil {
		t.Fatal(err)
	}
	name, err := asn1.Marshal([]string{"somebody"})
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{RawIssuer: name, SerialNumber: big.NewInt(1), RawSubjectPublicKeyInfo: info}
}

// altered returns der with the octets at a place exchanged, or with one bit of the octet
// there changed if there are none.
func altered(der []byte, at int, octets ...byte) []byte {
	out := bytes.Clone(der)
	if len(octets) == 0 {
		out[at] ^= 1
	}
	copy(out[at:], octets)
	return out
}

// TestDecryptionPaths opens whole messages, and for each kind of recipient compares one
// whose key does not come out with one whose key does and whose content is wrong: between
// these two an attacker must not be able to tell (threats.md, C07, C09, C10, C11, C12, C19,
// K03). Before and after that an operation that is compared with itself shows no
// difference, and one that leaves off at the padding, as it should not, is caught.
func TestDecryptionPaths(t *testing.T) {
	n, evidence := pairs(t)
	share := 0.001
	if !evidence {
		n, share = n/4, 0.05
	}
	open := func(key crypto.PrivateKey, times int) func([]byte) {
		return func(in []byte) {
			for range times {
				c, err := cms.Open(bytes.NewReader(in))
				if err != nil {
					panic(err)
				}
				e := c.(*cms.EnvelopedData)
				if err := e.Unlock(e.Recipients()[0], key, cms.DecryptOptions{}); err != nil {
					panic(err)
				}
				if _, err := io.Copy(io.Discard, e); err == nil {
					sink++
				}
			}
		}
	}
	content := make([]byte, 4<<10)
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pub := &k.PublicKey
	block := func(size int) []byte { // right but for the size of the key, where it is not 32
		return forge.RSAEncrypted(pub, forge.EncryptionBlock(pub.Size(), make([]byte, size)))
	}
	badBlock := forge.EncryptionBlock(pub.Size(), make([]byte, 32))
	badBlock[1] = 3
	oaep := func(size int, change func([]byte)) []byte {
		return forge.RSAEncrypted(pub, forge.OAEPBlock(pub.Size(), crypto.SHA256, crypto.SHA256, nil, make([]byte, size), change))
	}
	bob := bearer(t, pub)
	v15, keyEnd, tag := sealed(t, "aes256-gcm", content, &cms.Recipient{Certificate: bob})
	rsaKey := func(der []byte, end int, octets []byte) []byte { return altered(der, end-256, octets...) }
	padding, otherKey := rsaKey(v15, keyEnd, forge.RSAEncrypted(pub, badBlock)), rsaKey(v15, keyEnd, block(32))
	byOAEP, oaepEnd, _ := sealed(t, "aes256-gcm", content, &cms.Recipient{Certificate: bob, OAEP: true})
	cbc, cbcEnd, _ := sealed(t, "aes256-cbc", content, &cms.Recipient{Certificate: bob})
	cbcText := len(cbc) - len(content) - aes.BlockSize // it comes last

	type pair struct {
		name          string
		first, second []byte
		op            func([]byte)
	}
	for _, c := range []pair{
		{"control", padding, padding, open(k, 1)},
		{"PKCS1 padding or tag", padding, altered(v15, tag), open(k, 1)},
		{"PKCS1 padding or another key", padding, otherKey, open(k, 1)},
		{"PKCS1 length of the key or another key", rsaKey(v15, keyEnd, block(31)), otherKey, open(k, 1)},
		{"PKCS1 and AES-CBC padding of the key or of the content", rsaKey(cbc, cbcEnd, forge.RSAEncrypted(pub, badBlock)),
			altered(cbc, cbcText+len(content)-1), open(k, 1)},
		{"OAEP padding or tag", rsaKey(byOAEP, oaepEnd, oaep(32, func(db []byte) { db[0] ^= 1 })), altered(byOAEP, tag), open(k, 1)},
		{"OAEP first octet or label", rsaKey(byOAEP, oaepEnd, firstOctet(pub)), rsaKey(byOAEP, oaepEnd, oaep(32, func(db []byte) { db[0] ^= 1 })), open(k, 1)},
		{"OAEP length of the key or another key", rsaKey(byOAEP, oaepEnd, oaep(31, nil)), rsaKey(byOAEP, oaepEnd, oaep(32, nil)), open(k, 1)},
	} {
		t.Run(c.name, func(t *testing.T) { alike(t, n, share, c.first, c.second, c.op) })
	}
	p256, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kem, err := mlkem.GenerateKey768()
	if err != nil {
		t.Fatal(err)
	}
	secret := bytes.Repeat([]byte("k"), 32)
	for _, c := range []struct {
		name  string
		to    *cms.Recipient
		key   crypto.PrivateKey
		times int
	}{
		{"P-256 check value or tag", &cms.Recipient{Certificate: bearer(t, p256.PublicKey())}, p256, 3},
		{"X25519 check value or tag", &cms.Recipient{Certificate: bearer(t, x25519.PublicKey())}, x25519, 3},
		{"ML-KEM-768 check value or tag", &cms.Recipient{Certificate: bearer(t, kem.EncapsulationKey())}, kem, 3},
		{"secret key check value or tag", &cms.Recipient{Secret: secret}, cms.Secret(secret), 10},
		{"password check value or tag", &cms.Recipient{Passphrase: secret, Iterations: 10}, cms.Passphrase(secret), 10},
	} {
		der, end, tag := sealed(t, "aes256-gcm", content, c.to)
		t.Run(c.name, func(t *testing.T) { alike(t, n, share, altered(der, end-5), altered(der, tag), open(c.key, c.times)) })
	}

	// What a reader does that stops where the padding is wrong.
	block32, err := aes.NewCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	careless := func(in []byte) {
		cek, err := rsa.DecryptPKCS1v15(nil, k, in[keyEnd-256:keyEnd])
		if err != nil {
			sink++
			return
		}
		sink += len(cek)
		for range 200 { // as if the content were not as short
			r, err := cipherstream.NewCBCReader(bytes.NewReader(in[tag-len(content):tag]), block32, secret[:16], func() ([]byte, []byte, error) { return nil, nil, nil })
			if err != nil {
				panic(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				sink++
			}
		}
		if _, ok, _ := keywrap.Unwrap(block32, in[:40]); ok == 1 {
			sink++
		}
	}
	t.Run("positive control", func(t *testing.T) {
		r := cttest.Compare(max(n/10, 200), padding, otherKey, careless)
		t.Log(r)
		if !r.Leaks(share) {
			t.Error("a reader that stops at the padding is not caught")
		}
	})
}

// alike compares two inputs and fails if they differ in time.
func alike(t *testing.T, pairs int, share float64, first, second []byte, op func([]byte)) {
	t.Helper()
	r := cttest.Compare(pairs, first, second, op)
	t.Log(r)
	if r.Leaks(share) {
		t.Error("the inputs differ in time")
	}
}

// firstOctet is a block of OAEP that does not begin with zero, as Manger's attack asks for.
func firstOctet(pub *rsa.PublicKey) []byte {
	b := forge.OAEPBlock(pub.Size(), crypto.SHA256, crypto.SHA256, nil, make([]byte, 32), nil)
	b[0] = 1
	return forge.RSAEncrypted(pub, b)
}
