package pkix

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// An OCSP is a view of a DER OCSPResponse.
//
//	OCSPResponse ::= SEQUENCE {
//	   responseStatus         OCSPResponseStatus,
//	   responseBytes          [0] EXPLICIT SEQUENCE {
//	       responseType   OBJECT IDENTIFIER,
//	       response       OCTET STRING } OPTIONAL }
//
//	BasicOCSPResponse       ::= SEQUENCE {
//	   tbsResponseData      ResponseData,
//	   signatureAlgorithm   AlgorithmIdentifier,
//	   signature            BIT STRING,
//	   certs            [0] EXPLICIT SEQUENCE OF Certificate OPTIONAL }
//
//	ResponseData ::= SEQUENCE {
//	   version              [0] EXPLICIT Version DEFAULT v1,
//	   responderID              ResponderID,
//	   producedAt               GeneralizedTime,
//	   responses                SEQUENCE OF SingleResponse,
//	   responseExtensions   [1] EXPLICIT Extensions OPTIONAL }
//
//	ResponderID ::= CHOICE {
//	   byName               [1] Name,
//	   byKey                [2] KeyHash }
type OCSP struct {
	Raw             []byte
	Status          int // responseStatus; 0 is successful, and only then the rest is set
	RawTBS          []byte
	Algorithm       []byte
	Signature       []byte
	ResponderName   string // canonical, if HasName
	HasName         bool
	ResponderKey    []byte // SHA-1 of the responder's key, else
	ProducedAt      int64
	Nonce           []byte // content of the extension's OCTET STRING
	UnknownCritical []byte // identifier of a critical extension of the response not known
	Singles         []Single
	Certificates    [][]byte // DER
}

// A Single is the answer about one certificate.
//
//	SingleResponse ::= SEQUENCE {
//	   certID                       CertID,
//	   certStatus                   CertStatus,
//	   thisUpdate                   GeneralizedTime,
//	   nextUpdate         [0]       EXPLICIT GeneralizedTime OPTIONAL,
//	   singleExtensions   [1]       EXPLICIT Extensions OPTIONAL }
//
//	CertID          ::=     SEQUENCE {
//	    hashAlgorithm       AlgorithmIdentifier,
//	    issuerNameHash      OCTET STRING,
//	    issuerKeyHash       OCTET STRING,
//	    serialNumber        CertificateSerialNumber }
//
//	CertStatus ::= CHOICE {
//	    good        [0]     IMPLICIT NULL,
//	    revoked     [1]     IMPLICIT RevokedInfo,
//	    unknown     [2]     IMPLICIT UnknownInfo }
type Single struct {
	Hash                   oid.OID // of the two hashes
	NameHash, KeyHash      []byte
	Serial                 []byte
	Good                   bool
	Revoked                *Revoked // nil if good or unknown
	ThisUpdate, NextUpdate int64
	HasNextUpdate          bool
	KeepsExpired           bool  // it knows certificates after their end too, of those that
	KeptSince              int64 // ended at this time or later (RFC 6960, Section 4.4.4)
	UnknownCritical        []byte
}

// Limits of one response; responders answer for one certificate and send one or two.
const (
	maxSingles          = 256
	maxOCSPCertificates = 16
)

// ParseOCSP reads one DER OCSPResponse and nothing else.
func ParseOCSP(der []byte) (*OCSP, error) {
	r := &OCSP{Raw: der}
	if part := r.parse(der); part != "" {
		return nil, &Error{"OCSP response", part}
	}
	return r, nil
}

func (r *OCSP) parse(der []byte) (bad string) {
	if len(der) > limits.OCSPSize {
		return fmt.Sprintf("size: more than %d bytes", limits.OCSPSize)
	}
	in := cryptobyte.String(der)
	var outer, status, bytes, inner, kind, octets cryptobyte.String
	if !in.ReadASN1(&outer, asn1.SEQUENCE) {
		return outerSequence(der)
	}
	if !in.Empty() {
		return "end: trailing bytes"
	}
	if !outer.ReadASN1(&status, asn1.ENUM) || len(status) != 1 {
		return "responseStatus"
	}
	if r.Status = int(status[0]); r.Status != 0 {
		return ""
	}
	if !outer.ReadASN1(&bytes, asn1.Tag(0).ContextSpecific().Constructed()) || !outer.Empty() || !bytes.ReadASN1(&inner, asn1.SEQUENCE) || !bytes.Empty() ||
		!inner.ReadASN1(&kind, asn1.OBJECT_IDENTIFIER) || !inner.ReadASN1(&octets, asn1.OCTET_STRING) || !inner.Empty() {
		return "responseBytes"
	}
	if oid.OID(kind) != oid.OCSPBasic {
		return "responseType"
	}
	return r.parseBasic(octets)
}

