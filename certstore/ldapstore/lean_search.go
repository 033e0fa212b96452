package ldapstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// withSearcher runs op on a connection of its own, which may take any time: op itself
// watches that the server answers.
func (s *Store) withSearcher(ctx context.Context, op func(context.Context, searcher) error) error {
	if s.Bind != nil {
		return s.withConn(ctx, false, func(ctx context.Context, c *conn) error { return op(ctx, c) })
	}
	release, err := s.slot(ctx)
	if err != nil {
		return s.wrap(ctx, err)
	}
	defer release()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return s.wrap(ctx, errors.New("store is closed"))
	}
	limited, cancel := context.WithTimeoutCause(ctx, s.timeout(), s.tooSlow())
	defer cancel()
	c, err := s.connectLean(limited)
	if err != nil {
		return s.wrap(limited, err)
	}
	defer c.raw.Close()
	return s.wrap(ctx, c.bounded(ctx, func() error { return op(ctx, c) }))
}

func (c *lean) interrupt() { c.raw.SetDeadline(time.Unix(1, 0)) }
func (c *lean) spoil()     { c.broken = true }

// search is that of a [searcher].
func (c *lean) search(ctx context.Context, r *ldap.SearchRequest, found func(*ldap.Entry, []ldap.Control) error, between func([]ldap.Control) error) error {
	if c.broken {
		return ldap.NewError(ldap.ErrorNetwork, errors.New("connection is in the middle of an answer"))
	}
	filter, err := ldap.CompileFilter(r.Filter)
	if err != nil {
		return err
	}
	op, err := searchOperation(r, filter.Bytes())
	if err != nil {
		return err
	}
	var controls []byte
	for _, control := range r.Controls {
		controls = append(controls, control.Encode().Bytes()...)
	}
	if err := c.send(op, controls); err != nil {
		return err
	}
	c.broken = true // until the end of the answer
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		tag, op, raw, err := c.receive()
		if err != nil {
			return err
		}
		var controls []ldap.Control
		if len(raw) > 0 {
			if controls, err = decodeControls(raw); err != nil {
				return err
			}
		}
		switch tag {
		case tagSearchEntry:
			e, ok := op.entry()
			if !ok {
				return errFraming
			}
			err = found(e, controls)
		case tagSearchReference:
		case tagIntermediate:
			var control ldap.Control
			if control, err = decodeControl(ber.ClassApplication, ldap.ApplicationIntermediateResponse, op); err == nil && between != nil {
				err = between([]ldap.Control{control})
			}
		case tagSearchDone:
			c.broken = false
			if err := op.result(); err != nil {
				return err
			}
			if between != nil && len(controls) > 0 {
				return between(controls)
			}
			return nil
		default:
			return errFraming
		}
		if err != nil {
			return err
		}
	}
}

// decodeControls reads
//
//	Controls ::= SEQUENCE OF control Control
func decodeControls(raw tlv) ([]ldap.Control, error) {
	var list []ldap.Control
	for len(raw) > 0 {
		var one tlv
		if !raw.take(0x30, &one) {
			return nil, errFraming
		}
		control, err := decodeControl(ber.ClassUniversal, ber.TagSequence, one)
		if err != nil {
			return nil, err
		}
		list = append(list, control)
	}
	return list, nil
}

// decodeControl lets the LDAP library read a control, or an intermediate answer, which it
// takes for one. It panics on some that make no sense.
func decodeControl(class ber.Class, tag ber.Tag, content tlv) (c ldap.Control, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errFraming, r)
		}
	}()
	packet := ber.Encode(class, ber.TypeConstructed, tag, nil, "")
	for len(content) > 0 {
		rest := content
		var t, v tlv
		if !rest.element(&t, &v) {
			return nil, errFraming
		}
		child, err := ber.DecodePacketErr(t)
		if err != nil {
			return nil, err
		}
		packet.AppendChild(child)
		content = rest
	}
	return ldap.DecodeControl(packet)
}
