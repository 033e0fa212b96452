package sqlstore

import (
	"context"
	"errors"
	"fmt"
)

// The tables. Hashes of eight octets stand for names, so that every entry of an index is
// small and of one size: what is found by one is compared before it is returned.
//
//	certificates  one row per certificate
//	entries       one row per certificate and address it is filed under
//	mailboxes     which entries answer for a mailbox: those whose certificate names it
//	              and those filed under it; folded as package mailbox compares
//	identities    sealed private keys
//	crls, ocsp    revocation lists and OCSP answers
//	sync_*        what package certstore/sync remembers
//	settings      how private keys are sealed
//
// migrations are applied in order, each once; only append to them.
func migrations() []string {
	return []string{`
CREATE TABLE certificates (
	id {id},
	sha256 {bytes} NOT NULL UNIQUE,
	der {bytes} NOT NULL,
	issuer_serial {int} NOT NULL,
	subject {int} NOT NULL,
	key_id {bytes},
	not_after {int} NOT NULL
);
CREATE INDEX certificates_issuer_serial ON certificates (issuer_serial);
CREATE INDEX certificates_subject ON certificates (subject);
CREATE INDEX certificates_key_id ON certificates (key_id);
CREATE INDEX certificates_not_after ON certificates (not_after);
CREATE TABLE entries (
	id {id},
	certificate {int} NOT NULL REFERENCES certificates (id),
	address TEXT NOT NULL,
	source TEXT NOT NULL,
	preferred {int} NOT NULL,
	published {int} NOT NULL,
	capabilities {bytes},
	seen {int},
	UNIQUE (certificate, address)
);
CREATE TABLE mailboxes (
	mailbox TEXT NOT NULL,
	entry {int} NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
	PRIMARY KEY (mailbox, entry)
) {bare};
CREATE INDEX mailboxes_entry ON mailboxes (entry);
CREATE TABLE identities (
	certificate {int} PRIMARY KEY REFERENCES certificates (id),
	intermediates {bytes} NOT NULL,
	sealed {bytes} NOT NULL
);
CREATE TABLE identity_mailboxes (
	mailbox TEXT NOT NULL,
	certificate {int} NOT NULL REFERENCES identities (certificate) ON DELETE CASCADE,
	PRIMARY KEY (mailbox, certificate)
) {bare};
CREATE TABLE crls (
	sha256 {bytes} PRIMARY KEY,
	issuer {bytes} NOT NULL,
	source TEXT NOT NULL,
	der {bytes} NOT NULL,
	this_update {int} NOT NULL,
	next_update {int}
);
CREATE INDEX crls_issuer ON crls (issuer);
CREATE TABLE ocsp (
	certificate {bytes} NOT NULL,
	sha256 {bytes} NOT NULL,
	der {bytes} NOT NULL,
	this_update {int} NOT NULL,
	next_update {int},
	PRIMARY KEY (certificate, sha256)
);
CREATE TABLE settings (
	name TEXT PRIMARY KEY,
	value {bytes} NOT NULL
);`, `
CREATE TABLE sync_sources (
	id {id},
	name TEXT NOT NULL UNIQUE,
	state {bytes} NOT NULL
);
CREATE TABLE sync_objects (
	id {id},
	source {int} NOT NULL REFERENCES sync_sources (id),
	object TEXT NOT NULL,
	name TEXT NOT NULL,
	pass {int} NOT NULL,
	UNIQUE (source, object)
);
CREATE TABLE sync_entries (
	object {int} NOT NULL REFERENCES sync_objects (id) ON DELETE CASCADE,
	entry {int} NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
	PRIMARY KEY (object, entry)
) {bare};
CREATE INDEX sync_entries_entry ON sync_entries (entry);`,
	}
}

// upToDate reports whether there is nothing to migrate. Whoever may only read must not be
// asked for more, and who only reads must not wait for who writes.
func (s *Store) upToDate(ctx context.Context) (bool, error) {
	version := 0
	err := s.view(ctx, func(t *tx) error {
		query := "SELECT name FROM sqlite_master WHERE name = 'schema_version'"
		if s.dialect == postgres {
			query = "SELECT 'schema_version' WHERE to_regclass('schema_version') IS NOT NULL"
		}
		var name string
		if found, err := t.row(query, nil, &name); err != nil || !found {
			return err
		}
		_, err := t.row("SELECT version FROM schema_version", nil, &version)
		return err
	})
	return version == len(migrations()), err
}

// migrate brings the tables up to date. Processes that do so at the same time wait for
// each other.
func (s *Store) migrate(ctx context.Context) error {
	if ready, err := s.upToDate(ctx); err != nil || ready {
		return errors.Unwrap(err) // view has said whose it is
	}
	return s.update(ctx, func(t *tx) error {
		if s.dialect == postgres {
			// Any number will do, as long as every process takes the same.
			if _, err := t.exec("SELECT pg_advisory_xact_lock(7078461519)"); err != nil {
				return err
			}
			var path string
			if _, err := t.row("SELECT current_setting('search_path')", nil, &path); err != nil {
				return err
			}
			if path == "postseal" {
				if _, err := t.exec("CREATE SCHEMA IF NOT EXISTS postseal"); err != nil {
					return err
				}
			}
		}
		if _, err := t.exec(s.dialect.schema("CREATE TABLE IF NOT EXISTS schema_version (version {int} NOT NULL)")); err != nil {
			return err
		}
		version := 0
		known, err := t.row("SELECT version FROM schema_version", nil, &version)
		if err != nil {
			return err
		}
		steps := migrations()
		if version > len(steps) {
			return fmt.Errorf("the tables are of version %d, this program knows up to %d", version, len(steps))
		}
		if version == len(steps) {
			return nil
		}
		for _, step := range steps[version:] {
			if _, err := t.tx.ExecContext(ctx, s.dialect.schema(step)); err != nil {
				return err
			}
		}
		if known {
			_, err = t.exec("UPDATE schema_version SET version = ?", len(steps))
		} else {
			_, err = t.exec("INSERT INTO schema_version (version) VALUES (?)", len(steps))
		}
		return err
	})
}
