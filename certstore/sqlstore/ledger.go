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

	"github.com/postseal/postseal/certstore/sync"
)

var _ sync.Target = (*Store)(nil)

// State returns what package certstore/sync last kept for a source.
func (s *Store) State(ctx context.Context, source string) (state []byte, err error) {
	err = s.view(ctx, func(t *tx) error {
		_, state, err = t.syncSource(source)
		return err
	})
	return state, err
}

// syncSource returns the row of a source, 0 if there is none, and its state.
func (t *tx) syncSource(name string) (id int64, state []byte, err error) {
	_, err = t.row("SELECT id, state FROM sync_sources WHERE name = ?", []any{name}, &id, &state)
	return id, state, err
}

// view runs fn in a transaction that only reads.
func (s *Store) view(ctx context.Context, fn func(*tx) error) error {
	t, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err == nil {
		defer t.Rollback()
		err = fn(&tx{ctx: ctx, tx: t, dialect: s.dialect})
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
		from, _, err := t.syncSource(source)
		if err != nil || from == 0 {
			return err
		}
		byRow := map[int64]*sync.Held{}
		var rows []any
		if err := t.syncObjects("SELECT id, object, name, pass", from, ids, func(r *sql.Rows) error {
			var row int64
			var id string
			var h sync.Held
			err := r.Scan(&row, &id, &h.Name, &h.Pass)
			held[id] = &h
			byRow[row] = &h
			rows = append(rows, row)
			return err
		}); err != nil {
			return err
		}
		return t.among("SELECT se.object, "+heldColumns+" WHERE se.object IN ", " ORDER BY se.object, se.entry", nil, rows, func(r *sql.Rows) error {
			e, row, err := scanHeld(r, source)
			byRow[row].Entries = append(byRow[row].Entries, e)
			return err
		})
	})
	return held, err
}

// syncObjects selects objects of a source.
func (t *tx) syncObjects(what string, source int64, ids []string, scan func(*sql.Rows) error) error {
	return t.among(what+" FROM sync_objects WHERE source = ? AND object IN ", "", []any{source}, anys(ids), scan)
}

const heldColumns = "o.object, c.sha256, e.address, e.source, e.preferred, e.published, e.capabilities, c.not_after" +
	" FROM sync_entries se JOIN sync_objects o ON o.id = se.object JOIN entries e ON e.id = se.entry JOIN certificates c ON c.id = e.certificate"

// scanHeld reads the row of an object and heldColumns.
func scanHeld(r *sql.Rows, source string) (e sync.HeldEntry, row int64, err error) {
	var h []byte
	var notAfter int64
	err = r.Scan(&row, &e.Object, &h, &e.Address, &e.Source, &e.Default, &e.Published, &e.Capabilities, &notAfter)
	copy(e.Thumbprint[:], h)
	e.NotAfter = time.UnixMicro(notAfter).UTC()
	e.Foreign = !strings.HasPrefix(e.Source, source+" ")
	return e, row, err
}

