package sync

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	stdsync "sync"
	"time"

	"github.com/postseal/postseal/certstore"
)

// ToWriter makes a target of any store that can be written to and keeps the Source of its
// entries, by which it is known who made them. What a target remembers is
// kept in the file state, which is made if it does not exist: one line for each batch,
// shortened now and then. The store is written before the file, so that an interrupted run
// repeats its last batch, which changes nothing the second time. The whole memory of the
// target is held while it is open.
func ToWriter(w interface {
	certstore.Store
	certstore.Writer
}, state string) (Target, error) {
	t := &writerTarget{store: w, path: state}
	if err := t.load(); err != nil {
		return nil, fmt.Errorf("sync: state file %s: %w", state, err)
	}
	return t, nil
}

type writerTarget struct {
	store interface {
		certstore.Store
		certstore.Writer
	}
	path string

	mu      stdsync.Mutex
	size    int64 // of the file, as we know it
	lines   int
	sources map[string]*ledger
	owners  map[ledgerKey]int // how many objects of all sources have an entry
}

// A ledger is what is remembered of one source.
type ledger struct {
	state   []byte
	objects map[string]*ledgerObject
}

type ledgerKey struct {
	thumbprint [32]byte
	address    string
}

type ledgerObject struct {
	ID      string        `json:"id"`
	Name    string        `json:"name"`
	Pass    int64         `json:"pass"`
	Entries []ledgerEntry `json:"entries"`
}

type ledgerEntry struct {
	Thumbprint   []byte    `json:"sha256"`
	Address      string    `json:"address"`
	Source       string    `json:"source"`
	Default      bool      `json:"default,omitempty"`
	Published    bool      `json:"published,omitempty"`
	Capabilities []byte    `json:"capabilities,omitempty"`
	NotAfter     time.Time `json:"notAfter"`
	Foreign      bool      `json:"foreign,omitempty"`
}

func (e *ledgerEntry) key() ledgerKey {
	k := ledgerKey{address: e.Address}
	copy(k.thumbprint[:], e.Thumbprint)
	return k
}

// A ledgerLine is one change, as the file has it.
type ledgerLine struct {
	Source string          `json:"source"`
	State  []byte          `json:"state"`
	Pass   int64           `json:"pass"`
	Put    []*ledgerObject `json:"put,omitempty"`
	Touch  []string        `json:"touch,omitempty"`
	Remove []string        `json:"remove,omitempty"`
}

// lineBegin is how every line begins.
const lineBegin = `{"source":`

// load reads the file. A line that was cut off by a crash is one that never happened.
func (t *writerTarget) load() error {
	t.sources, t.owners = map[string]*ledger{}, map[ledgerKey]int{}
	f, err := os.Open(t.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			// It will be overwritten: it had better be one of ours, or what a power cut left.
			rest := string(bytes.TrimRight(line, "\x00"))
			if !strings.HasPrefix(lineBegin, rest[:min(len(rest), len(lineBegin))]) {
				return errors.New("this is another kind of file")
			}
			return nil
		}
		if err != nil {
			return err
		}
		var l ledgerLine
		if err := json.Unmarshal(line, &l); err != nil {
			return fmt.Errorf("line %d: %w", t.lines+1, err)
		}
		t.replay(&l)
		t.size += int64(len(line))
		t.lines++
	}
}

func (t *writerTarget) source(name string) *ledger {
	s := t.sources[name]
	if s == nil {
		s = &ledger{objects: map[string]*ledgerObject{}}
		t.sources[name] = s
	}
	return s
}

// replay does what a line says.
func (t *writerTarget) replay(l *ledgerLine) {
	s := t.source(l.Source)
	s.state = l.State
	forget := func(id string) {
		if o := s.objects[id]; o != nil {
			for i := range o.Entries {
				k := o.Entries[i].key()
				if t.owners[k]--; t.owners[k] == 0 {
					delete(t.owners, k)
				}
			}
			delete(s.objects, id)
		}
	}
	for _, o := range l.Put {
		forget(o.ID)
		s.objects[o.ID] = o
		for i := range o.Entries {
			t.owners[o.Entries[i].key()]++
		}
	}
	for _, id := range l.Touch {
		if o := s.objects[id]; o != nil {
			o.Pass = l.Pass
		}
	}
	for _, id := range l.Remove {
		forget(id)
	}
}

