package cms

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// attributeSet is a set of attributes, signed or not.
type attributeSet []Attribute

// get returns the single value of the attribute t. It returns nil if there is none, or if
// there is not exactly one.
func (s attributeSet) get(t oid.OID) []byte {
	for _, a := range s {
		if a.Type == t {
			if len(a.Values) != 1 {
				return nil
			}
			return a.Values[0]
		}
	}
	return nil
}

func (s attributeSet) has(t oid.OID) bool {
	return slices.ContainsFunc(s, func(a Attribute) bool { return a.Type == t })
}

// ambiguous reports whether an attribute is there twice, or has no or several values
// where its definition has one (RFC 5652, Section 11; RFC 6211, Section 2; RFC 5035,
// Section 5.4; RFC 8551, Section 2.5).
func (s attributeSet) ambiguous() bool {
	for i, a := range s {
		if s[:i].has(a.Type) {
			return true
		}
		switch a.Type {
		case oid.ContentType, oid.MessageDigest, oid.SigningTime, oid.AlgorithmProtection, oid.SMIMECapabilities,
			oid.EncryptionKeyPreference, oid.MSEncryptionKeyPreference, oid.SigningCertificate, oid.SigningCertificateV2:
			if len(a.Values) != 1 {
				return true
			}
		}
	}
	return false
}

// contentType returns the value of the content-type attribute (RFC 5652, Section 11.1).
func (s attributeSet) contentType() (oid.OID, bool) {
	var v oid.OID
	in := cryptobyte.String(s.get(oid.ContentType))
	return v, readOID(&in, &v) && in.Empty()
}

// messageDigest returns the value of the message-digest attribute (RFC 5652, Section 11.2).
func (s attributeSet) messageDigest() ([]byte, bool) {
	var v cryptobyte.String
	in := cryptobyte.String(s.get(oid.MessageDigest))
	return v, in.ReadASN1(&v, casn1.OCTET_STRING) && in.Empty()
}

// signingTime returns the value of the signing-time attribute (RFC 5652, Section 11.3), or
// the zero time if there is none or it is malformed.
func (s attributeSet) signingTime() time.Time {
	in := cryptobyte.String(s.get(oid.SigningTime))
	var t time.Time
	switch {
	case in.PeekASN1Tag(casn1.UTCTime):
		if !in.ReadASN1UTCTime(&t) {
			return time.Time{}
		}
	case !in.ReadASN1GeneralizedTime(&t):
		return time.Time{}
	}
	return t.UTC()
}

// capabilities returns the DER of the SMIMECapabilities (RFC 8551, Section 2.5.2), or nil.
func (s attributeSet) capabilities() []byte {
	v := s.get(oid.SMIMECapabilities)
	in := cryptobyte.String(v)
	if !in.SkipASN1(casn1.SEQUENCE) || !in.Empty() {
		return nil
	}
	return v
}

// encryptionCertificate returns the certificate that the signer wants replies encrypted
// to, or nil. It is read from
//
//	SMIMEEncryptionKeyPreference ::= CHOICE {
//	  issuerAndSerialNumber  [0] IssuerAndSerialNumber,
//	  receipentKeyId         [1] RecipientKeyIdentifier,
//	  subjectAltKeyIdentifier [2] SubjectKeyIdentifier }
//
// (RFC 8551, Section 2.5.3), or from Microsoft's attribute, a bare IssuerAndSerialNumber.
func (s attributeSet) encryptionCertificate() *CertificateID {
	id := new(CertificateID)
	if v := bytes.Clone(s.get(oid.EncryptionKeyPreference)); v != nil {
		in := cryptobyte.String(v)
		var body, key cryptobyte.String
		switch {
		case v[0] == 0xa0:
			v[0] = 0x30
			if readIssuerAndSerial(&in, &id.IssuerAndSerialNumber) && in.Empty() {
				return id
			}
		case in.PeekASN1Tag(casn1.Tag(1).ContextSpecific().Constructed()):
			if in.ReadASN1(&body, casn1.Tag(1).ContextSpecific().Constructed()) && in.Empty() && body.ReadASN1(&key, casn1.OCTET_STRING) && len(key) > 0 {
				id.KeyID = key
				return id
			}
		case in.PeekASN1Tag(casn1.Tag(2).ContextSpecific()):
			if in.ReadASN1(&key, casn1.Tag(2).ContextSpecific()) && in.Empty() && len(key) > 0 {
				id.KeyID = key
				return id
			}
		}
	}
	in := cryptobyte.String(s.get(oid.MSEncryptionKeyPreference))
	if readIssuerAndSerial(&in, &id.IssuerAndSerialNumber) && in.Empty() {
		return id
	}
	return nil
}

