package sync

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/certstore"
)

// A Syncer carries certificates from Source to Target.
type Syncer struct {
	Source Source
	Target Target
	Rules  Rules
	// DryRun finds out what a run would do, and does nothing.
	DryRun bool
	// Full asks the source for everything, whatever the target remembers.
	Full bool
	// Time returns the current time; nil means [time.Now]. It decides what has expired.
	Time func() time.Time
	// Record, if set, is told every change and every refusal, in the order in which they
	// happen. Changes it was told of may be undone if the run fails before the end of
	// their batch.
	Record func(Change)
	// Progress, if set, is told the state of the report after every batch.
	Progress func(Report)
}

// A Change is one thing that a run did, or refused to do.
type Change struct {
	Kind       Kind
	ID, Object string   // of the object, the latter for people
	Address    string   // under which the certificate is filed
	Thumbprint [32]byte // SHA-256 of the certificate; zero if it cannot be read
	Reason     string   // why, for people
}

// A Kind says what happened to a certificate.
type Kind string

// The kinds of change.
const (
	Added   Kind = "added"
	Updated Kind = "updated" // what is known beside the certificate has changed
	Removed Kind = "removed"
	Refused Kind = "refused"
)

// A Report counts what a run did.
type Report struct {
	Objects   int  // that the source named
	Unchanged int  // of these, as they were
	Added     int  // entries
	Updated   int  // entries
	Removed   int  // entries
	Refused   int  // certificates
	CRLs      int  // that the source named
	Full      bool // the source named everything, not only changes
	DryRun    bool
	Reasons   map[string]int // how often what was removed or refused, and why
}

// A state is what the target remembers for a source.
type state struct {
	Version int    `json:"v"`
	Pass    int64  `json:"pass"`   // number of the last time the source named everything
	Naming  bool   `json:"naming"` // it is not through with that
	Cursor  []byte `json:"cursor"` // of the source
	Rules   string `json:"rules"`  // digest of the rules that held
	raw     []byte // as the target has it
}

// Run carries what has changed since the last run, or everything at first. It returns what
// it did, also along with an error.
func (s *Syncer) Run(ctx context.Context) (*Report, error) {
	r := &run{Syncer: s, name: s.Source.Name(), report: &Report{DryRun: s.DryRun, Reasons: map[string]int{}}, now: time.Now()}
	if s.Time != nil {
		r.now = s.Time()
	}
	if s.DryRun {
		r.seen, r.gone = map[[16]byte]bool{}, map[Change]bool{}
	}
	if err := r.run(ctx); err != nil {
		return r.report, fmt.Errorf("sync: from %s: %w", r.name, err)
	}
	return r.report, nil
}

// A run is a Syncer at work.
type run struct {
	*Syncer
	name   string
	now    time.Time
	report *Report
	state  state
	seen   map[[16]byte]bool // in a dry run, the objects named since the last reset
	gone   map[Change]bool   // in a dry run, what was removed, without names and reasons
}

func (r *run) run(ctx context.Context) error {
	raw, err := r.Target.State(ctx, r.name)
	if err != nil {
		return err
	}
	if raw != nil {
		if err := json.Unmarshal(raw, &r.state); err != nil {
			return fmt.Errorf("the state that the target remembers cannot be read: %w", err)
		}
		if r.state.Version != 1 {
			return fmt.Errorf("the state that the target remembers is of version %d, this program knows 1", r.state.Version)
		}
	}
	r.state.raw = raw
	cursor := r.state.Cursor
	// Other rules may want what the old ones refused, of objects that did not change.
	if rules := r.Rules.digest(); r.Full || r.state.Rules != rules {
		cursor, r.state.Rules = nil, rules
	}
	complete := false
	for batch, err := range ahead(ctx, r.Source, cursor) {
		if err != nil {
			return err
		}
		if err := r.batch(ctx, batch); err != nil {
			return err
		}
		complete = batch.Complete
	}
	if !complete {
		return errors.New("the source stopped before it was through")
	}
	if !r.Rules.KeepExpired {
		return r.expire(ctx)
	}
	return nil
}

