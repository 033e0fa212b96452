package sqlstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/sync"
)

var _ sync.Target = (*Store)(nil)

// State returns what package certstore/sync last kept for a source.
func (s *Store) State(ctx context.Context, source string) (state []byte, err error) {
	err = s.view(ctx, func(t *tx) error {
		state, err = t.syncState(source)
		return err
	})
	return state, err
}

func (t *tx) syncState(source string) (state []byte, err error) {
	_, err = t.row("SELECT state FROM sync_states WHERE source = ?", []any{source}, &state)
	return state, err
}

// view runs fn in a transaction that only reads.
func (s *Store) view(ctx context.Context, fn func(*tx) error) error {
	t, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err == nil {
		defer t.Rollback()
		err = fn(&tx{ctx, t, s.dialect})
	}
	if err != nil {
		return fmt.Errorf("sqlstore: %w", err)
	}
	return nil
}

// Held returns what came from objects of a source.
func (s *Store) Held(ctx context.Context, source string, ids []string) (map[string]*sync.Held, error) {
	held := make(map[string]*sync.Held, len(ids))
	err := s.view(ctx, func(t *tx) error {
		for chunk := range slices.Chunk(ids, chunkSize) {
			args := append([]any{source}, anys(chunk)...)
			err := t.rows("SELECT object, name, pass FROM sync_objects WHERE source = ? AND object IN "+list(len(chunk)), args, func(rows *sql.Rows) error {
				var id string
				var h sync.Held
				err := rows.Scan(&id, &h.Name, &h.Pass)
				held[id] = &h
				return err
			})
			if err != nil {
				return err
			}
			err = t.heldEntries("SELECT "+heldColumns+" WHERE se.source = ? AND se.object IN "+list(len(chunk))+" ORDER BY se.object, se.entry", args, source, func(e sync.HeldEntry) {
				if h := held[e.Object]; h != nil {
					h.Entries = append(h.Entries, e)
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return held, err
}

const heldColumns = "se.object, c.sha256, e.address, e.source, e.preferred, e.published, e.capabilities, c.not_after" +
	" FROM sync_entries se JOIN entries e ON e.id = se.entry JOIN certificates c ON c.id = e.certificate"

func (t *tx) heldEntries(query string, args []any, source string, found func(sync.HeldEntry)) error {
	return t.rows(query, args, func(rows *sql.Rows) error {
		var e sync.HeldEntry
		var h []byte
		var notAfter int64
		if err := rows.Scan(&e.Object, &h, &e.Address, &e.Source, &e.Default, &e.Published, &e.Capabilities, &notAfter); err != nil {
			return err
		}
		copy(e.Thumbprint[:], h)
		e.NotAfter = time.UnixMicro(notAfter).UTC()
		e.Foreign = !strings.HasPrefix(e.Source, source+" ")
		found(e)
		return nil
	})
}

// Outdated returns objects of a source that were last seen before a pass.
func (s *Store) Outdated(ctx context.Context, source string, pass int64, after string, limit int) (ids []string, err error) {
	err = s.view(ctx, func(t *tx) error {
		return t.rows("SELECT object FROM sync_objects WHERE source = ? AND pass < ? AND object > ? ORDER BY object LIMIT ?", []any{source, pass, after, limit}, func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
	})
	return ids, err
}

// Expired returns entries of a source whose certificate expired before a time.
func (s *Store) Expired(ctx context.Context, source string, before time.Time, after string, limit int) (entries []sync.HeldEntry, err error) {
	const from = " FROM sync_entries se JOIN entries e ON e.id = se.entry JOIN certificates c ON c.id = e.certificate"
	const where = " WHERE se.source = ? AND c.not_after < ? AND se.object > ?"
	err = s.view(ctx, func(t *tx) error {
		args := []any{source, before.UnixMicro(), after}
		args = append(args, append(slices.Clone(args), limit)...)
		return t.heldEntries("SELECT "+heldColumns+where+" AND se.object IN (SELECT DISTINCT se.object"+from+where+" ORDER BY se.object LIMIT ?) ORDER BY se.object, se.entry",
			args, source, func(e sync.HeldEntry) { entries = append(entries, e) })
	})
	return entries, err
}

// Apply makes all of a change that package certstore/sync asks for, or nothing.
func (s *Store) Apply(ctx context.Context, source string, u *sync.Update) error {
	for _, o := range u.Put {
		if err := check(o.Entries); err != nil {
			return err
		}
	}
	err := s.update(ctx, func(t *tx) error {
		if err := t.lock(sha256.Sum256([]byte("sync " + source))); err != nil {
			return err
		}
		state, err := t.syncState(source)
		if err != nil {
			return err
		}
		if !bytes.Equal(state, u.Before) {
			return sync.ErrConflict
		}
		if _, err := t.exec("INSERT INTO sync_states (source, state) VALUES (?, ?) ON CONFLICT (source) DO UPDATE SET state = excluded.state", source, u.After); err != nil {
			return err
		}
		for chunk := range slices.Chunk(u.Put, chunkSize) {
			if err := t.putObjects(source, u.Pass, chunk); err != nil {
				return err
			}
		}
		for chunk := range slices.Chunk(u.Touch, chunkSize) {
			if _, err := t.exec("UPDATE sync_objects SET pass = ? WHERE source = ? AND object IN "+list(len(chunk)), append([]any{u.Pass, source}, anys(chunk)...)...); err != nil {
				return err
			}
		}
		if err := t.dropEntries(source, u.Drop); err != nil {
			return err
		}
		for chunk := range slices.Chunk(u.Remove, chunkSize) {
			if err := t.removeObjects(source, chunk); err != nil {
				return err
			}
		}
		for _, c := range u.CRLs {
			if list, err := readCRL(c.DER); err == nil { // a directory may hold anything
				if err := t.putCRL(text(source+" "+c.Name), c.DER, list); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sqlstore: %w", err)
	}
	return nil
}

// putObjects writes objects and links each with exactly the entries it has now.
func (t *tx) putObjects(source string, pass int64, objects []*sync.Stored) error {
	ids := make([]string, len(objects))
	var args []any
	var entries []*certstore.Entry
	for i, o := range objects {
		ids[i] = o.ID
		args = append(args, source, o.ID, text(o.Name), pass)
		entries = append(entries, o.Entries...)
	}
	if _, err := t.exec("INSERT INTO sync_objects (source, object, name, pass) VALUES "+tuples(len(objects), 4)+
		" ON CONFLICT (source, object) DO UPDATE SET name = excluded.name, pass = excluded.pass", args...); err != nil {
		return err
	}
	rows, ours, err := t.foreign(source, entries)
	if err != nil {
		return err
	}
	put, err := t.put(ours)
	if err != nil {
		return err
	}
	for k, id := range put {
		rows[k] = id
	}
	type link struct {
		object string
		entry  int64
	}
	stale := map[link]bool{}
	err = t.rows("SELECT object, entry FROM sync_entries WHERE source = ? AND object IN "+list(len(ids)), append([]any{source}, anys(ids)...), func(rows *sql.Rows) error {
		var l link
		err := rows.Scan(&l.object, &l.entry)
		stale[l] = true
		return err
	})
	if err != nil {
		return err
	}
	args = nil
	for _, o := range objects {
		for _, e := range o.Entries {
			l := link{o.ID, rows[keyOf(e)]}
			delete(stale, l)
			args = append(args, source, l.object, l.entry)
		}
	}
	for chunk := range slices.Chunk(args, 3*chunkSize) {
		if _, err := t.exec("INSERT INTO sync_entries (source, object, entry) VALUES "+tuples(len(chunk)/3, 3)+" ON CONFLICT DO NOTHING", chunk...); err != nil {
			return err
		}
	}
	var released []any
	for l := range stale {
		if _, err := t.exec("DELETE FROM sync_entries WHERE source = ? AND object = ? AND entry = ?", source, l.object, l.entry); err != nil {
			return err
		}
		released = append(released, l.entry)
	}
	return t.release(released)
}

// foreign splits entries into those that somebody else put there, of which it returns the
// rows, and the rest.
func (t *tx) foreign(source string, entries []*certstore.Entry) (rows map[entryKey]int64, ours []*certstore.Entry, err error) {
	type other struct {
		id     int64
		source string
	}
	known := map[entryKey]other{}
	certs := map[[32]byte]bool{}
	for _, e := range entries {
		certs[sha256.Sum256(e.Certificate.Raw)] = true
	}
	var hashes []any
	for h := range certs {
		hashes = append(hashes, h[:])
	}
	for chunk := range slices.Chunk(hashes, chunkSize) {
		err := t.rows("SELECT e.id, c.sha256, e.address, e.source FROM entries e JOIN certificates c ON c.id = e.certificate WHERE c.sha256 IN "+list(len(chunk)), chunk, func(rows *sql.Rows) error {
			var o other
			var h []byte
			var k entryKey
			err := rows.Scan(&o.id, &h, &k.address, &o.source)
			copy(k.cert[:], h)
			known[k] = o
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	rows = map[entryKey]int64{}
	for _, e := range entries {
		k := keyOf(e)
		if o, ok := known[k]; ok && !strings.HasPrefix(o.source, source+" ") {
			rows[k] = o.id
		} else {
			ours = append(ours, e)
		}
	}
	return rows, ours, nil
}

func (t *tx) dropEntries(source string, entries []sync.HeldEntry) error {
	var released []any
	for _, e := range entries {
		var id int64
		found, err := t.row("SELECT e.id FROM entries e JOIN certificates c ON c.id = e.certificate WHERE c.sha256 = ? AND e.address = ?", []any{e.Thumbprint[:], e.Address}, &id)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if _, err := t.exec("DELETE FROM sync_entries WHERE source = ? AND object = ? AND entry = ?", source, e.Object, id); err != nil {
			return err
		}
		released = append(released, id)
	}
	return t.release(released)
}

func (t *tx) removeObjects(source string, ids []string) error {
	var released []any
	args := append([]any{source}, anys(ids)...)
	err := t.rows("SELECT entry FROM sync_entries WHERE source = ? AND object IN "+list(len(ids)), args, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		released = append(released, id)
		return err
	})
	if err != nil {
		return err
	}
	for _, table := range []string{"sync_entries", "sync_objects"} {
		if _, err := t.exec("DELETE FROM "+table+" WHERE source = ? AND object IN "+list(len(ids)), args...); err != nil {
			return err
		}
	}
	return t.release(released)
}

// release removes entries that no object of any source has any more, unless somebody else
// made or changed them: their source then is none of those that are synchronised.
func (t *tx) release(entries []any) error {
	for chunk := range slices.Chunk(entries, chunkSize) {
		var certs []any
		if err := t.rows("SELECT DISTINCT certificate FROM entries WHERE id IN "+list(len(chunk)), chunk, func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			certs = append(certs, id)
			return err
		}); err != nil {
			return err
		}
		if len(certs) == 0 {
			continue
		}
		if _, err := t.exec("DELETE FROM entries WHERE id IN "+list(len(chunk))+
			" AND NOT EXISTS (SELECT 1 FROM sync_entries WHERE entry = entries.id)"+
			" AND EXISTS (SELECT 1 FROM sync_states s WHERE substr(entries.source, 1, length(s.source) + 1) = s.source || ' ')", chunk...); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM certificates WHERE id IN "+list(len(certs))+
			" AND NOT EXISTS (SELECT 1 FROM entries WHERE certificate = certificates.id)"+
			" AND NOT EXISTS (SELECT 1 FROM identities WHERE certificate = certificates.id)", certs...); err != nil {
			return err
		}
	}
	return nil
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}
