package cms_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

var content = []byte("Content-Type: text/plain\r\n\r\nDear Bob,\r\nthe meeting is at noon.\r\n")

func TestSignAndVerify(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcde\n"), 20000)
	for _, c := range []struct {
		name              string
		signer            *cms.Signer
		digest, algorithm string
	}{
		{"RSA", someone(t, "rsa").signer(), "sha256", "rsa-pkcs1"},
		{"RSA SHA-512", with(someone(t, "rsa").signer(), func(s *cms.Signer) { s.Digest = sigalg.SHA512 }), "sha512", "rsa-pkcs1"},
		{"RSA-PSS", with(someone(t, "rsa").signer(), func(s *cms.Signer) { s.PSS = true }), "sha256", "rsa-pss"},
		{"key id", with(someone(t, "rsa").signer(), func(s *cms.Signer) { s.KeyID = true }), "sha256", "rsa-pkcs1"},
		{"P-256", someone(t, "p256").signer(), "sha256", "ecdsa"},
		{"P-256 SHAKE128", with(someone(t, "p256").signer(), func(s *cms.Signer) { s.Digest = sigalg.SHAKE128 }), "shake128", "ecdsa"},
		{"RSA SHAKE128", with(someone(t, "rsa").signer(), func(s *cms.Signer) { s.Digest = sigalg.SHAKE128 }), "shake128", "rsa-pss"},
		{"RSA SHAKE256", with(someone(t, "rsa").signer(), func(s *cms.Signer) { s.Digest = sigalg.SHAKE256 }), "shake256", "rsa-pss"},
		{"ML-DSA-65 SHAKE256", with(someone(t, "mldsa65").signer(), func(s *cms.Signer) { s.Digest = sigalg.SHAKE256 }), "shake256", "ml-dsa-65"},
		{"P-384", someone(t, "p384").signer(), "sha384", "ecdsa"},
		{"P-521", someone(t, "p521").signer(), "sha512", "ecdsa"},
		{"Ed25519", someone(t, "ed25519").signer(), "sha512", "ed25519"},
		{"ML-DSA-44", someone(t, "mldsa44").signer(), "sha512", "ml-dsa-44"},
		{"ML-DSA-65", someone(t, "mldsa65").signer(), "sha512", "ml-dsa-65"},
		{"ML-DSA-87", someone(t, "mldsa87").signer(), "sha512", "ml-dsa-87"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, content := range [][]byte{content, {}, large} {
				der := signOpaque(t, content, c.signer)
				sd, got, err := openSigned(bytes.NewReader(der))
				if err != nil || !bytes.Equal(got, content) {
					t.Fatalf("content of %d octets reads as %d, %v", len(content), len(got), err)
				}
				if !sd.HasContent() || sd.EContentType() != oid.Data || len(sd.Certificates()) != 1 {
					t.Error("wrong structure")
				}
				wantValid(t, verifyAll(t, sd, nil, cms.VerifyOptions{}), c.digest, c.algorithm, c.signer)
				if isDER := bytes.Equal(mustDER(t, der), der); isDER != (len(content) <= 64<<10) {
					t.Errorf("content of %d octets: DER %v", len(content), isDER)
				}

				der = signDetached(t, content, c.signer)
				sd, got, err = openSigned(bytes.NewReader(der))
				if err != nil || len(got) > 0 || sd.HasContent() {
					t.Fatalf("detached: content %q, %v", got, err)
				}
				if !bytes.Equal(mustDER(t, der), der) {
					t.Error("detached signature is not DER")
				}
				wantValid(t, verifyAll(t, sd, content, cms.VerifyOptions{}), c.digest, c.algorithm, c.signer)
				other := append(bytes.Clone(content), 'x')
				wantInvalid(t, "altered content", verifyAll(t, sd, other, cms.VerifyOptions{})[0], "digest.mismatch")
			}
		})
	}
}

func with(s *cms.Signer, f func(*cms.Signer)) *cms.Signer {
	f(s)
	return s
}

