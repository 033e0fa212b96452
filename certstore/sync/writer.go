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
	"runtime"
	"slices"
	"strings"
	stdsync "sync"
	"time"

	"github.com/postseal/postseal/certstore"
)

// ToWriter makes a target of any store that can be written to and keeps the Source of its
// entries, by which it is known who made them. What a target remembers is
// kept in the file state, which is made if it does not exist: two lines for each batch,
// shortened now and then. The first says what is about to change in the store, the second,
// once it has changed, that it has: an interrupted run repeats its last batch, and what it
// left in the store is known to be its own, also if the source has it no more. The whole
// memory of the target is held while it is open.
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
	Intent bool            `json:"intent,omitempty"` // it is about to be made
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
		err = json.Unmarshal(line, &l)
		if err == nil && slices.Contains(l.Put, nil) {
			err = errors.New("an object without anything")
		}
		if err != nil {
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
	if l.Intent {
		t.intend(s, l)
		return
	}
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

// intend notes that a change of the store may have been made, in part or not at all: an
// object then owns what it had and what it was to have, and of neither it is known how the
// store has it. It counts as not seen until it is named again.
func (t *writerTarget) intend(s *ledger, l *ledgerLine) {
	doubt := func(id, name string, more []ledgerEntry) {
		o := s.objects[id]
		if o == nil {
			o = &ledgerObject{ID: id, Name: name, Pass: neverSeen}
			s.objects[id] = o
		}
		have := len(o.Entries)
		o.Entries = slices.Clone(o.Entries)
		for _, e := range more {
			if !slices.ContainsFunc(o.Entries[:have], func(h ledgerEntry) bool { return h.key() == e.key() }) {
				o.Entries = append(o.Entries, e)
				t.owners[e.key()]++
			}
		}
		for i := range o.Entries {
			o.Entries[i].Source = "" // as no source has it: it will be put again
		}
	}
	for _, o := range l.Put {
		doubt(o.ID, o.Name, o.Entries)
	}
	for _, id := range l.Remove {
		if s.objects[id] != nil {
			doubt(id, "", nil)
		}
	}
}

// neverSeen is before every pass.
const neverSeen = -1

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
	f, err := t.open()
	if err != nil {
		return fmt.Errorf("sync: state file %s: %w", t.path, err)
	}
	defer func() { f.Close() }() // shorten may put another in its place
	line := &ledgerLine{Source: source, State: u.After, Pass: u.Pass, Touch: u.Touch, Remove: u.Remove}
	var put []*certstore.Entry
	gone := map[ledgerKey]int{} // how many owners an entry loses
	lose := func(o *ledgerObject) {
		for i := range o.Entries {
			gone[o.Entries[i].key()]++
		}
	}
	others, err := t.foreign(ctx, source, u.Put)
	if err != nil {
		return err
	}
	for _, o := range u.Put {
		entry := &ledgerObject{ID: o.ID, Name: o.Name, Pass: u.Pass}
		for _, e := range o.Entries {
			h := sha256.Sum256(e.Certificate.Raw)
			foreign := others[ledgerKey{h, e.Address}]
			if !foreign {
				put = append(put, e)
			}
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
	var unowned []ledgerKey
	for k, n := range gone {
		if n > 0 && t.owners[k] <= n {
			unowned = append(unowned, k)
		}
	}
	if g, err := t.shorten(f); err == nil {
		f = g
	} else {
		return fmt.Errorf("sync: state file %s: %w", t.path, err)
	}
	if len(put)+len(unowned) > 0 {
		intent := *line
		intent.Intent, intent.State, intent.Touch = true, nil, nil
		if err := t.append(f, &intent); err != nil {
			return err
		}
		if err := t.store.Put(ctx, put...); err != nil {
			return err
		}
		if err := t.remove(ctx, unowned); err != nil {
			return err
		}
	}
	return t.append(f, line)
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

// foreign returns which entries of objects somebody else put there.
func (t *writerTarget) foreign(ctx context.Context, source string, objects []*Stored) (map[ledgerKey]bool, error) {
	var keys []ledgerKey
	for _, o := range objects {
		for _, e := range o.Entries {
			keys = append(keys, ledgerKey{sha256.Sum256(e.Certificate.Raw), e.Address})
		}
	}
	found, err := t.find(ctx, keys)
	others := map[ledgerKey]bool{}
	for k, e := range found {
		others[k] = !strings.HasPrefix(e.Source, source+" ")
	}
	return others, err
}

// remove removes entries that no object has any more, if a source brought them.
func (t *writerTarget) remove(ctx context.Context, keys []ledgerKey) error {
	found, err := t.find(ctx, keys)
	if err != nil {
		return err
	}
	var ours []*certstore.Entry
	for _, e := range found {
		for name := range t.sources {
			if strings.HasPrefix(e.Source, name+" ") {
				ours = append(ours, e)
				break
			}
		}
	}
	if len(ours) == 0 {
		return nil
	}
	return t.store.Remove(ctx, ours...)
}

// find returns those of entries that the store has. It is asked once, and for a certificate
// once: a folder is looked at for each question.
func (t *writerTarget) find(ctx context.Context, keys []ledgerKey) (map[ledgerKey]*certstore.Entry, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var thumbprints certstore.AnyOf
	wanted, asked := make(map[ledgerKey]bool, len(keys)), map[[32]byte]bool{}
	for _, k := range keys {
		if wanted[k] = true; !asked[k.thumbprint] {
			asked[k.thumbprint] = true
			thumbprints = append(thumbprints, certstore.Thumbprint(k.thumbprint))
		}
	}
	found := map[ledgerKey]*certstore.Entry{}
	for e, err := range t.store.Certificates(ctx, thumbprints) {
		if err != nil {
			return nil, err
		}
		k := ledgerKey{sha256.Sum256(e.Certificate.Raw), e.Address}
		if wanted[k] && found[k] == nil {
			found[k] = e
		}
	}
	return found, nil
}

// append writes a line to the file and does what it says.
func (t *writerTarget) append(f *os.File, l *ledgerLine) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if err := t.write(f, b); err != nil {
		return fmt.Errorf("sync: state file %s: %w", t.path, err)
	}
	t.size += int64(len(b))
	t.lines++
	t.replay(l)
	return nil
}

// open opens the file for one change, before the store is touched. Another process that is
// about to make one, or has made one since the file was read, is a conflict: the first is
// known by its lock, where the system has such, the second by the size of the file.
func (t *writerTarget) open() (*os.File, error) {
	f, err := os.OpenFile(t.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = lock(f)
	if err == nil {
		err = t.current(f)
	}
	if err == nil {
		_, err = t.unfinished(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// current fails if another process put another file in the place of f since it was opened.
func (t *writerTarget) current(f *os.File) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	if now, err := os.Stat(t.path); err != nil || !os.SameFile(mine, now) {
		return ErrConflict
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

func (t *writerTarget) write(f *os.File, b []byte) error {
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
	if err := f.Sync(); err != nil || t.size > 0 {
		return err
	}
	return t.settle()
}

// settle makes the name of the file permanent: one that is on disk may still be there under
// no name.
func (t *writerTarget) settle() error {
	if runtime.GOOS == "windows" {
		return nil // which has no way to ask for it
	}
	dir, err := os.Open(filepath.Dir(t.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// shorten replaces the file, once it is long, by one with a line for each source, and
// returns the one to go on with.
func (t *writerTarget) shorten(old *os.File) (*os.File, error) {
	if t.lines <= 1000 {
		return old, nil
	}
	f, err := os.CreateTemp(filepath.Dir(t.path), filepath.Base(t.path)+".*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	size, lines, err := t.summary(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if !locks {
		old.Close() // Windows replaces no file that is open
	}
	if err := os.Rename(f.Name(), t.path); err != nil {
		return nil, err
	}
	old.Close()
	t.size, t.lines = size, lines
	if err := t.settle(); err != nil {
		return nil, err
	}
	return t.open()
}

// summary writes a line for each source.
func (t *writerTarget) summary(w *os.File) (size int64, lines int, err error) {
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
			_, err = w.Write(append(b, '\n'))
		}
		if err != nil {
			return 0, 0, err
		}
		size += int64(len(b) + 1)
		lines++
	}
	return size, lines, w.Sync()
}
