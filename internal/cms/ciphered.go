package cms

import (
	"errors"
	"io"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/cipherstream"
	"github.com/postseal/postseal/internal/limits"
)

var (
	errLocked   = errors.New("the content has not been unlocked")
	errUnlocked = errors.New("the content has been unlocked or read already")
)

// ErrNoContent says that an encrypted structure holds no content (RFC 5652, Section 6.1
// leaves it optional, for content that travels elsewhere).
var ErrNoContent = errors.New("the structure holds no encrypted content")

// ciphered is what [EnvelopedData] and [EncryptedData] have in common: a content that reads
// once it has been unlocked.
type ciphered struct {
	br        *ber.Reader
	content   encryptedContent
	cipher    *contentCipher
	cipherErr error             // why the content cannot be deciphered, whatever the key
	tail      cipherstream.Tail // reads what follows the content, to the end of the input
	plain     io.Reader         // nil before it is unlocked
	err       error             // how it ended: io.EOF if well
}

// Cipher names the content cipher, such as "aes256-gcm" or "3des-cbc". One that this
// package does not know has its object identifier as name.
func (e *ciphered) Cipher() string {
	if e.cipher == nil {
		return e.content.algorithm.OID.String()
	}
	return e.cipher.name
}

// open reads the EncryptedContentInfo up to its content.
func (e *ciphered) open() (err error) {
	if e.content, err = openEncryptedContent(e.br); err != nil {
		return err
	}
	e.cipher, e.cipherErr = parseContentCipher(e.content.algorithm)
	return nil
}

// unlockable says what everybody can see to stand in the way of any key.
func (e *ciphered) unlockable(opt DecryptOptions) error {
	switch {
	case e.plain != nil || e.err != nil:
		return errUnlocked
	case e.content.text == nil:
		return ErrNoContent
	case e.cipherErr != nil:
		return e.cipherErr
	}
	return e.cipher.allowed(opt)
}

// Read returns content as it is deciphered. It returns io.EOF only once the structure is
// complete and the tag, or the padding, is right; [ErrDecrypt] if it is not.
func (e *ciphered) Read(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	if e.plain == nil {
		return 0, errLocked
	}
	n, err := e.plain.Read(p)
	e.end(err)
	if n > 0 {
		return n, nil
	}
	return 0, e.err
}

// WriteTo implements io.WriterTo, under the conditions of Read.
func (e *ciphered) WriteTo(w io.Writer) (int64, error) {
	if e.err == io.EOF {
		return 0, nil
	}
	if e.err != nil {
		return 0, e.err
	}
	if e.plain == nil {
		return 0, errLocked
	}
	to, ok := e.plain.(io.WriterTo)
	if !ok {
		return io.Copy(w, struct{ io.Reader }{e})
	}
	out := &outcome{w: w}
	n, err := to.WriteTo(out)
	if out.err != nil { // of the destination: says nothing about the content
		return n, out.err
	}
	if err == nil {
		err = io.EOF
	}
	if e.end(err); e.err == io.EOF {
		return n, nil
	}
	return n, e.err
}

// outcome tells an error of the destination from one of the source.
type outcome struct {
	w   io.Writer
	err error
}

func (o *outcome) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	o.err = err
	return n, err
}

// end translates how the content ended.
func (e *ciphered) end(err error) {
	switch err {
	case nil:
		return
	case cipherstream.ErrOpen:
		err = ErrDecrypt
	case cipherstream.ErrTooLong:
		err = &limits.Exceeded{What: "octets under " + e.cipher.name, Max: e.cipher.longest(e.plain)}
	}
	e.err = err
}

// Finish reads what is left of the structure, which must be complete, with nothing after
// it. If the content was unlocked its end must have been good as well.
func (e *ciphered) Finish() error {
	if e.plain != nil {
		_, err := e.WriteTo(io.Discard)
		return err
	}
	if e.err == nil {
		e.err = io.EOF
		if e.content.text != nil {
			if _, err := io.Copy(io.Discard, e.content.text); err != nil {
				e.err = err
				return err
			}
		}
		if _, _, err := e.tail(); err != nil {
			e.err = err
		}
	}
	if e.err == io.EOF {
		return nil
	}
	return e.err
}
