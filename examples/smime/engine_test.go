package main

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// said runs the program and returns what it says on standard error at status 0.
func (d *desk) said(args ...string) string {
	d.t.Helper()
	var stdout, stderr bytes.Buffer
	if exit := run(append(args, "--time", "2026-06-01T00:00:00Z"), strings.NewReader(""), &stdout, &stderr); exit != 0 {
		d.t.Fatalf("%q: status %d\n%s", args, exit, stderr.String())
	}
	return stderr.String()
}

// What is chosen for the recipients, and why, is told to whoever asks; RSASSA-PSS with SHAKE
// is signed and read.
func TestExplain(t *testing.T) {
	d := newDesk(t)
	at := func(name string) string { return filepath.Join(d.dir, name) }
	seal := []string{"seal", "--identity", at("alice.id"), "--to", at("bob.pem"), "--out", at("sealed.eml"), "--digest", "shake256", at("plain.eml")}
	if text := d.said(seal...); text != "" {
		t.Errorf("unasked: %q", text)
	}
	text := d.said(append(seal, "--explain")...)
	for _, want := range []string{
		"smime: seal: signed over shake256\n",
		"smime: seal: aes256-cbc: it is not known that bob@example.com can read authenticated encryption\n",
		"smime: seal: bob@example.com: PKCS #1 v1.5, because the recipient does not announce RSAES-OAEP\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
	out := d.run(0, "", "open --json --roots @root.pem --identity @bob.id @sealed.eml")
	if !strings.Contains(out, `"digest":"shake256","algorithm":"rsa-pss"`) {
		t.Error(out)
	}
}

// A message whose recipients are named by another certificate opens by trying the keys that
// are at hand, and only where that is asked for.
func TestTryKeys(t *testing.T) {
	d := newDesk(t)
	d.run(0, "", "seal --identity @alice.id --to @bob.pem --out @sealed.eml @plain.eml")
	if r := d.report(1, "--identity @carol.id --try-keys @sealed.eml"); len(r.Codes) != 1 || r.Codes[0] != "decrypt.no_key" {
		t.Error(r.Codes)
	}
	renewed := d.renewed("bob")
	if r := d.report(1, "--identity "+renewed+" @sealed.eml"); len(r.Codes) != 1 || r.Codes[0] != "decrypt.no_key" {
		t.Error(r.Codes)
	}
	if r := d.report(0, "--identity @carol.id --identity "+renewed+" --try-keys --out @content @sealed.eml"); r.Verdict != "authentic" {
		t.Errorf("%+v", r)
	}
}

// renewed writes an identity with the key of somebody and another certificate.
func (d *desk) renewed(name string) string {
	d.t.Helper()
	block, rest := pem.Decode([]byte(d.read(name + ".id")))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		d.t.Fatal(err)
	}
	old, _ := pem.Decode(rest)
	cert, err := x509.ParseCertificate(old.Bytes)
	if err != nil {
		d.t.Fatal(err)
	}
	cert.SerialNumber, cert.SignatureAlgorithm = big.NewInt(4711), 0
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, cert.PublicKey, key)
	if err != nil {
		d.t.Fatal(err)
	}
	file := filepath.Join(d.dir, name+"-renewed.id")
	text := append(pem.EncodeToMemory(block), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		d.t.Fatal(err)
	}
	return file
}

