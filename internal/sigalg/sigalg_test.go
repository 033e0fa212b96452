package sigalg_test

import (
	"bytes"
	"crypto"
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha3"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

func TestHashes(t *testing.T) {
	want := map[sigalg.Hash]string{ // of "abc", from FIPS 180-4, FIPS 202 and RFC 1321
		sigalg.MD5:      "900150983cd24fb0d6963f7d28e17f72",
		sigalg.SHA1:     "a9993e364706816aba3e25717850c26c9cd0d89d",
		sigalg.SHA256:   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		sigalg.SHA3_256: "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
		sigalg.SHAKE128: "5881092dd818bf5cf8a3ddb793fbcba74097d5c526a6d35f97b83351940f2cc8",
	}
	for h := sigalg.MD5; h.Valid(); h++ {
		sum := h.Sum([]byte("abc"))
		if w, ok := want[h]; ok && hex.EncodeToString(sum) != w {
			t.Errorf("%v: %x", h, sum)
		}
		if len(sum) != h.Size() || h.New().Size() != h.Size() {
			t.Errorf("%v: wrong size", h)
		}
		if got, ok := sigalg.HashByOID(h.OID()); !ok || got != h {
			t.Errorf("%v: by identifier %v", h, got)
		}
		d := h.New()
		d.Write([]byte("a"))
		c, err := d.(hash.Cloner).Clone()
		if err != nil {
			t.Fatal(h, err)
		}
		d.Write([]byte("x"))
		c.Write([]byte("bc"))
		if !bytes.Equal(c.Sum(nil), sum) || bytes.Equal(d.Sum(nil), sum) || !bytes.Equal(c.Sum([]byte("p")), append([]byte("p"), sum...)) {
			t.Errorf("%v: a clone is not independent", h)
		}
		if h.Weak() != (h == sigalg.MD5 || h == sigalg.SHA1) {
			t.Errorf("%v: weak %v", h, h.Weak())
		}
	}
	for name, h := range map[string]sigalg.Hash{"SHA-256": sigalg.SHA256, "sha256": sigalg.SHA256, " sha-1": sigalg.SHA1, "SHA1": sigalg.SHA1, "sha3-256": sigalg.SHA3_256, "md5": sigalg.MD5, "rsa-md5": 0, "": 0} {
		if got, ok := sigalg.HashByName(name); got != h || ok != (h != 0) {
			t.Errorf("%q is %v", name, got)
		}
	}
	if s := sigalg.SHA256.MIMEName() + " " + sigalg.SHA3_256.MIMEName() + " " + sigalg.MD5.MIMEName(); s != "sha-256 sha3-256 md5" {
		t.Error(s)
	}
	if s := sigalg.SHA3_512.String() + " " + sigalg.SHAKE256.String(); s != "sha3-512 shake256" {
		t.Error(s)
	}
}

// Attack row B07: what may stand in the parameters.
func TestParameters(t *testing.T) {
	null, empty, integer := []byte{5, 0}, []byte{0x30, 0}, []byte{2, 1, 1}
	bits512 := []byte{2, 2, 2, 0}
	for _, c := range []struct {
		parse  func([]byte) error
		oid    oid.OID
		params []byte
		ok     bool
	}{
		{digest, oid.SHA256, nil, true}, {digest, oid.SHA256, null, true}, {digest, oid.SHA256, integer, false},
		{digest, oid.SHA3_256, nil, true}, {digest, oid.MD5, null, true},
		{digest, oid.SHAKE128, nil, true}, {digest, oid.SHAKE128, null, false},
		{digest, oid.SHAKE256Len, bits512, true}, {digest, oid.SHAKE256Len, integer, false}, {digest, oid.SHAKE256Len, nil, false},
		{digest, oid.Data, nil, false},
		{signature, oid.RSA, null, true}, {signature, oid.RSA, nil, true}, {signature, oid.RSA, integer, false},
		{signature, oid.SHA256WithRSA, null, true}, {signature, oid.SHA256WithRSA, nil, true}, {signature, oid.SHA256WithRSA, empty, false},
		{signature, oid.ECDSAWithSHA256, nil, true}, {signature, oid.ECDSAWithSHA256, integer, false},
		{signature, oid.ECDSAShake256, nil, true}, {signature, oid.ECDSAShake256, null, false},
		{signature, oid.RSAPSSShake128, nil, true}, {signature, oid.RSAPSSShake128, null, false},
		{signature, oid.Ed25519, nil, true}, {signature, oid.Ed25519, null, false},
		{signature, oid.Ed448, nil, true}, {signature, oid.Ed448, null, false},
		{signature, oid.MLDSA65, nil, true}, {signature, oid.MLDSA65, null, false},
		{signature, oid.OID("\x60\x86\x48\x01\x65\x03\x04\x03\x20"), nil, false}, // HashML-DSA-44 with SHA-512
		{signature, oid.RSAPSS, nil, false}, {signature, oid.RSAPSS, null, false}, {signature, oid.RSAPSS, empty, true},
		{signature, oid.RSAPSS, pssParams(oid.SHA256, oid.SHA256, 32, 1), true},
		{signature, oid.RSAPSS, pssParams(oid.SHA256, oid.SHA1, 20, 1), true},
		{signature, oid.RSAPSS, pssParams(oid.SHA256, oid.SHA256, 32, 2), false},
		{signature, oid.RSAPSS, pssParams(oid.SHA256, oid.SHA256, -1, 1), false},
		{signature, oid.RSAPSS, pssParams(oid.MD5, oid.SHA256, 16, 1), false},
		{signature, oid.RSAPSS, pssParams(oid.SHA256, oid.MD5, 16, 1), false},
		{signature, oid.RSAPSS, pssParams(oid.SHAKE128, oid.SHA256, 16, 1), false},
		{signature, oid.RSAPSS, append(pssParams(oid.SHA256, oid.SHA256, 32, 1), 0), false},
	} {
		err := c.parse(algorithm(c.oid, c.params))
		if c.ok != (err == nil) {
			t.Errorf("%v with parameters %x: %v", c.oid, c.params, err)
		}
		if _, typed := errors.AsType[*sigalg.UnsupportedError](err); err != nil && !typed {
			t.Errorf("%v: error of type %T", c.oid, err)
		}
	}
}

func digest(der []byte) error    { _, err := sigalg.ParseHash(der); return err }
func signature(der []byte) error { _, err := sigalg.Parse(der); return err }

// keys returns one private key of each kind that signs.
func keys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	out := map[string]crypto.Signer{}
	must := func(name string, k crypto.Signer, err error) {
		if err != nil {
			t.Fatal(err)
		}
		out[name] = k
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	must("rsa", r, err)
	r, err = rsa.GenerateKey(rand.Reader, 2049)
	must("rsa 2049", r, err)
	for name, c := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		must(name, k, err)
	}
	_, e, err := ed25519.GenerateKey(rand.Reader)
	must("ed25519", e, err)
	for name, p := range map[string]mldsa.Parameters{"ml-dsa-44": mldsa.MLDSA44(), "ml-dsa-65": mldsa.MLDSA65(), "ml-dsa-87": mldsa.MLDSA87()} {
		k, err := mldsa.GenerateKey(p)
		must(name, k, err)
	}
	return out
}

