// Package fetch gets CRLs, OCSP responses and issuer certificates over HTTP for package
// chain: [Client] is a chain.Fetcher.
//
// # Security
//
// The addresses it is given stand in certificates that anybody may have made. It speaks
// http alone, follows no redirects, sends no cookies and no credentials, heeds no proxy
// settings of the environment, and connects only to public addresses: loopback,
// link-local, private, carrier and multicast addresses are refused after the name has
// been resolved, so that no name can be made to point inside. [Client.Allow] names the
// exceptions an internal PKI needs. What it returns is not verified, and is kept for a
// minute and in memory alone until somebody has verified it and says so with
// [Client.Verified]: a forged answer is forgotten by itself, and never stands in the way of
// the genuine one. Verifiers that trust different anchors should not share a Client or its
// folder: what one of them has verified may be of no use to the other until it ends.
//
// # Limits
//
// An address has at most 2 KiB, an OCSP response or a certificate 64 KiB, a CRL 32 MiB. A
// fetch takes at most five seconds unless the caller allows less or more.
package fetch

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/postseal/postseal/internal/limits"
)

// A Client fetches. Set its fields before the first use; after that it may be used by
// several goroutines at once. The zero value is ready and remembers answers in memory.
type Client struct {
	// Dir is a folder that keeps verified answers from one run of the program to the
	// next. They are verified again like everything else that is fetched, but who can
	// write there can keep lists from being fetched. "" keeps answers in memory alone.
	Dir string
	// Allow lists networks that may be reached although they are not public.
	Allow []netip.Prefix
	// AllowHTTPS also accepts https addresses. Their certificates are checked against
	// the system's roots, and not for revocation.
	AllowHTTPS bool
	// Timeout bounds one fetch; 0 means five seconds. A caller who waits no longer gives
	// up on his own; the fetch goes on for the others who wait for it.
	Timeout time.Duration
	// Before is called with every address before it is contacted; an error forbids it.
	Before func(url string) error
	// Time returns the present; nil means time.Now.
	Time func() time.Time

	mu      sync.Mutex
	flights map[string]*flight
	answers map[string]answer
	bytes   int
	newest  map[string]time.Time // when the latest verified answer was issued
	client  *http.Client
}

// An Error says which address could not be fetched and why.
type Error struct {
	URL string
	Err error
}

