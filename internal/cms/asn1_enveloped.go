package cms

import (
	"io"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// The types of RFC 5652, Section 6 and RFC 5083, without the parameters of algorithms,
// which asn1_params.go has. As in asn1.go, functions named read... consume an element
// with the framing of DER and return false if it is not what they expect.

func context(n uint8) casn1.Tag { return casn1.Tag(n).ContextSpecific() }

func constructed(n uint8) casn1.Tag { return context(n).Constructed() }

// nextOriginatorInfo consumes an OriginatorInfo from r if one comes next and returns the
// DER of its X.509 certificates. The CRLs are of no use to a recipient.
//
//	OriginatorInfo ::= SEQUENCE {
//	  certs [0] IMPLICIT CertificateSet OPTIONAL,
//	  crls  [1] IMPLICIT RevocationInfoChoices OPTIONAL }
func nextOriginatorInfo(r *ber.Reader) ([][]byte, error) {
	h, err := r.Peek()
	if err == io.EOF || err == nil && h.Tag != ber.Context(0) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := r.Element(limits.Element)
	if err != nil {
		return nil, err
	}
	bad := malformed(h.Offset, "originatorInfo")
	s := cryptobyte.String(b)
	var body, certs, cert cryptobyte.String
	var ok bool
	if !s.ReadASN1(&body, constructed(0)) || !body.ReadOptionalASN1(&certs, &ok, constructed(0)) ||
		!body.SkipOptionalASN1(constructed(1)) || !body.Empty() {
		return nil, bad
	}
	var out [][]byte
	for !certs.Empty() {
		var tag casn1.Tag
		if !certs.ReadAnyASN1Element(&cert, &tag) {
			return nil, bad
		}
		if tag != casn1.SEQUENCE { // attribute certificates and other forms
			continue
		}
		if len(out) == limits.Certificates {
			return nil, &limits.Exceeded{What: "certificates", Max: limits.Certificates}
		}
		out = append(out, cert)
	}
	return out, nil
}

// nextRecipientInfos consumes a RecipientInfos from r.
//
//	RecipientInfos ::= SET SIZE (1..MAX) OF RecipientInfo
func nextRecipientInfos(r *ber.Reader) ([]*RecipientInfo, error) {
	offset := r.Offset()
	b, err := r.Element(limits.Element)
	if err != nil {
		return nil, err
	}
	s := cryptobyte.String(b)
	var set cryptobyte.String
	if !s.ReadASN1(&set, casn1.SET) {
		return nil, malformed(offset, "recipientInfos")
	}
	var out []*RecipientInfo
	for !set.Empty() {
		var one cryptobyte.String
		var tag casn1.Tag
		if !set.ReadAnyASN1Element(&one, &tag) {
			return nil, malformed(offset, "RecipientInfo")
		}
		out = append(out, parseRecipientInfo(one, tag)...)
		if len(out) > limits.RecipientInfos {
			return nil, &limits.Exceeded{What: "recipients", Max: limits.RecipientInfos}
		}
	}
	return out, nil
}

// An encryptedContent is read from
//
//	EncryptedContentInfo ::= SEQUENCE {
//	  contentType                ContentType,
//	  contentEncryptionAlgorithm ContentEncryptionAlgorithmIdentifier,
//	  encryptedContent           [0] IMPLICIT EncryptedContent OPTIONAL }
type encryptedContent struct {
	contentType oid.OID
	algorithm   AlgorithmIdentifier
	text        io.Reader // nil if there is none
}

// openEncryptedContent reads an EncryptedContentInfo up to its content.
func openEncryptedContent(r *ber.Reader) (e encryptedContent, err error) {
	if err = r.Enter(ber.Sequence); err != nil {
		return e, err
	}
	if e.contentType, err = nextOID(r, "contentType"); err != nil {
		return e, err
	}
	if e.algorithm, err = nextAlgorithm(r, "contentEncryptionAlgorithm"); err != nil {
		return e, err
	}
	if _, err = r.Peek(); err == io.EOF {
		return e, nil
	} else if err != nil {
		return e, err
	}
	e.text, err = r.Octets(ber.Context(0))
	return e, err
}

// nextAttributes consumes a SET OF Attribute under the implicit tag [n] from r if one
// comes next. It returns the attributes and the encoding as a universal SET, which is
// what is authenticated (RFC 5083, Section 2.2); nil if there is none.
func nextAttributes(r *ber.Reader, n uint32) (attributes []Attribute, der []byte, err error) {
	h, err := r.Peek()
	if err == io.EOF {
		return nil, nil, nil
	}
	if err != nil || h.Tag != ber.Context(n) {
		return nil, nil, err
	}
	b, err := r.Element(limits.Attributes * limits.AttributeSize)
	if err != nil {
		return nil, nil, err
	}
	var set cryptobyte.String
	if s := cryptobyte.String(b); !s.ReadASN1(&set, constructed(uint8(n))) {
		return nil, nil, malformed(h.Offset, "attributes")
	}
	if attributes, err = parseAttributes(set); err != nil {
		return nil, nil, err
	}
	der = append([]byte(nil), b...)
	der[0] = byte(casn1.SET)
	return attributes, der, nil
}

// nextOctets consumes a short OCTET STRING from r; what names it in the error.
func nextOctets(r *ber.Reader, max int64, what string) ([]byte, error) {
	offset := r.Offset()
	b, err := r.Element(max + 64)
	if err != nil {
		return nil, err
	}
	var v cryptobyte.String
	if s := cryptobyte.String(b); !s.ReadASN1(&v, casn1.OCTET_STRING) {
		return nil, malformed(offset, what)
	}
	return v, nil
}

// A keyTransRecipient is read from
//
//	KeyTransRecipientInfo ::= SEQUENCE {
//	  version                CMSVersion,
//	  rid                    RecipientIdentifier,
//	  keyEncryptionAlgorithm KeyEncryptionAlgorithmIdentifier,
//	  encryptedKey           EncryptedKey }
type keyTransRecipient struct {
	rid          CertificateID
	algorithm    AlgorithmIdentifier
	encryptedKey []byte
}

func readKeyTransRecipient(s cryptobyte.String, v *keyTransRecipient) bool {
	var body, key cryptobyte.String
	var version int
	ok := s.ReadASN1(&body, casn1.SEQUENCE) && s.Empty() && body.ReadASN1Integer(&version) &&
		readCertificateID(&body, &v.rid) && readAlgorithm(&body, &v.algorithm) &&
		body.ReadASN1(&key, casn1.OCTET_STRING) && body.Empty()
	v.encryptedKey = key
	return ok
}

func (v *keyTransRecipient) add(b *cryptobyte.Builder) {
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(int64(v.version()))
		v.rid.add(b)
		b.AddBytes(v.algorithm.Raw)
		b.AddASN1OctetString(v.encryptedKey)
	})
}

