package bundle

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postseal/postseal/internal/limits"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A Block is one PEM block (RFC 7468) and where it begins.
type Block struct {
	Type   string
	Bytes  []byte // nil if the block does not decode
	Offset int
	End    int  // where the next block, or the text before it, begins
	Header bool // the block has headers: OpenSSL's own encryption
}

// Blocks cuts data into its PEM blocks. Text between them is allowed. A block that does
// not decode is returned with nil Bytes, so that it is not lost silently.
func Blocks(data []byte, max int) ([]Block, error) {
	var list []Block
	for pos := nextBlock(data, 0); pos < len(data); {
		if len(list) == max {
			return nil, &limits.Exceeded{What: "PEM blocks in a file", Max: int64(max)}
		}
		// A block ends before the next one begins: rubbish costs its own length once.
		end := nextBlock(data, pos+len(pemBegin))
		b := Block{Offset: pos, End: end}
		if name, _, ok := strings.Cut(string(data[pos+len(pemBegin):min(end, pos+len(pemBegin)+64)]), "-----"); ok {
			b.Type = name
		}
		if p, _ := pem.Decode(data[pos:end]); p != nil {
			b.Type, b.Bytes, b.Header = p.Type, p.Bytes, len(p.Headers) > 0
		}
		list = append(list, b)
		pos = end
	}
	return list, nil
}

const pemBegin = "-----BEGIN "

// nextBlock returns where, at or after pos, a line of data begins a block; len(data) if none.
func nextBlock(data []byte, pos int) int {
	for pos < len(data) {
		i := bytes.Index(data[pos:], []byte(pemBegin))
		if i < 0 {
			break
		}
		pos += i
		if pos == 0 || data[pos-1] == '\n' || data[pos-1] == '\r' || string(data[:pos]) == "\xef\xbb\xbf" {
			return pos
		}
		pos += len(pemBegin)
	}
	return len(data)
}

// pem reads certificates, CRLs and PKCS#7 out of PEM, whatever their labels say, and
// passes over keys.
func (r Reader) pem(b *Bundle, data []byte) error {
	blocks, err := Blocks(data, r.MaxElements)
	if err != nil {
		return err
	}
	for n, k := range blocks {
		switch {
		case strings.HasSuffix(k.Type, "PRIVATE KEY") || k.Type == "PUBLIC KEY" || strings.HasSuffix(k.Type, "PARAMETERS"):
			continue
		case k.Bytes == nil:
			b.warn(n, k.Offset, fmt.Errorf("PEM block %q does not decode", k.Type))
		case k.Type == "TRUSTED CERTIFICATE":
			// QUIRK: OpenSSL (x509 -trustout) appends its own trust settings, which are ignored.
			var der cryptobyte.String
			in := cryptobyte.String(k.Bytes)
			if !in.ReadASN1Element(&der, asn1.SEQUENCE) {
				b.warn(n, k.Offset, errors.New("not a certificate"))
				continue
			}
			if _, err := r.certificate(b, der, k.Offset); err != nil {
				return err
			}
		default:
			if err := r.der(b, k.Bytes, k.Offset); err != nil {
				return err
			}
		}
	}
	return nil
}

// WritePEM writes certs in their order, each once, as PEM (RFC 7468, Section 5).
func WritePEM(w io.Writer, certs []*x509.Certificate) error {
	for _, c := range unique(certs) {
		if err := pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			return err
		}
	}
	return nil
}
