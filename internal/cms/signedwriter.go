package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// A Signer makes one signature. Certificate and Key must be set.
type Signer struct {
	Certificate *x509.Certificate
	Key         crypto.PrivateKey // a crypto.Signer, or better a crypto.MessageSigner
	Digest      sigalg.Hash       // 0 means the natural one of the key, SHA-256 or better
	PSS         bool              // RSASSA-PSS instead of PKCS #1 v1.5 for an RSA key
	KeyID       bool              // be named by key identifier instead of issuer and serial
	Time        time.Time         // the claimed signing time; zero means now

	// Capabilities is the DER of SMIMECapabilities (RFC 8551, Section 2.5.2). Nil means
	// what this module can read, an empty slice leaves the attribute out.
	Capabilities []byte
	// EncryptionCertificate is the certificate that replies should be encrypted to. Nil
	// means Certificate, if its key usage allows that.
	EncryptionCertificate *x509.Certificate
}

// Hash returns the hash function the signer uses.
func (s *Signer) Hash() sigalg.Hash {
	if s.Digest != 0 || s.Certificate == nil {
		return s.Digest
	}
	pub, err := sigalg.PublicKey(s.Certificate.RawSubjectPublicKeyInfo)
	if err != nil {
		return sigalg.SHA256
	}
	return sigalg.NaturalHash(pub)
}

// Check reports whether the signer's settings and its key fit each other. It does not use
// the private key.
func (s *Signer) Check() error {
	_, _, err := s.algorithm()
	return err
}

func (s *Signer) algorithm() (crypto.PublicKey, *sigalg.Algorithm, error) {
	if s.Certificate == nil || s.Key == nil {
		return nil, nil, errors.New("cms: signer without certificate or key")
	}
	pub, err := sigalg.PublicKey(s.Certificate.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, nil, err
	}
	alg, err := sigalg.For(pub, sigalg.SignOptions{Hash: s.Hash(), PSS: s.PSS, Bare: true})
	if err != nil {
		return nil, nil, err
	}
	return pub, alg, alg.Fits(s.Key)
}

// SignDetached returns the DER of SignedData without content, for the content that d has
// digested. The order of the signers is kept: readers that look at one signature only take
// the first. The certificates are sent along in the order given.
func SignDetached(d *Digests, signers []*Signer, certs []*x509.Certificate) ([]byte, error) {
	infos, err := signAll(d, signers)
	if err != nil {
		return nil, err
	}
	return signedData(signers, nil, certs, nil, infos), nil
}

// NewSignedWriter writes SignedData around the id-data content that the caller writes: as
// DER if the content is small, and as BER of indefinite length, in constant memory, if it
// is not. Signers and certificates are those of [SignDetached]. Nothing is complete before
// Close has returned nil; Close does not close dst.
func NewSignedWriter(dst io.Writer, signers []*Signer, certs []*x509.Certificate) (io.WriteCloser, error) {
	w := &signedWriter{dst: dst, signers: signers, certs: certs, digests: new(Digests)}
	for _, s := range signers {
		if err := s.Check(); err != nil {
			return nil, err
		}
		w.digests.add(s.Hash())
	}
	if len(signers) == 0 {
		return nil, errors.New("cms: no signers")
	}
	return w, nil
}

type signedWriter struct {
	dst     io.Writer
	signers []*Signer
	certs   []*x509.Certificate
	digests *Digests
	small   []byte         // content so far, until it is too large for that
	ber     *ber.Writer    // nil until then
	octets  io.WriteCloser // the content in ber
	closed  bool
}

func (w *signedWriter) Write(p []byte) (int, error) {
	if w.closed {
		return 0, errClosed
	}
	w.digests.Write(p)
	if w.ber == nil {
		if len(w.small)+len(p) <= smallContent {
			w.small = append(w.small, p...)
			return len(p), nil
		}
		if err := w.stream(); err != nil {
			return 0, err
		}
	}
	return w.octets.Write(p)
}

// stream begins the form of indefinite length.
func (w *signedWriter) stream() (err error) {
	var head cryptobyte.Builder
	head.AddASN1Int64(signedVersion(w.signers))
	addDigestAlgorithms(&head, w.signers)
	w.ber = ber.NewWriter(w.dst)
	if w.octets, err = beginEncapsulated(w.ber, oid.SignedData, head.BytesOrPanic()); err != nil {
		return err
	}
	_, err = w.octets.Write(w.small)
	w.small = nil
	return err
}