func TestSignVerify(t *testing.T) {
	keys := keys(t)
	message := []byte("a message")
	for _, c := range []struct {
		key       string
		opts      sigalg.SignOptions
		algorithm string
		oid       oid.OID
	}{
		{"rsa", sigalg.SignOptions{}, "rsa-pkcs1", oid.SHA256WithRSA},
		{"rsa", sigalg.SignOptions{Hash: sigalg.SHA512}, "rsa-pkcs1", oid.SHA512WithRSA},
		{"rsa", sigalg.SignOptions{Bare: true}, "rsa-pkcs1", oid.RSA},
		{"rsa", sigalg.SignOptions{PSS: true}, "rsa-pss", oid.RSAPSS},
		{"rsa", sigalg.SignOptions{PSS: true, Hash: sigalg.SHA384}, "rsa-pss", oid.RSAPSS},
		{"rsa", sigalg.SignOptions{Hash: sigalg.SHAKE128}, "rsa-pss", oid.RSAPSSShake128},
		{"rsa", sigalg.SignOptions{Hash: sigalg.SHAKE256, PSS: true}, "rsa-pss", oid.RSAPSSShake256},
		{"rsa 2049", sigalg.SignOptions{Hash: sigalg.SHAKE256}, "rsa-pss", oid.RSAPSSShake256}, // the encoded message is an octet shorter
		{"p256", sigalg.SignOptions{}, "ecdsa", oid.ECDSAWithSHA256},
		{"p256", sigalg.SignOptions{Hash: sigalg.SHAKE128}, "ecdsa", oid.ECDSAShake128},
		{"p384", sigalg.SignOptions{}, "ecdsa", oid.ECDSAWithSHA384},
		{"p521", sigalg.SignOptions{}, "ecdsa", oid.ECDSAWithSHA512},
		{"p521", sigalg.SignOptions{Hash: sigalg.SHAKE256}, "ecdsa", oid.ECDSAShake256},
		{"ed25519", sigalg.SignOptions{}, "ed25519", oid.Ed25519},
		{"ml-dsa-44", sigalg.SignOptions{}, "ml-dsa-44", oid.MLDSA44},
		{"ml-dsa-44", sigalg.SignOptions{Hash: sigalg.SHA256}, "ml-dsa-44", oid.MLDSA44},
		{"ml-dsa-65", sigalg.SignOptions{}, "ml-dsa-65", oid.MLDSA65},
		{"ml-dsa-65", sigalg.SignOptions{Hash: sigalg.SHAKE256}, "ml-dsa-65", oid.MLDSA65},
		{"ml-dsa-87", sigalg.SignOptions{}, "ml-dsa-87", oid.MLDSA87},
	} {
		key := keys[c.key]
		spki, err := mldsax509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		pub, err := sigalg.PublicKey(spki)
		if err != nil {
			t.Fatal(c.key, err)
		}
		algID, sig, err := sigalg.Sign(key, pub, c.opts, message)
		if err != nil {
			t.Errorf("%s %+v: %v", c.key, c.opts, err)
			continue
		}
		alg, err := sigalg.Parse(algID)
		if err != nil || alg.String() != c.algorithm || alg.OID() != c.oid || !bytes.Equal(alg.DER(), algID) {
			t.Errorf("%s %+v: algorithm %v %v, %v", c.key, c.opts, alg, alg.OID(), err)
			continue
		}
		verify := func(message []byte) error {
			if alg.Pure() {
				return alg.VerifyMessage(pub, message, sig)
			}
			h := sigalg.NaturalHash(pub)
			if c.opts.Hash != 0 {
				h = c.opts.Hash
			}
			return alg.VerifyDigest(pub, h, h.Sum(message), sig)
		}
		if err := verify(message); err != nil {
			t.Errorf("%s %+v: %v", c.key, c.opts, err)
		}
		if err := verify([]byte("another message")); !errors.Is(err, sigalg.ErrInvalid) {
			t.Errorf("%s %+v: another message: %v", c.key, c.opts, err)
		}
		for name, k := range keys {
			if name != c.key && alg.VerifyMessage(k.Public(), message, sig) == nil {
				t.Errorf("%s: verifies with the key %s", c.key, name)
			}
		}
	}
}

