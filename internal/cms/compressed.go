package cms

import (
	"bufio"
	"compress/zlib"
	"errors"
	"io"

	"golang.org/x/crypto/cryptobyte"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// ratioGrace is the size of content up to which any compression ratio is taken: short
// texts of one letter compress without end.
const ratioGrace = 1 << 20

// CompressedData is compressed content (RFC 3274). It reads as the content; more of it
// than limits.DecompressedSize, or than limits.DecompressedRatio times what was received,
// is a limits.Exceeded.
type CompressedData struct {
	br       *ber.Reader
	enc      *encapsulated
	received *countingReader
	zlib     io.Reader // nil until the first Read
	size     int64
	readErr  error
	finished bool
	err      error
}

// openCompressed reads
//
//	CompressedData ::= SEQUENCE {
//	  version              CMSVersion,
//	  compressionAlgorithm CompressionAlgorithmIdentifier,
//	  encapContentInfo     EncapsulatedContentInfo }
//
// up to the content, which must be there and compressed with zlib.
func openCompressed(br *ber.Reader) (*CompressedData, error) {
	if err := br.Enter(ber.Sequence); err != nil {
		return nil, err
	}
	if err := nextVersion(br); err != nil {
		return nil, err
	}
	a, err := nextAlgorithm(br, "compressionAlgorithm")
	if err != nil {
		return nil, err
	}
	if a.OID != oid.ZLIB || !a.NoParameters() {
		return nil, &UnsupportedError{What: "compression algorithm", OID: a.OID}
	}
	c := &CompressedData{br: br}
	if c.enc, err = openEncapsulated(br); err != nil {
		return nil, err
	}
	if c.enc.content == nil {
		return nil, malformed(br.Offset(), "CompressedData: no content")
	}
	c.received = &countingReader{r: bufio.NewReader(c.enc.content)}
	return c, nil
}

// Type returns id-ct-compressedData.
func (c *CompressedData) Type() oid.OID { return oid.CompressedData }

// EContentType returns the type of the content.
func (c *CompressedData) EContentType() oid.OID { return c.enc.contentType }

// Read implements [Content].
func (c *CompressedData) Read(p []byte) (int, error) {
	if c.readErr != nil {
		return 0, c.readErr
	}
	if c.zlib == nil {
		if c.zlib, c.readErr = zlib.NewReader(c.received); c.readErr != nil {
			c.readErr = c.explain(c.readErr)
			return 0, c.readErr
		}
	}
	n, err := c.zlib.Read(p)
	c.size += int64(n)
	switch {
	case c.size > limits.DecompressedSize:
		c.readErr = &limits.Exceeded{What: "octets of decompressed content", Max: limits.DecompressedSize}
	case c.size > ratioGrace && c.size/limits.DecompressedRatio > c.received.n:
		c.readErr = &limits.Exceeded{What: "times the compressed size", Max: limits.DecompressedRatio}
	case err != nil:
		c.readErr = c.explain(err)
	}
	if _, ok := errors.AsType[*limits.Exceeded](c.readErr); ok {
		return 0, c.readErr
	}
	return n, c.readErr
}

// explain makes a syntax error of an error of the decompressor, unless it is one of the
// source.
func (c *CompressedData) explain(err error) error {
	switch {
	case err == io.EOF:
		return err
	case c.received.err != nil && c.received.err != io.EOF:
		return c.received.err
	case err == io.ErrUnexpectedEOF:
		return &SyntaxError{Offset: c.br.Offset(), What: "compressed content ends too early", Err: err}
	}
	return &SyntaxError{Offset: c.br.Offset(), What: "bad compressed content"}
}

// Finish implements [Content].
func (c *CompressedData) Finish() error {
	if !c.finished {
		c.finished = true
		c.err = c.finish()
	}
	return c.err
}

func (c *CompressedData) finish() error {
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{c}); err != nil {
		return err
	}
	if _, err := c.received.ReadByte(); err == nil {
		return &SyntaxError{Offset: c.br.Offset(), What: "data after the compressed content"}
	} else if err != io.EOF {
		return err
	}
	if err := c.enc.end(); err != nil {
		return err
	}
	return endContentInfo(c.br)
}

// countingReader counts what the decompressor has taken. It implements io.ByteReader, so
// that the decompressor takes no more than it needs.
type countingReader struct {
	r   *bufio.Reader
	n   int64
	err error
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}

func (c *countingReader) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	} else {
		c.err = err
	}
	return b, err
}

// NewCompressedWriter writes CompressedData around the id-data content that the caller
// writes, as a stream. Nothing is complete before Close has returned nil; Close does not
// close dst.
func NewCompressedWriter(dst io.Writer) (io.WriteCloser, error) {
	w := ber.NewWriter(dst)
	var head cryptobyte.Builder
	head.AddASN1Int64(0) // version
	addAlgorithm(&head, oid.ZLIB, nil)
	octets, err := beginEncapsulated(w, oid.CompressedData, head.BytesOrPanic())
	if err != nil {
		return nil, err
	}
	return &compressedWriter{w, octets, zlib.NewWriter(octets), false}, nil
}

type compressedWriter struct {
	w      *ber.Writer
	octets io.WriteCloser
	zlib   *zlib.Writer
	closed bool
}

func (c *compressedWriter) Write(p []byte) (int, error) {
	if c.closed {
		return 0, errClosed
	}
	return c.zlib.Write(p)
}

func (c *compressedWriter) Close() error {
	if c.closed {
		return errClosed
	}
	c.closed = true
	if err := c.zlib.Close(); err != nil {
		return err
	}
	if err := c.octets.Close(); err != nil {
		return err
	}
	if err := endEncapsulated(c.w); err != nil {
		return err
	}
	return endWriting(c.w)
}