func (r *OCSP) parseBasic(octets cryptobyte.String) (bad string) {
	var basic, tbs, alg, sig, list cryptobyte.String
	if !octets.ReadASN1(&basic, asn1.SEQUENCE) || !octets.Empty() || !basic.ReadASN1Element(&tbs, asn1.SEQUENCE) || !basic.ReadASN1Element(&alg, asn1.SEQUENCE) {
		return "BasicOCSPResponse"
	}
	if !basic.ReadASN1(&sig, asn1.BIT_STRING) || len(sig) < 1 {
		return "signature"
	}
	r.RawTBS, r.Algorithm, r.Signature = tbs, alg, signatureOctets(sig)
	var has bool
	if !basic.ReadOptionalASN1(&list, &has, asn1.Tag(0).ContextSpecific().Constructed()) || !basic.Empty() {
		return "certs"
	}
	if has {
		var certs cryptobyte.String
		if !list.ReadASN1(&certs, asn1.SEQUENCE) || !list.Empty() {
			return "certs"
		}
		for !certs.Empty() {
			var c cryptobyte.String
			if len(r.Certificates) == maxOCSPCertificates || !certs.ReadASN1Element(&c, asn1.SEQUENCE) {
				return "certs"
			}
			r.Certificates = append(r.Certificates, c)
		}
	}
	return r.parseData(tbs)
}

func (r *OCSP) parseData(element cryptobyte.String) (bad string) {
	var s, part, v cryptobyte.String
	element.ReadASN1(&s, asn1.SEQUENCE)
	if !s.SkipOptionalASN1(asn1.Tag(0).ContextSpecific().Constructed()) {
		return "version"
	}
	var tag asn1.Tag
	if !s.ReadAnyASN1(&part, &tag) {
		return "responderID"
	}
	switch {
	case tag == asn1.Tag(1).ContextSpecific().Constructed():
		if r.ResponderName, r.HasName = Canonical(part); !r.HasName {
			return "responderID"
		}
	case tag == asn1.Tag(2).ContextSpecific().Constructed() && part.ReadASN1(&v, asn1.OCTET_STRING) && part.Empty():
		r.ResponderKey = v
	default:
		return "responderID"
	}
	if !readTime(&s, &r.ProducedAt) {
		return "producedAt"
	}
	if !s.ReadASN1(&part, asn1.SEQUENCE) {
		return "responses"
	}
	for !part.Empty() {
		var single Single
		if len(r.Singles) == maxSingles || !single.read(&part) {
			return "SingleResponse"
		}
		r.Singles = append(r.Singles, single)
	}
	ok := readExtensions(&s, func(e Extension) {
		switch oid.OID(e.ID) {
		case oid.OCSPNonce:
			value := cryptobyte.String(e.Value)
			// QUIRK: some responders return the bare octets without the OCTET STRING.
			if r.Nonce = e.Value; value.ReadASN1(&v, asn1.OCTET_STRING) && value.Empty() {
				r.Nonce = v
			}
		default:
			if e.Critical {
				r.UnknownCritical = e.ID
			}
		}
	})
	if !ok || !s.Empty() {
		return "responseExtensions"
	}
	return ""
}

// readExtensions reads an optional [1] EXPLICIT Extensions.
func readExtensions(s *cryptobyte.String, each func(Extension)) bool {
	var part, list cryptobyte.String
	var has bool
	if !s.ReadOptionalASN1(&part, &has, asn1.Tag(1).ContextSpecific().Constructed()) {
		return false
	}
	if !has {
		return true
	}
	if !part.ReadASN1(&list, asn1.SEQUENCE) || !part.Empty() {
		return false
	}
	for !list.Empty() {
		var e Extension
		if !readExtension(&list, &e) {
			return false
		}
		each(e)
	}
	return true
}