func (t *writerTarget) State(_ context.Context, source string) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.source(source).state, nil
}

func (t *writerTarget) Held(_ context.Context, source string, ids []string) (map[string]*Held, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := map[string]*Held{}
	for _, id := range ids {
		if o := t.source(source).objects[id]; o != nil {
			held[id] = &Held{Name: o.Name, Pass: o.Pass, Entries: o.held()}
		}
	}
	return held, nil
}

func (o *ledgerObject) held() []HeldEntry {
	var list []HeldEntry
	for _, e := range o.Entries {
		k := e.key()
		list = append(list, HeldEntry{
			Object: o.ID, Thumbprint: k.thumbprint, Address: e.Address, Source: e.Source, Default: e.Default,
			Published: e.Published, Capabilities: e.Capabilities, NotAfter: e.NotAfter, Foreign: e.Foreign,
		})
	}
	return list
}

// after returns the IDs of the objects for which which holds, in order.
func (l *ledger) after(after string, limit int, which func(*ledgerObject) bool) []string {
	var ids []string
	for id, o := range l.objects {
		if id > after && which(o) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids[:min(limit, len(ids))]
}

func (t *writerTarget) Outdated(_ context.Context, source string, pass int64, after string, limit int) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.source(source).after(after, limit, func(o *ledgerObject) bool { return o.Pass < pass }), nil
}

func (t *writerTarget) Expired(_ context.Context, source string, before time.Time, after string, limit int) ([]HeldEntry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.source(source)
	expired := func(e HeldEntry) bool { return e.NotAfter.Before(before) }
	var list []HeldEntry
	for _, id := range s.after(after, limit, func(o *ledgerObject) bool { return slices.ContainsFunc(o.held(), expired) }) {
		for _, e := range s.objects[id].held() {
			if expired(e) {
				list = append(list, e)
			}
		}
	}
	return list, nil
}

func (t *writerTarget) Apply(ctx context.Context, source string, u *Update) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.source(source)
	if !bytes.Equal(s.state, u.Before) {
		return ErrConflict
	}
	if err := t.alone(); err != nil {
		return err
	}
	line := &ledgerLine{Source: source, State: u.After, Pass: u.Pass, Touch: u.Touch, Remove: u.Remove}
	var put []*certstore.Entry
	gone := map[ledgerKey]int{} // how many owners an entry loses
	lose := func(o *ledgerObject) {
		for i := range o.Entries {
			gone[o.Entries[i].key()]++
		}
	}
	for _, o := range u.Put {
		entry := &ledgerObject{ID: o.ID, Name: o.Name, Pass: u.Pass}
		for _, e := range o.Entries {
			foreign, err := t.foreign(ctx, source, e)
			if err != nil {
				return err
			}
			if !foreign {
				put = append(put, e)
			}
			h := sha256.Sum256(e.Certificate.Raw)
			entry.Entries = append(entry.Entries, ledgerEntry{h[:], e.Address, e.Source, e.Default, e.Published, e.Capabilities, e.Certificate.NotAfter, foreign})
		}
		line.Put = append(line.Put, entry)
		if old := s.objects[o.ID]; old != nil {
			lose(old)
		}
	}
	for _, o := range s.without(u.Drop) {
		lose(s.objects[o.ID])
		line.Put = append(line.Put, o)
	}
	for _, id := range u.Remove {
		if o := s.objects[id]; o != nil {
			lose(o)
		}
	}
	for _, o := range line.Put {
		for i := range o.Entries {
			gone[o.Entries[i].key()]--
		}
	}
	if err := t.store.Put(ctx, put...); err != nil {
		return err
	}
	var unowned []ledgerKey
	for k, n := range gone {
		if n > 0 && t.owners[k] <= n {
			unowned = append(unowned, k)
		}
	}
	if err := t.remove(ctx, unowned); err != nil {
		return err
	}
	return t.append(line)
}

// without returns the objects of drop as they are without its entries.
func (l *ledger) without(drop []HeldEntry) []*ledgerObject {
	var list []*ledgerObject
	for len(drop) > 0 {
		id := drop[0].Object
		n := 1
		for n < len(drop) && drop[n].Object == id {
			n++
		}
		if o := l.objects[id]; o != nil {
			left := *o
			left.Entries = slices.DeleteFunc(slices.Clone(o.Entries), func(e ledgerEntry) bool {
				return slices.ContainsFunc(drop[:n], func(d HeldEntry) bool { return e.key() == ledgerKey{d.Thumbprint, d.Address} })
			})
			list = append(list, &left)
		}
		drop = drop[n:]
	}
	return list
}

