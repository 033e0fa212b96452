package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"

	"github.com/postseal/postseal/certstore"
)

// A Source is a place that certificates are carried from.
type Source interface {
	// Name names the source among all that feed one target, such as
	// "ldaps://dc1.example.test". What a target remembers, it remembers under this name.
	Name() string
	// Changes yields what changed since cursor, which came with an earlier batch of the
	// same source; nil asks for everything. It never yields an empty sequence without an
	// error. An error ends the sequence.
	Changes(ctx context.Context, cursor []byte) iter.Seq2[*Batch, error]
}

// A Batch is a part of the answer of a source.
type Batch struct {
	Objects []*Object
	// CRLs are certificate revocation lists that the source holds.
	CRLs []CRL
	// Cursor is where to go on after this batch. A source that cannot go on from just
	// there repeats an earlier one, or nil to begin again.
	Cursor []byte
	// Reset says that the source begins to name what it has, with the objects of this batch:
	// because it was asked to, or because it cannot tell what changed.
	Reset bool
	// Complete says that this is the last batch: the source has named what it was asked for.
	Complete bool
	// Everything says, along with Complete, that since the last Reset the source has named
	// all it has. What was there before and was not named is gone.
	Everything bool
}

// An Object is what a source holds about one user, contact or device.
type Object struct {
	// ID never changes, is never used again, and is the same in every run.
	ID string
	// Name is for people and for filters: a distinguished name, in directories.
	Name string
	// Deleted says that the object is gone; everything below is then empty.
	Deleted bool
	// Unchanged says that the object is there and as it was; everything below is then empty.
	Unchanged bool
	// Addresses are the mail addresses of the object, the primary one first.
	Addresses []string
	// Certificates are all that the object has now, not only new ones.
	Certificates []Certificate
	// Problems are values that could not be read, one sentence each.
	Problems []string
}

// A Certificate is one of an object's, with what the source says about it. Its Address is
// not used: the [Syncer] decides under which of the object's addresses it is filed. Its
// Source is the place within the object, such as the name of an attribute.
type Certificate struct {
	certstore.Entry
	// Chain marks a certificate of somebody else's, which helps to build a path.
	Chain bool
}

// A CRL is a certificate revocation list. A later one of the same name replaces it.
type CRL struct {
	Name string // where it was found
	DER  []byte
}

// A batch, which is one transaction, has so many objects, or so many octets of certificates.
const (
	batchSize   = 2000
	batchOctets = 4 << 20
)

// FromStore makes a source of any store that yields all its entries. Every run reads it
// from end to end.
func FromStore(name string, s interface {
	All(ctx context.Context) iter.Seq2[*certstore.Entry, error]
}) Source {
	return storeSource{name, s.All}
}

type storeSource struct {
	name string
	all  func(context.Context) iter.Seq2[*certstore.Entry, error]
}

func (s storeSource) Name() string { return s.name }

func (s storeSource) Changes(ctx context.Context, _ []byte) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		b, octets := &Batch{Reset: true}, 0
		for e, err := range s.all(ctx) {
			if err != nil {
				yield(nil, fmt.Errorf("sync: %s: %w", s.name, err))
				return
			}
			h := sha256.New()
			h.Write(e.Certificate.Raw)
			h.Write([]byte(e.Address))
			o := &Object{ID: hex.EncodeToString(h.Sum(nil)), Name: e.Certificate.Subject.String(), Certificates: []Certificate{{Entry: *e, Chain: e.Address == "" && e.Certificate.IsCA}}}
			if e.Address != "" {
				o.Addresses = []string{e.Address}
			}
			b.Objects = append(b.Objects, o)
			octets += len(e.Certificate.Raw)
			if len(b.Objects) == batchSize || octets >= batchOctets {
				if !yield(b, nil) {
					return
				}
				b, octets = &Batch{}, 0
			}
		}
		b.Complete, b.Everything = true, true
		yield(b, nil)
	}
}
