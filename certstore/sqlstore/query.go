package sqlstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/binary"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/internal/pkix"
)

// pageSize is how many entries are read at a time. Between pages no connection is held,
// so that callers may use the store while they read from it.
const (
	pageSize  = 256
	pageLimit = " LIMIT 256"
)

// chunkSize bounds the parameters of one statement; SQLite takes 32,766.
const chunkSize = 500

// Certificates yields the entries that match q, first stored first. An entry also matches an
// [certstore.Email] that equals the address it is filed under.
func (s *Store) Certificates(ctx context.Context, q certstore.Query) iter.Seq2[*certstore.Entry, error] {
	return func(yield func(*certstore.Entry, error) bool) {
		var parts parts
		parts.add(q)
		seen := map[int64]bool{}
		for _, sel := range parts.selections() {
			if !s.scan(ctx, sel, func(id int64, e *certstore.Entry) bool {
				if len(parts.all) > 1 {
					if seen[id] {
						return true
					}
					seen[id] = true
				}
				return !matches(e, sha256.Sum256(e.Certificate.Raw), q) || yield(e, nil)
			}, yield) {
				return
			}
		}
	}
}

// All yields every entry, first stored first.
func (s *Store) All(ctx context.Context) iter.Seq2[*certstore.Entry, error] {
	return func(yield func(*certstore.Entry, error) bool) {
		s.scan(ctx, selection{from: "entries e JOIN certificates c ON c.id = e.certificate", where: "1 = 1", key: "e.id"},
			func(_ int64, e *certstore.Entry) bool { return yield(e, nil) }, yield)
	}
}

// matches checks an answer of the index again, so that it can never say more than Match. The
// hash of the certificate comes along: of many thumbprints each would compute it.
func matches(e *certstore.Entry, hash certstore.Thumbprint, q certstore.Query) bool {
	switch q := q.(type) {
	case certstore.AnyOf:
		return slices.ContainsFunc(q, func(m certstore.Query) bool { return m != nil && matches(e, hash, m) })
	case certstore.Thumbprint:
		return q == hash
	case certstore.Email:
		if mailbox.Compare(string(q), mailbox.Mailbox{Address: e.Address}) != mailbox.Different {
			return true
		}
	}
	return q.Match(e.Certificate)
}

// parts are the questions a query is made of, by the index that answers them.
type parts struct {
	all                                             []any
	emails, thumbs, issuerSerials, subjects, keyIDs []any
}

func (p *parts) add(q certstore.Query) {
	open := []certstore.Query{q}
	for len(open) > 0 {
		q := open[len(open)-1]
		open = open[:len(open)-1]
		to, key := (*[]any)(nil), any(nil)
		switch q := q.(type) {
		case certstore.AnyOf:
			for _, m := range slices.Backward(q) {
				open = append(open, m)
			}
		case certstore.Email:
			if folded, ok := fold(string(q)); ok {
				to, key = &p.emails, folded
			}
		case certstore.Thumbprint:
			to, key = &p.thumbs, q[:]
		case certstore.IssuerSerial:
			if q.Serial != nil {
				to, key = &p.issuerSerials, issuerSerialKey(q.RawIssuer, q.Serial)
			}
		case certstore.RawSubject:
			to, key = &p.subjects, shortHash(q)
		case certstore.SubjectKeyID:
			if len(q) > 0 {
				to, key = &p.keyIDs, keyIDKey(q)
			}
		}
		if to != nil {
			*to = append(*to, key)
			p.all = append(p.all, key)
		}
	}
}

// A selection is a FROM and a WHERE clause that choose entries e with certificates c, and
// the column that orders them.
type selection struct {
	from, where, key string
	args             []any
}

func (p *parts) selections() []selection {
	var sels []selection
	add := func(from, column, key string, values []any) {
		for chunk := range slices.Chunk(values, chunkSize) {
			where := column + " = ?"
			if len(chunk) > 1 {
				// A power of two keeps the number of different statements small.
				chunk = slices.Clone(chunk)
				for len(chunk)&(len(chunk)-1) != 0 {
					chunk = append(chunk, chunk[0])
				}
				where = column + " IN " + list(len(chunk))
			}
			sels = append(sels, selection{from, where, key, chunk})
		}
	}
	const byCertificate = "certificates c JOIN entries e ON e.certificate = c.id"
	// The index of mailboxes holds the entry's id too, so that pages come from it in order.
	add("mailboxes m JOIN entries e ON e.id = m.entry JOIN certificates c ON c.id = e.certificate", "m.mailbox", "m.entry", p.emails)
	add(byCertificate, "c.sha256", "e.id", p.thumbs)
	add(byCertificate, "c.issuer_serial", "e.id", p.issuerSerials)
	add(byCertificate, "c.subject", "e.id", p.subjects)
	add(byCertificate, "c.key_id", "e.id", p.keyIDs)
	return sels
}