func TestSignRefuses(t *testing.T) {
	keys := keys(t)
	small := smallRSA(t)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	for _, c := range []struct {
		name string
		key  crypto.Signer
		pub  crypto.PublicKey
		opts sigalg.SignOptions
	}{
		{"SHA-1", keys["rsa"], keys["rsa"].Public(), sigalg.SignOptions{Hash: sigalg.SHA1}},
		{"MD5", keys["rsa"], keys["rsa"].Public(), sigalg.SignOptions{Hash: sigalg.MD5}},
		{"SHA-224", keys["p256"], keys["p256"].Public(), sigalg.SignOptions{Hash: sigalg.SHA224}},
		{"RSA 1024", small, small.Public(), sigalg.SignOptions{}},
		{"P-224", p224, p224.Public(), sigalg.SignOptions{}},
		{"Ed25519 beside SHA-256", keys["ed25519"], keys["ed25519"].Public(), sigalg.SignOptions{Hash: sigalg.SHA256}},
		{"ML-DSA-87 beside SHA-256", keys["ml-dsa-87"], keys["ml-dsa-87"].Public(), sigalg.SignOptions{Hash: sigalg.SHA256}},
		{"somebody else's key", keys["p256"], p224.Public(), sigalg.SignOptions{}},
		{"another RSA key", keys["rsa"], otherRSA(t), sigalg.SignOptions{}},
	} {
		if _, _, err := sigalg.Sign(c.key, c.pub, c.opts, []byte("x")); err == nil {
			t.Errorf("%s: signed", c.name)
		}
	}
	if _, _, err := sigalg.Sign("no key", keys["rsa"].Public(), sigalg.SignOptions{}, nil); err == nil {
		t.Error("signed with a string")
	}
}

func smallRSA(t testing.TB) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func otherRSA(t testing.TB) *rsa.PublicKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &k.PublicKey
}

// token is a key that hashes for itself, like a smart card.
type token struct {
	crypto.Signer
	hashed bool
}

