package certstore

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"slices"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/pkix"
)

// Match reports whether c names the mailbox q in a subjectAltName rfc822Name or
// SmtpUTF8Mailbox, or in an emailAddress attribute of its subject. Domains are compared
// as A-labels without case, an ASCII local part with A to Z folded, any other local part
// octet for octet (RFC 8550, Section 3; RFC 9598, Section 5).
func (q Email) Match(c *x509.Certificate) bool { return namesMailbox(c, string(q)) }

// Match reports whether c has the issuer and the serial number of q. Names are equal if
// their DER is, or else by RFC 5280, Section 7.1: senders re-encode them.
func (q IssuerSerial) Match(c *x509.Certificate) bool {
	names := 1
	return q.match(c, &names)
}

// match compares no more than left names that are not the same octets.
func (q IssuerSerial) match(c *x509.Certificate, left *int) bool {
	switch {
	case q.Serial == nil || c.SerialNumber == nil || c.SerialNumber.Cmp(q.Serial) != 0:
		return false
	case bytes.Equal(c.RawIssuer, q.RawIssuer):
		return true
	}
	*left--
	return *left >= 0 && pkix.SameName(c.RawIssuer, q.RawIssuer)
}

// Match reports whether c carries the subjectKeyIdentifier q or, if it carries none, q is
// what peers compute from its public key (RFC 5280, Section 4.2.1.2).
func (q SubjectKeyID) Match(c *x509.Certificate) bool {
	if len(q) == 0 {
		return false
	}
	return slices.ContainsFunc(keyIDs(c), func(id []byte) bool { return bytes.Equal(id, q) })
}

// keyIDs lists the key identifiers that c is known by.
func keyIDs(c *x509.Certificate) [][]byte {
	if len(c.SubjectKeyId) > 0 {
		return [][]byte{c.SubjectKeyId}
	}
	return pkix.KeyIdentifiers(c.RawSubjectPublicKeyInfo)
}

// Match reports whether the DER of the subject of c is q.
func (q RawSubject) Match(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, q) }

// Match reports whether the SHA-256 of the DER of c is q.
func (q Thumbprint) Match(c *x509.Certificate) bool { return sha256.Sum256(c.Raw) == q }

// Match reports whether any member of q matches c. An empty AnyOf matches nothing. Of names
// that are not the same octets a few are compared: who asks with the identifiers in a
// message asks with as many as its sender likes.
func (q AnyOf) Match(c *x509.Certificate) bool {
	names := limits.NameComparisons
	return q.match(c, &names)
}

func (q AnyOf) match(c *x509.Certificate, names *int) bool {
	return slices.ContainsFunc(q, func(m Query) bool {
		switch m := m.(type) {
		case nil:
			return false
		case AnyOf:
			return m.match(c, names)
		case IssuerSerial:
			return m.match(c, names)
		}
		return m.Match(c)
	})
}

func (Email) query()        {}
func (IssuerSerial) query() {}
func (SubjectKeyID) query() {}
func (RawSubject) query()   {}
func (Thumbprint) query()   {}
func (AnyOf) query()        {}
