package pkix_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/pkix"
)

// corpus returns every certificate of the corpus, as DER.
func corpus(t testing.TB) map[string][]byte {
	root := os.Getenv("POSTSEAL_CORPUS")
	if root == "" {
		t.Skip("POSTSEAL_CORPUS is not set")
	}
	out := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		ext := strings.ToLower(filepath.Ext(path))
		if ext != ".crt" && ext != ".cer" && ext != ".pem" && ext != ".der" {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if len(data) > 0 && data[0] == 0x30 {
			out[path] = data
		}
		for n := 0; ; n++ {
			var b *pem.Block
			if b, data = pem.Decode(data); b == nil {
				return nil
			}
			if b.Type == "CERTIFICATE" || b.Type == "TRUSTED CERTIFICATE" {
				out[path+string(rune('a'+n%26))] = b.Bytes
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 500 {
		t.Fatalf("only %d certificates in %s", len(out), root)
	}
	return out
}

// TestCorpusAgreesWithX509 holds this reader against crypto/x509 wherever that reads.
func TestCorpusAgreesWithX509(t *testing.T) {
	agreed, ours := 0, 0
	for path, der := range corpus(t) {
		want, werr := x509.ParseCertificate(der)
		v, err := pkix.Parse(der)
		if err != nil {
			if werr == nil {
				t.Errorf("%s: crypto/x509 reads it, we: %v", path, err)
			}
			var e *pkix.Error
			if !errors.As(err, &e) {
				t.Errorf("%s: error of type %T", path, err)
			}
			continue
		}
		got := v.X509()
		if werr != nil {
			ours++
			continue
		}
		agreed++
		same := func(field string, a, b any) {
			if !reflect.DeepEqual(a, b) {
				t.Errorf("%s: %s is %v, crypto/x509 says %v", path, field, a, b)
			}
		}
		same("Version", got.Version, want.Version)
		same("SerialNumber", got.SerialNumber.String(), want.SerialNumber.String())
		same("Issuer", got.Issuer.String(), want.Issuer.String())
		same("Subject", got.Subject.String(), want.Subject.String())
		same("NotBefore", got.NotBefore.Unix(), want.NotBefore.Unix())
		same("NotAfter", got.NotAfter.Unix(), want.NotAfter.Unix())
		same("KeyUsage", got.KeyUsage, want.KeyUsage)
		same("IsCA", got.IsCA, want.IsCA)
		same("MaxPathLen", got.MaxPathLen, want.MaxPathLen)
		same("MaxPathLenZero", got.MaxPathLenZero, want.MaxPathLenZero)
		same("SubjectKeyId", string(got.SubjectKeyId), string(want.SubjectKeyId))
		same("AuthorityKeyId", string(got.AuthorityKeyId), string(want.AuthorityKeyId))
		same("DNSNames", got.DNSNames, want.DNSNames)
		same("EmailAddresses", got.EmailAddresses, want.EmailAddresses)
		same("OCSPServer", got.OCSPServer, want.OCSPServer)
		same("IssuingCertificateURL", got.IssuingCertificateURL, want.IssuingCertificateURL)
		same("CRLDistributionPoints", got.CRLDistributionPoints, want.CRLDistributionPoints)
		same("Policies", len(got.Policies), len(want.Policies))
		same("Extensions", len(got.Extensions), len(want.Extensions))
		same("PublicKeyAlgorithm", got.PublicKeyAlgorithm, want.PublicKeyAlgorithm)
		if got.PublicKey == nil && want.PublicKey != nil {
			t.Errorf("%s: no PublicKey", path)
		}
		if !bytes.Equal(got.Signature, want.Signature) || !bytes.Equal(got.RawTBSCertificate, want.RawTBSCertificate) {
			t.Errorf("%s: signed bytes differ", path)
		}
	}
	t.Logf("%d agree, %d only we read", agreed, ours)
	if ours == 0 {
		t.Error("the corpus has certificates crypto/x509 refuses; none was read")
	}
}

func name(t testing.TB, rdns ...[]asn1.RawValue) []byte {
	t.Helper()
	var sets []asn1.RawValue
	for _, rdn := range rdns {
		var body []byte
		for _, a := range rdn {
			body = append(body, a.FullBytes...)
		}
		sets = append(sets, asn1.RawValue{Tag: 17, IsCompound: true, Bytes: body})
	}
	der, err := asn1.Marshal(sets)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func attr(t testing.TB, id asn1.ObjectIdentifier, tag int, value string) asn1.RawValue {
	t.Helper()
	der, err := asn1.Marshal(struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
	}{id, asn1.RawValue{Tag: tag, Bytes: []byte(value)}})
	if err != nil {
		t.Fatal(err)
	}
	return asn1.RawValue{FullBytes: der}
}

func TestCanonicalComparesNames(t *testing.T) {
	cn, o, dc := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
	one := func(tag int, v string) []byte { return name(t, []asn1.RawValue{attr(t, o, tag, v)}) }
	canon := func(der []byte) string {
		s, ok := pkix.Canonical(der)
		if !ok {
			t.Fatalf("%x is refused", der)
		}
		return s
	}
	const utf8, printable, t61, ia5, bmp = 12, 19, 20, 22, 30
	for _, c := range []struct {
		name string
		a, b []byte
		same bool
	}{
		{"string type", one(printable, "Example"), one(utf8, "Example"), true},
		{"case", one(printable, "EXAMPLE ca"), one(utf8, "example CA"), true},
		{"spaces", one(printable, "  Example   CA "), one(utf8, "Example CA"), true},
		{"BMPString", one(bmp, "\x00C\x00A"), one(utf8, "ca"), true},
		{"halves of pairs", one(bmp, "\xd8\x00"), one(bmp, "\xd8\x01"), false},
		{"no characters", one(28, "Post"), one(28, "seal"), false},
		{"Teletex", one(t61, "M\xfcller"), one(utf8, "müller"), true},
		{"composed", one(utf8, "M\u00fcller"), one(utf8, "Mu\u0308ller"), true},
		{"sharp s", one(utf8, "Straße"), one(utf8, "STRASSE"), true},
		{"dotless i", one(utf8, "Fırma"), one(utf8, "Firma"), false},
		{"dotless i, case of others", one(utf8, "Fırma"), one(utf8, "FıRMA"), true},
		{"dotted I", one(utf8, "FİRMA"), one(utf8, "Firma"), false},
		{"dotted I, decomposed", one(utf8, "FİRMA"), one(utf8, "Fi\u0307rma"), true},
		{"object replacement character", one(utf8, "Firma\ufffc"), one(utf8, "firma"), true},
		{"domainComponent case", name(t, []asn1.RawValue{attr(t, dc, ia5, "Example")}), name(t, []asn1.RawValue{attr(t, dc, ia5, "example")}), true},
		{"set order", name(t, []asn1.RawValue{attr(t, cn, utf8, "a"), attr(t, o, utf8, "b")}), name(t, []asn1.RawValue{attr(t, o, utf8, "b"), attr(t, cn, utf8, "a")}), true},
		{"other value", one(utf8, "Example"), one(utf8, "Examples"), false},
		{"inner space missing", one(utf8, "ExampleCA"), one(utf8, "Example CA"), false},
		{"other type", name(t, []asn1.RawValue{attr(t, cn, utf8, "a")}), name(t, []asn1.RawValue{attr(t, o, utf8, "a")}), false},
		{"one set or two", name(t, []asn1.RawValue{attr(t, cn, utf8, "a"), attr(t, o, utf8, "b")}), name(t, []asn1.RawValue{attr(t, cn, utf8, "a")}, []asn1.RawValue{attr(t, o, utf8, "b")}), false},
		{"order of RDNs", name(t, []asn1.RawValue{attr(t, cn, utf8, "a")}, []asn1.RawValue{attr(t, o, utf8, "b")}), name(t, []asn1.RawValue{attr(t, o, utf8, "b")}, []asn1.RawValue{attr(t, cn, utf8, "a")}), false},
		{"raw bytes that look alike", name(t, []asn1.RawValue{attr(t, o, 4, "a")}), one(utf8, "a"), false},
	} {
		if got := canon(c.a) == canon(c.b); got != c.same {
			t.Errorf("%s: equal is %v, want %v", c.name, got, c.same)
		}
	}
	parent := name(t, []asn1.RawValue{attr(t, o, utf8, "Example")})
	child := name(t, []asn1.RawValue{attr(t, o, printable, "EXAMPLE")}, []asn1.RawValue{attr(t, cn, utf8, "x")})
	cousin := name(t, []asn1.RawValue{attr(t, o, printable, "EXAMPLE x")}, []asn1.RawValue{attr(t, cn, utf8, "x")})
	if !strings.HasPrefix(canon(child), canon(parent)) || strings.HasPrefix(canon(cousin), canon(parent)) {
		t.Error("canonical names do not nest as subtrees do")
	}
	if s := pkix.NameString(child); s != "CN=x,O=EXAMPLE" {
		t.Errorf("NameString = %q", s)
	}
	if s := pkix.NameString(one(utf8, "a,b\u202e\x00")); s != `O=a\,b\e2\80\ae\00` {
		t.Errorf("NameString = %q", s)
	}
}

// TestCanonicalRefusesLongText: what one octet of text may become takes a hundred times what
// another takes (D04).
func TestCanonicalRefusesLongText(t *testing.T) {
	o := asn1.ObjectIdentifier{2, 5, 4, 10}
	texts := func(n int, tag int, v string) []byte {
		var rdns [][]asn1.RawValue
		for range n {
			rdns = append(rdns, []asn1.RawValue{attr(t, o, tag, v)})
		}
		return name(t, rdns...)
	}
	for _, c := range []struct {
		name string
		der  []byte
		ok   bool
	}{
		{"ASCII", texts(1, 12, strings.Repeat("a ", 30_000)), true},
		{"as long as it may be", texts(1, 12, strings.Repeat("\u00e4", limits.NameText/2)), true},
		{"longer", texts(1, 12, strings.Repeat("\u00e4", limits.NameText/2+1)), false},
		{"in many attributes", texts(limits.NameText/20+1, 12, strings.Repeat("\u00e4", 10)), false},
		{"BMPString", texts(1, 30, strings.Repeat("\x33\x00", limits.NameText/2+1)), false},
	} {
		if _, ok := pkix.Canonical(c.der); ok != c.ok {
			t.Errorf("%s: %v, want %v", c.name, ok, c.ok)
		}
	}
}

func TestParseTime(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string
	}{
		{"20260601000000Z", "2026-06-01T00:00:00Z"},
		{"20260601000000.5Z", "2026-06-01T00:00:00Z"},
		{"202606010000Z", "2026-06-01T00:00:00Z"},
		{"20260601053000+0530", "2026-06-01T00:00:00Z"},
		{"20000229235959Z", "2000-02-29T23:59:59Z"},
		{"19000301000000Z", "1900-03-01T00:00:00Z"},
		{"99991231235959Z", "9999-12-31T23:59:59Z"},
		{"00010101000000Z", "0001-01-01T00:00:00Z"},
	} {
		sec, ok := pkix.ParseTime([]byte(c.in))
		if got := time.Unix(sec, 0).UTC().Format(time.RFC3339); !ok || got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.in, got, ok, c.want)
		}
	}
	for _, in := range []string{"", "2026", "20260601000000", "20261301000000Z", "20260230000000Z", "20260601240000Z", "20260601000000.Z", "20260601000000ZZ", "2026060100000aZ", "20260601000000+05"} {
		if sec, ok := pkix.ParseTime([]byte(in)); ok {
			t.Errorf("%q read as %v", in, time.Unix(sec, 0).UTC())
		}
	}
}

