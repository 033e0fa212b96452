package sqlstore

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/postseal/postseal/certstore"
)

// ReadByKey reads one certificate's row by its primary key and does nothing with it: the
// least that any look-up costs in this database.
func (s *Store) ReadByKey(ctx context.Context, id int64) ([]byte, error) {
	stmt, err := s.statement(ctx, s.dialect.placeholders("SELECT der FROM certificates WHERE id = ?"))
	if err != nil {
		return nil, err
	}
	var der []byte
	err = stmt.QueryRowContext(ctx, id).Scan(&der)
	return der, err
}

// Fill puts n certificates into the database that are copies of one, each with another
// address: make returns the i-th.
func (s *Store) Fill(ctx context.Context, n int, make func(i int) *x509.Certificate) error {
	const step = 2000
	for from := 0; from < n; from += step {
		var entries []*certstore.Entry
		for i := from; i < min(n, from+step); i++ {
			entries = append(entries, &certstore.Entry{Certificate: make(i), Source: "fill"})
		}
		if err := s.update(ctx, func(t *tx) error {
			_, err := t.put(keyed(entries), nil)
			return err
		}); err != nil {
			return fmt.Errorf("from %d: %w", from, err)
		}
	}
	return nil
}

// FillPlain puts n certificates into a table that has nothing but them.
func (s *Store) FillPlain(ctx context.Context, n int, make func(i int) *x509.Certificate) error {
	const step = 2000
	if _, err := s.writer.ExecContext(ctx, "CREATE TABLE plain (id INTEGER PRIMARY KEY, der BLOB NOT NULL)"); err != nil {
		return err
	}
	for from := 0; from < n; from += step {
		if err := s.update(ctx, func(t *tx) error {
			var values []any
			for i := from; i < min(n, from+step); i++ {
				values = append(values, i, make(i).Raw)
			}
			_, err := t.insert("plain (id, der)", values)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// MarshalKey is what is sealed of a key.
func MarshalKey(key crypto.PrivateKey) ([]byte, error) { return marshalKey(key) }

// ReadCRL reads the head of a revocation list.
func ReadCRL(der []byte) (issuer []byte, thisUpdate, nextUpdate time.Time, err error) {
	c, err := readCRL(der)
	if err != nil {
		return nil, thisUpdate, nextUpdate, err
	}
	return c.issuer, c.thisUpdate, c.nextUpdate, nil
}
