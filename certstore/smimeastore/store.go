package smimeastore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/pkix"
)

// ErrInsecure is the error for records that exist, but come without DNSSEC proof.
var ErrInsecure = errors.New("smimeastore: records without DNSSEC proof")

// A Store looks SMIMEA records up. Set its fields before the first use; then it is safe
// for concurrent use. [New] makes one.
type Store struct {
	// TLS is the configuration for a resolver that is reached by TLS; nil means the
	// defaults of crypto/tls. The server's name is set from the resolver if TLS names none.
	TLS *tls.Config
	// Timeout bounds one question with everything it takes. 0 means 5 seconds.
	Timeout time.Duration

	address string // host:port
	host    string
	overTLS bool
}

// New returns a Store that asks a validating resolver: "127.0.0.1", "[::1]:5353" or another
// address of this machine's loopback, or "tls://HOST[:PORT]" for DNS over TLS. Empty means
// the first name server of /etc/resolv.conf, if that is on this machine. It does not
// connect.
func New(resolver string) (*Store, error) {
	if resolver == "" {
		config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil || len(config.Servers) == 0 {
			return nil, fmt.Errorf("smimeastore: no resolver named, and none in /etc/resolv.conf: %w", errors.Join(err, os.ErrNotExist))
		}
		resolver = net.JoinHostPort(config.Servers[0], config.Port)
	}
	s := &Store{}
	port := "53"
	if u, err := url.Parse(resolver); err == nil && u.Scheme == "tls" && u.Host != "" {
		s.overTLS, port, resolver = true, "853", u.Host
	}
	host, p, err := net.SplitHostPort(resolver)
	if err != nil {
		host, p = trimBrackets(resolver), port
	}
	s.host, s.address = host, net.JoinHostPort(host, p)
	if s.overTLS {
		return s, nil
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.Unmap().IsLoopback() {
		return nil, fmt.Errorf("smimeastore: resolver %q is neither on this machine nor reached by TLS: its word on DNSSEC could be forged on the way", resolver)
	}
	return s, nil
}

func trimBrackets(s string) string {
	if len(s) > 1 && s[0] == '[' && s[len(s)-1] == ']' {
		return s[1 : len(s)-1]
	}
	return s
}

// Certificates yields the certificates of the SMIMEA records for the address of an
// [certstore.Email], filed under it: whole end-entity certificates of usages 1 and 3.
// Records of other forms name no certificate to use; see [Store.Associations]. Other
// queries find nothing.
func (s *Store) Certificates(ctx context.Context, q certstore.Query) iter.Seq2[*certstore.Entry, error] {
	return func(yield func(*certstore.Entry, error) bool) {
		seen := map[string]bool{}
		var errs []error
		for _, address := range addresses(q) {
			list, err := s.Associations(ctx, address)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			for _, a := range list {
				c := a.certificate()
				if c == nil {
					continue
				}
				key := string(c.Raw)
				if !certstore.Email(address).Match(c) {
					key += address // it is in the answer for the sake of this address
				}
				if seen[key] {
					continue
				}
				seen[key] = true
				e := &certstore.Entry{Certificate: c, Source: fmt.Sprintf("SMIMEA, usage %d", a.Usage), Address: address, Seen: time.Now()}
				if !yield(e, nil) {
					return
				}
			}
		}
		if err := errors.Join(errs...); err != nil {
			yield(nil, err)
		}
	}
}

// addresses returns the addresses a query asks for, each once.
func addresses(q certstore.Query) []string {
	var list []string
	seen := map[string]bool{}
	open := []certstore.Query{q}
	for len(open) > 0 {
		q := open[0]
		open = open[1:]
		switch q := q.(type) {
		case certstore.AnyOf:
			open = append(open, q...)
		case certstore.Email:
			if name, ok := Name(string(q)); ok && !seen[name] {
				seen[name] = true
				list = append(list, string(q))
			}
		}
	}
	return list
}

// certificate returns the end-entity certificate that a is, or nil.
func (a *Association) certificate() *x509.Certificate {
	if a.Selector != 0 || a.Matching != 0 || a.Usage != PKIXEE && a.Usage != DANEEE {
		return nil
	}
	c, err := pkix.ParseCertificate(a.Data)
	if err != nil {
		return nil
	}
	return c
}

// Associations returns what the SMIMEA records for an address say. None, without an error,
// means that the domain publishes none for the address. A record set without DNSSEC proof
// is an error that matches [ErrInsecure].
func (s *Store) Associations(ctx context.Context, address string) ([]*Association, error) {
	name, ok := Name(address)
	if !ok {
		return nil, nil
	}
	limit := s.Timeout
	if limit <= 0 {
		limit = 5 * time.Second
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v: %w", limit, context.DeadlineExceeded))
	defer cancel()
	answer, err := s.ask(ctx, name)
	if err == nil {
		var list []*Association
		if list, err = read(answer, name); err == nil {
			return list, nil
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return nil, fmt.Errorf("smimeastore: %s: %s: %w", s.address, address, err)
}

// ask asks the resolver over TCP or TLS, as RFC 8162, Section 7 recommends.
func (s *Store) ask(ctx context.Context, name string) (*dns.Msg, error) {
	deadline, _ := ctx.Deadline()
	raw, err := (&net.Dialer{Deadline: deadline}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	raw.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c := &dns.Conn{Conn: raw}
	if s.overTLS {
		config := &tls.Config{}
		if s.TLS != nil {
			config = s.TLS.Clone()
		}
		if config.ServerName == "" {
			config.ServerName = s.host
		}
		t := tls.Client(raw, config)
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		c.Conn = t
	}
	q := new(dns.Msg)
	q.SetQuestion(name, dns.TypeSMIMEA)
	q.SetEdns0(dns.MaxMsgSize-1, true)
	q.AuthenticatedData = true // we understand the bit in the answer (RFC 6840, Section 5.7)
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	a, err := c.ReadMsg()
	if err != nil {
		return nil, err
	}
	if a.Id != q.Id || !a.Response || len(a.Question) != 1 || a.Question[0] != q.Question[0] {
		return nil, errors.New("the answer is none to our question")
	}
	return a, nil
}

// read takes the associations out of an answer (RFC 8162, Section 6).
func read(a *dns.Msg, name string) ([]*Association, error) {
	switch a.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
	case dns.RcodeServerFailure:
		return nil, errors.New("SERVFAIL: the resolver could not find out, or the domain's DNSSEC is broken")
	default:
		return nil, fmt.Errorf("the resolver answers %s", dns.RcodeToString[a.Rcode])
	}
	if a.Truncated {
		return nil, errors.New("the answer is truncated")
	}
	// The name itself, or where its aliases lead.
	for range maxAliases {
		alias := false
		for _, rr := range a.Answer {
			if c, ok := rr.(*dns.CNAME); ok && sameName(c.Hdr.Name, name) {
				name, alias = c.Target, true
				break
			}
		}
		if !alias {
			break
		}
	}
	var list []*Association
	for _, rr := range a.Answer {
		r, ok := rr.(*dns.SMIMEA)
		if !ok || !sameName(r.Hdr.Name, name) || r.Hdr.Class != dns.ClassINET {
			continue
		}
		if !a.AuthenticatedData {
			return nil, ErrInsecure
		}
		if len(list) == maxRecords {
			break
		}
		if as, ok := association(r); ok {
			list = append(list, as)
		}
	}
	return list, nil
}

const (
	maxAliases = 8
	maxRecords = 16
)

func sameName(a, b string) bool { return dns.CanonicalName(a) == dns.CanonicalName(b) }
