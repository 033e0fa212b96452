// Package limits holds every bound that untrusted input meets, in one place, with the
// reason for its size. A limit is checked before the work or the allocation it bounds.
// Packages return their own error for an exceeded limit and wrap [Exceeded].
package limits

import "fmt"

// ASN.1 (RFC 5652 structures in BER; threats.md, group D).
const (
	Depth           = 64       // nesting of constructed elements; real CMS needs about 20
	StringNesting   = 3        // constructed OCTET STRINGs inside each other; senders use one level
	OIDLength       = 128      // octets of one OBJECT IDENTIFIER
	Element         = 16 << 20 // one element held in memory, such as the certificate set
	Certificates    = 256      // in one SignedData
	CRLs            = 64       // in one SignedData
	CRLSize         = 32 << 20 // a CRL of 500,000 entries has 24.5 MB
	OCSPSize        = 64 << 10 // an OCSP response with its responder has 2 KB
	CertificateSize = 64 << 10 // the largest certificate seen in the wild has 30 KB
	SignerInfos     = 16
	RecipientInfos  = 10_000
	// All layers of a message together: what one SignedData may hold beside its content, and
	// what certificates take in memory once they are read, which may be 14 times as much.
	Beside            = Element + CRLSize
	CertificateMemory = 48 << 20
	// Each layer hashes all that is inside, by every function it announces. The work is counted
	// in octets under SHA-256, and grows with what was received: 1 s for what was compressed.
	Digests     = 32 // functions at work in one message; each has up to 2 MB waiting
	DigestWork  = 1 << 30
	DigestRatio = 16
	// A verification takes 12 ms with the largest RSA key and as long with Ed448, and one
	// SignerInfo may need two: this is what a message may cost at most.
	SignerCandidates = 4         // certificates tried for one SignerInfo
	SignatureChecks  = 64        // verifications in one message
	SignatureWork    = 4096 * 10 // the same by what they take, in tenths of a P-256 verification: 0.3 s
	PathWork         = 2048      // before the last path of a message is looked for, in P-256 verifications: 0.15 s
	// What anybody can add beside the signatures must not take their share: as many
	// verifications, at half the price.
	EvidenceChecks   = 64
	EvidenceWork     = 2048 * 10
	EvidencePathWork = 1024
	EvidenceOctets   = 2 << 20 // of certificates in the time stamps of one message; one has 6 KB
	Attributes       = 64
	AttributeSize    = 64 << 10
	Layers           = 16       // CMS layers in one message; triple wrapping has three
	Candidates       = 32       // certificates looked at for one address; people have a handful
	NameText         = 2 << 10  // octets of text in a Name that is not plain ASCII; long ones have 300
	NameComparisons  = 64       // in one message, of names that are not the same octets
	WholeContent     = 64 << 10 // content kept for signature algorithms that need all of it at once
)

// Keys and key derivation.
const (
	RSAModulusMin = 2048  // bits; below only for reading old mail
	RSAModulusMax = 16384 // bits; one verification takes 5 to 16 ms
	DSAModulusMax = 3072  // bits; the largest of FIPS 186-4
	// A content that several keys may fit is deciphered with each: octets times keys.
	TriedOctets    = 512 << 20  // 0.5 s of AES
	TriedLegacy    = 128 << 20  // 5 s of Triple-DES
	KDFIterations  = 1_000_000  // PBKDF2 in a message: about 0.26 s
	FileIterations = 10_000_000 // all KDF work in a local key file together, see H01
	ScryptMemory   = 64 << 20
)

// Compression (RFC 3274): zlib reaches 1028:1.
const (
	DecompressedSize  = 64 << 20
	DecompressedRatio = 100
	CompressedLayers  = 2 // in one message: each multiplies the ratio
)

// MIME (threats.md, E14).
const (
	MIMEDepth       = 32
	MIMEParts       = 1000
	HeaderSize      = 1 << 20
	HeaderFields    = 1000
	BoundaryLength  = 70 // RFC 2046, Section 5.1.1
	SignaturePart   = 16 << 20
	HeldInMemory    = 32 << 20 // what Open holds of a message it cannot vouch for yet
	AddressLength   = 320
	SerializedStore = 16 << 20 // bytes of a Microsoft serialized store
	StoreElements   = 20_000
)

// Exceeded is the error for an input that is larger than a limit allows.
type Exceeded struct {
	What string // what was counted, such as "certificates"
	Max  int64  // the limit
}

func (e *Exceeded) Error() string { return fmt.Sprintf("more than %d %s", e.Max, e.What) }