// TestParseCertificateLenient builds what crypto/x509 refuses: a negative serial.
func TestParseCertificateLenient(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(0x7f11), Subject: stdpkix.Name{CommonName: "negative"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<31, 0),
		EmailAddresses: []string{"alice@example.com"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		OCSPServer: []string{"http://ocsp.example/"}, CRLDistributionPoints: []string{"http://crl.example/a.crl"},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(der, []byte{2, 2, 0x7f, 0x11})
	der[i+2] = 0xff
	if _, err := x509.ParseCertificate(der); err == nil {
		t.Fatal("crypto/x509 reads a negative serial now; find another example")
	}
	c, err := pkix.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if c.SerialNumber.Int64() != -239 || c.PublicKey == nil || len(c.EmailAddresses) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageEmailProtection ||
		len(c.OCSPServer) != 1 || len(c.CRLDistributionPoints) != 1 || c.Subject.CommonName != "negative" || !c.NotAfter.Equal(time.Unix(1<<31, 0)) {
		t.Errorf("fields are wrong: %+v", c)
	}
	for _, bad := range [][]byte{nil, {0x30}, der[:len(der)-1], append(bytes.Clone(der), 0), {0x30, 0x03, 0x02, 0x01, 0x05}} {
		var e *pkix.Error
		if _, err := pkix.ParseCertificate(bad); !errors.As(err, &e) {
			t.Errorf("%d bytes: error %v", len(bad), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: stdpkix.Name{CommonName: "seed"}, EmailAddresses: []string{"a@example.com"}, CRLDistributionPoints: []string{"http://a/"}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	for _, der := range openBlocks(f, "CERTIFICATE") {
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := pkix.Parse(der)
		if err != nil {
			var e *pkix.Error
			if !errors.As(err, &e) {
				t.Fatalf("error of type %T", err)
			}
			return
		}
		if !bytes.Equal(c.Raw, der) {
			t.Fatal("Raw differs from the input")
		}
		c.X509()
		pkix.NameString(c.RawSubject)
	})
}

func BenchmarkParse(b *testing.B) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: stdpkix.Name{CommonName: "seed", Organization: []string{"Example Org"}, Country: []string{"DE"}}, EmailAddresses: []string{"a@example.com"}, CRLDistributionPoints: []string{"http://a/"}, OCSPServer: []string{"http://b/"},
		KeyUsage: 1, ExtKeyUsage: []x509.ExtKeyUsage{4}, SubjectKeyId: []byte("12345678901234567890"), BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("view", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			pkix.Parse(der)
		}
	})
	b.Run("x509", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x509.ParseCertificate(der)
		}
	})
}

