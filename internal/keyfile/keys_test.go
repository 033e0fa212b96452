package keyfile_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
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
