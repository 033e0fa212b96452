package sqlstore

import (
	"crypto/x509"

	"github.com/postseal/postseal/internal/mailbox"
)

// fold returns the form under which a mailbox is indexed: the domain as lower-case
// A-labels and the local part with A to Z folded. Mailboxes that [mailbox.Compare] calls
// equal have the same form; what it calls different is sorted out after the look-up.
func fold(address string) (string, bool) {
	local, domain, ok := mailbox.Split(address)
	if !ok {
		return "", false
	}
	folded := []byte(local)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded) + "@" + domain, true
}

// certificateMailboxes returns the folded mailboxes c names.
func certificateMailboxes(c *x509.Certificate) []string {
	var list []string
	for _, m := range mailbox.Of(c) {
		if folded, ok := fold(m.Address); ok {
			list = append(list, folded)
		}
	}
	return list
}
