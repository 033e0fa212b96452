package ldapstore

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// A conn is a connection that serves one operation at a time.
type conn struct {
	*ldap.Conn
	net    net.Conn
	isTLS  bool
	used   bool // it has answered before
	broken bool
}

func (c *conn) close() {
	c.net.SetDeadline(time.Unix(1, 0)) // nothing may wait for the server any more
	c.Conn.Close()
}

// with runs op on a connection, within s.Timeout. A connection from the pool that turns
// out to be dead is replaced once, if op may be repeated.
func (s *Store) with(ctx context.Context, repeat bool, op func(context.Context, *conn) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout(), s.tooSlow())
	defer cancel()
	return s.withConn(ctx, repeat, op)
}

func (s *Store) withConn(ctx context.Context, repeat bool, op func(context.Context, *conn) error) error {
	release, err := s.slot(ctx)
	if err != nil {
		return s.wrap(ctx, err)
	}
	defer release()
	for fresh := false; ; fresh = true {
		limited, cancel := context.WithTimeoutCause(ctx, s.timeout(), s.tooSlow())
		c, err := s.acquire(limited, fresh)
		if err != nil {
			err = s.wrap(limited, err)
			cancel()
			return err
		}
		cancel()
		reused := c.used
		err = c.bounded(ctx, func() error { return op(ctx, c) })
		s.giveBack(c, err)
		if err != nil && reused && repeat && isNetwork(err) && ctx.Err() == nil {
			continue
		}
		return s.wrap(ctx, err)
	}
}

func (s *Store) tooSlow() error {
	return fmt.Errorf("no answer within %v: %w", s.timeout(), context.DeadlineExceeded)
}

// wrap names the server in an error and prefers the reason why time ran out.
func (s *Store) wrap(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	} else if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		err = s.tooSlow() // the connection noticed before the context
	}
	return fmt.Errorf("ldapstore: %s: %w", s, err)
}

// slot waits until fewer than s.Connections connections are in use.
func (s *Store) slot(ctx context.Context) (release func(), err error) {
	s.mu.Lock()
	if s.slots == nil {
		n := s.Connections
		if n <= 0 {
			n = 4
		}
		s.slots = make(chan struct{}, n)
	}
	slots := s.slots
	s.mu.Unlock()
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// acquire returns a connection that is bound, from the pool unless fresh.
func (s *Store) acquire(ctx context.Context, fresh bool) (*conn, error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, errors.New("store is closed")
		}
		n := len(s.idle)
		if n == 0 {
			s.mu.Unlock()
			return s.connect(ctx)
		}
		c := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		if fresh || c.IsClosing() {
			c.close()
			continue
		}
		return c, nil
	}
}

// giveBack puts a connection into the pool unless err says something about its health.
func (s *Store) giveBack(c *conn, err error) {
	var answer *ldap.Error
	healthy := err == nil || errors.As(err, &answer) && answer.ResultCode < ldap.ErrorNetwork
	c.used = true
	s.mu.Lock()
	if healthy && !c.broken && !c.IsClosing() && !s.closed {
		s.idle = append(s.idle, c)
		c = nil
	}
	s.mu.Unlock()
	if c != nil {
		c.close()
	}
}

func isNetwork(err error) bool {
	var answer *ldap.Error
	return !errors.As(err, &answer) || answer.ResultCode >= ldap.ErrorNetwork
}

// bounded runs op so that it ends when ctx does: go-ldap itself waits without end for a
// server that does not answer.
func (c *conn) bounded(ctx context.Context, op func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	deadline, _ := ctx.Deadline() // the zero time means none
	c.net.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { c.net.SetDeadline(time.Unix(1, 0)) })
	err := op()
	if !stop() {
		c.broken = true // an answer may still be on its way
		if err == nil {
			err = ctx.Err()
		}
	}
	c.net.SetDeadline(time.Time{})
	return err
}

func (s *Store) tlsConfig() *tls.Config {
	config := &tls.Config{}
	if s.TLS != nil {
		config = s.TLS.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = s.host
	}
	return config
}

// protect makes a connection and puts TLS over it, unless it may do without. raw is the
// connection below.
func (s *Store) protect(ctx context.Context) (raw, protected net.Conn, isTLS bool, err error) {
	dial := s.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	if raw, err = dial(ctx, "tcp", s.address); err != nil {
		return nil, nil, false, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		raw.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if s.scheme == "ldap" && s.AllowCleartext {
		return raw, raw, false, nil
	}
	if s.scheme == "ldap" {
		if err := startTLS(raw); err != nil {
			raw.Close()
			return nil, nil, false, fmt.Errorf("StartTLS: %w", err)
		}
	}
	t := tls.Client(raw, s.tlsConfig())
	if err := t.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, nil, false, fmt.Errorf("TLS: %w", err)
	}
	return raw, t, true, nil
}

// connect makes a connection, protects it and binds.
func (s *Store) connect(ctx context.Context) (*conn, error) {
	raw, protected, isTLS, err := s.protect(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{net: raw, isTLS: isTLS, Conn: ldap.NewConn(&guard{Conn: protected}, isTLS)}
	c.Start()
	if err := c.bounded(ctx, func() error { return s.bind(ctx, c) }); err != nil {
		c.close()
		return nil, fmt.Errorf("bind: %w", err)
	}
	return c, nil
}

// mayBind refuses what must not be asked of a connection, before it is.
func (s *Store) mayBind(isTLS bool) error {
	switch {
	case s.Bind == nil && s.User == "":
		return nil // a connection is anonymous until it is bound (RFC 4511, Section 4.2)
	case !isTLS:
		return errors.New("a password is not sent without TLS, and nobody is bound")
	case s.Bind == nil && s.Password == "":
		// It would succeed as an anonymous bind (RFC 4513, Section 5.1.2).
		return errors.New("a user without a password")
	}
	return nil
}

func (s *Store) bind(ctx context.Context, c *conn) error {
	err := s.mayBind(c.isTLS)
	switch {
	case err != nil:
		return err
	case s.Bind != nil:
		return s.Bind(ctx, c.Conn)
	case s.User != "":
		return c.Conn.Bind(s.User, s.Password)
	}
	return nil
}

// startTLS asks for TLS before anything else is said on the connection, so that no answer
// sent in clear can be taken for one sent under TLS (RFC 4511, Section 4.14). go-ldap can
// do this too, but without a time limit and with its reader already running.
func startTLS(c net.Conn) error {
	const id = 1
	request := ber.NewSequence("LDAPMessage")
	request.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, "messageID"))
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationExtendedRequest, nil, "ExtendedRequest")
	op.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, "1.3.6.1.4.1.1466.20037", "requestName"))
	request.AppendChild(op)
	if _, err := c.Write(request.Bytes()); err != nil {
		return err
	}
	// One octet at a time: what follows the answer belongs to TLS.
	answer, err := ber.ReadPacket(&oneByteReader{io.LimitReader(c, 8<<10)})
	if err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	if len(answer.Children) < 2 || !bytes.Equal(answer.Children[0].ByteValue, []byte{id}) || answer.Children[1].Tag != ldap.ApplicationExtendedResponse {
		return errors.New("the answer is none to our request")
	}
	return ldap.GetLDAPError(answer)
}

type oneByteReader struct{ r io.Reader }

func (o *oneByteReader) Read(p []byte) (int, error) {
	if len(p) > 1 {
		p = p[:1]
	}
	return o.r.Read(p)
}
