package smime

import (
	"io"
	"strings"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/mimeraw"
	"github.com/postseal/postseal/internal/sigalg"
)

// write stacks a writer for each layer, outermost first, copies the content through them
// and closes them from the innermost out.
func (p *plan) write(dst io.Writer, e *mimeraw.Entity) error {
	dst = wholeWriter{dst}
	outer, inner, hidden, err := p.divide(e.Header)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(dst, outer+"MIME-Version: 1.0\r\n"); err != nil {
		return err
	}
	w := &stack{top: dst}
	if err = p.open(w); err == nil {
		err = p.writeContent(w.top, inner, e, hidden)
	}
	return w.close(err)
}

// A wholeWriter makes an error of a write that was cut short and does not say so. What it
// left out would be missing from a message that is said to be complete.
type wholeWriter struct{ io.Writer }

func (w wholeWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
}

// open puts the layers on the stack.
func (p *plan) open(w *stack) error {
	if p.triple {
		if err := p.openSigned(w, true); err != nil {
			return err
		}
	}
	if len(p.recipients) > 0 {
		kind := "enveloped-data"
		if cms.AuthenticatedCipher(p.envelope.Cipher) {
			kind = "authEnveloped-data"
		}
		if err := w.openCMS(kind, "smime.p7m", func(dst io.Writer) (io.WriteCloser, error) {
			return cms.NewEnvelopedWriter(dst, p.recipients, p.envelope)
		}); err != nil {
			return err
		}
	}
	if p.pad {
		pad := &padder{dst: w.top}
		w.closers = append(w.closers, pad)
		w.top = pad
	}
	if p.compress {
		if err := w.openCMS("compressed-data", "smime.p7z", func(dst io.Writer) (io.WriteCloser, error) {
			return cms.NewCompressedWriter(dst)
		}); err != nil {
			return err
		}
	}
	if len(p.signers) > 0 {
		return p.openSigned(w, p.opaque)
	}
	return nil
}

func (p *plan) openSigned(w *stack, opaque bool) error {
	if opaque {
		return w.openCMS("signed-data", "smime.p7m", func(dst io.Writer) (io.WriteCloser, error) {
			return cms.NewSignedWriter(dst, p.signers, p.bag)
		})
	}
	return w.openMultipart(p)
}

// A stack is the writers of the layers that are open; top takes the next inner entity.
type stack struct {
	top     io.Writer
	closers []io.Closer
}

// close closes the innermost writer first. After an error nothing more is written.
func (s *stack) close(err error) error {
	for i := len(s.closers) - 1; i >= 0 && err == nil; i-- {
		err = s.closers[i].Close()
	}
	return err
}

// openCMS begins an application/pkcs7-mime entity (RFC 8551, Section 3.2).
func (s *stack) openCMS(kind, name string, layer func(io.Writer) (io.WriteCloser, error)) error {
	_, err := io.WriteString(s.top, "Content-Type: application/pkcs7-mime; smime-type="+kind+"; name=\""+name+"\"\r\n"+
		"Content-Transfer-Encoding: base64\r\n"+
		"Content-Disposition: attachment; filename=\""+name+"\"\r\n\r\n")
	if err != nil {
		return err
	}
	text := mimeraw.Base64Encoder(s.top)
	w, err := layer(text)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, text, w)
	s.top = w
	return nil
}

// openMultipart begins a multipart/signed entity (RFC 8551, Section 3.5.3).
func (s *stack) openMultipart(p *plan) error {
	m := &multipartSigner{dst: s.top, plan: p, boundary: mimeraw.NewBoundary()}
	var micalg []string
	var hashes []sigalg.Hash
	for _, signer := range p.signers {
		name := signer.Hash().MIMEName()
		if !strings.Contains(","+strings.Join(micalg, ",")+",", ","+name+",") {
			micalg = append(micalg, name)
		}
		hashes = append(hashes, signer.Hash())
	}
	m.digests = cms.NewDigests(hashes...)
	_, err := io.WriteString(s.top, "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n"+
		"\tmicalg="+quoteList(micalg)+"; boundary=\""+m.boundary+"\"\r\n\r\n--"+m.boundary+"\r\n")
	if err != nil {
		return err
	}
	s.closers = append(s.closers, m)
	s.top = m
	return nil
}

// A multipartSigner passes the first part through, hashes it, and writes the second.
type multipartSigner struct {
	dst      io.Writer
	plan     *plan
	boundary string
	digests  *cms.Digests
}

func (m *multipartSigner) Write(b []byte) (int, error) {
	m.digests.Write(b)
	return m.dst.Write(b)
}

func (m *multipartSigner) Close() error {
	sig, err := cms.SignDetached(m.digests, m.plan.signers, m.plan.bag)
	if err != nil {
		return err
	}
	_, err = io.WriteString(m.dst, "\r\n--"+m.boundary+"\r\n"+
		"Content-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\n"+
		"Content-Transfer-Encoding: base64\r\n"+
		"Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n")
	if err != nil {
		return err
	}
	text := mimeraw.Base64Encoder(m.dst)
	if _, err := text.Write(sig); err != nil {
		return err
	}
	if err := text.Close(); err != nil {
		return err
	}
	_, err = io.WriteString(m.dst, "\r\n--"+m.boundary+"--\r\n")
	return err
}

func quoteList(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return "\"" + strings.Join(names, ",") + "\""
}
