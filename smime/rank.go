package smime

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/sigalg"
)

// A rankOf is what decides between the certificates of one person. The order of the
// store says nothing: directories return values in any order.
type rankOf struct {
	usable  bool
	pinned  bool // chosen by the user
	primary bool // for the very address asked for
	named   string
	learned bool            // seen in mail its owner signed
	entry   certstore.Entry // what all that was found about the certificate says together
}

// learn adds what one entry says about the certificate.
func (a *rankOf) learn(e *certstore.Entry) {
	a.learned = a.learned || e.Source == learnedSource
	a.entry.Default = a.entry.Default || e.Default
	a.entry.Published = a.entry.Published || e.Published
	if len(a.entry.Capabilities) == 0 {
		a.entry.Capabilities = e.Capabilities
	}
	if e.Seen.After(a.entry.Seen) {
		a.entry.Seen = e.Seen
	}
}

// compare is negative if a ranks before b.
func (a rankOf) compare(b rankOf) int {
	x, y := &a.entry, &b.entry
	return cmp.Or(
		first(a.usable, b.usable),
		first(a.pinned, b.pinned),
		first(a.primary, b.primary),
		first(x.Default, y.Default),
		first(a.own(), b.own()),
		first(len(x.Capabilities) > 0, len(y.Capabilities) > 0),
		y.Certificate.NotBefore.Compare(x.Certificate.NotBefore),
		y.Seen.Compare(x.Seen),
		sigalg.Strength(y.Certificate.RawSubjectPublicKeyInfo)-sigalg.Strength(x.Certificate.RawSubjectPublicKeyInfo),
		bytes.Compare(x.Certificate.RawIssuer, y.Certificate.RawIssuer),
		compareThumbprints(x.Certificate, y.Certificate),
	)
}

// own reports whether the owner himself showed the certificate: in a block he signed and
// published, or in signed mail.
func (a rankOf) own() bool { return a.entry.Published || a.learned }

// reasons says in words what compare looks at.
func (a rankOf) reasons() []string {
	var list []string
	add := func(ok bool, text string) {
		if ok {
			list = append(list, text)
		}
	}
	add(a.pinned, "chosen by the user")
	add(a.primary, "for "+a.named)
	add(!a.primary, "for "+a.named+", another address of the same person")
	add(a.entry.Default, "marked by its owner as the one to encrypt to")
	add(a.entry.Published, "published and signed by its owner")
	add(a.learned, "seen in mail its owner signed")
	add(len(a.entry.Capabilities) > 0, "its owner's capabilities are known")
	add(true, "valid since "+a.entry.Certificate.NotBefore.UTC().Format(time.DateOnly))
	return list
}

func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func compareThumbprints(a, b *x509.Certificate) int {
	x, y := sha256.Sum256(a.Raw), sha256.Sum256(b.Raw)
	return bytes.Compare(x[:], y[:])
}
