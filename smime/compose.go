package smime

import (
	"crypto/x509"
	"io"

	"github.com/postseal/postseal/certstore"
)

// Sign copies the message src to dst as a multipart/signed message signed by from, with
// the natural algorithm of its key and SHA-256 or better. src is a complete message:
// header, empty line, body. The fields that describe the content move inside the
// signature; the others stay where they are, and the signature covers a copy of them
// (RFC 9788).
func Sign(dst io.Writer, src io.Reader, from *certstore.Identity) error {
	_, err := (&Composer{Signers: []*certstore.Identity{from}}).Compose(dst, src)
	return err
}

// Encrypt copies the message src to dst, encrypted to every certificate in to, of which
// there must be one.
//
// Encryption alone tells the recipient nothing about who sent the message. Most callers
// want [Seal].
func Encrypt(dst io.Writer, src io.Reader, to ...*x509.Certificate) error {
	_, err := (&Composer{Recipients: to}).Compose(dst, src)
	return err
}

// Seal copies the message src to dst, signed by from and then encrypted to every
// certificate in to. There must be one: nothing is written that is signed alone. Add
// from.Certificate() to read the message in a sent folder.
func Seal(dst io.Writer, src io.Reader, from *certstore.Identity, to ...*x509.Certificate) error {
	to = append([]*x509.Certificate{}, to...) // an empty list is refused, where nil would mean a message that is only signed
	_, err := (&Composer{Signers: []*certstore.Identity{from}, Recipients: to, Opaque: true}).Compose(dst, src)
	return err
}
