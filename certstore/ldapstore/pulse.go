package ldapstore

import (
	"context"

	"sync/atomic"
	"time"
)

// A pulse ends an operation that may take long in all when the server falls silent for
// the store's time limit.
type pulse struct {
	ctx   context.Context
	stop  func()
	limit time.Duration
	timer *time.Timer
	fired atomic.Bool
}

func (s *Store) pulse(ctx context.Context, c searcher) *pulse {
	limit := s.timeout()
	ctx, cancel := context.WithCancelCause(ctx)
	p := &pulse{ctx: ctx, limit: limit}
	p.timer = time.AfterFunc(limit, func() {
		p.fired.Store(true)
		cancel(s.tooSlow())
		c.interrupt()
	})
	p.stop = func() {
		p.timer.Stop()
		if p.fired.Load() {
			c.spoil()
		}
		cancel(nil)
	}
	return p
}

// beat says that the server is alive.
func (p *pulse) beat() { p.timer.Reset(p.limit) }

// pause says that nobody waits for the server.
func (p *pulse) pause() { p.timer.Stop() }

// reason returns why the operation ended, which is more than what the connection says if
// the server fell silent.
func (p *pulse) reason(err error) error {
	if err != nil && p.fired.Load() {
		return context.Cause(p.ctx)
	}
	return err
}