func (v *keyTransRecipient) version() int {
	if v.rid.KeyID != nil {
		return 2
	}
	return 0
}

// A keyAgreeRecipient is read from
//
//	KeyAgreeRecipientInfo ::= SEQUENCE {
//	  version                CMSVersion,  -- always set to 3
//	  originator             [0] EXPLICIT OriginatorIdentifierOrKey,
//	  ukm                    [1] EXPLICIT UserKeyingMaterial OPTIONAL,
//	  keyEncryptionAlgorithm KeyEncryptionAlgorithmIdentifier,
//	  recipientEncryptedKeys RecipientEncryptedKeys }
//
//	OriginatorIdentifierOrKey ::= CHOICE {
//	  issuerAndSerialNumber IssuerAndSerialNumber,
//	  subjectKeyIdentifier  [0] SubjectKeyIdentifier,
//	  originatorKey         [1] OriginatorPublicKey }
//
//	OriginatorPublicKey ::= SEQUENCE {
//	  algorithm AlgorithmIdentifier,
//	  publicKey BIT STRING }
//
//	RecipientEncryptedKey ::= SEQUENCE {
//	  rid          KeyAgreeRecipientIdentifier,
//	  encryptedKey EncryptedKey }
type keyAgreeRecipient struct {
	originator    CertificateID       // of a static key; empty with an ephemeral one
	originatorAlg AlgorithmIdentifier // of an ephemeral key
	originatorKey []byte
	ukm           []byte // nil if absent
	algorithm     AlgorithmIdentifier
	keys          []recipientEncryptedKey
}

