package cttest_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"

	"github.com/postseal/postseal/internal/cipherstream"
	"github.com/postseal/postseal/internal/cttest"
	"github.com/postseal/postseal/internal/keywrap"
)

// pairs is how many pairs a case is given: few, to see that everything works, or what the
// variable POSTSEAL_TIMING says, for evidence. A hundred thousand take some minutes.
func pairs(t *testing.T) (n int, evidence bool) {
	t.Helper()
	s := os.Getenv("POSTSEAL_TIMING")
	if s == "" {
		return 400, false
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatal("POSTSEAL_TIMING is not a number of pairs:", s)
	}
	return n, true
}

// sink keeps results from being optimised away.
var sink int

// An operation on the same input twice shows no difference; one that stops at the first
// octet that differs is caught.
func TestControls(t *testing.T) {
	n := 4000
	key := make([]byte, 1<<15)
	rand.Read(key)
	wrong := bytes.Clone(key)
	wrong[0] ^= 1
	careful := func(in []byte) { sink += subtle.ConstantTimeCompare(in, key) }
	careless := func(in []byte) {
		if bytes.Equal(in, key) {
			sink++
		}
	}
	if r := cttest.Compare(n, key, wrong, careless); !r.Leaks(0.001) {
		t.Error("an early exit is not caught:", r)
	}
	if r := cttest.Compare(n, key, key, careful); r.Leaks(0.01) {
		t.Error("a difference of an input to itself:", r)
	}
	if r := cttest.Compare(n, key, wrong, careful); r.Leaks(0.01) {
		t.Error("a difference of subtle.ConstantTimeCompare:", r)
	}
}

// The steps of decryption at which an oracle has been found in other programs take as long
// for good input as for bad (threats.md, C07, C09, C10, C11, C12, C19).
func TestDecryptionSteps(t *testing.T) {
	n, evidence := pairs(t)
	share := 0.001 // of the operation's time
	if !evidence {
		share = 0.05 // what a quick look can tell from noise
	}
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	raw := func(block []byte) []byte { // what encrypts to a block of our choice
		c, err := rsa.EncryptPKCS1v15(rand.Reader, &k.PublicKey, block)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	random := func(n int) []byte {
		b := make([]byte, n)
		rand.Read(b)
		return b
	}
	v15 := func(in []byte) {
		out, err := k.Decrypt(rand.Reader, in, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 32})
		if err != nil {
			panic(err)
		}
		sink += len(out)
	}
	badRSA := random(256)
	badRSA[0] = 0 // below the modulus, and of no padding
	oaepGood, err := rsa.EncryptOAEPWithOptions(rand.Reader, &k.PublicKey, random(32), &rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: crypto.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	oaep := func(in []byte) {
		if _, err := k.Decrypt(rand.Reader, in, &rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: crypto.SHA256}); err != nil {
			sink++
		}
	}
	kek, _ := aes.NewCipher(random(32))
	goodKW, _ := keywrap.Wrap(kek, random(32))
	badKW := bytes.Clone(goodKW)
	badKW[3] ^= 1
	iv := make([]byte, 16)
	goodPW, _ := keywrap.WrapPassword(kek, iv, random(32))
	badPW := bytes.Clone(goodPW)
	badPW[len(badPW)-1] ^= 1
	const size = 1 << 16
	plain := random(size)
	copy(plain[size-16:], bytes.Repeat([]byte{16}, 16))
	goodCBC := make([]byte, size)
	cipher.NewCBCEncrypter(kek, iv).CryptBlocks(goodCBC, plain)
	plain[size-1] = 0
	badCBC := make([]byte, size)
	cipher.NewCBCEncrypter(kek, iv).CryptBlocks(badCBC, plain)
	none := func() ([]byte, []byte, error) { return nil, nil, nil }
	key := random(32)
	var sealed bytes.Buffer
	w, _ := cipherstream.NewGCMWriter(&sealed, key, iv[:12], nil)
	w.Write(plain)
	w.Close()
	goodGCM := append(w.Tag(), sealed.Bytes()...)
	badGCM := bytes.Clone(goodGCM)
	badGCM[0] ^= 1

	drain := func(r io.Reader) {
		m, err := r.(io.WriterTo).WriteTo(io.Discard)
		if err != nil {
			sink++
		}
		sink += int(m)
	}
	for _, c := range []struct {
		name      string
		good, bad []byte
		op        func([]byte)
		slow      bool
	}{
		{"PKCS1 padding", raw(random(32)), badRSA, v15, true},
		{"PKCS1 length of the key", raw(random(32)), raw(random(31)), v15, true},
		{"OAEP", oaepGood, badRSA, oaep, true},
		{"key wrap 50 times", goodKW, badKW, func(in []byte) {
			for range 50 { // once is too short for the clock
				_, ok, _ := keywrap.Unwrap(kek, in)
				sink += ok
			}
		}, false},
		{"password wrap 50 times", goodPW, badPW, func(in []byte) {
			for range 50 {
				_, ok, _ := keywrap.UnwrapPassword(kek, iv, in, 32)
				sink += ok
			}
		}, false},
		{"CBC padding", goodCBC, badCBC, func(in []byte) {
			r, _ := cipherstream.NewCBCReader(bytes.NewReader(in), kek, iv, none)
			drain(r)
		}, false},
		{"GCM tag", goodGCM, badGCM, func(in []byte) {
			r, _ := cipherstream.NewGCMReader(bytes.NewReader(in[16:]), key, iv[:12], func() ([]byte, []byte, error) { return in[:16], nil, nil })
			drain(r)
		}, false},
	} {
		pairs := n
		if c.slow && !evidence {
			pairs = n / 4
		}
		t.Run(c.name, func(t *testing.T) { alike(t, pairs, share, c.good, c.bad, c.op) })
	}
}

func ExampleCompare() {
	secret := []byte("correct horse battery staple")
	guess := []byte("wrong horse, battery, staple")
	r := cttest.Compare(100, secret, guess, func(in []byte) { subtle.ConstantTimeCompare(in, secret) })
	fmt.Println(r.Pairs, "pairs")
	// Output: 100 pairs
}