func (e *Error) Error() string { return "fetch: " + e.URL + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// The reasons an address is refused before anything is sent.
var (
	errScheme   = errors.New("only http is fetched")
	errAddress  = errors.New("not a plain address of a host")
	errPrivate  = errors.New("the host is not on the public network")
	errRedirect = errors.New("redirected")
)

const maxURL = 2048

// Fetch gets what is at an address: of kind "crl", "ocsp" or "issuer". A request is sent
// by GET where it is short and by POST otherwise (RFC 6960, Appendix A.1; RFC 5019,
// Section 5). Several callers for the same thing share one fetch. Answers are kept for a
// minute, and failures too; verified answers until their nextUpdate, ten days at most, and
// issuers for a day. Errors are of type [*Error].
func (c *Client) Fetch(ctx context.Context, kind, address string, request []byte) ([]byte, error) {
	data, err := c.get(ctx, kind, address, request)
	if err != nil {
		var own *Error
		if !errors.As(err, &own) {
			err = &Error{address, err}
		}
		return nil, err
	}
	return data, nil
}

// A flight is a fetch that several may wait for.
type flight struct {
	done chan struct{}
	data []byte
	err  error
}

func (c *Client) get(ctx context.Context, kind, address string, request []byte) ([]byte, error) {
	max, err := maxSize(kind)
	if err != nil {
		return nil, err
	}
	u, err := c.check(address)
	if err != nil {
		return nil, err
	}
	if c.Before != nil {
		if err := c.Before(address); err != nil {
			return nil, err
		}
	}
	key := keyOf(kind, address, request)
	c.mu.Lock()
	if a, ok := c.recall(key); ok {
		c.mu.Unlock()
		return bytes.Clone(a.data), a.err
	}
	f := c.flights[key]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		if c.flights == nil {
			c.flights = map[string]*flight{}
		}
		c.flights[key] = f
		go c.fly(context.WithoutCancel(ctx), f, key, kind, u, request, max)
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return bytes.Clone(f.data), f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fly makes the fetch that callers wait for, and remembers its outcome.
func (c *Client) fly(ctx context.Context, f *flight, key, kind string, u *url.URL, request []byte, max int64) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if data, ok := c.fromDisk(key, kind); ok {
		f.data = data
	} else {
		f.data, f.err = c.send(ctx, u, kind, request, max)
		if f.err == nil {
			f.data, f.err = c.keep(key, kind, f.data)
		}
		if f.err != nil {
			c.mu.Lock()
			c.remember(key, answer{err: f.err, until: c.now().Add(failureKept)})
			c.mu.Unlock()
		}
	}
	c.mu.Lock()
	delete(c.flights, key)
	c.mu.Unlock()
	close(f.done)
}

func maxSize(kind string) (int64, error) {
	switch kind {
	case "crl":
		return limits.CRLSize, nil
	case "ocsp":
		return limits.OCSPSize, nil
	case "issuer":
		return limits.CertificateSize, nil
	}
	return 0, fmt.Errorf("unknown kind %q", kind)
}

// check refuses addresses that are not what a CA would write.
func (c *Client) check(address string) (*url.URL, error) {
	if len(address) > maxURL {
		return nil, &limits.Exceeded{What: "octets in an address", Max: maxURL}
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, errAddress
	}
	switch {
	case u.Scheme != "http" && !(u.Scheme == "https" && c.AllowHTTPS):
		return nil, errScheme
	case u.User != nil || u.Hostname() == "" || u.Opaque != "":
		return nil, errAddress
	}
	return u, nil
}

// send makes one exchange.
func (c *Client) send(ctx context.Context, u *url.URL, kind string, request []byte, max int64) ([]byte, error) {
	method, body := http.MethodGet, io.Reader(nil)
	target := u.String()
	if kind == "ocsp" {
		if short := base64.StdEncoding.EncodeToString(request); len(short) <= 255 && u.RawQuery == "" {
			target = strings.TrimSuffix(target, "/") + "/" + url.QueryEscape(short)
		} else {
			method, body = http.MethodPost, bytes.NewReader(request)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, errAddress
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/ocsp-request")
	}
	r.Header.Set("User-Agent", "postseal")
	resp, err := c.http().Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %d", resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > max {
		return nil, &limits.Exceeded{What: "octets in an answer", Max: max}
	}
	return data, nil
}

// http returns the client, made once.
func (c *Client) http() *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		d := &net.Dialer{Timeout: 5 * time.Second, Control: c.control}
		c.client = &http.Client{
			Transport: &http.Transport{
				DialContext: d.DialContext, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
				MaxIdleConns: 16, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: false,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
		}
	}
	return c.client
}

// control sees every address after it was resolved and before it is connected to.
func (c *Client) control(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return errAddress
	}
	ip := a.Addr().Unmap().WithZone("")
	for _, p := range c.Allow {
		if p.Contains(ip) {
			return nil
		}
	}
	if !public(ip) {
		return errPrivate
	}
	return nil
}

// public reports whether an address can be one of the public network (RFC 6890 and its
// successors). IPv6 forms that carry an IPv4 address are refused whole.
func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return false
	}
	for _, s := range [...]string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "::/96", "fec0::/10",
	} {
		if netip.MustParsePrefix(s).Contains(ip) {
			return false
		}
	}
	return true
}

func (c *Client) now() time.Time {
	if c.Time != nil {
		return c.Time()
	}
	return time.Now()
}
