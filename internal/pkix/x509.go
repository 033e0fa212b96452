// Package pkix reads certificates, CRLs and OCSP responses as bytes, leniently and
// within bounds: it covers what crypto/x509 refuses and real mail has.
//
// [ParseCertificate] makes the *x509.Certificate that the exported packages pass
// around; [Parse] gives the view of the same bytes that path validation works on.
package pkix

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha1"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
)

// ParseCertificate returns the certificate in der, which must hold nothing else. Where
// crypto/x509 refuses a certificate that RFC 5280 or real mail has, the fields are
// filled from the DER by this package's own reader: PublicKey is nil where crypto/x509
// has no type for the key, extensions that cannot be decoded stay in Extensions alone
// (and in UnhandledCriticalExtensions if critical). The error is an [*Error].
func ParseCertificate(der []byte) (*x509.Certificate, error) {
	if len(der) > 0 {
		if c, err := x509.ParseCertificate(der); err == nil {
			if c.PublicKey == nil {
				_, c.PublicKey = publicKey(c.RawSubjectPublicKeyInfo) // X25519
			}
			return c, nil
		}
	}
	v, err := Parse(slices.Clone(der))
	if err != nil {
		return nil, err
	}
	return v.X509(), nil
}

// X509 fills an x509.Certificate from the view.
func (c *Certificate) X509() *x509.Certificate {
	out := &x509.Certificate{
		Raw: c.Raw, RawTBSCertificate: c.RawTBS, RawSubjectPublicKeyInfo: c.SPKI, RawSubject: c.RawSubject, RawIssuer: c.RawIssuer,
		Signature: c.Signature, SignatureAlgorithm: signatureAlgorithm(oid.OID(OID(c.Algorithm))),
		Version: c.Version, SerialNumber: c.SerialNumber(), Issuer: nameOf(c.RawIssuer), Subject: nameOf(c.RawSubject),
		NotBefore: time.Unix(c.NotBefore, 0).UTC(), NotAfter: time.Unix(c.NotAfter, 0).UTC(),
		KeyUsage: c.KeyUsage, SubjectKeyId: c.SKI, AuthorityKeyId: c.AKI,
	}
	out.PublicKeyAlgorithm, out.PublicKey = publicKey(c.SPKI)
	for e := range c.Extensions {
		id, ok := objectIdentifier(e.ID)
		if !ok {
			continue
		}
		out.Extensions = append(out.Extensions, stdpkix.Extension{Id: id, Critical: e.Critical, Value: e.Value})
		if x := extByID(e.ID); e.Critical && (x == 0 || c.Bad&x != 0) {
			out.UnhandledCriticalExtensions = append(out.UnhandledCriticalExtensions, id)
		}
	}
	if good := c.Present &^ c.Bad; good&ExtBasicConstraints != 0 {
		out.BasicConstraintsValid, out.IsCA, out.MaxPathLen = true, c.IsCA, c.PathLen
		out.MaxPathLenZero = c.PathLen == 0
	}
	c.fillUsages(out)
	c.fillNames(out)
	c.fillLocations(out)
	return out
}

// SerialNumber returns the serial as a number, negative ones too.
func (c *Certificate) SerialNumber() *big.Int {
	n := new(big.Int).SetBytes(c.Serial)
	if len(c.Serial) > 0 && c.Serial[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(c.Serial))))
	}
	return n
}

func (c *Certificate) fillUsages(out *x509.Certificate) {
	for s := cryptobyte.String(c.EKU); !s.Empty(); {
		var id asn1.ObjectIdentifier
		if !s.ReadASN1ObjectIdentifier(&id) {
			break
		}
		if u, ok := extKeyUsage(id); ok {
			out.ExtKeyUsage = append(out.ExtKeyUsage, u)
		} else {
			out.UnknownExtKeyUsage = append(out.UnknownExtKeyUsage, id)
		}
	}
	for p := range c.PolicyIDs {
		if id, ok := objectIdentifier(p); ok {
			out.PolicyIdentifiers = append(out.PolicyIdentifiers, id)
			if o, err := x509.ParseOID(oid.OID(p).String()); err == nil {
				out.Policies = append(out.Policies, o)
			}
		}
	}
}