// ahead yields what the source names, and lets it go on with the next batch meanwhile:
// reading and writing take as long as the slower of the two, not as long as both. No more
// than one batch waits.
func ahead(ctx context.Context, from Source, cursor []byte) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		type answer struct {
			batch *Batch
			err   error
		}
		answers, stopped := make(chan answer), make(chan struct{})
		go func() {
			defer close(answers)
			for batch, err := range from.Changes(ctx, cursor) {
				select {
				case answers <- answer{batch, err}:
				case <-stopped:
					return
				}
			}
		}()
		defer func() { // nothing of the source outlives the run
			cancel()
			close(stopped)
			for range answers {
			}
		}()
		for a := range answers {
			if !yield(a.batch, a.err) {
				return
			}
		}
	}
}

func (r *run) batch(ctx context.Context, b *Batch) error {
	next := r.state
	next.Version, next.Cursor = 1, b.Cursor
	if b.Reset {
		next.Pass++
		next.Naming = true
		clear(r.seen)
	}
	u := &Update{Before: r.state.raw, Pass: next.Pass, CRLs: b.CRLs}
	r.report.CRLs += len(b.CRLs)
	if err := r.objects(ctx, b, next.Naming, u); err != nil {
		return err
	}
	if b.Complete && b.Everything {
		r.report.Full = true
		// What goes away is removed before the state says that all is named: a run that is
		// interrupted here has the source name the last part again, or all.
		before := next
		if before.Cursor = r.state.Cursor; b.Reset {
			before.Cursor = nil
		}
		if err := r.apply(ctx, u, &before); err != nil {
			return err
		}
		if err := r.sweep(ctx); err != nil {
			return err
		}
		u = &Update{Before: r.state.raw, Pass: next.Pass}
	}
	if b.Complete {
		next.Naming = false
	}
	if err := r.apply(ctx, u, &next); err != nil {
		return err
	}
	if r.Progress != nil {
		r.Progress(*r.report)
	}
	return nil
}

// apply makes a change and moves the state.
func (r *run) apply(ctx context.Context, u *Update, next *state) error {
	after, err := json.Marshal(next)
	if err != nil {
		return err
	}
	u.After = after
	next.raw = after
	if !r.DryRun && (!bytes.Equal(u.Before, u.After) || len(u.Put)+len(u.Touch)+len(u.Drop)+len(u.Remove)+len(u.CRLs) > 0) {
		if err := r.Target.Apply(ctx, r.name, u); err != nil {
			return err
		}
	}
	r.state = *next
	return nil
}

// objects decides what happens to the objects of a batch.
func (r *run) objects(ctx context.Context, b *Batch, naming bool, u *Update) error {
	objects := make(map[string]*Object, len(b.Objects))
	ids := make([]string, 0, len(b.Objects))
	for _, o := range b.Objects {
		if objects[o.ID] == nil {
			ids = append(ids, o.ID)
		}
		objects[o.ID] = o // of several the last is how it is now
	}
	r.report.Objects += len(ids)
	held, err := r.Target.Held(ctx, r.name, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		o, have := objects[id], held[id]
		if r.seen != nil {
			r.seen[short(id)] = true
		}
		if o.Deleted {
			r.drop(id, have, "object was deleted", u)
			continue
		}
		if reason := r.Rules.covers(o.Name); reason != "" && !o.Unchanged {
			r.drop(id, have, reason, u)
			continue
		}
		if o.Unchanged {
			if have != nil {
				r.report.Unchanged++
				u.Touch = append(u.Touch, id)
			}
			continue
		}
		entries, refused := r.Rules.entries(o, r.name, r.now)
		for _, f := range refused {
			c := Change{Kind: Refused, ID: id, Object: o.Name, Reason: f.reason}
			if f.certificate != nil {
				c.Thumbprint = sha256.Sum256(f.certificate.Raw)
			}
			r.record(c)
		}
		if len(entries) == 0 {
			r.drop(id, have, "object has no certificate to carry any more", u)
			continue
		}
		if r.changes(o, have, entries, refused) || have.Name != o.Name {
			u.Put = append(u.Put, &Stored{ID: id, Name: o.Name, Entries: entries})
			continue
		}
		r.report.Unchanged++
		if naming {
			u.Touch = append(u.Touch, id)
		}
	}
	return nil
}

// drop removes an object with all its entries.
func (r *run) drop(id string, have *Held, reason string, u *Update) {
	if have == nil {
		return
	}
	u.Remove = append(u.Remove, id)
	for _, e := range have.Entries {
		r.removed(e, id, have.Name, reason)
	}
}

