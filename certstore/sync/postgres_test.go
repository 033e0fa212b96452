//go:build unix

package sync_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"testing"

	"github.com/postseal/postseal/certstore/sqlstore"
	"github.com/postseal/postseal/internal/servertest"
)

// PostgreSQL is a target like SQLite.
func TestPostgres(t *testing.T) {
	address := servertest.Postgres(t)
	for i, test := range []struct {
		name string
		run  func(*testing.T, target)
	}{
		{"Life", testLife},
		{"FullPass", testFullPass},
		{"Expiry", testExpiry},
		{"Fifteen", testFifteen},
		{"DryRun", testDryRun},
		{"Sharing", testSharing},
		{"RulesChange", testRulesChange},
		{"Update", testUpdate},
		{"Conflict", testConflict},
		{"FromStore", testFromStore},
	} {
		t.Run(test.name, func(t *testing.T) {
			// Each in a database of its own, made by the store itself.
			s, err := sqlstore.Open(t.Context(), newDatabase(t, address, fmt.Sprint("sync", i)))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			test.run(t, s)
		})
	}
}

// newDatabase makes an empty database on a server and returns its URL.
func newDatabase(t testing.TB, address, name string) string {
	t.Helper()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}
