// Package mailbox compares mail addresses as certificates use them: RFC 8550,
// Section 3, RFC 9598, Section 5 and RFC 5280, Section 7.5.
//
// [Of] lists the mailboxes a certificate names, [Compare] holds an address against one
// of them, [Split] is the address syntax both rest on.
package mailbox

import (
	"crypto/x509"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
)

// A Mailbox is one address a certificate names.
type Mailbox struct {
	Address string
	UTF8    bool // from a SmtpUTF8Mailbox otherName (RFC 9598)
	Subject bool // from an emailAddress attribute of the subject, not from subjectAltName
}

// A Match says how two addresses compare.
type Match int

// The outcomes of [Compare], from worst to best.
const (
	Different Match = iota
	Folded          // equal once A-Z in the local part are folded
	Equal
)

// Of returns every mailbox c names, subjectAltName first. Malformed ones are left out.
// Other names that look like an address, such as a common name or a Microsoft user
// principal name, are never mailboxes.
func Of(c *x509.Certificate) []Mailbox {
	var san []byte
	for _, e := range c.Extensions {
		if e.Id.Equal([]int{2, 5, 29, 17}) {
			san = e.Value
			break
		}
	}
	var list []Mailbox
	for _, m := range OfRaw(san, c.RawSubject) {
		if _, _, ok := Split(m.Address); ok {
			list = append(list, m)
		}
	}
	return list
}

// OfRaw returns what the DER of a subjectAltName value and of a subject Name hold as
// mailboxes, well-formed or not, so that rules can refuse the ones that are not. Either
// may be nil. What is not DER ends the list.
func OfRaw(san, subject []byte) []Mailbox {
	list := fromSAN(nil, san)
	return fromSubject(list, subject)
}

// Compare compares an asked-for address with a mailbox of a certificate. Domains
// compare without case and with A-labels equal to U-labels; the local part of a
// SmtpUTF8Mailbox octet for octet (RFC 9598, Section 5), any other exactly or with A-Z
// folded (RFC 8550, Section 3). What [Split] refuses is Different from everything.
func Compare(asked string, m Mailbox) Match {
	local, domain, ok := Split(asked)
	if !ok {
		return Different
	}
	l, d, ok := Split(m.Address)
	switch {
	case !ok || d != domain:
		return Different
	case l == local:
		return Equal
	case !m.UTF8 && foldASCII(l) == foldASCII(local):
		return Folded
	}
	return Different
}

// fromSAN reads the rfc822Name [1] and SmtpUTF8Mailbox [0] entries of
//
//	GeneralNames ::= SEQUENCE SIZE (1..MAX) OF GeneralName
//	OtherName ::= SEQUENCE { type-id OBJECT IDENTIFIER, value [0] EXPLICIT ANY }
//	SmtpUTF8Mailbox ::= UTF8String (SIZE (1..MAX))
func fromSAN(list []Mailbox, san []byte) []Mailbox {
	s, names := cryptobyte.String(san), cryptobyte.String(nil)
	if !s.ReadASN1(&names, asn1.SEQUENCE) {
		return list
	}
	for !names.Empty() {
		var v cryptobyte.String
		var tag asn1.Tag
		if !names.ReadAnyASN1(&v, &tag) {
			return list
		}
		switch tag {
		case asn1.Tag(1).ContextSpecific():
			list = append(list, Mailbox{Address: string(v)})
		case asn1.Tag(0).ContextSpecific().Constructed():
			var id, inner, text cryptobyte.String
			if v.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) && oid.OID(id) == oid.SmtpUTF8Mailbox &&
				v.ReadASN1(&inner, asn1.Tag(0).ContextSpecific().Constructed()) && v.Empty() &&
				inner.ReadASN1(&text, asn1.UTF8String) && inner.Empty() && utf8.Valid(text) {
				list = append(list, Mailbox{Address: string(text), UTF8: true})
			}
		}
	}
	return list
}

// fromSubject reads the emailAddress attributes of a Name (RFC 5280, Section 4.1.2.6).
// The attribute is an IA5String; other string types are taken while they hold ASCII.
func fromSubject(list []Mailbox, subject []byte) []Mailbox {
	s, rdns := cryptobyte.String(subject), cryptobyte.String(nil)
	if !s.ReadASN1(&rdns, asn1.SEQUENCE) {
		return list
	}
	for !rdns.Empty() {
		var set cryptobyte.String
		if !rdns.ReadASN1(&set, asn1.SET) {
			return list
		}
		for !set.Empty() {
			var attr, id, v cryptobyte.String
			var tag asn1.Tag
			if !set.ReadASN1(&attr, asn1.SEQUENCE) || !attr.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) || !attr.ReadAnyASN1(&v, &tag) {
				return list
			}
			if oid.OID(id) == oid.EmailAddress && (tag == asn1.IA5String || tag == asn1.UTF8String || tag == asn1.PrintableString) {
				list = append(list, Mailbox{Address: string(v), Subject: true})
			}
		}
	}
	return list
}
