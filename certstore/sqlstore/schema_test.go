package sqlstore_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/sqlstore"
	"github.com/postseal/postseal/internal/certtest"
)

// A database of an earlier version is brought up to date with all it holds; one of a later
// version is left alone.
func TestMigrations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "certs.db")
	ca := certtest.NewCA(t, "root")
	s := open(t, "sqlite:"+path)
	put(t, s, &certstore.Entry{Certificate: ca.Certificate})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	do := func(statements ...string) {
		t.Helper()
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, statement := range statements {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	do("DROP TABLE sync_entries", "DROP TABLE sync_objects", "DROP TABLE sync_sources", "UPDATE schema_version SET version = 1")
	s = open(t, "sqlite:"+path)
	if got := names(t, s, certstore.RawSubject(ca.Certificate.RawSubject)); got != "root" {
		t.Errorf("after the migration: %q", got)
	}
	if _, err := s.State(t.Context(), "anything"); err != nil {
		t.Errorf("the tables of the synchronisation are missing: %v", err)
	}
	do("UPDATE schema_version SET version = 99")
	if s, err := sqlstore.Open(t.Context(), "sqlite:"+path); err == nil || !strings.Contains(err.Error(), "version 99") {
		if err == nil {
			s.Close()
		}
		t.Errorf("a database of the future: %v", err)
	}
	if got := names(t, s, certstore.RawSubject(ca.Certificate.RawSubject)); got != "root" {
		t.Errorf("it was touched: %q", got)
	}
}

// Whoever opens a database to read does not wait for who writes to it.
func TestOpenBesideWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "certs.db")
	ca := certtest.NewCA(t, "root")
	put(t, open(t, "sqlite:"+path), &certstore.Entry{Certificate: ca.Certificate})
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // less than one waits for a lock
	defer cancel()
	s, err := sqlstore.Open(ctx, "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := names(t, s, certstore.RawSubject(ca.Certificate.RawSubject)); got != "root" {
		t.Errorf("found %q", got)
	}
}

// What is no database is refused and left as it is.
func TestNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letter.txt")
	writeFile(t, path, strings.Repeat("Dear Alice, this is no database. ", 100))
	if s, err := sqlstore.Open(t.Context(), "sqlite:"+path); err == nil {
		s.Close()
		t.Error("a letter was opened as a database")
	}
	if got := readFile(t, path); !strings.HasPrefix(got, "Dear Alice") {
		t.Errorf("the letter became %.20q", got)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
