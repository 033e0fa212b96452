package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
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
		_, err := t.put(keyed(entries), nil)
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

func (k entryKey) compare(o entryKey) int {
	return cmp.Or(bytes.Compare(k.cert[:], o.cert[:]), cmp.Compare(k.address, o.address))
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

// A keyedEntry is an entry with what it is known by.
type keyedEntry struct {
	entryKey
	*certstore.Entry
}

func keyed(entries []*certstore.Entry) []keyedEntry {
	list := make([]keyedEntry, len(entries))
	for i, e := range entries {
		list[i] = keyedEntry{keyOf(e), e}
	}
	return list
}

// Known are rows that are there.
type known struct {
	certs   map[[32]byte]int64
	entries map[entryKey]knownEntry
}

type knownEntry struct {
	id     int64
	source string
}

// known finds the rows of entries and of their certificates.
func (t *tx) known(entries []keyedEntry) (*known, error) {
	k := &known{map[[32]byte]int64{}, map[entryKey]knownEntry{}}
	hashes := make([]any, 0, len(entries))
	for i := range entries {
		if i == 0 || entries[i].cert != entries[i-1].cert {
			hashes = append(hashes, entries[i].cert[:])
		}
	}
	// A certificate may have a private key and no entry.
	return k, t.among("SELECT c.id, c.sha256, e.id, e.address, e.source FROM certificates c LEFT JOIN entries e ON e.certificate = c.id WHERE c.sha256 IN ", "", nil, hashes, func(r *sql.Rows) error {
		var cert int64
		var h []byte
		var id sql.NullInt64
		var address, source sql.NullString
		if err := r.Scan(&cert, &h, &id, &address, &source); err != nil {
			return err
		}
		key := entryKey{address: address.String}
		copy(key.cert[:], h)
		k.certs[key.cert] = cert
		if id.Valid {
			k.entries[key] = knownEntry{id.Int64, source.String}
		}
		return nil
	})
}

// put writes entries and returns the row of each. have is what is known of them; put
// finds out if it is nil.
func (t *tx) put(entries []keyedEntry, have *known) (map[entryKey]int64, error) {
	// Of equal ones the last stays. Writers that go through certificates in one order
	// do not run into each other's locks.
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b keyedEntry) int { return a.compare(b.entryKey) })
	list := entries[:0]
	for i, e := range entries {
		if i+1 == len(entries) || e.entryKey != entries[i+1].entryKey {
			list = append(list, e)
		}
	}
	if have == nil {
		var err error
		if have, err = t.known(list); err != nil {
			return nil, err
		}
	}
	if err := t.putCertificates(list, have); err != nil {
		return nil, err
	}
	return t.putEntries(list, have)
}

// putCertificates adds the certificates of entries, which are in order, that have is
// without.
func (t *tx) putCertificates(entries []keyedEntry, have *known) error {
	var fresh []keyedEntry
	for i, e := range entries {
		if _, ok := have.certs[e.cert]; !ok && (i == 0 || entries[i-1].cert != e.cert) {
			fresh = append(fresh, e)
		}
	}
	ids, err := t.ids("certificates", len(fresh))
	if err != nil {
		return err
	}
	args := make([]any, 0, 7*len(fresh))
	for i, e := range fresh {
		c := e.Certificate
		args = append(args, ids[i], e.cert[:], c.Raw, certificateIssuerSerial(c), shortHash(c.RawSubject), nonEmpty(keyIDKey(c.SubjectKeyId)), c.NotAfter.UnixMicro())
		have.certs[e.cert] = ids[i]
	}
	n, err := t.insert("certificates (id, sha256, der, issuer_serial, subject, key_id, not_after)", args)
	if err != nil || n == len(fresh) {
		return err
	}
	// Another writer added some of them meanwhile, under rows of its own.
	now, err := t.known(fresh)
	if err != nil {
		return err
	}
	for _, e := range fresh {
		row, ok := now.certs[e.cert]
		if !ok {
			return fmt.Errorf("certificate %x: %w", e.cert, errGone)
		}
		have.certs[e.cert] = row
	}
	return nil
}

// putEntries writes entries, whose certificates are in have, and returns their rows.
func (t *tx) putEntries(entries []keyedEntry, have *known) (map[entryKey]int64, error) {
	rows := make(map[entryKey]int64, len(entries))
	var fresh []keyedEntry
	for _, e := range entries {
		old, ok := have.entries[e.entryKey]
		if !ok {
			fresh = append(fresh, e)
			continue
		}
		rows[e.entryKey] = old.id
		n, err := t.runExec("UPDATE entries SET source = ?, preferred = ?, published = ?, capabilities = ?, seen = ? WHERE id = ?", append(facts(e.Entry), old.id))
		if err == nil && n != 1 {
			err = errGone
		}
		if err != nil {
			return nil, err
		}
	}
	ids, err := t.ids("entries", len(fresh))
	if err != nil {
		return nil, err
	}
	args := make([]any, 0, 8*len(fresh))
	var mailboxes []any
	for i, e := range fresh {
		rows[e.entryKey] = ids[i]
		args = append(append(args, ids[i], have.certs[e.cert], e.Address), facts(e.Entry)...)
		for _, m := range mailboxesOf(e.Entry) {
			mailboxes = append(mailboxes, m, ids[i])
		}
	}
	n, err := t.insert("entries (id, certificate, address, source, preferred, published, capabilities, seen)", args)
	if err == nil && n != len(fresh) {
		err = errMeanwhile
	}
	if err == nil {
		_, err = t.insert("mailboxes (mailbox, entry)", mailboxes)
	}
	return rows, err
}

// facts are the values of the columns of an entry that can change.
func facts(e *certstore.Entry) []any {
	return []any{text(e.Source), flag(e.Default), flag(e.Published), nonEmpty(e.Capabilities), toMicros(e.Seen)}
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