type recipientEncryptedKey struct {
	rid          CertificateID
	encryptedKey []byte
}

func readKeyAgreeRecipient(s cryptobyte.String, v *keyAgreeRecipient) bool {
	var body, originator, ukm, keys cryptobyte.String
	var version int
	var hasUKM bool
	if !s.ReadASN1(&body, constructed(1)) || !s.Empty() || !body.ReadASN1Integer(&version) ||
		!body.ReadASN1(&originator, constructed(0)) || !readOriginator(originator, v) ||
		!body.ReadOptionalASN1(&ukm, &hasUKM, constructed(1)) ||
		!readAlgorithm(&body, &v.algorithm) || !body.ReadASN1(&keys, casn1.SEQUENCE) || !body.Empty() {
		return false
	}
	if hasUKM {
		var octets cryptobyte.String
		if !ukm.ReadASN1(&octets, casn1.OCTET_STRING) || !ukm.Empty() {
			return false
		}
		v.ukm = append([]byte{}, octets...)
	}
	for !keys.Empty() {
		var one, key cryptobyte.String
		var k recipientEncryptedKey
		if len(v.keys) == limits.RecipientInfos || !keys.ReadASN1(&one, casn1.SEQUENCE) ||
			!readKeyAgreeRecipientID(&one, &k.rid) || !one.ReadASN1(&key, casn1.OCTET_STRING) || !one.Empty() {
			return false
		}
		k.encryptedKey = key
		v.keys = append(v.keys, k)
	}
	return true
}

func readOriginator(s cryptobyte.String, v *keyAgreeRecipient) bool {
	if !s.PeekASN1Tag(constructed(1)) {
		return readCertificateID(&s, &v.originator) && s.Empty()
	}
	var body, key cryptobyte.String
	if !s.ReadASN1(&body, constructed(1)) || !s.Empty() || !readAlgorithm(&body, &v.originatorAlg) ||
		!body.ReadASN1(&key, casn1.BIT_STRING) || !body.Empty() || len(key) == 0 || key[0] != 0 {
		return false
	}
	v.originatorKey = key[1:]
	return true
}

// readKeyAgreeRecipientID reads
//
//	KeyAgreeRecipientIdentifier ::= CHOICE {
//	  issuerAndSerialNumber IssuerAndSerialNumber,
//	  rKeyId                [0] IMPLICIT RecipientKeyIdentifier }
//
//	RecipientKeyIdentifier ::= SEQUENCE {
//	  subjectKeyIdentifier SubjectKeyIdentifier,
//	  date                 GeneralizedTime OPTIONAL,
//	  other                OtherKeyAttribute OPTIONAL }
func readKeyAgreeRecipientID(s *cryptobyte.String, id *CertificateID) bool {
	if s.PeekASN1Tag(casn1.SEQUENCE) {
		return readCertificateID(s, id)
	}
	var body cryptobyte.String
	return s.ReadASN1(&body, constructed(0)) && readKeyIdentifier(body, &id.KeyID)
}

