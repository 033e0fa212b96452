package brlint_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/chain/brlint"
	"github.com/postseal/postseal/internal/pkix"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// strictMailbox is a certificate without fault, as a template to put faults into.
func strictMailbox() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: stdpkix.Name{CommonName: "alice@example.com"},
		NotBefore: begin, NotAfter: begin.Add(825*24*time.Hour - time.Second),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		EmailAddresses: []string{"alice@example.com"}, CRLDistributionPoints: []string{"http://crl.example/a.crl"},
		OCSPServer: []string{"http://ocsp.example/"}, SubjectKeyId: []byte{1}, AuthorityKeyId: []byte{2},
		Policies: []x509.OID{reserved(1, 3)},
	}
}

// reserved is one of the twelve reserved policies.
func reserved(kind, generation uint64) x509.OID {
	id, err := x509.OIDFromInts([]uint64{2, 23, 140, 1, 5, kind, generation})
	if err != nil {
		panic(err)
	}
	return id
}

func sign(tmpl *x509.Certificate) (*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := &x509.Certificate{Subject: stdpkix.Name{CommonName: "CA"}, SubjectKeyId: []byte{2}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name string
		want string // the one code, or ""
		edit func(*x509.Certificate)
	}{
		{"without fault", "", func(c *x509.Certificate) {}},
		{"no reserved policy", "br.policy", func(c *x509.Certificate) { c.Policies = nil }},
		{"two reserved policies", "br.policy", func(c *x509.Certificate) {
			c.Policies = append(c.Policies, reserved(2, 3))
		}},
		{"legacy after its end", "br.legacy", func(c *x509.Certificate) { c.Policies[0] = reserved(1, 1) }},
		{"a second too long", "br.validity", func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(time.Second) }},
		{"no purpose", "br.eku", func(c *x509.Certificate) { c.ExtKeyUsage = nil }},
		{"a second purpose", "br.eku", func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) }},
		{"no keyUsage", "br.key_usage", func(c *x509.Certificate) { c.KeyUsage = 0 }},
		{"keyEncipherment of an EC key", "br.key_usage", func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyEncipherment }},
		{"keyAgreement of an EC key", "", func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyAgreement }},
		{"no names", "br.san", func(c *x509.Certificate) { c.EmailAddresses, c.Subject.CommonName = nil, "" }},
		{"common name is no mailbox", "br.common_name", func(c *x509.Certificate) { c.Subject.CommonName = "Alice" }},
		{"common name is another mailbox", "br.mailbox", func(c *x509.Certificate) { c.Subject.CommonName = "bob@example.com" }},
		{"no CRL", "br.crl", func(c *x509.Certificate) { c.CRLDistributionPoints = nil }},
		{"a CRL in a directory", "br.crl_scheme", func(c *x509.Certificate) {
			c.CRLDistributionPoints = append(c.CRLDistributionPoints, "ldap:///CN=CA")
		}},
		{"https for the issuer", "br.aia", func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"https://ca.example/"} }},
		{"a CA", "br.basic_constraints", func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA = true, true }},
	} {
		tmpl := strictMailbox()
		tt.edit(tmpl)
		c, err := sign(tmpl)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range brlint.Check(c, nil) {
			if f.Severity == "warning" && !slices.Contains(got, f.Code) {
				got = append(got, f.Code)
			}
			if f.Reference == "" || f.Detail == "" || f.Certificate != c {
				t.Errorf("%s: incomplete finding %+v", tt.name, f)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
	c, err := sign(strictMailbox())
	if err != nil {
		t.Fatal(err)
	}
	if list := brlint.Check(c, c); len(list) != 1 || list[0].Code != "br.issuer" {
		t.Errorf("another issuer: %v", list)
	}
}

// lints maps the lints of zlint that have a rule here to its code.
func lints() map[string]string {
	return map[string]string{
		"_legacy_multipurpose_eku_check": "br.eku", "_strict_eku_check": "br.eku",
		"key_usage_presence": "br.key_usage", "rsa_key_usage_strict": "br.key_usage", "rsa_key_usage_legacy_multipurpose": "br.key_usage", "rsa_other_key_usages": "br.key_usage",
		"ecpublickey_key_usages": "br.key_usage", "ecpublickey_other_key_usages": "br.key_usage", "edwardspublickey_key_usages": "br.key_usage",
		"san_shall_be_present": "br.san", "authority_key_identifier": "br.aki", "commonname_mailbox_validated": "br.common_name",
		"strict_aia_has_http_only": "br.aia", "legacy_aia_has_one_http": "br.aia",
		"subscribers_crl_distribution_points_are_http": "br.crl_scheme", "subscribers_shall_have_crl_distribution_points": "br.crl",
	}
}

// TestAgreesWithZlint holds the rules against zlint's own samples and what it says of them.
func TestAgreesWithZlint(t *testing.T) {
	root := os.Getenv("POSTSEAL_CORPUS")
	if root == "" {
		t.Skip("POSTSEAL_CORPUS is not set")
	}
	text, err := os.ReadFile(filepath.Join(root, "zlint-smime", "expected.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		code := lints()[strings.TrimPrefix(f[1], "zlint ")]
		if code == "" || f[2] != "Pass" && f[2] != "Error" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, "zlint-smime", f[0]))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := pem.Decode(data)
		if b == nil {
			t.Fatalf("%s: no certificate", f[0])
		}
		c, err := pkix.ParseCertificate(b.Bytes)
		if err != nil {
			t.Errorf("%s: %v", f[0], err)
			continue
		}
		found := false
		for _, x := range brlint.Check(c, nil) {
			found = found || x.Code == code && x.Severity == "warning"
		}
		compared++
		if found != (f[2] == "Error") {
			t.Errorf("%s: %s says %s, we find %v", f[0], f[1], f[2], brlint.Check(c, nil))
		}
	}
	if compared < 40 {
		t.Errorf("only %d samples compared", compared)
	}
}

func ExampleCheck() {
	tmpl := strictMailbox()
	tmpl.CRLDistributionPoints = nil
	c, err := sign(tmpl)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range brlint.Check(c, nil) {
		fmt.Printf("%s: %s (%s)\n", f.Code, f.Detail, f.Reference)
	}
	// Output: br.crl: it names no CRL (S/MIME BR, Section 7.1.2.3 b)
}