// protects reports whether the algorithm protection attribute, if there is one, says the
// same as the SignerInfo around it. It is read from
//
//	CMSAlgorithmProtection ::= SEQUENCE {
//	  digestAlgorithm    DigestAlgorithmIdentifier,
//	  signatureAlgorithm [1] SignatureAlgorithmIdentifier OPTIONAL,
//	  macAlgorithm       [2] MessageAuthenticationCodeAlgorithm OPTIONAL }
//
// (RFC 6211, Section 2), where exactly one of the last two is present.
func (s attributeSet) protects(digest, signature AlgorithmIdentifier) bool {
	if !s.has(oid.AlgorithmProtection) {
		return true
	}
	in := cryptobyte.String(s.get(oid.AlgorithmProtection))
	var body, sig cryptobyte.String
	var d AlgorithmIdentifier
	tag := casn1.Tag(1).ContextSpecific().Constructed()
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !in.Empty() || !readAlgorithm(&body, &d) ||
		!body.ReadASN1Element(&sig, tag) || !body.Empty() {
		return false
	}
	implicit := bytes.Clone(sig)
	implicit[0] = 0x30
	var v AlgorithmIdentifier
	in = implicit
	return readAlgorithm(&in, &v) && d.equal(digest) && v.equal(signature)
}

// equal compares two identifiers. Absent parameters equal NULL, and parameters of RSA-PSS
// are compared by what they say (RFC 6211, Section 3.1).
func (a AlgorithmIdentifier) equal(b AlgorithmIdentifier) bool {
	if a.OID != b.OID {
		return false
	}
	if a.NoParameters() && b.NoParameters() || bytes.Equal(a.Parameters, b.Parameters) {
		return true
	}
	x, err := sigalg.Parse(a.Raw)
	if err != nil {
		return false
	}
	y, err := sigalg.Parse(b.Raw)
	return err == nil && x.Equal(y)
}

// namesCertificate reports whether the signing certificate attributes, if there are any,
// name cert first. They are read from
//
//	SigningCertificate ::= SEQUENCE {
//	  certs    SEQUENCE OF ESSCertID,
//	  policies SEQUENCE OF PolicyInformation OPTIONAL }
//
//	SigningCertificateV2 ::= SEQUENCE {
//	  certs    SEQUENCE OF ESSCertIDv2,
//	  policies SEQUENCE OF PolicyInformation OPTIONAL }
//
// (RFC 2634, Section 5.4, and RFC 5035, Section 3).
func (s attributeSet) namesCertificate(cert *x509.Certificate) bool {
	for _, t := range []oid.OID{oid.SigningCertificate, oid.SigningCertificateV2} {
		if !s.has(t) {
			continue
		}
		in := cryptobyte.String(s.get(t))
		var body, certs cryptobyte.String
		if !in.ReadASN1(&body, casn1.SEQUENCE) || !in.Empty() || !body.ReadASN1(&certs, casn1.SEQUENCE) ||
			!body.Empty() && (!body.SkipASN1(casn1.SEQUENCE) || !body.Empty()) ||
			!essCertIDMatches(certs, t == oid.SigningCertificateV2, cert) {
			return false
		}
	}
	return true
}

// essCertIDMatches reads the first of
//
//	ESSCertID ::= SEQUENCE {
//	  certHash     OCTET STRING,
//	  issuerSerial IssuerSerial OPTIONAL }
//
//	ESSCertIDv2 ::= SEQUENCE {
//	  hashAlgorithm AlgorithmIdentifier DEFAULT { algorithm id-sha256 },
//	  certHash      OCTET STRING,
//	  issuerSerial  IssuerSerial OPTIONAL }
//
//	IssuerSerial ::= SEQUENCE {
//	  issuer       GeneralNames,
//	  serialNumber CertificateSerialNumber }
//
// and compares it with cert.
func essCertIDMatches(certs cryptobyte.String, v2 bool, cert *x509.Certificate) bool {
	var body, hash, names, issuer cryptobyte.String
	if !certs.ReadASN1(&body, casn1.SEQUENCE) {
		return false
	}
	h := sigalg.SHA1
	if v2 {
		h = sigalg.SHA256
		if body.PeekASN1Tag(casn1.SEQUENCE) {
			var a AlgorithmIdentifier
			var err error
			if !readAlgorithm(&body, &a) {
				return false
			}
			if h, err = sigalg.ParseHash(a.Raw); err != nil || h == sigalg.MD5 {
				return false
			}
		}
	}
	if !body.ReadASN1(&hash, casn1.OCTET_STRING) || !bytes.Equal(hash, h.Sum(cert.Raw)) {
		return false
	}
	if body.Empty() {
		return true
	}
	var id CertificateID
	if !body.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1(&names, casn1.SEQUENCE) ||
		!readInteger(&body, &id.Serial) || !body.Empty() ||
		!names.ReadASN1(&issuer, casn1.Tag(4).ContextSpecific().Constructed()) || !names.Empty() {
		return false
	}
	id.RawIssuer = issuer
	return id.Matches(cert)
}
