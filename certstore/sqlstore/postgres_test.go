//go:build unix

package sqlstore_test

import (
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/postseal/postseal/certstore/sqlstore"
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

func BenchmarkPostgres(b *testing.B) {
	benchmarkLookup(b, servertest.Postgres(b))
}
