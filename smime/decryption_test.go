package smime_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/corpus"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/keywrap"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/internal/catalogue"
	"github.com/postseal/postseal/smime/smimetest"
)

// A failure is all that the reader of a message, or somebody who watches him, can learn
// about a decryption that failed. Every failure after a key was chosen must be the same.
type failure struct {
	text     string
	verdict  smime.Verdict
	codes    string
	warnings string
	layers   string
	sentinel bool
}

// theFailure is what all of them are.
func theFailure() failure {
	return failure{"smime: the message is not-authentic (decrypt.failed)", smime.NotAuthentic, "decrypt.failed", "", "encrypted", true}
}

// failureOf opens a message that must not open, from memory, and by way of a quarantine
// that must be empty then.
func failureOf(t testing.TB, o *smime.Opener, name string, message []byte) (f failure) {
	t.Helper()
	m, err := o.Open(t.Context(), bytes.NewReader(message))
	var u *smime.UnverifiedError
	if !errors.As(err, &u) || m != nil {
		t.Fatalf("%s: %v, %v", name, m, err)
	}
	for _, l := range u.Report.Layers {
		if l.Decrypted {
			t.Errorf("%s: said to be decrypted", name)
		}
	}
	if u.Report.Content != nil {
		t.Errorf("%s: content described", name)
	}
	return failure{err.Error(), u.Report.Verdict, strings.Join(u.Report.Codes, " "), strings.Join(u.Report.Warnings, " "),
		kinds(u.Report), errors.Is(err, smime.ErrDecrypt)}
}