func (c *Certificate) fillNames(out *x509.Certificate) {
	for form, v := range GeneralNames(c.SAN) {
		switch form {
		case RFC822Name:
			out.EmailAddresses = append(out.EmailAddresses, string(v))
		case DNSName:
			out.DNSNames = append(out.DNSNames, string(v))
		case IPAddress:
			if len(v) == 4 || len(v) == 16 {
				out.IPAddresses = append(out.IPAddresses, net.IP(v))
			}
		case URI:
			if u, err := url.Parse(string(v)); err == nil {
				out.URIs = append(out.URIs, u)
			}
		}
	}
}

func (c *Certificate) fillLocations(out *x509.Certificate) {
	for method, uri := range Access(c.InfoAccess) {
		switch oid.OID(method) {
		case oid.AccessOCSP:
			out.OCSPServer = append(out.OCSPServer, uri)
		case oid.AccessCAIssuers:
			out.IssuingCertificateURL = append(out.IssuingCertificateURL, uri)
		}
	}
	for dp := range Points(c.DistributionPoints) {
		for form, v := range dp.FullName {
			if form == URI {
				out.CRLDistributionPoints = append(out.CRLDistributionPoints, string(v))
			}
		}
	}
}

// PolicyIDs yields the identifiers of certificatePolicies.
func (c *Certificate) PolicyIDs(yield func([]byte) bool) {
	for s := cryptobyte.String(c.Policies); !s.Empty(); {
		var info, id cryptobyte.String
		if !s.ReadASN1(&info, casn1.SEQUENCE) || !info.ReadASN1(&id, casn1.OBJECT_IDENTIFIER) || !yield(id) {
			return
		}
	}
}

func objectIdentifier(content []byte) (asn1.ObjectIdentifier, bool) {
	var b cryptobyte.Builder
	b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	der, err := b.Bytes()
	if err != nil {
		return nil, false
	}
	s := cryptobyte.String(der)
	var id asn1.ObjectIdentifier
	return id, s.ReadASN1ObjectIdentifier(&id)
}

// nameOf decodes a Name for people; what cannot be decoded is left out.
func nameOf(der []byte) stdpkix.Name {
	var n stdpkix.Name
	whole, rdns := cryptobyte.String(der), cryptobyte.String(nil)
	if !whole.ReadASN1(&rdns, casn1.SEQUENCE) {
		return n
	}
	var seq stdpkix.RDNSequence
	for !rdns.Empty() {
		var set cryptobyte.String
		if !rdns.ReadASN1(&set, casn1.SET) {
			break
		}
		var rdn stdpkix.RelativeDistinguishedNameSET
		for !set.Empty() {
			var attr, v cryptobyte.String
			var id asn1.ObjectIdentifier
			a := stdpkix.AttributeTypeAndValue{}
			tag := casn1.Tag(0)
			if !set.ReadASN1(&attr, casn1.SEQUENCE) || !attr.ReadASN1ObjectIdentifier(&id) || !attr.ReadAnyASN1(&v, &tag) {
				break
			}
			a.Type = id
			if text, ok := decodeText(tag, v); isText(tag) && ok {
				a.Value = text
			} else {
				a.Value = []byte(v)
			}
			rdn = append(rdn, a)
		}
		seq = append(seq, rdn)
	}
	n.FillFromRDNSequence(&seq)
	return n
}

