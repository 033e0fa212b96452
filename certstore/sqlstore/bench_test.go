package sqlstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"iter"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/sync"
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

// crowd is a source with n objects, each with a certificate of its own.
type crowd struct {
	n           int
	certificate func(int) *x509.Certificate
}

func (crowd) Name() string { return "ldaps://dc1.example.test/dc=example,dc=test" }

func (c crowd) Changes(context.Context, []byte) iter.Seq2[*sync.Batch, error] {
	return func(yield func(*sync.Batch, error) bool) {
		const size = 2000
		for from := 0; from < c.n; from += size {
			b := &sync.Batch{Reset: from == 0}
			for i := from; i < min(c.n, from+size); i++ {
				b.Objects = append(b.Objects, &sync.Object{
					ID: fmt.Sprintf("%016x", sha256.Sum256([]byte(benchAddress(i))))[:32], Name: "CN=" + benchAddress(i) + ",OU=people,DC=example,DC=test", Addresses: []string{benchAddress(i)},
					Certificates: []sync.Certificate{{Entry: certstore.Entry{Certificate: c.certificate(i), Source: "userCertificate"}}},
				})
			}
			b.Complete = from+size >= c.n
			b.Everything = b.Complete
			if !yield(b, nil) {
				return
			}
		}
	}
}

// BenchmarkSyncInto reports what it costs to carry an object with a certificate into
// SQLite, with its parsing, in multiples of putting the certificate's octets into a table
// of their own, as many in a transaction: what of the cost is SQLite's, and what ours.
func BenchmarkSyncInto(b *testing.B) {
	c := crowd{benchSize(b), copies(b)}
	var ours, plain time.Duration
	for b.Loop() {
		s := open(b, "sqlite:"+filepath.Join(b.TempDir(), "certs.db"))
		start := time.Now()
		r, err := (&sync.Syncer{Source: c, Target: s, Rules: sync.Rules{KeepExpired: true}}).Run(b.Context())
		if err != nil || r.Added != c.n {
			b.Fatalf("%+v, %v", r, err)
		}
		middle := time.Now()
		if err := s.FillPlain(b.Context(), c.n, c.certificate); err != nil {
			b.Fatal(err)
		}
		ours += middle.Sub(start)
		plain += time.Since(middle)
	}
	b.ReportMetric(float64(ours)/float64(plain), "x-plain-insert")
	b.ReportMetric(float64(ours.Microseconds())/float64(b.N*c.n), "µs/object")
	b.ReportMetric(float64(plain.Microseconds())/float64(b.N*c.n), "µs/plain-insert")
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
