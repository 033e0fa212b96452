package bundle

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"

	"github.com/postseal/postseal/internal/limits"
)

// The serialized certificate store ([MS-OSHARED], Section 2.3.9.1): a header, elements,
// an end marker; all numbers little-endian, nothing aligned.
//
//	header   version u32 = 0 | "CERT"
//	element  id u32 | encoding u32 = 1 | length u32 | value
//	end      id u32 = 0 | 8 octets of zero
const (
	sstHeader  = "\x00\x00\x00\x00CERT"
	sstElement = 12 // octets before the value of an element, and of the end marker

	sstEncodingDER = 1 // X509_ASN_ENCODING

	// Elements. Every other id below 0x10000 is a property of the next certificate.
	sstSHA1         = 0x03
	sstFriendlyName = 0x0b // UTF-16LE, ends with NUL
	sstCertificate  = 0x20
	sstCRL          = 0x21 // not in the specification, written by Windows and Wine
	sstCTL          = 0x22 // likewise
	sstPropertyMax  = 0xffff
)

// IsSST reports whether data begins like a serialized store.
func IsSST(data []byte) bool { return bytes.HasPrefix(data, []byte(sstHeader)) }

// sst reads a serialized store. Properties never alter trust: a friendly name is kept for
// display, a SHA-1 is compared, all others are ignored.
func (r Reader) sst(b *Bundle, data []byte) error {
	var hash []byte // property 3, for the certificate that follows
	var name string
	var last *x509.Certificate
	for pos, n := len(sstHeader), 0; ; n++ {
		if pos == len(data) {
			b.warn(-1, pos, errors.New("end marker is missing"))
			return nil
		}
		if len(data)-pos < sstElement {
			return &Error{b.Format, n, pos, io.ErrUnexpectedEOF}
		}
		if n >= 8*r.MaxElements { // a certificate has a handful of properties
			return &limits.Exceeded{What: "elements in a serialized store", Max: int64(8 * r.MaxElements)}
		}
		id := binary.LittleEndian.Uint32(data[pos:])
		encoding := binary.LittleEndian.Uint32(data[pos+4:])
		length := binary.LittleEndian.Uint32(data[pos+8:])
		if id == 0 {
			if encoding != 0 || length != 0 {
				return &Error{b.Format, n, pos, errors.New("end marker holds something")}
			}
			if rest := len(data) - pos - sstElement; rest > 0 {
				b.warn(-1, pos+sstElement, fmt.Errorf("%d octets after the end marker", rest))
			}
			return nil
		}
		if int64(length) > int64(len(data)-pos-sstElement) {
			return &Error{b.Format, n, pos, fmt.Errorf("element claims %d octets: %w", length, io.ErrUnexpectedEOF)}
		}
		value := data[pos+sstElement : pos+sstElement+int(length)]
		at := pos
		pos += sstElement + int(length)
		switch {
		case encoding != sstEncodingDER:
			b.warn(n, at, fmt.Errorf("encoding %d of element type %#x is unknown", encoding, id))
		case id == sstSHA1:
			hash = value
		case id == sstFriendlyName:
			name = utf16String(value)
		case id == sstCertificate:
			c, err := r.certificate(b, value, at+sstElement)
			if err != nil {
				return err
			}
			if hash != nil && !sha1Is(hash, value) && (last == nil || !sha1Is(hash, last.Raw)) {
				b.warn(n, at, errors.New("SHA-1 property is that of another certificate"))
			}
			if c != nil && name != "" {
				b.Names[c] = name
			}
			hash, name, last = nil, "", c
		case id == sstCRL:
			if err := r.crl(b, value); err != nil {
				return err
			}
			hash, name = nil, ""
		case id == sstCTL:
			hash, name = nil, ""
		case id > sstPropertyMax:
			b.warn(n, at, fmt.Errorf("element type %#x is unknown", id))
		}
	}
}

func sha1Is(hash, value []byte) bool {
	sum := sha1.Sum(value)
	return bytes.Equal(hash, sum[:])
}

// utf16String decodes a NUL-terminated UTF-16LE string of at most 256 units.
func utf16String(b []byte) string {
	var units []uint16
	for ; len(b) >= 2 && len(units) < 256; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// WriteSST writes a serialized store: certs in their order, each once, without properties
// (old readers find nothing in a file that has them), and the end marker.
func WriteSST(w io.Writer, certs []*x509.Certificate) error {
	out := []byte(sstHeader)
	for _, c := range unique(certs) {
		out = binary.LittleEndian.AppendUint32(out, sstCertificate)
		out = binary.LittleEndian.AppendUint32(out, sstEncodingDER)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(c.Raw)))
		out = append(out, c.Raw...)
	}
	out = append(out, make([]byte, sstElement)...)
	_, err := w.Write(out)
	return err
}

// unique drops certificates that occurred before.
func unique(certs []*x509.Certificate) []*x509.Certificate {
	seen := make(map[[32]byte]bool, len(certs))
	var list []*x509.Certificate
	for _, c := range certs {
		if sum := sha256.Sum256(c.Raw); !seen[sum] {
			seen[sum] = true
			list = append(list, c)
		}
	}
	return list
}
