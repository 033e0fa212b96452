package smime

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/postseal/postseal/internal/mimeraw"
	"github.com/postseal/postseal/internal/tnef"
)

// maxTNEFStart is how much of a TNEF part is kept while it is not known whether it holds
// an S/MIME entity, in octets of its transfer encoding.
const maxTNEFStart = 2 << 20

// isTNEF reports whether an entity is the container that Exchange sends to those it takes
// for Outlook.
func isTNEF(e *mimeraw.Entity, mt mimeraw.MediaType) bool {
	switch mt.Type {
	case "application/ms-tnef", "application/vnd.ms-tnef":
		return true
	case "application/octet-stream":
		return strings.EqualFold(fileName(e.Header, mt), "winmail.dat")
	}
	return false
}

// tnefLayer returns the layer in a TNEF part, or nil if the part is ordinary content; e
// then still has all of its body.
// QUIRK: Exchange wraps S/MIME messages as winmail.dat with one attachment, smime.p7m.
func (p *pass) tnefLayer(e *mimeraw.Entity) (layerReader, error) {
	seen := &recorder{r: e.Body}
	body, err := (&mimeraw.Entity{Header: e.Header, Body: seen}).Decoded()
	if err != nil {
		return nil, err
	}
	m, err := tnef.Open(body)
	if err != nil {
		e.Body = seen.again()
		return nil, nil
	}
	object := bufio.NewReader(&tnefReader{m})
	switch start, _ := object.Peek(64); {
	case cmsStart(start):
		seen.stop()
		p.warnings = append(p.warnings, "mime.tnef")
		return p.cmsLayer(object, nil)
	case bytes.HasPrefix(bytes.ToLower(start), []byte("content-type:")), bytes.HasPrefix(bytes.ToLower(start), []byte("mime-version:")):
		// The whole entity of a clear-signed message, with its own header.
		inner, err := mimeraw.ReadEntity(object)
		if err != nil {
			break
		}
		if mt, ok := mediaType(inner); ok && mt.Type == "multipart/signed" && smimeProtocol(mt.Params["protocol"]) {
			seen.stop()
			p.warnings = append(p.warnings, "mime.tnef")
			return p.multipartSigned(inner, mt)
		}
	}
	e.Body = seen.again()
	return nil, nil
}

// tnefPart says what a TNEF part inside the content holds, or nil.
func tnefPart(e *mimeraw.Entity) *Layer {
	body, err := e.Decoded()
	if err != nil {
		return nil
	}
	data := bufio.NewReader(body)
	if start, _ := data.Peek(64); cmsStart(start) {
		return structureIn(data) // the label is wrong, as any other may be (threats.md, E15)
	}
	m, err := tnef.Open(data)
	if err != nil {
		return nil
	}
	object := bufio.NewReader(m)
	if start, _ := object.Peek(64); cmsStart(start) {
		return structureIn(object)
	}
	inner, err := mimeraw.ReadEntity(object)
	if err != nil {
		return nil
	}
	if mt, ok := mediaType(inner); ok && mt.Type == "multipart/signed" && smimeProtocol(mt.Params["protocol"]) {
		return &Layer{Kind: "signed", Form: "multipart"}
	}
	return nil
}

// A tnefReader reads the attachment and, at its end, the rest of the container: nothing
// may stand beside the attachment.
type tnefReader struct{ m *tnef.Message }

func (t *tnefReader) Read(b []byte) (int, error) {
	n, err := t.m.Read(b)
	if err == io.EOF {
		if end := t.m.Finish(); end != nil {
			err = end
		}
	}
	return n, err
}

// cmsStart reports whether data begins as a ContentInfo does: a SEQUENCE, and in it an
// object identifier below pkcs-7 or pkcs-9.
func cmsStart(data []byte) bool {
	if len(data) < 2 || data[0] != 0x30 {
		return false
	}
	length := 2
	if data[1] > 0x80 {
		length += int(data[1] & 0x7f)
	}
	if length > len(data) {
		return false
	}
	data = data[length:]
	return len(data) > 12 && data[0] == 0x06 && bytes.HasPrefix(data[2:], []byte("\x2a\x86\x48\x86\xf7\x0d\x01")) &&
		(data[9] == 7 || data[9] == 9)
}

// A recorder keeps what was read from a reader, until it is told to stop.
type recorder struct {
	r       io.Reader
	kept    []byte
	stopped bool
}

var errTNEFStart = errors.New("no S/MIME entity near the beginning of a TNEF part")

func (c *recorder) Read(b []byte) (int, error) {
	if !c.stopped && len(c.kept) > maxTNEFStart {
		return 0, errTNEFStart
	}
	n, err := c.r.Read(b)
	if !c.stopped {
		c.kept = append(c.kept, b[:n]...)
	}
	return n, err
}

func (c *recorder) stop() { c.kept, c.stopped = nil, true }

// again returns a reader of everything from the beginning.
func (c *recorder) again() io.Reader {
	return io.MultiReader(bytes.NewReader(c.kept), c.r)
}
