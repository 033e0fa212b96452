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

// signedAttributes returns the DER of the SET OF Attribute that is signed: content-type,
// message-digest and signing-time (RFC 5652, Section 11), algorithm protection (RFC 6211),
// the signer's certificate (RFC 5035), and for S/MIME capabilities and encryption key
// preference (RFC 8551, Section 2.5).
func (s *Signer) signedAttributes(alg *sigalg.Algorithm, digest []byte) []byte {
	attrs := [][]byte{
		attribute(oid.ContentType, func(b *cryptobyte.Builder) { addOID(b, oid.Data) }),
		attribute(oid.MessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(digest) }),
		attribute(oid.SigningTime, s.addSigningTime),
		attribute(oid.AlgorithmProtection, func(b *cryptobyte.Builder) {
			implicit := bytes.Clone(alg.DER())
			implicit[0] = 0xa1
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(s.Hash().Algorithm())
				b.AddBytes(implicit)
			})
		}),
		attribute(oid.SigningCertificateV2, s.addSigningCertificate),
	}
	capabilities := s.Capabilities
	if capabilities == nil {
		capabilities = OwnCapabilities().DER()
	}
	if len(capabilities) > 0 {
		attrs = append(attrs, attribute(oid.SMIMECapabilities, func(b *cryptobyte.Builder) { b.AddBytes(capabilities) }))
	}
	if c := s.encryptionCertificate(); c != nil {
		id := IssuerAndSerialNumber{RawIssuer: c.RawIssuer, Serial: c.SerialNumber}
		var der cryptobyte.Builder
		id.add(&der)
		value := der.BytesOrPanic()
		implicit := bytes.Clone(value)
		implicit[0] = 0xa0
		attrs = append(attrs,
			attribute(oid.EncryptionKeyPreference, func(b *cryptobyte.Builder) { b.AddBytes(implicit) }),
			attribute(oid.MSEncryptionKeyPreference, func(b *cryptobyte.Builder) { b.AddBytes(value) }))
	}
	slices.SortFunc(attrs, bytes.Compare)
	var b cryptobyte.Builder
	b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
		for _, a := range attrs {
			b.AddBytes(a)
		}
	})
	return b.BytesOrPanic()
}

func attribute(t oid.OID, value func(*cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	addAttribute(&b, t, value)
	return b.BytesOrPanic()
}

// addSigningTime adds a UTCTime until 2049 (RFC 5652, Section 11.3).
func (s *Signer) addSigningTime(b *cryptobyte.Builder) {
	t := s.Time
	if t.IsZero() {
		t = time.Now()
	}
	t = t.UTC().Truncate(time.Second)
	if t.Year() >= 1950 && t.Year() < 2050 {
		b.AddASN1UTCTime(t)
	} else {
		b.AddASN1GeneralizedTime(t)
	}
}

// addSigningCertificate adds a SigningCertificateV2 with the default hash, SHA-256.
func (s *Signer) addSigningCertificate(b *cryptobyte.Builder) {
	sequence := func(f func(*cryptobyte.Builder)) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) { b.AddASN1(casn1.SEQUENCE, f) }
	}
	sequence(sequence(sequence(func(b *cryptobyte.Builder) { // SigningCertificateV2, certs, ESSCertIDv2
		b.AddASN1OctetString(sigalg.SHA256.Sum(s.Certificate.Raw))
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { // IssuerSerial
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { // GeneralNames
				b.AddASN1(casn1.Tag(4).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
					b.AddBytes(s.Certificate.RawIssuer)
				})
			})
			b.AddASN1BigInt(s.Certificate.SerialNumber)
		})
	})))(b)
}

// encryptionCertificate returns the certificate that replies should be encrypted to.
func (s *Signer) encryptionCertificate() *x509.Certificate {
	if s.EncryptionCertificate != nil {
		return s.EncryptionCertificate
	}
	switch s.Certificate.PublicKeyAlgorithm {
	case x509.RSA, x509.ECDSA:
	default:
		return nil
	}
	if ku := s.Certificate.KeyUsage; ku != 0 && ku&(x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement) == 0 {
		return nil
	}
	return s.Certificate
}
