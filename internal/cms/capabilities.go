package cms

import (
	"crypto"
	"crypto/x509"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// Capabilities are the algorithms that somebody's software says it can read, the
// preferred ones first (RFC 8551, Section 2.5.2).
//
//	SMIMECapabilities ::= SEQUENCE OF SMIMECapability
//
//	SMIMECapability ::= SEQUENCE {
//	  capabilityID OBJECT IDENTIFIER,
//	  parameters   ANY DEFINED BY capabilityID OPTIONAL }
type Capabilities []AlgorithmIdentifier

// ParseCapabilities reads the DER or BER of an SMIMECapabilities.
func ParseCapabilities(b []byte) (Capabilities, error) {
	s := cryptobyte.String(b)
	var body cryptobyte.String
	if !s.ReadASN1(&body, casn1.SEQUENCE) || !s.Empty() {
		return nil, malformed(0, "SMIMECapabilities")
	}
	var out Capabilities
	for !body.Empty() {
		if len(out) == limits.Attributes {
			return nil, &limits.Exceeded{What: "capabilities", Max: limits.Attributes}
		}
		var c AlgorithmIdentifier
		if !readAlgorithm(&body, &c) {
			return nil, malformed(0, "SMIMECapability")
		}
		out = append(out, c)
	}
	return out, nil
}

// DER encodes the capabilities.
func (c Capabilities) DER() []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, one := range c {
			addAlgorithm(b, one.OID, one.Parameters)
		}
	})
	return b.BytesOrPanic()
}

// Has reports whether an algorithm is among them, whatever its parameters.
func (c Capabilities) Has(o oid.OID) bool {
	return slices.ContainsFunc(c, func(one AlgorithmIdentifier) bool { return one.OID == o })
}

// aesBits returns the longest key of AES that is announced, in any mode: 0 if other content
// ciphers are and AES is not, and 256 if nothing is said about content.
func (c Capabilities) aesBits() int {
	bits, others := 0, false
	for _, one := range c {
		for _, known := range contentCiphers {
			if known.oid != one.OID {
				continue
			}
			if known.legacy || known.mode == modeChaCha {
				others = true
			} else {
				bits = max(bits, 8*known.keyLen)
			}
		}
	}
	if bits == 0 && !others {
		return 256
	}
	return bits
}

// hasOAEP reports whether RSAES-OAEP with SHA-256 in both places is among them.
func (c Capabilities) hasOAEP() bool {
	for _, one := range c {
		if one.OID != oid.RSAOAEP {
			continue
		}
		if p, err := parseOAEPParameters(one.Parameters); err == nil && p.hash == crypto.SHA256 && p.mgf == crypto.SHA256 {
			return true
		}
		// QUIRK: the octets that RFC 3560, Section 5 prescribes leave the tags [0] and [1] out.
		if string(one.Parameters) == string(untaggedOAEP()) {
			return true
		}
	}
	return false
}

func untaggedOAEP() []byte {
	sha256 := algorithm(oid.SHA256, null()).Raw
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(sha256)
		addAlgorithm(b, oid.MGF1, sha256)
	})
	return b.BytesOrPanic()
}

// OwnCapabilities returns what this package reads, best first: contents, the binding of
// their key (RFC 9709), and key transport.
func OwnCapabilities() Capabilities {
	var out Capabilities
	for _, o := range []oid.OID{oid.AES256GCM, oid.AES128GCM, oid.ChaCha20Poly1305, oid.AES256CBC, oid.AES192CBC, oid.AES128CBC, oid.CEKHKDFSHA256} {
		out = append(out, algorithm(o, nil))
	}
	return append(out, algorithm(oid.RSAOAEP, oaepParameters{hash: crypto.SHA256, mgf: crypto.SHA256}.der()))
}

// CertificateCapabilities returns the capabilities that a certificate states in its
// extension for them (RFC 4262), or nil.
func CertificateCapabilities(cert *x509.Certificate) Capabilities {
	for _, e := range cert.Extensions {
		if o, err := oid.Parse(e.Id.String()); err == nil && o == oid.SMIMECapabilities {
			if c, err := ParseCapabilities(e.Value); err == nil {
				return c
			}
		}
	}
	return nil
}
