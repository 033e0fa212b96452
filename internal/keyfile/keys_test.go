package keyfile_test

import (
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/keyfile"
)

// corpusFile returns the octets of a file of the corpus.
func corpusFile(t *testing.T, name string) []byte {
	t.Helper()
	dir := os.Getenv("POSTSEAL_CORPUS")
	if dir == "" {
		t.Skip("POSTSEAL_CORPUS is not set: no real files to read")
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
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
		{kem + "768-seed", "*mlkem.DecapsulationKey768"},
		{kem + "768-both", "*mlkem.DecapsulationKey768"},
		{kem + "768-expanded", "without its seed is not supported"},
		{kem + "1024-seed", "*mlkem.DecapsulationKey1024"},
		{kem + "1024-both", "*mlkem.DecapsulationKey1024"},
		{kem + "1024-expanded", "without its seed is not supported"},
	} {
		t.Run(filepath.Base(tt.file), func(t *testing.T) {
			block, _ := pem.Decode(corpusFile(t, tt.file+".priv"))
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
