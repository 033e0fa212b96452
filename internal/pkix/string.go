package pkix

import (
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
)

// NameString returns a Name as RFC 4514 prints it: last RDN first. Types without a
// well-known short name are written as dotted identifiers.
func NameString(name []byte) string {
	whole, rdns := cryptobyte.String(name), cryptobyte.String(nil)
	if !whole.ReadASN1(&rdns, asn1.SEQUENCE) {
		return ""
	}
	var parts []string
	for !rdns.Empty() {
		var set cryptobyte.String
		if !rdns.ReadASN1(&set, asn1.SET) {
			break
		}
		var b strings.Builder
		for !set.Empty() {
			var attr, id, element, v cryptobyte.String
			var tag asn1.Tag
			if !set.ReadASN1(&attr, asn1.SEQUENCE) || !attr.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) || !attr.ReadAnyASN1Element(&element, &tag) {
				break
			}
			if b.Len() > 0 {
				b.WriteByte('+')
			}
			short := shortName(oid.OID(id))
			rest := element
			rest.ReadAnyASN1(&v, &tag)
			text, ok := "", false
			if isText(tag) {
				text, ok = decodeText(tag, v)
			}
			if short == "" || !ok {
				if short == "" {
					short = oid.OID(id).String()
				}
				b.WriteString(short + "=#" + hex.EncodeToString(element))
				continue
			}
			b.WriteString(short + "=")
			escape(&b, text)
		}
		parts = append(parts, b.String())
	}
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, ",")
}

// escape writes an attribute value by RFC 4514, Section 2.4. Controls and characters
// that reorder text are written in hexadecimal so that a name cannot dress up a line.
func escape(b *strings.Builder, s string) {
	for i, r := range s {
		switch {
		case strings.ContainsRune(`"+,;<>\`, r), r == '#' && i == 0, r == ' ' && (i == 0 || i == len(s)-1):
			b.WriteByte('\\')
			b.WriteRune(r)
		case !unicode.IsPrint(r), r == utf8.RuneError:
			for _, c := range []byte(string(r)) {
				b.WriteString("\\" + hex.EncodeToString([]byte{c}))
			}
		default:
			b.WriteRune(r)
		}
	}
}

// shortName returns the keyword of RFC 4519 or, for emailAddress, RFC 2985.
func shortName(id oid.OID) string {
	switch id {
	case oid.EmailAddress:
		return "emailAddress"
	case oid.DomainComponent:
		return "DC"
	case "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01":
		return "UID"
	}
	if len(id) != 3 || id[:2] != "\x55\x04" {
		return ""
	}
	switch id[2] {
	case 3:
		return "CN"
	case 4:
		return "SN"
	case 5:
		return "serialNumber"
	case 6:
		return "C"
	case 7:
		return "L"
	case 8:
		return "ST"
	case 9:
		return "STREET"
	case 10:
		return "O"
	case 11:
		return "OU"
	case 12:
		return "title"
	case 17:
		return "postalCode"
	case 42:
		return "givenName"
	case 43:
		return "initials"
	case 44:
		return "generationQualifier"
	case 46:
		return "dnQualifier"
	case 65:
		return "pseudonym"
	case 97:
		return "organizationIdentifier"
	}
	return ""
}
