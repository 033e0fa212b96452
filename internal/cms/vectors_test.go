package cms_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"math/big"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/cms"
	vectors "github.com/postseal/postseal/internal/corpus"
	forging "github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/keywrap"
	"github.com/postseal/postseal/internal/oid"
)

// A signatureGroup is a group of vectors of any signature algorithm.
type signatureGroup struct {
	PublicKeyDer, KeyDer, PrivateKeyPkcs8 vectors.Hex
	SHA, MGFSHA                           string
	SLen                                  int
	Tests                                 []struct {
		vectors.Case
		Msg, Sig vectors.Hex
		Ctx      vectors.Hex // of ML-DSA; that of mail is always empty
	}
}

// TestSignatureVectors puts every vector of a forged or unusual signature into a
// SignerInfo over its message, without signed attributes, and verifies that: rows B01 to
// B03 and B09, by the way that mail takes.
func TestSignatureVectors(t *testing.T) {
	folder := vectors.Path(t, "wycheproof", "testvectors_v1")
	hashes := map[string]oid.OID{"SHA-1": oid.SHA1, "SHA-224": oid.SHA224, "SHA-256": oid.SHA256, "SHA-384": oid.SHA384,
		"SHA-512": oid.SHA512, "SHA-512/224": oid.SHA512_224, "SHA-512/256": oid.SHA512_256}
	ecdsa := map[string]oid.OID{"SHA-224": oid.ECDSAWithSHA224, "SHA-256": oid.ECDSAWithSHA256, "SHA-384": oid.ECDSAWithSHA384, "SHA-512": oid.ECDSAWithSHA512}
	dsa := map[string]oid.OID{"SHA-224": oid.DSAWithSHA224, "SHA-256": oid.DSAWithSHA256}
	named := func(g signatureGroup) oid.OID { return hashes[g.SHA] }
	sha512 := func(signatureGroup) oid.OID { return oid.SHA512 }
	bare := func(o oid.OID) func(signatureGroup) []byte {
		return func(signatureGroup) []byte { return forging.Algorithm(o, nil) }
	}
	rsa := func(signatureGroup) []byte { return forging.Algorithm(oid.RSA, forging.Null()) }
	for _, c := range []struct {
		files     string
		least     int
		algorithm func(signatureGroup) []byte
		digest    func(signatureGroup) oid.OID
	}{
		{"rsa_signature_*_test.json", 2000, rsa, named},
		{"rsa_pkcs1_*_sig_gen_test.json", 150, rsa, named},
		{"rsa_pss_*_test.json", 2000, func(g signatureGroup) []byte {
			return forging.Algorithm(oid.RSAPSS, forging.PSSParameters(hashes[g.SHA], hashes[g.MGFSHA], g.SLen, 1))
		}, named},
		{"ecdsa_*_test.json", 2500, func(g signatureGroup) []byte { return forging.Algorithm(ecdsa[g.SHA], nil) }, named},
		{"dsa_*_test.json", 500, func(g signatureGroup) []byte { return forging.Algorithm(dsa[g.SHA], nil) }, named},
		{"ed25519_test.json", 100, bare(oid.Ed25519), sha512},
		{"ed448_test.json", 80, bare(oid.Ed448), func(signatureGroup) oid.OID { return oid.SHAKE256 }},
		{"mldsa_44_verify_test.json", 100, bare(oid.MLDSA44), sha512},
		{"mldsa_65_verify_test.json", 100, bare(oid.MLDSA65), sha512},
		{"mldsa_87_verify_test.json", 100, bare(oid.MLDSA87), sha512},
	} {
		files, err := filepath.Glob(filepath.Join(folder, c.files))
		if err != nil || len(files) == 0 {
			t.Fatalf("no vectors %s", c.files)
		}
		n, good := 0, 0
		for _, path := range files {
			name := filepath.Base(path)
			for _, g := range vectors.Wycheproof[signatureGroup](t, name) {
				signer := &x509.Certificate{RawIssuer: nameDER("Vectors"), SerialNumber: big.NewInt(1),
					RawSubjectPublicKeyInfo: append(g.PublicKeyDer, g.KeyDer...)}
				if g.PrivateKeyPkcs8 != nil {
					signer.RawSubjectPublicKeyInfo = publicKeyOf(t, g.PrivateKeyPkcs8)
				}
				digest := forging.Algorithm(c.digest(g), nil)
				for _, v := range g.Tests {
					n++
					signed := forging.Signed{ContentType: oid.Data, Content: append([]byte{}, v.Msg...), Announced: [][]byte{digest},
						Signers: []*forging.Signer{{Certificate: signer, DigestAlgorithm: digest, SignatureAlgorithm: c.algorithm(g), Signature: append([]byte{}, v.Sig...)}}}
					sd, _, err := openSigned(bytes.NewReader(signed.DER()))
					if err != nil {
						t.Fatalf("%s %d: %v", name, v.TcID, err)
					}
					r := sd.SignerInfos()[0].Verify(signer, sd.EContentType(), sd.Digests(), cms.VerifyOptions{AllowSHA1: true, AllowLegacyKeys: true})
					if r.State == "valid" {
						good++
					}
					// The lenient encodings that other libraries take are not taken here. What is
					// merely weak is no fault of the signature.
					want := v.Result == "valid" && len(v.Ctx) == 0 || v.Result == "acceptable" && strings.HasPrefix(name, "rsa_pkcs1_")
					if (r.State == "valid") != want {
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

// publicKeyOf returns the SubjectPublicKeyInfo that belongs to a private key.
func publicKeyOf(t *testing.T, pkcs8 []byte) []byte {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		t.Fatal(err)
	}
	info, err := x509.MarshalPKIXPublicKey(key.(crypto.Signer).Public())
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestMACVectors sends every vector of HMAC as AuthenticatedData whose key has the length
// that RFC 3370, Section 3.1, gives it. Codes that are cut short are refused, right or not.
func TestMACVectors(t *testing.T) {
	type group struct {
		KeySize, TagSize int
		Tests            []struct {
			vectors.Case
			Key, Msg, Tag vectors.Hex
		}
	}
	kek := forging.AES(someBytes(32))
	for file, o := range map[string]oid.OID{
		"hmac_sha1_test.json": oid.HMACSHA1, "hmac_sha224_test.json": oid.HMACSHA224, "hmac_sha256_test.json": oid.HMACSHA256,
		"hmac_sha512_test.json": oid.HMACSHA512, "hmac_sha512_224_test.json": oid.HMACSHA512_224, "hmac_sha512_256_test.json": oid.HMACSHA512_256,
	} {
		size := map[oid.OID]int{oid.HMACSHA1: 20, oid.HMACSHA224: 28, oid.HMACSHA256: 32, oid.HMACSHA512: 64,
			oid.HMACSHA512_224: 28, oid.HMACSHA512_256: 32}[o]
		verified, refused := 0, 0
		for _, g := range vectors.Wycheproof[group](t, file) {
			for _, v := range g.Tests {
				wrapped, err := keywrap.WrapPad(kek, v.Key)
				if err != nil {
					t.Fatal(err)
				}
				der := forging.ContentInfo(oid.AuthenticatedData, forging.Sequence(forging.Integer(0),
					forging.Set(forging.SharedKey([]byte("id"), forging.Algorithm(oid.AES256WrapPad, nil), wrapped)), forging.Algorithm(o, nil),
					forging.Sequence(forging.OID(oid.Data), forging.Tagged(0, forging.Octets(v.Msg))), forging.Octets(v.Tag)))
				c, err := cms.Open(bytes.NewReader(der))
				if err != nil {
					t.Fatal(err)
				}
				a := c.(*cms.AuthenticatedData)
				if err := a.Unlock(a.Recipients()[0], cms.Secret(someBytes(32)), cms.DecryptOptions{}); err != nil {
					t.Fatal(err)
				}
				err = a.Finish()
				want := v.Result == "valid" && g.KeySize == 8*size && g.TagSize == 8*size
				if a.Verified() != want || !want && err != cms.ErrDecrypt {
					t.Errorf("%s %d (%s): %s, verified %v, %v", file, v.TcID, v.Comment, v.Result, a.Verified(), err)
				}
				if a.Verified() {
					verified++
				} else {
					refused++
				}
			}
		}
		t.Logf("%s: %d verified, %d refused", file, verified, refused)
		if verified == 0 || refused == 0 {
			t.Error(file, "has nothing to verify, or nothing to refuse")
		}
	}
}
