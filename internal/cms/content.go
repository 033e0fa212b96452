package cms

import (
	"bytes"
	"io"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// A Content is a CMS structure that is being read. It reads as the octets of its content
// (an EnvelopedData once it has been unlocked).
type Content interface {
	// Type returns the content type that ContentInfo names, which is what decides, not
	// the label of a message around it.
	Type() oid.OID
	// Read returns content octets, and io.EOF after the last. Nothing read may be relied
	// on before Finish has returned nil.
	io.Reader
	// Finish reads what is left of the content and of the structure. It fails unless the
	// structure is complete and nothing follows it.
	Finish() error
}

// Open reads a ContentInfo in BER or DER from r, up to its content, and returns it as the
// type of this package for its content type. A content type that this package does not
// know is an [UnsupportedError].
//
//	ContentInfo ::= SEQUENCE {
//	  contentType OBJECT IDENTIFIER,
//	  content     [0] EXPLICIT ANY DEFINED BY contentType }
func Open(r io.Reader) (Content, error) {
	br := ber.NewReader(r)
	if err := br.Enter(ber.Sequence); err != nil {
		return nil, err
	}
	t, err := nextOID(br, "contentType")
	if err != nil {
		return nil, err
	}
	if err := br.Enter(ber.Context(0)); err != nil {
		return nil, err
	}
	var c Content
	switch t {
	case oid.Data:
		c, err = openData(br)
	case oid.SignedData:
		c, err = openSigned(br)
	case oid.EnvelopedData, oid.AuthEnvelopedData:
		c, err = openEnveloped(br, t)
	case oid.EncryptedData:
		c, err = openEncrypted(br)
	case oid.AuthenticatedData:
		c, err = openAuthenticated(br)
	case oid.DigestedData:
		c, err = openDigested(br)
	case oid.CompressedData:
		c, err = openCompressed(br)
	default:
		err = &UnsupportedError{What: "content type", OID: t}
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// endContentInfo ends all that is open: the elements must end here, and the input too.
func endContentInfo(br *ber.Reader) error {
	for br.Depth() > 0 {
		if err := br.Leave(); err != nil {
			return err
		}
	}
	return br.End()
}

// Data is bare content, without any protection (RFC 5652, Section 4).
type Data struct {
	br       *ber.Reader
	content  io.Reader
	finished bool
	err      error
}

func openData(br *ber.Reader) (*Data, error) {
	content, err := br.Octets(ber.OctetString)
	if err != nil {
		return nil, err
	}
	return &Data{br: br, content: content}, nil
}

// Type returns id-data.
func (d *Data) Type() oid.OID { return oid.Data }

// Read implements [Content].
func (d *Data) Read(p []byte) (int, error) { return d.content.Read(p) }

// Finish implements [Content].
func (d *Data) Finish() error {
	if !d.finished {
		d.finished = true
		if _, d.err = io.Copy(io.Discard, d.content); d.err == nil {
			d.err = endContentInfo(d.br)
		}
	}
	return d.err
}

// An encapsulated is a content with its type, as several structures carry it. It is read
// from
//
//	EncapsulatedContentInfo ::= SEQUENCE {
//	  eContentType OBJECT IDENTIFIER,
//	  eContent     [0] EXPLICIT OCTET STRING OPTIONAL }
//
// The content reader also implements io.WriterTo.
type encapsulated struct {
	br          *ber.Reader
	contentType oid.OID
	content     io.Reader // nil if there is none
}

// openEncapsulated reads an EncapsulatedContentInfo up to its content.
func openEncapsulated(br *ber.Reader) (*encapsulated, error) {
	if err := br.Enter(ber.Sequence); err != nil {
		return nil, err
	}
	t, err := nextOID(br, "eContentType")
	if err != nil {
		return nil, err
	}
	e := &encapsulated{br: br, contentType: t}
	if _, err := br.Peek(); err == io.EOF {
		return e, nil
	} else if err != nil {
		return nil, err
	}
	if err := br.Enter(ber.Context(0)); err != nil {
		return nil, err
	}
	if h, err := br.Peek(); err == nil && h.Tag != ber.OctetString && t != oid.Data {
		e.content, err = anyContent(br)
		return e, err
	}
	e.content, err = br.Octets(ber.OctetString)
	return e, err
}

// anyContent consumes an element and returns its content octets: what a digest covers if
// the content is not an OCTET STRING.
//
// QUIRK: PKCS #7 had content of any type (RFC 5652, Section 5.2.1). Authenticode and .NET
// Framework write it still.
func anyContent(br *ber.Reader) (io.Reader, error) {
	h, err := br.Peek()
	if err != nil {
		return nil, err
	}
	raw, err := br.Raw(limits.Element)
	if err != nil {
		return nil, err
	}
	if h.Length < 0 {
		return bytes.NewReader(raw[2 : len(raw)-2]), nil
	}
	return bytes.NewReader(raw[len(raw)-int(h.Length):]), nil
}

// end ends the EncapsulatedContentInfo, whose content has been read to its end.
func (e *encapsulated) end() error {
	if e.content != nil {
		if err := e.br.Leave(); err != nil {
			return err
		}
	}
	return e.br.Leave()
}