func (k *token) SignMessage(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.hashed = true
	h := opts.HashFunc().New()
	h.Write(msg)
	return k.Signer.Sign(r, h.Sum(nil), opts)
}

func TestMessageSignerPreferred(t *testing.T) {
	k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tok := &token{Signer: k}
	if _, _, err := sigalg.Sign(tok, k.Public(), sigalg.SignOptions{}, []byte("x")); err != nil || !tok.hashed {
		t.Error(err, tok.hashed)
	}
}

// RFC 9882, Section 3.3, and RFC 8419, Section 3 (attack row B09).
func TestTakesDigest(t *testing.T) {
	for _, c := range []struct {
		oid   oid.OID
		takes string
	}{
		{oid.Ed25519, "sha512"},
		{oid.Ed448, "shake256"},
		{oid.MLDSA44, "sha256 sha384 sha512 sha3-256 sha3-384 sha3-512 shake128 shake256"},
		{oid.MLDSA65, "sha384 sha512 sha3-384 sha3-512 shake256"},
		{oid.MLDSA87, "sha512 sha3-512 shake256"},
		{oid.SHA256WithRSA, "sha256"},
		{oid.ECDSAShake128, "shake128"},
	} {
		a, err := sigalg.Parse(algorithm(c.oid, nil))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for h := sigalg.MD5; h.Valid(); h++ {
			if a.TakesDigest(h) {
				got = append(got, h.String())
			}
		}
		if s := strings.Join(got, " "); s != c.takes {
			t.Errorf("%v takes %s", a, s)
		}
	}
}

func spki(algID, key []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(algID)
		b.AddASN1BitString(key)
	})
	return b.BytesOrPanic()
}

func rsaKey(n *big.Int, e int64) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(n)
		b.AddASN1Int64(e)
	})
	return spki(algorithm(oid.RSA, []byte{5, 0}), b.BytesOrPanic())
}

// Attack row B04: sizes are refused before any arithmetic.
func TestKeySizes(t *testing.T) {
	size := func(bits int) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return n.SetBit(n, 0, 1)
	}
	alg, _ := sigalg.Parse(algorithm(oid.SHA256WithRSA, nil))
	for _, c := range []struct {
		name    string
		der     []byte
		keyOK   bool
		weak    bool
		invalid bool
	}{
		{"2048", rsaKey(size(2048), 65537), true, false, true},
		{"16384", rsaKey(size(16384), 65537), true, false, true},
		{"1024", rsaKey(size(1024), 65537), true, true, false},
		{"16385", rsaKey(size(16385), 65537), false, false, false},
		{"262144", rsaKey(size(262144), 65537), false, false, false},
		{"e = 1", rsaKey(size(2048), 1), false, false, false},
		{"e even", rsaKey(size(2048), 65536), false, false, false},
		{"e = 2^31+1", rsaKey(size(2048), 1<<31+1), false, false, false},
		{"n even", rsaKey(new(big.Int).Lsh(big.NewInt(1), 2047), 65537), false, false, false},
		{"n negative", rsaKey(new(big.Int).Neg(size(2048)), 65537), false, false, false},
	} {
		start := time.Now()
		key, err := sigalg.PublicKey(c.der)
		if c.keyOK != (err == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil {
			err = alg.VerifyDigest(key, sigalg.SHA256, make([]byte, 32), bytes.Repeat([]byte{1}, (sigalg.Modulus(key)+7)/8))
			if _, weak := errors.AsType[*sigalg.WeakKeyError](err); weak != c.weak {
				t.Errorf("%s: %v", c.name, err)
			}
			if c.invalid != errors.Is(err, sigalg.ErrInvalid) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: took %v", c.name, d)
		}
	}
	big := &rsa.PublicKey{N: size(65536), E: 65537}
	if _, ok := errors.AsType[*limits.Exceeded](alg.VerifyDigest(big, sigalg.SHA256, make([]byte, 32), nil)); !ok {
		t.Error("a key of 65536 bits that did not come through PublicKey was used")
	}
}

