package pkix_test

import (
	"bytes"
	"cmp"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/pkix"
)

// entry describes one revoked certificate.
type entry struct {
	serial []byte
	reason int    // -1: no extension
	issuer []byte // Name for certificateIssuer, or nil
	late   bool   // the date is a GeneralizedTime
}

// crl encodes a list; its signature is of no use.
func crl(t testing.TB, issuer []byte, entries []entry, extensions func(*cryptobyte.Builder)) []byte {
	t.Helper()
	extension := func(b *cryptobyte.Builder, id asn1.ObjectIdentifier, critical bool, value func(*cryptobyte.Builder)) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(id)
			if critical {
				b.AddASN1Boolean(true)
			}
			b.AddASN1(casn1.OCTET_STRING, value)
		})
	}
	algorithm := func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 3}) })
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 64*len(entries)+1024))
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			algorithm(b)
			b.AddBytes(issuer)
			b.AddASN1(casn1.UTCTime, func(b *cryptobyte.Builder) { b.AddBytes([]byte("260501000000Z")) })
			b.AddASN1(casn1.UTCTime, func(b *cryptobyte.Builder) { b.AddBytes([]byte("260701000000Z")) })
			if len(entries) > 0 {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					for _, e := range entries {
						b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1(casn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(e.serial) })
							if e.late {
								b.AddASN1(casn1.GeneralizedTime, func(b *cryptobyte.Builder) { b.AddBytes([]byte("20260401000000Z")) })
							} else {
								b.AddASN1(casn1.UTCTime, func(b *cryptobyte.Builder) { b.AddBytes([]byte("260401000000Z")) })
							}
							if e.reason < 0 && e.issuer == nil {
								return
							}
							b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
								if e.reason >= 0 {
									extension(b, asn1.ObjectIdentifier{2, 5, 29, 21}, false, func(b *cryptobyte.Builder) {
										b.AddASN1(casn1.ENUM, func(b *cryptobyte.Builder) { b.AddUint8(uint8(e.reason)) })
									})
								}
								if e.issuer != nil {
									extension(b, asn1.ObjectIdentifier{2, 5, 29, 29}, true, func(b *cryptobyte.Builder) {
										b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
											b.AddASN1(casn1.Tag(4).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(e.issuer) })
										})
									})
								}
							})
						})
					}
				})
			}
			if extensions != nil {
				b.AddASN1(casn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.SEQUENCE, extensions)
				})
			}
		})
		algorithm(b)
		b.AddASN1BitString([]byte{1})
	})
	der, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestCRLLookup(t *testing.T) {
	a := name(t, []asn1.RawValue{attr(t, asn1.ObjectIdentifier{2, 5, 4, 3}, 12, "A")})
	b := name(t, []asn1.RawValue{attr(t, asn1.ObjectIdentifier{2, 5, 4, 3}, 19, "B")})
	canonA, _ := pkix.Canonical(a)
	canonB, _ := pkix.Canonical(b)
	list, err := pkix.ParseCRL(crl(t, a, []entry{
		{serial: []byte{1}, reason: pkix.KeyCompromise},
		{serial: []byte{2}, reason: pkix.CertificateHold, issuer: b},
		{serial: []byte{1}, reason: -1},
		{serial: []byte{0xff}, reason: -1},
		{serial: []byte{0, 0x80}, reason: 8, issuer: a},
		{serial: []byte{5}, reason: pkix.KeyCompromise, late: true},
		{serial: []byte{6}, reason: -1, late: true},
	}, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		serial []byte
		issuer string
		want   int // -1: not found
	}{
		{[]byte{1}, canonA, pkix.KeyCompromise},
		{[]byte{1}, canonB, pkix.Unspecified}, // certificateIssuer carries on
		{[]byte{2}, canonB, pkix.CertificateHold},
		{[]byte{2}, canonA, -1},
		{[]byte{0xff}, canonB, pkix.Unspecified}, // minus one
		{[]byte{0, 0xff}, canonB, -1},            // 255
		{[]byte{0, 0x80}, canonA, pkix.RemoveFromCRL},
		{[]byte{0, 0, 0x80}, canonA, pkix.RemoveFromCRL},
		{[]byte{3}, canonA, -1},
		{[]byte{5}, canonA, pkix.KeyCompromise},
		{[]byte{6}, canonA, pkix.Unspecified},
	} {
		got, ok := list.Lookup(c.serial, c.issuer)
		if ok != (c.want >= 0) || ok && got.Reason != c.want {
			t.Errorf("serial %x: %+v, %v; want reason %d", c.serial, got, ok, c.want)
		}
	}
	if got, _ := list.Lookup([]byte{1}, canonA); got.At != time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC).Unix() {
		t.Errorf("revoked at %v", time.Unix(got.At, 0))
	}
}

// large is a CRL with n entries.
func large(t testing.TB, n int) ([]byte, []entry, string) {
	issuer := name(t, []asn1.RawValue{attr(t, asn1.ObjectIdentifier{2, 5, 4, 3}, 12, "A")})
	entries := make([]entry, n)
	for i := range entries {
		serial := make([]byte, 16)
		binary.BigEndian.PutUint64(serial, uint64(i)*0x9e3779b97f4a7c15>>1)
		serial[15] = byte(i)
		entries[i] = entry{serial, 1, nil, false}
	}
	canon, _ := pkix.Canonical(issuer)
	return crl(t, issuer, entries, nil), entries, canon
}

