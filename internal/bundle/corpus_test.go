package bundle_test

import (
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/postseal/postseal/internal/bundle"
	"github.com/postseal/postseal/internal/corpus"
)

func TestCorpus(t *testing.T) {
	const tika = "tika/tika-parsers/tika-parsers-standard/tika-parsers-standard-modules/tika-parser-crypto-module/src/test/resources/test-documents/"
	for _, tt := range []struct {
		file        string
		certs, crls int
		warnings    int
	}{
		{"sst/windows-disallowedcert.sst", 71, 0, 0},
		{"sst/made-noprops.sst", 71, 0, 0},
		{"sst/made-noend.sst", 71, 0, 1},
		{"sst/made-mini.sst", 3, 0, 0},
		{"sst/made-out.sst", 3, 0, 0},
		{"sst/made-dup.sst", 3, 0, 0},
		{"sst/made-fn.sst", 1, 0, 0},
		{"dotnet/TestData.StoreSavedAsSerializedStoreData.sst", 2, 0, 0},
		{"pyca/pkcs7/amazon-roots.p7b", 2, 0, 0},
		{"pyca/pkcs7/amazon-roots.der", 2, 0, 0},
		{"boringssl/crypto/pkcs7/test/nss.p7c", 3, 0, 0},
		{"boringssl/crypto/pkcs7/test/windows.p7c", 1, 0, 0},
		{"boringssl/crypto/pkcs7/test/openssl_crl.p7c", 0, 1, 0},
		{"rustcrypto/cms/tests/examples/pkits.p7b", 2, 0, 0},
		{"rustcrypto/cms/tests/examples/pkits_ee.p7b", 1, 0, 0},
		{tika + "testPKCS7_certs_only_ind.p7c", 2, 0, 0},
		{tika + "testPKCS7_certs_only_def.p7c", 2, 0, 0},
	} {
		t.Run(filepath.Base(tt.file), func(t *testing.T) {
			b, err := bundle.Parse(corpus.Read(t, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Certificates) != tt.certs || len(b.CRLs) != tt.crls || len(b.Warnings) != tt.warnings {
				t.Errorf("%d certificates, %d CRLs, warnings %v; want %d, %d, %d", len(b.Certificates), len(b.CRLs), b.Warnings, tt.certs, tt.crls, tt.warnings)
			}
		})
	}
	if _, err := bundle.Parse(corpus.Read(t, "sst/made-trunc.sst")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("truncated store: %v", err)
	}
	if b, err := bundle.Parse(corpus.Read(t, "sst/made-badmagic.sst")); err == nil {
		t.Errorf("store with a wrong magic number: %v", b)
	}
	if b, err := bundle.Parse(corpus.Read(t, "sst/made-fn.sst")); err != nil || b.Names[b.Certificates[0]] == "" {
		t.Errorf("friendly name is lost: %v, %v", b, err)
	}
}
