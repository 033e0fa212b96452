package chain

import "sync"

// An edge names a signature: of a certificate, by the key in another.
type edge struct{ child, issuer [32]byte }

// maxEdges bounds each of the two generations of remembered signatures: 4 MB at most.
const maxEdges = 1 << 15

// edges remembers which signatures verify. It is a pure function of its keys, so no
// answer depends on what was asked before. When a generation is full it becomes the old
// one, and what is never asked for again is forgotten.
type edges struct {
	mu       sync.RWMutex
	now, old map[edge]error
}

func (e *edges) get(k edge) (err error, ok bool) {
	e.mu.RLock()
	err, ok = e.now[k]
	if !ok {
		err, ok = e.old[k]
	}
	e.mu.RUnlock()
	return err, ok
}

func (e *edges) put(k edge, err error) {
	e.mu.Lock()
	if e.now == nil || len(e.now) >= maxEdges {
		e.now, e.old = make(map[edge]error), e.now
	}
	e.now[k] = err
	e.mu.Unlock()
}