// mustFail holds faults against the one failure and returns how many there were.
func mustFail(t *testing.T, o *smime.Opener, faults iter.Seq2[string, []byte]) (n int) {
	t.Helper()
	for name, message := range faults {
		n++
		if f := failureOf(t, o, name, message); f != theFailure() {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if n == 0 {
		t.Error("no faults")
	}
	return n
}

// TestC04Tags (row C04): every length of the tag with every length that is announced. Only sixteen
// and sixteen opens.
func TestC04Tags(t *testing.T) {
	p := readOpenIdentities(t)
	m := newMaker(t, p)
	signed := m.SealedPart()
	opened := 0
	for announced := -1; announced <= 20; announced++ {
		for _, sent := range []int{-1, 0, 1, 4, 8, 11, 12, 13, 14, 15, 16, 17, 32} {
			name := fmt.Sprintf("%d announced, %d sent", announced, sent)
			message := authSealedMail(p.authEnvelope(signed, func(e *forge.Enveloped) {
				e.Cipher = forge.AESGCM([]byte(fileKey), []byte(fileNonce), announced)
				if announced < 0 {
					e.Cipher = forge.Algorithm(oid.AES256GCM, forge.Sequence(forge.Octets([]byte(fileNonce))))
				}
				if sent < 0 {
					e.MAC = nil
				} else {
					e.MAC = append(e.MAC, make([]byte, 16)...)[:sent]
				}
			}))
			if announced == 16 && sent == 16 {
				if _, err := p.opener().Open(t.Context(), strings.NewReader(message)); err != nil {
					t.Error(name, err)
				}
				opened++
				continue
			}
			f := failureOf(t, p.opener(), name, []byte(message))
			want := "decrypt.unsupported" // not one of the lengths of AES-GCM
			switch {
			case announced == 16:
				want = "decrypt.failed"
			case announced >= 12 && announced < 16, announced < 0:
				want = "decrypt.weak_cipher"
			}
			if first, _, more := strings.Cut(f.codes, " "); first != want || more && announced == 16 {
				t.Errorf("%s: %s, want %s", name, f.codes, want)
			}
		}
	}
	if opened != 1 {
		t.Error("the twin is missing")
	}
}

// TestC06NothingReleased (row C06): of a large message under AES-GCM whose tag is wrong nothing is
// left, neither in memory nor in the quarantine.
func TestC06NothingReleased(t *testing.T) {
	p := newParty(t)
	c := p.composer(false, true, false)
	c.Cipher = "aes256-gcm"
	mail := composed(t, c, plain+strings.Repeat("A line of text to be encrypted.\r\n", 1<<18))
	o := p.opener()
	o.AllowUnsigned = true
	quarantine := func(mail []byte) (left int64, err error) {
		f, ferr := os.Create(filepath.Join(t.TempDir(), "quarantine"))
		if ferr != nil {
			t.Fatal(ferr)
		}
		defer f.Close()
		io.WriteString(f, "kept\n")
		_, err = o.OpenTo(t.Context(), f, bytes.NewReader(mail))
		s, ferr := f.Stat()
		if ferr != nil {
			t.Fatal(ferr)
		}
		return s.Size() - int64(len("kept\n")), err
	}
	if n, err := quarantine(mail); err != nil || n < 8<<20 {
		t.Fatal("the twin:", n, err)
	}
	end := bytes.LastIndexByte(bytes.TrimRight(mail, "=\r\n"), '\n') + 5 // inside the tag
	mail[end] = "AB"[bytes.IndexByte([]byte("BA"), mail[end])&1]
	n, err := quarantine(mail)
	if !errors.Is(err, smime.ErrDecrypt) || n != 0 {
		t.Errorf("%d octets left, %v", n, err)
	}
	if f := failureOf(t, o, "altered", mail); f != theFailure() {
		t.Errorf("%+v", f)
	}
}

// vectorIdentity returns an identity with the private key of a vector.
func vectorIdentity(t testing.TB, pkcs8 []byte) *certstore.Identity {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: smimetest.Now(), NotAfter: smimetest.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.(crypto.Signer).Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	id, err := certstore.NewIdentity(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

type encryptionGroup struct {
	PrivateKeyPkcs8 corpus.Hex
	SHA, MGFSHA     string
	Tests           []struct {
		corpus.Case
		Msg, Ct, Label corpus.Hex
	}
}

// transported is a signed message for id under the encrypted key, as if it held key.
func (m *mimeMaker) transported(id *certstore.Identity, algorithm, encryptedKey, key []byte) []byte {
	cipher := key
	if len(cipher) != 16 && len(cipher) != 24 {
		cipher = append(slices.Clip(key), make([]byte, 32)...)[:32]
	}
	return []byte(sealedMail(m.people.envelope("", func(e *forge.Enveloped) {
		e.Recipients = [][]byte{forge.KeyTransport(id.Certificate(), algorithm, encryptedKey)}
		e.Cipher = forge.AESCBC(cipher, []byte(fileIV))
		e.Text = forge.CBC(forge.AES(cipher), []byte(fileIV), forge.Padded([]byte(m.SealedPart()), aes.BlockSize))
	})))
}

// vectors puts every vector of a file through messages: those whose key fits a cipher
// open, and all others fail in the one way.
func vectors(t *testing.T, file string, algorithm func(g encryptionGroup, label []byte) []byte) (n int) {
	t.Helper()
	m := newMaker(t, readOpenIdentities(t))
	for _, g := range corpus.Wycheproof[encryptionGroup](t, file) {
		id := vectorIdentity(t, g.PrivateKeyPkcs8)
		keys := new(certstore.Memory)
		keys.AddIdentity(id)
		o := &smime.Opener{Chain: m.people.verifier(), Keys: keys, AllowLegacyCiphers: true}
		for _, v := range g.Tests {
			n++
			name := fmt.Sprintf("%s %d (%s)", file, v.TcID, v.Comment)
			message := m.transported(id, algorithm(g, v.Label), v.Ct, v.Msg)
			if v.Result == "valid" && slices.Contains([]int{16, 24, 32}, len(v.Msg)) {
				if _, err := o.Open(t.Context(), bytes.NewReader(message)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if f := failureOf(t, o, name, message); f != theFailure() {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
	return n
}

// TestC07Vectors (row C07): every fault of PKCS #1 v1.5, and every key of another length than the
// cipher's, is the one failure.
func TestC07Vectors(t *testing.T) {
	n := 0
	for _, file := range []string{"rsa_pkcs1_2048_test.json", "rsa_pkcs1_3072_test.json", "rsa_pkcs1_4096_test.json"} {
		n += vectors(t, file, func(encryptionGroup, []byte) []byte { return forge.Algorithm(oid.RSA, forge.Null()) })
	}
	if n != 201 {
		t.Errorf("%d vectors, there are 201", n)
	}
}

// TestC09Vectors (row C09): the same for OAEP, with every pair of hashes, with keys of three
// primes and with labels.
func TestC09Vectors(t *testing.T) {
	hash := map[string]oid.OID{"SHA-1": oid.SHA1, "SHA-224": oid.SHA224, "SHA-256": oid.SHA256, "SHA-384": oid.SHA384, "SHA-512": oid.SHA512,
		"SHA-512/224": oid.SHA512_224, "SHA-512/256": oid.SHA512_256}
	files, err := filepath.Glob(filepath.Join(corpus.Path(t, "wycheproof", "testvectors_v1"), "rsa_*oaep*_test.json"))
	if err != nil || len(files) < 22 {
		t.Fatal(len(files), "files,", err)
	}
	n := 0
	for _, file := range files {
		n += vectors(t, filepath.Base(file), func(g encryptionGroup, label []byte) []byte {
			p := [][]byte{forge.Tagged(0, forge.Algorithm(hash[g.SHA], forge.Null())),
				forge.Tagged(1, forge.Algorithm(oid.MGF1, forge.Algorithm(hash[g.MGFSHA], forge.Null())))}
			if len(label) > 0 {
				p = append(p, forge.Tagged(2, forge.Algorithm(oid.PSpecified, forge.Octets(label))))
			}
			return forge.Algorithm(oid.RSAOAEP, forge.Sequence(p...))
		})
	}
	if n < 1098 {
		t.Errorf("only %d vectors", n)
	}
}

// TestC08Permutations (row C08): in whatever order recipients stand, the first that is the
// reader's decides alone.
func TestC08Permutations(t *testing.T) {
	p := readOpenIdentities(t)
	m := newMaker(t, p)
	signed := m.SealedPart()
	recipients := map[string][]byte{
		"good":    catalogue.Transport(p.bob, []byte(fileKey)),
		"bad":     catalogue.Transport(p.bob, make([]byte, 32)),
		"chosen":  forge.KeyTransport(p.bob.Certificate(), forge.Algorithm(oid.RSA, forge.Null()), make([]byte, 256)),
		"theirs":  catalogue.Transport(p.eve, []byte(fileKey)),
		"unknown": forge.Tagged(9, forge.Null()),
	}
	var walk func(chosen []string)
	walk = func(chosen []string) {
		if len(chosen) > 0 {
			var infos [][]byte
			for _, name := range chosen {
				infos = append(infos, recipients[name])
			}
			message := []byte(sealedMail(p.envelope(signed, func(e *forge.Enveloped) { e.Recipients = infos })))
			first := slices.IndexFunc(chosen, func(s string) bool { return s == "good" || s == "bad" || s == "chosen" })
			switch {
			case first < 0:
				if _, err := p.opener().Open(t.Context(), bytes.NewReader(message)); !errors.Is(err, smime.ErrNoKey) {
					t.Errorf("%q: %v", chosen, err)
				}
			case chosen[first] == "good":
				if _, err := p.opener().Open(t.Context(), bytes.NewReader(message)); err != nil {
					t.Errorf("%q: %v", chosen, err)
				}
			default:
				if f := failureOf(t, p.opener(), fmt.Sprint(chosen), message); f != theFailure() {
					t.Errorf("%q: %+v", chosen, f)
				}
			}
		}
		for name := range recipients {
			if len(chosen) < 3 && !slices.Contains(chosen, name) {
				walk(append(slices.Clip(chosen), name))
			}
		}
	}
	walk(nil)
}

// keyFaults yields every kind of fault of an encrypted key.
func (m *mimeMaker) keyFaults() iter.Seq2[string, []byte] {
	bob := m.people.bob
	pub := bob.Certificate().PublicKey.(*rsa.PublicKey)
	v15 := forge.Algorithm(oid.RSA, forge.Null())
	oaep := forge.Algorithm(oid.RSAOAEP, forge.Sequence())
	return func(yield func(string, []byte) bool) {
		one := func(name string, algorithm, block []byte) bool {
			return yield(name, m.transported(bob, algorithm, block, []byte(fileKey)))
		}
		for i := range 60 {
			b := forge.EncryptionBlock(pub.Size(), []byte(fileKey))
			b[len(b)-33-i] ^= byte(1 + i) // the zero, or the padding
			if i > 0 {
				b[len(b)-33-i] = 0 // ends it too early, so that the key is too long
			}
			if !one(fmt.Sprint("v1.5, padding octet ", i), v15, forge.RSAEncrypted(pub, b)) {
				return
			}
		}
		for n := range 100 {
			if n == 32 {
				continue
			}
			if !one(fmt.Sprint("v1.5, a key of ", n), v15, forge.RSAEncrypted(pub, forge.EncryptionBlock(pub.Size(), bytes.Repeat([]byte{7}, n)))) {
				return
			}
		}
		for i := range 100 {
			b := forge.OAEPBlock(pub.Size(), crypto.SHA1, crypto.SHA1, nil, []byte(fileKey), func(db []byte) {
				if i > 0 {
					db[(i-1)%(len(db)-33)] ^= byte(i)
				}
			})
			if i == 0 {
				b[0] = 1
			}
			if !one(fmt.Sprint("OAEP ", i), oaep, forge.RSAEncrypted(pub, b)) {
				return
			}
		}
		for n := 0; n < 520; n += 13 {
			if n == 256 {
				continue
			}
			if !one(fmt.Sprint("an encrypted key of ", n), v15, bytes.Repeat([]byte{1}, n)) {
				return
			}
		}
	}
}

// paddingFaults yields every last octet, every cut, and changes of every block of a
// ciphertext of AES-CBC.
func (m *mimeMaker) paddingFaults() iter.Seq2[string, []byte] {
	signed := m.SealedPart()
	for len(signed)%16 != 5 {
		signed += " "
	}
	key, iv := []byte(fileKey), []byte(fileIV)
	return func(yield func(string, []byte) bool) {
		one := func(name string, text []byte) bool {
			return yield(name, []byte(sealedMail(m.people.envelope(signed, func(e *forge.Enveloped) { e.Text = text }))))
		}
		plain := forge.Padded([]byte(signed), 16) // eleven octets of 11
		for c := range 256 {
			if c == 11 || c == 1 { // right, and right by accident
				continue
			}
			b := bytes.Clone(plain)
			b[len(b)-1] = byte(c)
			if !one(fmt.Sprint("last octet ", c), forge.CBC(forge.AES(key), iv, b)) {
				return
			}
		}
		text := forge.CBC(forge.AES(key), iv, plain)
		for n := range 300 {
			if !one(fmt.Sprint("cut by ", n+1), text[:len(text)-n-1]) {
				return
			}
		}
		// Where the block is within the header the rest may be left as text that nobody
		// signed; see the messages of C02.
		for at := (len(fileOpaque)/16 + 1) * 16; at < len(text)-16; at += 16 {
			b := bytes.Clone(text)
			b[at] ^= 0x80
			if !one(fmt.Sprint("octet ", at), b) {
				return
			}
		}
	}
}

// TestC10Vectors (row C10): the vectors for the padding of AES-CBC, as messages. The content that a
// right padding leaves is no text, so that all of them fail in the one way; that the right
// ones are told apart the bare structures show.
func TestC10Vectors(t *testing.T) {
	p := readOpenIdentities(t)
	o := p.opener()
	o.AllowUnsigned, o.AllowMalleable = true, true
	n, bad := 0, map[string]int{}
	for _, g := range corpus.Wycheproof[struct {
		Tests []struct {
			corpus.Case
			Key, IV, Msg, Ct corpus.Hex
		}
	}](t, "aes_cbc_pkcs5_test.json") {
		for _, v := range g.Tests {
			n++
			der := p.envelope("", func(e *forge.Enveloped) {
				e.Recipients = [][]byte{catalogue.Transport(p.bob, v.Key)}
				e.Cipher, e.Text = forge.AESCBC(v.Key, v.IV), v.Ct
			})
			var content bytes.Buffer
			_, err := o.OpenCMS(t.Context(), &content, bytes.NewReader(der), nil)
			if v.Result == "valid" {
				if err != nil || !bytes.Equal(content.Bytes(), v.Msg) {
					t.Errorf("%d (%s): %v", v.TcID, v.Comment, err)
				}
				continue
			}
			bad[fmt.Sprint(err)]++
		}
	}
	if n != 216 || len(bad) != 1 {
		t.Errorf("%d vectors, failures %v", n, bad)
	}
}

// wrapFaults yields wrapped keys of every length and with every octet changed, under a
// key that both sides have.
func (m *mimeMaker) wrapFaults(secret []byte) iter.Seq2[string, []byte] {
	signed := m.SealedPart()
	return func(yield func(string, []byte) bool) {
		one := func(name string, wrapped []byte) bool {
			return yield(name, []byte(sealedMail(m.people.envelope(signed, func(e *forge.Enveloped) {
				e.Recipients = [][]byte{forge.SharedKey([]byte("id"), forge.Algorithm(oid.AES256Wrap, nil), wrapped)}
			}))))
		}
		right, err := keywrap.Wrap(forge.AES(secret), []byte(fileKey))
		if err != nil {
			m.t.Fatal(err)
		}
		for n := range 130 {
			if !one(fmt.Sprint("zeros, ", n), make([]byte, n)) {
				return
			}
		}
		for i := range right {
			b := bytes.Clone(right)
			b[i] ^= 1
			if !one(fmt.Sprint("octet ", i), b) {
				return
			}
		}
		for _, n := range []int{16, 24, 40, 64} { // right, and no key of the cipher
			b, err := keywrap.Wrap(forge.AES(secret), make([]byte, n))
			if err != nil {
				m.t.Fatal(err)
			}
			if !one(fmt.Sprint("a key of ", n), b) {
				return
			}
		}
		one("64 KiB", make([]byte, 64<<10))
	}
}

// TestOneDecryptionError: rows C04 to C11. All that can fail after a key was chosen, and
// more than a thousand ways of it, is one error with one text.
func TestOneDecryptionError(t *testing.T) {
	m := newMaker(t, readOpenIdentities(t))
	o := m.people.opener()
	o.Secret = bytes.Repeat([]byte("k"), 32)
	signed := m.SealedPart()
	twin, err := keywrap.Wrap(forge.AES(o.Secret), []byte(fileKey))
	if err != nil {
		t.Fatal(err)
	}
	message := sealedMail(m.people.envelope(signed, func(e *forge.Enveloped) {
		e.Recipients = [][]byte{forge.SharedKey([]byte("id"), forge.Algorithm(oid.AES256Wrap, nil), twin)}
	}))
	if _, err := o.Open(t.Context(), strings.NewReader(message)); err != nil {
		t.Fatal("the twin:", err)
	}
	n := 0
	for row, faults := range map[string]iter.Seq2[string, []byte]{
		"C04": m.macFaults(signed), "C07, C09": m.keyFaults(), "C10": m.paddingFaults(), "C11": m.wrapFaults(o.Secret),
	} {
		k := mustFail(t, o, faults)
		t.Log(row, k)
		n += k
	}
	if n < 1000 {
		t.Errorf("only %d faults", n)
	}
}

// macFaults yields tags and ciphertexts of AES-GCM with one octet changed, and tags of
// other lengths than announced.
func (m *mimeMaker) macFaults(content string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		one := func(name string, change func(*forge.Enveloped)) bool {
			return yield(name, []byte(authSealedMail(m.people.authEnvelope(content, change))))
		}
		for i := range 128 {
			if !one(fmt.Sprint("bit of the tag ", i), func(e *forge.Enveloped) { e.MAC[i/8] ^= 1 << (i % 8) }) {
				return
			}
		}
		for i := 0; i < 200; i++ {
			if !one(fmt.Sprint("octet of the text ", i), func(e *forge.Enveloped) { e.Text[i*len(e.Text)/200] ^= 1 }) {
				return
			}
		}
		for n := range 16 {
			if !one(fmt.Sprint("a tag of ", n), func(e *forge.Enveloped) { e.MAC = e.MAC[:n] }) {
				return
			}
		}
	}
}
