package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/postseal/postseal/certstore"
)

// skew is how far the clock of a signer may run ahead of ours.
const skew = 5 * time.Minute

// Learn keeps what a signed message told about its author: the certificate to encrypt to,
// filed under the author's address, and the capabilities announced with it. signed is the
// signing time the message claims. It reports whether that was news.
//
// The caller vouches that the signature was valid, trusted and the author's; the store
// sees to it that an old message never overrides a newer one, and that a signing time in
// the future, which nothing later could override, is refused.
func (s *Store) Learn(ctx context.Context, e *certstore.Entry, signed time.Time) (bool, error) {
	if err := check([]*certstore.Entry{e}); err != nil {
		return false, err
	}
	if _, ok := fold(e.Address); !ok {
		return false, fmt.Errorf("sqlstore: learn: %q is not an address", e.Address)
	}
	if signed.IsZero() || signed.After(s.now().Add(skew)) {
		return false, fmt.Errorf("sqlstore: learn: signing time %v lies in the future or is missing", signed)
	}
	entry := *e
	entry.Seen = signed
	news := false
	err := s.update(ctx, func(t *tx) error {
		news = false
		var seen sql.NullInt64
		k := keyOf(e)
		if err := t.lock(k.cert); err != nil {
			return err
		}
		_, err := t.row("SELECT e.seen FROM entries e JOIN certificates c ON c.id = e.certificate WHERE c.sha256 = ? AND e.address = ?", []any{k.cert[:], k.address}, &seen)
		if err != nil || seen.Valid && seen.Int64 >= signed.UnixMicro() {
			return err
		}
		news = true
		_, err = t.put([]*certstore.Entry{&entry})
		return err
	})
	if err != nil {
		return false, fmt.Errorf("sqlstore: learn: %w", err)
	}
	return news, nil
}
