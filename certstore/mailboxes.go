package certstore

import (
	"crypto/x509"
	"strings"

	"github.com/postseal/postseal/internal/mailbox"
)

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
