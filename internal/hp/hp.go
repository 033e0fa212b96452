// Package hp protects the header of a message together with its content, as defined in
// [RFC 9788], and reads such protection.
//
// [Compose] divides the header of a message into the one everybody sees and the one
// inside the protection. [Read] takes the latter apart again, [Protected.State] says how
// far a field was protected, and [Protected.Response] makes sure that a reply or a
// forwarded message does not tell what was confidential. [AddLegacyDisplay] and
// [RemoveLegacyDisplay] deal with the copy of hidden fields in the text for mail programs
// that know nothing of all this.
//
// Nothing here verifies or decrypts: the caller says whether the header it hands in was
// covered by a good signature and came out of encryption.
//
// [RFC 9788]: https://www.rfc-editor.org/rfc/rfc9788.html
package hp

import (
	"strings"

	"github.com/postseal/postseal/internal/mimeraw"
)

// A Pair is a field as the rules of RFC 9788 see it: a name and an unfolded value.
type Pair struct{ Name, Value string }

// same reports whether two pairs are one field. Names compare without case, and white
// space in values by there being some: relays fold lines elsewhere.
func (p Pair) same(q Pair) bool {
	return strings.EqualFold(p.Name, q.Name) && squeeze(p.Value) == squeeze(q.Value)
}

func squeeze(value string) string { return strings.Join(strings.Fields(value), " ") }

// Structural reports whether a field describes the content and not the message (RFC 9787,
// Section 1.1.1). Such fields belong to the entity they stand on.
func Structural(name string) bool {
	name = strings.ToLower(name)
	return name == "mime-version" || strings.HasPrefix(name, "content-")
}

// Blind reports whether a field names recipients that the others must not know of (RFC
// 5322, Sections 3.6.3 and 3.6.6).
func Blind(name string) bool {
	return strings.EqualFold(name, "Bcc") || strings.EqualFold(name, "Resent-Bcc")
}

// transport reports whether a field is added by the way a message takes and so is nobody's
// to protect (RFC 9788, Section 7).
func transport(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "received", "return-path", "dkim-signature", "authentication-results", "delivered-to":
		return true
	}
	return strings.HasPrefix(name, "arc-")
}

// userFacing reports whether people are shown the field (RFC 9787, Section 1.1.2).
func userFacing(name string) bool {
	switch strings.ToLower(name) {
	case "subject", "from", "to", "cc", "date", "reply-to", "followup-to", "sender", "comments", "keywords":
		return true
	}
	return false
}

// A Mode is the way in which a header is protected.
type Mode string

// The modes.
const (
	None    Mode = ""        // it is not
	Clear   Mode = "clear"   // hp="clear": the sender signed
	Cipher  Mode = "cipher"  // hp="cipher": the sender encrypted, and said what stayed readable
	Draft   Mode = "draft"   // protected-headers="v1", of a draft that RFC 9788 came from
	Wrapped Mode = "wrapped" // the message as message/rfc822 (RFC 8551, Section 3.1)
)

// Protected is the header inside the protection of a message, taken apart (RFC 9788,
// Section 4.2).
type Protected struct {
	Mode   Mode
	Fields []Pair // the fields of the message
	Outer  []Pair // what the sender says was readable outside: the HP-Outer fields
}

// Read takes apart the header of the root of a cryptographic payload. The Mode is [None]
// if it does not claim to be protected, and nothing else is set then. Whether it is
// Wrapped, the payload's header alone does not tell; see [ReadWrapped].
func Read(payload *mimeraw.Header) *Protected {
	p := &Protected{Mode: modeOf(payload)}
	if p.Mode != None {
		p.take(payload)
	}
	return p
}

// ReadWrapped takes apart a message in a message/rfc822 payload. outer is the header of
// the message around it, which in this form is all that tells what was readable.
func ReadWrapped(inner, outer *mimeraw.Header) *Protected {
	p := &Protected{Mode: Wrapped}
	p.take(inner)
	p.Outer = Pairs(outer)
	return p
}

func (p *Protected) take(h *mimeraw.Header) {
	for _, f := range Pairs(h) {
		if !strings.EqualFold(f.Name, "HP-Outer") {
			p.Fields = append(p.Fields, f)
			continue
		}
		// Only a sender who encrypted has something to say here (Section 2.2).
		if name, value, ok := strings.Cut(f.Value, ":"); ok && p.Mode == Cipher {
			p.Outer = append(p.Outer, Pair{strings.TrimSpace(name), strings.TrimSpace(value)})
		}
	}
}

// Pairs lists the fields of a header that are not structural.
func Pairs(h *mimeraw.Header) []Pair {
	var list []Pair
	for _, f := range h.Fields {
		if f.Name != "" && !Structural(f.Name) {
			list = append(list, Pair{f.Name, f.Value()})
		}
	}
	return list
}

