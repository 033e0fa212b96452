package certstore_test

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
)

// corpusFile returns the octets of a file of the corpus.
func corpusFile(t testing.TB, name string) []byte {
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

// Every PKCS#12 file of the corpus opens, or is listed here with what stands in its way
// and what the error says of it.
func TestPKCS12Corpus(t *testing.T) {
	// Passwords that the index of the corpus does not know.
	passwords := map[string]string{
		"gnupg-cms/samplekeys/edward.tester@demo.gnupg.com.p12": "abc,123456",
	}
	const unknown = "password incorrect" // nobody knows the password
	refused := map[string]string{
		"bad1.p12": "malformed", "bad2.p12": "malformed", "bad3.p12": "malformed",
		"empty_password_ber_nested.p12":                  "levels of strings inside strings", // made to be refused: D01
		"Certificates.s_dsa1024Pfx.pfx":                  "DSA is not supported",             // nobody issues DSA certificates for mail
		"TestData.Dsa1024Pfx.pfx":                        "DSA is not supported",
		"dsa/smime.pfx":                                  "DSA is not supported",
		"TestData.ECDsabrainpoolP160r1_Pfx.pfx":          "curve", // not in RFC 5753, and 160 bits are too few
		"TestData.ECDsabrainpoolP160r1_Explicit_Pfx.pfx": "curve",
		"ec/smime.pfx":                                   "curve", // explicit parameters, which RFC 5480, Section 2.1.1 forbids
		"edward.tester@demo.gnupg.com.p12":               unknown,
		"cryptlib-key.p12":                               unknown,
		"t5793-test.pfx":                                 unknown,
		"user@imap.localhost.chain.p12":                  unknown,
		"user@imap.localhost.p12":                        unknown,
		"cms/tests/examples/example.pfx":                 unknown,
		"testRSAKEYandCERT.p12":                          unknown,
		"example11.pfx":                                  "MAC digest",    // BLAKE2, which RFC 7292 does not know
		"example5.pfx":                                   "without a MAC", // attack row H03
	}
	used := map[string]bool{}
	rows := strings.Split(strings.TrimSpace(string(corpusFile(t, "pkcs12.tsv"))), "\n")
	for _, line := range rows[1:] {
		f := strings.Split(line, "\t")
		t.Run(filepath.Base(f[0]), func(t *testing.T) {
			password := strings.Trim(f[1], "?")
			if password == "(empty)" {
				password = ""
			}
			if p, ok := passwords[f[0]]; ok {
				password = p
			}
			want, keys, why := "", 1, ""
			for suffix, reason := range refused {
				if strings.HasSuffix(f[0], "/"+suffix) {
					why, used[suffix] = reason, true
				}
			}
			switch {
			case why != "":
				want = why
			case strings.HasPrefix(f[2], "keys=0"): // a collection of certificates
				want = "no private key"
			case strings.HasSuffix(f[2], "certs=0"):
				want = "no certificate"
			case strings.HasPrefix(f[2], "keys=2"):
				keys = 2
			}
			ids, err := certstore.ReadIdentities(corpusFile(t, f[0]), password)
			if want != "" {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want an error that says %q", err, want)
				}
				if (want == unknown) != errors.Is(err, x509.IncorrectPasswordError) {
					t.Errorf("wrong password or not: %v", err)
				}
				return
			}
			if err != nil || len(ids) != keys {
				t.Fatalf("got %d identities, %v; want %d", len(ids), err, keys)
			}
			// The MAC must notice another password.
			if _, err := certstore.ReadIdentities(corpusFile(t, f[0]), password+"x"); !errors.Is(err, x509.IncorrectPasswordError) {
				t.Errorf("wrong password: %v", err)
			}
		})
	}
	if len(rows) < 100 || len(used) != len(refused) {
		t.Errorf("%d files in the index, %d of %d reasons used", len(rows)-1, len(used), len(refused))
	}
}
