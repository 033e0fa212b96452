package sqlstore

import (
	"context"
	"crypto/cipher"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// A Store is a database of certificates. The zero value is not usable; see [Open].
type Store struct {
	db      *sql.DB // reads, and writes of PostgreSQL
	writer  *sql.DB // the one connection that writes to SQLite; the same as db for PostgreSQL
	dialect dialect

	mu       sync.Mutex
	prepared map[string]*sql.Stmt
	seal     cipher.AEAD // nil while locked
}

// Open opens the database that name names, and creates its tables or brings them up to
// date. Names are
//
//	sqlite:FILE        a file, created if missing, mode 0600
//	postgres://...     a PostgreSQL database in libpq's URL form; the tables live in
//	                   the schema "postseal" unless the URL sets search_path
//
// It fails if the tables are of a later version of this package.
func Open(ctx context.Context, name string) (*Store, error) {
	s := &Store{prepared: map[string]*sql.Stmt{}}
	var err error
	switch scheme, rest, _ := strings.Cut(name, ":"); scheme {
	case "sqlite":
		err = s.openSQLite(rest)
	case "postgres", "postgresql":
		err = s.openPostgres(name)
	default:
		return nil, fmt.Errorf("sqlstore: %q names no database: want sqlite:FILE or a postgres:// URL", scheme)
	}
	if err == nil {
		err = s.migrate(ctx)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("sqlstore: open: %w", err)
	}
	return s, nil
}

// Close closes the database. Sequences that are still running end with an error.
func (s *Store) Close() error {
	var errs []error
	s.mu.Lock()
	for _, stmt := range s.prepared {
		errs = append(errs, stmt.Close())
	}
	s.prepared, s.seal = nil, nil
	s.mu.Unlock()
	if s.writer != nil && s.writer != s.db {
		errs = append(errs, s.writer.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}

func (s *Store) openSQLite(path string) error {
	if path == "" || strings.ContainsRune(path, 0) {
		return errors.New("no file name")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	// SQLite itself would create the file readable by everybody.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	pragmas := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(30000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)", "trusted_schema(0)", "cache_size(-32768)",
	}}
	dsn := (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: pragmas.Encode()}).String()
	s.dialect = sqlite
	if s.writer, err = sql.Open("sqlite", dsn); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	if s.db, err = sql.Open("sqlite", dsn); err != nil {
		return err
	}
	s.db.SetMaxIdleConns(8)
	return nil
}

func (s *Store) openPostgres(address string) error {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return err
	}
	if config.RuntimeParams["search_path"] == "" {
		config.RuntimeParams["search_path"] = "postseal"
	}
	s.dialect = postgres
	s.db = stdlib.OpenDB(*config)
	s.db.SetMaxOpenConns(16)
	s.db.SetMaxIdleConns(8)
	s.writer = s.db
	return nil
}

// statement returns a prepared form of query, which is in the dialect of the database.
func (s *Store) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stmt := s.prepared[query]; stmt != nil {
		return stmt, nil
	}
	if s.prepared == nil {
		return nil, errors.New("store is closed")
	}
	stmt, err := s.db.PrepareContext(ctx, query)
	if err == nil {
		s.prepared[query] = stmt
	}
	return stmt, err
}

// update runs fn in one transaction, and again if another writer got in its way.
func (s *Store) update(ctx context.Context, fn func(*tx) error) error {
	const attempts = 10
	for attempt := 1; ; attempt++ {
		err := s.updateOnce(ctx, fn)
		if err == nil || attempt == attempts || !s.dialect.conflict(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(attempt) * 5 * time.Millisecond):
		}
	}
}

func (s *Store) updateOnce(ctx context.Context, fn func(*tx) error) error {
	t, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer t.Rollback() // after Commit it does nothing
	if err := fn(&tx{ctx, t, s.dialect}); err != nil {
		return err
	}
	return t.Commit()
}

// A tx is a transaction in progress. Its queries are written with ? as placeholder.
type tx struct {
	ctx     context.Context
	tx      *sql.Tx
	dialect dialect
}

func (t *tx) exec(query string, args ...any) (int64, error) {
	r, err := t.tx.ExecContext(t.ctx, t.dialect.placeholders(query), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// lock makes other transactions that lock the same name wait until this one ends.
func (t *tx) lock(name [32]byte) error {
	if t.dialect == sqlite {
		return nil // it has one writer anyway
	}
	_, err := t.exec("SELECT pg_advisory_xact_lock(?)", int64(binary.BigEndian.Uint64(name[:])))
	return err
}

// row reads one row into dest and reports whether there was one.
func (t *tx) row(query string, args []any, dest ...any) (bool, error) {
	err := t.tx.QueryRowContext(t.ctx, t.dialect.placeholders(query), args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// rows calls scan for every row.
func (t *tx) rows(query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := t.tx.QueryContext(t.ctx, t.dialect.placeholders(query), args...)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

func each(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
