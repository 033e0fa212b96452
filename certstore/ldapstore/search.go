package ldapstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/postseal/postseal/internal/limits"
)

// A searcher is a connection that serves one search at a time: a [conn], or, where the
// store binds by itself, a [lean].
type searcher interface {
	// search runs one search to its end. found gets every entry with its controls;
	// between, if not nil, gets the controls of intermediate answers (RFC 4511, Section
	// 4.13) and of the final one. Referrals are ignored. If found returns an error, that
	// ends the search.
	search(ctx context.Context, r *ldap.SearchRequest, found func(*ldap.Entry, []ldap.Control) error, between func([]ldap.Control) error) error
	// interrupt ends what waits for the server.
	interrupt()
	// spoil says that the connection must not be used again.
	spoil()
}

func (c *conn) interrupt() { c.net.SetDeadline(time.Unix(1, 0)) }
func (c *conn) spoil()     { c.broken = true }

// search is that of a [searcher].
func (c *conn) search(ctx context.Context, r *ldap.SearchRequest, found func(*ldap.Entry, []ldap.Control) error, between func([]ldap.Control) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if c.IsClosing() {
		return ldap.NewError(ldap.ErrorNetwork, errors.New("connection is closed"))
	}
	answers := c.SearchAsync(ctx, r, 16)
	for answers.Next() {
		var err error
		switch {
		case answers.Entry() != nil:
			err = found(answers.Entry(), answers.Controls())
		case len(answers.Controls()) > 0 && between != nil:
			err = between(answers.Controls())
		}
		if err != nil {
			c.broken = true // the rest of the answer is still to come
			return err
		}
	}
	if err := answers.Err(); err != nil {
		return err
	}
	// go-ldap ends an answer that was cut off like a complete one.
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.IsClosing() {
		return ldap.NewError(ldap.ErrorNetwork, errors.New("connection was closed during the search"))
	}
	if err := c.GetLastError(); err != nil {
		c.broken = true
		return err
	}
	return nil
}

// pageSize is how many entries a server is asked for at a time.
const pageSize = 500

// pages runs a search page by page (RFC 2696) and calls page after each, with true after
// the last one. turn, if not nil, wraps the work of one page, to bound its time.
func pages(ctx context.Context, c searcher, r *ldap.SearchRequest, found func(*ldap.Entry, []ldap.Control) error, page func(last bool) error) error {
	paging := ldap.NewControlPaging(pageSize)
	request := *r
	request.Controls = append(append([]ldap.Control(nil), r.Controls...), criticalPaging{paging})
	for {
		var cookie []byte
		answered, count := false, 0
		err := c.search(ctx, &request, func(e *ldap.Entry, controls []ldap.Control) error {
			if count++; count > pageSize {
				return fmt.Errorf("the server sent more than the %d entries of a page", pageSize)
			}
			return found(e, controls)
		}, func(controls []ldap.Control) error {
			if p, ok := ldap.FindControl(controls, ldap.ControlTypePaging).(*ldap.ControlPaging); ok {
				cookie, answered = p.Cookie, true
			}
			return nil
		})
		if err != nil {
			return err
		}
		if !answered {
			return errors.New("the server does not page its answers")
		}
		if page != nil {
			if err := page(len(cookie) == 0); err != nil {
				return err
			}
		}
		if len(cookie) == 0 {
			return nil
		}
		paging.SetCookie(cookie)
	}
}

// complete completes the attributes of entries.
func complete(ctx context.Context, c searcher, entries []*ldap.Entry) error {
	for _, e := range entries {
		if err := ranges(ctx, c, e); err != nil {
			return err
		}
	}
	return nil
}

// ranges completes attributes of which Active Directory returned only a part: an
// attribute;range=0-1499 is asked for again from 1500 on, until the range ends in *.
func ranges(ctx context.Context, c searcher, e *ldap.Entry) error {
	const most = 100_000 // values of one attribute; a server that never ends is lying
	for i := 0; i < len(e.Attributes); i++ {
		a := e.Attributes[i]
		name, high, partial := rangeOf(a.Name)
		total, octets := len(a.ByteValues), 0
		for partial {
			if total > most {
				return fmt.Errorf("%s of %q has no end", name, e.DN)
			}
			wanted := fmt.Sprintf("%s;range=%d-*", name, high+1)
			var next *ldap.EntryAttribute
			err := c.search(ctx, &ldap.SearchRequest{BaseDN: e.DN, Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: []string{wanted}},
				func(part *ldap.Entry, _ []ldap.Control) error {
					for _, p := range part.Attributes {
						if n, _, _ := rangeOf(p.Name); strings.EqualFold(n, name) && len(p.ByteValues) > 0 {
							next = p
						}
					}
					return nil
				}, nil)
			if err != nil {
				return err
			}
			if next == nil {
				break // the values became fewer meanwhile
			}
			for _, v := range next.ByteValues {
				octets += len(v)
			}
			if octets > answerOctets {
				return fmt.Errorf("%s of %q: %w", name, e.DN, &limits.Exceeded{What: "octets of one attribute", Max: answerOctets})
			}
			before := high
			a.ByteValues = append(a.ByteValues, next.ByteValues...)
			total += len(next.ByteValues)
			if _, high, partial = rangeOf(next.Name); partial && high <= before {
				return fmt.Errorf("%s of %q: the server does not get ahead", name, e.DN)
			}
		}
		a.Name = name
	}
	return nil
}

// rangeOf splits the range option off an attribute description. partial is false for the
// last part, whose range ends in *, and for an attribute without the option.
func rangeOf(description string) (name string, high int, partial bool) {
	name, options, _ := strings.Cut(description, ";")
	for option := range strings.SplitSeq(options, ";") {
		bounds, ok := cutPrefixFold(option, "range=")
		if !ok {
			if option != "" {
				name += ";" + option
			}
			continue
		}
		if _, end, ok := strings.Cut(bounds, "-"); ok && end != "*" {
			if n, err := strconv.Atoi(end); err == nil && n >= 0 {
				high, partial = n, true
			}
		}
	}
	return name, high, partial
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
