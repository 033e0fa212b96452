package smimeastore

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/text/unicode/norm"

	"github.com/postseal/postseal/internal/mailbox"
)

// A Usage says what a record's certificate is to the address (RFC 6698, Section 2.1.1).
type Usage uint8

// The usages.
const (
	PKIXTA Usage = 0 // an authority that must be in the path, which must be valid as well
	PKIXEE Usage = 1 // the certificate itself, whose path must be valid as well
	DANETA Usage = 2 // an authority to trust for this address
	DANEEE Usage = 3 // the certificate itself, whatever its path
)

// An Association is what one SMIMEA record says (RFC 6698, Section 2.1).
type Association struct {
	Usage    Usage
	Selector uint8 // 0: of the whole certificate, 1: of its SubjectPublicKeyInfo
	Matching uint8 // 0: Data is it, 1: its SHA-256, 2: its SHA-512
	Data     []byte
	TTL      time.Duration // how long the record may be remembered
}

// Matches reports whether c is what the record names. For usages 0 and 2 that is a
// certificate of the path, for 1 and 3 the end entity's.
func (a *Association) Matches(c *x509.Certificate) bool {
	of := c.Raw
	if a.Selector == 1 {
		of = c.RawSubjectPublicKeyInfo
	}
	switch a.Matching {
	case 1:
		h := sha256.Sum256(of)
		of = h[:]
	case 2:
		h := sha512.Sum512(of)
		of = h[:]
	}
	return subtle.ConstantTimeCompare(of, a.Data) == 1
}

// association reads a record, unless it is of a kind that nobody defined.
func association(r *dns.SMIMEA) (*Association, bool) {
	data, err := hex.DecodeString(r.Certificate)
	if err != nil || r.Usage > 3 || r.Selector > 1 || r.MatchingType > 2 || len(data) == 0 {
		return nil, false
	}
	return &Association{Usage(r.Usage), r.Selector, r.MatchingType, data, time.Duration(r.Hdr.Ttl) * time.Second}, true
}

// Name returns the domain name at which SMIMEA records for an address are (RFC 8162,
// Section 3), and whether the address is one. The local part is taken as it is, but for
// its quotes, and in normalization form C.
func Name(address string) (string, bool) {
	local, domain, ok := mailbox.Split(address)
	if !ok {
		return "", false
	}
	h := sha256.Sum256([]byte(norm.NFC.String(local)))
	name := dns.Fqdn(hex.EncodeToString(h[:28]) + "._smimecert." + domain)
	if _, ok := dns.IsDomainName(name); !ok {
		return "", false
	}
	return name, true
}

// Record returns the zone file line that publishes c for an address: whole, so that senders
// can encrypt to it.
func Record(address string, c *x509.Certificate, usage Usage, ttl time.Duration) (string, error) {
	name, ok := Name(address)
	if !ok {
		return "", fmt.Errorf("smimeastore: %q is no address", address)
	}
	if usage > DANEEE {
		return "", fmt.Errorf("smimeastore: there is no usage %d", usage)
	}
	if ttl < 0 || ttl/time.Second > math.MaxInt32 { // RFC 2181, Section 8
		return "", fmt.Errorf("smimeastore: %v is no time to live", ttl)
	}
	r := &dns.SMIMEA{
		Hdr:   dns.RR_Header{Name: name, Rrtype: dns.TypeSMIMEA, Class: dns.ClassINET, Ttl: uint32(ttl / time.Second)},
		Usage: uint8(usage), Certificate: hex.EncodeToString(c.Raw),
	}
	return r.String(), nil
}
