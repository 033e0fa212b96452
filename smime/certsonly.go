package smime

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"github.com/postseal/postseal/internal/cms"
)

// ComposeCertificates writes a message that delivers certificates and the DER of CRLs, in
// the order given, and nothing else (RFC 8551, Section 3.8). Nobody signs it: whoever gets
// it must find out for himself what they are worth. src is the message to take the header
// from. It has no body, and c has neither Signers nor Recipients.
func (c *Composer) ComposeCertificates(dst io.Writer, src io.Reader, certs []*x509.Certificate, crls ...[]byte) (err error) {
	defer func() {
		if caught := recovered(recover()); caught != nil {
			err = caught
		}
	}()
	if len(c.Signers)+len(c.Bcc) > 0 || c.encrypts() {
		return errors.New("smime: a delivery of certificates is neither signed nor encrypted")
	}
	if len(certs)+len(crls) == 0 {
		return errors.New("smime: no certificates to deliver")
	}
	for _, cert := range certs {
		if cert == nil || len(cert.Raw) == 0 {
			return errors.New("smime: a certificate to deliver is nil, or was not parsed")
		}
	}
	if err := readableBag(certs, crls); err != nil {
		return err
	}
	e, err := readMessage(src)
	if err != nil {
		return err
	}
	outer, _, _, err := new(plan).divide(e.Header)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(e.Body, 64))
	if err != nil {
		return fmt.Errorf("smime: reading the message: %w", tooLarge(err))
	}
	for _, b := range body {
		if b != '\r' && b != '\n' {
			return errors.New("smime: a delivery of certificates has no body of its own")
		}
	}
	w := &stack{top: wholeWriter{dst}}
	if _, err = io.WriteString(w.top, outer+"MIME-Version: 1.0\r\n"); err == nil {
		err = w.openCMS("certs-only", "smime.p7c", func(dst io.Writer) (io.WriteCloser, error) { return unclosed{dst}, nil })
	}
	if err == nil {
		_, err = w.top.Write(cms.CertsOnly(certs, crls))
	}
	if err = w.close(err); err != nil {
		return fmt.Errorf("smime: composing: %w", err)
	}
	return nil
}

// unclosed is a writer that has nothing to close.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// Delivered returns what a layer of kind "certs-only" holds: certificates, and CRLs as DER.
// Certificates that cannot be read are left out. Nothing of it is trusted, and no path is
// built of it unless the caller hands it to package chain.
func (l *Layer) Delivered() (certs []*x509.Certificate, crls [][]byte) {
	return l.certificates, l.crls
}
