package ldapstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/limits"
)

// A lean is a connection for look-ups alone. It does what the LDAP library does for
// everything else, one question at a time and without its goroutines: looking an address
// up costs half as much.
type lean struct {
	net.Conn
	raw  net.Conn // below TLS
	in   *bufio.Reader
	id   int64
	used bool
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
			entries, err = c.search(request, limit)
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
)

// searchRequest writes a search for addresses (RFC 4511, Section 4.5.1). The addresses go
// into the filter as values, with nothing to escape.
//
//	SearchRequest ::= [APPLICATION 3] SEQUENCE {
//	  baseObject LDAPDN, scope ENUMERATED, derefAliases ENUMERATED, sizeLimit INTEGER,
//	  timeLimit INTEGER, typesOnly BOOLEAN, filter Filter, attributes AttributeSelection }
func (s *Store) searchRequest(base string, addresses []string, limit int) ([]byte, error) {
	var own []byte
	if s.Filter != "" {
		p, err := ldap.CompileFilter(s.Filter)
		if err != nil {
			return nil, err
		}
		own = p.Bytes()
	}
	var b cryptobyte.Builder
	b.AddASN1(tagSearchRequest, func(b *cryptobyte.Builder) {
		addString(b, base)
		b.AddASN1Enum(ldap.ScopeWholeSubtree)
		b.AddASN1Enum(ldap.NeverDerefAliases)
		b.AddASN1Int64(int64(limit))
		b.AddASN1Int64(0)
		b.AddASN1Boolean(false)
		if own == nil {
			s.addFilter(b, addresses)
		} else {
			b.AddASN1(tagFilterAnd, func(b *cryptobyte.Builder) {
				b.AddBytes(own)
				s.addFilter(b, addresses)
			})
		}
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, name := range s.attributes() {
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

// send sends an operation as the next message (RFC 4511, Section 4.1.1).
func (c *lean) send(op []byte) error {
	if c.id++; c.id == 1<<31 {
		c.id = 1
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(c.id)
		b.AddBytes(op)
	})
	message, err := b.Bytes()
	if err == nil {
		_, err = c.Write(message)
	}
	return err
}

// receive returns the next operation of the answer.
func (c *lean) receive() (tag asn1.Tag, op tlv, err error) {
	message, err := readMessage(c.in)
	if err != nil {
		return 0, nil, err
	}
	var id tlv
	if !message.take(asn1.INTEGER, &id) || !message.any(&tag, &op) {
		return 0, nil, errFraming
	}
	if n, ok := id.integer(); !ok || n != c.id {
		return 0, nil, errors.New("the server answers another question, or wants to end the connection")
	}
	return tag, op, nil
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
		err = c.send(op)
	}
	if err != nil {
		return err
	}
	tag, answer, err := c.receive()
	if err != nil {
		return err
	}
	if tag != tagBindResponse {
		return errFraming
	}
	return answer.result()
}

// search sends a search and reads the answer to its end. Referrals are ignored.
func (c *lean) search(request []byte, limit int) ([]*ldap.Entry, error) {
	if err := c.send(request); err != nil {
		return nil, err
	}
	var entries []*ldap.Entry
	for {
		tag, op, err := c.receive()
		if err != nil {
			return nil, err
		}
		switch tag {
		case tagSearchEntry:
			if len(entries) == limit {
				return nil, ldap.ErrSizeLimitExceeded // a network error, as far as the connection goes
			}
			e, ok := op.entry()
			if !ok {
				return nil, errFraming
			}
			entries = append(entries, e)
		case tagSearchDone:
			return entries, op.result()
		case tagSearchReference, tagIntermediate:
		default:
			return nil, errFraming
		}
	}
}

// readMessage reads the content of one message. Nothing is allocated by its claim: the
// guard below has bounded it, and it grows with what comes.
func readMessage(r *bufio.Reader) (tlv, error) {
	header, err := r.Peek(2)
	if err != nil {
		return nil, unexpected(err)
	}
	if header[0] != byte(asn1.SEQUENCE) {
		return nil, errFraming
	}
	n := 2
	if header[1] > 0x80 {
		n += int(header[1] & 0x7f)
	}
	if header, err = r.Peek(n); err != nil {
		return nil, unexpected(err)
	}
	length, err := messageLength(header)
	if err != nil {
		return nil, err
	}
	if _, err := r.Discard(n); err != nil {
		return nil, err
	}
	const chunk = 64 << 10
	var message []byte
	for left := length; left > 0; {
		k := int(min(left, chunk))
		at := len(message)
		message = append(message, make([]byte, k)...)
		if _, err := io.ReadFull(r, message[at:]); err != nil {
			return nil, unexpected(err)
		}
		left -= int64(k)
	}
	return message, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A tlv is a run of BER elements of LDAP: tags of one octet and definite lengths, which
// need not be the shortest (RFC 4511, Section 5.1); Active Directory's are not.
type tlv []byte

// any takes the next element.
func (t *tlv) any(tag *asn1.Tag, content *tlv) bool {
	b := *t
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return false
	}
	*tag = asn1.Tag(b[0])
	n, length := 2, uint64(b[1])
	if b[1] >= 0x80 {
		k := int(b[1] & 0x7f)
		if k == 0 || k > 8 || len(b) < 2+k {
			return false
		}
		n, length = 2+k, 0
		for _, o := range b[2:n] {
			length = length<<8 | uint64(o)
		}
	}
	if length > uint64(len(b)-n) {
		return false
	}
	*content, *t = b[n:n+int(length)], b[n+int(length):]
	return true
}

// take takes the next element if it has the given tag.
func (t *tlv) take(want asn1.Tag, content *tlv) bool {
	var tag asn1.Tag
	rest := *t
	if !rest.any(&tag, content) || tag != want {
		return false
	}
	*t = rest
	return true
}

func (t tlv) integer() (n int64, ok bool) {
	if len(t) == 0 || len(t) > 8 {
		return 0, false
	}
	n = int64(int8(t[0]))
	for _, b := range t[1:] {
		n = n<<8 | int64(b)
	}
	return n, true
}

// entry reads
//
//	SearchResultEntry ::= [APPLICATION 4] SEQUENCE {
//	  objectName LDAPDN, attributes SEQUENCE OF SEQUENCE { type OCTET STRING, vals SET OF OCTET STRING } }
func (t tlv) entry() (*ldap.Entry, bool) {
	var name, list, attribute, description, set, value tlv
	if !t.take(asn1.OCTET_STRING, &name) || !t.take(asn1.SEQUENCE, &list) {
		return nil, false
	}
	e := &ldap.Entry{DN: string(name)}
	for len(list) > 0 {
		if !list.take(asn1.SEQUENCE, &attribute) || !attribute.take(asn1.OCTET_STRING, &description) || !attribute.take(asn1.SET, &set) || len(e.Attributes) == limits.Attributes {
			return nil, false
		}
		a := &ldap.EntryAttribute{Name: string(description)}
		for len(set) > 0 {
			if !set.take(asn1.OCTET_STRING, &value) {
				return nil, false
			}
			a.ByteValues = append(a.ByteValues, value)
		}
		e.Attributes = append(e.Attributes, a)
	}
	return e, true
}

// result reads
//
//	LDAPResult ::= SEQUENCE { resultCode ENUMERATED, matchedDN LDAPDN, diagnosticMessage LDAPString, ... }
//
// and returns nil if it is success.
func (t tlv) result() error {
	var code, matched, text tlv
	if !t.take(asn1.ENUM, &code) || !t.take(asn1.OCTET_STRING, &matched) || !t.take(asn1.OCTET_STRING, &text) {
		return errFraming
	}
	n, ok := code.integer()
	if !ok || n < 0 || n >= ldap.ErrorNetwork {
		return errFraming
	}
	if n == ldap.LDAPResultSuccess {
		return nil
	}
	return &ldap.Error{ResultCode: uint16(n), MatchedDN: string(matched), Err: errors.New(string(text))}
}