func mustDER(t testing.TB, b []byte) []byte {
	t.Helper()
	der, err := ber.ToDER(b, 1<<26)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func wantValid(t testing.TB, rs []*cms.SignatureResult, digest, algorithm string, s *cms.Signer) {
	t.Helper()
	if len(rs) != 1 {
		t.Fatalf("%d signatures", len(rs))
	}
	r := rs[0]
	if r.State != "valid" || len(r.Codes) > 0 || r.ReencodedAttributes {
		t.Errorf("%+v", r)
	}
	if r.Digest != digest || r.Algorithm != algorithm || !r.ClaimedTime.Equal(clock) || len(r.Capabilities) == 0 {
		t.Errorf("%+v", r)
	}
	encrypts := s.Certificate.PublicKeyAlgorithm == x509.RSA || s.Certificate.PublicKeyAlgorithm == x509.ECDSA
	if encrypts != (r.EncryptionCertificate != nil) || encrypts && !r.EncryptionCertificate.Matches(s.Certificate) {
		t.Errorf("encryption certificate %v", r.EncryptionCertificate)
	}
}

func wantInvalid(t testing.TB, name string, r *cms.SignatureResult, codes ...string) {
	t.Helper()
	if r.State != "invalid" || strings.Join(r.Codes, " ") != strings.Join(codes, " ") {
		t.Errorf("%s: %s %v, want invalid %v", name, r.State, r.Codes, codes)
	}
	if r.Capabilities != nil || r.EncryptionCertificate != nil {
		t.Errorf("%s: returns what nobody signed", name)
	}
}

// Several signers keep their order, and each is judged alone (attack row A04).
func TestSeveralSigners(t *testing.T) {
	alice, bob, carol := someone(t, "rsa").signer(), someone(t, "p384").signer(), someone(t, "ed25519").signer()
	carol.KeyID = true
	for _, order := range [][]*cms.Signer{{alice, bob, carol}, {carol, bob, alice}} {
		sd, _, err := openSigned(bytes.NewReader(signOpaque(t, content, order...)))
		if err != nil {
			t.Fatal(err)
		}
		for i, si := range sd.SignerInfos() {
			if !si.Matches(order[i].Certificate) {
				t.Errorf("signer %d is %v", i, si.SignerID())
			}
		}
		for i, r := range verifyAll(t, sd, nil, cms.VerifyOptions{}) {
			if r.State != "valid" {
				t.Errorf("signer %d: %+v", i, r)
			}
		}
		// One good, one bad.
		der := signOpaque(t, content, order...)
		der[bytes.LastIndex(der, sd2(t, der).SignerInfos()[1].Signature())+20] ^= 1
		states := ""
		for _, r := range verify(t, der, nil, cms.VerifyOptions{}) {
			states += r.State + " "
		}
		if states != "valid invalid valid " {
			t.Errorf("one bad signature of three: %s", states)
		}
	}
}

func sd2(t testing.TB, der []byte) *cms.SignedData {
	t.Helper()
	sd, _, err := openSigned(bytes.NewReader(der))
	if err != nil {
		t.Fatal(err)
	}
	return sd
}

// No signers is no error of the structure, but nothing is signed either (attack row A05).
func TestCertsOnly(t *testing.T) {
	alice, bob := someone(t, "rsa"), someone(t, "p256")
	crl := []byte{0x30, 3, 2, 1, 1}
	der := cms.CertsOnly([]*x509.Certificate{bob.cert, alice.cert}, [][]byte{crl})
	sd, _, err := openSigned(bytes.NewReader(der))
	if err != nil {
		t.Fatal(err)
	}
	if len(sd.SignerInfos()) != 0 || sd.HasContent() || !bytes.Equal(mustDER(t, der), der) {
		t.Error("certs-only carries more than certificates")
	}
	if c := sd.Certificates(); len(c) != 2 || !bytes.Equal(c[0], bob.cert.Raw) || !bytes.Equal(c[1], alice.cert.Raw) {
		t.Error("certificates changed")
	}
	if len(sd.CRLs()) != 1 || !bytes.Equal(sd.CRLs()[0], crl) {
		t.Error("CRLs changed")
	}
	if _, err := cms.NewSignedWriter(io.Discard, nil, nil); err == nil {
		t.Error("a writer without signers")
	}
	if _, err := cms.SignDetached(cms.NewDigests(), nil, nil); err == nil {
		t.Error("a detached signature without signers")
	}
}

func TestSignerRefused(t *testing.T) {
	alice, bob := someone(t, "rsa"), someone(t, "rsa-bob")
	d := cms.NewDigests(sigalg.SHA256, sigalg.SHA1)
	for name, s := range map[string]*cms.Signer{
		"nobody":              {},
		"no key":              {Certificate: alice.cert},
		"no signer":           {Certificate: alice.cert, Key: "secret"},
		"SHA-1":               {Certificate: alice.cert, Key: alice.key, Digest: sigalg.SHA1},
		"RSA 1024":            someone(t, "rsa1024").signer(),
		"digest not computed": {Certificate: alice.cert, Key: alice.key, Digest: sigalg.SHA512},
		"somebody else's key": {Certificate: alice.cert, Key: bob.key},
	} {
		if _, err := cms.SignDetached(d, []*cms.Signer{s}, nil); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

// Every truncation is an error that says so, and everything after the end is one
// (attack row J01).
func TestTruncated(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 65<<10)
	for name, der := range map[string][]byte{"DER": signOpaque(t, content, someone(t, "p256").signer()), "BER": signOpaque(t, large, someone(t, "p256").signer())} {
		for n := range len(der) {
			if n > 1000 && n < len(der)-3000 {
				continue
			}
			if _, _, err := openSigned(bytes.NewReader(der[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, the first %d of %d octets: %v", name, n, len(der), err)
			}
		}
		for _, tail := range []string{"\x00", "\x00\x00", "\n", "\x05\x00"} {
			if _, _, err := openSigned(bytes.NewReader(append(bytes.Clone(der), tail...))); !errors.Is(err, cms.ErrTrailingData) {
				t.Errorf("%s with %q behind it: %v", name, tail, err)
			}
		}
	}
}

// Every one-octet change is either refused or leaves no signature that counts as valid
// over other content (attack row D09).
func TestFlippedOctets(t *testing.T) {
	der := signOpaque(t, content, someone(t, "p256").signer())
	for i := range der {
		for _, bit := range []byte{1, 0x20, 0x80} {
			mutant := bytes.Clone(der)
			mutant[i] ^= bit
			sd, got, err := openSigned(iotest.HalfReader(bytes.NewReader(mutant)))
			if err != nil {
				continue
			}
			for _, r := range verifyAll(t, sd, nil, cms.VerifyOptions{}) {
				if r.State == "valid" && !bytes.Equal(got, content) {
					t.Fatalf("octet %d ^ %#x: valid over %q", i, bit, got)
				}
			}
		}
	}
}

// Attack row D10: each limit, and one more.
func TestLimits(t *testing.T) {
	alice := someone(t, "p256")
	repeat := func(n int) []*x509.Certificate {
		var out []*x509.Certificate
		for range n {
			out = append(out, alice.cert)
		}
		return out
	}
	crls := func(n int) [][]byte {
		var out [][]byte
		for range n {
			out = append(out, []byte{0x30, 0})
		}
		return out
	}
	sign := func(n int) []byte {
		var signers []*cms.Signer
		for range n {
			signers = append(signers, alice.signer())
		}
		return signOpaque(t, content, signers...)
	}
	for _, c := range []struct {
		name string
		der  []byte
		ok   bool
	}{
		{"certificates", cms.CertsOnly(repeat(limits.Certificates), nil), true},
		{"certificates + 1", cms.CertsOnly(repeat(limits.Certificates+1), nil), false},
		{"CRLs", cms.CertsOnly(nil, crls(limits.CRLs)), true},
		{"CRLs + 1", cms.CertsOnly(nil, crls(limits.CRLs+1)), false},
		{"signers", sign(limits.SignerInfos), true},
		{"signers + 1", sign(limits.SignerInfos + 1), false},
	} {
		_, _, err := openSigned(bytes.NewReader(c.der))
		if c.ok && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, limit := errors.AsType[*limits.Exceeded](err); !c.ok && !limit {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Indefinite lengths everywhere, also around a content that is not there, as Outlook
// writes it (interop row Q02).
func TestIndefinite(t *testing.T) {
	p := someone(t, "rsa")
	for name, der := range map[string][]byte{"opaque": signOpaque(t, content, p.signer()), "detached": signDetached(t, content, p.signer())} {
		in := indefinite(t, der)
		sd, got, err := openSigned(iotest.OneByteReader(bytes.NewReader(in)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var detached []byte
		if name == "detached" {
			detached = content
		} else if !bytes.Equal(got, content) {
			t.Errorf("%s: %q", name, got)
		}
		// The certificate must stay as it is, and so must what was signed: indefinite
		// signed attributes verify as their DER.
		for _, r := range verifyAll(t, sd, detached, cms.VerifyOptions{}) {
			if r.State != "valid" || !r.ReencodedAttributes || fmt.Sprint(r.Codes) != "[attr.not_der]" {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
}

// indefinite rewrites SignedData with indefinite lengths for all constructed elements but
// certificates, and the content in chunks.
func indefinite(t testing.TB, der []byte) []byte {
	t.Helper()
	r := ber.NewBytesReader(der)
	var out []byte
	for {
		h, err := r.Peek()
		switch {
		case err == io.EOF && r.Depth() == 0:
			return out
		case err == io.EOF:
			if err := r.Leave(); err != nil {
				t.Fatal(err)
			}
			out = append(out, 0, 0)
		case err != nil:
			t.Fatal(err)
		case h.Constructed && !(h.Tag == ber.Sequence && bytes.HasSuffix(out, []byte{0xa0, 0x80}) && r.Depth() == 4):
			out = append(out, der[h.Offset], 0x80)
			if err := r.Enter(h.Tag); err != nil {
				t.Fatal(err)
			}
		case h.Tag == ber.OctetString && r.Depth() == 5 && h.Length > 10:
			b, err := r.Raw(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, 0x24, 0x80)
			for _, c := range b[len(b)-int(h.Length):] {
				out = append(out, 4, 1, c)
			}
			out = append(out, 0, 0)
		default:
			b, err := r.Raw(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b...)
		}
	}
}

// What is no certificate and no CRL is passed over (interop row Q18), but OCSP responses
// are kept (RFC 5940).
func TestBag(t *testing.T) {
	alice := someone(t, "p256")
	crl, ocsp := []byte{0x30, 3, 2, 1, 1}, []byte{0x30, 3, 0x0a, 1, 0}
	other := func(format oid.OID, value []byte) []byte {
		return set(context(1), [][]byte{build(func(b *cryptobyte.Builder) { addOID(b, format) }), value})
	}
	certs := [][]byte{{0xa1, 3, 2, 1, 1}, {0xa2, 0x80, 0x30, 0x80, 0, 0, 0, 0}, alice.cert.Raw, {0xa3, 0}, {0xa0, 0}}
	der := build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addOID(b, oid.SignedData)
			b.AddASN1(context(0), func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(5)
					b.AddBytes(set(casn1.SET, nil))
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { addOID(b, oid.Data) })
					b.AddBytes(set(context(0), certs))
					b.AddBytes(set(context(1), [][]byte{crl, other(oid.RevocationInfoOCSP, ocsp), other("\x2a\x03\x04", []byte{5, 0})}))
					b.AddBytes(set(casn1.SET, nil))
				})
			})
		})
	})
	sd := sd2(t, der)
	if c := sd.Certificates(); len(c) != 1 || !bytes.Equal(c[0], alice.cert.Raw) {
		t.Errorf("certificates %x", c)
	}
	if c := sd.CRLs(); len(c) != 1 || !bytes.Equal(c[0], crl) {
		t.Errorf("CRLs %x", c)
	}
	if c := sd.OCSPResponses(); len(c) != 1 || !bytes.Equal(c[0], ocsp) {
		t.Errorf("OCSP responses %x", c)
	}
}

// Attack row J07: memory does not grow with the content, reading or writing.
func TestConstantMemory(t *testing.T) {
	const size = 64 << 20
	alice := someone(t, "p256")
	r, w := io.Pipe()
	go func() {
		sw, err := cms.NewSignedWriter(w, []*cms.Signer{alice.signer()}, []*x509.Certificate{alice.cert})
		if err == nil {
			_, err = io.CopyN(sw, zeros{}, size)
		}
		if err == nil {
			err = sw.Close()
		}
		w.CloseWithError(err)
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c, err := cms.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, c)
	if err != nil || n != size || c.Finish() != nil {
		t.Fatal(n, err, c.Finish())
	}
	wantResult(t, "64 MiB", verifyAll(t, c.(*cms.SignedData), nil, cms.VerifyOptions{})[0], "valid")
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 { // pieces at work on both sides
		t.Errorf("allocated %d octets in all", used)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestOpenErrors(t *testing.T) {
	if _, err := cms.Open(strings.NewReader("")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := cms.Open(strings.NewReader("Dear Bob")); err == nil {
		t.Error("text was opened")
	}
	_, err := cms.Open(bytes.NewReader([]byte{0x30, 0x80, 6, 3, 0x2a, 3, 4, 0xa0, 0x80}))
	if u, ok := errors.AsType[*cms.UnsupportedError](err); !ok || u.OID.String() != "1.2.3.4" {
		t.Errorf("unknown type: %v", err)
	}
	// RFC 5652, Section 4, without content (attack row D08).
	_, err = cms.Open(bytes.NewReader([]byte{0x30, 0x0b, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2}))
	if _, ok := errors.AsType[*cms.SyntaxError](err); !ok {
		t.Errorf("ContentInfo without content: %v", err)
	}
}

func TestData(t *testing.T) {
	c, err := cms.Open(strings.NewReader("\x30\x12\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x05\x04\x03ABC"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil || string(b) != "ABC" || c.Type() != oid.Data || c.Finish() != nil {
		t.Errorf("%q, %v, %v", b, err, c.Finish())
	}
}

func FuzzSigned(f *testing.F) {
	alice := someone(f, "p256")
	for _, der := range openStructures(f) {
		f.Add(der)
	}
	f.Add(signOpaque(f, content, alice.signer()))
	f.Add(signDetached(f, content, alice.signer()))
	f.Add(indefinite(f, signOpaque(f, content, alice.signer())))
	f.Add(cms.CertsOnly([]*x509.Certificate{alice.cert}, nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := cms.Open(bytes.NewReader(in))
		if _, ok := c.(*cms.SignedData); err == nil && !ok {
			return // see FuzzContent
		}
		if err == nil {
			_, err = io.Copy(io.Discard, c)
		}
		if err == nil {
			err = c.Finish()
		}
		if err != nil {
			_, syntax := errors.AsType[*cms.SyntaxError](err)
			_, unsupported := errors.AsType[*cms.UnsupportedError](err)
			_, limit := errors.AsType[*limits.Exceeded](err)
			if !syntax && !unsupported && !limit && err != cms.ErrDigest {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if sd, ok := c.(*cms.SignedData); ok {
			for _, si := range sd.SignerInfos() {
				r := si.Verify(alice.cert, sd.EContentType(), sd.Digests(), cms.VerifyOptions{AllowSHA1: true, AllowMD5: true})
				if r.State == "" || (r.State != "valid") == (len(r.Codes) == 0) && r.State != "valid" {
					t.Fatalf("%+v", r)
				}
				si.Countersignatures()
				si.Timestamps()
			}
		}
	})
}

func BenchmarkOpaque(b *testing.B) {
	data := make([]byte, 64<<20)
	signed := signOpaque(b, data, someone(b, "p256").signer())
	b.Run("raw SHA-256", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			sigalg.SHA256.Sum(data)
		}
	})
	b.Run("sign", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		s := someone(b, "p256").signer()
		for b.Loop() {
			w, err := cms.NewSignedWriter(io.Discard, []*cms.Signer{s}, nil)
			if err != nil {
				b.Fatal(err)
			}
			w.Write(data)
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			c, err := cms.Open(bytes.NewReader(signed))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, c); err != nil {
				b.Fatal(err)
			}
			if err := c.Finish(); err != nil {
				b.Fatal(err)
			}
			sd := c.(*cms.SignedData)
			if r := sd.SignerInfos()[0].Verify(someone(b, "p256").cert, oid.Data, sd.Digests(), cms.VerifyOptions{}); r.State != "valid" {
				b.Fatal(r)
			}
		}
	})
}
