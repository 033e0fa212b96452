package pkix

import (
	"bytes"
	"crypto/x509"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
)

// An Ext is one of the extensions this package knows, as a bit.
type Ext uint32

// The known certificate extensions.
const (
	ExtBasicConstraints Ext = 1 << iota
	ExtKeyUsage
	ExtExtKeyUsage
	ExtSAN
	ExtIAN
	ExtSKI
	ExtAKI
	ExtNameConstraints
	ExtPolicies
	ExtMappings
	ExtPolicyConstraints
	ExtInhibitAny
	ExtCDP
	ExtFreshest
	ExtAIA
	ExtSIA
	ExtNoCheck
	ExtCapabilities
	extEnd
)

// maxExtensions bounds the extensions of one certificate; real ones have about 20.
const maxExtensions = 256

// Name returns what RFC 5280 calls the extension.
func (x Ext) Name() string {
	names := [...]string{"basicConstraints", "keyUsage", "extKeyUsage", "subjectAltName", "issuerAltName", "subjectKeyIdentifier",
		"authorityKeyIdentifier", "nameConstraints", "certificatePolicies", "policyMappings", "policyConstraints", "inhibitAnyPolicy",
		"cRLDistributionPoints", "freshestCRL", "authorityInfoAccess", "subjectInfoAccess", "ocsp-nocheck", "smimeCapabilities"}
	for i, n := range names {
		if x == 1<<i {
			return n
		}
	}
	return "extension"
}

func extByID(id []byte) Ext {
	switch oid.OID(id) {
	case oid.BasicConstraints:
		return ExtBasicConstraints
	case oid.KeyUsage:
		return ExtKeyUsage
	case oid.ExtKeyUsage:
		return ExtExtKeyUsage
	case oid.SubjectAltName:
		return ExtSAN
	case oid.IssuerAltName:
		return ExtIAN
	case oid.SubjectKeyID:
		return ExtSKI
	case oid.AuthorityKeyID:
		return ExtAKI
	case oid.NameConstraints:
		return ExtNameConstraints
	case oid.CertificatePolicies:
		return ExtPolicies
	case oid.PolicyMappings:
		return ExtMappings
	case oid.PolicyConstraints:
		return ExtPolicyConstraints
	case oid.InhibitAnyPolicy:
		return ExtInhibitAny
	case oid.CRLDistributionPoints:
		return ExtCDP
	case oid.FreshestCRL:
		return ExtFreshest
	case oid.AuthorityInfoAccess:
		return ExtAIA
	case oid.SubjectInfoAccess:
		return ExtSIA
	case oid.OCSPNoCheck:
		return ExtNoCheck
	case oid.SMIMECapabilities:
		return ExtCapabilities
	}
	return 0
}

// Known holds the decoded extensions of a certificate.
type Known struct {
	Present, Critical, Bad, Twice Ext    // which are there, critical, malformed, repeated
	UnknownCritical               []byte // identifier of the first critical extension not known, or nil
	UnknownTwice                  []byte // identifier of a repeated extension not known, or nil

	IsCA    bool
	PathLen int // -1: no limit

	KeyUsage x509.KeyUsage
	EKU      []byte // content of the SEQUENCE OF KeyPurposeId
	SAN      []byte // whole value; see GeneralNames
	SKI      []byte // content of the key identifier
	AKI      []byte // keyIdentifier [0]; nil if absent
	AKINamed bool   // authorityCertIssuer or authorityCertSerialNumber is there

	NameConstraints                             []byte // whole value
	Policies, Mappings                          []byte // content of the SEQUENCE
	RequireExplicit, InhibitMapping, InhibitAny int    // -1: absent
	DistributionPoints, FreshestCRL, InfoAccess []byte // whole value
}

// Has reports whether every extension in x is present.
func (k *Known) Has(x Ext) bool { return k.Present&x == x }

// decode notes the extension at position n of the list.
func (c *Certificate) decode(e *Extension, n int) {
	k := &c.Known
	x := extByID(e.ID)
	if x == 0 {
		eachExtension(c.ext, func(other Extension) bool {
			if n == 0 {
				return false
			}
			if n--; bytes.Equal(other.ID, e.ID) {
				k.UnknownTwice = e.ID
			}
			return true
		})
		if e.Critical && k.UnknownCritical == nil {
			k.UnknownCritical = e.ID
		}
		return
	}
	if k.Present&x != 0 {
		k.Twice |= x
		return
	}
	k.Present |= x
	if e.Critical {
		k.Critical |= x
	}
	if !k.value(x, e.Value) {
		k.Bad |= x
	}
}

