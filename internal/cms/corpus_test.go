package cms_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// corpusVerdicts says what becomes of each SignedData of the corpus, old algorithms
// allowed. "valid sha256 rsa-pss" is one signature; several are separated by commas.
func corpusVerdicts() map[string]string {
	const (
		bc   = "bc-java/pkix/src/test/resources/org/bouncycastle/cms/test/"
		tika = "tika/tika-parsers/tika-parsers-standard/tika-parsers-standard-modules/tika-parser-crypto-module/src/test/resources/test-documents/"
		tb   = "thunderbird/mailnews/test/data/smime/"
		rust = "rustcrypto/cms/tests/examples/"
		bor  = "boringssl/crypto/pkcs7/test/"
		doc  = "dotnet/SignedDocuments."
	)
	return map[string]string{
		bc + "PSSSignDataSHA1.sig":      "valid sha1 rsa-pss",
		bc + "PSSSignDataSHA1Enc.sig":   "valid sha1 rsa-pss",
		bc + "PSSSignDataSHA256.sig":    "valid sha256 rsa-pss",
		bc + "PSSSignDataSHA256Enc.sig": "valid sha256 rsa-pss",
		bc + "PSSSignDataSHA512.sig":    "valid sha512 rsa-pss",
		bc + "PSSSignDataSHA512Enc.sig": "valid sha512 rsa-pss",
		bc + "SignedMSPkcs7.sig":        "valid md5 rsa-pkcs1",
		bc + "bc1639test.p7m":           "valid sha256 rsa-pkcs1",
		bc + "counterSig.p7m":           "valid sha1 rsa-pkcs1",
		// The NULL in DigestInfo is missing: peers disagree, and we side with the strict.
		bc + "rawsha256nonull.p7m": "invalid sha256 rsa-pkcs1 sig.invalid",

		bor + "nss.p7c":                "",
		bor + "openssl_crl.p7c":        "",
		bor + "windows.p7c":            "",
		bor + "sign_sha1.p7s":          "unsupported sha1 rsa-pkcs1 signer.no_certificate",
		bor + "sign_sha1_key_id.p7s":   "unsupported sha1 rsa-pkcs1 signer.no_certificate",
		bor + "sign_sha256.p7s":        "unsupported sha256 rsa-pkcs1 signer.no_certificate",
		bor + "sign_sha256_cert2.p7s":  "unsupported sha256 rsa-pkcs1 signer.no_certificate",
		bor + "sign_sha256_key_id.p7s": "unsupported sha256 rsa-pkcs1 signer.no_certificate",

		"dotnet/DecryptTests.content.cms":                              "valid sha1 rsa-pkcs1",
		"dotnet/DecryptTests.expectedContent.cms":                      "valid sha1 rsa-pkcs1",
		"dotnet/DecryptTests.expectedContent_1.cms":                    "valid sha1 rsa-pkcs1",
		"dotnet/GeneralTests.encodedMessage_3.cms":                     "valid sha1 rsa-pkcs1",
		"dotnet/TestData.Pkcs7ChainDerBytes.cms":                       "",
		"dotnet/TestData.Pkcs7ChainPemBytes.pem":                       "",
		"dotnet/TestData.Pkcs7EmptyDerBytes.cms":                       "",
		"dotnet/TestData.Pkcs7EmptyPemBytes.pem":                       "",
		"dotnet/TestData.Pkcs7SingleDerBytes.cms":                      "",
		"dotnet/TestData.Pkcs7SinglePemBytes.pem":                      "",
		"dotnet/TestData.StoreSavedAsPfxData.cms":                      "",
		doc + "CounterSignedRsaPkcs1OneSigner.cms":                     "valid sha1 rsa-pkcs1",
		doc + "DigiCertTimeStampToken.cms":                             "valid sha256 rsa-pkcs1 attr.not_der",
		doc + "IndefiniteLengthContentDocument.cms":                    "valid sha256 rsa-pkcs1",
		doc + "NoSignatureSignedWithAttributesAndCounterSignature.cms": "unsupported sha1  sig.unsupported",
		doc + "NoSignatureWithNoAttributes.cms":                        "unsupported sha1  sig.unsupported",
		doc + "OneDsa1024.cms":                                         "valid sha1 dsa",
		doc + "OneRsaSignerTwoRsaCounterSigners.cms":                   "valid sha1 rsa-pkcs1",
		doc + "RsaCapiTransfer1_NoEmbeddedCert.cms":                    "unsupported sha1 rsa-pkcs1 signer.no_certificate",
		doc + "RsaPkcs1CounterSignedWithNoSignature.cms":               "valid sha1 rsa-pkcs1",
		doc + "RsaPkcs1OneSignerIssuerAndSerialNumber.cms":             "valid sha1 rsa-pkcs1",
		doc + "RsaPkcs1Sha256WithRsa.cms":                              "valid sha256 rsa-pkcs1",
		doc + "RsaPkcs1SignedSha1DeclaredSha256WithRsa.cms":            "invalid sha1 rsa-pkcs1 alg.mismatch",
		doc + "RsaPssDocument.cms":                                     "valid sha256 rsa-pss",
		doc + "SignedCmsOverEnvelopedCms_IssuerSerial_CoreFx.cms":      "valid sha256 rsa-pkcs1",
		doc + "SignedCmsOverEnvelopedCms_IssuerSerial_NetFx.cms":       "valid sha1 rsa-pkcs1",
		doc + "SignedCmsOverEnvelopedCms_SKID_CoreFx.cms":              "valid sha256 rsa-pkcs1",
		doc + "SignedCmsOverEnvelopedCms_SKID_NetFx.cms":               "valid sha1 rsa-pkcs1",
		doc + "UnsortedSignerInfos.cms":                                "valid sha1 rsa-pkcs1, valid sha1 rsa-pkcs1, valid sha1 rsa-pkcs1",

		// The gpgsm of 2002 left out content-type, which RFC 5652, Section 5.3, demands.
		"gnupg-cms/text-1.dsig.pem":          "invalid sha1 rsa-pkcs1 attr.missing",
		"gnupg-cms/text-1.osig.pem":          "invalid sha1 rsa-pkcs1 attr.missing",
		"gnupg-cms/text-1.osig-bad.pem":      "invalid sha1 rsa-pkcs1 attr.missing digest.mismatch",
		"gnupg-cms/text-1.osig-badusage.pem": "invalid sha1 rsa-pkcs1 attr.missing",
		"gnupg-cms/text-2.osig.pem":          "invalid sha1 rsa-pkcs1 attr.missing",
		"gnupg-cms/text-2.osig-bad.pem":      "invalid sha1 rsa-pkcs1 attr.missing sig.invalid",

		"pqc/cms-ml-dsa/examples/mldsa44-signed-attrs.pem": "valid sha512 ml-dsa-44",
		"pqc/cms-ml-dsa/examples/mldsa65-signed-attrs.pem": "valid sha512 ml-dsa-65",
		"pqc/cms-ml-dsa/examples/mldsa87-signed-attrs.pem": "valid sha512 ml-dsa-87",

		"pyca/pkcs7/amazon-roots.der": "",
		"pyca/pkcs7/amazon-roots.p7b": "",
		"pyca/pkcs7/isrg.pem":         "",

		"rfc4134/4.1.bin":  "valid sha1 dsa",
		"rfc4134/4.2.bin":  "valid sha1 rsa-pkcs1",
		"rfc4134/4.3.bin":  "valid sha1 dsa",
		"rfc4134/4.4.bin":  "valid sha1 dsa",
		"rfc4134/4.5.bin":  "valid sha1 rsa-pkcs1",
		"rfc4134/4.6.bin":  "valid sha1 dsa, unsupported sha1 dsa sig.unsupported", // Diane's key inherits its parameters
		"rfc4134/4.7.bin":  "valid sha1 dsa",
		"rfc4134/4.10.bin": "valid sha1 dsa",
		"rfc4134/4.11.bin": "",

		// A certificate where the content belongs.
		rust + "apple_mdm_signature_der.bin": "malformed ASN.1 at octet 58: found [UNIVERSAL 16] instead of [UNIVERSAL 4]",
		rust + "authroot.stl":                "valid sha256 rsa-pkcs1",
		rust + "cms_ber.bin":                 "valid sha256 ecdsa",
		rust + "cms_der.bin":                 "valid sha256 ecdsa",
		rust + "pkits.p7b":                   "",
		rust + "pkits_ee.p7b":                "",
		rust + "scep_der.bin":                "valid sha256 rsa-pkcs1",
		rust + "sd.cms":                      "valid sha256 rsa-pkcs1",

		tb + "alice.mime.dsig.SHA1":       "valid sha1 rsa-pkcs1",
		tb + "alice.mime.dsig.SHA256":     "valid sha256 rsa-pkcs1",
		tb + "alice.mime.dsig.SHA384":     "valid sha384 rsa-pkcs1",
		tb + "alice.mime.dsig.SHA512":     "valid sha512 rsa-pkcs1",
		tb + "alice.textplain.sig.SHA1":   "valid sha1 rsa-pkcs1",
		tb + "alice.textplain.sig.SHA256": "valid sha256 rsa-pkcs1",
		tb + "alice.textplain.sig.SHA384": "valid sha384 rsa-pkcs1",
		tb + "alice.textplain.sig.SHA512": "valid sha512 rsa-pkcs1",

		tika + "test.xml.p7m":                  "valid sha256 rsa-pkcs1",
		tika + "testDetached.p7s":              "invalid sha1 rsa-pkcs1 cms.no_content",
		tika + "testPKCS7_certs_only_def.p7c":  "",
		tika + "testPKCS7_certs_only_ind.p7c":  "",
		tika + "testPKCS7_signature_def.p7s":   "invalid sha256 rsa-pkcs1 cms.no_content",
		tika + "testPKCS7_signature_ind.p7s":   "invalid sha256 rsa-pkcs1 cms.no_content",
		tika + "testPKCS7_signed_data_def.p7m": "valid sha256 rsa-pkcs1",
		tika + "testPKCS7_signed_data_def.pem": "valid sha256 rsa-pkcs1",
		tika + "testPKCS7_signed_data_ind.p7m": "valid sha256 rsa-pkcs1",
	}
}

