package sync

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/internal/sigalg"
)

// Rules decide what a [Syncer] carries. The zero value carries what a mail program can
// use: unexpired certificates that are fit for mail and name one of the addresses of
// their object, at most 15 of each object.
type Rules struct {
	// KeepExpired carries expired certificates too, for reading old mail.
	KeepExpired bool
	// KeepUnusable carries certificates that by their extended key usage or key usage are
	// of no use for mail.
	KeepUnusable bool
	// KeepForeign carries certificates that name none of the addresses of their object.
	KeepForeign bool
	// Aliases files every certificate under all addresses of its object, not only under
	// those it names: Exchange finds a user by any of them.
	Aliases bool
	// Within and Without bound the objects by name: one under a name in Without, or not
	// under any in Within if there is one, is treated as if it did not exist. They are
	// distinguished names, such as an organizational unit's.
	Within, Without []string
	// MaxPerObject bounds the certificates of one object that remain after everything
	// else was dropped; chains do not count. 0 means 15, beyond which Exchange Online
	// stalls every change of the object; -1 means no bound.
	MaxPerObject int
	// NoneAboveMax carries none of an object that exceeds MaxPerObject, as Entra Connect
	// does; otherwise the best ones are carried.
	NoneAboveMax bool
	// Accept, if set, has the last word on a certificate that passed everything else. It
	// returns why it is refused, or nothing. When other rules change, everything is judged
	// anew; when Accept changes its mind, only what changes in the source is, unless the
	// [Syncer] is told Full.
	Accept func(o *Object, c *x509.Certificate) (reason string)
}

const exchangeMax = 15

// digest identifies the rules, but for Accept.
func (r *Rules) digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%t %t %t %t %q %q %d %t", r.KeepExpired, r.KeepUnusable, r.KeepForeign, r.Aliases, r.Within, r.Without, r.MaxPerObject, r.NoneAboveMax)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// covers reports whether an object is within the bounds, and if not why.
func (r *Rules) covers(name string) (reason string) {
	for _, dn := range r.Without {
		if under(name, dn) {
			return "object is under " + dn
		}
	}
	for _, dn := range r.Within {
		if under(name, dn) {
			return ""
		}
	}
	if len(r.Within) > 0 {
		return "object is not under " + strings.Join(r.Within, " or ")
	}
	return ""
}

