package keyfile_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os/exec"
	"testing"

	"github.com/postseal/postseal/internal/keyfile"
)

// We read what OpenSSL encrypts.
func TestOpenSSLKeys(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	key, _ := newPair(t)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"AES-256, SHA-512": {"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"},
		"AES-128, SHA-1":   {"-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1", "-iter", "1"},
		"3DES":             {"-v2", "des3"},
		"scrypt":           {"-scrypt"},
		"PKCS#12 3DES":     {"-v1", "PBE-SHA1-3DES"},
		"PKCS#12 2DES":     {"-v1", "PBE-SHA1-2DES"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(openssl, append([]string{"pkcs8", "-topk8", "-inform", "DER", "-passout", "pass:" + password}, args...)...)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				in.Write(der)
				in.Close()
			}()
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := pem.Decode(out); b == nil || b.Type != "ENCRYPTED PRIVATE KEY" {
				t.Fatalf("openssl wrote %q", out)
			}
			f, err := keyfile.Read(out, password)
			if err != nil || len(f.Keys) != 1 || !key.Equal(f.Keys[0]) {
				t.Fatalf("read %v, %v", f, err)
			}
			if _, err := keyfile.Read(out, "wrong"); !errors.Is(err, x509.IncorrectPasswordError) {
				t.Errorf("wrong password: %v", err)
			}
		})
	}
}