// Attack row B05.
func TestPoints(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	good, _ := p256.PublicKey.Bytes()
	bad := bytes.Clone(good)
	bad[64] ^= 1
	ec := func(curve oid.OID, point []byte) []byte {
		var b cryptobyte.Builder
		b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(curve)) })
		return spki(algorithm(oid.ECPublicKey, b.BytesOrPanic()), point)
	}
	brainpool, _ := hex.DecodeString("048bd2aeb9cb7e57cb2c4b482ffc81b7afb9de27e1e3bd23c23a4453bd9ace3262547ef835c3dac4fd97f8461a14611dc9c27745132ded8e545c1d54c72f046997")
	offBrainpool := bytes.Clone(brainpool)
	offBrainpool[64] ^= 1
	for _, c := range []struct {
		name string
		der  []byte
		ok   bool
	}{
		{"P-256", ec(oid.P256, good), true},
		{"P-256 compressed", ec(oid.P256, elliptic.MarshalCompressed(elliptic.P256(), p256.X, p256.Y)), true},
		{"P-256 off the curve", ec(oid.P256, bad), false},
		{"P-256 infinity", ec(oid.P256, []byte{0}), false},
		{"P-256 empty", ec(oid.P256, nil), false},
		{"P-256 hybrid", ec(oid.P256, append([]byte{6}, good[1:]...)), false},
		{"P-256 point on P-384", ec(oid.P384, good), false},
		{"explicit parameters", spki(algorithm(oid.ECPublicKey, []byte{0x30, 3, 2, 1, 1}), good), false},
		{"no parameters", spki(algorithm(oid.ECPublicKey, nil), good), false},
		{"unknown curve", ec(oid.Data, good), false},
		{"Brainpool", ec(oid.BrainpoolP256r1, brainpool), true},
		{"Brainpool compressed", ec(oid.BrainpoolP256r1, append([]byte{3}, brainpool[1:33]...)), true},
		{"Brainpool off the curve", ec(oid.BrainpoolP256r1, offBrainpool), false},
		{"Brainpool infinity", ec(oid.BrainpoolP256r1, []byte{0}), false},
		{"Ed25519", spki(algorithm(oid.Ed25519, nil), make([]byte, 32)), true},
		{"Ed25519 with NULL", spki(algorithm(oid.Ed25519, []byte{5, 0}), make([]byte, 32)), false},
		{"Ed25519 short", spki(algorithm(oid.Ed25519, nil), make([]byte, 31)), false},
		{"Ed448 short", spki(algorithm(oid.Ed448, nil), make([]byte, 56)), false},
		{"X448", spki(algorithm(oid.X448, nil), make([]byte, 56)), true},
		{"ML-KEM-768", spki(algorithm(oid.MLKEM768, nil), make([]byte, 1184)), true},
		{"ML-KEM-768 short", spki(algorithm(oid.MLKEM768, nil), make([]byte, 1183)), false},
		{"trailing octets", append(ec(oid.P256, good), 0), false},
	} {
		key, err := sigalg.PublicKey(c.der)
		if c.ok != (err == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
		if k, ok := key.(*sigalg.CurvePublicKey); ok && err == nil && !bytes.Equal(k.Bytes(), brainpool) {
			t.Errorf("%s: point %x", c.name, k.Bytes())
		}
	}
}

// A PSS key takes no PKCS #1 v1.5 signature, and none with other parameters than its own
// (attack row B02).
func TestPSSKey(t *testing.T) {
	k, _ := rsa.GenerateKey(rand.Reader, 2048)
	pkcs1 := x509.MarshalPKCS1PublicKey(&k.PublicKey)
	restricted := func(params []byte) crypto.PublicKey {
		pub, err := sigalg.PublicKey(spki(algorithm(oid.RSAPSS, params), pkcs1))
		if err != nil {
			t.Fatal(err)
		}
		return pub
	}
	digest := sigalg.SHA256.Sum([]byte("x"))
	for _, c := range []struct {
		name string
		key  []byte
		salt int
		alg  []byte
		ok   bool
	}{
		{"no restriction", nil, 32, algorithm(oid.RSAPSS, pssParams(oid.SHA256, oid.SHA256, 32, 1)), true},
		{"as restricted", pssParams(oid.SHA256, oid.SHA256, 32, 1), 32, algorithm(oid.RSAPSS, pssParams(oid.SHA256, oid.SHA256, 32, 1)), true},
		{"longer salt", pssParams(oid.SHA256, oid.SHA256, 20, 1), 32, algorithm(oid.RSAPSS, pssParams(oid.SHA256, oid.SHA256, 32, 1)), true},
		{"shorter salt", pssParams(oid.SHA256, oid.SHA256, 33, 1), 32, algorithm(oid.RSAPSS, pssParams(oid.SHA256, oid.SHA256, 32, 1)), false},
		{"another hash", pssParams(oid.SHA384, oid.SHA256, 32, 1), 32, algorithm(oid.RSAPSS, pssParams(oid.SHA256, oid.SHA256, 32, 1)), false},
		{"another mask", pssParams(oid.SHA256, oid.SHA384, 32, 1), 32, algorithm(oid.RSAPSS, pssParams(oid.SHA256, oid.SHA256, 32, 1)), false},
		{"salt not as said", nil, 31, algorithm(oid.RSAPSS, pssParams(oid.SHA256, oid.SHA256, 32, 1)), false},
		{"salt too long to be", nil, 32, algorithm(oid.RSAPSS, pssParams(oid.SHA256, oid.SHA256, 1<<30, 1)), false},
		{"no salt", nil, 0, algorithm(oid.RSAPSS, pssParams(oid.SHA256, oid.SHA256, 0, 1)), true},
		{"longest salt", nil, 222, algorithm(oid.RSAPSS, pssParams(oid.SHA256, oid.SHA256, 222, 1)), true},
		{"PKCS #1 v1.5", nil, -1, algorithm(oid.SHA256WithRSA, nil), false},
	} {
		var sig []byte
		var err error
		switch c.salt {
		case -1:
			sig, err = rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest)
		case 0:
			sig, err = saltlessPSS(k, digest)
		default:
			sig, err = rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest, &rsa.PSSOptions{SaltLength: c.salt})
		}
		if err != nil {
			t.Fatal(c.name, err)
		}
		alg, err := sigalg.Parse(c.alg)
		if err != nil {
			t.Fatal(err)
		}
		if err := alg.VerifyDigest(restricted(c.key), sigalg.SHA256, digest, sig); c.ok != (err == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := alg.VerifyDigest(&k.PublicKey, sigalg.SHA384, make([]byte, 48), sig); !errors.Is(err, sigalg.ErrInvalid) {
			t.Errorf("%s: digest of another hash: %v", c.name, err)
		}
	}
}

