// Package mailbox compares mail addresses as certificates use them: RFC 8550,
// Section 3, RFC 9598, Section 5 and RFC 5280, Section 7.5.
package mailbox

import "crypto/x509"

// A Mailbox is one address a certificate names.
type Mailbox struct {
	Address string
	UTF8    bool // from a SmtpUTF8Mailbox otherName (RFC 9598)
	Subject bool // from an emailAddress attribute of the subject, not from subjectAltName
}

// A Match says how two addresses compare.
type Match int

const (
	Different Match = iota
	Folded          // equal once A-Z in the local part are folded
	Equal
)

// Of returns every mailbox c names, subjectAltName first. Malformed ones are left out.
func Of(c *x509.Certificate) []Mailbox { return nil }

// Compare compares an asked-for address with a mailbox of a certificate.
func Compare(asked string, m Mailbox) Match { return Different }

// Split cuts an address at its last @ and returns the domain as lower-case A-labels.
// It refuses control characters, empty parts, domain literals and trailing dots.
func Split(address string) (local, domain string, ok bool) { return "", "", false }
