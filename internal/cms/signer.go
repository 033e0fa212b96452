package cms

import (
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// A SignerInfo is one signature (RFC 5652, Section 5.3).
type SignerInfo struct {
	id                 CertificateID
	digestAlgorithm    AlgorithmIdentifier
	signedAttrs        []byte // as received, with the tag [0]; nil if absent
	signatureAlgorithm AlgorithmIdentifier
	signature          []byte
	unsigned           attributeSet
}

// SignerID returns how the signer's certificate is named. Its issuer, serial number or key
// identifier serve to look for it.
func (si *SignerInfo) SignerID() CertificateID { return si.id }

// Matches reports whether cert is the one that SignerID names. Several may be.
func (si *SignerInfo) Matches(cert *x509.Certificate) bool { return si.id.Matches(cert) }

// DigestAlgorithm returns the hash function, or false if it is not supported.
func (si *SignerInfo) DigestAlgorithm() (sigalg.Hash, bool) {
	h, err := sigalg.ParseHash(si.digestAlgorithm.Raw)
	return h, err == nil
}

// Signature returns the signature value: what countersignatures and time stamps cover.
func (si *SignerInfo) Signature() []byte { return si.signature }

// VerifyOptions are the exceptions a caller makes for old signatures. The zero value makes
// none.
type VerifyOptions struct {
	AllowSHA1       bool // message signatures with SHA-1
	AllowMD5        bool // message signatures with MD5
	AllowLegacyKeys bool // RSA and DSA keys from 1024 bits
}

// A SignatureResult is what one signature is worth, as far as mathematics go.
type SignatureResult struct {
	// State is "valid", "invalid", or "unsupported" if the signature could not be judged:
	// an algorithm, a hash function or a key is unknown, too weak or too large, or there is
	// no certificate.
	State string
	// Codes say why, and for a valid signature what is odd about it.
	Codes     []string
	Digest    string // name of the hash function; empty if unknown
	Algorithm string // name of the signature algorithm; empty if unknown
	// ReencodedAttributes is set if the signature does not cover the signed attributes as
	// received but only their DER.
	ReencodedAttributes bool

	// The rest is what the signed attributes say. Nobody checked any of it.
	ClaimedTime           time.Time      // signing-time; zero if absent
	Capabilities          []byte         // DER of SMIMECapabilities; nil unless State is "valid"
	EncryptionCertificate *CertificateID // preferred for replies; nil unless State is "valid"
	ContentDigest         []byte         // message-digest; nil if absent or malformed
	ReceiptRequested      bool           // the signer asks for a signed receipt (RFC 2634, Section 2.7); false unless State is "valid"
}

func (r *SignatureResult) fail(code string) { r.end("invalid", code) }

func (r *SignatureResult) end(state, code string) {
	if r.State != "invalid" {
		r.State = state
	}
	if !slices.Contains(r.Codes, code) {
		r.Codes = append(r.Codes, code)
	}
}

// Verify judges the signature with the key of cert over a content of the given type, whose
// digests are d. Whether cert may be trusted, and whether it is the one SignerID names, is
// for the caller to find out. Without cert only what needs no key is judged.
func (si *SignerInfo) Verify(cert *x509.Certificate, eContentType oid.OID, d *Digests, opt VerifyOptions) *SignatureResult {
	return si.verify(cert, eContentType, d, opt)
}

// verify is Verify; an empty eContentType means a countersignature, which has no
// content-type attribute (RFC 5652, Section 11.4).
func (si *SignerInfo) verify(cert *x509.Certificate, eContentType oid.OID, d *Digests, opt VerifyOptions) *SignatureResult {
	r := new(SignatureResult)
	h, alg := si.algorithms(r, opt)
	var received, der []byte
	var attrs attributeSet
	if si.signedAttrs != nil {
		var err error
		if received, der, attrs, err = signedOctets(si.signedAttrs); err != nil {
			r.fail("cms.malformed")
			return r
		}
		r.ClaimedTime = attrs.signingTime()
		r.ContentDigest, _ = attrs.messageDigest()
	}
	if alg == nil {
		return r
	}
	if d == nil {
		r.fail("cms.no_content")
		return r
	}
	digest, ok := d.Sum(h)
	if !ok {
		r.fail("digest.unannounced")
		return r
	}
	if si.signedAttrs == nil {
		si.verifyContent(r, cert, alg, h, digest, eContentType, d)
		return r
	}
	si.checkAttributes(r, attrs, cert, digest, eContentType)
	if key := signerKey(r, cert); key != nil {
		err := verifyOctets(alg, key, h, received, si.signature)
		if errors.Is(err, sigalg.ErrInvalid) && der != nil {
			err = verifyOctets(alg, key, h, der, si.signature)
			r.ReencodedAttributes = err == nil
		}
		r.take(err)
	}
	if der != nil {
		r.Codes = append(r.Codes, "attr.not_der")
	}
	if r.State == "" {
		r.State = "valid"
		r.Capabilities = attrs.capabilities()
		r.EncryptionCertificate = attrs.encryptionCertificate()
		r.ReceiptRequested = attrs.has(oid.ReceiptRequest)
	}
	return r
}

// algorithms reads and judges the algorithms. It returns nil if they end the matter.
func (si *SignerInfo) algorithms(r *SignatureResult, opt VerifyOptions) (sigalg.Hash, *sigalg.Algorithm) {
	alg, err := sigalg.Parse(si.signatureAlgorithm.Raw)
	if err == nil {
		r.Algorithm = alg.String()
	}
	h, hashErr := sigalg.ParseHash(si.digestAlgorithm.Raw)
	if hashErr == nil {
		r.Digest = h.String()
	}
	switch {
	case err != nil || hashErr != nil:
		r.end("unsupported", "sig.unsupported")
		return 0, nil
	case h == sigalg.MD5 && !opt.AllowMD5, h == sigalg.SHA1 && !opt.AllowSHA1:
		r.end("unsupported", "alg.weak_hash")
		return 0, nil
	case !alg.TakesDigest(h):
		// One hash function for content and attributes (RFC 8933, Section 3).
		r.fail("alg.mismatch")
		return 0, nil
	}
	if opt.AllowLegacyKeys {
		alg.MinModulus = 1024
	}
	return h, alg
}

// verifyContent judges a signature without signed attributes, which covers the content
// itself.
func (si *SignerInfo) verifyContent(r *SignatureResult, cert *x509.Certificate, alg *sigalg.Algorithm, h sigalg.Hash, digest []byte, eContentType oid.OID, d *Digests) {
	// Signed attributes must be there unless the content is id-data (RFC 5652, Section 5.3).
	if eContentType != oid.Data && eContentType != "" {
		r.fail("attr.missing")
	}
	if d.shape.matches() {
		r.fail("attr.forgery")
	}
	key := signerKey(r, cert)
	if key == nil {
		return
	}
	if alg.Pure() {
		content, ok := d.content()
		if !ok {
			r.end("unsupported", "limit.exceeded")
			return
		}
		r.take(alg.VerifyMessage(key, content, si.signature))
	} else {
		r.take(alg.VerifyDigest(key, h, digest, si.signature))
	}
	if r.State == "" {
		r.State = "valid"
	}
}

// checkAttributes holds the signed attributes against the rules of RFC 5652, Section 11,
// RFC 6211 and RFC 5035, and against the content.
func (si *SignerInfo) checkAttributes(r *SignatureResult, attrs attributeSet, cert *x509.Certificate, digest []byte, eContentType oid.OID) {
	if attrs.ambiguous() {
		r.fail("attr.duplicate")
	}
	switch t, ok := attrs.contentType(); {
	case eContentType == "":
		if attrs.has(oid.ContentType) {
			r.fail("attr.content_type")
		}
	case !attrs.has(oid.ContentType):
		r.fail("attr.missing")
	case !ok || t != eContentType:
		r.fail("attr.content_type")
	}
	switch claimed, ok := attrs.messageDigest(); {
	case !attrs.has(oid.MessageDigest):
		r.fail("attr.missing")
	case !ok || len(claimed) != len(digest):
		r.fail("attr.message_digest")
	case subtle.ConstantTimeCompare(claimed, digest) != 1:
		r.fail("digest.mismatch")
	}
	if !attrs.protects(si.digestAlgorithm, si.signatureAlgorithm) {
		r.fail("attr.algorithm_protection")
	}
	if cert != nil && !attrs.namesCertificate(cert) {
		r.fail("attr.signing_certificate")
	}
}

// signerKey returns the public key of cert, or nil if there is none to verify with.
func signerKey(r *SignatureResult, cert *x509.Certificate) crypto.PublicKey {
	if cert == nil {
		r.end("unsupported", "signer.no_certificate")
		return nil
	}
	key, err := sigalg.PublicKey(cert.RawSubjectPublicKeyInfo)
	if err != nil {
		r.take(err)
		return nil
	}
	return key
}

// verifyOctets verifies a signature over octets that are in memory.
func verifyOctets(alg *sigalg.Algorithm, key crypto.PublicKey, h sigalg.Hash, octets, sig []byte) error {
	if alg.Pure() {
		return alg.VerifyMessage(key, octets, sig)
	}
	return alg.VerifyDigest(key, h, h.Sum(octets), sig)
}

// take translates the outcome of a verification.
func (r *SignatureResult) take(err error) {
	if err == nil {
		return
	}
	if errors.Is(err, sigalg.ErrInvalid) {
		r.fail("sig.invalid")
		return
	}
	if _, ok := errors.AsType[*sigalg.WeakKeyError](err); ok {
		r.end("unsupported", "alg.weak_key")
		return
	}
	if _, ok := errors.AsType[*limits.Exceeded](err); ok {
		r.end("unsupported", "alg.too_large")
		return
	}
	r.end("unsupported", "sig.unsupported")
}