// saltlessPSS makes a signature without salt, which crypto/rsa cannot be asked for.
func saltlessPSS(k *rsa.PrivateKey, digest []byte) ([]byte, error) {
	mgf1 := func(seed []byte, n int) []byte {
		var mask []byte
		for i := byte(0); len(mask) < n; i++ {
			mask = append(mask, sigalg.SHA256.Sum(append(bytes.Clone(seed), 0, 0, 0, i))...)
		}
		return mask[:n]
	}
	return signPSS(k, digest, nil, sigalg.SHA256, mgf1), nil
}

// signPSS is RSASSA-PSS with any mask generation function (RFC 8017, Section 9.1.1).
func signPSS(k *rsa.PrivateKey, digest, salt []byte, hash sigalg.Hash, mask func(seed []byte, n int) []byte) []byte {
	h := hash.Sum(slices.Concat(make([]byte, 8), digest, salt))
	db := make([]byte, k.Size()-len(h)-1)
	db[len(db)-len(salt)-1] = 1
	copy(db[len(db)-len(salt):], salt)
	for i, b := range mask(h, len(db)) {
		db[i] ^= b
	}
	db[0] &= 0x7f
	em := new(big.Int).SetBytes(slices.Concat(db, h, []byte{0xbc}))
	return em.Exp(em, k.D, k.N).FillBytes(make([]byte, k.Size()))
}

// A device cannot be asked for RSASSA-PSS with a SHAKE, and nothing else is signed instead.
func TestShakeInDevice(t *testing.T) {
	k, _ := rsa.GenerateKey(rand.Reader, 2048)
	device := struct{ crypto.Signer }{k}
	for _, h := range []sigalg.Hash{sigalg.SHAKE128, sigalg.SHAKE256} {
		alg, err := sigalg.For(&k.PublicKey, sigalg.SignOptions{Hash: h})
		if err != nil {
			t.Fatal(err)
		}
		_, typed := errors.AsType[*sigalg.UnsupportedError](alg.Fits(device))
		if sig, err := alg.Sign(device, &k.PublicKey, h, []byte("x")); !typed || err == nil {
			t.Errorf("%v: %x, %v", h, sig, err)
		}
		if err := alg.Fits(k); err != nil {
			t.Errorf("%v: the twin: %v", h, err)
		}
	}
}

