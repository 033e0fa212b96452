package cms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/sigalg"
)

// clock is the time at which the tests sign.
var clock = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// person is a key with a self-signed certificate.
type person struct {
	key  crypto.Signer
	cert *x509.Certificate
}

func (p *person) signer() *cms.Signer {
	return &cms.Signer{Certificate: p.cert, Key: p.key, Time: clock}
}

// people makes each person once: keys take time.
var people = struct {
	sync.Mutex
	all map[string]*person
}{all: map[string]*person{}}

// someone returns the person with a key of the kind that name begins with: "rsa", "p256",
// "p384", "p521", "ed25519", "mldsa44", "mldsa65" or "mldsa87". Names make people different.
func someone(t testing.TB, name string) *person {
	t.Helper()
	people.Lock()
	defer people.Unlock()
	if p := people.all[name]; p != nil {
		return p
	}
	var key crypto.Signer
	var err error
	kind, _, _ := strings.Cut(name, "-")
	switch kind {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "rsa1024":
		key, err = rsa.GenerateKey(rand.Reader, 1024)
	case "p256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "p521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "mldsa44":
		key, err = mldsa.GenerateKey(mldsa.MLDSA44())
	case "mldsa65":
		key, err = mldsa.GenerateKey(mldsa.MLDSA65())
	case "mldsa87":
		key, err = mldsa.GenerateKey(mldsa.MLDSA87())
	default:
		err = errors.New("unknown kind of key " + kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &person{key: key, cert: certificate(t, key, name, int64(len(people.all)+1))}
	people.all[name] = p
	return p
}

// certificate makes a self-signed certificate of any key that signs.
func certificate(t testing.TB, key crypto.Signer, name string, serial int64) *x509.Certificate {
	t.Helper()
	spki, err := mldsax509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	pub, err := sigalg.PublicKey(spki)
	if err != nil {
		t.Fatal(err)
	}
	algID := algorithmDER(oid.SHA256WithRSA, []byte{5, 0})
	alg, err := sigalg.For(pub, sigalg.SignOptions{})
	if err == nil {
		algID = alg.DER()
	}
	keyID := sigalg.SHA1.Sum(spki)
	tbs := build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) })
			b.AddASN1Int64(serial)
			b.AddBytes(algID)
			b.AddBytes(nameDER(name))
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1UTCTime(clock.Add(-24 * time.Hour))
				b.AddASN1UTCTime(clock.AddDate(1, 0, 0))
			})
			b.AddBytes(nameDER(name))
			b.AddBytes(spki)
			b.AddASN1(casn1.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						addOID(b, oid.SubjectKeyID)
						b.AddASN1(casn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddASN1OctetString(keyID) })
					})
				})
			})
		})
	})
	sig := make([]byte, 128) // nobody verifies the certificate of a key too small to sign
	if alg != nil {
		if _, sig, err = sigalg.Sign(key, pub, sigalg.SignOptions{}, tbs); err != nil {
			t.Fatal(err)
		}
	}
	der := build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(tbs)
			b.AddBytes(algID)
			b.AddASN1BitString(sig)
		})
	})
	cert, err := pkix.ParseCertificate(der)
	if err != nil {
		t.Fatal(name, err)
	}
	return cert
}

// nameDER returns a Name with the common name cn.
func nameDER(cn string) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					addOID(b, oid.CommonName)
					b.AddASN1(casn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(cn)) })
				})
			})
		})
	})
}

func build(f func(*cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	f(&b)
	return b.BytesOrPanic()
}

func addOID(b *cryptobyte.Builder, o oid.OID) {
	b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(o)) })
}

func algorithmDER(o oid.OID, params []byte) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addOID(b, o)
			b.AddBytes(params)
		})
	})
}

