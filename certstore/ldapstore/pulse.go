package ldapstore

import (
	"context"
	"fmt"
	"time"
)

// A pulse ends an operation that may take long in all when the server falls silent for
// the store's time limit.
type pulse struct {
	ctx   context.Context
	stop  func()
	limit time.Duration
	timer *time.Timer
}

func (s *Store) pulse(ctx context.Context, c *conn) *pulse {
	limit := s.timeout()
	ctx, cancel := context.WithCancelCause(ctx)
	p := &pulse{ctx: ctx, limit: limit}
	p.timer = time.AfterFunc(limit, func() {
		cancel(fmt.Errorf("no answer within %v: %w", limit, context.DeadlineExceeded))
		c.net.SetDeadline(time.Unix(1, 0))
	})
	p.stop = func() {
		if !p.timer.Stop() {
			c.broken = true
		}
		cancel(nil)
	}
	return p
}

// beat says that the server is alive.
func (p *pulse) beat() { p.timer.Reset(p.limit) }

// pause says that nobody waits for the server.
func (p *pulse) pause() { p.timer.Stop() }