// RFC 8702, Section 3.2.1: the mask is the SHAKE itself.
func TestPSSShake(t *testing.T) {
	k, _ := rsa.GenerateKey(rand.Reader, 2048)
	for _, c := range []struct {
		oid  oid.OID
		hash sigalg.Hash
		mask func([]byte, int) []byte
	}{
		{oid.RSAPSSShake128, sigalg.SHAKE128, sha3.SumSHAKE128},
		{oid.RSAPSSShake256, sigalg.SHAKE256, sha3.SumSHAKE256},
	} {
		alg, err := sigalg.Parse(algorithm(c.oid, nil))
		if err != nil {
			t.Fatal(err)
		}
		digest := c.hash.Sum([]byte("x"))
		salt := bytes.Repeat([]byte{7}, c.hash.Size())
		if err := alg.VerifyDigest(&k.PublicKey, c.hash, digest, signPSS(k, digest, salt, c.hash, c.mask)); err != nil {
			t.Errorf("%v: %v", c.hash, err)
		}
		for name, sig := range map[string][]byte{
			"short salt": signPSS(k, digest, salt[1:], c.hash, c.mask),
			"other mask": signPSS(k, digest, salt, c.hash, func(seed []byte, n int) []byte { return c.mask(append(seed, 0), n) }),
		} {
			if err := alg.VerifyDigest(&k.PublicKey, c.hash, digest, sig); !errors.Is(err, sigalg.ErrInvalid) {
				t.Errorf("%v, %s: %v", c.hash, name, err)
			}
		}
		if h, ok := alg.Hash(); !ok || h != c.hash {
			t.Error(h, ok)
		}
	}
}

// RFC 8032, Section 7.4, "Blank".
func TestEd448(t *testing.T) {
	key, _ := hex.DecodeString("5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778edf124769b46c7061bd6783df1e50f6cd1fa1abeafe8256180")
	sig, _ := hex.DecodeString("533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f2b233f034f628281f2fd7a22ddd47d7828c59bd0a21bfd3980ff0d2028d4b18a9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda8530a113a0f4dbb61149f05a7363268c71d95808ff2e652600")
	alg, _ := sigalg.Parse(algorithm(oid.Ed448, nil))
	pub, err := sigalg.PublicKey(spki(algorithm(oid.Ed448, nil), key))
	if err != nil {
		t.Fatal(err)
	}
	if err := alg.VerifyMessage(pub, nil, sig); err != nil {
		t.Error(err)
	}
	for i := range sig {
		mutant := bytes.Clone(sig)
		mutant[i] ^= 1
		if err := alg.VerifyMessage(pub, nil, mutant); !errors.Is(err, sigalg.ErrInvalid) {
			t.Fatalf("octet %d changed: %v", i, err)
		}
	}
	if alg.VerifyMessage(pub, []byte{0}, sig) == nil || alg.VerifyMessage(pub, nil, sig[1:]) == nil {
		t.Error("another message or a short signature passes")
	}
}