// openBlocks returns the PEM blocks of a kind in the folder of the people of testdata/open.
func openBlocks(f *testing.F, kind string) (ders [][]byte) {
	f.Helper()
	names, err := filepath.Glob("../../testdata/open/pki/*.pem")
	if err != nil || len(names) < 5 {
		f.Fatal(len(names), "files,", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for b, rest := pem.Decode(text); b != nil; b, rest = pem.Decode(rest) {
			if b.Type == kind {
				ders = append(ders, b.Bytes)
			}
		}
	}
	if len(ders) == 0 {
		f.Fatal("no", kind)
	}
	return ders
}

// FuzzNames reads anything as a Name, as GeneralNames and as a time. What is printed of it
// is printable; a Name is equal to itself, and its text does not depend on the tag that
// text has.
func FuzzNames(f *testing.F) {
	for _, der := range openBlocks(f, "CERTIFICATE") {
		c, err := pkix.ParseCertificate(der)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(c.RawSubject)
		for _, e := range c.Extensions {
			f.Add(e.Value)
		}
	}
	f.Add([]byte("260601120000Z"))
	f.Add([]byte("20491231235959Z"))
	f.Add([]byte("\x30\x0b\xa4\x09\x30\x07\x31\x05\x30\x03\x06\x01\x2a"))
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, text := range []string{pkix.NameString(der), ""} {
			if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
				t.Fatalf("%x prints as %q", der, text)
			}
		}
		if name, ok := pkix.Canonical(der); ok {
			if again, ok := pkix.Canonical(bytes.Clone(der)); !ok || again != name {
				t.Fatalf("%x is %q and %q", der, name, again)
			}
		}
		pkix.CanonicalRDN(der)
		pkix.AnyText(der)
		n := 0
		for form, content := range pkix.GeneralNames(der) {
			if n++; n > len(der) || len(content) > len(der) {
				t.Fatalf("%d names of %d octets", n, len(der))
			}
			if form == pkix.OtherName {
				pkix.OtherNameValue(content)
			}
		}
		for method, uri := range pkix.Access(der) {
			if len(method)+len(uri) > len(der) {
				t.Fatal("more than there is")
			}
		}
		if at, ok := pkix.ParseTime(der); ok {
			text := time.Unix(at, 0).UTC()
			if text.Year() < 0 || text.Year() > 9999 {
				t.Fatalf("%q is %v", der, text)
			}
		}
	})
}
