package pkix

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A NameForm is the context tag of a GeneralName.
type NameForm uint8

// The forms of GeneralName (RFC 5280, Section 4.2.1.6).
const (
	OtherName NameForm = iota
	RFC822Name
	DNSName
	X400Address
	DirectoryName
	EDIPartyName
	URI
	IPAddress
	RegisteredID
)

// GeneralNames yields the members of a GeneralNames value. The value of a directoryName
// is a whole Name; that of an otherName the content of its SEQUENCE.
func GeneralNames(der []byte) func(yield func(NameForm, []byte) bool) {
	return func(yield func(NameForm, []byte) bool) {
		whole, s := cryptobyte.String(der), cryptobyte.String(nil)
		if whole.ReadASN1(&s, asn1.SEQUENCE) {
			generalNames(s, yield)
		}
	}
}

// generalNames is GeneralNames for the content of the SEQUENCE, under any tag.
func generalNames(s cryptobyte.String, yield func(NameForm, []byte) bool) bool {
	for !s.Empty() {
		form, value, ok := readGeneralName(&s)
		if !ok || !yield(form, value) {
			return false
		}
	}
	return true
}

// ReadGeneralName splits one encoded GeneralName, as GeneralNames does its members.
func ReadGeneralName(element []byte) (NameForm, []byte, bool) {
	s := cryptobyte.String(element)
	form, value, ok := readGeneralName(&s)
	return form, value, ok && s.Empty()
}

// readGeneralName reads one member of the CHOICE; only directoryName is explicit.
func readGeneralName(s *cryptobyte.String) (NameForm, []byte, bool) {
	var v cryptobyte.String
	var tag asn1.Tag
	if !s.ReadAnyASN1(&v, &tag) {
		return 0, nil, false
	}
	constructed := tag&0x20 != 0
	form := NameForm(tag & 0x1f)
	if tag&0xc0 != 0x80 || form > RegisteredID {
		return 0, nil, false
	}
	switch form {
	case OtherName, X400Address, EDIPartyName:
		return form, v, constructed
	case DirectoryName:
		rest := v
		return form, v, constructed && rest.SkipASN1(asn1.SEQUENCE) && rest.Empty()
	}
	return form, v, !constructed
}

func wellFormedNames(der []byte) bool {
	whole, s := cryptobyte.String(der), cryptobyte.String(nil)
	if !whole.ReadASN1(&s, asn1.SEQUENCE) || !whole.Empty() || s.Empty() {
		return false
	}
	return generalNames(s, func(NameForm, []byte) bool { return true })
}

// OtherNameValue splits the content of an otherName into type and value element.
func OtherNameValue(content []byte) (id, value []byte, ok bool) {
	s := cryptobyte.String(content)
	var i, v cryptobyte.String
	if !s.ReadASN1(&i, asn1.OBJECT_IDENTIFIER) || !s.ReadASN1(&v, asn1.Tag(0).ContextSpecific().Constructed()) || !s.Empty() {
		return nil, nil, false
	}
	return i, v, true
}

// Access yields the method and location of every AccessDescription of an
// authorityInfoAccess value.
//
//	AccessDescription  ::=  SEQUENCE {
//	        accessMethod          OBJECT IDENTIFIER,
//	        accessLocation        GeneralName  }
func Access(der []byte) func(yield func(method []byte, uri string) bool) {
	return func(yield func([]byte, string) bool) {
		whole, s := cryptobyte.String(der), cryptobyte.String(nil)
		if !whole.ReadASN1(&s, asn1.SEQUENCE) {
			return
		}
		for !s.Empty() {
			var d, method cryptobyte.String
			if !s.ReadASN1(&d, asn1.SEQUENCE) || !d.ReadASN1(&method, asn1.OBJECT_IDENTIFIER) {
				return
			}
			if form, v, ok := readGeneralName(&d); ok && form == URI && !yield(method, string(v)) {
				return
			}
		}
	}
}
