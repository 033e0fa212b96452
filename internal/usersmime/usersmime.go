// Package usersmime reads and writes the values of the directory attribute
// userSMIMECertificate. Directories check nothing, so that three shapes occur: a CMS
// SignedData that holds the user's certificates and is signed with one of them (RFC 2798,
// Section 2.8), a block of MAPI tags as Outlook stores it in contacts (MS-OXOABK, Section
// 2.2.4.36), and a bare certificate.
//
// [Parse] reads all three, [Sign] writes the first.
package usersmime

import (
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/pkix"
)

// MaxValue is the largest value Active Directory takes for userSMIMECertificate and
// userCertificate, in octets.
const MaxValue = 32768

// A Found is a certificate that a value held, and what the value says about it.
type Found struct {
	Certificate  *x509.Certificate
	Default      bool   // marked as the one to encrypt to
	Published    bool   // the value is well signed with its key, or that of another certificate of the same mailbox
	Chain        bool   // a certificate of the path, not the user's own
	Capabilities []byte // DER of SMIMECapabilities, nil if the value has none
}

// A Reader reads the values of one entry. What the signatures in all of them cost is bounded
// together: an entry may have as many values as its owner likes.
type Reader struct {
	checks, work int
}

// Parse reads a single value; see [Reader.Parse].
func Parse(value []byte) (found []Found, warnings []error, err error) {
	return new(Reader).Parse(value)
}

// Parse returns the certificates in a value, the user's own first. What cannot be read
// within a value that holds certificates is left out and reported as a warning; a value
// of none of the three shapes is an error.
func (r *Reader) Parse(value []byte) (found []Found, warnings []error, err error) {
	if len(value) > limits.Element {
		return nil, nil, &limits.Exceeded{What: "octets of a userSMIMECertificate value", Max: limits.Element}
	}
	if len(value) == 0 {
		return nil, nil, errors.New("usersmime: empty value")
	}
	if value[0] != 0x30 {
		return parseTags(value)
	}
	switch first(value) {
	case asn1.OBJECT_IDENTIFIER:
		return r.parseSigned(value)
	case asn1.SEQUENCE:
		c, err := pkix.ParseCertificate(value)
		if err != nil {
			return nil, nil, fmt.Errorf("usersmime: certificate: %w", err)
		}
		return []Found{{Certificate: c}}, nil, nil
	}
	return nil, nil, errors.New("usersmime: neither a certificate nor SignedData nor a block of tags")
}

// first returns the tag of the first element inside a SEQUENCE, which may have an
// indefinite length.
func first(value []byte) asn1.Tag {
	if len(value) < 2 {
		return 0
	}
	header := 2
	if n := value[1]; n > 0x80 {
		header += int(n & 0x7f)
	}
	if len(value) <= header {
		return 0
	}
	return asn1.Tag(value[header])
}

// The tags of a MAPI block (MS-OXOABK, Section 2.2.4.36). All numbers are little-endian:
//
//	TAG u16 | LENGTH u16, which counts these four octets too | DATA
const (
	tagCapabilities = 0x0002
	tagExchange     = 0x0003 // the certificate to encrypt to
	tagChain        = 0x0004 // may occur more than once
	tagSigning      = 0x0008
	tagFlags        = 0x0020 // 1: default for S/MIME, 2: default for everything
)

func parseTags(value []byte) (found []Found, warnings []error, err error) {
	var exchange, signing *x509.Certificate
	var chain []*x509.Certificate
	var capabilities []byte
	var flags uint32
	seen := map[uint16]bool{}
	for rest := value; len(rest) > 0; {
		if len(rest) < 4 {
			return nil, nil, fmt.Errorf("usersmime: %d octets after the last tag", len(rest))
		}
		tag, length := binary.LittleEndian.Uint16(rest), int(binary.LittleEndian.Uint16(rest[2:]))
		if length < 4 || length > len(rest) {
			return nil, nil, fmt.Errorf("usersmime: tag %#04x: length %d", tag, length)
		}
		data := rest[4:length]
		rest = rest[length:]
		if seen[tag] && tag != tagChain {
			return nil, nil, fmt.Errorf("usersmime: tag %#04x occurs twice", tag)
		}
		seen[tag] = true
		var c *x509.Certificate
		switch tag {
		case tagExchange, tagSigning, tagChain:
			if c, err = pkix.ParseCertificate(data); err != nil {
				warnings = append(warnings, fmt.Errorf("usersmime: certificate in tag %#04x: %w", tag, err))
				continue
			}
		}
		switch tag {
		case tagExchange:
			exchange = c
		case tagSigning:
			signing = c
		case tagChain:
			if len(chain) == limits.Certificates {
				return nil, nil, &limits.Exceeded{What: "certificates", Max: limits.Certificates}
			}
			chain = append(chain, c)
		case tagCapabilities:
			if isCapabilities(data) {
				capabilities = data
			} else {
				warnings = append(warnings, errors.New("usersmime: capabilities cannot be read"))
			}
		case tagFlags:
			if len(data) == 4 {
				flags = binary.LittleEndian.Uint32(data)
			}
		}
	}
	if exchange != nil {
		found = append(found, Found{Certificate: exchange, Default: flags&3 != 0, Capabilities: capabilities})
	}
	if signing != nil && (exchange == nil || !exchange.Equal(signing)) {
		found = append(found, Found{Certificate: signing, Capabilities: capabilities})
	}
	for _, c := range chain {
		found = append(found, Found{Certificate: c, Chain: true})
	}
	if len(found) == 0 && len(warnings) == 0 {
		return nil, nil, errors.New("usersmime: a block of tags without a certificate")
	}
	return found, warnings, nil
}

// isCapabilities reports whether der is
//
//	SMIMECapabilities ::= SEQUENCE OF SEQUENCE {
//	  capabilityID OBJECT IDENTIFIER, parameters ANY DEFINED BY capabilityID OPTIONAL }
//
// of a reasonable size (RFC 8551, Section 2.5.2).
func isCapabilities(der []byte) bool {
	if len(der) > limits.AttributeSize {
		return false
	}
	var list cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&list, asn1.SEQUENCE) || !in.Empty() {
		return false
	}
	for !list.Empty() {
		var one, id cryptobyte.String
		if !list.ReadASN1(&one, asn1.SEQUENCE) || !one.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) || len(id) > limits.OIDLength {
			return false
		}
		if !one.Empty() {
			var parameters cryptobyte.String
			if !one.ReadAnyASN1Element(&parameters, nil) || !one.Empty() {
				return false
			}
		}
	}
	return true
}
