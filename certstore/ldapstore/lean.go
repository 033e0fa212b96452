package ldapstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A lean is a connection for searches alone. It does what the LDAP library does for
// everything else, one question at a time and without its goroutines: looking an address
// up costs half as much, and so does reading everything.
type lean struct {
	net.Conn
	raw    net.Conn // below TLS
	in     *bufio.Reader
	id     int64
	used   bool
	broken bool // the rest of an answer may still be to come
}

// lookup runs one search and returns its entries, at most limit. It serves where the store
// itself binds; with [Store.Bind] the LDAP library asks.
func (s *Store) lookup(ctx context.Context, base string, addresses []string, limit int) ([]*ldap.Entry, error) {
	release, err := s.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	request, err := s.searchRequest(base, addresses, limit)
	if err != nil {
		return nil, err
	}
	for fresh := false; ; fresh = true {
		c, err := s.acquireLean(ctx, fresh)
		if err != nil {
			return nil, err
		}
		reused := c.used
		var entries []*ldap.Entry
		err = c.bounded(ctx, func() (err error) {
			entries, err = c.ask(request, limit)
			return err
		})
		healthy := err == nil || !isNetwork(err)
		s.giveBackLean(c, healthy)
		if !healthy && reused && ctx.Err() == nil {
			continue // it had been closed while it was idle
		}
		return entries, err
	}
}

func (s *Store) acquireLean(ctx context.Context, fresh bool) (*lean, error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, errors.New("store is closed")
		}
		n := len(s.leans)
		if n == 0 {
			s.mu.Unlock()
			break
		}
		c := s.leans[n-1]
		s.leans = s.leans[:n-1]
		s.mu.Unlock()
		if !fresh {
			return c, nil
		}
		c.raw.Close()
	}
	return s.connectLean(ctx)
}

// connectLean makes a connection, protects it and binds.
func (s *Store) connectLean(ctx context.Context) (*lean, error) {
	raw, protected, isTLS, err := s.protect(ctx)
	if err != nil {
		return nil, err
	}
	c := &lean{Conn: protected, raw: raw, in: bufio.NewReader(&guard{Conn: protected})}
	err = s.mayBind(isTLS)
	if err == nil && s.User != "" {
		err = c.bounded(ctx, func() error { return c.bind(s.User, s.Password) })
	}
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("bind: %w", err)
	}
	return c, nil
}

func (s *Store) giveBackLean(c *lean, healthy bool) {
	c.used = true
	s.mu.Lock()
	if healthy && !s.closed {
		s.leans = append(s.leans, c)
		c = nil
	}
	s.mu.Unlock()
	if c != nil {
		c.raw.Close()
	}
}

// bounded runs op so that it ends when ctx does.
func (c *lean) bounded(ctx context.Context, op func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	c.raw.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { c.raw.SetDeadline(time.Unix(1, 0)) })
	err := op()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	return err
}

// The tags of LDAP (RFC 4511, Appendix B).
const (
	tagBindRequest     = asn1.Tag(0x60)
	tagBindResponse    = asn1.Tag(0x61)
	tagSearchRequest   = asn1.Tag(0x63)
	tagSearchEntry     = asn1.Tag(0x64)
	tagSearchDone      = asn1.Tag(0x65)
	tagSearchReference = asn1.Tag(0x73)
	tagIntermediate    = asn1.Tag(0x79)
	tagFilterAnd       = asn1.Tag(0xa0)
	tagFilterOr        = asn1.Tag(0xa1)
	tagFilterEqual     = asn1.Tag(0xa3)
	tagPassword        = asn1.Tag(0x80)
	tagControls        = asn1.Tag(0xa0)
)

// searchRequest writes a search for addresses. They go into the filter as values, with
// nothing to escape.
func (s *Store) searchRequest(base string, addresses []string, limit int) ([]byte, error) {
	var own []byte
	if s.Filter != "" {
		p, err := ldap.CompileFilter(s.Filter)
		if err != nil {
			return nil, err
		}
		own = p.Bytes()
	}
	var filter cryptobyte.Builder
	if own == nil {
		s.addFilter(&filter, addresses)
	} else {
		filter.AddASN1(tagFilterAnd, func(b *cryptobyte.Builder) {
			b.AddBytes(own)
			s.addFilter(b, addresses)
		})
	}
	compiled, err := filter.Bytes()
	if err != nil {
		return nil, err
	}
	return searchOperation(&ldap.SearchRequest{
		BaseDN: base, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases, SizeLimit: limit, Attributes: s.attributes(),
	}, compiled)
}

