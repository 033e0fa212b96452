//go:build !race

package smime_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"
)

// TestAllocationsDoNotGrow composes and opens a message of 1 and one of 16 MiB in the forms
// of mail: the larger one may cost no more memory, since buffers are used again, and no more
// allocations but one for each 64 KiB that are enciphered, which crypto/cipher makes for the
// state of a mode. Nothing is allocated per block, per line or per segment. (The race
// detector throws away at random what is kept for use.)
func TestAllocationsDoNotGrow(t *testing.T) {
	const small, large = 1 << 20, 16 << 20
	p := newParty(t)
	for _, name := range []string{"signed/sha256", "signed/opaque sha256", "signed>encrypted/aes256-cbc", "signed>encrypted/aes256-gcm", "signed>encrypted/chacha20-poly1305"} {
		c := p.every()[name]
		if c == nil {
			t.Fatal("there is no form " + name)
		}
		compose := func(w io.Writer, size int64) {
			if _, err := c.Compose(w, newTape(size)); err != nil {
				t.Fatal(err)
			}
		}
		open := func(size int64) func() {
			var mail bytes.Buffer
			compose(&mail, size)
			return func() {
				if _, err := p.opener().OpenTo(t.Context(), io.Discard, bytes.NewReader(mail.Bytes())); err != nil {
					t.Fatal(err)
				}
			}
		}
		flat := func(small, large func()) func(*testing.T) {
			return func(t *testing.T) {
				n, octets := cost(small)
				m, more := cost(large)
				t.Logf("%d allocations of %d KiB for the small message, %d of %d KiB for the large one", n, octets>>10, m, more>>10)
				const pieces = (16 << 20) / (64 << 10) * 3 / 2 // with MIME's base64 around
				if m > n+pieces+50 || more > octets+pieces*1024+256<<10 {
					t.Error("what is allocated grows with the message")
				}
			}
		}
		t.Run("compose "+name, flat(func() { compose(io.Discard, small) }, func() { compose(io.Discard, large) }))
		t.Run("open "+name, flat(open(small), open(large)))
	}
}

// cost returns how many allocations f makes and of how many octets, at its best: the
// garbage collector empties pools now and then.
func cost(f func()) (times, octets uint64) {
	times, octets = 1<<63, 1<<63
	for range 4 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		times, octets = min(times, after.Mallocs-before.Mallocs), min(octets, after.TotalAlloc-before.TotalAlloc)
	}
	return times, octets
}
