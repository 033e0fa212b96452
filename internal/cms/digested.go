package cms

import (
	"crypto/subtle"
	"errors"
	"io"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// ErrDigest says that a DigestedData does not have the digest it names.
var ErrDigest = errors.New("digest does not match the content")

// DigestedData is content with its digest, which protects against accidents alone (RFC
// 5652, Section 7). Finish returns [ErrDigest] if they do not match.
type DigestedData struct {
	br       *ber.Reader
	enc      *encapsulated
	hash     sigalg.Hash
	digests  *Digests
	finished bool
	err      error
}

// openDigested reads
//
//	DigestedData ::= SEQUENCE {
//	  version          CMSVersion,
//	  digestAlgorithm  DigestAlgorithmIdentifier,
//	  encapContentInfo EncapsulatedContentInfo,
//	  digest           OCTET STRING }
//
// up to the content, which must be there.
func openDigested(br *ber.Reader) (*DigestedData, error) {
	if err := br.Enter(ber.Sequence); err != nil {
		return nil, err
	}
	if err := nextVersion(br); err != nil {
		return nil, err
	}
	a, err := nextAlgorithm(br, "digestAlgorithm")
	if err != nil {
		return nil, err
	}
	d := &DigestedData{br: br}
	if d.hash, err = sigalg.ParseHash(a.Raw); err != nil {
		return nil, err
	}
	d.digests = NewDigests(d.hash)
	if d.enc, err = openEncapsulated(br); err != nil {
		return nil, err
	}
	if d.enc.content == nil {
		return nil, malformed(br.Offset(), "DigestedData: no content")
	}
	return d, nil
}

// Type returns id-digestedData.
func (d *DigestedData) Type() oid.OID { return oid.DigestedData }

// EContentType returns the type of the content.
func (d *DigestedData) EContentType() oid.OID { return d.enc.contentType }

// Hash returns the hash function of the digest.
func (d *DigestedData) Hash() sigalg.Hash { return d.hash }

// Read implements [Content].
func (d *DigestedData) Read(p []byte) (int, error) {
	n, err := d.enc.content.Read(p)
	d.digests.Write(p[:n])
	return n, err
}

// Finish implements [Content].
func (d *DigestedData) Finish() error {
	if !d.finished {
		d.finished = true
		d.err = d.finish()
	}
	return d.err
}

func (d *DigestedData) finish() error {
	if _, err := io.Copy(d.digests, d.enc.content); err != nil {
		return err
	}
	if err := d.enc.end(); err != nil {
		return err
	}
	value, err := d.br.Octets(ber.OctetString)
	if err != nil {
		return err
	}
	claimed, err := io.ReadAll(io.LimitReader(value, limits.AttributeSize))
	if err != nil {
		return err
	}
	if err := endContentInfo(d.br); err != nil {
		return err
	}
	if sum, _ := d.digests.Sum(d.hash); subtle.ConstantTimeCompare(sum, claimed) != 1 {
		return ErrDigest
	}
	return nil
}
