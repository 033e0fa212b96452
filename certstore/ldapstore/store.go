package ldapstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// A Store is an LDAP directory. Set its fields before the first use and leave them alone
// afterwards; then it is safe for concurrent use. [New] makes one.
type Store struct {
	// User and Password bind with a password: User is a distinguished name or, for Active
	// Directory, a user principal name. Empty means an anonymous bind.
	User, Password string
	// Bind, if set, authenticates a new connection in place of User and Password, for
	// example by Kerberos. It is called on connections under TLS only, and must not keep
	// the connection.
	Bind func(ctx context.Context, c *ldap.Conn) error
	// TLS is the configuration of LDAPS and StartTLS; nil means the defaults of crypto/tls.
	// The server's name is set from the URL if TLS names none.
	TLS *tls.Config
	// AllowCleartext allows ldap:// without StartTLS, for reading anonymously. A password
	// is never sent over such a connection.
	AllowCleartext bool
	// Base is where searches start. Empty means the base in the URL, or else what the
	// server calls its default naming context; a global catalog is searched from its root.
	Base string
	// Filter, if set, must be met by every entry beside the address, such as
	// "(objectClass=person)". It is a filter of RFC 4515, trusted as it is.
	Filter string
	// Addresses names further attributes that hold plain addresses, beside mail and
	// proxyAddresses.
	Addresses []string
	// Scan allows reading the whole directory to answer queries that no index serves:
	// by key identifier, subject, issuer and serial number, or thumbprint. Without it
	// those look at certification authorities only.
	Scan bool
	// Timeout bounds one query with everything it takes: connecting, TLS, binding and
	// searching. 0 means 10 seconds. A sync that reads the whole directory is bounded by
	// its context, and each page by Timeout.
	Timeout time.Duration
	// Connections bounds the connections that are open at the same time. 0 means 4.
	Connections int
	// MaxEntries bounds the entries read for one address. 0 means 100.
	MaxEntries int
	// Dial, if set, replaces the dialer for TCP connections.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	scheme, host, address, urlBase string

	mu     sync.Mutex
	idle   []*conn
	leans  []*lean
	slots  chan struct{}
	closed bool
	root   *rootDSE
}

// New returns a Store for an LDAP URL (RFC 4516): ldap://HOST[:PORT][/BASE], which means
// StartTLS, or ldaps://HOST[:PORT][/BASE]. Ports 3268 and 3269 are a global catalog.
// It does not connect.
func New(rawURL string) (*Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("ldapstore: %w", err)
	}
	port := map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	if port == "" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("ldapstore: %q is not of the form ldap[s]://HOST[:PORT][/BASE]", u.Redacted())
	}
	if u.Port() != "" {
		port = u.Port()
	}
	s := &Store{scheme: u.Scheme, host: u.Hostname(), address: net.JoinHostPort(u.Hostname(), port), urlBase: strings.TrimPrefix(u.Path, "/")}
	if s.urlBase != "" {
		if _, err := ldap.ParseDN(s.urlBase); err != nil {
			return nil, fmt.Errorf("ldapstore: base %q: %w", s.urlBase, err)
		}
	}
	return s, nil
}

// Close closes the connections that are not in use, and the others when they are given
// back. Afterwards every query fails.
func (s *Store) Close() error {
	s.mu.Lock()
	idle, leans := s.idle, s.leans
	s.idle, s.leans, s.closed = nil, nil, true
	s.mu.Unlock()
	for _, c := range leans {
		c.raw.Close()
	}
	for _, c := range idle {
		c.close()
	}
	return nil
}

// String returns the URL of the server, for people.
func (s *Store) String() string { return s.scheme + "://" + s.address }

func (s *Store) timeout() time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return 10 * time.Second
}

func (s *Store) maxEntries() int {
	if s.MaxEntries > 0 {
		return s.MaxEntries
	}
	return 100
}

// globalCatalog reports whether the port is one of Active Directory's global catalog,
// which holds every object of the forest and can only be read.
func (s *Store) globalCatalog() bool {
	return strings.HasSuffix(s.address, ":3268") || strings.HasSuffix(s.address, ":3269")
}

// A rootDSE is what a server says about itself (RFC 4512, Section 5.1).
type rootDSE struct {
	base            string   // default naming context
	configuration   string   // of Active Directory
	activeDirectory bool     // it says so
	controls        []string // supported
}

// activeDirectoryCapability is LDAP_CAP_ACTIVE_DIRECTORY_OID.
const activeDirectoryCapability = "1.2.840.113556.1.4.800"

// describe returns the rootDSE, which is read once.
func (s *Store) describe(ctx context.Context, c searcher) (*rootDSE, error) {
	s.mu.Lock()
	root := s.root
	s.mu.Unlock()
	if root != nil {
		return root, nil
	}
	var found *rootDSE
	err := c.search(ctx, &ldap.SearchRequest{
		BaseDN: "", Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)",
		Attributes: []string{"defaultNamingContext", "namingContexts", "configurationNamingContext", "supportedCapabilities", "supportedControl", "supportedSASLMechanisms"},
	}, func(e *ldap.Entry, _ []ldap.Control) error {
		found = &rootDSE{
			base:            textOf(e, "defaultNamingContext"),
			configuration:   textOf(e, "configurationNamingContext"),
			controls:        textsOf(e, "supportedControl"),
			activeDirectory: contains(textsOf(e, "supportedCapabilities"), activeDirectoryCapability),
		}
		if contexts := textsOf(e, "namingContexts"); found.base == "" && len(contexts) > 0 {
			found.base = contexts[0]
		}
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, errors.New("the server does not describe itself: no rootDSE")
	}
	s.mu.Lock()
	s.root = found
	s.mu.Unlock()
	return found, nil
}

// knownBase returns where searches start, if that is known without asking the server.
func (s *Store) knownBase() (string, bool) {
	switch {
	case s.Base != "":
		return s.Base, true
	case s.urlBase != "" || s.globalCatalog():
		return s.urlBase, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root != nil && s.root.base != "" {
		return s.root.base, true
	}
	return "", false
}

// base returns where searches start.
func (s *Store) base(ctx context.Context, c searcher) (string, error) {
	if base, ok := s.knownBase(); ok {
		return base, nil
	}
	root, err := s.describe(ctx, c)
	if err != nil {
		return "", err
	}
	if root.base == "" {
		return "", errors.New("the server names no naming context: a base is needed")
	}
	return root.base, nil
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if strings.EqualFold(v, s) {
			return true
		}
	}
	return false
}
