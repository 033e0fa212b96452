package certstore_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/corpus"
)

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
	rows := strings.Split(strings.TrimSpace(string(corpus.Read(t, "pkcs12.tsv"))), "\n")
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
			ids, err := certstore.ReadIdentities(corpus.Read(t, f[0]), password)
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
			if _, err := certstore.ReadIdentities(corpus.Read(t, f[0]), password+"x"); !errors.Is(err, x509.IncorrectPasswordError) {
				t.Errorf("wrong password: %v", err)
			}
		})
	}
	if len(rows) < 100 || len(used) != len(refused) {
		t.Errorf("%d files in the index, %d of %d reasons used", len(rows)-1, len(used), len(refused))
	}
}

// PEM files of the corpus with keys of every kind that mail uses, and some that it does not.
func TestPEMCorpus(t *testing.T) {
	const (
		openssl = "openssl/smime-certs/"
		dsa     = "pqc/dilithium-certificates/examples/ML-DSA-"
		kem     = "pqc/kyber-certificates/example/ML-KEM-"
	)
	for _, tt := range []struct {
		files string // one after the other
		want  string // type of the key, or what the error says
	}{
		{openssl + "smrsa1.pem", "*rsa.PrivateKey"},
		{openssl + "smrsa1024.pem", "*rsa.PrivateKey"},
		{openssl + "smroot.pem", "*rsa.PrivateKey"},
		{openssl + "smec1.pem", "*ecdsa.PrivateKey"},
		{openssl + "smec3.pem", "*ecdsa.PrivateKey"},
		{openssl + "sm_mldsa44.pem", "*mldsa.PrivateKey"},
		{openssl + "smec2.pem", "unknown elliptic curve"}, // K-283
		{openssl + "smdsa1.pem", "DSA is not supported"},
		{openssl + "smdh.pem", "is not supported"},                // finite-field Diffie-Hellman
		{openssl + "sm_slhdsa_sha2_128s.pem", "is not supported"}, // RFC 9814, which nothing here signs with
		{"openssl/certs/ec_privkey_with_chain.pem", "*ecdsa.PrivateKey"},
		{"openssl/certs/cert-key-cert.pem", "*rsa.PrivateKey"},
		{"rustcrypto/pkcs12/tests/examples/ValidCertificatePathTest1EE.pem", "*rsa.PrivateKey"},
		{"notmuch/test/smime/key+cert.pem", "invalid CRT exponent"}, // one of its values is wrong: B10
		{"rfc9216/s4.1_Alice_s_Signature_Verification_End_Entity_Certificate.crt rfc9216/s4.2_Alice_s_Signing_Private_Key_Material.key", "*rsa.PrivateKey"},
		{"rfc9216/s7.2_Carlos_s_Signing_Private_Key_Material.key rfc9216/s7.1_Carlos_s_Signature_Verification_End_Entity_Certificate.crt", "ed25519.PrivateKey"},
		{"rfc9216/s8.4_Dana_s_Decryption_Private_Key_Material.key rfc9216/s8.3_Dana_s_Encryption_End_Entity_Certificate.crt", "*ecdh.PrivateKey"},
		{dsa + "44.crt " + dsa + "44-seed.priv", "*mldsa.PrivateKey"},
		{dsa + "65.crt " + dsa + "65-both.priv", "*mldsa.PrivateKey"},
		{dsa + "87.crt " + dsa + "87-both.priv", "*mldsa.PrivateKey"},
		{kem + "512.crt " + kem + "512-expanded.priv", "*kem.Key"},
		{kem + "768.crt " + kem + "768-both.priv", "*mlkem.DecapsulationKey768"},
		{kem + "1024.crt " + kem + "1024-seed.priv", "*mlkem.DecapsulationKey1024"},
		{kem + "1024.crt " + kem + "768-seed.priv", "no certificate that belongs"},
	} {
		var data []byte
		for _, name := range strings.Fields(tt.files) {
			data = append(append(data, corpus.Read(t, name)...), '\n')
		}
		ids, err := certstore.ReadIdentities(data, "")
		got := ""
		if err != nil {
			got = err.Error()
		} else if len(ids) != 1 {
			t.Errorf("%s: %d identities", tt.files, len(ids))
			continue
		} else {
			got = fmt.Sprintf("%T", ids[0].Key())
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %s, want %s", tt.files, got, tt.want)
		}
	}
}
