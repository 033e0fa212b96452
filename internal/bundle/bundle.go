// Package bundle reads and writes files of certificates: PEM, DER, PKCS#7 and Microsoft's
// serialized store. [Parse] finds out which of them it has been given; [WriteSST], [WritePEM]
// and [WriteP7B] write. Nothing in such a file is trusted, and no private key is read.
//
// # Limits
//
// A file has at most 16 MiB and 20,000 elements, a certificate 64 KiB. Lengths in a file are
// compared with what is there before anything is allocated.
package bundle

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/pkix"
)

// A Bundle is the content of a file, in its order, each certificate once.
type Bundle struct {
	Format       string // "pem", "der", "pkcs7" or "sst"
	Certificates []*x509.Certificate
	CRLs         [][]byte                     // DER, not parsed
	Names        map[*x509.Certificate]string // friendly names, for display, where the file has them
	Warnings     []error                      // what was left out or looks odd; mostly *Error

	elements int
	seen     map[[32]byte]bool
}

// An Error says where a file is wrong.
type Error struct {
	Format string // as in Bundle
	Index  int    // number of the element, from 0; -1 if the file as a whole is wrong
	Offset int    // in octets, from the beginning of the file
	Err    error
}

func (e *Error) Error() string {
	if e.Index < 0 {
		return fmt.Sprintf("%s file, offset %d: %v", e.Format, e.Offset, e.Err)
	}
	return fmt.Sprintf("%s file, element %d at offset %d: %v", e.Format, e.Index, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrEncrypted is the error for a file whose content needs a password: PKCS#12.
var ErrEncrypted = errors.New("PKCS#12 file: it needs a password and is read as an identity")

var errNothing = errors.New("neither a certificate nor a CRL")

// A Reader reads files with limits other than the usual ones. The zero value of every
// limit means the one in the package comment.
type Reader struct {
	Strict         bool // every warning is an error
	MaxSize        int  // octets of a file
	MaxElements    int  // of a file
	MaxCertificate int  // octets of one certificate
}

// Parse reads a file of any known format leniently: see [Reader.Parse].
func Parse(data []byte) (*Bundle, error) { return Reader{}.Parse(data) }

// Parse reads a file of any known format. A certificate that cannot be read becomes a
// warning, and reading goes on with the next; it is an error if nothing could be read.
func (r Reader) Parse(data []byte) (*Bundle, error) {
	r = r.withLimits()
	b := &Bundle{Names: map[*x509.Certificate]string{}, seen: map[[32]byte]bool{}}
	if len(data) > r.MaxSize {
		return nil, &limits.Exceeded{What: "octets in a certificate file", Max: int64(r.MaxSize)}
	}
	var err error
	switch {
	case IsSST(data):
		b.Format = "sst"
		err = r.sst(b, data)
	case bytes.Contains(data, []byte("-----BEGIN ")):
		b.Format = "pem"
		err = r.pem(b, data)
	default:
		b.Format = "der"
		der := bareBase64(data)
		if err = r.der(b, der, 0); err == nil && len(b.Certificates)+len(b.CRLs) == 0 && len(b.Warnings) == 1 {
			err = b.Warnings[0]
		}
	}
	if err != nil {
		return nil, err
	}
	if len(b.Certificates)+len(b.CRLs) == 0 {
		switch {
		case len(b.Warnings) > 0:
			return nil, errors.Join(b.Warnings...)
		case b.Format == "pem" || b.Format == "der": // the others can say that they are empty
			return nil, &Error{b.Format, -1, 0, errNothing}
		}
	}
	if r.Strict && len(b.Warnings) > 0 {
		return nil, errors.Join(b.Warnings...)
	}
	return b, nil
}

func (r Reader) withLimits() Reader {
	if r.MaxSize == 0 {
		r.MaxSize = limits.SerializedStore
	}
	if r.MaxElements == 0 {
		r.MaxElements = limits.StoreElements
	}
	if r.MaxCertificate == 0 {
		r.MaxCertificate = limits.CertificateSize
	}
	return r
}

// certificate adds the certificate in der, or a warning in its place.
func (r Reader) certificate(b *Bundle, der []byte, offset int) (*x509.Certificate, error) {
	n := b.elements
	if err := r.count(b); err != nil {
		return nil, err
	}
	if len(der) > r.MaxCertificate {
		b.warn(n, offset, &limits.Exceeded{What: "octets in a certificate", Max: int64(r.MaxCertificate)})
		return nil, nil
	}
	c, err := pkix.ParseCertificate(der)
	if err != nil {
		b.warn(n, offset, err)
		return nil, nil
	}
	if sum := sha256.Sum256(der); !b.seen[sum] {
		b.seen[sum] = true
		b.Certificates = append(b.Certificates, c)
	}
	return c, nil
}

// count counts one more element.
func (r Reader) count(b *Bundle) error {
	if b.elements++; b.elements > r.MaxElements {
		return &limits.Exceeded{What: "elements in a certificate file", Max: int64(r.MaxElements)}
	}
	return nil
}

// odd leaves a warning in the place of an element that is not read.
func (r Reader) odd(b *Bundle, offset int, err error) error {
	b.warn(b.elements, offset, err)
	return r.count(b)
}

// crl adds the CRL in der.
func (r Reader) crl(b *Bundle, der []byte) error {
	if err := r.count(b); err != nil {
		return err
	}
	b.CRLs = append(b.CRLs, bytes.Clone(der))
	return nil
}

// maxWarnings bounds what a file of nothing but rubbish can make us say about it.
const maxWarnings = 1000

func (b *Bundle) warn(index, offset int, err error) {
	switch len(b.Warnings) {
	case maxWarnings:
		return
	case maxWarnings - 1:
		err = fmt.Errorf("%w (and more, not listed)", err)
	}
	b.Warnings = append(b.Warnings, &Error{b.Format, index, offset, err})
}

// bareBase64 decodes data if it is DER in base64 without armour, as directories and some
// tools hand it out.
func bareBase64(data []byte) []byte {
	// DER comes back untouched: its last octet may look like a space.
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("MI")) {
		return data
	}
	der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(data), nil)))
	if err != nil {
		return data
	}
	return der
}
