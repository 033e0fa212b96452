package cms

import (
	"errors"
	"io"

	"golang.org/x/crypto/cryptobyte"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/oid"
)

// errClosed is returned by writers that have been closed.
var errClosed = errors.New("cms: write to a closed message")

// The errors of a ber.Writer are final, so the last call of a sequence tells them all.

// beginContentInfo begins a ContentInfo of indefinite length and the SEQUENCE in it, and
// writes head, the encoded elements that come first there.
func beginContentInfo(w *ber.Writer, contentType oid.OID, head []byte) error {
	w.Begin(ber.Sequence)
	w.Raw(oidDER(contentType))
	w.Begin(ber.Context(0))
	w.Begin(ber.Sequence)
	return w.Raw(head)
}

// beginEncapsulated begins a ContentInfo, and in it an EncapsulatedContentInfo of type
// id-data, up to the octets of its content.
func beginEncapsulated(w *ber.Writer, contentType oid.OID, head []byte) (io.WriteCloser, error) {
	beginContentInfo(w, contentType, head)
	w.Begin(ber.Sequence)
	w.Raw(oidDER(oid.Data))
	w.Begin(ber.Context(0))
	return w.Octets(ber.OctetString)
}

// endEncapsulated ends an EncapsulatedContentInfo whose content has been closed.
func endEncapsulated(w *ber.Writer) error {
	w.End()
	return w.End()
}

// endWriting ends what beginContentInfo began.
func endWriting(w *ber.Writer) error {
	w.End()
	w.End()
	return w.End()
}

func oidDER(o oid.OID) []byte {
	var b cryptobyte.Builder
	addOID(&b, o)
	return b.BytesOrPanic()
}
