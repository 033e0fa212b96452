package sqlstore_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/certtest"
)

// benchSize is how many certificates the benchmarks look one up among. The promise is made
// for a million, which takes minutes to put there: POSTSEAL_BENCH_CERTS=1000000.
func benchSize(b *testing.B) int {
	b.Helper()
	if s := os.Getenv("POSTSEAL_BENCH_CERTS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	return 20_000
}

func benchAddress(i int) string { return fmt.Sprintf("u%07d@example.test", i) }

// copies returns a function that makes certificates which differ in serial number, key
// identifier and address. Their signatures are wrong, which no store cares about.
func copies(b *testing.B) func(int) *x509.Certificate {
	b.Helper()
	ca := certtest.NewCA(b, "CA")
	_, key := ca.Issue(b)
	model := ca.IssueFor(b, key.Public(), func(c *x509.Certificate) {
		c.SerialNumber, c.EmailAddresses = big.NewInt(0x70000000), []string{benchAddress(0)}
		c.SubjectKeyId = []byte("k0000000")
	})
	return func(i int) *x509.Certificate {
		der := bytes.Replace(model.Raw, []byte(benchAddress(0)), []byte(benchAddress(i)), 1)
		der = bytes.Replace(der, []byte("k0000000"), fmt.Appendf(nil, "k%07d", i), 1)
		der = bytes.Replace(der, []byte{2, 4, 0x70, 0, 0, 0}, []byte{2, 4, 0x70, byte(i >> 16), byte(i >> 8), byte(i)}, 1)
		c, err := x509.ParseCertificate(der)
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
}

func BenchmarkSQLite(b *testing.B) {
	benchmarkLookup(b, "sqlite:"+filepath.Join(b.TempDir(), "certs.db"))
}

// benchmarkLookup reports what it costs to find a certificate by address, by issuer and
// serial number and by key identifier, in multiples of reading a row by its primary key.
// The answer is a parsed certificate; the row is only fetched.
func benchmarkLookup(b *testing.B, name string) {
	s := open(b, name)
	n, certificate := benchSize(b), copies(b)
	began := time.Now()
	if err := s.Fill(b.Context(), n, certificate); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d certificates put in %v", n, time.Since(began).Round(time.Millisecond))
	some := make([]*x509.Certificate, 500)
	for i := range some {
		some[i] = certificate(rand.IntN(n))
	}
	read := func(i int) {
		if _, err := s.ReadByKey(b.Context(), 1+rand.Int64N(int64(n))); err != nil {
			b.Fatal(err)
		}
	}
	find := func(q certstore.Query) {
		found := 0
		for _, err := range s.Certificates(b.Context(), q) {
			if err != nil {
				b.Fatal(err)
			}
			found++
		}
		if found != 1 {
			b.Fatalf("found %d for %v", found, q)
		}
	}
	for _, test := range []struct {
		name string
		do   func(i int)
	}{
		{"Address", func(int) { find(certstore.Email(benchAddress(rand.IntN(n)))) }},
		{"IssuerSerial", func(i int) {
			c := some[i%len(some)]
			find(certstore.IssuerSerial{RawIssuer: c.RawIssuer, Serial: c.SerialNumber})
		}},
		{"KeyID", func(int) { find(certstore.SubjectKeyID(fmt.Appendf(nil, "k%07d", rand.IntN(n)))) }},
	} {
		b.Run(test.name, func(b *testing.B) {
			// In turns, so that a busy machine slows both.
			var finding, reading time.Duration
			i := 0
			for b.Loop() {
				start := time.Now()
				test.do(i)
				middle := time.Now()
				read(i)
				finding += middle.Sub(start)
				reading += time.Since(middle)
				i++
			}
			b.ReportMetric(float64(finding)/float64(reading), "x-key-read")
			b.ReportMetric(float64(reading.Nanoseconds())/float64(i), "ns/key-read")
			b.ReportMetric(float64(finding.Nanoseconds())/float64(i), "ns/look-up")
		})
	}
}
