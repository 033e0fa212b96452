package sigalg_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// corpus returns the folder of public test data, or skips the test.
func corpus(t *testing.T, folder string) string {
	t.Helper()
	root := os.Getenv("POSTSEAL_CORPUS")
	if root == "" {
		t.Skip("POSTSEAL_CORPUS is not set")
	}
	return filepath.Join(root, folder)
}

type wycheproofFile struct {
	TestGroups []struct {
		Type         string
		PublicKeyDer string
		KeyDer       string
		SHA          string
		MGFSHA       string
		SLen         int
		Tests        []struct {
			TcID             int
			Comment          string
			Msg, Sig, Result string
			Ctx              string
			Flags            []string
		}
	}
}

// Every vector in the corpus for an algorithm of this package. The context of ML-DSA is
// always empty here, so vectors that need another one must fail.
func TestWycheproof(t *testing.T) {
	dir := corpus(t, "wycheproof/testvectors_v1")
	total := 0
	for _, c := range []struct {
		glob string
		alg  func(sha, mgf string, salt int, file string) []byte
	}{
		{"rsa_signature_*_test.json", rsaAlgorithm},
		{"rsa_pkcs1_*_sig_gen_test.json", rsaAlgorithm},
		{"rsa_pss_*_test.json", pssAlgorithm},
		{"ecdsa_*_test.json", func(sha, _ string, _ int, _ string) []byte {
			return algorithm(map[string]oid.OID{"SHA-1": oid.ECDSAWithSHA1, "SHA-224": oid.ECDSAWithSHA224, "SHA-256": oid.ECDSAWithSHA256,
				"SHA-384": oid.ECDSAWithSHA384, "SHA-512": oid.ECDSAWithSHA512}[sha], nil)
		}},
		{"dsa_*_test.json", func(sha, _ string, _ int, _ string) []byte {
			return algorithm(map[string]oid.OID{"SHA-224": oid.DSAWithSHA224, "SHA-256": oid.DSAWithSHA256}[sha], nil)
		}},
		{"ed25519_test.json", func(string, string, int, string) []byte { return algorithm(oid.Ed25519, nil) }},
		{"ed448_test.json", func(string, string, int, string) []byte { return algorithm(oid.Ed448, nil) }},
		{"mldsa_*_verify_test.json", func(_, _ string, _ int, file string) []byte {
			return algorithm(map[string]oid.OID{"44": oid.MLDSA44, "65": oid.MLDSA65, "87": oid.MLDSA87}[strings.Split(file, "_")[1]], nil)
		}},
	} {
		files, _ := filepath.Glob(filepath.Join(dir, c.glob))
		if len(files) == 0 {
			t.Errorf("no vectors match %s", c.glob)
		}
		for _, path := range files {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Base(path)
			var file wycheproofFile
			if err := json.Unmarshal(b, &file); err != nil {
				t.Fatal(name, err)
			}
			n := 0
			for _, g := range file.TestGroups {
				der, _ := hex.DecodeString(g.PublicKeyDer + g.KeyDer)
				alg, err := sigalg.Parse(c.alg(g.SHA, g.MGFSHA, g.SLen, name))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				alg.MinModulus = 1024
				pub, keyErr := sigalg.PublicKey(der)
				for _, v := range g.Tests {
					msg, _ := hex.DecodeString(v.Msg)
					sig, _ := hex.DecodeString(v.Sig)
					err := keyErr
					if err == nil {
						err = alg.VerifyMessage(pub, msg, sig)
					}
					valid := v.Result == "valid" && v.Ctx == ""
					if v.Result != "acceptable" && valid != (err == nil) {
						t.Errorf("%s %d (%s): %s, got %v", name, v.TcID, v.Comment, v.Result, err)
					}
					// The lenient encodings that other libraries take are not taken here.
					if v.Result == "acceptable" && err == nil && !strings.HasPrefix(name, "rsa_pkcs1_") {
						t.Errorf("%s %d (%s, %v): accepted", name, v.TcID, v.Comment, v.Flags)
					}
					n++
				}
			}
			total += n
		}
	}
	t.Logf("%d vectors", total)
}

