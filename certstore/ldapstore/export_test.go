package ldapstore

import (
	"io"
	"net"
	"time"
)

// AddressFilter is the filter of a plain store.
func AddressFilter(addresses ...string) string { return new(Store).addressFilter(addresses) }

// BreakIdle breaks the connections in the pool, as a firewall does that forgot them.
func (s *Store) BreakIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.idle {
		c.net.SetDeadline(time.Unix(1, 0))
	}
}

// Guarded returns what a guard lets through of a stream.
func Guarded(stream []byte) ([]byte, error) {
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		b.Write(stream)
		b.Close()
	}()
	return io.ReadAll(&guard{Conn: a})
}
