package cms

import (
	"crypto"
	"crypto/x509"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/cipherstream"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
)

// An EnvelopedData is an EnvelopedData (RFC 5652, Section 6) or AuthEnvelopedData
// (RFC 5083) that is being read. [EnvelopedData.Unlock] it with the key of one of its
// [EnvelopedData.Recipients]; then it reads as its content.
//
// What Read returns is unverified until Read has returned io.EOF, or Finish nil: with an
// authenticated cipher the tag comes last. Without one, nothing ever vouches for the
// content but a signature inside it.
type EnvelopedData struct {
	ciphered
	typ         oid.OID
	originators [][]byte
	recipients  []*RecipientInfo
	tried       int // see Tried
	attributes  []Attribute
}

// openEnveloped reads an EnvelopedData or AuthEnvelopedData up to its content.
//
//	EnvelopedData ::= SEQUENCE {
//	  version              CMSVersion,
//	  originatorInfo       [0] IMPLICIT OriginatorInfo OPTIONAL,
//	  recipientInfos       RecipientInfos,
//	  encryptedContentInfo EncryptedContentInfo,
//	  unprotectedAttrs     [1] IMPLICIT UnprotectedAttributes OPTIONAL }
//
//	AuthEnvelopedData ::= SEQUENCE {
//	  version                  CMSVersion,
//	  originatorInfo           [0] IMPLICIT OriginatorInfo OPTIONAL,
//	  recipientInfos           RecipientInfos,
//	  authEncryptedContentInfo EncryptedContentInfo,
//	  authAttrs                [1] IMPLICIT AuthAttributes OPTIONAL,
//	  mac                      MessageAuthenticationCode,
//	  unauthAttrs              [2] IMPLICIT UnauthAttributes OPTIONAL }
func openEnveloped(br *ber.Reader, typ oid.OID) (e *EnvelopedData, err error) {
	e = &EnvelopedData{ciphered: ciphered{br: br}, typ: typ}
	e.tail = e.readTail
	if err = br.Enter(ber.Sequence); err != nil {
		return nil, err
	}
	if err = nextVersion(br); err != nil {
		return nil, err
	}
	if e.originators, err = nextOriginatorInfo(br); err != nil {
		return nil, err
	}
	if e.recipients, err = nextRecipientInfos(br); err != nil {
		return nil, err
	}
	if err = e.open(); err != nil {
		return nil, err
	}
	if e.cipherErr == nil {
		e.cipherErr = e.fits()
	}
	return e, nil
}

// fits checks that the cipher has a place in the structure (RFC 5083, Section 2.1 and
// RFC 5084, Section 1.2): one without authentication in AuthEnvelopedData would leave the
// content unprotected, and an authenticated one in EnvelopedData has no tag.
func (e *EnvelopedData) fits() error {
	switch {
	case e.Authenticated() && !e.cipher.authenticated():
		return &UnsupportedError{What: e.cipher.name + " inside AuthEnvelopedData"}
	case !e.Authenticated() && e.cipher.authenticated():
		// QUIRK: several libraries put AES-GCM into EnvelopedData, each in its own way.
		return &UnsupportedError{What: e.cipher.name + " inside EnvelopedData"}
	}
	return nil
}

// Type returns id-envelopedData or id-ct-authEnvelopedData.
func (e *EnvelopedData) Type() oid.OID { return e.typ }

// Authenticated reports whether the structure is an AuthEnvelopedData.
func (e *EnvelopedData) Authenticated() bool { return e.typ == oid.AuthEnvelopedData }

// Derived reports whether the content key is bound to its algorithm by a key derivation
// (RFC 9709), so that no other algorithm deciphers the content.
func (e *EnvelopedData) Derived() bool { return e.cipher != nil && e.cipher.derive != nil }

// ContentType returns the type of the content, which is id-data for mail.
func (e *EnvelopedData) ContentType() oid.OID { return e.content.contentType }

// Recipients returns the ways to get at the content, in the order of the message.
func (e *EnvelopedData) Recipients() []*RecipientInfo { return e.recipients }

