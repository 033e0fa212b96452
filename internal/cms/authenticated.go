package cms

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/subtle"
	"hash"
	"io"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// An AuthenticatedData is content with a message authentication code whose key the
// recipients are given (RFC 5652, Section 9), as it is being read. The content is in the
// clear: it reads with or without a key. [AuthenticatedData.Unlock] must come before the
// first Read for Finish to say whether the code is right.
//
// A code tells a recipient that one of those who have the key made it, not who.
type AuthenticatedData struct {
	br          *ber.Reader
	originators [][]byte
	recipients  []*RecipientInfo
	mac         AlgorithmIdentifier
	digest      sigalg.Hash // 0 if there are no authenticated attributes
	content     *encapsulated

	key        []byte // nil before Unlock
	check      codeAlgorithm
	running    hash.Hash // over the content: the code itself, or the digest
	held       []byte    // the content, for a code that needs it whole
	read       bool
	verified   bool
	attributes []Attribute
	err        error // how it ended: io.EOF if well
}

// openAuthenticated reads an AuthenticatedData up to its content.
//
//	AuthenticatedData ::= SEQUENCE {
//	  version          CMSVersion,
//	  originatorInfo   [0] IMPLICIT OriginatorInfo OPTIONAL,
//	  recipientInfos   RecipientInfos,
//	  macAlgorithm     MessageAuthenticationCodeAlgorithm,
//	  digestAlgorithm  [1] DigestAlgorithmIdentifier OPTIONAL,
//	  encapContentInfo EncapsulatedContentInfo,
//	  authAttrs        [2] IMPLICIT AuthAttributes OPTIONAL,
//	  mac              MessageAuthenticationCode,
//	  unauthAttrs      [3] IMPLICIT UnauthAttributes OPTIONAL }
func openAuthenticated(br *ber.Reader) (a *AuthenticatedData, err error) {
	a = &AuthenticatedData{br: br}
	if err = br.Enter(ber.Sequence); err != nil {
		return nil, err
	}
	if err = nextVersion(br); err != nil {
		return nil, err
	}
	if a.originators, err = nextOriginatorInfo(br); err != nil {
		return nil, err
	}
	if a.recipients, err = nextRecipientInfos(br); err != nil {
		return nil, err
	}
	if a.mac, err = nextAlgorithm(br, "macAlgorithm"); err != nil {
		return nil, err
	}
	if err = a.openDigest(); err != nil {
		return nil, err
	}
	a.content, err = openEncapsulated(br)
	return a, err
}

// openDigest reads the digestAlgorithm, whose tag [1] stands in the place of SEQUENCE.
func (a *AuthenticatedData) openDigest() error {
	h, err := a.br.Peek()
	if err == io.EOF || err == nil && h.Tag != ber.Context(1) {
		return nil
	}
	if err != nil {
		return err
	}
	b, err := a.br.Element(limits.AttributeSize)
	if err != nil {
		return err
	}
	der := append([]byte(nil), b...)
	der[0] = byte(casn1.SEQUENCE)
	a.digest, err = sigalg.ParseHash(der)
	return err
}

// Type returns id-ct-authData.
func (a *AuthenticatedData) Type() oid.OID { return oid.AuthenticatedData }

// ContentType returns the type of the content.
func (a *AuthenticatedData) ContentType() oid.OID { return a.content.contentType }

// Recipients returns the ways to get at the key, in the order of the message.
func (a *AuthenticatedData) Recipients() []*RecipientInfo { return a.recipients }

// Attributes returns the authenticated attributes, once the content has been read.
func (a *AuthenticatedData) Attributes() []Attribute { return a.attributes }

// Algorithm names the message authentication code, such as "hmac-sha256" or "aes256-gmac".
// An unknown one has its object identifier as name.
func (a *AuthenticatedData) Algorithm() string {
	if prf := prfByOID(a.mac.OID); prf != 0 {
		return "hmac-" + hashName(prf)
	}
	switch a.mac.OID {
	case oid.AES128GMAC:
		return "aes128-gmac"
	case oid.AES192GMAC:
		return "aes192-gmac"
	case oid.AES256GMAC:
		return "aes256-gmac"
	}
	return a.mac.OID.String()
}

// Verified reports whether Finish found the code right, under the key of a recipient.
func (a *AuthenticatedData) Verified() bool { return a.verified }

// A codeAlgorithm is a MessageAuthenticationCodeAlgorithm.
type codeAlgorithm struct {
	prf    crypto.Hash // of an HMAC; 0 for AES-GMAC
	nonce  []byte      // of AES-GMAC
	size   int         // of the code, in octets
	keyLen int
}

// parseCode reads an HMAC (RFC 3370, Section 3.1 and RFC 8018, Appendix B.1), or AES-GMAC
// (RFC 9044).
//
//	GMACParameters ::= SEQUENCE {
//	  nonce     OCTET STRING, -- recommended size is 12 octets
//	  tagLength MACLength DEFAULT 12 }
func parseCode(a AlgorithmIdentifier) (c codeAlgorithm, err error) {
	if c.prf = prfByOID(a.OID); c.prf != 0 {
		if !a.NoParameters() {
			return c, malformed(0, "parameters of HMAC")
		}
		c.size, c.keyLen = c.prf.Size(), c.prf.Size()
		return c, nil
	}
	switch a.OID {
	case oid.AES128GMAC:
		c.keyLen = 16
	case oid.AES192GMAC:
		c.keyLen = 24
	case oid.AES256GMAC:
		c.keyLen = 32
	default:
		return c, &UnsupportedError{What: "message authentication code", OID: a.OID}
	}
	var ok bool
	if c.nonce, c.size, ok = readAEADParameters(a.Parameters); !ok || len(c.nonce) != 12 || c.size < 12 || c.size > 16 {
		return c, malformed(0, "parameters of AES-GMAC")
	}
	return c, nil
}

