package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/limits"
)

// Put adds entries, and replaces those with the same certificate and Address, all of them
// or none. They are on disk when it returns.
func (s *Store) Put(ctx context.Context, entries ...*certstore.Entry) error {
	if err := check(entries); err != nil {
		return err
	}
	err := s.update(ctx, func(t *tx) error {
		_, err := t.put(entries)
		return err
	})
	if err != nil {
		return fmt.Errorf("sqlstore: put: %w", err)
	}
	return nil
}

// Remove removes the entries with the certificate and Address of each of entries, all of
// them or none. Private keys stay; see [Store.RemoveIdentity].
func (s *Store) Remove(ctx context.Context, entries ...*certstore.Entry) error {
	for _, e := range entries {
		if e == nil || e.Certificate == nil {
			return errors.New("sqlstore: entry without a certificate")
		}
	}
	err := s.update(ctx, func(t *tx) error { return t.remove(keysOf(entries)) })
	if err != nil {
		return fmt.Errorf("sqlstore: remove: %w", err)
	}
	return nil
}

// Prune removes every certificate that expired before the given time, with all its
// entries, except those that have a private key, and every revocation list and OCSP
// answer whose next update was due before it. It returns how many rows it removed.
func (s *Store) Prune(ctx context.Context, before time.Time) (int64, error) {
	var total int64
	err := s.update(ctx, func(t *tx) error {
		total = 0
		for _, q := range []string{
			"DELETE FROM entries WHERE certificate IN (SELECT id FROM certificates WHERE not_after < ?) AND certificate NOT IN (SELECT certificate FROM identities)",
			"DELETE FROM certificates WHERE not_after < ? AND id NOT IN (SELECT certificate FROM identities)",
			"DELETE FROM crls WHERE next_update < ?",
			"DELETE FROM ocsp WHERE next_update < ?",
		} {
			n, err := t.exec(q, before.UnixMicro())
			if err != nil {
				return err
			}
			total += n
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("sqlstore: prune: %w", err)
	}
	return total, nil
}

func check(entries []*certstore.Entry) error {
	for _, e := range entries {
		if e == nil || e.Certificate == nil {
			return errors.New("sqlstore: entry without a certificate")
		}
		if len(e.Certificate.Raw) > limits.CertificateSize {
			return fmt.Errorf("sqlstore: certificate of %q: %w", e.Certificate.Subject, &limits.Exceeded{What: "octets of a certificate", Max: limits.CertificateSize})
		}
		if !utf8.ValidString(e.Address) || strings.ContainsRune(e.Address, 0) {
			return fmt.Errorf("sqlstore: %q is not an address", e.Address)
		}
		if len(e.Capabilities) > limits.AttributeSize {
			return fmt.Errorf("sqlstore: capabilities of %q: %w", e.Certificate.Subject, &limits.Exceeded{What: "octets of capabilities", Max: limits.AttributeSize})
		}
	}
	return nil
}

// An entryKey is what an entry is known by.
type entryKey struct {
	cert    [32]byte
	address string
}

func keyOf(e *certstore.Entry) entryKey {
	return entryKey{sha256.Sum256(e.Certificate.Raw), e.Address}
}

func keysOf(entries []*certstore.Entry) []entryKey {
	keys := make([]entryKey, len(entries))
	for i, e := range entries {
		keys[i] = keyOf(e)
	}
	return keys
}

// put writes entries and returns the row of each.
func (t *tx) put(entries []*certstore.Entry) (map[entryKey]int64, error) {
	// Of equal ones the last stays. Writers that go through certificates in one order
	// do not run into each other's locks.
	last := make(map[entryKey]*certstore.Entry, len(entries))
	for _, e := range entries {
		last[keyOf(e)] = e
	}
	order := make([]entryKey, 0, len(last))
	for k := range last {
		order = append(order, k)
	}
	slices.SortFunc(order, func(a, b entryKey) int {
		return cmp.Or(bytes.Compare(a.cert[:], b.cert[:]), cmp.Compare(a.address, b.address))
	})
	ids := make(map[entryKey]int64, len(order))
	for chunk := range slices.Chunk(order, chunkSize) {
		certs := make(map[[32]byte]*x509.Certificate, len(chunk))
		for _, k := range chunk {
			certs[k.cert] = last[k].Certificate
		}
		rows, err := t.putCertificates(certs)
		if err != nil {
			return nil, err
		}
		if err := t.putEntries(chunk, last, rows, ids); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// putCertificates adds the certificates that are not there yet and returns the rows of all.
func (t *tx) putCertificates(certs map[[32]byte]*x509.Certificate) (map[[32]byte]int64, error) {
	rows, err := t.certificates(certs)
	if err != nil || len(rows) == len(certs) {
		return rows, err
	}
	var missing [][32]byte
	for h := range certs {
		if _, ok := rows[h]; !ok {
			missing = append(missing, h)
		}
	}
	slices.SortFunc(missing, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	args := make([]any, 0, 6*len(missing))
	for _, h := range missing {
		c := certs[h]
		args = append(args, h[:], c.Raw, certificateIssuerSerial(c), hashKey(c.RawSubject), nonEmpty(c.SubjectKeyId), c.NotAfter.UnixMicro())
	}
	if _, err := t.exec("INSERT INTO certificates (sha256, der, issuer_serial, subject, key_id, not_after) VALUES "+
		tuples(len(missing), 6)+" ON CONFLICT (sha256) DO NOTHING", args...); err != nil {
		return nil, err
	}
	return t.certificates(certs)
}

// certificates returns the rows of those certificates that are in the database.
func (t *tx) certificates(certs map[[32]byte]*x509.Certificate) (map[[32]byte]int64, error) {
	args := make([]any, 0, len(certs))
	for h := range certs {
		args = append(args, h[:])
	}
	found := make(map[[32]byte]int64, len(certs))
	err := t.rows("SELECT id, sha256 FROM certificates WHERE sha256 IN "+list(len(args)), args, func(rows *sql.Rows) error {
		var id int64
		var h []byte
		err := rows.Scan(&id, &h)
		if len(h) == 32 {
			found[[32]byte(h)] = id
		}
		return err
	})
	return found, err
}

// putEntries writes the entries of keys, which lie in from, and sets their rows in ids.
func (t *tx) putEntries(keys []entryKey, from map[entryKey]*certstore.Entry, certs map[[32]byte]int64, ids map[entryKey]int64) error {
	args := make([]any, 0, 7*len(keys))
	owner := make(map[int64][32]byte, len(certs))
	for _, k := range keys {
		e := from[k]
		row, ok := certs[k.cert]
		if !ok {
			return fmt.Errorf("certificate %x: %w", k.cert, errGone)
		}
		owner[row] = k.cert
		args = append(args, row, e.Address, text(e.Source), flag(e.Default), flag(e.Published), nonEmpty(e.Capabilities), toMicros(e.Seen))
	}
	var mailboxes []any
	err := t.rows("INSERT INTO entries (certificate, address, source, preferred, published, capabilities, seen) VALUES "+tuples(len(keys), 7)+
		" ON CONFLICT (certificate, address) DO UPDATE SET source = excluded.source, preferred = excluded.preferred,"+
		" published = excluded.published, capabilities = excluded.capabilities, seen = excluded.seen RETURNING id, certificate, address", args,
		func(rows *sql.Rows) error {
			var id, cert int64
			var address string
			if err := rows.Scan(&id, &cert, &address); err != nil {
				return err
			}
			k := entryKey{owner[cert], address}
			ids[k] = id
			for _, m := range mailboxesOf(from[k]) {
				mailboxes = append(mailboxes, m, id)
			}
			return nil
		})
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(mailboxes, 2*chunkSize) {
		if _, err := t.exec("INSERT INTO mailboxes (mailbox, entry) VALUES "+tuples(len(chunk)/2, 2)+" ON CONFLICT DO NOTHING", chunk...); err != nil {
			return err
		}
	}
	return nil
}

// remove removes entries, and the certificates nobody refers to any more.
func (t *tx) remove(keys []entryKey) error {
	for _, k := range keys {
		var cert int64
		found, err := t.row("SELECT id FROM certificates WHERE sha256 = ?", []any{k.cert[:]}, &cert)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if _, err := t.exec("DELETE FROM entries WHERE certificate = ? AND address = ?", cert, k.address); err != nil {
			return err
		}
		if err := t.dropOrphan(cert); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) dropOrphan(cert int64) error {
	_, err := t.exec("DELETE FROM certificates WHERE id = ? AND NOT EXISTS (SELECT 1 FROM entries WHERE certificate = certificates.id)"+
		" AND NOT EXISTS (SELECT 1 FROM identities WHERE certificate = certificates.id)", cert)
	return err
}

// mailboxesOf returns what an entry answers for: the mailboxes its certificate names and
// the address it is filed under, folded, each once.
func mailboxesOf(e *certstore.Entry) []string {
	list := certificateMailboxes(e.Certificate)
	if folded, ok := fold(e.Address); ok {
		list = append(list, folded)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// text makes a string for people fit for PostgreSQL, which takes neither NUL nor octets
// that are not UTF-8.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func nonEmpty(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