// readKeyIdentifier reads the content of a RecipientKeyIdentifier and of the KEKIdentifier,
// which has the same fields.
func readKeyIdentifier(body cryptobyte.String, id *[]byte) bool {
	var key cryptobyte.String
	ok := body.ReadASN1(&key, casn1.OCTET_STRING) && body.SkipOptionalASN1(casn1.GeneralizedTime) &&
		body.SkipOptionalASN1(casn1.SEQUENCE) && body.Empty()
	*id = key
	return ok
}

func (v *keyAgreeRecipient) add(b *cryptobyte.Builder) {
	b.AddASN1(constructed(1), func(b *cryptobyte.Builder) {
		b.AddASN1Int64(3)
		b.AddASN1(constructed(0), func(b *cryptobyte.Builder) {
			b.AddASN1(constructed(1), func(b *cryptobyte.Builder) {
				b.AddBytes(v.originatorAlg.Raw)
				b.AddASN1BitString(v.originatorKey)
			})
		})
		if v.ukm != nil {
			b.AddASN1(constructed(1), func(b *cryptobyte.Builder) { b.AddASN1OctetString(v.ukm) })
		}
		b.AddBytes(v.algorithm.Raw)
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, k := range v.keys {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					if k.rid.KeyID == nil {
						k.rid.add(b)
					} else {
						b.AddASN1(constructed(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(k.rid.KeyID) })
					}
					b.AddASN1OctetString(k.encryptedKey)
				})
			}
		})
	})
}

// A kekRecipient is read from
//
//	KEKRecipientInfo ::= SEQUENCE {
//	  version                CMSVersion,  -- always set to 4
//	  kekid                  KEKIdentifier,
//	  keyEncryptionAlgorithm KeyEncryptionAlgorithmIdentifier,
//	  encryptedKey           EncryptedKey }
type kekRecipient struct {
	kekid        []byte
	algorithm    AlgorithmIdentifier
	encryptedKey []byte
}

func readKEKRecipient(s cryptobyte.String, v *kekRecipient) bool {
	var body, id, key cryptobyte.String
	var version int
	ok := s.ReadASN1(&body, constructed(2)) && s.Empty() && body.ReadASN1Integer(&version) &&
		body.ReadASN1(&id, casn1.SEQUENCE) && readKeyIdentifier(id, &v.kekid) &&
		readAlgorithm(&body, &v.algorithm) && body.ReadASN1(&key, casn1.OCTET_STRING) && body.Empty()
	v.encryptedKey = key
	return ok
}

func (v *kekRecipient) add(b *cryptobyte.Builder) {
	b.AddASN1(constructed(2), func(b *cryptobyte.Builder) {
		b.AddASN1Int64(4)
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1OctetString(v.kekid) })
		b.AddBytes(v.algorithm.Raw)
		b.AddASN1OctetString(v.encryptedKey)
	})
}

// A passwordRecipient is read from
//
//	PasswordRecipientInfo ::= SEQUENCE {
//	  version                CMSVersion,  -- always set to 0
//	  keyDerivationAlgorithm [0] KeyDerivationAlgorithmIdentifier OPTIONAL,
//	  keyEncryptionAlgorithm KeyEncryptionAlgorithmIdentifier,
//	  encryptedKey           EncryptedKey }
type passwordRecipient struct {
	derivation   AlgorithmIdentifier // empty if absent
	algorithm    AlgorithmIdentifier
	encryptedKey []byte
}

func readPasswordRecipient(s cryptobyte.String, v *passwordRecipient) bool {
	var body, kdf, key cryptobyte.String
	var version int
	var hasKDF bool
	if !s.ReadASN1(&body, constructed(3)) || !s.Empty() || !body.ReadASN1Integer(&version) ||
		!body.ReadOptionalASN1(&kdf, &hasKDF, constructed(0)) ||
		!readAlgorithm(&body, &v.algorithm) || !body.ReadASN1(&key, casn1.OCTET_STRING) || !body.Empty() {
		return false
	}
	v.encryptedKey = key
	if !hasKDF {
		return true
	}
	// The tag [0] stands in the place of the SEQUENCE tag.
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(kdf) })
	whole := cryptobyte.String(b.BytesOrPanic())
	return readAlgorithm(&whole, &v.derivation)
}