// Unlock recovers the key of the code by means of ri, one of the Recipients, and its key,
// as [EnvelopedData.Unlock] does. A wrong key makes Finish return [ErrDecrypt].
func (a *AuthenticatedData) Unlock(ri *RecipientInfo, key crypto.PrivateKey, opt DecryptOptions) error {
	if a.key != nil || a.read {
		return errUnlocked
	}
	c, err := parseCode(a.mac)
	if err != nil {
		return err
	}
	e := EnvelopedData{originators: a.originators}
	opt.Originators = append(e.originatorCertificates(), opt.Originators...)
	k, _, err := ri.contentKey(key, c.keyLen, opt)
	if err != nil {
		return err
	}
	a.key, a.check = k, c
	switch {
	case a.digest != 0:
		a.running = a.digest.New()
	case c.prf != 0:
		a.running = hmac.New(c.prf.New, k)
	}
	return nil
}

// Read returns content octets. They are unverified.
func (a *AuthenticatedData) Read(p []byte) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	a.read = true
	if a.content.content == nil {
		return 0, io.EOF
	}
	n, err := a.content.content.Read(p)
	if a.running != nil {
		a.running.Write(p[:n])
	} else if a.key != nil {
		if len(a.held)+n > limits.HeldInMemory {
			a.err = &limits.Exceeded{What: "octets under AES-GMAC", Max: limits.HeldInMemory}
			return 0, a.err
		}
		a.held = append(a.held, p[:n]...)
	}
	return n, err
}

// Finish reads what is left. If the structure was unlocked it returns [ErrDecrypt] unless
// the code is right.
func (a *AuthenticatedData) Finish() error {
	if a.err == nil {
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{a}); err != nil {
			a.err = err
			return err
		}
		a.err = io.EOF
		if err := a.end(); err != nil {
			a.err = err
		}
	}
	if a.err == io.EOF {
		return nil
	}
	return a.err
}

func (a *AuthenticatedData) end() error {
	if err := a.content.end(); err != nil {
		return err
	}
	attributes, der, err := nextAttributes(a.br, 2)
	if err != nil {
		return err
	}
	a.attributes = attributes
	code, err := nextOctets(a.br, 64, "mac")
	if err != nil {
		return err
	}
	if _, _, err := nextAttributes(a.br, 3); err != nil {
		return err
	}
	if err := a.br.Leave(); err != nil {
		return err
	}
	if err := endContentInfo(a.br); err != nil {
		return err
	}
	digest, err := a.checkAttributes()
	if err != nil || a.key == nil {
		return err
	}
	return a.compare(code, der, digest)
}

// checkAttributes applies RFC 5652, Sections 9.1 and 9.2: attributes and a digest
// algorithm come together, with exactly one content-type, which names the content, and one
// message-digest; content that is not id-data needs them. It returns the digest.
func (a *AuthenticatedData) checkAttributes() ([]byte, error) {
	bad := malformed(a.br.Offset(), "authAttrs")
	if (a.attributes == nil) != (a.digest == 0) || a.attributes == nil && a.content.contentType != oid.Data {
		return nil, bad
	}
	if a.attributes == nil {
		return nil, nil
	}
	var types, digests int
	var digest []byte
	for _, at := range a.attributes {
		switch at.Type {
		case oid.ContentType:
			if types++; !isContentType(at.Values, a.content.contentType) {
				return nil, bad
			}
		case oid.MessageDigest:
			if digests++; len(at.Values) != 1 {
				return nil, bad
			}
			var v cryptobyte.String
			s := cryptobyte.String(at.Values[0])
			if !s.ReadASN1(&v, casn1.OCTET_STRING) || !s.Empty() || len(v) != a.digest.Size() {
				return nil, bad
			}
			digest = v
		}
	}
	if types != 1 || digests != 1 {
		return nil, bad
	}
	return digest, nil
}

// compare checks the digest of the content and the code over the attributes, or the code
// over the content (RFC 5652, Section 9.2). der is what is received, and must be DER.
func (a *AuthenticatedData) compare(code, der, digest []byte) error {
	ok := subtle.ConstantTimeEq(int32(len(code)), int32(a.check.size))
	covered := a.held
	if digest != nil {
		ok &= subtle.ConstantTimeCompare(a.running.Sum(nil), digest)
		covered = der
	}
	var want []byte
	switch {
	case a.check.prf == 0:
		b, err := aes.NewCipher(a.key)
		if err != nil {
			return err
		}
		g, err := cipher.NewGCM(b)
		if err != nil {
			return err
		}
		want = g.Seal(nil, a.check.nonce, nil, covered)
		want = want[:min(len(want), a.check.size)]
	case digest == nil:
		want = a.running.Sum(nil)
	default:
		m := hmac.New(a.check.prf.New, a.key)
		m.Write(covered)
		want = m.Sum(nil)
	}
	ok &= subtle.ConstantTimeCompare(want, code)
	if ok != 1 {
		return ErrDecrypt
	}
	a.verified = true
	return nil
}