// TestLargeCRL holds the index of 500,000 entries to its budget of 16 MB and to no
// allocation for an entry. Its time is for BenchmarkCRL to show.
func TestLargeCRL(t *testing.T) {
	der, entries, issuer := large(t, 500_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	list, err := pkix.ParseCRL(der)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	allocated, count := after.TotalAlloc-before.TotalAlloc, after.Mallocs-before.Mallocs
	t.Logf("%d bytes of DER, indexed with %d bytes in %d allocations", len(der), allocated, count)
	if allocated > 16<<20 || count > 1000 {
		t.Errorf("%d bytes in %d allocations", allocated, count)
	}
	for i := range 1000 {
		if _, ok := list.Lookup(entries[i*500].serial, issuer); !ok {
			t.Fatalf("entry %d is not found", i*500)
		}
		if _, ok := list.Lookup(append([]byte{1}, entries[i*500].serial...), issuer); ok {
			t.Fatal("a serial that is not there is found")
		}
	}
}

// TestCrowdedCRL (attack row G07) indexes lists that anybody can make: entries that all have one serial
// number, of one issuer or of many, must not make the index crawl.
func TestCrowdedCRL(t *testing.T) {
	const n = 200_000
	issuer := name(t, []asn1.RawValue{attr(t, asn1.ObjectIdentifier{2, 5, 4, 3}, 12, "A")})
	same, others := make([]entry, n), make([]entry, n)
	for i := range n {
		same[i] = entry{[]byte{1}, pkix.KeyCompromise, nil, false}
		others[i] = entry{[]byte{1}, pkix.KeyCompromise, name(t, []asn1.RawValue{attr(t, asn1.ObjectIdentifier{2, 5, 4, 3}, 12, fmt.Sprint(i))}), false}
	}
	for what, entries := range map[string][]entry{"one issuer": same, "many issuers": others} {
		entries[n-1].serial = []byte{2}
		der := crl(t, issuer, entries, nil)
		begin := time.Now()
		list, err := pkix.ParseCRL(der)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []entry{entries[0], entries[n/2], entries[n-1]} {
			about, _ := pkix.Canonical([]byte(cmp.Or(string(e.issuer), string(issuer))))
			if r, ok := list.Lookup(e.serial, about); !ok || r.Reason != pkix.KeyCompromise {
				t.Errorf("%s: serial %x is not found", what, e.serial)
			}
		}
		if _, ok := list.Lookup([]byte{3}, list.Issuer); ok {
			t.Errorf("%s: a serial that is not there is found", what)
		}
		// It takes 0.1 s, and took minutes.
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s: indexing takes %v", what, took)
		}
	}
}

// BenchmarkCRL prints what indexing 500,000 entries costs, as a share of the 150 ms and 16
// MB it may: the least of many runs, because the machine has other work.
func BenchmarkCRL(b *testing.B) {
	der, entries, issuer := large(b, 500_000)
	list, err := pkix.ParseCRL(der)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("index", func(b *testing.B) {
		best := time.Hour
		var before, after runtime.MemStats
		for range 20 {
			runtime.ReadMemStats(&before)
			start := time.Now()
			pkix.ParseCRL(der)
			best = min(best, time.Since(start))
			runtime.ReadMemStats(&after)
		}
		size := float64(after.TotalAlloc - before.TotalAlloc)
		b.ReportMetric(float64(best.Microseconds())/1e3, "ms")
		b.ReportMetric(float64(best)/float64(150*time.Millisecond), "of-150ms")
		b.ReportMetric(size/(16<<20), "of-16MB")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("lookup", func(b *testing.B) {
		i := 0
		for b.Loop() {
			list.Lookup(entries[i%len(entries)].serial, issuer)
			i += 7919
		}
	})
}

func TestCorpusCRLs(t *testing.T) {
	root := os.Getenv("POSTSEAL_CORPUS")
	if root == "" {
		t.Skip("POSTSEAL_CORPUS is not set")
	}
	files, _ := filepath.Glob(filepath.Join(root, "pkits", "crls", "*.crl"))
	if len(files) < 150 {
		t.Fatalf("%d CRLs", len(files))
	}
	for _, f := range files {
		der, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pkix.ParseCRL(der); err != nil {
			t.Errorf("%s: %v", filepath.Base(f), err)
		}
	}
}

func FuzzParseCRL(f *testing.F) {
	issuer := name(f, []asn1.RawValue{attr(f, asn1.ObjectIdentifier{2, 5, 4, 3}, 12, "A")})
	f.Add(crl(f, issuer, []entry{{[]byte{1}, 1, nil, false}, {[]byte{2}, -1, issuer, false}}, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{2, 5, 29, 28})
			b.AddASN1(casn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddBytes([]byte{0x30, 3, 0x84, 1, 0xff}) })
		})
	}))
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := pkix.ParseCRL(der)
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
		c.Lookup([]byte{1}, c.Issuer)
		if c.Scope != nil {
			for range c.Scope.FullName {
			}
		}
	})
}

func FuzzParseOCSP(f *testing.F) {
	f.Add([]byte{0x30, 3, 0x0a, 1, 6})
	if der, err := os.ReadFile("testdata/ocsp.der"); err == nil {
		f.Add(der)
	} else {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		_, err := pkix.ParseOCSP(der)
		var e *pkix.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("error of type %T", err)
		}
	})
}
