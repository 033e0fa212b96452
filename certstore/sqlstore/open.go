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
	"slices"
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
	// temp_store: what SQLite notes to undo a statement stays in memory.
	pragmas := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(30000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)", "trusted_schema(0)", "cache_size(-32768)", "temp_store(2)",
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
	stmt, closed := s.prepared[query], s.prepared == nil
	s.mu.Unlock()
	switch {
	case stmt != nil:
		return stmt, nil
	case closed:
		return nil, errClosed
	}
	// Not under the lock: a server that does not answer is waited for by those who ask it.
	fresh, err := s.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	stmt, closed = s.prepared[query], s.prepared == nil
	if stmt == nil && !closed {
		s.prepared[query] = fresh
	}
	s.mu.Unlock()
	switch {
	case closed:
		return nil, errors.Join(errClosed, fresh.Close())
	case stmt != nil: // somebody else was faster
		return stmt, fresh.Close()
	}
	return fresh, nil
}

var errClosed = errors.New("store is closed")

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
	if err := fn(&tx{ctx: ctx, tx: t, dialect: s.dialect}); err != nil {
		return err
	}
	return t.Commit()
}

// A tx is a transaction in progress. Its queries are written with ? as placeholder.
type tx struct {
	ctx      context.Context
	tx       *sql.Tx
	dialect  dialect
	prepared map[string]*sql.Stmt // for SQLite
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

// ids returns n numbers for new rows of a table, ascending.
func (t *tx) ids(table string, n int) ([]int64, error) {
	if n == 0 {
		return nil, nil
	}
	ids := make([]int64, 0, n)
	if t.dialect == postgres {
		return ids, t.rows("SELECT nextval(pg_get_serial_sequence(?, 'id')) FROM generate_series(1, ?)", []any{table, n}, func(r *sql.Rows) error {
			var id int64
			err := r.Scan(&id)
			ids = append(ids, id)
			return err
		})
	}
	// Nobody else writes before the transaction ends.
	var last int64
	if _, err := t.row("SELECT coalesce(max(id), 0) FROM "+table, nil, &last); err != nil {
		return nil, err
	}
	for range n {
		last++
		ids = append(ids, last)
	}
	return ids, nil
}

// insert adds rows to a table and returns how many: what is there already is left alone.
// into names the table and its columns; values are those of all rows. A few sizes of
// statements serve for any number of rows.
func (t *tx) insert(into string, values []any) (added int, err error) {
	columns := strings.Count(into, ",") + 1
	for _, size := range [...]int{64, 8, 1} {
		query := ""
		for len(values) >= size*columns {
			if query == "" {
				query = "INSERT INTO " + into + " VALUES " + tuples(size, columns) + " ON CONFLICT DO NOTHING"
			}
			n, err := t.runExec(query, values[:size*columns])
			if err != nil {
				return added, err
			}
			added += int(n)
			values = values[size*columns:]
		}
	}
	return added, nil
}

// among runs a query once for every few of values: they stand in a list between before and after, and what is fixed comes first. Where they do not fill the list, the
// last one is repeated in it.
func (t *tx) among(before, after string, fixed, values []any, scan func(*sql.Rows) error) error {
	for len(values) > 0 {
		size := 1
		for size < len(values) && size < 64 {
			size *= 8
		}
		n := min(size, len(values))
		args := append(slices.Clone(fixed), values[:n]...)
		for range size - n {
			args = append(args, values[n-1])
		}
		if err := t.run(before+list(size)+after, args, scan); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

// run runs a query that the transaction is likely to run again. What it returns goes to
// scan, if it is not nil.
func (t *tx) run(query string, args []any, scan func(*sql.Rows) error) error {
	if scan == nil {
		_, err := t.runExec(query, args)
		return err
	}
	if t.dialect == postgres {
		return t.rows(query, args, scan) // pgx remembers statements by itself
	}
	stmt, err := t.prepare(query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(t.ctx, args...)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

// runExec is run for a query that returns nothing. It returns how many rows it changed.
func (t *tx) runExec(query string, args []any) (int64, error) {
	if t.dialect == postgres {
		return t.exec(query, args...)
	}
	stmt, err := t.prepare(query)
	if err != nil {
		return 0, err
	}
	r, err := stmt.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// prepare returns a statement that lives as long as the transaction.
func (t *tx) prepare(query string) (*sql.Stmt, error) {
	if stmt := t.prepared[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := t.tx.PrepareContext(t.ctx, query)
	if err == nil {
		if t.prepared == nil {
			t.prepared = map[string]*sql.Stmt{}
		}
		t.prepared[query] = stmt
	}
	return stmt, err
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