func (x *Single) read(list *cryptobyte.String) bool {
	var s, id, alg, hash, v cryptobyte.String
	if !list.ReadASN1(&s, asn1.SEQUENCE) || !s.ReadASN1(&id, asn1.SEQUENCE) || !id.ReadASN1(&alg, asn1.SEQUENCE) || !alg.ReadASN1(&hash, asn1.OBJECT_IDENTIFIER) {
		return false
	}
	x.Hash = oid.OID(hash)
	var name, key, serial cryptobyte.String
	if !id.ReadASN1(&name, asn1.OCTET_STRING) || !id.ReadASN1(&key, asn1.OCTET_STRING) || !id.ReadASN1(&serial, asn1.INTEGER) || len(serial) == 0 || !id.Empty() {
		return false
	}
	x.NameHash, x.KeyHash, x.Serial = name, key, serial
	var tag asn1.Tag
	if !s.ReadAnyASN1(&v, &tag) {
		return false
	}
	switch tag {
	case asn1.Tag(0).ContextSpecific():
		x.Good = true
	case asn1.Tag(1).ContextSpecific().Constructed():
		// RevokedInfo ::= SEQUENCE { revocationTime GeneralizedTime, revocationReason [0] EXPLICIT CRLReason OPTIONAL }
		x.Revoked = new(Revoked)
		var reason, code cryptobyte.String
		var has bool
		if !readTime(&v, &x.Revoked.At) || !v.ReadOptionalASN1(&reason, &has, asn1.Tag(0).ContextSpecific().Constructed()) || !v.Empty() {
			return false
		}
		if has {
			if !reason.ReadASN1(&code, asn1.ENUM) || len(code) != 1 {
				return false
			}
			x.Revoked.Reason, x.Revoked.HasReason = int(code[0]), true
		}
	case asn1.Tag(2).ContextSpecific(), asn1.Tag(2).ContextSpecific().Constructed():
	default:
		return false
	}
	if !readTime(&s, &x.ThisUpdate) {
		return false
	}
	if !s.ReadOptionalASN1(&v, &x.HasNextUpdate, asn1.Tag(0).ContextSpecific().Constructed()) || x.HasNextUpdate && !readTime(&v, &x.NextUpdate) {
		return false
	}
	ok := readExtensions(&s, func(e Extension) {
		value := cryptobyte.String(e.Value)
		switch id := oid.OID(e.ID); {
		case id == oid.InvalidityDate && x.Revoked != nil:
			x.Revoked.HasInvalidity = readTime(&value, &x.Revoked.InvalidityAt)
		case id == oid.OCSPArchiveCutoff:
			x.KeepsExpired = readTime(&value, &x.KeptSince)
		case e.Critical:
			x.UnknownCritical = e.ID
		}
	})
	return ok && s.Empty()
}

// KeyBits returns the content of subjectPublicKey without the count of unused bits, which
// is what the key hashes of OCSP cover (RFC 6960, Section 4.1.1).
func KeyBits(spki []byte) []byte {
	s := cryptobyte.String(spki)
	var body, bits cryptobyte.String
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !body.SkipASN1(asn1.SEQUENCE) || !body.ReadASN1(&bits, asn1.BIT_STRING) || len(bits) == 0 {
		return nil
	}
	return bits[1:]
}

// OCSPRequest encodes a request about one certificate.
//
//	OCSPRequest     ::=     SEQUENCE {
//	    tbsRequest                  TBSRequest }
//
//	TBSRequest      ::=     SEQUENCE {
//	    requestList                 SEQUENCE OF Request,
//	    requestExtensions   [2]     EXPLICIT Extensions OPTIONAL }
//
//	Request         ::=     SEQUENCE { reqCert CertID }
func OCSPRequest(hash oid.OID, nameHash, keyHash, serial, nonce []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(hash)) })
							b.AddASN1NULL()
						})
						b.AddASN1OctetString(nameHash)
						b.AddASN1OctetString(keyHash)
						b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(serial) })
					})
				})
			})
			if nonce != nil {
				b.AddASN1(asn1.Tag(2).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(oid.OCSPNonce)) })
							b.AddASN1(asn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddASN1OctetString(nonce) })
						})
					})
				})
			}
		})
	})
	return b.BytesOrPanic()
}
