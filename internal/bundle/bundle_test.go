package bundle_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/postseal/postseal/internal/bundle"
	"github.com/postseal/postseal/internal/limits"
	"github.com/smallstep/pkcs7"
)

// newCerts returns n self-signed certificates.
func newCerts(t testing.TB, n int) []*x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var list []*x509.Certificate
	for i := range n {
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)),
			Subject:      pkix.Name{CommonName: fmt.Sprint("certificate ", i)},
			NotBefore:    time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
			NotAfter:     time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
			IsCA:         true, KeyUsage: x509.KeyUsageCRLSign, BasicConstraintsValid: true, SubjectKeyId: []byte{1},
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: list[0].NotBefore, NextUpdate: list[0].NotAfter}, list[0], key)
	if err != nil {
		t.Fatal(err)
	}
	testCRL = crl
	return list
}

// testCRL is a CRL of the certificates newCerts made last.
var testCRL []byte

func serials(b *bundle.Bundle) string {
	var s []string
	for _, c := range b.Certificates {
		s = append(s, c.SerialNumber.String())
	}
	return strings.Join(s, " ")
}

func write(t testing.TB, f func(io.Writer, []*x509.Certificate) error, certs []*x509.Certificate) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b, certs); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pemBlock armours b.
func pemBlock(label string, b []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: b})
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestParse(t *testing.T) {
	c := newCerts(t, 3)
	crl := testCRL
	sst := write(t, bundle.WriteSST, c)
	p7 := write(t, bundle.WriteP7B, c)
	for _, tt := range []struct {
		name, format string
		data         []byte
		certs, crls  int
		warnings     int
	}{
		{"one DER certificate", "der", c[0].Raw, 1, 0, 0},
		{"DER certificates in a row", "der", concat(c[0].Raw, c[1].Raw, c[2].Raw), 3, 0, 0},
		{"DER with a line end", "der", concat(c[0].Raw, []byte("\r\n")), 1, 0, 0},
		{"DER with something behind", "der", concat(c[0].Raw, []byte("hello")), 1, 0, 1},
		{"DER CRL", "der", crl, 0, 1, 0},
		{"base64 without armour", "der", []byte(base64.StdEncoding.EncodeToString(c[0].Raw)), 1, 0, 0},
		{"PEM", "pem", write(t, bundle.WritePEM, c), 3, 0, 0},
		{"PEM with CR LF and text", "pem", concat([]byte("subject=x\r\n"), bytes.ReplaceAll(pemBlock("CERTIFICATE", c[0].Raw), []byte("\n"), []byte("\r\n")), []byte("more\r\n")), 1, 0, 0},
		{"PEM with byte order mark", "pem", concat([]byte("\xef\xbb\xbf"), pemBlock("CERTIFICATE", c[0].Raw)), 1, 0, 0},
		{"PEM of many kinds", "pem", concat(pemBlock("X509 CERTIFICATE", c[0].Raw), pemBlock("X509 CRL", crl), pemBlock("PKCS7", p7), pemBlock("PRIVATE KEY", []byte{1})), 3, 1, 0},
		{"PEM that OpenSSL trusts", "pem", pemBlock("TRUSTED CERTIFICATE", concat(c[0].Raw, []byte{0x30, 0})), 1, 0, 0},
		{"PKCS#7 labelled as certificate", "pem", pemBlock("CERTIFICATE", p7), 3, 0, 0},
		{"PEM with a broken block between", "pem", concat(pemBlock("CERTIFICATE", c[0].Raw), []byte("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"), pemBlock("CERTIFICATE", c[1].Raw)), 2, 0, 1},
		{"PEM cut short", "pem", concat(pemBlock("CERTIFICATE", c[0].Raw), pemBlock("CERTIFICATE", c[1].Raw)[:200]), 1, 0, 1},
		{"PKCS#7", "pkcs7", p7, 3, 0, 0},
		{"serialized store", "sst", sst, 3, 0, 0},
		{"the same certificate twice", "der", concat(c[0].Raw, c[0].Raw), 1, 0, 0},
		{"empty PKCS#7", "pkcs7", write(t, bundle.WriteP7B, nil), 0, 0, 0},
		{"empty serialized store", "sst", write(t, bundle.WriteSST, nil), 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := bundle.Parse(tt.data)
			if err != nil {
				t.Fatal(err)
			}
			if b.Format != tt.format || len(b.Certificates) != tt.certs || len(b.CRLs) != tt.crls || len(b.Warnings) != tt.warnings {
				t.Errorf("got %s with %d certificates, %d CRLs, warnings %v; want %s, %d, %d, %d warnings",
					b.Format, len(b.Certificates), len(b.CRLs), b.Warnings, tt.format, tt.certs, tt.crls, tt.warnings)
			}
			_, err = bundle.Reader{Strict: true}.Parse(tt.data)
			if (err == nil) != (tt.warnings == 0) {
				t.Errorf("strict reader: %v", err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	c := newCerts(t, 1)[0]
	for _, tt := range []struct {
		name string
		data []byte
		want error // nil: any
	}{
		{"nothing at all", nil, nil},
		{"text", []byte("hello"), nil},
		{"a private key", pemBlock("PRIVATE KEY", []byte{0x30, 0}), nil},
		{"half a certificate", c.Raw[:len(c.Raw)/2], io.ErrUnexpectedEOF},
		{"a broken certificate", concat([]byte{0x30, 0x82, 1, 0}, c.Raw[4:260]), nil},
		{"PEM of nothing known", pemBlock("THING", []byte{1, 2, 3}), nil},
		{"encrypted CMS", []byte("\x30\x0f\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x02\x30\x00"), nil},
		{"PKCS#12", []byte("\x30\x05\x02\x01\x03\x30\x00"), bundle.ErrEncrypted},
		{"more than a file may have", make([]byte, limits.SerializedStore+1), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := bundle.Parse(tt.data)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want error %v", err, tt.want)
			}
		})
	}
}

// element builds one element of a serialized store.
func element(id, encoding uint32, value []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, id)
	b = binary.LittleEndian.AppendUint32(b, encoding)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

func utf16z(s string) []byte {
	var b []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func TestSerializedStore(t *testing.T) {
	c := newCerts(t, 2)
	header, end := []byte("\x00\x00\x00\x00CERT"), make([]byte, 12)
	cert := func(i int) []byte { return element(0x20, 1, c[i].Raw) }
	hash := func(i int) []byte { s := sha1.Sum(c[i].Raw); return element(3, 1, s[:]) }
	for _, tt := range []struct {
		name     string
		data     []byte
		want     string // serial numbers
		warnings int
		err      bool
	}{
		{"properties before certificates, as Windows writes", concat(header, hash(0), cert(0), hash(1), cert(1), end), "1 2", 0, false},
		{"properties after certificates", concat(header, cert(0), hash(0), cert(1), hash(1), end), "1 2", 0, false},
		{"no properties, as Wine writes", concat(header, cert(0), cert(1), end), "1 2", 0, false},
		{"SHA-1 of another certificate", concat(header, hash(1), cert(0), end), "1", 1, false},
		{"key provider info and other properties", concat(header, element(2, 1, make([]byte, 40)), element(20, 1, []byte{1}), element(0xffff, 1, nil), cert(0), end), "1", 0, false},
		{"duplicates", concat(header, cert(1), cert(0), cert(1), end), "2 1", 0, false},
		{"CRL and CTL", concat(header, cert(0), element(0x21, 1, testCRL), element(0x22, 1, []byte{1}), end), "1", 0, false},
		{"other encoding", concat(header, element(0x20, 2, c[0].Raw), cert(1), end), "2", 1, false},
		{"unknown element", concat(header, element(0x10000, 1, nil), cert(1), end), "2", 1, false},
		{"certificate that does not parse", concat(header, cert(0), element(0x20, 1, []byte{0x30, 0}), cert(1), end), "1 2", 1, false},
		{"certificate above the limit", concat(header, cert(0), element(0x20, 1, make([]byte, limits.CertificateSize+1)), end), "1", 1, false},
		{"no end marker", concat(header, cert(0)), "1", 1, false},
		{"octets behind the end marker", concat(header, cert(0), end, []byte("x")), "1", 1, false},
		{"end marker that is not empty", concat(header, cert(0), element(0, 1, nil)), "", 0, true},
		{"cut inside an element", concat(header, cert(0), cert(1)[:50]), "", 0, true},
		{"cut inside an element header", concat(header, cert(0), cert(1)[:7]), "", 0, true},
		{"length beyond the file", concat(header, []byte("\x20\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\xff")), "", 0, true},
		{"version 1", concat([]byte("\x01\x00\x00\x00CERT"), cert(0), end), "", 0, true},
		{"wrong magic", concat([]byte("\x00\x00\x00\x00CERS"), cert(0), end), "", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := bundle.Parse(tt.data)
			if tt.err {
				if err == nil {
					t.Fatalf("accepted: %v", b)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if serials(b) != tt.want || len(b.Warnings) != tt.warnings {
				t.Errorf("got certificates %q, warnings %v; want %q, %d", serials(b), b.Warnings, tt.want, tt.warnings)
			}
			for _, w := range b.Warnings {
				var e *bundle.Error
				if !errors.As(w, &e) || e.Offset < 8 {
					t.Errorf("warning does not say where: %v", w)
				}
			}
		})
	}
	b, err := bundle.Parse(concat(header, element(11, 1, utf16z("Wurzel Ä")), cert(0), cert(1), end))
	if err != nil || b.Names[b.Certificates[0]] != "Wurzel Ä" || b.Names[b.Certificates[1]] != "" {
		t.Errorf("friendly names: %v, %v", b, err)
	}
	many := slices.Clone(header)
	for range 30 {
		many = append(many, cert(0)...)
	}
	var over *limits.Exceeded
	if _, err := (bundle.Reader{MaxElements: 20}).Parse(concat(many, end)); !errors.As(err, &over) {
		t.Errorf("30 certificates where 20 are allowed: %v", err)
	}
	if _, err := (bundle.Reader{MaxElements: 30}).Parse(concat(many, end)); err != nil {
		t.Errorf("30 certificates where 30 are allowed: %v", err)
	}
}

func TestRoundTrip(t *testing.T) {
	c := newCerts(t, 5)
	for name, f := range map[string]func(io.Writer, []*x509.Certificate) error{
		"sst": bundle.WriteSST, "pem": bundle.WritePEM, "pkcs7": bundle.WriteP7B,
	} {
		once := write(t, f, append(c, c...))
		b, err := bundle.Parse(once)
		if err != nil || b.Format != name || len(b.Certificates) != len(c) || len(b.Warnings) > 0 {
			t.Fatalf("%s: %v, %v", name, b, err)
		}
		if serials(b) != "1 2 3 4 5" {
			t.Errorf("%s: order changed to %s", name, serials(b))
		}
		if again := write(t, f, b.Certificates); !bytes.Equal(again, once) {
			t.Errorf("%s: writing what was read gives another file", name)
		}
	}
}

// Another implementation reads the PKCS#7 we write.
func TestP7BPeer(t *testing.T) {
	c := newCerts(t, 4)
	p7, err := pkcs7.Parse(write(t, bundle.WriteP7B, c))
	if err != nil || len(p7.Certificates) != 4 {
		t.Errorf("peer reads %v, %v", p7, err)
	}
	der, err := pkcs7.DegenerateCertificate(c[0].Raw)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := bundle.Parse(der); err != nil || len(b.Certificates) != 1 {
		t.Errorf("we read the peer's file as %v, %v", b, err)
	}
}

// Every truncation gives an error or less than the whole, and never a panic.
func TestTruncations(t *testing.T) {
	c := newCerts(t, 2)
	for _, whole := range [][]byte{write(t, bundle.WriteSST, c), write(t, bundle.WriteP7B, c), write(t, bundle.WritePEM, c)} {
		for n := range whole {
			if b, err := bundle.Parse(whole[:n]); err == nil && len(b.Certificates) > 1 && len(b.Warnings) == 0 && n < len(whole)-1 {
				t.Fatalf("%d of %d octets read as the whole %s file", n, len(whole), b.Format)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	c := newCerts(f, 2)
	f.Add(write(f, bundle.WriteSST, c))
	f.Add(write(f, bundle.WriteP7B, c))
	f.Add(write(f, bundle.WritePEM, c))
	f.Add(c[0].Raw)
	f.Add(testCRL)
	f.Add([]byte("\x00\x00\x00\x00CERT\x0b\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00a\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := bundle.Parse(data)
		if err != nil {
			return
		}
		for _, w := range b.Warnings {
			var e *bundle.Error
			if !errors.As(w, &e) || e.Offset < 0 || e.Offset > len(data) {
				t.Fatalf("warning without a place: %v", w)
			}
		}
		var out bytes.Buffer
		if err := bundle.WriteSST(&out, b.Certificates); err != nil {
			t.Fatal(err)
		}
		again, err := bundle.Reader{Strict: true}.Parse(out.Bytes())
		if err != nil || len(again.Certificates) != len(b.Certificates) {
			t.Fatalf("what was read does not survive writing: %v", err)
		}
		for i := range b.Certificates {
			if !bytes.Equal(again.Certificates[i].Raw, b.Certificates[i].Raw) {
				t.Fatal("certificate changed")
			}
		}
	})
}

// Attack row D04: PEM with a million header lines, without ends, or of nothing but
// beginnings costs what its length says.
func TestPEMWorkIsLinear(t *testing.T) {
	for name, of := range map[string]func(n int) string{
		"headers": func(n int) string {
			return "-----BEGIN X-----\n" + strings.Repeat("A: b\n", n*125_000) + "\nAAAA\n-----END X-----\n"
		},
		"headers without end": func(n int) string { return "-----BEGIN X-----\n" + strings.Repeat("A: b\n", n*125_000) },
		"colons": func(n int) string {
			return "-----BEGIN X-----\n" + strings.Repeat(":", n*500_000) + "\n-----END X-----\n"
		},
		"beginnings":             func(n int) string { return strings.Repeat("-----BEGIN X-----\n", n*100) },
		"beginnings in one line": func(n int) string { return strings.Repeat("-----BEGIN X-----", n*20_000) },
		"ends":                   func(n int) string { return "-----BEGIN X-----\n" + strings.Repeat("-----END Y-----\n", n*20_000) },
		"hyphens":                func(n int) string { return strings.Repeat("-", n*500_000) },
		"base64 of empty lines": func(n int) string {
			return "-----BEGIN X-----\n" + strings.Repeat("\n", n*500_000) + "-----END X-----\n"
		},
		"line ends after a block": func(n int) string {
			return "-----BEGIN X-----\nAAAA\n-----END X-----\n" + strings.Repeat("\n", n*500_000)
		},
	} {
		fastest := func(text string) time.Duration {
			least := time.Duration(1 << 62)
			for range 10 {
				start := time.Now()
				bundle.Blocks([]byte(text), 1000)
				least = min(least, time.Since(start))
			}
			return least
		}
		small, large := of(1), of(8)
		ratio := 0.0
		for range 5 { // a square would be sixty-four
			if ratio = float64(fastest(large)) / float64(fastest(small)); ratio < 20 {
				break
			}
		}
		if ratio >= 20 {
			t.Errorf("%s: eight times the input takes %.0f times as long", name, ratio)
		}
	}
}
