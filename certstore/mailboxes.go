package certstore

import (
	"crypto/x509"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/internal/pkix"
)

// Mailboxes returns the mail addresses that the certificate names, as it writes them:
// rfc822Name and SmtpUTF8Mailbox of the subjectAltName first, then emailAddress of the
// subject (RFC 8550, Section 3), each once. What is no well-formed address is left out. Address is
// not among them unless the certificate names it.
func (e *Entry) Mailboxes() []string {
	var list []string
	for _, m := range mailbox.Of(e.Certificate) {
		if !slices.Contains(list, m.Address) {
			list = append(list, m.Address)
		}
	}
	return list
}

// Subject returns the subject of the certificate as RFC 4514 writes names, with
// emailAddress by that name.
func (e *Entry) Subject() string { return pkix.NameString(e.Certificate.RawSubject) }

// Issuer returns the issuer of the certificate in the form of [Entry.Subject].
func (e *Entry) Issuer() string { return pkix.NameString(e.Certificate.RawIssuer) }

// namesMailbox reports whether c names address.
func namesMailbox(c *x509.Certificate, address string) bool {
	for _, m := range mailbox.Of(c) {
		if mailbox.Compare(address, m) != mailbox.Different {
			return true
		}
	}
	return false
}

// foldMailbox returns a form of an address under which equal mailboxes are equal strings.
// Different ones may be, too: it serves to look candidates up.
func foldMailbox(address string) (string, bool) {
	local, domain, ok := mailbox.Split(address)
	if !ok {
		return "", false
	}
	return strings.Map(foldASCII, local) + "@" + domain, true
}

func foldASCII(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}
