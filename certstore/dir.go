package certstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/keyfile"
	"github.com/postseal/postseal/internal/limits"
)

// Dir is a folder of certificate and key files: PEM, DER, PKCS#7, PKCS#12, serialized
// stores (.sst) and vCards with a KEY. It is a [Store] and a [KeyStore], and a [Writer],
// which writes one file for each entry. Make one with [OpenDir].
//
// Files that change are read again: every query looks at the folder first, and no
// goroutine watches it. Sub-folders and files whose name begins with a dot are left alone.
// A key and its certificates may be in different files of the folder.
//
// A file that cannot be read never hides the others: what is wrong with it is told by
// [Dir.Errors]. The folder itself missing is an error of every query.
//
// A Dir is safe for concurrent use once its fields are set.
type Dir struct {
	// Password returns the password of the key file name, or an error to leave it out. If
	// nil, key files are tried with an empty password.
	Password func(name string) (string, error)

	// Interval is how long after a look at the folder queries may rely on it. If zero,
	// every query looks.
	Interval time.Duration

	root   *os.Root
	mu     sync.Mutex
	looked time.Time
	files  map[string]*dirFile
	state  *dirState
}

// maxDirFiles bounds the files of a folder.
const maxDirFiles = limits.StoreElements

// A dirState is what the folder held at one moment.
type dirState struct {
	memory Memory
	errs   []error
}

// OpenDir returns the store of the folder at path. No link in it leads out of it.
func OpenDir(path string) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("certstore: %w", err)
	}
	return &Dir{root: root, files: map[string]*dirFile{}}, nil
}

// Close releases the folder. Queries fail from then on.
func (d *Dir) Close() error { return d.root.Close() }

// Certificates yields the entries that match q, file by file in the order of their names.
func (d *Dir) Certificates(ctx context.Context, q Query) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		s, err := d.look(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		s.memory.Certificates(ctx, q)(yield)
	}
}

// All yields every entry, file by file in the order of their names.
func (d *Dir) All(ctx context.Context) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		s, err := d.look(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		s.memory.All(ctx)(yield)
	}
}

// Identities yields the identities that match q.
func (d *Dir) Identities(ctx context.Context, q Query) iter.Seq2[*Identity, error] {
	return func(yield func(*Identity, error) bool) {
		s, err := d.look(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		s.memory.Identities(ctx, q)(yield)
	}
}

// Errors looks at the folder and returns what is wrong with files in it, each as an
// [fs.PathError]: files and certificates that cannot be read, passwords that do not fit,
// keys without a certificate, and private keys without a password that others on this
// machine can read. The last are used nevertheless.
func (d *Dir) Errors() []error {
	s, err := d.look(context.Background())
	if err != nil {
		return []error{err}
	}
	return slices.Clone(s.errs)
}

// look returns what the folder holds now. It reads only what has changed.
func (d *Dir) look(ctx context.Context) (*dirState, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if d.state != nil && d.Interval > 0 && now.Sub(d.looked) < d.Interval {
		return d.state, nil
	}
	names, err := d.names()
	if err != nil {
		return nil, fmt.Errorf("certstore: %w", err)
	}
	changed := d.state == nil || len(names) != len(d.files)
	files := make(map[string]*dirFile, len(names))
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		old := d.files[name]
		info, err := d.root.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			if err == nil {
				err = errNotRegular
			}
			f := &dirFile{errs: []error{err}}
			changed = changed || old == nil || old.info != nil || old.errs[0].Error() != err.Error()
			files[name] = f
			continue
		}
		if old.unchanged(info) {
			files[name] = old
			continue
		}
		files[name] = d.read(name, info, now, old)
		changed = changed || !files[name].same
	}
	d.files, d.looked = files, now
	if changed {
		d.state = build(names, files)
	}
	return d.state, nil
}

// names lists the files to read, in order.
func (d *Dir) names() ([]string, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range list {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	if len(names) > maxDirFiles {
		return nil, &limits.Exceeded{What: "files in a folder of certificates", Max: maxDirFiles}
	}
	slices.Sort(names)
	return names, nil
}

// build puts the files together.
func build(names []string, files map[string]*dirFile) *dirState {
	s := &dirState{}
	var all keyfile.File
	owner := map[any]string{} // of a key
	for _, name := range names {
		f := files[name]
		for _, err := range f.errs {
			s.errs = append(s.errs, pathError(name, err))
		}
		for i := range f.entries {
			s.memory.put(f.entries[i], name)
			all.Certificates = append(all.Certificates, f.entries[i].Certificate)
		}
		for _, k := range f.keys {
			all.Keys = append(all.Keys, k)
			if pub, ok := publicKey(k); ok {
				owner[string(publicBits(pub))] = name
			}
		}
	}
	ids, err := identities(&all)
	if err != nil {
		s.errs = append(s.errs, err)
	}
	s.memory.AddIdentity(ids...)
	for _, id := range ids {
		if pub, ok := publicKey(id.key); ok {
			delete(owner, string(publicBits(pub)))
		}
	}
	for _, name := range owner {
		s.errs = append(s.errs, pathError(name, errors.New("no certificate for the private key")))
	}
	slices.SortStableFunc(s.errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return s
}

func pathError(name string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("certstore: %w", err)
	}
	return fmt.Errorf("certstore: %w", &fs.PathError{Op: "read", Path: name, Err: err})
}
