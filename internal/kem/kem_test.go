package kem

import (
	"bytes"
	"crypto"
	"crypto/mlkem"
	"crypto/rand"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/corpus"
	"github.com/postseal/postseal/internal/oid"
)

func TestCompress(t *testing.T) {
	for _, d := range []int{1, 4, 5, 10, 11} {
		for x := range uint16(q) {
			want := uint16(((uint32(x)<<(d+1) + q) / (2 * q)) & (1<<d - 1))
			if got := compress(x, d); got != want {
				t.Fatalf("compress(%d, %d) = %d, want %d", x, d, got, want)
			}
		}
	}
	for a := uint32(0); a < q; a += 7 {
		for b := uint32(0); b < q; b += 5 {
			if mul(uint16(a), uint16(b)) != uint16(a*b%q) {
				t.Fatal("mul", a, b)
			}
		}
	}
}

// The sets crypto/mlkem has must give what it gives.
func TestAgainstStandardLibrary(t *testing.T) {
	for range 20 {
		seed := make([]byte, SeedSize)
		rand.Read(seed)
		for _, o := range []oid.OID{oid.MLKEM768, oid.MLKEM1024} {
			ours, err := NewKey(o, seed)
			if err != nil {
				t.Fatal(err)
			}
			var std crypto.Decapsulator
			if o == oid.MLKEM768 {
				std, err = mlkem.NewDecapsulationKey768(seed)
			} else {
				std, err = mlkem.NewDecapsulationKey1024(seed)
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(ours.Encapsulator().Bytes(), std.Encapsulator().Bytes()) {
				t.Fatal("public keys differ")
			}
			secret, ct := std.Encapsulator().Encapsulate()
			if got, err := ours.Decapsulate(ct); err != nil || !bytes.Equal(got, secret) {
				t.Fatal("decapsulation differs", err)
			}
			secret, ct = ours.Encapsulator().Encapsulate()
			if got, err := std.Decapsulate(ct); err != nil || !bytes.Equal(got, secret) {
				t.Fatal("encapsulation differs", err)
			}
			ct[0] ^= 1 // a wrong ciphertext gives a wrong secret, the same one here and there
			a, err1 := ours.Decapsulate(ct)
			b, err2 := std.Decapsulate(ct)
			if err1 != nil || err2 != nil || !bytes.Equal(a, b) || bytes.Equal(a, secret) {
				t.Fatal("rejection differs", err1, err2)
			}
		}
	}
}

func TestExpanded(t *testing.T) {
	seed := make([]byte, SeedSize)
	k, err := NewKey(oid.MLKEM512, seed)
	if err != nil {
		t.Fatal(err)
	}
	again, err := NewExpandedKey(oid.MLKEM512, k.expanded)
	if err != nil {
		t.Fatal(err)
	}
	secret, ct := k.Encapsulator().Encapsulate()
	if got, err := again.Decapsulate(ct); err != nil || !bytes.Equal(got, secret) {
		t.Error(err)
	}
	for _, at := range []int{1, 800, 1600} { // the secret's range, the public key, its hash
		bad := bytes.Clone(k.expanded)
		bad[at], bad[at-1] = bad[at]^0xff|0x0f, 0xff
		if _, err := NewExpandedKey(oid.MLKEM512, bad); err == nil {
			t.Error("altered at", at, "accepted")
		}
	}
	for _, n := range []int{0, 767, 769} {
		if _, err := k.Decapsulate(make([]byte, n)); err == nil {
			t.Error("ciphertext of", n)
		}
	}
	if _, err := NewKey(oid.MLKEM512, seed[1:]); err == nil {
		t.Error("a short seed")
	}
	if _, err := NewKey(oid.RSA, seed); err != ErrNotMLKEM {
		t.Error(err)
	}
}

func TestWycheproof(t *testing.T) {
	type group struct {
		Tests []struct {
			corpus.Case
			Seed, Dk, Ek, C, K corpus.Hex
		}
	}
	for name, o := range map[string]oid.OID{"512": oid.MLKEM512, "768": oid.MLKEM768, "1024": oid.MLKEM1024} {
		n := 0
		for _, pattern := range []string{"mlkem_*_test.json", "mlkem_*_semi_expanded_decaps_test.json"} {
			file := strings.Replace(pattern, "*", name, 1)
			for _, g := range corpus.Wycheproof[group](t, file) {
				for _, v := range g.Tests {
					n++
					var k *Key
					var err error
					if v.Dk != nil {
						k, err = NewExpandedKey(o, v.Dk)
					} else {
						k, err = NewKey(o, v.Seed)
					}
					var secret []byte
					if err == nil {
						secret, err = k.Decapsulate(v.C)
					}
					if v.Result == "invalid" {
						if err == nil {
							t.Errorf("%s %d: %s %v accepted", file, v.TcID, v.Comment, v.Flags)
						}
						continue
					}
					if err != nil || v.K != nil && !bytes.Equal(secret, v.K) || v.Ek != nil && !bytes.Equal(k.public.bytes, v.Ek) {
						t.Errorf("%s %d: %s %v: %v", file, v.TcID, v.Comment, v.Flags, err)
					}
				}
			}
		}
		t.Log(n, "vectors of ML-KEM-"+name)
	}
}

// The key files of RFC 9935: every form of a key gives the same key, and the bad ones are
// refused (threats.md, K08).
func TestKeyFiles(t *testing.T) {
	dir := corpus.Path(t, "pqc", "kyber-certificates", "example")
	files, err := filepath.Glob(filepath.Join(dir, "*.priv"))
	if err != nil || len(files) == 0 {
		t.Fatal("no key files", err)
	}
	public := make(map[string][]byte)
	bad := 0
	for _, f := range files {
		name := filepath.Base(f)
		block, _ := pem.Decode(corpus.Read(t, "pqc", "kyber-certificates", "example", name))
		if block == nil {
			t.Fatal(name, "is no PEM file")
		}
		k, err := ParsePKCS8(block.Bytes)
		if strings.HasPrefix(name, "bad-") {
			bad++
			if err == nil {
				t.Error(name, "accepted")
			}
			continue
		}
		if err != nil {
			t.Error(name, err)
			continue
		}
		set := strings.TrimSuffix(name, name[strings.LastIndexAny(name, "-"):])
		if want := public[set]; want != nil && !bytes.Equal(want, k.Encapsulator().Bytes()) {
			t.Error(name, "has another public key")
		}
		public[set] = k.Encapsulator().Bytes()
	}
	if bad == 0 || len(public) != 3 {
		t.Error(bad, "bad keys,", len(public), "sets")
	}
}

func FuzzParsePKCS8(f *testing.F) {
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, b []byte) { ParsePKCS8(b) })
}
