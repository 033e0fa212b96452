package certstore

import (
	"crypto/x509"
	"strings"

	"golang.org/x/net/idna"
)

// namesMailbox reports whether c names address.
func namesMailbox(c *x509.Certificate, address string) bool {
	want, ok := foldMailbox(address)
	if !ok {
		return false
	}
	for _, a := range mailboxes(c) {
		if got, ok := foldMailbox(a); ok && got == want {
			return true
		}
	}
	return false
}

// mailboxes lists the addresses c names.
func mailboxes(c *x509.Certificate) []string {
	list := c.EmailAddresses
	for _, n := range c.Subject.Names {
		if s, ok := n.Value.(string); ok && n.Type.String() == "1.2.840.113549.1.9.1" {
			list = append(list[:len(list):len(list)], s)
		}
	}
	return list
}

// foldMailbox returns the form of an address under which equal mailboxes are equal strings.
func foldMailbox(address string) (string, bool) {
	i := strings.LastIndexByte(address, '@')
	if i <= 0 || i == len(address)-1 {
		return "", false
	}
	domain, err := idna.Lookup.ToASCII(address[i+1:])
	if err != nil {
		return "", false
	}
	return foldASCII(address[:i]) + "@" + strings.ToLower(domain), true
}

// foldASCII folds A to Z of an ASCII local part; any other local part is exact
// (RFC 9598, Section 5).
func foldASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return s
		}
	}
	return strings.ToLower(s)
}