// under reports whether a distinguished name is base or below it. Names are compared as
// directories print them, without case and without blanks around commas.
func under(name, base string) bool {
	name, base = normal(name), normal(base)
	if base == "" || name == base {
		return true
	}
	rest, ok := strings.CutSuffix(name, ","+base)
	// A comma after an odd number of backslashes is escaped (RFC 4514, Section 2.4).
	return ok && (len(rest)-len(strings.TrimRight(rest, `\`)))%2 == 0
}

func normal(dn string) string {
	parts := strings.Split(strings.ToLower(dn), ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return strings.Join(parts, ",")
}

// A refusal says which certificate of an object is not carried, and why.
type refusal struct {
	certificate *x509.Certificate // nil if it could not be read
	reason      string
}

// entries returns what is kept of an object, and what is not. source names the source.
func (r *Rules) entries(o *Object, source string, now time.Time) (entries []*certstore.Entry, refused []refusal) {
	for _, p := range o.Problems {
		refused = append(refused, refusal{nil, "cannot be read: " + p})
	}
	// One address that no target need take must not stop all others.
	fit := slices.DeleteFunc(slices.Clone(o.Addresses), func(a string) bool {
		return len(a) > limits.AddressLength || !utf8.ValidString(a) || strings.ContainsRune(a, 0)
	})
	if n := len(o.Addresses) - len(fit); n > 0 {
		refused = append(refused, refusal{nil, fmt.Sprintf("not an address that can be kept: %d of its object's", n)})
	}
	var own []Certificate
	addresses := mailbox.NewIndex(fit)
	seen := map[[32]byte]bool{}
	for _, c := range o.Certificates {
		h := sha256.Sum256(c.Certificate.Raw)
		if seen[h] {
			continue
		}
		seen[h] = true
		if reason := r.refuse(o, addresses, c, now); reason != "" {
			refused = append(refused, refusal{c.Certificate, reason})
			continue
		}
		if c.Chain {
			entries = append(entries, r.entry(c, source, "", now))
		} else {
			own = append(own, c)
		}
	}
	most := r.MaxPerObject
	if most == 0 {
		most = exchangeMax
	}
	if most > 0 && len(own) > most {
		slices.SortFunc(own, better)
		keep, what := most, fmt.Sprintf("object has %d usable certificates: only the %d best are carried", len(own), most)
		if r.NoneAboveMax {
			keep, what = 0, fmt.Sprintf("object has %d usable certificates, more than %d: none is carried", len(own), most)
		}
		for _, c := range own[keep:] {
			refused = append(refused, refusal{c.Certificate, what})
		}
		own = own[:keep]
		if keep == 0 {
			entries = nil
		}
	}
	for _, c := range own {
		for _, a := range r.addresses(fit, addresses, c.Certificate) {
			entries = append(entries, r.entry(c, source, a, now))
		}
	}
	return entries, refused
}

func (r *Rules) entry(c Certificate, source, address string, now time.Time) *certstore.Entry {
	e := c.Entry
	e.Address, e.Source, e.Seen = address, source+" "+c.Entry.Source, now
	return &e
}

// addresses returns what a certificate of an object with the given addresses is filed under.
func (r *Rules) addresses(all []string, index *mailbox.Index, c *x509.Certificate) []string {
	list := all
	if !r.Aliases {
		list = index.Find(mailbox.Of(c)...)
	}
	if len(list) == 0 && len(all) > 0 {
		list = all[:1] // a foreign one that is kept
	}
	if len(list) == 0 {
		list = []string{""}
	}
	return list
}

// refuse returns why a certificate is not carried, or nothing.
func (r *Rules) refuse(o *Object, addresses *mailbox.Index, c Certificate, now time.Time) string {
	cert := c.Certificate
	switch {
	case len(cert.Raw) > limits.CertificateSize: // no target need take it, and one must not stop all others
		return fmt.Sprintf("certificate has more than %d octets", limits.CertificateSize)
	case !r.KeepExpired && now.After(cert.NotAfter):
		return "expired on " + cert.NotAfter.UTC().Format(time.DateOnly)
	case c.Chain:
		return ""
	case !r.KeepUnusable && cert.IsCA:
		return "belongs to a certification authority"
	case !r.KeepUnusable && !forMail(cert):
		return "extended key usage does not allow mail"
	case !r.KeepUnusable && !usableKey(cert):
		return "key usage allows neither signing nor encryption"
	}
	if !r.KeepForeign && len(o.Addresses) > 0 {
		mailboxes := mailbox.Of(cert)
		if len(mailboxes) == 0 {
			return "names no mail address"
		}
		if len(addresses.Find(mailboxes...)) == 0 {
			return "names none of the object's addresses"
		}
	}
	if r.Accept != nil {
		return r.Accept(o, cert)
	}
	return ""
}

// forMail reports whether the extended key usage allows mail: emailProtection, any, or no
// restriction at all (RFC 8550, Section 4.4.4).
func forMail(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// usableKey reports whether the key usage allows anything that mail needs (RFC 8550,
// Section 4.4.2).
func usableKey(c *x509.Certificate) bool {
	const mail = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
	return c.KeyUsage == 0 || c.KeyUsage&mail != 0
}

func encrypts(c *x509.Certificate) bool {
	return c.KeyUsage == 0 || c.KeyUsage&(x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement) != 0
}

// better orders certificates of one object: fit for encryption first, then the one marked
// as default, the newest, the strongest key; the hash makes the order the same everywhere.
func better(a, b Certificate) int {
	first := func(x, y bool) int {
		switch {
		case x == y:
			return 0
		case x:
			return -1
		}
		return 1
	}
	ha, hb := sha256.Sum256(a.Certificate.Raw), sha256.Sum256(b.Certificate.Raw)
	return cmp.Or(
		first(encrypts(a.Certificate), encrypts(b.Certificate)),
		first(a.Default, b.Default),
		b.Certificate.NotBefore.Compare(a.Certificate.NotBefore),
		cmp.Compare(sigalg.Strength(b.Certificate.RawSubjectPublicKeyInfo), sigalg.Strength(a.Certificate.RawSubjectPublicKeyInfo)),
		bytes.Compare(ha[:], hb[:]),
	)
}
