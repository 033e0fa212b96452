package ldapstore

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// AddressFilter is the filter of a look-up as text.
func (s *Store) AddressFilter(addresses ...string) string { return s.addressFilter(addresses) }

// BreakIdle breaks the connections in the pool, as a firewall does that forgot them.
func (s *Store) BreakIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.idle {
		c.net.SetDeadline(time.Unix(1, 0))
	}
	for _, c := range s.leans {
		c.raw.Close()
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

// readConn is a connection that has been sent an answer already.
type readConn struct {
	net.Conn
	io.Reader
}

func (c readConn) Read(p []byte) (int, error)  { return c.Reader.Read(p) }
func (c readConn) Write(p []byte) (int, error) { return len(p), nil }

// ReadAnswer reads an answer to the first search on a connection for look-ups.
func ReadAnswer(answer []byte, limit int) ([]*ldap.Entry, error) {
	c := readConn{Reader: bytes.NewReader(answer)}
	l := &lean{Conn: c, in: bufio.NewReader(&guard{Conn: c})}
	return l.ask(nil, limit)
}

// SearchRequest is the request of a look-up.
func (s *Store) SearchRequest(addresses ...string) ([]byte, error) {
	return s.searchRequest("dc=example,dc=test", addresses, 10)
}

// FilterAttributes are the attributes that a filter looks at.
func FilterAttributes(filter string) ([]string, error) {
	p, err := ldap.CompileFilter(filter)
	if err != nil {
		return nil, err
	}
	return filterAttributes(nil, p), nil
}