// Attributes returns the attributes after the content: those that the tag protects of an
// AuthEnvelopedData, those that nothing protects of an EnvelopedData. There are none
// before the content has been read to its end.
func (e *EnvelopedData) Attributes() []Attribute { return e.attributes }

// Unlock makes the content readable by means of ri, one of the Recipients, and its key:
//
//   - a crypto.Decrypter with an RSA key for "ktri";
//   - an *ecdsa.PrivateKey, an ecdh.KeyExchanger or an *x448.PrivateKey for "kari";
//   - a [Secret] for "kekri" and a [Passphrase] for "pwri";
//   - a crypto.Decapsulator for "kemri".
//
// An error says that something everybody can see stands in the way: an algorithm that is
// not supported ([UnsupportedError]) or not allowed ([WeakError]), malformed parameters,
// a key of another type. Another recipient may be tried then. Everything else, a wrong
// key included, is no error here: the content ends in [ErrDecrypt]. Without authentication
// of the content one wrong RSA PKCS #1 v1.5 key in about 250 passes for the right one, with
// content that makes no sense: were there a difference, it would tell about the padding.
func (e *EnvelopedData) Unlock(ri *RecipientInfo, key crypto.PrivateKey, opt DecryptOptions) error {
	if err := e.unlockable(opt); err != nil {
		return err
	}
	opt.Originators = append(e.originatorCertificates(), opt.Originators...)
	cek, wrong, err := ri.contentKey(key, e.cipher.keyLen, opt)
	if err != nil {
		return err
	}
	defer clear(cek)
	e.plain, err = e.cipher.open(cek, wrong, e.content.text, e.tail)
	return err
}

// originatorCertificates are needed only for key agreement with a static key.
func (e *EnvelopedData) originatorCertificates() []*x509.Certificate {
	var out []*x509.Certificate
	for _, der := range e.originators {
		if cert, err := pkix.ParseCertificate(der); err == nil {
			out = append(out, cert)
		}
	}
	return out
}

// readTail reads what follows the encrypted content, to the end of the input: the tag, and
// the additional data, which is the DER encoding of the authenticated attributes
// (RFC 5083, Section 2.2).
func (e *EnvelopedData) readTail() (tag, additional []byte, err error) {
	if err = e.br.Leave(); err != nil {
		return nil, nil, err
	}
	if e.attributes, additional, err = nextAttributes(e.br, 1); err != nil {
		return nil, nil, err
	}
	if e.Authenticated() {
		if err := e.checkAttributes(); err != nil {
			return nil, nil, err
		}
		if tag, err = nextOctets(e.br, cipherstream.TagSize*4, "mac"); err != nil {
			return nil, nil, err
		}
		if e.cipherErr == nil && len(tag) != e.cipher.icv { // RFC 5084, Section 3
			return nil, nil, malformed(e.br.Offset(), "mac: its length is not the one of the cipher's parameters")
		}
		if _, _, err = nextAttributes(e.br, 2); err != nil {
			return nil, nil, err
		}
	}
	if err = e.br.Leave(); err != nil {
		return nil, nil, err
	}
	return tag, additional, endContentInfo(e.br)
}

// checkAttributes applies RFC 5083, Section 2.1: an attribute comes once, content-type
// names the type of the content and is there unless that is id-data, and there is no
// message-digest.
func (e *EnvelopedData) checkAttributes() error {
	bad := malformed(e.br.Offset(), "authAttrs")
	seen := make(map[oid.OID]bool)
	for _, a := range e.attributes {
		if seen[a.Type] || len(a.Values) == 0 || a.Type == oid.MessageDigest {
			return bad
		}
		seen[a.Type] = true
		if a.Type == oid.ContentType && !isContentType(a.Values, e.content.contentType) {
			return bad
		}
	}
	if e.content.contentType != oid.Data && !seen[oid.ContentType] {
		return bad
	}
	return nil
}

// isContentType reports whether the values of a content-type attribute are just t.
func isContentType(values [][]byte, t oid.OID) bool {
	want := derOID(t)
	return len(values) == 1 && string(values[0]) == string(want)
}