// scan calls found for every entry of sel, in the order of their keys. It returns false if
// found did, or after it yielded an error.
func (s *Store) scan(ctx context.Context, sel selection, found func(int64, *certstore.Entry) bool, yield func(*certstore.Entry, error) bool) bool {
	for q := s.newPager(entryColumns, sel); ; {
		page, err := s.page(ctx, q)
		if err != nil {
			yield(nil, fmt.Errorf("sqlstore: %w", err))
			return false
		}
		last, again := turn(q, page, func(r entryRow) int64 { return r.id })
		if again {
			continue
		}
		for i := range page {
			e, err := page[i].entry()
			if err != nil {
				yield(nil, fmt.Errorf("sqlstore: %w", err))
				return false
			}
			if !found(page[i].id, e) {
				return false
			}
		}
		if last {
			return true
		}
	}
}

const entryColumns = "e.id, c.der, e.address, e.source, e.preferred, e.published, e.capabilities, e.seen"

// A pager asks for the rows of a selection page by page.
//
// Most answers fit into one page. So the first question leaves order and bound out, and
// the rows are sorted here: SQLite would set up a sorter, and plan a query with a bound
// anew for every value. Only if that page is full it is asked for once more, in order.
type pager struct {
	store   *Store
	columns string
	sel     selection
	query   string
	args    []any
	ordered bool
}

func (s *Store) newPager(columns string, sel selection) *pager {
	return &pager{store: s, columns: columns, sel: sel, args: sel.args,
		query: s.dialect.placeholders("SELECT " + columns + " FROM " + sel.from + " WHERE " + sel.where + pageLimit)}
}

// turn looks at a page and prepares the question for the next one. again says that the
// page does not count, because there are more and they have no order.
func turn[R any](p *pager, page []R, key func(R) int64) (last, again bool) {
	if len(page) < pageSize {
		if !p.ordered {
			slices.SortFunc(page, func(a, b R) int { return cmp.Compare(key(a), key(b)) })
		}
		return true, false
	}
	bound := ""
	if again = !p.ordered; !again {
		bound = " AND " + p.sel.key + " > ?"
		p.args = append(slices.Clone(p.sel.args), key(page[len(page)-1]))
	}
	p.ordered = true
	p.query = p.store.dialect.placeholders("SELECT " + p.columns + " FROM " + p.sel.from + " WHERE " + p.sel.where + bound + " ORDER BY " + p.sel.key + pageLimit)
	return false, again
}

// rows asks for a page.
func (p *pager) rows(ctx context.Context) (*sql.Rows, error) {
	stmt, err := p.store.statement(ctx, p.query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, p.args...)
}

func (s *Store) page(ctx context.Context, q *pager) ([]entryRow, error) {
	rows, err := q.rows(ctx)
	if err != nil {
		return nil, err
	}
	var page []entryRow
	err = each(rows, func(rows *sql.Rows) error {
		var r entryRow
		err := rows.Scan(&r.id, &r.der, &r.address, &r.source, &r.preferred, &r.published, &r.capabilities, &r.seen)
		page = append(page, r)
		return err
	})
	return page, err
}

type entryRow struct {
	id                   int64
	der                  []byte
	address, source      string
	preferred, published bool
	capabilities         []byte
	seen                 sql.NullInt64
}

func (r *entryRow) entry() (*certstore.Entry, error) {
	c, err := pkix.ParseCertificate(r.der)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", r.id, err)
	}
	return &certstore.Entry{
		Certificate: c, Source: r.source, Address: r.address, Default: r.preferred, Published: r.published,
		Capabilities: r.capabilities, Seen: fromMicros(r.seen),
	}, nil
}

func hashKey(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

// shortHash is what a name is indexed under.
func shortHash(b []byte) int64 {
	h := sha256.Sum256(b)
	return int64(binary.BigEndian.Uint64(h[:]))
}

// keyIDKey is what a key identifier is indexed under: itself, unless it is longer than any
// digest. PostgreSQL takes no more than a third of a page into an index, and one such
// certificate must not stop those that are stored with it.
func keyIDKey(id []byte) []byte {
	if len(id) > 64 {
		return hashKey(id)
	}
	return id
}

// issuerSerialKey is one hash for both values of an IssuerAndSerialNumber.
func issuerSerialKey(issuer []byte, serial *big.Int) int64 {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 512), uint64(len(issuer)))
	b = append(b, issuer...)
	return shortHash(serial.Append(b, 16))
}

func certificateIssuerSerial(c *x509.Certificate) int64 {
	serial := c.SerialNumber
	if serial == nil {
		serial = new(big.Int)
	}
	return issuerSerialKey(c.RawIssuer, serial)
}

// Times are kept as microseconds since 1970, no time as NULL.
func toMicros(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

func fromMicros(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}
