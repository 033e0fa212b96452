package certstore

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/limits"
)

// Put writes a file for every entry, and replaces the one for the same certificate and
// address. A file is there as a whole or not at all.
func (d *Dir) Put(ctx context.Context, entries ...*Entry) error {
	for _, e := range entries {
		if e == nil || e.Certificate == nil {
			return errors.New("certstore: entry without a certificate")
		}
	}
	if err := d.room(entries); err != nil {
		return fmt.Errorf("certstore: %w", err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.write(entryName(e), encodeEntry(e)); err != nil {
			return fmt.Errorf("certstore: %w", err)
		}
	}
	return d.settle()
}

// room fails if the folder would hold more files than are read.
func (d *Dir) room(entries []*Entry) error {
	names, err := d.names()
	if err != nil {
		return err
	}
	all := make(map[string]bool, len(names)+len(entries))
	for _, name := range names {
		all[name] = true
	}
	for _, e := range entries {
		all[entryName(e)] = true
	}
	if len(all) > maxDirFiles {
		return &limits.Exceeded{What: "files in a folder of certificates", Max: maxDirFiles}
	}
	return nil
}

// Remove removes the files that Put wrote for the certificate and address of each of
// entries. Files that somebody else put into the folder stay.
func (d *Dir) Remove(ctx context.Context, entries ...*Entry) error {
	for _, e := range entries {
		if e == nil || e.Certificate == nil {
			return errors.New("certstore: entry without a certificate")
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.root.Remove(entryName(e)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("certstore: %w", err)
		}
	}
	return d.settle()
}

// settle makes the next query look at the folder in any case, and what became of the names
// in it permanent: a file that is on disk may still be there under no name.
func (d *Dir) settle() error {
	d.mu.Lock()
	d.looked = time.Time{}
	d.mu.Unlock()
	if runtime.GOOS == "windows" {
		return nil // which has no way to ask for it
	}
	f, err := d.root.Open(".")
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("certstore: %w", err)
	}
	return nil
}

// entryName returns the name of the file for e. Nothing of the entry goes into it but
// digests: an address may be anything.
func entryName(e *Entry) string {
	sum := sha256.Sum256(e.Certificate.Raw)
	name := hex.EncodeToString(sum[:])
	if e.Address != "" {
		a := sha256.Sum256([]byte(e.Address))
		name += "-" + hex.EncodeToString(a[:8])
	}
	return name + ".pem"
}

// write writes a file beside its place and renames it into it.
func (d *Dir) write(name string, data []byte) error {
	temp := ".new-" + strings.ToLower(rand.Text())
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = d.root.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, d.root.Remove(temp))
	}
	return nil
}

// Notes are lines before the PEM block, where text is allowed (RFC 7468, Section 2), that
// keep what an entry holds beside its certificate.
const (
	noteAddress      = "Postseal-Address: "
	noteSource       = "Postseal-Source: "
	noteDefault      = "Postseal-Default: yes"
	notePublished    = "Postseal-Published: yes"
	noteCapabilities = "Postseal-Capabilities: "
	noteSeen         = "Postseal-Seen: "
)

func encodeEntry(e *Entry) []byte {
	var b bytes.Buffer
	if e.Address != "" {
		fmt.Fprintf(&b, "%s%q\n", noteAddress, e.Address)
	}
	if e.Source != "" {
		fmt.Fprintf(&b, "%s%q\n", noteSource, e.Source)
	}
	if e.Default {
		fmt.Fprintln(&b, noteDefault)
	}
	if e.Published {
		fmt.Fprintln(&b, notePublished)
	}
	if len(e.Capabilities) > 0 {
		fmt.Fprintf(&b, "%s%s\n", noteCapabilities, base64.StdEncoding.EncodeToString(e.Capabilities))
	}
	if !e.Seen.IsZero() {
		fmt.Fprintf(&b, "%s%s\n", noteSeen, e.Seen.UTC().Format(time.RFC3339Nano))
	}
	b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate.Raw}))
	return b.Bytes()
}

// readNotes reads the notes in data into e. What is malformed is left out: an entry's
// notes are hints.
func readNotes(e *Entry, data []byte) {
	text, _, _ := bytes.Cut(data, []byte("\n-----BEGIN "))
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		switch {
		case line == noteDefault:
			e.Default = true
		case line == notePublished:
			e.Published = true
		case strings.HasPrefix(line, noteAddress):
			if s, err := strconv.Unquote(line[len(noteAddress):]); err == nil {
				e.Address = s
			}
		case strings.HasPrefix(line, noteSource):
			if s, err := strconv.Unquote(line[len(noteSource):]); err == nil {
				e.Source = s
			}
		case strings.HasPrefix(line, noteCapabilities):
			if b, err := base64.StdEncoding.DecodeString(line[len(noteCapabilities):]); err == nil {
				e.Capabilities = b
			}
		case strings.HasPrefix(line, noteSeen):
			if t, err := time.Parse(time.RFC3339Nano, line[len(noteSeen):]); err == nil {
				e.Seen = t
			}
		}
	}
}
