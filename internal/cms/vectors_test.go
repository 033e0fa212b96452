package cms_test

import (
	"bytes"
	"crypto/x509"
	"math/big"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/cms"
	vectors "github.com/postseal/postseal/internal/corpus"
	forging "github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
)

// TestSignatureVectors puts every vector of a forged or unusual signature into a
// SignerInfo over its message, without signed attributes, and verifies that: rows B01 to
// B03, by the way that mail takes.
func TestSignatureVectors(t *testing.T) {
	folder := vectors.Path(t, "wycheproof", "testvectors_v1")
	hashes := map[string]oid.OID{"SHA-1": oid.SHA1, "SHA-224": oid.SHA224, "SHA-256": oid.SHA256, "SHA-384": oid.SHA384,
		"SHA-512": oid.SHA512, "SHA-512/224": oid.SHA512_224, "SHA-512/256": oid.SHA512_256}
	ecdsa := map[string]oid.OID{"SHA-224": oid.ECDSAWithSHA224, "SHA-256": oid.ECDSAWithSHA256, "SHA-384": oid.ECDSAWithSHA384, "SHA-512": oid.ECDSAWithSHA512}
	type group struct {
		PublicKeyDer, KeyDer vectors.Hex
		SHA                  string
		Tests                []struct {
			vectors.Case
			Msg, Sig vectors.Hex
		}
	}
	for _, c := range []struct {
		files     string
		least     int
		algorithm func(sha string) []byte
		digest    func(sha string) oid.OID
	}{
		{"rsa_signature_*_test.json", 2000, func(string) []byte { return forging.Algorithm(oid.RSA, forging.Null()) }, func(sha string) oid.OID { return hashes[sha] }},
		{"ecdsa_secp*_test.json", 1000, func(sha string) []byte { return forging.Algorithm(ecdsa[sha], nil) }, func(sha string) oid.OID { return hashes[sha] }},
		{"ed25519_test.json", 100, func(string) []byte { return forging.Algorithm(oid.Ed25519, nil) }, func(string) oid.OID { return oid.SHA512 }},
	} {
		files, err := filepath.Glob(filepath.Join(folder, c.files))
		if err != nil || len(files) == 0 {
			t.Fatalf("no vectors %s", c.files)
		}
		n, good := 0, 0
		for _, path := range files {
			name := filepath.Base(path)
			for _, g := range vectors.Wycheproof[group](t, name) {
				signer := &x509.Certificate{RawIssuer: nameDER("Vectors"), SerialNumber: big.NewInt(1),
					RawSubjectPublicKeyInfo: append(g.PublicKeyDer, g.KeyDer...)}
				digest := forging.Algorithm(c.digest(g.SHA), nil)
				for _, v := range g.Tests {
					n++
					signed := forging.Signed{ContentType: oid.Data, Content: append([]byte{}, v.Msg...), Announced: [][]byte{digest},
						Signers: []*forging.Signer{{Certificate: signer, DigestAlgorithm: digest, SignatureAlgorithm: c.algorithm(g.SHA), Signature: append([]byte{}, v.Sig...)}}}
					sd, _, err := openSigned(bytes.NewReader(signed.DER()))
					if err != nil {
						t.Fatalf("%s %d: %v", name, v.TcID, err)
					}
					r := sd.SignerInfos()[0].Verify(signer, sd.EContentType(), sd.Digests(), cms.VerifyOptions{AllowSHA1: true, AllowLegacyKeys: true})
					if r.State == "valid" {
						good++
					}
					// The lenient encodings that other libraries take are not taken here.
					if (r.State == "valid") != (v.Result == "valid") {
						t.Errorf("%s %d (%s, %s): %s, %s %v", name, v.TcID, v.Comment, strings.Join(v.Flags, " "), v.Result, r.State, r.Codes)
					}
				}
			}
		}
		if n < c.least || good == 0 {
			t.Errorf("%s: %d vectors, %d of them good", c.files, n, good)
		}
		t.Logf("%s: %d vectors, %d of them good", c.files, n, good)
	}
}
