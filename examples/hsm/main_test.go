package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime"
)

// The library of SoftHSM 2, as Debian has it.
const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// newToken initialises a token in a folder of the test.
func newToken(t *testing.T) *Token {
	t.Helper()
	for _, program := range []string{"softhsm2-util", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("POSTSEAL_PEERS") == "required" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(config, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", config)
	if out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "mail", "--pin", "1234", "--so-pin", "5678").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	token, err := OpenToken(softHSM, "mail", "1234")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := token.Close(); err != nil {
			t.Error(err)
		}
	})
	return token
}

func TestToken(t *testing.T) {
	token := newToken(t)
	t.Run("story", func(t *testing.T) {
		var out bytes.Buffer
		if err := story(&out, token); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "Nobody has seen the key"); n != 2 {
			t.Errorf("%d messages were opened:\n%s", n, out.String())
		}
	})
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	identity := func(kind string) *certstore.Identity {
		key, err := token.Generate(kind)
		if err != nil {
			t.Fatal(err)
		}
		id, err := ca.certify(key, "alice@example.com")
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	rsa, ec := identity("RSA"), identity("EC")
	t.Run("signs", func(t *testing.T) { signs(t, ca, rsa, ec) })
	t.Run("opens", func(t *testing.T) { opens(t, ca, rsa, ec) })
	t.Run("refuses", func(t *testing.T) { refuses(t, ca, rsa, ec) })
	t.Run("finds", func(t *testing.T) {
		if _, err := token.Find([]byte("nobody")); err == nil {
			t.Error("a key that is not there was found")
		}
		if _, err := OpenToken(softHSM, "another", "1234"); err == nil {
			t.Error("a token that is not there was found")
		}
	})
}

// run runs a command of OpenSSL in a folder that holds ca.pem and cert.pem.
func run(t *testing.T, ca *authority, id *certstore.Identity, in []byte, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, cert := range map[string]*x509.Certificate{"ca.pem": ca.cert, "cert.pem": id.Certificate()} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("openssl", args...)
	var diag bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, bytes.NewReader(in), &diag
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", args, err, diag.String())
	}
	return out
}

// signs: OpenSSL verifies every kind of signature that the token makes.
func signs(t *testing.T, ca *authority, rsa, ec *certstore.Identity) {
	for name, c := range map[string]*smime.Composer{
		"PKCS #1 v1.5":  {Signers: []*certstore.Identity{rsa}},
		"SHA-512":       {Signers: []*certstore.Identity{rsa}, Digest: "sha512"},
		"PSS":           {Signers: []*certstore.Identity{rsa}, PSS: true},
		"ECDSA, opaque": {Signers: []*certstore.Identity{ec}, Opaque: true},
		"both":          {Signers: []*certstore.Identity{rsa, ec}},
	} {
		var signed bytes.Buffer
		if _, err := c.Compose(&signed, strings.NewReader(mail)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if out := run(t, ca, rsa, signed.Bytes(), "cms", "-verify", "-CAfile", "ca.pem"); !bytes.Contains(out, []byte("Nobody has seen")) {
			t.Errorf("%s: OpenSSL verified %q", name, out)
		}
	}
}

// envelopes are what OpenSSL encrypts to a key, by the kind of the key.
func envelopes() map[string][]string {
	return map[string][]string{
		"RSA PKCS #1 v1.5": {"-aes-256-cbc", "-recip", "cert.pem"},
		"RSA and GCM":      {"-aes-256-gcm", "-recip", "cert.pem"},
		// SoftHSM has OAEP with SHA-1 alone.
		"RSA OAEP": {"-aes-256-cbc", "-recip", "cert.pem", "-keyopt", "rsa_padding_mode:oaep"},
		"EC":       {"-aes-256-cbc", "-aes256-wrap", "-recip", "cert.pem", "-keyopt", "ecdh_kdf_md:sha256"},
		"EC and GCM, cofactor": {"-aes-256-gcm", "-aes256-wrap", "-recip", "cert.pem", "-keyopt", "ecdh_kdf_md:sha384",
			"-keyopt", "ecdh_cofactor_mode:1"},
	}
}

// encrypt makes a message that is signed with the RSA key of the token, and encrypted by OpenSSL.
func encrypt(t *testing.T, ca *authority, to, from *certstore.Identity, args []string) []byte {
	t.Helper()
	var signed bytes.Buffer
	if err := smime.Sign(&signed, strings.NewReader(mail), from); err != nil {
		t.Fatal(err)
	}
	head := "From: alice@example.com\r\n"
	return slices.Concat([]byte(head), run(t, ca, to, signed.Bytes(), append([]string{"cms", "-encrypt"}, args...)...))
}

// opens: what OpenSSL encrypts, the token's keys open.
func opens(t *testing.T, ca *authority, rsa, ec *certstore.Identity) {
	for name, args := range envelopes() {
		to := rsa
		if strings.HasPrefix(name, "EC") {
			to = ec
		}
		text, err := ca.open(bytes.NewReader(encrypt(t, ca, to, rsa, args)), to)
		if err != nil || !strings.Contains(text, "Nobody has seen") {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

// refuses: another key of the token opens nothing, and nothing that was altered opens.
func refuses(t *testing.T, ca *authority, rsa, ec *certstore.Identity) {
	for name, args := range envelopes() {
		to, other := rsa, ec
		if strings.HasPrefix(name, "EC") {
			to, other = ec, rsa
		}
		sealed := encrypt(t, ca, to, rsa, args)
		if _, err := ca.open(bytes.NewReader(sealed), other); err == nil {
			t.Errorf("%s: another key opened it", name)
		}
		// In the last third there is only what is encrypted.
		at := len(sealed) * 9 / 10
		for sealed[at] == '\n' || sealed[at] == '\r' || sealed[at] == 'A' {
			at++
		}
		sealed[at] = 'A'
		if _, err := ca.open(bytes.NewReader(sealed), to); err == nil {
			t.Errorf("%s: an altered message opened", name)
		}
	}
}