// foreign reports whether somebody else put the same entry there.
func (t *writerTarget) foreign(ctx context.Context, source string, e *certstore.Entry) (bool, error) {
	for old, err := range t.store.Certificates(ctx, certstore.Thumbprint(sha256.Sum256(e.Certificate.Raw))) {
		if err != nil {
			return false, err
		}
		if old.Address == e.Address {
			return !strings.HasPrefix(old.Source, source+" "), nil
		}
	}
	return false, nil
}

// remove removes entries that no object has any more, if a source brought them. The store is
// asked once: a folder is looked at for each question.
func (t *writerTarget) remove(ctx context.Context, keys []ledgerKey) error {
	var thumbprints certstore.AnyOf
	wanted := make(map[ledgerKey]bool, len(keys))
	for _, k := range keys {
		thumbprints = append(thumbprints, certstore.Thumbprint(k.thumbprint))
		wanted[k] = true
	}
	if len(keys) == 0 {
		return nil
	}
	var found []*certstore.Entry
	for e, err := range t.store.Certificates(ctx, thumbprints) {
		if err != nil {
			return err
		}
		if !wanted[ledgerKey{sha256.Sum256(e.Certificate.Raw), e.Address}] {
			continue
		}
		for name := range t.sources {
			if strings.HasPrefix(e.Source, name+" ") {
				found = append(found, e)
				break
			}
		}
	}
	return t.store.Remove(ctx, found...)
}

// append writes a line to the file and does what it says. Another process that wrote to
// the file meanwhile is noticed by its size.
func (t *writerTarget) append(l *ledgerLine) error {
	if t.lines > 1000 {
		if err := t.shorten(); err != nil {
			return fmt.Errorf("sync: state file %s: %w", t.path, err)
		}
	}
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	err = t.write(b)
	if err != nil {
		return fmt.Errorf("sync: state file %s: %w", t.path, err)
	}
	t.size += int64(len(b))
	t.lines++
	t.replay(l)
	return nil
}

// alone makes sure, before the store is touched, that no other process wrote to the file.
func (t *writerTarget) alone() error {
	f, err := os.Open(t.path)
	if errors.Is(err, os.ErrNotExist) && t.size == 0 {
		return nil
	}
	if err == nil {
		_, err = t.unfinished(f)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("sync: state file %s: %w", t.path, err)
	}
	return nil
}

// unfinished reports whether the file goes on after our last line with one that a crash
// cut off.
func (t *writerTarget) unfinished(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == t.size {
		return false, err
	}
	if info.Size() < t.size {
		return false, ErrConflict
	}
	rest := make([]byte, info.Size()-t.size)
	if _, err := f.ReadAt(rest, t.size); err != nil {
		return false, err
	}
	if bytes.IndexByte(rest, '\n') >= 0 {
		return false, ErrConflict // another run's
	}
	return true, nil
}

func (t *writerTarget) write(b []byte) (err error) {
	f, err := os.OpenFile(t.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	cut, err := t.unfinished(f)
	if err != nil {
		return err
	}
	if cut {
		if err := f.Truncate(t.size); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(b, t.size); err != nil {
		return err
	}
	return f.Sync()
}

// shorten replaces the file by one with a line for each source.
func (t *writerTarget) shorten() error {
	f, err := os.CreateTemp(filepath.Dir(t.path), filepath.Base(t.path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	var size int64
	lines := 0
	for name, s := range t.sources {
		if s.state == nil && len(s.objects) == 0 {
			continue
		}
		line := &ledgerLine{Source: name, State: s.state}
		for _, id := range s.after("", len(s.objects), func(*ledgerObject) bool { return true }) {
			line.Put = append(line.Put, s.objects[id])
		}
		b, err := json.Marshal(line)
		if err == nil {
			_, err = f.Write(append(b, '\n'))
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
		size += int64(len(b) + 1)
		lines++
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), t.path); err != nil {
		return err
	}
	t.size, t.lines = size, lines
	return nil
}
