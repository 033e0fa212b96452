package cms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/cms"
)

// runOpenSSL runs the program in dir and returns what it prints.
func runOpenSSL(t *testing.T, dir string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	var diag bytes.Buffer
	cmd.Stderr = &diag
	out, err := cmd.Output()
	if err != nil {
		t.Logf("openssl %v: %v\n%s", args, err, diag.Bytes())
	}
	return out, err
}

// lab makes a folder with certificates and keys for openssl, named as the map's keys.
func lab(t *testing.T) (dir string, out map[string]holder) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	dir = t.TempDir()
	out = make(map[string]holder)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.Signer{"rsa": rsaKey}
	for name, c := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		if keys[name], err = ecdsa.GenerateKey(c, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	serial := int64(100)
	for name, key := range keys {
		serial++
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), SubjectKeyId: []byte(name + "-key")}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		k, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		write(t, dir, name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}))
		out[name] = holder{cert, key}
	}
	return dir, out
}

func write(t *testing.T, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What OpenSSL writes we read: every cipher, key transport, agreement and form.
func TestReadOpenSSL(t *testing.T) {
	dir, all := lab(t)
	secret := someBytes(32)
	plain := someBytes(70001)
	write(t, dir, "plain", plain)
	base := []string{"cms", "-encrypt", "-binary", "-in", "plain", "-outform", "DER"}
	for _, v := range []struct {
		name, recipient string
		args            []string
		cipher, alg     string
	}{
		{"cbc 128", "rsa", []string{"-aes-128-cbc", "rsa.crt"}, "aes128-cbc", "rsa-pkcs1"},
		{"cbc 192", "rsa", []string{"-aes-192-cbc", "rsa.crt"}, "aes192-cbc", "rsa-pkcs1"},
		{"cbc 256", "rsa", []string{"-aes-256-cbc", "rsa.crt"}, "aes256-cbc", "rsa-pkcs1"},
		{"gcm 128", "rsa", []string{"-aes-128-gcm", "rsa.crt"}, "aes128-gcm", "rsa-pkcs1"},
		{"gcm 192", "rsa", []string{"-aes-192-gcm", "rsa.crt"}, "aes192-gcm", "rsa-pkcs1"},
		{"gcm 256", "rsa", []string{"-aes-256-gcm", "rsa.crt"}, "aes256-gcm", "rsa-pkcs1"},
		{"streamed", "rsa", []string{"-stream", "-aes-256-cbc", "rsa.crt"}, "aes256-cbc", "rsa-pkcs1"},
		{"streamed gcm", "rsa", []string{"-stream", "-aes-256-gcm", "rsa.crt"}, "aes256-gcm", "rsa-pkcs1"},
		{"key id", "rsa", []string{"-keyid", "-aes-256-cbc", "rsa.crt"}, "aes256-cbc", "rsa-pkcs1"},
		{"oaep", "rsa", []string{"-aes-256-cbc", "-recip", "rsa.crt", "-keyopt", "rsa_padding_mode:oaep"}, "aes256-cbc", "rsa-oaep-sha1"},
		{"oaep sha256", "rsa", []string{"-aes-256-gcm", "-recip", "rsa.crt", "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"}, "aes256-gcm", "rsa-oaep-sha256"},
		{"oaep mixed", "rsa", []string{"-aes-256-cbc", "-recip", "rsa.crt", "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha512", "-keyopt", "rsa_mgf1_md:sha1"}, "aes256-cbc", "rsa-oaep-sha512-mgf1-sha1"},
		{"oaep label", "rsa", []string{"-aes-256-cbc", "-recip", "rsa.crt", "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_label:0123abcd"}, "aes256-cbc", "rsa-oaep-sha1"},
		{"p256", "p256", []string{"-aes-128-cbc", "p256.crt"}, "aes128-cbc", "ecdh-sha1-aes128-wrap"},
		{"p384", "p384", []string{"-aes-256-cbc", "-recip", "p384.crt", "-keyopt", "ecdh_kdf_md:sha384"}, "aes256-cbc", "ecdh-sha384-aes256-wrap"},
		{"p521", "p521", []string{"-aes-256-gcm", "-recip", "p521.crt", "-keyopt", "ecdh_kdf_md:sha512"}, "aes256-gcm", "ecdh-sha512-aes256-wrap"},
		{"p256 cofactor", "p256", []string{"-aes-256-cbc", "-recip", "p256.crt", "-keyopt", "ecdh_kdf_md:sha256", "-keyopt", "ecdh_cofactor_mode:1"}, "aes256-cbc", "ecdh-cofactor-sha256-aes256-wrap"},
		{"p256 key id", "p256", []string{"-keyid", "-aes-256-cbc", "-recip", "p256.crt", "-keyopt", "ecdh_kdf_md:sha224"}, "aes256-cbc", "ecdh-sha224-aes256-wrap"},
		{"kek", "", []string{"-aes-256-cbc", "-secretkey", hex.EncodeToString(secret), "-secretkeyid", "0102"}, "aes256-cbc", "aes256-wrap"},
		{"password", "", []string{"-aes-256-cbc", "-pwri_password", "open sesame"}, "aes256-cbc", "pbkdf2-hmac-sha1-pwri-kek-aes256-cbc"},
		{"3des", "rsa", []string{"-des3", "rsa.crt"}, "3des-cbc", "rsa-pkcs1"},
		{"3des p256", "p256", []string{"-des3", "p256.crt"}, "3des-cbc", "ecdh-sha1-3des-wrap"},
		{"several, rsa", "rsa", []string{"-aes-256-cbc", "p256.crt", "rsa.crt", "p384.crt"}, "aes256-cbc", "rsa-pkcs1"},
		{"several, p384", "p384", []string{"-aes-256-cbc", "p256.crt", "rsa.crt", "p384.crt"}, "aes256-cbc", "ecdh-sha1-aes256-wrap"},
	} {
		t.Run(v.name, func(t *testing.T) {
			der, err := runOpenSSL(t, dir, append(base, v.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			var o opened
			opt := cms.DecryptOptions{AllowLegacyCiphers: v.cipher == "3des-cbc"}
			switch {
			case v.recipient != "":
				o, err = unseal(bytes.NewReader(der), all[v.recipient].cert, "", all[v.recipient].key, opt)
			case v.name == "kek":
				o, err = unseal(bytes.NewReader(der), nil, "kekri", cms.Secret(secret), opt)
			default:
				o, err = unseal(bytes.NewReader(der), nil, "pwri", cms.Passphrase("open sesame"), opt)
			}
			if err != nil || !bytes.Equal(o.content, plain) {
				t.Fatal(err, len(o.content))
			}
			if o.data.Cipher() != v.cipher || v.alg != "" && o.used.Algorithm != v.alg {
				t.Error(o.data.Cipher(), o.used.Algorithm)
			}
			if v.cipher == "3des-cbc" {
				if _, err := unseal(bytes.NewReader(der), all[v.recipient].cert, "", all[v.recipient].key, cms.DecryptOptions{}); err == nil {
					t.Error("read without being allowed")
				}
			}
		})
	}
}

// What we write OpenSSL reads.
func TestOpenSSLReads(t *testing.T) {
	dir, all := lab(t)
	secret := someBytes(32)
	const password = "open sesame"
	rsaTo := &cms.Recipient{Certificate: all["rsa"].cert}
	for _, n := range []int{0, 100, 70001} {
		plain := someBytes(n)
		for _, v := range []struct {
			name, cipher string
			to           []*cms.Recipient
			args         []string
		}{
			{"cbc 128", "aes128-cbc", []*cms.Recipient{rsaTo}, []string{"-recip", "rsa.crt", "-inkey", "rsa.key"}},
			{"cbc 192", "aes192-cbc", []*cms.Recipient{rsaTo}, []string{"-recip", "rsa.crt", "-inkey", "rsa.key"}},
			{"cbc 256", "aes256-cbc", []*cms.Recipient{rsaTo}, []string{"-recip", "rsa.crt", "-inkey", "rsa.key"}},
			{"gcm 128", "aes128-gcm", []*cms.Recipient{rsaTo}, []string{"-recip", "rsa.crt", "-inkey", "rsa.key"}},
			{"gcm 192", "aes192-gcm", []*cms.Recipient{rsaTo}, []string{"-recip", "rsa.crt", "-inkey", "rsa.key"}},
			{"gcm 256", "aes256-gcm", []*cms.Recipient{rsaTo}, []string{"-recip", "rsa.crt", "-inkey", "rsa.key"}},
			{"key id", "aes256-cbc", []*cms.Recipient{{Certificate: all["rsa"].cert, KeyID: true}}, []string{"-recip", "rsa.crt", "-inkey", "rsa.key"}},
			{"oaep", "aes256-gcm", []*cms.Recipient{{Certificate: all["rsa"].cert, OAEP: true}}, []string{"-recip", "rsa.crt", "-inkey", "rsa.key"}},
			{"p256", "aes128-cbc", []*cms.Recipient{{Certificate: all["p256"].cert}}, []string{"-recip", "p256.crt", "-inkey", "p256.key"}},
			{"p384 key id", "aes256-gcm", []*cms.Recipient{{Certificate: all["p384"].cert, KeyID: true}}, []string{"-recip", "p384.crt", "-inkey", "p384.key"}},
			{"p521", "aes192-cbc", []*cms.Recipient{{Certificate: all["p521"].cert}}, []string{"-recip", "p521.crt", "-inkey", "p521.key"}},
			{"kek", "aes256-cbc", []*cms.Recipient{{Secret: secret, SecretID: []byte{1, 2}}}, []string{"-secretkey", hex.EncodeToString(secret), "-secretkeyid", "0102"}},
			{"password", "aes256-cbc", []*cms.Recipient{{Passphrase: []byte(password), Iterations: 1000}}, []string{"-pwri_password", password}},
			{"several, p256", "aes256-cbc", []*cms.Recipient{rsaTo, {Certificate: all["p256"].cert}, {Certificate: all["p384"].cert}}, []string{"-recip", "p256.crt", "-inkey", "p256.key"}},
			{"several, rsa", "aes256-gcm", []*cms.Recipient{{Certificate: all["p256"].cert}, rsaTo}, []string{"-recip", "rsa.crt", "-inkey", "rsa.key"}},
		} {
			if n != 100 && v.name[:3] != "cbc" && v.name[:3] != "gcm" {
				continue
			}
			write(t, dir, "message", seal(t, plain, 5000, cms.EnvelopeOptions{Cipher: v.cipher}, v.to...))
			args := append([]string{"cms", "-decrypt", "-binary", "-inform", "DER", "-in", "message"}, v.args...)
			got, err := runOpenSSL(t, dir, args...)
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%s, %d octets: %v", v.name, n, err)
			}
		}
	}
}
