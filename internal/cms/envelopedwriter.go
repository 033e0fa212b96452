package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/cipherstream"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// A Recipient is somebody who is to read an encrypted content: the holder of the key of a
// Certificate, or, if that is nil, whoever has the Secret or knows the Passphrase.
// Exactly one of the three must be set.
type Recipient struct {
	// Certificate has an RSA key, an ECDH key (P-256, P-384, P-521, X25519, X448) or an
	// ML-KEM-768 or ML-KEM-1024 key. Whether it may be used to encrypt is not checked.
	Certificate *x509.Certificate
	// KeyID names the certificate by its subject key identifier, if it has one, instead
	// of by issuer and serial number.
	KeyID bool
	// OAEP protects the content key with RSAES-OAEP, with SHA-256 and MGF1 with SHA-256,
	// instead of PKCS #1 v1.5. A key that is for OAEP only (RFC 4055, Section 1.2)
	// needs no setting.
	OAEP bool

	// Secret is a key that both sides have, of 16, 24 or 32 octets and no shorter than
	// the key of the content cipher. SecretID names it for the reader.
	Secret, SecretID []byte

	// Passphrase is a password. Iterations is the cost of PBKDF2, 600,000 if zero.
	Passphrase []byte
	Iterations int
}

// EnvelopeOptions say how [NewEnvelopedWriter] protects a content.
type EnvelopeOptions struct {
	// Cipher is the content cipher, "aes256-gcm" if empty. Those for which
	// [AuthenticatedCipher] is true give an AuthEnvelopedData, the others an
	// EnvelopedData.
	Cipher string
	// Derive binds the content key to the cipher (RFC 9709). Readers must know how.
	Derive bool
	// ContentType is the type of the content, id-data if empty.
	ContentType oid.OID
	// Attributes are authenticated with the content, each a DER-encoded Attribute. They
	// need an authenticated cipher.
	Attributes [][]byte
}

// AuthenticatedCipher reports whether cipher is the name of one that protects integrity.
func AuthenticatedCipher(cipher string) bool {
	for _, known := range contentCiphers {
		if known.name == cipher {
			return known.mode != modeCBC
		}
	}
	return false
}

// smallContent is how much content is held, in the hope of an encoding of definite length,
// before the output becomes a stream.
const smallContent = 64 << 10

// NewEnvelopedWriter returns a writer that encrypts what is written to it for all of to,
// with a fresh key. The structure is complete, in dst, once Close has returned nil.
//
// Content up to 64 KiB becomes DER, larger content BER of indefinite length, in constant
// memory. AES-CCM is an exception: it holds the content, which must be less than 16 MiB.
//
// A recipient whose key cannot be used, and one that is weaker than the cipher, is an
// error, and nothing is written.
func NewEnvelopedWriter(dst io.Writer, to []*Recipient, opt EnvelopeOptions) (io.WriteCloser, error) {
	if len(to) == 0 {
		return nil, errors.New("no recipients")
	}
	if len(to) > limits.RecipientInfos {
		return nil, &limits.Exceeded{What: "recipients", Max: limits.RecipientInfos}
	}
	if opt.Cipher == "" {
		opt.Cipher = "aes256-gcm"
	}
	c, a, err := newContentCipher(opt.Cipher, opt.Derive)
	if err != nil {
		return nil, err
	}
	w := &envelopedWriter{dst: dst, cipher: c, contentType: opt.ContentType, algorithm: a}
	if w.contentType == "" {
		w.contentType = oid.Data
	}
	if err := w.setAttributes(opt.Attributes); err != nil {
		return nil, err
	}
	cek := make([]byte, c.keyLen)
	rand.Read(cek)
	defer clear(cek)
	if err := w.setRecipients(to, cek); err != nil {
		return nil, err
	}
	w.plain, err = c.seal(writerFunc(w.text), cek, w.attributes)
	return w, err
}

