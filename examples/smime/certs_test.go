package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gopkcs12 "software.sslmate.com/src/go-pkcs12"
)

// certsFixture writes certificate files into a folder and returns it: a good one, one with
// everything wrong with it, and a PKCS#12 file.
func certsFixture(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(tmpl *x509.Certificate, public any) *x509.Certificate {
		tmpl.SerialNumber = big.NewInt(0x1234)
		if tmpl.NotAfter.IsZero() {
			tmpl.NotBefore, tmpl.NotAfter = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}}, public, key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	template, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagBMPString, Bytes: []byte("\x00U\x00s\x00e\x00r")})
	if err != nil {
		t.Fatal(err)
	}
	good := issue(&x509.Certificate{Subject: pkix.Name{CommonName: "Alice"}, EmailAddresses: []string{"alice@example.org"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2}, Value: template}}}, key.Public())
	bad := issue(&x509.Certificate{Subject: pkix.Name{CommonName: "\x1b[31mBad\n"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage: x509.KeyUsageCRLSign, NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)}, short.Public())
	p12, err := gopkcs12.Modern2023.Encode(key, good, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"good.der": good.Raw, "bad.crt": bad.Raw, "good.p12": p12,
		"both.pem": slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good.Raw}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: bad.Raw})),
		"junk.txt": []byte("hello")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// certs runs the command and returns what it prints.
func certs(t *testing.T, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	exit = certsCommand(append([]string{"--time", "2026-06-01T00:00:00Z"}, args...), strings.NewReader(""), &out, &errs)
	if (exit == 0) != (errs.Len() == 0) || strings.Count(errs.String(), "\n") > 1 {
		t.Errorf("certs %v: exit %d, stderr %q", args, exit, errs.String())
	}
	return exit, out.String(), errs.String()
}

func TestCertsJSON(t *testing.T) {
	dir := certsFixture(t)
	exit, out, _ := certs(t, "--json", filepath.Join(dir, "both.pem"))
	var r certsReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || exit != 0 || len(r.Certificates) != 2 {
		t.Fatalf("exit %d, %v: %s", exit, err, out)
	}
	good, bad := r.Certificates[0], r.Certificates[1]
	if good.Subject != "CN=Alice" || good.Issuer != "CN=CA" || !slices.Equal(good.Mailboxes, []string{"alice@example.org"}) || good.Key != "ec-p256" ||
		good.Serial != "1234" || len(good.SHA256) != 64 || len(good.SHA1) != 40 || len(good.Warnings) != 0 || good.CA ||
		!slices.Equal(good.Uses, []string{"digitalSignature", "emailProtection"}) || !slices.Equal(good.Extensions, []certDetail{{"template", "User"}}) {
		t.Errorf("good certificate: %+v", good)
	}
	var codes []string
	for _, w := range bad.Warnings {
		codes = append(codes, w.Code)
	}
	if want := []string{"time.expired", "alg.weak_key", "address.absent", "ku.mail", "eku.leaf"}; !slices.Equal(codes, want) {
		t.Errorf("warnings %v, want %v", codes, want)
	}
}

func TestCertsText(t *testing.T) {
	dir := certsFixture(t)
	exit, out, _ := certs(t, filepath.Join(dir, "both.pem"))
	if exit != 0 || !strings.Contains(out, "mailboxes  alice@example.org") || !strings.Contains(out, "(time.expired)") {
		t.Errorf("exit %d:\n%s", exit, out)
	}
	if strings.ContainsRune(out, 0x1b) {
		t.Error("a certificate writes control characters to the terminal")
	}
	for _, name := range []string{"good.p12", "."} {
		if exit, out, _ := certs(t, "--password", "secret", filepath.Join(dir, name)); exit != 0 || !strings.Contains(out, "CN=Alice") {
			t.Errorf("%s: exit %d:\n%s", name, exit, out)
		}
	}
}

func TestCertsConvert(t *testing.T) {
	dir := certsFixture(t)
	for _, end := range []string{"pem", "p7b", "sst"} {
		out := filepath.Join(dir, "out."+end)
		if exit, _, stderr := certs(t, "--convert", out, filepath.Join(dir, "both.pem")); exit != 0 {
			t.Fatalf("%s: %s", end, stderr)
		}
		_, listed, _ := certs(t, "--json", out)
		var r certsReport
		if err := json.Unmarshal([]byte(listed), &r); err != nil || len(r.Certificates) != 2 {
			t.Errorf("%s: %v: %s", end, err, listed)
		}
	}
	der := filepath.Join(dir, "out.der")
	if exit, _, _ := certs(t, "--convert", der, filepath.Join(dir, "both.pem")); exit != exitNotGood {
		t.Errorf("two certificates as DER: exit %d", exit)
	}
	if _, err := os.Stat(der); err == nil {
		t.Error("a refused conversion left a file")
	}
	if exit, _, _ := certs(t, "--convert", der, filepath.Join(dir, "good.der")); exit != 0 {
		t.Errorf("one certificate as DER: exit %d", exit)
	}
}

func TestCertsRefuses(t *testing.T) {
	dir := certsFixture(t)
	for _, tt := range []struct {
		args []string
		exit int
	}{
		{nil, exitUsage},
		{[]string{"--what", "x"}, exitUsage},
		{[]string{"--convert", "x.txt", filepath.Join(dir, "good.der")}, exitUsage},
		{[]string{filepath.Join(dir, "missing.pem")}, exitUnreadable},
		{[]string{filepath.Join(dir, "junk.txt")}, exitUnreadable},
		{[]string{"-"}, exitUnreadable},
		{[]string{filepath.Join(dir, "good.p12")}, exitNotGood},
	} {
		if exit, _, stderr := certs(t, tt.args...); exit != tt.exit || !strings.HasPrefix(stderr, "smime: certs: ") {
			t.Errorf("certs %v: exit %d, %q; want %d", tt.args, exit, stderr, tt.exit)
		}
	}
}