func hashOID(sha string) oid.OID {
	return map[string]oid.OID{"SHA-1": oid.SHA1, "SHA-224": oid.SHA224, "SHA-256": oid.SHA256, "SHA-384": oid.SHA384,
		"SHA-512": oid.SHA512, "SHA-512/224": oid.SHA512_224, "SHA-512/256": oid.SHA512_256}[sha]
}

func rsaAlgorithm(sha, _ string, _ int, _ string) []byte {
	return algorithm(map[string]oid.OID{"SHA-1": oid.SHA1WithRSA, "SHA-224": oid.SHA224WithRSA, "SHA-256": oid.SHA256WithRSA, "SHA-384": oid.SHA384WithRSA,
		"SHA-512": oid.SHA512WithRSA, "SHA-512/224": oid.SHA512_224WithRSA, "SHA-512/256": oid.SHA512_256WithRSA}[sha], []byte{5, 0})
}

func pssAlgorithm(sha, mgf string, salt int, _ string) []byte {
	return algorithm(oid.RSAPSS, pssParams(hashOID(sha), hashOID(mgf), salt, 1))
}

func pssParams(hash, mgf oid.OID, salt, trailer int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		field := func(n uint8, f func(*cryptobyte.Builder)) {
			b.AddASN1(casn1.Tag(n).ContextSpecific().Constructed(), f)
		}
		field(0, func(b *cryptobyte.Builder) { b.AddBytes(algorithm(hash, nil)) })
		field(1, func(b *cryptobyte.Builder) { b.AddBytes(algorithm(oid.MGF1, algorithm(mgf, []byte{5, 0}))) })
		field(2, func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(salt)) })
		if trailer != 1 {
			field(3, func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(trailer)) })
		}
	})
	return b.BytesOrPanic()
}

// algorithm returns the DER of an AlgorithmIdentifier.
func algorithm(o oid.OID, params []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(o)) })
		b.AddBytes(params)
	})
	return b.BytesOrPanic()
}

// TestWycheproofBrainpoolPoints reads the public keys of the vectors for key agreement on
// the Brainpool curves, which nobody agrees on here but whose points certificates have: a
// point off the curve, or a curve with parameters of its own, is no key.
func TestWycheproofBrainpoolPoints(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus(t, "wycheproof/testvectors_v1"), "ecdh_brainpool*_test.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			TestGroups []struct {
				Tests []struct {
					TcID                    int
					Comment, Public, Result string
					Flags                   []string
				}
			}
		}
		if err := json.Unmarshal(b, &file); err != nil {
			t.Fatal(err)
		}
		curve := map[string]oid.OID{"224": oid.BrainpoolP224r1, "256": oid.BrainpoolP256r1, "320": oid.BrainpoolP320r1,
			"384": oid.BrainpoolP384r1, "512": oid.BrainpoolP512r1}[filepath.Base(path)[len("ecdh_brainpoolP"):][:3]]
		read, refused := 0, 0
		for _, g := range file.TestGroups {
			for _, v := range g.Tests {
				der, err := hex.DecodeString(v.Public)
				if err != nil {
					t.Fatal(err)
				}
				_, err = sigalg.PublicKey(der)
				if err == nil {
					read++
				} else {
					refused++
				}
				// A good point of another curve is wrong for the private key alone.
				if v.Result == "valid" && err != nil || v.Result == "invalid" && err == nil && bytes.Contains(der, []byte(curve)) {
					t.Errorf("%s %d (%s, %v): %s, got %v", filepath.Base(path), v.TcID, v.Comment, v.Flags, v.Result, err)
				}
			}
		}
		t.Log(filepath.Base(path), read, "read,", refused, "refused")
		if read == 0 || refused == 0 {
			t.Error(filepath.Base(path), "has nothing to read, or nothing to refuse")
		}
	}
}
