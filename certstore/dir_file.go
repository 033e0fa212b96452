package certstore

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/postseal/postseal/internal/bundle"
	"github.com/postseal/postseal/internal/keyfile"
	"github.com/postseal/postseal/internal/limits"
)

// A dirFile is one file of a folder as it was read.
type dirFile struct {
	info    fs.FileInfo // nil if it could not even be looked at
	settled bool        // it had not just been changed when it was read
	same    bool        // it holds what it held when it was read before
	sum     [32]byte
	entries []Entry
	keys    []crypto.PrivateKey
	errs    []error
}

// settling is how long after a change a file may change again unseen: the resolution of
// file times, generously.
const settling = 2 * time.Second

// unchanged reports whether f is still what a file with info holds.
func (f *dirFile) unchanged(info fs.FileInfo) bool {
	return f != nil && f.info != nil && f.settled && os.SameFile(f.info, info) &&
		f.info.Size() == info.Size() && f.info.ModTime().Equal(info.ModTime()) && f.info.Mode() == info.Mode()
}

// load reads the octets of the file name.
func (d *Dir) load(name string) ([]byte, error) {
	// Not to wait for a pipe that was put in the place of the file in the meantime.
	file, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	return io.ReadAll(io.LimitReader(file, limits.SerializedStore+1))
}

var errNotRegular = errors.New("not a regular file")

// read reads the file name, unless it holds what it held when old was read.
func (d *Dir) read(name string, info fs.FileInfo, now time.Time, old *dirFile) *dirFile {
	f := &dirFile{info: info, settled: now.Sub(info.ModTime()) > settling}
	data, err := d.load(name)
	if err != nil {
		// It may be read the next time, and look no different: there are owners, lists of
		// rights, and processes with too many open files.
		f.settled, f.errs = false, []error{err}
		f.same = old != nil && old.sum == f.sum && old.errs[0].Error() == err.Error()
		return f
	}
	f.sum = sha256.Sum256(data)
	if old != nil && old.sum == f.sum && old.info.Mode() == info.Mode() {
		f.entries, f.keys, f.errs, f.same = old.entries, old.keys, old.errs, true
		return f
	}
	if isVCard(data) {
		f.entries, f.errs = readVCard(data, name)
		return f
	}
	b, err := bundle.Parse(data)
	hasKey := bytes.Contains(data, []byte("PRIVATE KEY-----")) || bytes.Contains(data, []byte("-----BEGIN PKCS12-----"))
	switch {
	case hasKey || errors.Is(err, bundle.ErrEncrypted):
		if f.errs = d.readKeys(f, data, name); len(f.keys) == 0 && b != nil {
			f.add(b, name) // the certificates beside a key that cannot be read
		}
		return f
	case err != nil && known(name):
		f.errs = []error{err}
		return f
	case err != nil:
		return f // some other file: not ours to complain about
	}
	f.add(b, name)
	if len(f.entries) == 1 {
		readNotes(&f.entries[0], data)
	}
	return f
}

func (f *dirFile) add(b *bundle.Bundle, name string) {
	f.errs = append(f.errs, b.Warnings...)
	for _, c := range b.Certificates {
		f.entries = append(f.entries, Entry{Certificate: c, Source: name})
	}
}

// readKeys reads a file with private keys and certificates.
func (d *Dir) readKeys(f *dirFile, data []byte, name string) []error {
	password := ""
	if d.Password != nil {
		var err error
		if password, err = d.Password(name); err != nil {
			return []error{err}
		}
	}
	k, err := keyfile.Read(data, password)
	if err != nil {
		if d.Password == nil && errors.Is(err, x509.IncorrectPasswordError) {
			err = fmt.Errorf("needs a password: %w", err)
		}
		return []error{err}
	}
	f.keys = k.Keys
	for _, c := range k.Certificates {
		f.entries = append(f.entries, Entry{Certificate: c, Source: name})
	}
	errs := k.Unread
	inClear := len(k.Keys) > 0 && bytes.Contains(data, []byte("-----BEGIN ")) && !bytes.Contains(data, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----")) && !bytes.Contains(data, []byte("-----BEGIN PKCS12-----"))
	if inClear && f.info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		errs = append(errs, fmt.Errorf("private key can be read by others (mode %04o)", f.info.Mode().Perm()))
	}
	return errs
}

// known reports whether a file of this name should hold certificates or keys.
func known(name string) bool {
	return slices.Contains([]string{".pem", ".crt", ".cer", ".der", ".p7b", ".p7c", ".p7m", ".p7s", ".p12", ".pfx", ".sst", ".key", ".vcf"},
		strings.ToLower(filepath.Ext(name)))
}

// put adds an entry of a file, that nobody else sees yet. Of two with the same certificate
// and address the one that [Dir.Put] wrote counts, or else the first.
func (m *Memory) put(e Entry, name string) {
	if old := m.entry(e.Certificate, e.Address); old == nil {
		m.entries.add(e.Certificate, e.Address, e)
	} else if name == entryName(&e) {
		old.value = e
	}
}
