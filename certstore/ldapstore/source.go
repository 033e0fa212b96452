package ldapstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/certstore/sync"
	"github.com/postseal/postseal/internal/limits"
)

const (
	controlDirSync     = "1.2.840.113556.1.4.841"
	controlShowDeleted = "1.2.840.113556.1.4.417"
	controlSync        = "1.3.6.1.4.1.4203.1.9.1.1"
)

// Source returns the best source for package certstore/sync that the server offers:
// DirSync for Active Directory, content synchronisation (RFC 4533) for OpenLDAP, and
// reading everything page by page for any other.
func (s *Store) Source(ctx context.Context) (sync.Source, error) {
	var root *rootDSE
	err := s.with(ctx, true, func(ctx context.Context, c *conn) (err error) {
		root, err = s.describe(ctx, c)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case s.globalCatalog():
		return s.FullPass(), nil
	case root.activeDirectory && contains(root.controls, controlDirSync):
		return s.DirSync(), nil
	case root.activeDirectory:
		return s.USN(), nil
	case contains(root.controls, controlSync):
		return s.Syncrepl(), nil
	}
	return s.FullPass(), nil
}

// FullPass returns a source that reads every object with a certificate, in every run.
func (s *Store) FullPass() sync.Source { return &source{s, (*feed).full} }

// A source is one way to learn from a directory what changed.
type source struct {
	store *Store
	run   func(*feed, []byte) error
}

// Name is the URL of the server with the base, however the source works: the ways take
// over from each other.
func (s *source) Name() string {
	base := s.store.Base
	if base == "" {
		base = s.store.urlBase
	}
	return s.store.String() + "/" + strings.ReplaceAll(base, " ", "%20")
}

func (s *source) Changes(ctx context.Context, cursor []byte) iter.Seq2[*sync.Batch, error] {
	return func(yield func(*sync.Batch, error) bool) {
		err := s.store.withSearcher(ctx, func(ctx context.Context, c searcher) error {
			base, err := s.store.base(ctx, c)
			if err != nil {
				return err
			}
			p := s.store.pulse(ctx, c)
			defer p.stop()
			f := &feed{store: s.store, ctx: p.ctx, conn: c, base: base, pulse: p, yield: yield, batch: &sync.Batch{}, since: cursor}
			return p.reason(s.run(f, cursor))
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// errStopped ends a feed whose consumer wants no more.
var errStopped = errors.New("stopped")

// A feed is a source at work.
type feed struct {
	store *Store
	ctx   context.Context
	conn  searcher
	base  string
	pulse *pulse
	yield func(*sync.Batch, error) bool

	batch  *sync.Batch
	octets int    // of what is in batch
	since  []byte // the cursor that holds before batch
}

// A batch goes out when it has so many objects, or so many octets of certificates: what is
// held at a time is bounded, and a target that keeps each batch for good has few to keep.
const (
	batchSize   = 2000
	batchOctets = 4 << 20
)

// send sends the batch that was collected, with the cursor that holds after it.
func (f *feed) send(cursor []byte) error {
	f.batch.Cursor, f.since = cursor, cursor
	batch := f.batch
	f.batch, f.octets = &sync.Batch{}, 0
	// The consumer may take its time: that is not the server's.
	f.pulse.pause()
	more := f.yield(batch, nil)
	f.pulse.beat()
	if !more {
		return errStopped
	}
	return nil
}

// add adds an object to the batch, which goes out with the given cursor when it is full.
func (f *feed) add(o *sync.Object, cursor []byte) error {
	f.batch.Objects = append(f.batch.Objects, o)
	for _, c := range o.Certificates {
		f.octets += len(c.Certificate.Raw)
	}
	if len(f.batch.Objects) < batchSize && f.octets < batchOctets {
		return nil
	}
	return f.send(cursor)
}

// finish sends the last batch, with the revocation lists of the directory.
func (f *feed) finish(cursor []byte, everything bool) error {
	if err := f.crls(); err != nil {
		return err
	}
	f.batch.Complete, f.batch.Everything = true, everything
	return f.send(cursor)
}

// full reads everything.
func (f *feed) full([]byte) error {
	f.batch.Reset = true
	if err := f.named(nil); err != nil {
		return err
	}
	return f.finish(nil, true)
}

// named adds every object that has a certificate.
func (f *feed) named(cursor []byte) error {
	return f.search(f.base, f.store.filtered(withCertificates), nil, func(e *ldap.Entry) error {
		return f.add(f.store.syncObject(e), cursor)
	})
}

// search runs a paged search and calls found for every entry, whole: those of which the
// server returned only a range of the values are asked for again, one by one, after their
// page.
func (f *feed) search(base, filter string, controls []ldap.Control, found func(*ldap.Entry) error) error {
	var partial []ldap.SearchRequest
	request := ldap.SearchRequest{
		BaseDN: base, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases,
		Filter: filter, Attributes: f.store.syncAttributes(), Controls: controls,
	}
	return pages(f.ctx, f.conn, &request, func(e *ldap.Entry, _ []ldap.Control) error {
		f.pulse.beat()
		if isPartial(e) {
			one := request
			if by := identityFilter(e); by != "" {
				one.Filter = by // it may have another name by then
			} else {
				one.BaseDN, one.Scope, one.Filter = e.DN, ldap.ScopeBaseObject, "(objectClass=*)"
			}
			partial = append(partial, one)
			return nil
		}
		return found(e)
	}, func(bool) error {
		for i := range partial {
			if err := f.whole(&partial[i], found); err != nil {
				return err
			}
		}
		partial = nil
		return nil
	})
}

// whole asks for one entry and completes its ranges. One that has gone is left out.
func (f *feed) whole(one *ldap.SearchRequest, found func(*ldap.Entry) error) error {
	var entry *ldap.Entry
	err := f.conn.search(f.ctx, one, func(e *ldap.Entry, _ []ldap.Control) error {
		f.pulse.beat()
		entry = e
		return nil
	}, nil)
	var answer *ldap.Error
	if errors.As(err, &answer) && answer.ResultCode == ldap.LDAPResultNoSuchObject || err == nil && entry == nil {
		return nil
	}
	if err == nil {
		err = ranges(f.ctx, f.conn, entry)
	}
	if err != nil {
		return err
	}
	return found(entry)
}

// filtered adds the store's own filter.
func (s *Store) filtered(filter string) string {
	if s.Filter == "" {
		return filter
	}
	return "(&" + s.Filter + filter + ")"
}

func (s *Store) syncAttributes() []string {
	return append(s.attributes(), "objectGUID", "entryUUID", "isDeleted")
}

// identity returns what identifies an entry for ever: a GUID in Active Directory, an UUID
// elsewhere (RFC 4530), and failing both its name.
func identity(e *ldap.Entry) string {
	if guid := e.GetEqualFoldRawAttributeValue("objectGUID"); len(guid) == 16 {
		return hex.EncodeToString(guid)
	}
	if uuid := textOf(e, "entryUUID"); uuid != "" {
		return strings.ToLower(uuid)
	}
	return "dn:" + strings.ToLower(e.DN)
}

// identityFilter finds an entry by what identifies it for ever, if it has that.
func identityFilter(e *ldap.Entry) string {
	if guid := e.GetEqualFoldRawAttributeValue("objectGUID"); len(guid) == 16 {
		return "(objectGUID=" + escapeOctets(guid) + ")"
	}
	if uuid := textOf(e, "entryUUID"); uuid != "" {
		return "(entryUUID=" + ldap.EscapeFilter(uuid) + ")"
	}
	return ""
}

// syncObject makes an object of package sync of a directory entry.
func (s *Store) syncObject(e *ldap.Entry) *sync.Object {
	if strings.EqualFold(textOf(e, "isDeleted"), "TRUE") {
		return &sync.Object{ID: identity(e), Name: e.DN, Deleted: true}
	}
	o := s.object(e)
	out := &sync.Object{ID: identity(e), Name: e.DN, Addresses: o.addresses, Problems: o.problems}
	for _, v := range o.values {
		out.Certificates = append(out.Certificates, sync.Certificate{Entry: certstore.Entry{
			Certificate: v.Certificate, Source: v.attribute, Default: v.Default, Published: v.Published, Capabilities: v.Capabilities,
		}, Chain: v.Chain})
	}
	return out
}

// crls adds the revocation lists that the directory holds (RFC 4523, Section 2.6); Active
// Directory keeps them in its configuration. They may be large: what goes out because of
// that goes out before the end, with the cursor of before.
func (f *feed) crls() error {
	bases := []string{f.base}
	root, err := f.store.describe(f.ctx, f.conn)
	if err != nil {
		return err
	}
	if root.configuration != "" && f.base != "" {
		bases = append(bases, "CN=Public Key Services,CN=Services,"+root.configuration)
	}
	count := 0
	for i, base := range bases {
		err := pages(f.ctx, f.conn, &ldap.SearchRequest{
			BaseDN: base, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases,
			Filter: "(|(certificateRevocationList=*)(authorityRevocationList=*)(deltaRevocationList=*))",
			Attributes: []string{
				"certificateRevocationList", "certificateRevocationList;binary", "authorityRevocationList", "authorityRevocationList;binary",
				"deltaRevocationList", "deltaRevocationList;binary",
			},
		}, func(e *ldap.Entry, _ []ldap.Control) error {
			f.pulse.beat()
			for _, a := range e.Attributes {
				name, _, _ := strings.Cut(a.Name, ";")
				for _, der := range a.ByteValues {
					// A certification authority's entry must have the attributes: one octet stands for no list.
					if len(der) <= 1 || count == limits.CRLs {
						continue
					}
					count++
					f.batch.CRLs = append(f.batch.CRLs, sync.CRL{Name: name + " of " + e.DN, DER: der})
					if f.octets += len(der); f.octets < batchOctets {
						continue
					}
					if err := f.send(f.since); err != nil {
						return err
					}
				}
			}
			return nil
		}, nil)
		var answer *ldap.Error
		if i > 0 && errors.As(err, &answer) && answer.ResultCode == ldap.LDAPResultNoSuchObject {
			continue // no public key services in this forest
		}
		if err != nil {
			return fmt.Errorf("revocation lists: %w", err)
		}
	}
	return nil
}

// A cursor is what a source keeps between runs. Only the fields of its kind are set.
type cursor struct {
	Kind   string `json:"kind"`
	View   string `json:"view,omitempty"`   // of the store that it is for
	Cookie []byte `json:"cookie,omitempty"` // of the server
	// Naming says that the first pass is not through.
	Naming bool `json:"naming,omitempty"`
	// USN is the last change that is known, on the server that Invocation names.
	USN        int64  `json:"usn,omitempty"`
	Invocation string `json:"invocation,omitempty"`
}

// readCursor returns what a cursor says, or an empty one if it is another kind's, or a
// store's with other eyes: then everything is read anew.
func (s *Store) readCursor(raw []byte, kind string) cursor {
	var c cursor
	if json.Unmarshal(raw, &c) != nil || c.Kind != kind || c.View != s.view() {
		return s.cursor(kind)
	}
	return c
}

func (s *Store) cursor(kind string) cursor { return cursor{Kind: kind, View: s.view()} }

// view identifies what decides which objects the store sees and how, beside the server and
// the base: what did not change is not told again to whoever sees it for the first time.
func (s *Store) view() string {
	if s.User == "" && s.Filter == "" && len(s.Addresses) == 0 {
		return ""
	}
	h := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", s.User, s.Filter, s.Addresses))
	return hex.EncodeToString(h[:8])
}

func (c cursor) bytes() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // it is made of numbers and strings
	}
	return b
}