func (w *signedWriter) Close() error {
	if w.closed {
		return errClosed
	}
	w.closed = true
	infos, err := signAll(w.digests, w.signers)
	if err != nil {
		return err
	}
	if w.ber == nil {
		if w.small == nil {
			w.small = []byte{}
		}
		_, err := w.dst.Write(signedData(w.signers, w.small, w.certs, nil, infos))
		return err
	}
	if err := w.octets.Close(); err != nil {
		return err
	}
	endEncapsulated(w.ber)
	var tail cryptobyte.Builder
	addBag(&tail, w.certs, nil)
	addSignerInfos(&tail, infos)
	w.ber.Raw(tail.BytesOrPanic())
	return endWriting(w.ber)
}

// signedData returns the DER of a ContentInfo with SignedData; a nil content is absent.
func signedData(signers []*Signer, content []byte, certs []*x509.Certificate, crls [][]byte, infos [][]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addOID(b, oid.SignedData)
		b.AddASN1(casn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(signedVersion(signers))
				addDigestAlgorithms(b, signers)
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					addOID(b, oid.Data)
					if content != nil {
						b.AddASN1(casn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
							b.AddASN1OctetString(content)
						})
					}
				})
				addBag(b, certs, crls)
				addSignerInfos(b, infos)
			})
		})
	})
	return b.BytesOrPanic()
}

// signedVersion returns the version of SignedData over id-data (RFC 5652, Section 5.1).
func signedVersion(signers []*Signer) int64 {
	for _, s := range signers {
		if s.certificateID().KeyID != nil {
			return 3
		}
	}
	return 1
}

func addDigestAlgorithms(b *cryptobyte.Builder, signers []*Signer) {
	var all [][]byte
	for _, s := range signers {
		if a := s.Hash().Algorithm(); !slices.ContainsFunc(all, func(x []byte) bool { return bytes.Equal(a, x) }) {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, bytes.Compare)
	b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
		for _, a := range all {
			b.AddBytes(a)
		}
	})
}

// addBag adds certificates and CRLs, in the order given.
func addBag(b *cryptobyte.Builder, certs []*x509.Certificate, crls [][]byte) {
	if len(certs) > 0 {
		b.AddASN1(casn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			for _, c := range certs {
				b.AddBytes(c.Raw)
			}
		})
	}
	if len(crls) > 0 {
		b.AddASN1(casn1.Tag(1).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			for _, c := range crls {
				b.AddBytes(c)
			}
		})
	}
}

func addSignerInfos(b *cryptobyte.Builder, infos [][]byte) {
	b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
		for _, si := range infos {
			b.AddBytes(si)
		}
	})
}

// signAll returns the SignerInfos of all signers.
func signAll(d *Digests, signers []*Signer) ([][]byte, error) {
	var infos [][]byte
	for _, s := range signers {
		digest, ok := d.Sum(s.Hash())
		if !ok {
			return nil, fmt.Errorf("cms: the digest %v was not computed", s.Hash())
		}
		si, err := s.sign(digest)
		if err != nil {
			return nil, err
		}
		infos = append(infos, si)
	}
	if len(infos) == 0 {
		return nil, errors.New("cms: no signers")
	}
	return infos, nil
}

func (s *Signer) certificateID() CertificateID { return NewCertificateID(s.Certificate, s.KeyID) }

// sign returns the SignerInfo over a content with the given digest. There are always
// signed attributes: without them a signature can be passed off as one over attributes
// (threats.md, A03).
func (s *Signer) sign(digest []byte) ([]byte, error) {
	pub, alg, err := s.algorithm()
	if err != nil {
		return nil, err
	}
	attrs := s.signedAttributes(alg, digest)
	sig, err := alg.Sign(s.Key, pub, s.Hash(), attrs)
	if err != nil {
		return nil, err
	}
	implicit := bytes.Clone(attrs)
	implicit[0] = 0xa0
	id := s.certificateID()
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		version := int64(1)
		if id.KeyID != nil {
			version = 3
		}
		b.AddASN1Int64(version)
		id.add(b)
		b.AddBytes(s.Hash().Algorithm())
		b.AddBytes(implicit)
		b.AddBytes(alg.DER())
		b.AddASN1OctetString(sig)
	})
	return b.Bytes()
}
