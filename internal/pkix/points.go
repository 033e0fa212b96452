package pkix

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A Point is one distribution point of a certificate or of a CRL.
//
//	DistributionPoint ::= SEQUENCE {
//	     distributionPoint  [0]  DistributionPointName OPTIONAL,
//	     reasons            [1]  ReasonFlags OPTIONAL,
//	     cRLIssuer          [2]  GeneralNames OPTIONAL }
//
//	DistributionPointName ::= CHOICE {
//	     fullName                [0]  GeneralNames,
//	     nameRelativeToCRLIssuer [1]  RelativeDistinguishedName }
type Point struct {
	Named      bool   // a DistributionPointName is there
	full       []byte // content of fullName
	Relative   []byte // content of nameRelativeToCRLIssuer
	HasReasons bool
	Reasons    uint16 // bit i is named bit i of ReasonFlags
	HasIssuer  bool
	issuer     []byte // content of cRLIssuer
}

// FullName yields the members of fullName.
func (p *Point) FullName(yield func(NameForm, []byte) bool) { generalNames(p.full, yield) }

// CRLIssuer yields the members of cRLIssuer.
func (p *Point) CRLIssuer(yield func(NameForm, []byte) bool) { generalNames(p.issuer, yield) }

// Points yields the members of a CRLDistributionPoints value. Malformed ones end it.
func Points(der []byte) func(yield func(Point) bool) {
	return func(yield func(Point) bool) {
		whole, s := cryptobyte.String(der), cryptobyte.String(nil)
		if !whole.ReadASN1(&s, asn1.SEQUENCE) {
			return
		}
		for !s.Empty() {
			var p Point
			if !p.read(&s) || !yield(p) {
				return
			}
		}
	}
}

func (p *Point) read(list *cryptobyte.String) bool {
	var s, v cryptobyte.String
	if !list.ReadASN1(&s, asn1.SEQUENCE) {
		return false
	}
	if !s.ReadOptionalASN1(&v, &p.Named, asn1.Tag(0).ContextSpecific().Constructed()) || p.Named && !p.readName(v) {
		return false
	}
	if !s.ReadOptionalASN1(&v, &p.HasReasons, asn1.Tag(1).ContextSpecific()) || p.HasReasons && !readReasons(v, &p.Reasons) {
		return false
	}
	if !s.ReadOptionalASN1(&v, &p.HasIssuer, asn1.Tag(2).ContextSpecific().Constructed()) {
		return false
	}
	p.issuer = v
	return s.Empty()
}

// readName reads the content of a DistributionPointName.
func (p *Point) readName(v cryptobyte.String) bool {
	var name cryptobyte.String
	var has bool
	if !v.ReadOptionalASN1(&name, &has, asn1.Tag(0).ContextSpecific().Constructed()) {
		return false
	}
	if has {
		p.full = name
		return v.Empty()
	}
	if !v.ReadASN1(&name, asn1.Tag(1).ContextSpecific().Constructed()) || name.Empty() || !v.Empty() {
		return false
	}
	p.Relative = name
	return true
}

// readReasons decodes the content of a ReasonFlags BIT STRING.
func readReasons(v []byte, out *uint16) bool {
	if len(v) < 1 || v[0] > 7 {
		return false
	}
	for i := 0; i < 9 && 1+i/8 < len(v); i++ {
		if v[1+i/8]&(0x80>>(i%8)) != 0 {
			*out |= 1 << i
		}
	}
	return true
}
