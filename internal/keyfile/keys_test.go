package keyfile_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/corpus"
	"github.com/postseal/postseal/internal/keyfile"
	"github.com/postseal/postseal/internal/x448"
)

// An X448 key, as RFC 8410 has it.
func TestX448Key(t *testing.T) {
	b := make([]byte, x448.Size)
	for i := range b {
		b[i] = byte(i)
	}
	der := slices.Concat([]byte("\x30\x46\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x6f\x04\x3a\x04\x38"), b)
	key, err := keyfile.ParsePrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := key.(*x448.PrivateKey); !ok || !bytes.Equal(k.Bytes(), b) {
		t.Errorf("read %T", key)
	}
	if _, err := keyfile.ParsePrivateKey(der[:len(der)-1]); err == nil {
		t.Error("truncated key accepted")
	}
}

// Attack rows B10 and K08: the forms of post-quantum keys, and the LAMPS bad keys.
func TestPostQuantumKeys(t *testing.T) {
	const dsa, kem = "pqc/dilithium-certificates/examples/ML-DSA-", "pqc/kyber-certificates/example/ML-KEM-"
	for _, tt := range []struct {
		file string
		want string // type of the key, or what the error says
	}{
		{dsa + "44-seed", "*mldsa.PrivateKey"},
		{dsa + "44-both", "*mldsa.PrivateKey"},
		{dsa + "44-expanded", "without its seed is not supported"},
		{dsa + "65-seed", "*mldsa.PrivateKey"},
		{dsa + "65-both", "*mldsa.PrivateKey"},
		{dsa + "65-expanded", "without its seed is not supported"},
		{dsa + "87-seed", "*mldsa.PrivateKey"},
		{dsa + "87-both", "*mldsa.PrivateKey"},
		{dsa + "87-expanded", "without its seed is not supported"},
		{"pqc/dilithium-certificates/examples/bad-ML-DSA-44-1", "inconsistent"},
		{"pqc/dilithium-certificates/examples/bad-ML-DSA-44-2", "not supported"},
		{"pqc/dilithium-certificates/examples/bad-ML-DSA-44-3", "not supported"},
		{kem + "512-seed", "*kem.Key"},
		{kem + "512-both", "*kem.Key"},
		{kem + "512-expanded", "*kem.Key"},
		{kem + "768-seed", "*mlkem.DecapsulationKey768"},
		{kem + "768-both", "*mlkem.DecapsulationKey768"},
		{kem + "768-expanded", "*kem.Key"},
		{kem + "1024-seed", "*mlkem.DecapsulationKey1024"},
		{kem + "1024-both", "*mlkem.DecapsulationKey1024"},
		{kem + "1024-expanded", "*kem.Key"},
		{"pqc/kyber-certificates/example/bad-ML-KEM-512-1", "kem: "},
		{"pqc/kyber-certificates/example/bad-ML-KEM-512-2", "kem: "},
		{"pqc/kyber-certificates/example/bad-ML-KEM-512-3", "kem: "},
		{"pqc/kyber-certificates/example/bad-ML-KEM-512-4", "kem: "},
	} {
		t.Run(filepath.Base(tt.file), func(t *testing.T) {
			block, _ := pem.Decode(corpus.Read(t, tt.file+".priv"))
			if block == nil {
				t.Fatal("no PEM in the file")
			}
			key, err := keyfile.ParsePrivateKey(block.Bytes)
			got := fmt.Sprintf("%T", key)
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, tt.want) {
				t.Fatalf("got %s, want %s", got, tt.want)
			}
			if err != nil || !strings.HasSuffix(tt.file, "-both") {
				return
			}
			// Every octet of the expanded key counts.
			for i := 120; i < len(block.Bytes); i += 97 {
				bad := append([]byte(nil), block.Bytes...)
				bad[i] ^= 1
				if _, err := keyfile.ParsePrivateKey(bad); err == nil {
					t.Fatalf("octet %d altered, and the key accepted", i)
				}
			}
		})
	}
}

// FuzzParsePrivateKey reads anything as a private key. What is read belongs to a public
// key, signs or decrypts something, and is never half a key.
func FuzzParsePrivateKey(f *testing.F) {
	names, err := filepath.Glob("../../testdata/open/pki/*.pem")
	if err != nil || len(names) < 5 {
		f.Fatal(len(names), "files,", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if b, _ := pem.Decode(text); b != nil && b.Type == "PRIVATE KEY" {
			f.Add(b.Bytes)
		}
	}
	x, err := x448.GenerateKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte{0x30, 0x46, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6f, 4, 0x3a, 4, 0x38}, x.Bytes()...))
	kem := []byte{0x30, 0x54, 2, 1, 0, 0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 4, 2, 4, 0x42, 0x80, 0x40}
	f.Add(append(kem, make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, der []byte) {
		key, err := keyfile.ParsePrivateKey(der)
		if (err == nil) != (key != nil) {
			t.Fatalf("%v and %v", key, err)
		}
		switch k := key.(type) {
		case nil:
		case crypto.Signer:
			if k.Public() == nil {
				t.Fatalf("%T without a public key", k)
			}
		case crypto.Decapsulator:
			secret, text := k.Encapsulator().Encapsulate()
			if got, err := k.Decapsulate(text); err != nil || !bytes.Equal(got, secret) {
				t.Fatalf("%T does not open what it is sent: %v", k, err)
			}
		case *ecdh.PrivateKey, *x448.PrivateKey:
		default:
			t.Fatalf("a %T", k)
		}
	})
}