type envelopedWriter struct {
	dst         io.Writer
	cipher      *contentCipher
	contentType oid.OID
	algorithm   AlgorithmIdentifier
	version     int
	recipients  []byte // SET OF RecipientInfo
	attributes  []byte // SET OF Attribute, nil if there are none
	plain       contentWriter

	small  []byte      // ciphertext, until it is too much
	stream *ber.Writer // nil before that
	octets io.WriteCloser
	err    error
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// setAttributes encodes what is authenticated, with the content-type attribute where it
// has to be (RFC 5083, Section 2.1).
func (w *envelopedWriter) setAttributes(attributes [][]byte) error {
	if !w.cipher.authenticated() {
		if len(attributes) > 0 {
			return errors.New("attributes need an authenticated cipher")
		}
		return nil
	}
	if w.contentType != oid.Data {
		var b cryptobyte.Builder
		addAttribute(&b, oid.ContentType, func(b *cryptobyte.Builder) { addOID(b, w.contentType) })
		attributes = append([][]byte{b.BytesOrPanic()}, attributes...)
	}
	if len(attributes) > 0 {
		w.attributes = derSet(attributes)
	}
	return nil
}

// setRecipients protects cek for each of to.
//
// QUIRK: gpgsm 2.2 gives up at a recipient it does not know, such as one by ECDH, unless one
// of its own came before. In the order of DER (X.690, Section 11.6), RSA recipients do.
func (w *envelopedWriter) setRecipients(to []*Recipient, cek []byte) error {
	infos := make([][]byte, len(to))
	for i, r := range to {
		info, version, err := r.seal(cek)
		if err != nil {
			if r.Certificate != nil {
				return fmt.Errorf("recipient %s: %w", NewCertificateID(r.Certificate, false), err)
			}
			return fmt.Errorf("recipient %d: %w", i+1, err)
		}
		var b cryptobyte.Builder
		info.add(&b)
		if infos[i], err = b.Bytes(); err != nil {
			return err
		}
		w.version = max(w.version, version)
	}
	slices.SortFunc(infos, bytes.Compare)
	set := slices.Concat(infos...)
	w.recipients = append(ber.AppendHeader(nil, ber.Set, true, len(set)), set...)
	if w.cipher.authenticated() {
		w.version = 0
	}
	return nil
}

// An encoder writes one RecipientInfo.
type encoder interface{ add(*cryptobyte.Builder) }

// seal protects cek for r. version is what the recipient demands of an EnvelopedData
// (RFC 5652, Section 6.1): 3 for passwords and other recipients, 0 for a
// KeyTransRecipientInfo of version 0, and otherwise 2.
func (r *Recipient) seal(cek []byte) (info encoder, version int, err error) {
	switch {
	case r.Certificate != nil:
		return r.sealCertificate(cek)
	case r.Secret != nil:
		info, err = sealKEK(r.Secret, r.SecretID, cek)
		return info, 2, err
	case r.Passphrase != nil:
		info, err = sealPassword(r.Passphrase, r.Iterations, cek)
		return info, 3, err
	}
	return nil, 0, errors.New("neither certificate nor secret nor passphrase")
}

func (r *Recipient) sealCertificate(cek []byte) (info encoder, version int, err error) {
	pub, oaep, err := encryptionKey(r.Certificate)
	if err != nil {
		return nil, 0, err
	}
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if oaep == nil && r.OAEP {
			oaep = &oaepParameters{hash: crypto.SHA256, mgf: crypto.SHA256}
		}
		v, err := sealRSA(r.Certificate, pub, oaep, r.KeyID, cek)
		if err != nil {
			return nil, 0, err
		}
		return v, v.version(), nil
	case *sigalg.MLKEMPublicKey:
		info, err = sealKEM(r.Certificate, pub, r.KeyID, cek)
		return info, 3, err
	}
	info, err = sealECDH(r.Certificate, pub, r.KeyID, cek)
	return info, 2, err
}

// encryptionKey returns the public key of a certificate, if anything may be encrypted to it,
// in the form that key management takes: EC keys as *ecdh.PublicKey. oaep is set for a key that its certificate restricts
// to RSAES-OAEP.
func encryptionKey(cert *x509.Certificate) (pub crypto.PublicKey, oaep *oaepParameters, err error) {
	var a AlgorithmIdentifier
	var key []byte
	if !readSPKI(cert.RawSubjectPublicKeyInfo, &a, &key) {
		return nil, nil, malformed(0, "SubjectPublicKeyInfo")
	}
	if a.OID == oid.RSAOAEP {
		p := oaepParameters{hash: crypto.SHA256, mgf: crypto.SHA256}
		if a.Parameters != nil {
			if p, err = parseOAEPParameters(a.Parameters); err != nil {
				return nil, nil, err
			}
		}
		var b cryptobyte.Builder // the key itself is a plain one
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addAlgorithm(b, oid.RSA, null())
			b.AddASN1BitString(key)
		})
		if pub, err = sigalg.PublicKey(b.BytesOrPanic()); err != nil {
			return nil, nil, err
		}
		if k, ok := pub.(*rsa.PublicKey); ok {
			err = checkModulus(k)
		}
		return pub, &p, err
	}
	if pub, err = sigalg.PublicKey(cert.RawSubjectPublicKeyInfo); err != nil {
		return nil, nil, err
	}
	switch k := pub.(type) {
	case *rsa.PublicKey:
		err = checkModulus(k)
		return pub, nil, err
	case *ecdsa.PublicKey:
		if pub, err = k.ECDH(); err != nil {
			return nil, nil, &UnsupportedError{What: "curve for key agreement"}
		}
	case *sigalg.MLKEMPublicKey:
		_, err = encapsulator(k)
		return pub, nil, err
	case *ecdh.PublicKey, sigalg.X448PublicKey:
	default:
		return nil, nil, &UnsupportedError{What: "type of public key for encryption", OID: a.OID}
	}
	return pub, nil, nil
}

