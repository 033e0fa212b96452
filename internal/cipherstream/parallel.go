package cipherstream

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	smallBuffer = 8 << 10  // what a message that may turn out small is given first
	partSize    = 64 << 10 // what one core works on at a time; stays in its second-level cache
	maxParts    = 16
)

// window returns the size of the buffer that keeps all cores busy.
func window() int { return partSize * min(4*runtime.GOMAXPROCS(0), maxParts) }

// windows keeps full windows, which hold zeros, between messages.
var windows sync.Pool

// newBuffer returns a buffer of n octets.
func newBuffer(n int) []byte {
	if n >= partSize {
		if b, ok := windows.Get().(*[]byte); ok && len(*b) == n {
			return *b
		}
	}
	return make([]byte, n)
}

// release wipes b, which may hold plaintext, and keeps it for another message.
func release(b []byte) {
	clear(b)
	if len(b) >= partSize {
		windows.Put(&b)
	}
}

// split returns into how many parts n octets, at most a full window, are divided. Each
// but the last has partSize.
func split(n int) int { return (n + partSize - 1) / partSize }

// part returns the i-th part of p.
func part(p []byte, i int) []byte {
	p = p[i*partSize:]
	return p[:min(len(p), partSize)]
}

// together runs f(0) to f(n-1), several at a time, and returns when all have ended. The
// caller takes parts as well, so that a core somebody else keeps busy delays nobody.
func together(n int, f func(i int)) {
	var next atomic.Int32
	run := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			f(i)
		}
	}
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) - 1 {
		wg.Go(run)
	}
	run()
	wg.Wait()
}
