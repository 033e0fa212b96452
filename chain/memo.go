package chain

import (
	"bytes"
	"sync"

	"github.com/postseal/postseal/internal/pkix"
)

// A memo remembers answers that are pure functions of their keys, so that no answer
// depends on what was asked before. When a generation of it is full it becomes the old
// one, and what is never asked for again is forgotten. It is safe for concurrent use.
type memo[K comparable, V any] struct {
	max      int // members of one generation
	mu       sync.RWMutex
	now, old map[K]V
}

func (m *memo[K, V]) get(k K) (V, bool) {
	m.mu.RLock()
	v, ok := m.now[k]
	aged := false
	if !ok {
		v, aged = m.old[k]
	}
	m.mu.RUnlock()
	if aged {
		m.put(k, v)
	}
	return v, ok || aged
}

func (m *memo[K, V]) put(k K, v V) {
	m.mu.Lock()
	if m.now == nil || len(m.now) >= m.max {
		m.now, m.old = make(map[K]V), m.now
	}
	m.now[k] = v
	m.mu.Unlock()
}

// An edge names a signature by the digests of what is signed, signature included, and of
// the key.
type edge struct{ child, key [32]byte }

// Bounds of the generations: 4 MB of signatures, about as much of whole paths for each
// collection.
const (
	maxEdges   = 1 << 15
	maxAnswers = 1 << 12
)

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