// value decodes one extension value; the ASN.1 is that of RFC 5280, Appendix A.2.
func (k *Known) value(x Ext, der []byte) bool {
	whole, s := cryptobyte.String(der), cryptobyte.String(nil)
	switch x {
	case ExtBasicConstraints:
		// SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER (0..MAX) OPTIONAL }
		if !next(&whole, &s, asn1.SEQUENCE) || !whole.Empty() {
			return false
		}
		if s.PeekASN1Tag(asn1.BOOLEAN) {
			var b cryptobyte.String
			if !next(&s, &b, asn1.BOOLEAN) || len(b) != 1 {
				return false
			}
			k.IsCA = b[0] != 0
		}
		k.PathLen = -1
		if s.Empty() {
			return true
		}
		return readSmall(&s, &k.PathLen) && s.Empty()
	case ExtKeyUsage:
		// BIT STRING
		var bits cryptobyte.String
		if !next(&whole, &bits, asn1.BIT_STRING) || !whole.Empty() || len(bits) < 1 || bits[0] > 7 || len(bits) == 1 && bits[0] != 0 {
			return false
		}
		for i := 0; i < 9 && 1+i/8 < len(bits); i++ {
			if bits[1+i/8]&(0x80>>(i%8)) != 0 {
				k.KeyUsage |= 1 << i
			}
		}
		return true
	case ExtExtKeyUsage:
		// SEQUENCE SIZE (1..MAX) OF KeyPurposeId
		if !next(&whole, &s, asn1.SEQUENCE) || !whole.Empty() || s.Empty() {
			return false
		}
		k.EKU = s
		return allOf(s, asn1.OBJECT_IDENTIFIER)
	case ExtSAN:
		k.SAN = der
		return wellFormedNames(der)
	case ExtSKI:
		if !next(&whole, &s, asn1.OCTET_STRING) || !whole.Empty() || s.Empty() {
			return false
		}
		k.SKI = s
		return true
	case ExtAKI:
		return k.authorityKeyID(whole)
	case ExtNameConstraints:
		k.NameConstraints = der
		return next(&whole, &s, asn1.SEQUENCE) && whole.Empty()
	case ExtPolicies:
		if !next(&whole, &s, asn1.SEQUENCE) || !whole.Empty() || s.Empty() {
			return false
		}
		k.Policies = s
		return allOf(s, asn1.SEQUENCE)
	case ExtMappings:
		if !next(&whole, &s, asn1.SEQUENCE) || !whole.Empty() || s.Empty() {
			return false
		}
		k.Mappings = s
		return allOf(s, asn1.SEQUENCE)
	case ExtPolicyConstraints:
		return k.policyConstraints(whole)
	case ExtInhibitAny:
		return readSmall(&whole, &k.InhibitAny) && whole.Empty()
	case ExtCDP:
		k.DistributionPoints = der
		return next(&whole, &s, asn1.SEQUENCE) && whole.Empty() && allOf(s, asn1.SEQUENCE)
	case ExtFreshest:
		k.FreshestCRL = der
		return next(&whole, &s, asn1.SEQUENCE) && whole.Empty() && allOf(s, asn1.SEQUENCE)
	case ExtAIA:
		k.InfoAccess = der
		return next(&whole, &s, asn1.SEQUENCE) && whole.Empty() && allOf(s, asn1.SEQUENCE)
	case ExtIAN:
		return wellFormedNames(der)
	}
	return true
}

// authorityKeyID reads
//
//	AuthorityKeyIdentifier ::= SEQUENCE {
//	   keyIdentifier             [0] KeyIdentifier           OPTIONAL,
//	   authorityCertIssuer       [1] GeneralNames            OPTIONAL,
//	   authorityCertSerialNumber [2] CertificateSerialNumber OPTIONAL  }
func (k *Known) authorityKeyID(whole cryptobyte.String) bool {
	var s, id, ignored cryptobyte.String
	if !next(&whole, &s, asn1.SEQUENCE) || !whole.Empty() {
		return false
	}
	var has bool
	if !s.ReadOptionalASN1(&id, &has, asn1.Tag(0).ContextSpecific()) {
		return false
	}
	if has {
		k.AKI = id
	}
	var issuer, serial bool
	if !s.ReadOptionalASN1(&ignored, &issuer, asn1.Tag(1).ContextSpecific().Constructed()) || !s.ReadOptionalASN1(&ignored, &serial, asn1.Tag(2).ContextSpecific()) {
		return false
	}
	k.AKINamed = issuer || serial
	return s.Empty()
}

// policyConstraints reads
//
//	PolicyConstraints ::= SEQUENCE {
//	     requireExplicitPolicy [0] SkipCerts OPTIONAL,
//	     inhibitPolicyMapping  [1] SkipCerts OPTIONAL }
func (k *Known) policyConstraints(whole cryptobyte.String) bool {
	var s, v cryptobyte.String
	var has bool
	k.RequireExplicit, k.InhibitMapping = -1, -1
	if !next(&whole, &s, asn1.SEQUENCE) || !whole.Empty() || s.Empty() {
		return false
	}
	if !s.ReadOptionalASN1(&v, &has, asn1.Tag(0).ContextSpecific()) || has && !small(v, &k.RequireExplicit) {
		return false
	}
	if !s.ReadOptionalASN1(&v, &has, asn1.Tag(1).ContextSpecific()) || has && !small(v, &k.InhibitMapping) {
		return false
	}
	return s.Empty()
}

// AllowsEKU reports whether extKeyUsage lists the purpose. An absent one lists nothing.
func (k *Known) AllowsEKU(purpose oid.OID) bool {
	for s := cryptobyte.String(k.EKU); !s.Empty(); {
		var id cryptobyte.String
		if !next(&s, &id, asn1.OBJECT_IDENTIFIER) {
			return false
		}
		if oid.OID(id) == purpose {
			return true
		}
	}
	return false
}

func allOf(s cryptobyte.String, tag asn1.Tag) bool {
	var skipped cryptobyte.String
	for !s.Empty() {
		if !next(&s, &skipped, tag) {
			return false
		}
	}
	return true
}

func readSmall(s *cryptobyte.String, out *int) bool {
	var v cryptobyte.String
	return next(s, &v, asn1.INTEGER) && small(v, out)
}

// small decodes a non-negative INTEGER; what is larger than any path counts as 1<<30.
func small(v []byte, out *int) bool {
	if len(v) == 0 || v[0]&0x80 != 0 {
		return false
	}
	x := 0
	for _, b := range v {
		if x = x<<8 | int(b); x > 1<<30 {
			x = 1 << 30
		}
	}
	*out = x
	return true
}
