//go:build unix

package ldapstore_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/sqlstore"
	"github.com/postseal/postseal/certstore/sync"
	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/internal/servertest"
)

// benchEntries is how many people the directory of the benchmarks has. The promise is made
// for a hundred thousand: POSTSEAL_BENCH_ENTRIES=100000.
func benchEntries(b *testing.B) int {
	b.Helper()
	if s := os.Getenv("POSTSEAL_BENCH_ENTRIES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	return 5000
}

func benchUser(i int) string { return fmt.Sprintf("u%06d", i) }

// benchDirectory is one in which everybody has a certificate of his own, as in a real one.
func benchDirectory(b *testing.B, n int) *servertest.Slapd {
	b.Helper()
	model := named(b, certtest.NewCA(b, "CA"), benchUser(0), benchUser(0)+"@example.test")
	var data bytes.Buffer
	for i := range n {
		u := benchUser(i)
		der := bytes.ReplaceAll(model.Raw, []byte(benchUser(0)), []byte(u))
		if _, err := x509.ParseCertificate(der); err != nil {
			b.Fatal(err)
		}
		ldif(&data, u, "mail: "+u+"@example.test", "proxyAddresses: SMTP:"+u+"@example.test", "proxyAddresses: smtp:"+u+".alias@example.test", "userCertificate;binary:: "+b64(der))
	}
	return servertest.StartSlapd(b, data.Bytes())
}

// BenchmarkLookup reports what a look-up costs in multiples of what ldapsearch takes for
// its searches on one connection, many in a row. Its searches are the simpler ones: it
// cannot ask for proxyAddresses in the same filter.
func BenchmarkLookup(b *testing.B) {
	ldapsearch := servertest.Need(b, "ldapsearch")
	n := benchEntries(b)
	server := benchDirectory(b, n)
	s := newStore(b, server.URL, server)
	const rounds = 2000
	var addresses []string
	var list bytes.Buffer
	for range rounds {
		a := benchUser(rand.IntN(n)) + "@example.test"
		addresses = append(addresses, a)
		fmt.Fprintln(&list, a)
	}
	file := filepath.Join(b.TempDir(), "addresses")
	must(b, os.WriteFile(file, list.Bytes(), 0o600))
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		cmd := exec.Command(ldapsearch, "-x", "-LLL", "-o", "ldif-wrap=no", "-ZZ", "-H", server.URL, "-b", server.Base, "-f", file, "(mail=%s)",
			"mail", "proxyAddresses", "userCertificate", "userCertificate;binary", "userSMIMECertificate", "userSMIMECertificate;binary")
		cmd.Env = append(os.Environ(), "LDAPTLS_CACERT="+server.RootFile, "LDAPTLS_REQCERT=demand")
		out, err := cmd.Output()
		must(b, err)
		if got := bytes.Count(out, []byte("userCertificate;binary::")); got != rounds {
			b.Fatalf("ldapsearch found %d of %d", got, rounds)
		}
		theirs += time.Since(start)
		start = time.Now()
		for _, address := range addresses {
			if got := len(collect(b, s.Certificates(b.Context(), certstore.Email(address)))); got != 1 {
				b.Fatalf("%d certificates for %s", got, address)
			}
		}
		ours += time.Since(start)
	}
	b.ReportMetric(float64(ours)/float64(theirs), "x-ldapsearch")
	b.ReportMetric(float64(ours.Microseconds())/float64(b.N*rounds), "µs/look-up")
}

// BenchmarkSync reports what a full pass into SQLite costs in multiples of what ldapsearch
// takes to read the same entries page by page, what of that is reading and parsing alone,
// and how much memory the pass needs at most.
func BenchmarkSync(b *testing.B) {
	ldapsearch := servertest.Need(b, "ldapsearch")
	n := benchEntries(b)
	server := benchDirectory(b, n)
	var ours, reading, theirs time.Duration
	var peak uint64
	for b.Loop() {
		start := time.Now()
		cmd := exec.Command(ldapsearch, "-x", "-LLL", "-o", "ldif-wrap=no", "-H", server.URL, "-b", server.Base, "-E", "pr=500/noprompt", "(userCertificate=*)",
			"mail", "proxyAddresses", "userCertificate", "userSMIMECertificate", "entryUUID")
		out, err := cmd.Output()
		must(b, err)
		if got := bytes.Count(out, []byte("userCertificate;binary::")); got != n {
			b.Fatalf("ldapsearch found %d of %d", got, n)
		}
		out = nil
		theirs += time.Since(start)

		s := newStore(b, server.URL, server)
		start = time.Now()
		named := 0
		for batch, err := range s.FullPass().Changes(b.Context(), nil) {
			must(b, err)
			named += len(batch.Objects)
		}
		reading += time.Since(start)
		if named != n {
			b.Fatalf("the source named %d of %d", named, n)
		}

		db, err := sqlstore.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "certs.db"))
		must(b, err)
		runtime.GC()
		start = time.Now()
		r, err := (&sync.Syncer{Source: s.FullPass(), Target: db, Time: afterEpoch, Progress: func(sync.Report) {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
		}}).Run(b.Context())
		must(b, err)
		ours += time.Since(start)
		if r.Added != n {
			b.Fatalf("added %d of %d", r.Added, n)
		}
		must(b, db.Close())
	}
	b.ReportMetric(float64(ours)/float64(theirs), "x-ldapsearch")
	b.ReportMetric(float64(reading)/float64(theirs), "x-ldapsearch-to-read")
	b.ReportMetric(float64(b.N*n)/ours.Seconds(), "entries/s")
	b.ReportMetric(float64(peak)/(1<<20), "MiB-heap")
}

func afterEpoch() time.Time { return certtest.Epoch().AddDate(0, 1, 0) }