// changes records how an object's entries differ from those the target has, and reports
// whether they do.
func (r *run) changes(o *Object, have *Held, entries []*certstore.Entry, refused []refusal) bool {
	type key struct {
		cert    [32]byte
		address string
	}
	old := map[key]HeldEntry{}
	for _, e := range heldEntries(have) {
		old[key{e.Thumbprint, e.Address}] = e
	}
	changed := have == nil
	for _, e := range entries {
		k := key{sha256.Sum256(e.Certificate.Raw), e.Address}
		h, known := old[k]
		delete(old, k)
		c := Change{ID: o.ID, Object: o.Name, Address: e.Address, Thumbprint: k.cert}
		switch {
		case !known:
			c.Kind, c.Reason = Added, "in "+e.Source
		case h.Foreign:
			continue
		case h.Source != e.Source || h.Default != e.Default || h.Published != e.Published || !bytes.Equal(h.Capabilities, e.Capabilities):
			c.Kind, c.Reason = Updated, "source says otherwise now"
		default:
			continue
		}
		changed = true
		r.record(c)
	}
	for _, h := range heldEntries(have) {
		k := key{h.Thumbprint, h.Address}
		if _, gone := old[k]; !gone {
			continue
		}
		reason := "no longer in the object"
		for _, f := range refused {
			if f.certificate != nil && sha256.Sum256(f.certificate.Raw) == k.cert {
				reason = f.reason
			}
		}
		changed = true
		r.removed(h, o.ID, o.Name, reason)
	}
	return changed
}

func heldEntries(h *Held) []HeldEntry {
	if h == nil {
		return nil
	}
	return h.Entries
}

// sweep removes the objects that were not named since the last reset.
func (r *run) sweep(ctx context.Context) error {
	after := ""
	for {
		ids, err := r.Target.Outdated(ctx, r.name, r.state.Pass, after, batchSize)
		if err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
		ids = slices.DeleteFunc(ids, func(id string) bool { return r.seen[short(id)] })
		held, err := r.Target.Held(ctx, r.name, ids)
		if err != nil {
			return err
		}
		next := r.state
		u := &Update{Before: r.state.raw, Pass: next.Pass}
		for _, id := range ids {
			r.drop(id, held[id], "object is not in the source any more", u)
		}
		if err := r.apply(ctx, u, &next); err != nil {
			return err
		}
	}
}

// expire removes entries whose certificate has expired since they were put: their objects
// need not change for that.
func (r *run) expire(ctx context.Context) error {
	after := ""
	for {
		entries, err := r.Target.Expired(ctx, r.name, r.now, after, batchSize)
		if err != nil || len(entries) == 0 {
			return err
		}
		after = entries[len(entries)-1].Object
		for _, e := range entries {
			r.removed(e, e.Object, "", "expired")
		}
		next := r.state
		if err := r.apply(ctx, &Update{Before: r.state.raw, Pass: next.Pass, Drop: entries}, &next); err != nil {
			return err
		}
	}
}

// removed records that an entry goes, unless it is somebody else's and stays. In a dry run
// it is still there afterwards, and may not go once more.
func (r *run) removed(e HeldEntry, id, object, reason string) {
	c := Change{Kind: Removed, ID: id, Address: e.Address, Thumbprint: e.Thumbprint}
	if e.Foreign || r.gone[c] {
		return
	}
	if r.gone != nil {
		r.gone[c] = true
	}
	c.Object, c.Reason = object, reason
	r.record(c)
}

func (r *run) record(c Change) {
	switch c.Kind {
	case Added:
		r.report.Added++
	case Updated:
		r.report.Updated++
	case Removed:
		r.report.Removed++
	case Refused:
		r.report.Refused++
	}
	if c.Kind == Removed || c.Kind == Refused {
		// Without the part that differs from one certificate to the next.
		general, _, _ := strings.Cut(c.Reason, ":")
		general, _, _ = strings.Cut(general, " on ")
		r.report.Reasons[string(c.Kind)+": "+general]++
	}
	if r.Record != nil {
		r.Record(c)
	}
}

func short(id string) [16]byte {
	h := sha256.Sum256([]byte(id))
	return [16]byte(h[:16])
}
