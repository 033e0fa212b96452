package smimetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A Leaf says what a certificate for a person holds. The zero value of each field is the
// usual choice.
type Leaf struct {
	Name   string   // the common name; empty is the local part of the first address
	Emails []string // the addresses, outside ASCII too; none leaves the extension out
	Key    Key      // the kind of key; empty is P256

	NotBefore time.Time // zero is half a year before the time of the PKI
	NotAfter  time.Time // zero is half a year after it

	KeyUsage    x509.KeyUsage      // 0 is all that the key can do
	ExtKeyUsage []x509.ExtKeyUsage // nil is email protection

	CRLSources  []string // URLs of CRLs
	OCSPSources []string // URLs of OCSP responders

	// Change may change the certificate before it is signed: leave something out, or say
	// something that an authority should never say.
	Change func(*x509.Certificate)
}

// An Authority issues certificates and answers whether they are revoked. Its key is P-256
// and its own.
type Authority struct {
	pki   *PKI
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	above []*x509.Certificate // authorities to send along, the nearest first, without the root
}

// Certificate returns the certificate of the authority.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Key returns the private key of the authority, for certificates and answers that Issue,
// CRL and OCSP do not make.
func (a *Authority) Key() crypto.Signer { return a.key }

// Authority returns a new authority below a.
func (a *Authority) Authority(name string) *Authority { return a.pki.authority(a, name) }

// authority makes an authority below parent, or a root if there is none.
func (p *PKI) authority(parent *Authority, name string) *Authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.fail(err)
	}
	a := &Authority{pki: p, key: key}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(p.nextSerial()),
		Subject:               subject(name),
		NotBefore:             p.now.AddDate(-5, 0, 0),
		NotAfter:              p.now.AddDate(10, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	issuer := parent
	if parent == nil {
		issuer = &Authority{pki: p, key: key, cert: template}
	}
	info, err := P256.publicKeyInfo(key)
	if err != nil {
		p.fail(err)
	}
	if a.cert, err = issuer.sign(template, info); err != nil {
		p.fail(err)
	}
	if parent != nil {
		a.above = append([]*x509.Certificate{a.cert}, parent.above...)
	}
	return a
}

// Issue makes a key and a certificate for somebody. The identity has the certificates of
// the authorities between it and the root.
func (a *Authority) Issue(leaf Leaf) *certstore.Identity {
	id, err := a.issue(leaf)
	if err != nil {
		a.pki.fail(err)
	}
	return id
}

func (a *Authority) issue(leaf Leaf) (*certstore.Identity, error) {
	if leaf.Name == "" && len(leaf.Emails) > 0 {
		leaf.Name, _, _ = strings.Cut(leaf.Emails[0], "@")
	}
	key, err := a.pki.key(leaf.Name, leaf.Key)
	if err != nil {
		return nil, err
	}
	info, err := leaf.Key.publicKeyInfo(key)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(a.pki.nextSerial()),
		Subject:               subject(leaf.Name),
		NotBefore:             leaf.NotBefore,
		NotAfter:              leaf.NotAfter,
		KeyUsage:              leaf.KeyUsage,
		ExtKeyUsage:           leaf.ExtKeyUsage,
		CRLDistributionPoints: leaf.CRLSources,
		OCSPServer:            leaf.OCSPSources,
		BasicConstraintsValid: true,
	}
	if template.NotBefore.IsZero() {
		template.NotBefore = a.pki.now.AddDate(0, -6, 0)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = a.pki.now.AddDate(0, 6, 0)
	}
	if template.KeyUsage == 0 {
		template.KeyUsage = leaf.Key.usage()
	}
	if template.ExtKeyUsage == nil {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	}
	if len(leaf.Emails) > 0 {
		names, err := alternativeNames(leaf.Emails)
		if err != nil {
			return nil, err
		}
		template.ExtraExtensions = []stdpkix.Extension{{Id: []int{2, 5, 29, 17}, Value: names}}
	}
	if leaf.Change != nil {
		leaf.Change(template)
	}
	cert, err := a.sign(template, info)
	if err != nil {
		return nil, err
	}
	id, err := certstore.NewIdentity(cert, key, a.above...)
	if err == nil {
		a.pki.mu.Lock()
		a.pki.identities = append(a.pki.identities, id)
		a.pki.mu.Unlock()
	}
	return id, err
}

func subject(name string) stdpkix.Name {
	return stdpkix.Name{Organization: []string{"Postseal Test"}, CommonName: name}
}

// alternativeNames returns a SubjectAltName with an rfc822Name for each address, or a
// SmtpUTF8Mailbox where the address is not ASCII (RFC 9598, Section 3).
func alternativeNames(emails []string) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, email := range emails {
			if strings.ContainsFunc(email, func(r rune) bool { return r >= 0x80 }) {
				b.AddASN1(asn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
					b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(oid.SmtpUTF8Mailbox)) })
					b.AddASN1(asn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
						b.AddASN1(asn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(email)) })
					})
				})
				continue
			}
			b.AddASN1(asn1.Tag(1).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(email)) })
		}
	})
	return b.Bytes()
}

// sign signs a certificate for the public key info. The standard library signs one with
// the authority's own key, which is then replaced: it knows few kinds of keys.
func (a *Authority) sign(template *x509.Certificate, info []byte) (*x509.Certificate, error) {
	if template.SubjectKeyId == nil {
		// RFC 7093, Section 2, method 4.
		sum := sha256.Sum256(info)
		template.SubjectKeyId = sum[:20]
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	if der, err = a.replaceKey(der, info); err != nil {
		return nil, err
	}
	return pkix.ParseCertificate(der)
}

// replaceKey puts another subjectPublicKeyInfo into a certificate and signs it again.
//
//	TBSCertificate  ::=  SEQUENCE  {
//	     version         [0]  EXPLICIT Version DEFAULT v1,
//	     serialNumber         CertificateSerialNumber,
//	     signature            AlgorithmIdentifier,
//	     issuer               Name,
//	     validity             Validity,
//	     subject              Name,
//	     subjectPublicKeyInfo SubjectPublicKeyInfo,
//	     ... }
func (a *Authority) replaceKey(der, info []byte) ([]byte, error) {
	in := cryptobyte.String(der)
	var cert, tbs, before, algorithm cryptobyte.String
	if !in.ReadASN1(&cert, asn1.SEQUENCE) || !cert.ReadASN1(&tbs, asn1.SEQUENCE) || !cert.ReadASN1Element(&algorithm, asn1.SEQUENCE) {
		return nil, errors.New("malformed certificate")
	}
	before = tbs
	for range 6 {
		if !tbs.SkipASN1(cryptobyteTag(tbs)) {
			return nil, errors.New("malformed certificate")
		}
	}
	before = before[:len(before)-len(tbs)]
	if !tbs.SkipASN1(asn1.SEQUENCE) {
		return nil, errors.New("malformed certificate")
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(before)
		b.AddBytes(info)
		b.AddBytes(tbs)
	})
	signed, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(signed)
	signature, err := a.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	b = cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(signed)
		b.AddBytes(algorithm)
		b.AddASN1BitString(signature)
	})
	return b.Bytes()
}

// cryptobyteTag returns the tag that is next in s.
func cryptobyteTag(s cryptobyte.String) asn1.Tag {
	if len(s) == 0 {
		return 0
	}
	return asn1.Tag(s[0])
}