// signOpaque returns SignedData with its content.
func signOpaque(t testing.TB, content []byte, signers ...*cms.Signer) []byte {
	t.Helper()
	var out bytes.Buffer
	var certs []*x509.Certificate
	for _, s := range signers {
		certs = append(certs, s.Certificate)
	}
	w, err := cms.NewSignedWriter(&out, signers, certs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// signDetached returns SignedData without content.
func signDetached(t testing.TB, content []byte, signers ...*cms.Signer) []byte {
	t.Helper()
	var certs []*x509.Certificate
	d := cms.NewDigests()
	for _, s := range signers {
		certs = append(certs, s.Certificate)
		if _, ok := d.Sum(s.Hash()); !ok {
			d = cms.NewDigests(append(d.Hashes(), s.Hash())...)
		}
	}
	d.Write(content)
	out, err := cms.SignDetached(d, signers, certs)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// openSigned reads SignedData to its end and returns its content.
func openSigned(r io.Reader) (*cms.SignedData, []byte, error) {
	c, err := cms.Open(r)
	if err != nil {
		return nil, nil, err
	}
	sd, ok := c.(*cms.SignedData)
	if !ok {
		return nil, nil, errors.New("not SignedData")
	}
	content, err := io.ReadAll(sd)
	if err != nil {
		return nil, nil, err
	}
	return sd, content, sd.Finish()
}

// verify reads SignedData and judges every signature with the certificate inside that it
// names. A detached content is given, or nil.
func verify(t testing.TB, der, detached []byte, opt cms.VerifyOptions) []*cms.SignatureResult {
	t.Helper()
	sd, _, err := openSigned(bytes.NewReader(der))
	if err != nil {
		t.Fatal(err)
	}
	return verifyAll(t, sd, detached, opt)
}

func verifyAll(t testing.TB, sd *cms.SignedData, detached []byte, opt cms.VerifyOptions) []*cms.SignatureResult {
	t.Helper()
	var certs []*x509.Certificate
	for _, raw := range sd.Certificates() {
		if c, err := pkix.ParseCertificate(raw); err == nil {
			certs = append(certs, c)
		}
	}
	var out []*cms.SignatureResult
	for _, si := range sd.SignerInfos() {
		var cert *x509.Certificate
		if i := slices.IndexFunc(certs, si.Matches); i >= 0 {
			cert = certs[i]
		}
		d := sd.Digests()
		if detached != nil {
			h, _ := si.DigestAlgorithm()
			d = cms.NewDigests(h)
			d.Write(detached)
		}
		out = append(out, si.Verify(cert, sd.EContentType(), d, opt))
	}
	return out
}

// corpus returns the folder of public test data, or skips the test.
func corpus(t *testing.T) string {
	t.Helper()
	root := os.Getenv("POSTSEAL_CORPUS")
	if root == "" {
		t.Skip("POSTSEAL_CORPUS is not set")
	}
	return root
}

// readCorpus returns a file of the corpus as DER or BER, without PEM armour.
func readCorpus(t *testing.T, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{corpus(t)}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(b); block != nil {
		return block.Bytes
	}
	return b
}

func serial(n int64) *big.Int { return big.NewInt(n) }

// legacySigned returns SignedData by an RSA key with a digest that this module never signs
// with.
func legacySigned(t testing.TB, p *person, digest oid.OID) []byte {
	t.Helper()
	h, ok := sigalg.HashByOID(digest)
	if !ok {
		t.Fatal("unknown digest")
	}
	std := map[sigalg.Hash]crypto.Hash{sigalg.MD5: crypto.MD5, sigalg.SHA1: crypto.SHA1, sigalg.SHA256: crypto.SHA256}[h]
	attrs := [][]byte{contentTypeAttr(oid.Data), digestAttr(h.Sum(content))}
	sig, err := rsa.SignPKCS1v15(nil, p.key.(*rsa.PrivateKey), std, h.Sum(set(casn1.SET, attrs)))
	if err != nil {
		t.Fatal(err)
	}
	null := []byte{5, 0}
	info := build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(p.cert.RawIssuer)
				b.AddASN1BigInt(p.cert.SerialNumber)
			})
			b.AddBytes(algorithmDER(digest, null))
			b.AddBytes(set(context(0), attrs))
			b.AddBytes(algorithmDER(oid.RSA, null))
			b.AddASN1OctetString(sig)
		})
	})
	return wrap([][]byte{algorithmDER(digest, null)}, oid.Data, content, [][]byte{p.cert.Raw}, [][]byte{info})
}
