package certstore

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
)

// Match reports whether c names the mailbox q in a subjectAltName rfc822Name or
// SmtpUTF8Mailbox, or in an emailAddress attribute of its subject. Domains are compared
// as A-labels without case, an ASCII local part with A to Z folded, any other local part
// octet for octet (RFC 8550, Section 3; RFC 9598, Section 5).
func (q Email) Match(c *x509.Certificate) bool { return namesMailbox(c, string(q)) }

// Match reports whether c has the issuer and the serial number of q. Names are compared
// as the octets of their DER.
func (q IssuerSerial) Match(c *x509.Certificate) bool {
	return q.Serial != nil && c.SerialNumber != nil && c.SerialNumber.Cmp(q.Serial) == 0 &&
		bytes.Equal(c.RawIssuer, q.RawIssuer)
}

// Match reports whether c carries the subjectKeyIdentifier q.
func (q SubjectKeyID) Match(c *x509.Certificate) bool {
	return len(q) > 0 && bytes.Equal(c.SubjectKeyId, q)
}

// Match reports whether the DER of the subject of c is q.
func (q RawSubject) Match(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, q) }

// Match reports whether the SHA-256 of the DER of c is q.
func (q Thumbprint) Match(c *x509.Certificate) bool { return sha256.Sum256(c.Raw) == q }

// Match reports whether any member of q matches c. An empty AnyOf matches nothing.
func (q AnyOf) Match(c *x509.Certificate) bool {
	for _, m := range q {
		if m != nil && m.Match(c) {
			return true
		}
	}
	return false
}

func (Email) query()        {}
func (IssuerSerial) query() {}
func (SubjectKeyID) query() {}
func (RawSubject) query()   {}
func (Thumbprint) query()   {}
func (AnyOf) query()        {}
