package cms

import (
	"errors"
	"io"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/cipherstream"
	"github.com/postseal/postseal/internal/oid"
)

// An EncryptedData is content under a key that is agreed elsewhere (RFC 5652, Section 8),
// as it is being read. Its ciphers protect no integrity: see [EnvelopedData].
type EncryptedData struct {
	br      *ber.Reader
	content encryptedContent
	cipher  *contentCipher
	cerr    error     // why the content cannot be deciphered, whatever the key
	plain   io.Reader // nil before Unlock
	err     error     // how it ended: io.EOF if well
}

// openEncrypted reads an EncryptedData up to its content.
//
//	EncryptedData ::= SEQUENCE {
//	  version              CMSVersion,
//	  encryptedContentInfo EncryptedContentInfo,
//	  unprotectedAttrs     [1] IMPLICIT UnprotectedAttributes OPTIONAL }
func openEncrypted(br *ber.Reader) (e *EncryptedData, err error) {
	e = &EncryptedData{br: br}
	if err = br.Enter(ber.Sequence); err != nil {
		return nil, err
	}
	if err = nextVersion(br); err != nil {
		return nil, err
	}
	if e.content, err = openEncryptedContent(br); err != nil {
		return nil, err
	}
	e.cipher, e.cerr = parseContentCipher(e.content.algorithm)
	if e.cerr == nil && e.cipher.authenticated() {
		e.cerr = &UnsupportedError{What: e.cipher.name + " inside EncryptedData"}
	}
	return e, nil
}

// Type returns id-encryptedData.
func (e *EncryptedData) Type() oid.OID { return oid.EncryptedData }

// Cipher names the content cipher; see [EnvelopedData.Cipher].
func (e *EncryptedData) Cipher() string {
	if e.cipher == nil {
		return e.content.algorithm.OID.String()
	}
	return e.cipher.name
}

// Unlock makes the content readable with its key. An error says that the cipher is not
// supported or not allowed, or that the key has not its length; a wrong key shows in the
// content, or as [ErrDecrypt].
func (e *EncryptedData) Unlock(key Secret, opt DecryptOptions) (err error) {
	if e.plain != nil || e.err != nil {
		return errUnlocked
	}
	if e.content.text == nil {
		return ErrNoContent
	}
	if e.cerr != nil {
		return e.cerr
	}
	if err := e.cipher.allowed(opt); err != nil {
		return err
	}
	if len(key) != e.cipher.keyLen {
		return errors.New("the key has not the length that " + e.cipher.name + " needs")
	}
	e.plain, err = e.cipher.open(key, e.content.text, e.tail)
	return err
}

// Read returns content as it is deciphered; see [EnvelopedData.Read].
func (e *EncryptedData) Read(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	if e.plain == nil {
		return 0, errLocked
	}
	n, err := e.plain.Read(p)
	if err == cipherstream.ErrOpen {
		err = ErrDecrypt
	}
	e.err = err
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// Finish implements [Content].
func (e *EncryptedData) Finish() error {
	if e.plain != nil {
		_, err := io.Copy(io.Discard, struct{ io.Reader }{e})
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

// tail reads what follows the encrypted content, to the end of the input.
func (e *EncryptedData) tail() (tag, additional []byte, err error) {
	if err := e.br.Leave(); err != nil {
		return nil, nil, err
	}
	if _, _, err := nextAttributes(e.br, 1); err != nil {
		return nil, nil, err
	}
	if err := e.br.Leave(); err != nil {
		return nil, nil, err
	}
	return nil, nil, endContentInfo(e.br)
}