func (v *passwordRecipient) add(b *cryptobyte.Builder) {
	b.AddASN1(constructed(3), func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(constructed(0), func(b *cryptobyte.Builder) {
			addOID(b, v.derivation.OID)
			b.AddBytes(v.derivation.Parameters)
		})
		b.AddBytes(v.algorithm.Raw)
		b.AddASN1OctetString(v.encryptedKey)
	})
}

// readOtherRecipient reads
//
//	OtherRecipientInfo ::= SEQUENCE {
//	  oriType  OBJECT IDENTIFIER,
//	  oriValue ANY DEFINED BY oriType }
func readOtherRecipient(s cryptobyte.String, t *oid.OID, value *cryptobyte.String) bool {
	var body cryptobyte.String
	return s.ReadASN1(&body, constructed(4)) && s.Empty() && readOID(&body, t) &&
		body.ReadAnyASN1Element(value, nil) && body.Empty()
}

// A kemRecipient is read from (RFC 9629, Section 3)
//
//	KEMRecipientInfo ::= SEQUENCE {
//	  version      CMSVersion,  -- always set to 0
//	  rid          RecipientIdentifier,
//	  kem          KEMAlgorithmIdentifier,
//	  kemct        OCTET STRING,
//	  kdf          KeyDerivationAlgorithmIdentifier,
//	  kekLength    INTEGER (1..65535),
//	  ukm          [0] EXPLICIT UserKeyingMaterial OPTIONAL,
//	  wrap         KeyEncryptionAlgorithmIdentifier,
//	  encryptedKey EncryptedKey }
type kemRecipient struct {
	rid            CertificateID
	kem, kdf, wrap AlgorithmIdentifier
	ciphertext     []byte
	kekLength      int
	ukm            []byte // nil if absent
	encryptedKey   []byte
}

func readKEMRecipient(s cryptobyte.String, v *kemRecipient) bool {
	var body, ct, ukm, key cryptobyte.String
	var version int
	var hasUKM bool
	if !s.ReadASN1(&body, casn1.SEQUENCE) || !s.Empty() || !body.ReadASN1Integer(&version) || version != 0 ||
		!readCertificateID(&body, &v.rid) || !readAlgorithm(&body, &v.kem) ||
		!body.ReadASN1(&ct, casn1.OCTET_STRING) || !readAlgorithm(&body, &v.kdf) ||
		!body.ReadASN1Integer(&v.kekLength) || v.kekLength < 1 || v.kekLength > 65535 ||
		!body.ReadOptionalASN1(&ukm, &hasUKM, constructed(0)) || !readAlgorithm(&body, &v.wrap) ||
		!body.ReadASN1(&key, casn1.OCTET_STRING) || !body.Empty() {
		return false
	}
	if hasUKM {
		var octets cryptobyte.String
		if !ukm.ReadASN1(&octets, casn1.OCTET_STRING) || !ukm.Empty() {
			return false
		}
		v.ukm = append([]byte{}, octets...)
	}
	v.ciphertext, v.encryptedKey = ct, key
	return true
}

func (v *kemRecipient) add(b *cryptobyte.Builder) {
	b.AddASN1(constructed(4), func(b *cryptobyte.Builder) {
		addOID(b, oid.KEMRecipientInfo)
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			v.rid.add(b)
			b.AddBytes(v.kem.Raw)
			b.AddASN1OctetString(v.ciphertext)
			b.AddBytes(v.kdf.Raw)
			b.AddASN1Int64(int64(v.kekLength))
			if v.ukm != nil {
				b.AddASN1(constructed(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(v.ukm) })
			}
			b.AddBytes(v.wrap.Raw)
			b.AddASN1OctetString(v.encryptedKey)
		})
	})
}
