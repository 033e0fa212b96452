package chain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/bundle"
	"github.com/postseal/postseal/internal/limits"
)

// ReadCollection reads a collection from r to its end. The format is found out: PEM, DER,
// PKCS#7 in DER, BER or PEM, or a serialized store as Windows exports it
// (Export-Certificate -Type SST). Members are added as [Collection.Add] does.
//
// A certificate in it that cannot be read is left out and told by [Collection.Warnings],
// and so is anything else that looks odd: to miss an anchor only ever makes fewer paths
// valid. It is an error if nothing can be read, or if the file is cut short.
func ReadCollection(r io.Reader) (*Collection, error) {
	data, err := io.ReadAll(io.LimitReader(r, limits.SerializedStore+1))
	if err != nil {
		return nil, fmt.Errorf("chain: reading a collection: %w", err)
	}
	b, err := bundle.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("chain: reading a collection: %w", err)
	}
	c := &Collection{warnings: b.Warnings, names: make(map[[32]byte]string, len(b.Names))}
	c.Add(b.Certificates...)
	for cert, name := range b.Names {
		c.names[sha256.Sum256(cert.Raw)] = name
	}
	return c, nil
}

// AddFolder adds every certificate in the files of a folder, of any format that
// [ReadCollection] reads, as [Collection.Add] does. Sub-folders and links that lead out of
// it are left alone. What cannot be read is told by [Collection.Warnings].
func (c *Collection) AddFolder(path string) error {
	dir, err := certstore.OpenDir(path)
	if err != nil {
		return fmt.Errorf("chain: reading a collection: %w", err)
	}
	defer dir.Close()
	dir.Interval = time.Hour // one look is enough
	var certs []*x509.Certificate
	for e, err := range dir.All(context.Background()) {
		if err != nil {
			return fmt.Errorf("chain: reading a collection: %w", err)
		}
		certs = append(certs, e.Certificate)
	}
	c.Add(certs...)
	warnings := dir.Errors()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.warnings = append(c.warnings, warnings...)
	return nil
}

// Warnings returns what [ReadCollection] and [Collection.AddFolder] left out or found odd,
// each with its place; nil if nothing.
func (c *Collection) Warnings() []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.warnings)
}

// WriteSST writes the members as a Microsoft serialized store, which Set-SmimeConfig of
// Exchange takes and [ReadCollection] reads. Exchange refuses a store with an expired
// member: ask [Collection.Check] first.
func (c *Collection) WriteSST(w io.Writer) error {
	return c.write(w, func(b *bytes.Buffer) error { return bundle.WriteSST(b, c.Certificates()) })
}

// WritePEM writes the members as PEM (RFC 7468, Section 5).
func (c *Collection) WritePEM(w io.Writer) error {
	return c.write(w, func(b *bytes.Buffer) error { return bundle.WritePEM(b, c.Certificates()) })
}

// WriteP7B writes the members as PKCS#7: a SignedData without signers
// (RFC 8551, Section 3.8).
func (c *Collection) WriteP7B(w io.Writer) error {
	return c.write(w, func(b *bytes.Buffer) error { return bundle.WriteP7B(b, c.Certificates()) })
}

// write hands w the whole file at once, or nothing.
func (c *Collection) write(w io.Writer, f func(*bytes.Buffer) error) error {
	var b bytes.Buffer
	if err := f(&b); err != nil {
		return fmt.Errorf("chain: writing a collection: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("chain: writing a collection: %w", err)
	}
	return nil
}