// --inspect --json shows time stamps and countersignatures as the contract lets it.
func TestEvidenceInJSON(t *testing.T) {
	d := newDesk(t)
	open := filepath.Join("..", "..", "testdata", "open")
	roots := "--roots " + filepath.Join(open, "pki", "root.pem") + " --roots " + filepath.Join(open, "pki", "second", "root.pem")
	var report struct {
		Verdict string
		Layers  []struct {
			Signatures []struct {
				Codes                         []string
				Timestamps, Countersignatures []struct {
					Crypto, Trust, Address string
					Time                   string
					Used                   bool
					Signer                 struct{ Mailboxes []string }
				}
			}
		}
	}
	read := func(name string) {
		t.Helper()
		out := d.run(0, "", "open --json "+roots+" "+filepath.Join(open, name))
		report.Layers = nil
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		if report.Verdict != "authentic" {
			t.Errorf("%s: %s", name, out)
		}
	}
	read("a13-twin-time-stamp.eml")
	s := report.Layers[0].Signatures[0]
	if len(s.Timestamps) != 1 || s.Timestamps[0].Trust != "valid" || !s.Timestamps[0].Used || s.Timestamps[0].Time == "" || s.Codes[0] != "timestamp.used" {
		t.Errorf("%+v", s)
	}
	read("a15-twin-countersignature.eml")
	s = report.Layers[0].Signatures[0]
	if len(s.Countersignatures) != 1 || s.Countersignatures[0].Trust != "valid" || s.Countersignatures[0].Signer.Mailboxes[0] != "bob@good.example" || s.Countersignatures[0].Address != "not-checked" {
		t.Errorf("%+v", s)
	}
}

// A secret or a password stands for a recipient, in both directions.
func TestSecretsAsRecipients(t *testing.T) {
	d := newDesk(t)
	const secret = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	d.run(0, "", "seal --identity @alice.id --secret "+secret+" --secret-id c0ffee --passphrase swordfish --out @sealed.eml @plain.eml")
	d.report(0, "--secret "+secret+" @sealed.eml")
	d.report(0, "--passphrase swordfish @sealed.eml")
	if r := d.report(1, "--passphrase sailfish @sealed.eml"); r.Codes[0] != "decrypt.failed" {
		t.Error(r.Codes)
	}
	if r := d.report(1, "--identity @bob.id @sealed.eml"); r.Codes[0] != "decrypt.no_key" {
		t.Error(r.Codes)
	}
	d.run(2, "", "encrypt --secret xyz @plain.eml")
	// A shell makes nothing of a variable that is not set: nobody is left out for that.
	for _, empty := range []string{"--secret=", "--passphrase=", "--secret-id=", "--secret-id=c0ffee"} {
		d.run(2, "", "encrypt --to @bob.pem "+empty+" @plain.eml")
	}
	d.run(0, "", "encrypt --to @bob.pem --passphrase=x --out @sealed.eml @plain.eml")
	d.run(1, "", "encrypt --secret 00 @plain.eml")
}

// A key file that cannot be used leaves the message to the others, and is told of.
func TestOneUnusableIdentity(t *testing.T) {
	d := newDesk(t)
	d.run(0, "", "encrypt --to @bob.pem --out @encrypted.eml @plain.eml")
	d.write("odd.id", strings.Replace(d.read("alice.id"), "-----BEGIN PRIVATE KEY-----\nM", "-----BEGIN PRIVATE KEY-----\nA", 1))
	open := func(exit int, identities ...string) string {
		t.Helper()
		args := []string{"open", "--allow", "unsigned", "--json"}
		for _, name := range identities {
			args = append(args, "--identity", filepath.Join(d.dir, name))
		}
		var stdout, stderr strings.Builder
		if got := run(append(args, filepath.Join(d.dir, "encrypted.eml")), strings.NewReader(""), &stdout, &stderr); got != exit || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%q: status %d, %s", identities, got, stderr.String())
		}
		if !strings.Contains(stderr.String(), "odd.id") {
			t.Errorf("%q: %s", identities, stderr.String())
		}
		return stdout.String()
	}
	open(0, "odd.id", "bob.id")
	open(0, "bob.id", "odd.id")
	if out := open(1, "odd.id", "carol.id"); !strings.Contains(out, "decrypt.no_key") {
		t.Error(out)
	}
	if out := open(1, "odd.id"); !strings.Contains(out, "identity.unusable") {
		t.Error(out)
	}
}
