package fetch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/pkix"
)

// How long and how much is kept.
const (
	failureKept = time.Minute
	// What nobody has verified spares the server the other questions about one message, and
	// is gone before anybody misses the answer that it may have been put in the place of.
	unverifiedKept = time.Minute
	longestKept    = 10 * 24 * time.Hour
	issuerKept     = 24 * time.Hour
	maxMemory      = 64 << 20 // octets of answers in memory
	maxFailures    = 4096     // answers in memory, failures among them
	maxFiles       = 512      // in the folder
	maxFolder      = 256 << 20
	abandoned      = time.Hour // after which a half-written file is nobody's
)

// clockSkew is how far the clock of a server may be ahead; package chain allows as much.
const clockSkew = 5 * time.Minute

// An answer is an outcome worth remembering.
type answer struct {
	data  []byte
	err   error
	until time.Time
	// Of an answer that waits to be verified: when it was issued, and until when it is
	// kept once it is. ends is zero for any other.
	since, ends time.Time
}

// Verified tells that data, which Fetch returned for the other arguments, is signed by who
// may sign it. Only then is it kept until its end and in the folder, and only then does
// nothing older take its place. Package chain calls it. What was not fetched lately, or is
// dated in the future, is ignored.
func (c *Client) Verified(kind, address string, request, data []byte) {
	key := keyOf(kind, address, request)
	c.mu.Lock()
	a := c.answers[key]
	c.mu.Unlock()
	if a.ends.IsZero() || !bytes.Equal(a.data, data) || a.since.Before(c.latest(key, kind)) {
		return
	}
	c.mu.Lock()
	c.remember(key, answer{data: a.data, until: a.ends})
	if kind != "issuer" {
		if c.newest == nil || len(c.newest) >= maxFailures {
			c.newest = map[string]time.Time{}
		}
		c.newest[key] = a.since
	}
	c.mu.Unlock()
	c.toDisk(key, a.data)
}

func keyOf(kind, address string, request []byte) string {
	return kind + " " + address + " " + string(request)
}

// recall returns a remembered answer. The lock is held.
func (c *Client) recall(key string) (answer, bool) {
	a, ok := c.answers[key]
	if ok && !c.now().Before(a.until) {
		c.bytes -= len(a.data)
		delete(c.answers, key)
		ok = false
	}
	return a, ok
}

// remember keeps an answer in memory. When there is no room, everything goes: what is
// asked for again comes back. The lock is held.
func (c *Client) remember(key string, a answer) {
	if old, ok := c.answers[key]; ok {
		c.bytes -= len(old.data)
	}
	if c.answers == nil || c.bytes+len(a.data) > maxMemory || len(c.answers) >= maxFailures {
		c.answers, c.bytes = map[string]answer{}, 0
	}
	c.answers[key] = a
	c.bytes += len(a.data)
}

var (
	errUnreadable = errors.New("the answer is not what was asked for")
	errOlder      = errors.New("the answer is older than the one before it")
)

// lifetime reads since and until when an object counts that was got at a time. One without a
// nextUpdate is not kept.
func lifetime(kind string, data []byte, got time.Time) (since, until time.Time, err error) {
	since, until = got, got
	switch kind {
	case "crl":
		list, err := pkix.ParseCRL(data)
		if err != nil {
			return got, got, err
		}
		since = time.Unix(list.ThisUpdate, 0)
		if list.HasNextUpdate {
			until = time.Unix(list.NextUpdate, 0)
		}
	case "ocsp":
		r, err := pkix.ParseOCSP(data)
		if err != nil {
			return got, got, err
		}
		if len(r.Singles) > 0 {
			since = time.Unix(r.Singles[0].ThisUpdate, 0)
		}
		// An error of the responder is told, not kept, and so is what a nonce makes unique. Of
		// several answers the one that ends first may be the one that was asked for.
		for i, x := range r.Singles {
			switch next := time.Unix(x.NextUpdate, 0); {
			case !x.HasNextUpdate || r.Nonce != nil:
				return since, got, nil
			case i == 0 || next.Before(until):
				until = next
			}
		}
	default:
		if len(data) == 0 {
			return got, got, errUnreadable
		}
		until = got.Add(issuerKept)
	}
	if latest := got.Add(longestKept); until.After(latest) {
		until = latest
	}
	return since, until, nil
}

