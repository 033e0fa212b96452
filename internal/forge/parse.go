package forge

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/oid"
)

// maxStructure is the most that is read of a structure, in octets.
const maxStructure = 64 << 20

var errStructure = errors.New("forge: not SignedData that can be taken apart")

// Parse takes SignedData apart. Its signatures stay what they are as long as what they
// cover does; key signs anew, as the first signer, what has changed. content is what a
// detached signature covers.
func Parse(data, content []byte, key crypto.Signer) (*Signed, error) {
	der, err := ber.ToDER(data, maxStructure)
	if err != nil {
		return nil, err
	}
	in := cryptobyte.String(der)
	var info, explicit, body, announced, encapsulated, infos cryptobyte.String
	context := func(n uint8) casn1.Tag { return casn1.Tag(n).ContextSpecific().Constructed() }
	var contentType cryptobyte.String
	if !in.ReadASN1(&info, casn1.SEQUENCE) || !info.ReadASN1(&contentType, casn1.OBJECT_IDENTIFIER) || oid.OID(contentType) != oid.SignedData ||
		!info.ReadASN1(&explicit, context(0)) || !explicit.ReadASN1(&body, casn1.SEQUENCE) ||
		!body.SkipASN1(casn1.INTEGER) || !body.ReadASN1(&announced, casn1.SET) || !body.ReadASN1(&encapsulated, casn1.SEQUENCE) ||
		!encapsulated.ReadASN1(&contentType, casn1.OBJECT_IDENTIFIER) {
		return nil, errStructure
	}
	s := &Signed{ContentType: oid.OID(contentType), Content: content}
	if !encapsulated.Empty() {
		var wrapped, octets cryptobyte.String
		if !encapsulated.ReadASN1(&wrapped, context(0)) || !wrapped.ReadASN1(&octets, casn1.OCTET_STRING) {
			return nil, errStructure
		}
		s.Content = octets
	}
	var certificates, crls cryptobyte.String
	var present bool
	if !body.ReadOptionalASN1(&certificates, &present, context(0)) || !body.ReadOptionalASN1(&crls, &present, context(1)) ||
		!body.ReadASN1(&infos, casn1.SET) {
		return nil, errStructure
	}
	s.Announced, s.Certificates = elements(announced), elements(certificates)
	if crls != nil {
		s.CRLs = elements(crls)
	}
	for !infos.Empty() {
		var si cryptobyte.String
		if !infos.ReadASN1(&si, casn1.SEQUENCE) {
			return nil, errStructure
		}
		who, ok := parseSigner(si, s.Content)
		if !ok {
			return nil, errStructure
		}
		for _, der := range s.Certificates {
			if c, err := x509.ParseCertificate(der); err == nil && bytes.Equal(who.ID, IssuerAndSerial(c.RawIssuer, c.SerialNumber)) {
				who.Certificate = c
			}
		}
		who.Key = key
		s.Signers = append(s.Signers, who)
	}
	return s, nil
}

// elements returns the elements that follow each other in s.
func elements(s cryptobyte.String) (all [][]byte) {
	for !s.Empty() {
		var e cryptobyte.String
		var tag casn1.Tag
		if !s.ReadAnyASN1Element(&e, &tag) {
			return nil
		}
		all = append(all, e)
	}
	return all
}

func parseSigner(si cryptobyte.String, content []byte) (*Signer, bool) {
	who := &Signer{Hash: crypto.SHA256, Content: content}
	attributes, unsigned := casn1.Tag(0).ContextSpecific().Constructed(), casn1.Tag(1).ContextSpecific().Constructed()
	var id, digest, signed, algorithm, signature, more cryptobyte.String
	var tag casn1.Tag
	var attributed, annotated bool
	if !si.SkipASN1(casn1.INTEGER) || !si.ReadAnyASN1Element(&id, &tag) || !si.ReadASN1Element(&digest, casn1.SEQUENCE) ||
		!si.ReadOptionalASN1(&signed, &attributed, attributes) || !si.ReadASN1Element(&algorithm, casn1.SEQUENCE) ||
		!si.ReadASN1(&signature, casn1.OCTET_STRING) || !si.ReadOptionalASN1(&more, &annotated, unsigned) {
		return nil, false
	}
	who.ID, who.DigestAlgorithm, who.SignatureAlgorithm = id, digest, algorithm
	for h, o := range map[crypto.Hash]oid.OID{crypto.SHA384: oid.SHA384, crypto.SHA512: oid.SHA512, crypto.SHA1: oid.SHA1} {
		if bytes.HasPrefix(Content(digest), OID(o)) {
			who.Hash = h
		}
	}
	covered := content
	if attributed {
		who.Attributes = elements(signed)
		covered = Set(who.Attributes...)
	}
	if annotated {
		who.Unsigned = elements(more)
	}
	who.made = &madeSignature{covered, signature}
	return who, true
}