// Write encrypts p.
func (w *envelopedWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.plain.Write(p)
	if err == cipherstream.ErrTooLong {
		err = &limits.Exceeded{What: "octets under " + w.cipher.name, Max: w.cipher.longest(nil)}
	}
	w.err = err
	return n, err
}

// Close encrypts what is left and completes the structure.
func (w *envelopedWriter) Close() error {
	if w.err != nil {
		return w.err
	}
	if w.err = w.plain.Close(); w.err != nil {
		return w.err
	}
	if w.stream == nil {
		w.err = w.writeSmall()
	} else {
		w.err = w.endStream()
	}
	if w.err != nil {
		return w.err
	}
	w.err = errors.New("write to a closed envelope")
	return nil
}

// text takes the ciphertext.
func (w *envelopedWriter) text(p []byte) (int, error) {
	if w.stream == nil && len(w.small)+len(p) <= smallContent {
		w.small = append(w.small, p...)
		return len(p), nil
	}
	if w.stream == nil {
		if err := w.beginStream(); err != nil {
			return 0, err
		}
		if _, err := w.octets.Write(w.small); err != nil {
			return 0, err
		}
		w.small = nil
	}
	return w.octets.Write(p)
}

func (w *envelopedWriter) typ() oid.OID {
	if w.cipher.authenticated() {
		return oid.AuthEnvelopedData
	}
	return oid.EnvelopedData
}

// head writes the version and the recipients.
func (w *envelopedWriter) head(b *cryptobyte.Builder) {
	b.AddASN1Int64(int64(w.version))
	b.AddBytes(w.recipients)
}

// foot writes what follows the encrypted content.
func (w *envelopedWriter) foot(b *cryptobyte.Builder) {
	if !w.cipher.authenticated() {
		return
	}
	if w.attributes != nil {
		implicit := append([]byte(nil), w.attributes...)
		implicit[0] = byte(constructed(1))
		b.AddBytes(implicit)
	}
	b.AddASN1OctetString(w.plain.Tag())
}

func (w *envelopedWriter) writeSmall() error {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(w.small)+len(w.recipients)+512))
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addOID(b, w.typ())
		b.AddASN1(constructed(0), func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				w.head(b)
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					addOID(b, w.contentType)
					b.AddBytes(w.algorithm.Raw)
					b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddBytes(w.small) })
				})
				w.foot(b)
			})
		})
	})
	out, err := b.Bytes()
	if err != nil {
		return err
	}
	_, err = w.dst.Write(out)
	return err
}

func (w *envelopedWriter) beginStream() error {
	s := ber.NewWriter(w.dst)
	w.stream = s
	var head, algorithm cryptobyte.Builder
	w.head(&head)
	addOID(&algorithm, w.contentType)
	algorithm.AddBytes(w.algorithm.Raw)
	// Errors of a ber.Writer stay: the last call returns the first one.
	s.Begin(ber.Sequence)
	s.Raw(derOID(w.typ()))
	s.Begin(ber.Context(0))
	s.Begin(ber.Sequence)
	s.Raw(head.BytesOrPanic())
	s.Begin(ber.Sequence)
	s.Raw(algorithm.BytesOrPanic())
	var err error
	w.octets, err = s.Octets(ber.Context(0))
	return err
}

func (w *envelopedWriter) endStream() error {
	if err := w.octets.Close(); err != nil {
		return err
	}
	s := w.stream
	s.End()
	var foot cryptobyte.Builder
	w.foot(&foot)
	s.Raw(foot.BytesOrPanic())
	s.End()
	s.End()
	return s.End()
}