// searchOperation writes a search (RFC 4511, Section 4.5.1) whose filter is written already.
//
//	SearchRequest ::= [APPLICATION 3] SEQUENCE {
//	  baseObject LDAPDN, scope ENUMERATED, derefAliases ENUMERATED, sizeLimit INTEGER,
//	  timeLimit INTEGER, typesOnly BOOLEAN, filter Filter, attributes AttributeSelection }
func searchOperation(r *ldap.SearchRequest, filter []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tagSearchRequest, func(b *cryptobyte.Builder) {
		addString(b, r.BaseDN)
		b.AddASN1Enum(int64(r.Scope))
		b.AddASN1Enum(int64(r.DerefAliases))
		b.AddASN1Int64(int64(r.SizeLimit))
		b.AddASN1Int64(0)
		b.AddASN1Boolean(false)
		b.AddBytes(filter)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, name := range r.Attributes {
				addString(b, name)
			}
		})
	})
	return b.Bytes()
}

// addFilter writes the filter that addressFilter spells.
func (s *Store) addFilter(b *cryptobyte.Builder, addresses []string) {
	b.AddASN1(tagFilterOr, func(b *cryptobyte.Builder) {
		for _, address := range addresses {
			for _, form := range forms(address) {
				addEquality(b, "mail", form)
				addEquality(b, "proxyAddresses", "smtp:"+form)
				for _, name := range s.Addresses {
					addEquality(b, name, form)
				}
			}
		}
	})
}

func addEquality(b *cryptobyte.Builder, name, value string) {
	b.AddASN1(tagFilterEqual, func(b *cryptobyte.Builder) {
		addString(b, name)
		addString(b, value)
	})
}

func addString(b *cryptobyte.Builder, s string) {
	b.AddASN1(asn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
}

// send sends an operation as the next message (RFC 4511, Section 4.1.1), with controls if
// there are any.
func (c *lean) send(op, controls []byte) error {
	if c.id++; c.id == 1<<31 {
		c.id = 1
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(c.id)
		b.AddBytes(op)
		if len(controls) > 0 {
			b.AddASN1(tagControls, func(b *cryptobyte.Builder) { b.AddBytes(controls) })
		}
	})
	message, err := b.Bytes()
	if err == nil {
		_, err = c.Write(message)
	}
	return err
}

// receive returns the next operation of the answer, with what its controls are made of.
func (c *lean) receive() (tag asn1.Tag, op, controls tlv, err error) {
	message, err := readMessage(c.in)
	if err != nil {
		return 0, nil, nil, err
	}
	var id tlv
	if !message.take(asn1.INTEGER, &id) || !message.any(&tag, &op) || len(message) > 0 && !message.take(tagControls, &controls) {
		return 0, nil, nil, errFraming
	}
	if n, ok := id.integer(); !ok || n != c.id {
		return 0, nil, nil, errors.New("the server answers another question, or wants to end the connection")
	}
	return tag, op, controls, nil
}

// bind authenticates with a password (RFC 4511, Section 4.2).
//
//	BindRequest ::= [APPLICATION 0] SEQUENCE {
//	  version INTEGER, name LDAPDN, authentication CHOICE { simple [0] OCTET STRING, ... } }
func (c *lean) bind(user, password string) error {
	var b cryptobyte.Builder
	b.AddASN1(tagBindRequest, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(3)
		addString(b, user)
		b.AddASN1(tagPassword, func(b *cryptobyte.Builder) { b.AddBytes([]byte(password)) })
	})
	op, err := b.Bytes()
	if err == nil {
		err = c.send(op, nil)
	}
	if err != nil {
		return err
	}
	tag, answer, _, err := c.receive()
	if err != nil {
		return err
	}
	if tag != tagBindResponse {
		return errFraming
	}
	return answer.result()
}

// ask sends a search and reads the answer to its end. Referrals are ignored.
func (c *lean) ask(request []byte, limit int) ([]*ldap.Entry, error) {
	if err := c.send(request, nil); err != nil {
		return nil, err
	}
	g := gatherer{limit: limit}
	for {
		tag, op, _, err := c.receive()
		if err != nil {
			return nil, err
		}
		switch tag {
		case tagSearchEntry:
			e, ok := op.entry()
			if !ok {
				return nil, errFraming
			}
			if err := g.add(e); err != nil {
				return nil, err // of the network, as far as the connection goes
			}
		case tagSearchDone:
			return g.entries, op.result()
		case tagSearchReference, tagIntermediate:
		default:
			return nil, errFraming
		}
	}
}
