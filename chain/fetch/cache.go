package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
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
	longestKept = 10 * 24 * time.Hour
	issuerKept  = 24 * time.Hour
	maxMemory   = 64 << 20 // octets of answers in memory
	maxFailures = 4096     // answers in memory, failures among them
	maxFiles    = 512      // in the folder
)

// An answer is an outcome worth remembering.
type answer struct {
	data  []byte
	err   error
	until time.Time
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

var errUnreadable = errors.New("the answer is not what was asked for")

// lifetime reads until when an object counts. One without a nextUpdate is not kept.
func (c *Client) lifetime(kind string, data []byte) (time.Time, error) {
	now := c.now()
	until := now
	switch kind {
	case "crl":
		list, err := pkix.ParseCRL(data)
		if err != nil {
			return now, err
		}
		if list.HasNextUpdate {
			until = time.Unix(list.NextUpdate, 0)
		}
	case "ocsp":
		r, err := pkix.ParseOCSP(data)
		if err != nil {
			return now, err
		}
		// An error of the responder is told, not kept, and so is what a nonce makes unique.
		if len(r.Singles) > 0 && r.Singles[0].HasNextUpdate && r.Nonce == nil {
			until = time.Unix(r.Singles[0].NextUpdate, 0)
		}
	default:
		if len(data) == 0 {
			return now, errUnreadable
		}
		until = now.Add(issuerKept)
	}
	if latest := now.Add(longestKept); until.After(latest) {
		until = latest
	}
	return until, nil
}

// keep remembers what was fetched, in memory and in the folder. Until it ends nothing else
// is fetched in its place, so a server cannot put an older answer after a newer one.
func (c *Client) keep(key, kind string, data []byte) ([]byte, error) {
	until, err := c.lifetime(kind, data)
	if err != nil {
		return nil, err
	}
	if !c.now().Before(until) {
		return data, nil
	}
	c.mu.Lock()
	c.remember(key, answer{data: data, until: until})
	c.mu.Unlock()
	c.toDisk(key, data)
	return data, nil
}

func (c *Client) file(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(c.Dir, hex.EncodeToString(sum[:])+".fetched")
}

// fromDisk returns what the folder has and what still counts.
func (c *Client) fromDisk(key, kind string) ([]byte, bool) {
	if c.Dir == "" {
		return nil, false
	}
	max, _ := maxSize(kind)
	name := c.file(key)
	info, err := os.Stat(name)
	if err != nil || info.Size() > max {
		return nil, false
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, false
	}
	until, err := c.lifetime(kind, data)
	if kind == "issuer" {
		until = info.ModTime().Add(issuerKept)
	}
	if err != nil || !c.now().Before(until) || c.now().Sub(info.ModTime()) > longestKept {
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
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
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

// prune removes the oldest files beyond the bound.
func (c *Client) prune() {
	entries, err := os.ReadDir(c.Dir)
	if err != nil || len(entries) <= maxFiles {
		return
	}
	type file struct {
		name string
		at   time.Time
	}
	var files []file
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".fetched") {
			files = append(files, file{e.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return a.at.Compare(b.at) })
	for _, f := range files[:max(0, len(files)-maxFiles)] {
		os.Remove(filepath.Join(c.Dir, f.name))
	}
}
