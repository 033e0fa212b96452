//go:build unix

package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/sqlstore"
	"github.com/postseal/postseal/internal/certtest"
	"github.com/postseal/postseal/internal/servertest"
)

// Attack row H09: as TestSQLite. Attack row H10: as TestSQLite, and on a server.
func TestPostgres(t *testing.T) {
	address := servertest.Postgres(t)
	n := 0
	fresh := func(t testing.TB) string {
		n++
		return newSchema(t, address, fmt.Sprintf("test%d", n))
	}
	suite(t, func(t *testing.T) string { return fresh(t) })
	t.Run("Conformance", func(t *testing.T) { conformance(t, fresh) })
}

// newSchema makes an empty schema on a server and returns its URL.
func newSchema(t testing.TB, address, name string) string {
	t.Helper()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA "+name); err != nil {
		t.Fatal(err)
	}
	return address + "&search_path=" + name
}

// A database shared with other programs gets a schema of its own, also when several
// processes come first.
func TestPostgresOwnSchema(t *testing.T) {
	address := servertest.Postgres(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := sqlstore.Open(t.Context(), address)
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	wg.Wait()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var schema string
	if err := db.QueryRowContext(t.Context(), "SELECT table_schema FROM information_schema.tables WHERE table_name = 'entries'").Scan(&schema); err != nil || schema != "postseal" {
		t.Errorf("the tables are in schema %q, %v", schema, err)
	}
	if _, err := sqlstore.Open(t.Context(), "postgres://postgres:wrong@"+strings.SplitN(address, "@", 2)[1]); err == nil || strings.Contains(err.Error(), "wrong@") {
		t.Errorf("wrong password: %v", err)
	}
}

// Whoever may only read the database of a company can.
func TestPostgresReader(t *testing.T) {
	address := servertest.Postgres(t)
	c := certtest.NewCA(t, "root").Certificate
	put(t, open(t, address), &certstore.Entry{Certificate: c})
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		"CREATE ROLE reader LOGIN PASSWORD 'reads'", "GRANT USAGE ON SCHEMA postseal TO reader", "GRANT SELECT ON ALL TABLES IN SCHEMA postseal TO reader",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("reader", "reads")
	s, err := sqlstore.Open(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := names(t, s, certstore.RawSubject(c.RawSubject)); got != "root" {
		t.Errorf("found %q", got)
	}
	if err := s.Put(t.Context(), &certstore.Entry{Certificate: c, Address: "a@example.test"}); err == nil {
		t.Error("who may only read wrote")
	}
}

// A server that falls silent costs each caller its own time, not that of the others.
func TestPostgresSilent(t *testing.T) {
	u, err := url.Parse(servertest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u.Host = l.Addr().String()
	var silent atomic.Bool
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server)
			if err != nil {
				in.Close()
				return
			}
			pass := func(to, from net.Conn) {
				defer to.Close()
				b := make([]byte, 32<<10)
				for {
					n, err := from.Read(b)
					if err != nil {
						return
					}
					if !silent.Load() {
						to.Write(b[:n])
					}
				}
			}
			go pass(out, in)
			go pass(in, out)
		}
	}()
	s := open(t, u.String())
	silent.Store(true)
	ask := func(limit time.Duration) time.Duration {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		begin := time.Now()
		for _, err := range s.Certificates(ctx, certstore.Email("alice@example.org")) {
			if err == nil {
				t.Error("an answer")
			}
		}
		return time.Since(begin)
	}
	patient := make(chan time.Duration)
	go func() { patient <- ask(5 * time.Second) }()
	time.Sleep(100 * time.Millisecond)
	if took := ask(100 * time.Millisecond); took > 3*time.Second {
		t.Errorf("one who waits a tenth of a second waited %v", took)
	}
	<-patient
}

func BenchmarkPostgres(b *testing.B) {
	benchmarkLookup(b, servertest.Postgres(b))
}