// Every other kind of key against an implementation of somebody else.
func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("the program openssl is not installed")
	}
	dir := t.TempDir()
	run := func(args string) {
		t.Helper()
		cmd := exec.Command("openssl", strings.Fields(args)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", args, err, out)
		}
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	message := []byte("a message")
	if err := os.WriteFile(filepath.Join(dir, "message"), message, 0o600); err != nil {
		t.Fatal(err)
	}
	run("dsaparam -out dsa.pem 2048")
	for _, c := range []struct {
		genkey string
		hash   string
		alg    oid.OID
	}{
		{"ecparam -genkey -noout -name secp256k1", "sha256", oid.ECDSAWithSHA256},
		{"ecparam -genkey -noout -name brainpoolP224r1", "sha256", oid.ECDSAWithSHA256},
		{"ecparam -genkey -noout -name brainpoolP256r1", "sha256", oid.ECDSAWithSHA256},
		{"ecparam -genkey -noout -name brainpoolP320r1", "sha384", oid.ECDSAWithSHA384},
		{"ecparam -genkey -noout -name brainpoolP384r1", "sha384", oid.ECDSAWithSHA384},
		{"ecparam -genkey -noout -name brainpoolP512r1", "sha512", oid.ECDSAWithSHA512},
		{"ecparam -genkey -noout -name secp224r1", "sha3-256", oid.ECDSAWithSHA3_256},
		{"gendsa dsa.pem", "sha256", oid.DSAWithSHA256},
		{"genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", "sha3-512", oid.SHA3_512WithRSA},
		{"genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", "sha512-256", oid.SHA512_256WithRSA},
		{"genpkey -algorithm ed448", "", oid.Ed448},
	} {
		command, rest, _ := strings.Cut(c.genkey, " ")
		run(command + " -out key.pem " + rest)
		run("pkey -in key.pem -pubout -outform DER -out pub.der")
		if c.hash != "" {
			run("dgst -" + c.hash + " -sign key.pem -out sig message")
		} else {
			run("pkeyutl -sign -rawin -inkey key.pem -in message -out sig")
		}
		pub, err := sigalg.PublicKey(read("pub.der"))
		if err != nil {
			t.Errorf("%s: %v", c.genkey, err)
			continue
		}
		alg, err := sigalg.Parse(algorithm(c.alg, nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := alg.VerifyMessage(pub, message, read("sig")); err != nil {
			t.Errorf("%s, %s: %v", c.genkey, c.hash, err)
		}
		if err := alg.VerifyMessage(pub, []byte("another message"), read("sig")); !errors.Is(err, sigalg.ErrInvalid) {
			t.Errorf("%s, %s: another message: %v", c.genkey, c.hash, err)
		}
	}
}

func TestDSAKeyLimits(t *testing.T) {
	alg, _ := sigalg.Parse(algorithm(oid.DSAWithSHA256, nil))
	key := func(p, q, g, y int64) *dsa.PublicKey {
		k := &dsa.PublicKey{Y: big.NewInt(y)}
		k.P, k.Q, k.G = big.NewInt(p), big.NewInt(q), big.NewInt(g)
		return k
	}
	huge := key(0, 0, 2, 2)
	huge.P = new(big.Int).SetBit(new(big.Int), 20000, 1)
	huge.Q = new(big.Int).SetBit(big.NewInt(1), 255, 1)
	for name, k := range map[string]*dsa.PublicKey{"tiny": key(7, 3, 2, 2), "zero": key(0, 0, 0, 0), "empty": {}, "huge": huge} {
		if err := alg.VerifyDigest(k, sigalg.SHA256, make([]byte, 32), []byte{0x30, 6, 2, 1, 1, 2, 1, 1}); err == nil || errors.Is(err, sigalg.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzPublicKey(f *testing.F) {
	for _, k := range keys(f) {
		der, err := mldsax509.MarshalPKIXPublicKey(k.Public())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		key, err := sigalg.PublicKey(der)
		if err != nil {
			_, unsupported := errors.AsType[*sigalg.UnsupportedError](err)
			_, limit := errors.AsType[*limits.Exceeded](err)
			if !unsupported && !limit {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		for _, o := range []oid.OID{oid.SHA256WithRSA, oid.ECDSAWithSHA256, oid.Ed25519, oid.Ed448, oid.MLDSA44, oid.DSAWithSHA256} {
			a, err := sigalg.Parse(algorithm(o, nil))
			if err != nil {
				t.Fatal(err)
			}
			if a.VerifyMessage(key, der, []byte{0x30, 6, 2, 1, 1, 2, 1, 1}) == nil {
				t.Fatal("a made up signature verifies")
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(algorithm(oid.RSAPSS, pssParams(oid.SHA256, oid.SHA1, 20, 1)))
	f.Add(algorithm(oid.SHAKE256Len, []byte{2, 2, 2, 0}))
	f.Add(algorithm(oid.Ed25519, nil))
	f.Fuzz(func(t *testing.T, der []byte) {
		a, err := sigalg.Parse(der)
		if err == nil && (!bytes.Equal(a.DER(), der) || a.String() == "") {
			t.Fatal("algorithm changed")
		}
		if _, typed := errors.AsType[*sigalg.UnsupportedError](err); err != nil && !typed {
			t.Fatalf("%T", err)
		}
		if h, err := sigalg.ParseHash(der); err == nil && !h.Valid() {
			t.Fatal(h)
		}
	})
}

// Ranking needs no more than an order: of sizes, and nothing for what cannot be used.
func TestStrength(t *testing.T) {
	of := map[string]int{}
	for name, key := range keys(t) {
		der, err := mldsax509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		of[name] = sigalg.Strength(der)
	}
	for name, want := range map[string]int{"rsa": 112, "p256": 128, "p384": 192, "p521": 260, "ed25519": 128, "ml-dsa-44": 128, "ml-dsa-65": 192, "ml-dsa-87": 256} {
		if of[name] != want {
			t.Errorf("%s: %d, want %d", name, of[name], want)
		}
	}
	for o, want := range map[oid.OID]int{oid.MLKEM768: 192, oid.X448: 224} {
		size := map[oid.OID]int{oid.MLKEM768: 1184, oid.X448: 56}[o]
		if got := sigalg.Strength(spki(algorithm(o, nil), make([]byte, size))); got != want {
			t.Errorf("%v: %d, want %d", o, got, want)
		}
	}
	if got := sigalg.Strength([]byte{0x30, 0}); got != 0 {
		t.Errorf("no key: %d", got)
	}
}
