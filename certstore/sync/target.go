package sync

import (
	"context"
	"errors"
	"time"

	"github.com/postseal/postseal/certstore"
)

// ErrConflict is the error of a run that found that another run for the same source and
// target had moved on meanwhile. What the other did stands; this run did nothing since.
var ErrConflict = errors.New("sync: another run for the same source and target is under way")

// A Target is a place that certificates are carried to. It remembers for every source how
// far it is, and which entries came from which object, so that they can go again with it.
// An entry that two objects brought stays until both are gone, and an entry that was there
// before, or was changed by somebody else, is neither overwritten nor removed.
type Target interface {
	// State returns what the last Apply kept for source, nil at first.
	State(ctx context.Context, source string) ([]byte, error)
	// Held returns what came from the objects with the given IDs; those without anything
	// are left out.
	Held(ctx context.Context, source string, ids []string) (map[string]*Held, error)
	// Outdated returns up to limit IDs greater than after, in ascending order, of objects
	// that were last seen before the given pass.
	Outdated(ctx context.Context, source string, pass int64, after string, limit int) ([]string, error)
	// Expired returns up to limit entries whose certificate expired before the given
	// time, of objects with an ID greater than after, in ascending order of ID, and all of
	// the last object named.
	Expired(ctx context.Context, source string, before time.Time, after string, limit int) ([]HeldEntry, error)
	// Apply makes all of a change or nothing of it. It fails with [ErrConflict] if the
	// state is not the one the change starts from.
	Apply(ctx context.Context, source string, u *Update) error
}

// Held is what a target has of one object.
type Held struct {
	Name    string
	Pass    int64
	Entries []HeldEntry
}

// A HeldEntry is an entry that came from an object.
type HeldEntry struct {
	Object       string
	Thumbprint   [32]byte // SHA-256 of the certificate
	Address      string
	Source       string
	Default      bool
	Published    bool
	Capabilities []byte
	NotAfter     time.Time
	Foreign      bool // somebody else's entry: what the object brought was there already
}

// An Update is a change that a target makes as a whole.
type Update struct {
	Before, After []byte      // the state before and after
	Pass          int64       // what Put and Touch remember as the pass
	Put           []*Stored   // objects that are new or changed, with all their entries
	Touch         []string    // IDs of objects that were seen and have not changed
	Drop          []HeldEntry // entries that expired
	Remove        []string    // IDs of objects that are gone, with their entries
	CRLs          []CRL       // revocation lists, kept if the target has a place for them
}

// A Stored is an object and all entries it has from now on.
type Stored struct {
	ID, Name string
	Entries  []*certstore.Entry
}
