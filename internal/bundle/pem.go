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
	const begin = "-----BEGIN "
	var list []Block
	for pos := 0; ; {
		i := bytes.Index(data[pos:], []byte(begin))
		if i < 0 {
			return list, nil
		}
		if len(list) == max {
			return nil, &limits.Exceeded{What: "PEM blocks in a file", Max: int64(max)}
		}
		pos += i
		// A block ends before the next one begins: rubbish costs its own length once.
		end := len(data)
		if j := bytes.Index(data[pos+len(begin):], []byte(begin)); j >= 0 {
			end = pos + len(begin) + j
		}
		b := Block{Offset: pos, End: end}
		if name, _, ok := strings.Cut(string(data[pos+len(begin):min(end, pos+len(begin)+64)]), "-----"); ok {
			b.Type = name
		}
		if p, _ := pem.Decode(data[pos:end]); p != nil {
			b.Type, b.Bytes, b.Header = p.Type, p.Bytes, len(p.Headers) > 0
		}
		list = append(list, b)
		pos = end
	}
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