func modeOf(h *mimeraw.Header) Mode {
	value, n := h.Get("Content-Type")
	if n != 1 {
		return None
	}
	t, err := mimeraw.ParseMediaType(value)
	if err != nil {
		return None
	}
	switch {
	case strings.EqualFold(t.Params["hp"], "cipher"):
		return Cipher
	case strings.EqualFold(t.Params["hp"], "clear"):
		return Clear
	case t.Params["hp"] == "" && strings.EqualFold(t.Params["protected-headers"], "v1"):
		return Draft
	}
	return None
}

// A State is how far one field was protected (RFC 9788, Section 4.3).
type State string

// The states.
const (
	Unprotected        State = "unprotected"
	SignedOnly         State = "signed-only"
	EncryptedOnly      State = "encrypted-only"
	SignedAndEncrypted State = "signed-and-encrypted"
)

// State returns how far the field was protected. signed says that a good signature covers
// the header, encrypted that it came out of encryption.
func (p *Protected) State(f Pair, signed, encrypted bool) State {
	if !contains(p.Fields, f) {
		return Unprotected
	}
	if encrypted && p.confidential() && !contains(p.Outer, f) {
		if signed {
			return SignedAndEncrypted
		}
		return EncryptedOnly
	}
	if signed {
		return SignedOnly
	}
	return Unprotected
}

// confidential reports whether the sender himself encrypted; encryption may have been
// added on the way (RFC 9788, Section 10.2).
func (p *Protected) confidential() bool { return p.Mode == Cipher || p.Mode == Wrapped }

func contains(list []Pair, f Pair) bool {
	for _, g := range list {
		if f.same(g) {
			return true
		}
	}
	return false
}

// Get returns the first protected field of that name, and how many there are.
func (p *Protected) Get(name string) (value string, n int) {
	for _, f := range p.Fields {
		if strings.EqualFold(f.Name, name) {
			if n == 0 {
				value = f.Value
			}
			n++
		}
	}
	return value, n
}

// A Difference is a field that reads otherwise outside the protection.
type Difference struct {
	Kind           string // "obscured", "hidden", "changed", "removed" or "added"
	Name           string
	Outside, Value string // as it stands outside and inside; empty where it does not stand
}

// Differences compares the protected header with the one the message arrived with.
// Obscured and hidden fields are as the sender left them outside; changed and removed
// ones are not; added ones are not protected, and left out where the way a message takes
// adds them.
func (p *Protected) Differences(outer *mimeraw.Header) []Difference {
	var list []Difference
	outside := Pairs(outer)
	there, said := newPairSet(outside), newPairSet(p.Outer)
	for _, f := range p.Fields {
		if there.has(f) {
			continue
		}
		d := Difference{Kind: "removed", Name: f.Name, Value: f.Value}
		if value, ok := there.first[strings.ToLower(f.Name)]; ok {
			d.Kind, d.Outside = "changed", value
		}
		if p.meant(d, said) {
			d.Kind = map[string]string{"changed": "obscured", "removed": "hidden"}[d.Kind]
		}
		list = append(list, d)
	}
	inside := newPairSet(p.Fields)
	for _, g := range outside {
		if _, ok := inside.first[strings.ToLower(g.Name)]; !ok && !transport(g.Name) && !strings.EqualFold(g.Name, "HP-Outer") {
			list = append(list, Difference{Kind: "added", Name: g.Name, Outside: g.Value})
		}
	}
	return list
}

// A pairSet is a list of fields in which many others are looked for.
type pairSet struct {
	pairs map[Pair]bool
	first map[string]string // the first value of each name
}

func newPairSet(list []Pair) pairSet {
	s := pairSet{map[Pair]bool{}, map[string]string{}}
	for _, f := range list {
		f.Name = strings.ToLower(f.Name)
		if _, ok := s.first[f.Name]; !ok {
			s.first[f.Name] = f.Value
		}
		f.Value = squeeze(f.Value)
		s.pairs[f] = true
	}
	return s
}

// has reports whether the list contains f, see [Pair.same].
func (s pairSet) has(f Pair) bool { return s.pairs[Pair{strings.ToLower(f.Name), squeeze(f.Value)}] }

// meant reports whether the sender says that the field stood so outside.
func (p *Protected) meant(d Difference, said pairSet) bool {
	if p.Mode != Cipher {
		return false
	}
	if d.Kind == "changed" {
		return said.has(Pair{d.Name, d.Outside})
	}
	_, ok := said.first[strings.ToLower(d.Name)]
	return !ok
}
