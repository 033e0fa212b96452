package smime_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/servertest"
	"github.com/postseal/postseal/smime"
)

// A smartcard is a key that can be used and not read. It does what its
// functions do.
type smartcard struct {
	public  crypto.PublicKey
	decrypt func(cipher []byte) ([]byte, error)
	sign    func(digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (k smartcard) Public() crypto.PublicKey { return k.public }
func (k smartcard) Decrypt(_ io.Reader, cipher []byte, _ crypto.DecrypterOpts) ([]byte, error) {
	return k.decrypt(cipher)
}
func (k smartcard) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.sign(digest, opts)
}

// identity is p's identity whose key is in a token.
func (k smartcard) identity(t *testing.T, of *certstore.Identity) *certstore.Identity {
	t.Helper()
	k.public = of.Certificate().PublicKey
	id, err := certstore.NewIdentity(of.Certificate(), k, of.Intermediates()...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Attack row H11: whatever a token answers when it cannot decrypt, or says that it
// decrypted, the reader learns the one thing he always learns.
func TestOddTokens(t *testing.T) {
	p := newParty(t)
	software := p.bob.Key().(*rsa.PrivateKey)
	mail := composed(t, p.composer(true, true, true), plain)
	open := func(decrypt func([]byte) ([]byte, error)) (*smime.Message, error) {
		keys := new(certstore.Memory)
		keys.AddIdentity(smartcard{decrypt: decrypt}.identity(t, p.bob))
		o := p.opener()
		o.Keys = keys
		return o.Open(t.Context(), bytes.NewReader(mail))
	}
	right := func(cipher []byte) ([]byte, error) { return rsa.DecryptPKCS1v15(nil, software, cipher) }
	msg, err := open(right)
	if err != nil || octetsOf(msg) == "" || !strings.HasSuffix(plain, octetsOf(msg)) {
		t.Fatalf("a token that works: %v, %q", err, octetsOf(msg))
	}
	cut := func(n int) func([]byte) ([]byte, error) {
		return func(cipher []byte) ([]byte, error) {
			key, err := right(cipher)
			return append(key, make([]byte, 64)...)[:n], err
		}
	}
	first := ""
	for name, decrypt := range map[string]func([]byte) ([]byte, error){
		"token lost":          func([]byte) ([]byte, error) { return nil, errors.New("CKR_TOKEN_NOT_PRESENT") },
		"bad padding":         func([]byte) ([]byte, error) { return nil, errors.New("CKR_ENCRYPTED_DATA_INVALID") },
		"wrong length":        func([]byte) ([]byte, error) { return nil, errors.New("CKR_ENCRYPTED_DATA_LEN_RANGE") },
		"not logged in":       func([]byte) ([]byte, error) { return nil, errors.New("CKR_USER_NOT_LOGGED_IN") },
		"nothing, no error":   func([]byte) ([]byte, error) { return nil, nil },
		"error and a key":     func(c []byte) ([]byte, error) { k, _ := right(c); return k, errors.New("CKR_DEVICE_ERROR") },
		"a key too short":     cut(31),
		"a key of one octet":  cut(1),
		"a key too long":      cut(33),
		"a key of 16 octets":  cut(16),
		"another key":         func(c []byte) ([]byte, error) { k, err := right(c); k[0] ^= 1; return k, err },
		"the padding with it": func([]byte) ([]byte, error) { return append([]byte{0, 2}, make([]byte, 254)...), nil },
	} {
		msg, err := open(decrypt)
		var u *smime.UnverifiedError
		if msg != nil || !errors.As(err, &u) || !strings.Contains(fmt.Sprint(u.Report.Codes), "decrypt.failed") {
			t.Errorf("%s: %v, %v", name, msg, err)
			continue
		}
		if first == "" {
			first = err.Error()
		}
		if err.Error() != first || strings.Contains(err.Error(), "CKR_") {
			t.Errorf("%s: %q tells more than %q", name, err, first)
		}
	}
}

// Attack row H11: a token that fails, or signs wrongly, makes no message.
func TestOddSigners(t *testing.T) {
	p := newParty(t)
	software := p.bob.Key().(*rsa.PrivateKey)
	right := func(digest []byte, opts crypto.SignerOpts) ([]byte, error) { return software.Sign(nil, digest, opts) }
	compose := func(sign func([]byte, crypto.SignerOpts) ([]byte, error)) (string, error) {
		c := p.composer(true, false, false)
		c.Signers = []*certstore.Identity{smartcard{sign: sign}.identity(t, p.bob)}
		var out bytes.Buffer
		_, err := c.Compose(&out, strings.NewReader(strings.ReplaceAll(plain, "alice@", "bob@")))
		return out.String(), err
	}
	if _, err := compose(right); err != nil {
		t.Fatalf("a token that works: %v", err)
	}
	for name, sign := range map[string]func([]byte, crypto.SignerOpts) ([]byte, error){
		"token lost":     func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, errors.New("CKR_TOKEN_NOT_PRESENT") },
		"nothing":        func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, nil },
		"too short":      func(d []byte, o crypto.SignerOpts) ([]byte, error) { s, err := right(d, o); return s[1:], err },
		"too long":       func(d []byte, o crypto.SignerOpts) ([]byte, error) { s, err := right(d, o); return append(s, 0), err },
		"another digest": func(d []byte, o crypto.SignerOpts) ([]byte, error) { d[0] ^= 1; return right(d, o) },
		"garbage":        func([]byte, crypto.SignerOpts) ([]byte, error) { return make([]byte, 256), nil },
	} {
		if _, err := compose(sign); err == nil {
			t.Errorf("%s: a message was made", name)
		}
	}
}

// Attack row H11: a real token, SoftHSM, signs and decrypts; after it was erased it fails like any other.
func TestSoftHSM(t *testing.T) {
	tool, util := servertest.Need(t, "pkcs11-tool"), servertest.Need(t, "softhsm2-util")
	modules, err := filepath.Glob("/usr/lib*/softhsm/libsofthsm2.so")
	if more, _ := filepath.Glob("/usr/lib/*/softhsm/libsofthsm2.so"); err == nil {
		modules = append(modules, more...)
	}
	if len(modules) == 0 {
		servertest.Missing(t, "libsofthsm2.so")
	}
	p := newParty(t)
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens")
	der, err := x509.MarshalPKCS8PrivateKey(p.bob.Key())
	if err == nil {
		err = os.Mkdir(tokens, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "softhsm2.conf"), []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	run := func(program string, args ...string) error {
		cmd := exec.Command(program, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "SOFTHSM2_CONF="+filepath.Join(dir, "softhsm2.conf"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}
	for _, args := range [][]string{
		{"--init-token", "--free", "--label", "t", "--pin", "1234", "--so-pin", "5678"},
		{"--import", "key.pem", "--token", "t", "--label", "bob", "--id", "b0", "--pin", "1234"},
	} {
		if err := run(util, args...); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(what string, in []byte) ([]byte, error) {
		out := filepath.Join(dir, "out")
		err := os.WriteFile(filepath.Join(dir, "in"), in, 0o600)
		if err == nil {
			err = run(tool, "--module", modules[0], "--token-label", "t", "--login", "--pin", "1234", "--id", "b0", what, "-m", "RSA-PKCS", "-i", "in", "-o", out)
		}
		if err != nil {
			return nil, err
		}
		defer os.Remove(out)
		return os.ReadFile(out)
	}
	bob := smartcard{
		decrypt: func(cipher []byte) ([]byte, error) { return ask("--decrypt", cipher) },
		sign: func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts.HashFunc() != crypto.SHA256 {
				return nil, errors.New("not SHA-256")
			}
			// DigestInfo (RFC 8017, Section 9.2).
			info := []byte{0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20}
			return ask("--sign", append(info, digest...))
		},
	}.identity(t, p.bob)
	keys := new(certstore.Memory)
	keys.AddIdentity(bob)
	o := p.opener()
	o.Keys = keys

	fromBob := strings.ReplaceAll(plain, "alice@", "bob@")
	c := p.composer(true, true, true)
	c.Signers = []*certstore.Identity{bob}
	mail := composed(t, c, fromBob)
	msg, err := o.Open(t.Context(), bytes.NewReader(mail))
	if err != nil || octetsOf(msg) == "" || !strings.HasSuffix(fromBob, octetsOf(msg)) {
		t.Fatalf("signed and opened by the token: %v, %q", err, octetsOf(msg))
	}
	if err := os.RemoveAll(tokens); err != nil {
		t.Fatal(err)
	}
	var u *smime.UnverifiedError
	if _, err := o.Open(t.Context(), bytes.NewReader(mail)); !errors.As(err, &u) || !strings.Contains(fmt.Sprint(u.Report.Codes), "decrypt.failed") {
		t.Errorf("after the token is gone: %v", err)
	}
	if _, err := c.Compose(io.Discard, strings.NewReader(fromBob)); err == nil {
		t.Error("a token that is gone signed")
	}
}
