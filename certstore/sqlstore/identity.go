package sqlstore

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"fmt"
	"iter"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/keyfile"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/pkix"
)

// PutIdentity stores identities with their private keys sealed, and their certificates and
// intermediates as entries under no address. Of identities with the same certificate the
// last one stays. It fails with [ErrLocked] before the store is unlocked, and for a key
// that does not give its bytes away, such as one in a token.
func (s *Store) PutIdentity(ctx context.Context, ids ...*certstore.Identity) error {
	aead, err := s.sealer()
	if err != nil {
		return err
	}
	type row struct {
		cert                  *x509.Certificate
		intermediates, sealed []byte
	}
	rows := make([]row, len(ids))
	var entries []*certstore.Entry
	for i, id := range ids {
		c := id.Certificate()
		der, err := marshalKey(id.Key())
		if err != nil {
			return fmt.Errorf("sqlstore: private key of %q cannot be stored: %w", c.Subject, err)
		}
		rows[i] = row{cert: c, sealed: aead.Seal(nil, nil, der, sealedFor(c.Raw))}
		clear(der)
		entries = append(entries, &certstore.Entry{Certificate: c, Source: "identity"})
		for _, in := range id.Intermediates() {
			rows[i].intermediates = append(rows[i].intermediates, in.Raw...)
			entries = append(entries, &certstore.Entry{Certificate: in, Source: "identity"})
		}
	}
	if err := check(entries); err != nil {
		return err
	}
	err = s.update(ctx, func(t *tx) error {
		if err := t.stillSealed(aead); err != nil {
			return err
		}
		// Not over what a directory said of the same certificate.
		absent, err := t.absent(entries)
		if err != nil {
			return err
		}
		if _, err := t.put(keyed(absent), nil); err != nil {
			return err
		}
		for _, r := range rows {
			h := sha256.Sum256(r.cert.Raw)
			var cert int64
			if _, err := t.row("SELECT id FROM certificates WHERE sha256 = ?", []any{h[:]}, &cert); err != nil {
				return err
			}
			intermediates := r.intermediates
			if intermediates == nil {
				intermediates = []byte{}
			}
			if _, err := t.exec("INSERT INTO identities (certificate, intermediates, sealed) VALUES (?, ?, ?)"+
				" ON CONFLICT (certificate) DO UPDATE SET intermediates = excluded.intermediates, sealed = excluded.sealed", cert, intermediates, r.sealed); err != nil {
				return err
			}
			for _, m := range certificateMailboxes(r.cert) {
				if _, err := t.exec("INSERT INTO identity_mailboxes (mailbox, certificate) VALUES (?, ?) ON CONFLICT DO NOTHING", m, cert); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sqlstore: put identity: %w", err)
	}
	return nil
}

// absent returns those of entries that are not there yet.
func (t *tx) absent(entries []*certstore.Entry) ([]*certstore.Entry, error) {
	var list []*certstore.Entry
	for _, e := range entries {
		h := sha256.Sum256(e.Certificate.Raw)
		var one int
		found, err := t.row("SELECT 1 FROM entries e JOIN certificates c ON c.id = e.certificate WHERE c.sha256 = ? AND e.address = ?", []any{h[:], e.Address}, &one)
		if err != nil {
			return nil, err
		}
		if !found {
			list = append(list, e)
		}
	}
	return list, nil
}

// RemoveIdentity removes the private keys of certificates. The entries stay; removing
// what is not there is not an error.
func (s *Store) RemoveIdentity(ctx context.Context, certs ...*x509.Certificate) error {
	err := s.update(ctx, func(t *tx) error {
		for _, c := range certs {
			h := sha256.Sum256(c.Raw)
			var cert int64
			found, err := t.row("SELECT id FROM certificates WHERE sha256 = ?", []any{h[:]}, &cert)
			if err != nil {
				return err
			}
			if !found {
				continue
			}
			if _, err := t.exec("DELETE FROM identities WHERE certificate = ?", cert); err != nil {
				return err
			}
			if err := t.dropOrphan(cert); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sqlstore: remove identity: %w", err)
	}
	return nil
}

// Identities yields the identities whose certificate matches q, oldest certificate first.
// It yields [ErrLocked] before the store is unlocked.
func (s *Store) Identities(ctx context.Context, q certstore.Query) iter.Seq2[*certstore.Identity, error] {
	return func(yield func(*certstore.Identity, error) bool) {
		aead, err := s.sealer()
		if err != nil {
			yield(nil, err)
			return
		}
		var parts parts
		parts.add(q)
		seen := map[int64]bool{}
		for _, sel := range parts.identitySelections() {
			if !s.scanIdentities(ctx, aead, sel, q, seen, yield) {
				return
			}
		}
	}
}

func (p *parts) identitySelections() []selection {
	list := p.selections()
	for i := range list {
		if list[i].key == "m.entry" {
			list[i].from = "identity_mailboxes m JOIN identities i ON i.certificate = m.certificate JOIN certificates c ON c.id = i.certificate"
		} else {
			list[i].from = "certificates c JOIN identities i ON i.certificate = c.id"
		}
		list[i].key = "i.certificate"
	}
	return list
}

func (s *Store) scanIdentities(ctx context.Context, aead cipher.AEAD, sel selection, asked certstore.Query, seen map[int64]bool, yield func(*certstore.Identity, error) bool) bool {
	for q := s.newPager("c.id, c.der, i.intermediates, i.sealed", sel); ; {
		rows, err := q.rows(ctx)
		var page []identityRow
		if err == nil {
			err = each(rows, func(rows *sql.Rows) error {
				var r identityRow
				err := rows.Scan(&r.id, &r.der, &r.intermediates, &r.sealed)
				page = append(page, r)
				return err
			})
		}
		if err != nil {
			yield(nil, fmt.Errorf("sqlstore: %w", err))
			return false
		}
		last, again := turn(q, page, func(r identityRow) int64 { return r.id })
		if again {
			continue
		}
		for _, r := range page {
			if seen[r.id] {
				continue
			}
			seen[r.id] = true
			id, err := r.identity(aead)
			if err != nil {
				yield(nil, fmt.Errorf("sqlstore: identity %d: %w", r.id, err))
				return false
			}
			if asked.Match(id.Certificate()) && !yield(id, nil) {
				return false
			}
		}
		if last {
			return true
		}
	}
}

type identityRow struct {
	id                         int64
	der, intermediates, sealed []byte
}

func (r *identityRow) identity(aead cipher.AEAD) (*certstore.Identity, error) {
	c, err := pkix.ParseCertificate(r.der)
	if err != nil {
		return nil, err
	}
	var inter []*x509.Certificate
	for rest := cryptobyte.String(r.intermediates); !rest.Empty(); {
		var one cryptobyte.String
		if len(inter) == limits.Certificates || !rest.ReadASN1Element(&one, asn1.SEQUENCE) {
			return nil, fmt.Errorf("intermediate %d cannot be read", len(inter))
		}
		in, err := pkix.ParseCertificate(one)
		if err != nil {
			return nil, fmt.Errorf("intermediate %d: %w", len(inter), err)
		}
		inter = append(inter, in)
	}
	der, err := aead.Open(nil, nil, r.sealed, sealedFor(r.der))
	if err != nil {
		return nil, fmt.Errorf("private key of %q was altered: %w", c.Subject, err)
	}
	defer clear(der)
	key, err := keyfile.ParsePrivateKey(der)
	if err != nil {
		return nil, err
	}
	return certstore.NewIdentity(c, key, inter...)
}

// sealedFor binds a sealed key to its certificate, so that keys cannot be swapped.
func sealedFor(der []byte) []byte {
	h := sha256.Sum256(der)
	return bytes.Join([][]byte{[]byte("postseal private key 1"), h[:]}, []byte{0})
}