// corpusContent returns the content of a detached signature, or nil if the corpus has none.
func corpusContent(t *testing.T, name string) []byte {
	dir, file := filepath.Split(name)
	switch {
	case strings.HasPrefix(file, "PSSSignData"):
		file = "PSSSignData.data"
	case strings.HasPrefix(file, "alice.mime.dsig"):
		file = "alice.mime"
	case file == "text-1.dsig.pem":
		file = "text-1.txt"
	case file == "4.3.bin":
		file = "ExContent.bin"
	default:
		return nil
	}
	b, err := os.ReadFile(filepath.Join(corpus(t), dir, file))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(file, "alice") {
		b = bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	}
	return b
}

// Every SignedData of the corpus is named in the table, and becomes what the table says.
func TestCorpus(t *testing.T) {
	root := corpus(t)
	want := corpusVerdicts()
	found := map[string]bool{}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == "wycheproof" || name == "pkits" || name == "openssl" {
				return fs.SkipDir
			}
			return nil
		}
		b := readCorpus(t, name)
		if signedData := []byte("\x06" + string(rune(len(oid.SignedData))) + string(oid.SignedData)); !bytes.Contains(b[:min(len(b), 20)], signedData) {
			return nil
		}
		found[name] = true
		if _, listed := want[name]; !listed {
			t.Errorf("%s is not in the table", name)
			return nil
		}
		if got := corpusVerdict(t, name, b); got != want[name] {
			t.Errorf("%s: %s, want %s", name, got, want[name])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if !found[name] {
			t.Errorf("%s was not found", name)
		}
	}
}

