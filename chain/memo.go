package chain

import (
	"bytes"
	"sync"

	"github.com/postseal/postseal/internal/pkix"
)

// An edge names a signature by the digests of what is signed, signature included, and of
// the key.
type edge struct{ child, key [32]byte }

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

// crlCache remembers parsed lists by digest, up to maxCachedCRLs octets of DER.
type crlCache struct {
	mu    sync.Mutex
	lists map[[32]byte]*pkix.CRL
	size  int
}

const maxCachedCRLs = 64 << 20

// get returns the parsed list, parsing it if need be. The cache keeps its own copy: the
// caller's bytes may change.
func (c *crlCache) get(sum [32]byte, der []byte) (*pkix.CRL, error) {
	c.mu.Lock()
	list := c.lists[sum]
	c.mu.Unlock()
	if list != nil {
		return list, nil
	}
	list, err := pkix.ParseCRL(bytes.Clone(der))
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lists == nil || c.size+len(der) > maxCachedCRLs {
		c.lists, c.size = map[[32]byte]*pkix.CRL{}, 0
	}
	c.lists[sum] = list
	c.size += len(der)
	return list, nil
}
