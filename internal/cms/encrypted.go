package cms

import (
	"errors"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/oid"
)

// An EncryptedData is content under a key that is agreed elsewhere (RFC 5652, Section 8),
// as it is being read. Its ciphers protect no integrity: see [EnvelopedData].
type EncryptedData struct{ ciphered }

// openEncrypted reads an EncryptedData up to its content.
//
//	EncryptedData ::= SEQUENCE {
//	  version              CMSVersion,
//	  encryptedContentInfo EncryptedContentInfo,
//	  unprotectedAttrs     [1] IMPLICIT UnprotectedAttributes OPTIONAL }
func openEncrypted(br *ber.Reader) (e *EncryptedData, err error) {
	e = &EncryptedData{ciphered{br: br}}
	e.tail = e.readTail
	if err = br.Enter(ber.Sequence); err != nil {
		return nil, err
	}
	if err = nextVersion(br); err != nil {
		return nil, err
	}
	if err = e.open(); err != nil {
		return nil, err
	}
	if e.cipherErr == nil && e.cipher.authenticated() {
		e.cipherErr = &UnsupportedError{What: e.cipher.name + " inside EncryptedData"}
	}
	return e, nil
}

// Type returns id-encryptedData.
func (e *EncryptedData) Type() oid.OID { return oid.EncryptedData }

// Unlock makes the content readable with its key. An error says that the cipher is not
// supported or not allowed, or that the key has not its length; a wrong key shows in the
// content, or as [ErrDecrypt].
func (e *EncryptedData) Unlock(key Secret, opt DecryptOptions) (err error) {
	if err := e.unlockable(opt); err != nil {
		return err
	}
	if len(key) != e.cipher.keyLen {
		return errors.New("the key has not the length that " + e.cipher.name + " needs")
	}
	e.plain, err = e.cipher.open(key, 0, e.content.text, e.tail)
	return err
}

// readTail reads what follows the encrypted content, to the end of the input.
func (e *EncryptedData) readTail() (tag, additional []byte, err error) {
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