// keep remembers what was fetched for a short while, until it is verified. What comes after
// something verified must not be older: who sits on the line cannot undo a revocation with
// the list of last week. What has not been verified holds nothing up, whatever its date.
func (c *Client) keep(key, kind string, data []byte) ([]byte, error) {
	now := c.now()
	since, until, err := lifetime(kind, data, now)
	if err != nil {
		return nil, err
	}
	if since.Before(c.latest(key, kind)) {
		return nil, errOlder
	}
	if !now.Before(until) {
		return data, nil
	}
	a := answer{data: data, until: now.Add(unverifiedKept)}
	if until.Before(a.until) {
		a.until = until
	}
	if !c.ahead(since) {
		a.since, a.ends = since, until
	}
	c.mu.Lock()
	c.remember(key, a)
	c.mu.Unlock()
	return data, nil
}

// ahead reports whether a date is in the future by more than clocks differ.
func (c *Client) ahead(since time.Time) bool { return since.After(c.now().Add(clockSkew)) }

// latest returns when the latest answer that was verified for a key had been issued.
func (c *Client) latest(key, kind string) time.Time {
	if kind == "issuer" {
		return time.Time{}
	}
	c.mu.Lock()
	at := c.newest[key]
	c.mu.Unlock()
	if data, got, ok := c.stored(key, kind); ok {
		if since, _, err := lifetime(kind, data, got); err == nil && since.After(at) && !c.ahead(since) {
			at = since
		}
	}
	return at
}

func (c *Client) file(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(c.Dir, hex.EncodeToString(sum[:])+".fetched")
}

// stored reads what the folder has for a key. A file begins with the digest of the rest: one
// that was damaged or cut short is as good as none, and one that is no file is not opened.
func (c *Client) stored(key, kind string) (data []byte, at time.Time, ok bool) {
	if c.Dir == "" {
		return nil, at, false
	}
	max, _ := maxSize(kind)
	name := c.file(key)
	info, err := os.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > max+sha256.Size {
		return nil, at, false
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, at, false
	}
	defer f.Close()
	all, err := io.ReadAll(io.LimitReader(f, max+sha256.Size+1))
	if err != nil || len(all) < sha256.Size || int64(len(all)) > max+sha256.Size {
		return nil, at, false
	}
	sum, data := all[:sha256.Size], all[sha256.Size:]
	if sha256.Sum256(data) != [sha256.Size]byte(sum) {
		return nil, at, false
	}
	return data, info.ModTime(), true
}

// fromDisk returns what the folder has and what still counts.
func (c *Client) fromDisk(key, kind string) ([]byte, bool) {
	data, got, ok := c.stored(key, kind)
	if !ok {
		return nil, false
	}
	now := c.now()
	if got.After(now) {
		got = now // somebody has set a clock
	}
	since, until, err := lifetime(kind, data, got)
	if err != nil || !now.Before(until) || c.ahead(since) {
		return nil, false
	}
	c.mu.Lock()
	c.remember(key, answer{data: data, until: until})
	c.mu.Unlock()
	return data, true
}

// toDisk writes beside and renames. A folder that cannot be written is no reason to fail.
func (c *Client) toDisk(key string, data []byte) {
	if c.Dir == "" {
		return
	}
	f, err := os.CreateTemp(c.Dir, "fetching-*")
	if err != nil {
		return
	}
	sum := sha256.Sum256(data)
	if _, err = f.Write(sum[:]); err == nil {
		_, err = f.Write(data)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		now := c.now()
		err = os.Chtimes(f.Name(), now, now)
	}
	if err == nil {
		err = os.Rename(f.Name(), c.file(key))
	}
	if err != nil {
		os.Remove(f.Name())
		return
	}
	c.prune()
}

// prune removes the oldest files beyond the bounds of number and size, and what a program
// that was ended has left half written. Other files of the folder are left alone.
func (c *Client) prune() {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return
	}
	type file struct {
		name string
		size int64
		at   time.Time
	}
	var files []file
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		switch name := e.Name(); {
		case strings.HasSuffix(name, ".fetched"):
			files = append(files, file{name, info.Size(), info.ModTime()})
		case strings.HasPrefix(name, "fetching-") && c.now().Sub(info.ModTime()) > abandoned:
			os.Remove(filepath.Join(c.Dir, name))
		}
	}
	slices.SortFunc(files, func(a, b file) int { return b.at.Compare(a.at) })
	var total int64
	for i, f := range files {
		if total += f.size; i >= maxFiles || total > maxFolder {
			os.Remove(filepath.Join(c.Dir, f.name))
		}
	}
}