// publicKey decodes the key types crypto/x509 has a Go type for.
func publicKey(spki []byte) (x509.PublicKeyAlgorithm, any) {
	if key, err := x509.ParsePKIXPublicKey(spki); err == nil {
		switch key.(type) {
		case *ecdsa.PublicKey:
			return x509.ECDSA, key
		case ed25519.PublicKey:
			return x509.Ed25519, key
		case *ecdh.PublicKey:
			return x509.UnknownPublicKeyAlgorithm, key
		default:
			return keyAlgorithm(spki), key
		}
	}
	return keyAlgorithm(spki), nil
}

// KeyIdentifiers returns the identifiers that peers compute for a SubjectPublicKeyInfo where
// the certificate has none: the SHA-1 of the key in it (RFC 5280, Section 4.2.1.2, method 1),
// and of the whole.
func KeyIdentifiers(spki []byte) [][]byte {
	// QUIRK: Windows identifies such a certificate by the SHA-1 of the SubjectPublicKeyInfo.
	whole := sha1.Sum(spki)
	in := cryptobyte.String(spki)
	var body, key cryptobyte.String
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !body.SkipASN1(casn1.SEQUENCE) ||
		!body.ReadASN1(&key, casn1.BIT_STRING) || len(key) == 0 {
		return [][]byte{whole[:]}
	}
	sum := sha1.Sum(key[1:])
	return [][]byte{sum[:], whole[:]}
}

func keyAlgorithm(spki []byte) x509.PublicKeyAlgorithm {
	s, seq, alg := cryptobyte.String(spki), cryptobyte.String(nil), cryptobyte.String(nil)
	if s.ReadASN1(&seq, casn1.SEQUENCE) && seq.ReadASN1Element(&alg, casn1.SEQUENCE) {
		switch oid.OID(OID(alg)) {
		case oid.RSA:
			return x509.RSA
		case oid.DSA:
			return x509.DSA
		case oid.ECPublicKey:
			return x509.ECDSA
		case oid.Ed25519:
			return x509.Ed25519
		}
	}
	return x509.UnknownPublicKeyAlgorithm
}

func signatureAlgorithm(id oid.OID) x509.SignatureAlgorithm {
	switch id {
	case oid.MD2WithRSA:
		return x509.MD2WithRSA
	case oid.MD5WithRSA:
		return x509.MD5WithRSA
	case oid.SHA1WithRSA:
		return x509.SHA1WithRSA
	case oid.SHA256WithRSA:
		return x509.SHA256WithRSA
	case oid.SHA384WithRSA:
		return x509.SHA384WithRSA
	case oid.SHA512WithRSA:
		return x509.SHA512WithRSA
	case oid.DSAWithSHA1:
		return x509.DSAWithSHA1
	case oid.DSAWithSHA256:
		return x509.DSAWithSHA256
	case oid.ECDSAWithSHA1:
		return x509.ECDSAWithSHA1
	case oid.ECDSAWithSHA256:
		return x509.ECDSAWithSHA256
	case oid.ECDSAWithSHA384:
		return x509.ECDSAWithSHA384
	case oid.ECDSAWithSHA512:
		return x509.ECDSAWithSHA512
	case oid.Ed25519:
		return x509.PureEd25519
	}
	return x509.UnknownSignatureAlgorithm
}

func extKeyUsage(id asn1.ObjectIdentifier) (x509.ExtKeyUsage, bool) {
	if id.Equal(asn1.ObjectIdentifier{2, 5, 29, 37, 0}) {
		return x509.ExtKeyUsageAny, true
	}
	if len(id) != 9 || !id[:8].Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3}) {
		return 0, false
	}
	switch id[8] {
	case 1:
		return x509.ExtKeyUsageServerAuth, true
	case 2:
		return x509.ExtKeyUsageClientAuth, true
	case 3:
		return x509.ExtKeyUsageCodeSigning, true
	case 4:
		return x509.ExtKeyUsageEmailProtection, true
	case 8:
		return x509.ExtKeyUsageTimeStamping, true
	case 9:
		return x509.ExtKeyUsageOCSPSigning, true
	}
	return 0, false
}