// Outdated returns objects of a source that were last seen before a pass.
func (s *Store) Outdated(ctx context.Context, source string, pass int64, after string, limit int) (ids []string, err error) {
	err = s.view(ctx, func(t *tx) error {
		from, _, err := t.syncSource(source)
		if err != nil || from == 0 {
			return err
		}
		return t.rows("SELECT object FROM sync_objects WHERE source = ? AND object > ? AND pass < ? ORDER BY object LIMIT ?", []any{from, after, pass, limit}, func(rows *sql.Rows) error {
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
	const where = " WHERE c.not_after < ? AND o.source = ? AND o.object > ?"
	err = s.view(ctx, func(t *tx) error {
		from, _, err := t.syncSource(source)
		if err != nil || from == 0 {
			return err
		}
		args := []any{before.UnixMicro(), from, after}
		args = append(args, append(slices.Clone(args), limit)...)
		return t.rows("SELECT se.object, "+heldColumns+where+" AND o.id IN (SELECT id FROM (SELECT DISTINCT o.id, o.object"+
			" FROM certificates c JOIN entries e ON e.certificate = c.id JOIN sync_entries se ON se.entry = e.id JOIN sync_objects o ON o.id = se.object"+
			where+" ORDER BY o.object LIMIT ?) AS first) ORDER BY o.object, se.entry",
			args, func(r *sql.Rows) error {
				e, _, err := scanHeld(r, source)
				entries = append(entries, e)
				return err
			})
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
		from, state, err := t.syncSource(source)
		if err != nil {
			return err
		}
		if !bytes.Equal(state, u.Before) {
			return sync.ErrConflict
		}
		if _, err := t.row("INSERT INTO sync_sources (name, state) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET state = excluded.state RETURNING id", []any{source, u.After}, &from); err != nil {
			return err
		}
		if err := t.putObjects(from, source, u.Pass, u.Put); err != nil {
			return err
		}
		if err := t.among("UPDATE sync_objects SET pass = ? WHERE source = ? AND object IN ", "", []any{u.Pass, from}, anys(u.Touch), nil); err != nil {
			return err
		}
		if err := t.dropEntries(from, u.Drop); err != nil {
			return err
		}
		if err := t.removeObjects(from, u.Remove); err != nil {
			return err
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
func (t *tx) putObjects(from int64, source string, pass int64, objects []*sync.Stored) error {
	rowOf, err := t.putObjectRows(from, pass, objects)
	if err != nil {
		return err
	}
	type link struct{ object, entry int64 }
	stale := map[link]bool{} // what is linked now, less what stays
	if err := t.among("SELECT object, entry FROM sync_entries WHERE object IN ", "", nil, rowOf.old, func(r *sql.Rows) error {
		var l link
		err := r.Scan(&l.object, &l.entry)
		stale[l] = true
		return err
	}); err != nil {
		return err
	}
	var entries []keyedEntry
	for _, o := range objects {
		entries = append(entries, keyed(o.Entries)...)
	}
	have, err := t.known(entries)
	if err != nil {
		return err
	}
	// What somebody else put there is linked and left as it is.
	ours := make([]keyedEntry, 0, len(entries))
	for _, e := range entries {
		if old, ok := have.entries[e.entryKey]; !ok || strings.HasPrefix(old.source, source+" ") {
			ours = append(ours, e)
		}
	}
	rows, err := t.put(ours, have)
	if err != nil {
		return err
	}
	var links []any
	for _, o := range objects {
		for range o.Entries {
			k := entries[0].entryKey
			entries = entries[1:]
			row, ok := rows[k]
			if !ok {
				row = have.entries[k].id
			}
			l := link{rowOf.row[o.ID], row}
			if !stale[l] {
				links = append(links, l.object, l.entry)
			}
			delete(stale, l)
		}
	}
	if _, err := t.insert("sync_entries (object, entry)", links); err != nil {
		return err
	}
	var released []any
	for l := range stale {
		if err := t.run("DELETE FROM sync_entries WHERE object = ? AND entry = ?", []any{l.object, l.entry}, nil); err != nil {
			return err
		}
		released = append(released, l.entry)
	}
	return t.release(released)
}

// objectRows are the rows of objects.
type objectRows struct {
	row map[string]int64
	old []any // those that were there before
}

// putObjectRows writes the rows of objects.
func (t *tx) putObjectRows(from, pass int64, objects []*sync.Stored) (*objectRows, error) {
	rows := &objectRows{row: make(map[string]int64, len(objects))}
	ids := make([]string, len(objects))
	for i, o := range objects {
		ids[i] = o.ID
	}
	err := t.syncObjects("SELECT id, object", from, ids, func(r *sql.Rows) error {
		var row int64
		var id string
		err := r.Scan(&row, &id)
		rows.row[id] = row
		rows.old = append(rows.old, row)
		return err
	})
	if err != nil {
		return nil, err
	}
	fresh, err := t.ids("sync_objects", len(objects)-len(rows.old))
	if err != nil {
		return nil, err
	}
	var args []any
	for _, o := range objects {
		if row, ok := rows.row[o.ID]; ok {
			if err := t.run("UPDATE sync_objects SET name = ?, pass = ? WHERE id = ?", []any{text(o.Name), pass, row}, nil); err != nil {
				return nil, err
			}
			continue
		}
		rows.row[o.ID] = fresh[0]
		args = append(args, fresh[0], from, o.ID, text(o.Name), pass)
		fresh = fresh[1:]
	}
	_, err = t.insert("sync_objects (id, source, object, name, pass)", args) // Apply holds a lock for the source
	return rows, err
}

func (t *tx) dropEntries(from int64, entries []sync.HeldEntry) error {
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
		if _, err := t.exec("DELETE FROM sync_entries WHERE entry = ? AND object IN (SELECT id FROM sync_objects WHERE source = ? AND object = ?)", id, from, e.Object); err != nil {
			return err
		}
		released = append(released, id)
	}
	return t.release(released)
}

func (t *tx) removeObjects(from int64, ids []string) error {
	var objects, released []any
	if err := t.syncObjects("SELECT id", from, ids, func(r *sql.Rows) error {
		var row int64
		err := r.Scan(&row)
		objects = append(objects, row)
		return err
	}); err != nil {
		return err
	}
	if err := t.among("SELECT entry FROM sync_entries WHERE object IN ", "", nil, objects, func(r *sql.Rows) error {
		var id int64
		err := r.Scan(&id)
		released = append(released, id)
		return err
	}); err != nil {
		return err
	}
	if err := t.among("DELETE FROM sync_objects WHERE id IN ", "", nil, objects, nil); err != nil {
		return err
	}
	return t.release(released)
}

// release removes entries that no object of any source has any more, unless somebody else
// made or changed them: their source then is none of those that are synchronised.
func (t *tx) release(entries []any) error {
	var certs []any
	if err := t.among("SELECT DISTINCT certificate FROM entries WHERE id IN ", "", nil, entries, func(r *sql.Rows) error {
		var id int64
		err := r.Scan(&id)
		certs = append(certs, id)
		return err
	}); err != nil {
		return err
	}
	if err := t.among("DELETE FROM entries WHERE id IN ",
		" AND NOT EXISTS (SELECT 1 FROM sync_entries WHERE entry = entries.id)"+
			" AND EXISTS (SELECT 1 FROM sync_sources s WHERE substr(entries.source, 1, length(s.name) + 1) = s.name || ' ')", nil, entries, nil); err != nil {
		return err
	}
	return t.among("DELETE FROM certificates WHERE id IN ",
		" AND NOT EXISTS (SELECT 1 FROM entries WHERE certificate = certificates.id)"+
			" AND NOT EXISTS (SELECT 1 FROM identities WHERE certificate = certificates.id)", nil, certs, nil)
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}