func corpusVerdict(t *testing.T, name string, b []byte) string {
	sd, _, err := openSigned(bytes.NewReader(b))
	if err != nil {
		return err.Error()
	}
	certs := corpusCertificates(t, name, sd)
	var out []string
	for _, si := range sd.SignerInfos() {
		d := sd.Digests()
		if content := corpusContent(t, name); content != nil {
			h, _ := si.DigestAlgorithm()
			d = cms.NewDigests(h)
			d.Write(content)
		} else if !sd.HasContent() {
			d = nil
		}
		if strings.HasPrefix(name, "boringssl/") {
			d = sd.Digests()
		}
		var cert *x509.Certificate
		if i := slices.IndexFunc(certs, si.Matches); i >= 0 {
			cert = certs[i]
		}
		r := si.Verify(cert, sd.EContentType(), d, cms.VerifyOptions{AllowSHA1: true, AllowMD5: true, AllowLegacyKeys: true})
		out = append(out, strings.Join(append([]string{r.State, r.Digest, r.Algorithm}, r.Codes...), " "))
	}
	return strings.Join(out, ", ")
}

// corpusCertificates returns the certificates inside, or those the corpus has beside them.
func corpusCertificates(t *testing.T, name string, sd *cms.SignedData) []*x509.Certificate {
	ders := sd.Certificates()
	if strings.HasPrefix(name, "pqc/") {
		level := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), "mldsa"), "-signed-attrs.pem")
		ders = append(ders, readCorpus(t, "pqc/dilithium-certificates/examples/ML-DSA-"+level+".crt"))
	}
	var out []*x509.Certificate
	for _, der := range ders {
		if block, _ := pem.Decode(der); block != nil {
			der = block.Bytes
		}
		c, err := pkix.ParseCertificate(der)
		if err != nil {
			t.Errorf("%s: certificate: %v", name, err)
			continue
		}
		out = append(out, c)
	}
	return out
}
