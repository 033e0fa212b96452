package peertest

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/smallstep/pkcs7"
)

// smallstep is the Go library github.com/smallstep/pkcs7. It reads only what a test has
// just made: on hostile input it panics.
type smallstep struct {
	lab *Lab
	mu  sync.Mutex // the library takes its cipher from a package variable
}

func (p *smallstep) start(l *Lab) (stop func(), err error) {
	p.lab = l
	return nil, nil
}

func (p *smallstep) Name() string { return "smallstep" }

// Version returns "": go.mod states it, and a test binary does not hold it.
func (p *smallstep) Version() string { return "" }

func (p *smallstep) CannotWrite(f Form) string {
	switch {
	case f.KeyID:
		return "pkcs7 names signers and recipients by issuer and serial number only"
	case f.Streamed:
		return "pkcs7 writes DER only"
	case f.AEAD() && strings.HasSuffix(f.Cipher, "-gcm"):
		return "pkcs7 has no AuthEnvelopedData: it puts GCM into EnvelopedData, which nobody else reads"
	case f.OAEP != "":
		return "pkcs7 writes OAEP parameters that others cannot read"
	case f.Cipher == "3des-cbc":
		return "pkcs7 writes no Triple-DES"
	}
	return p.CannotRead(f)
}

func (p *smallstep) CannotRead(f Form) string {
	switch {
	case !slices.Contains([]Kind{Signed, Encrypted, CertsOnly}, f.Kind):
		return "pkcs7 has no CompressedData, AuthenticatedData, EncryptedData and DigestedData"
	case f.Kind == Encrypted && (f.Agreed() || f.Shared() || f.KEM()):
		return "pkcs7 has RSA recipients only"
	case f.Has("ed", "ed448", "bp", "pss") || f.MLDSA():
		return "pkcs7 has RSA, DSA and the curves of NIST only"
	case f.PSS:
		return "pkcs7 has no RSA-PSS"
	case strings.HasPrefix(f.Digest, "sha3-") || strings.HasPrefix(f.Digest, "shake"):
		return "pkcs7 has no SHA3 and SHAKE"
	case f.Kind == Signed && f.KeyID:
		return "pkcs7 reads no signer named by key identifier: it reports none"
	case f.Kind == Encrypted && f.KeyID:
		return "pkcs7 finds no recipient named by key identifier"
	case f.AEAD():
		return "pkcs7 has no AuthEnvelopedData"
	case f.Derived:
		return "pkcs7 does not know RFC 9709"
	case f.Cipher == "aes192-cbc" || f.Cipher == "rc2-cbc":
		return "pkcs7 has no AES-192 and RC2"
	case f.Mask != "" || f.Label:
		return "pkcs7 ignores the label of RSA-OAEP and the digest of its mask"
	case f.Has("dsa"):
		return "pkcs7 has DSA with SHA-1 only"
	case f.Digest == "sha224":
		return "pkcs7 has no SHA-224 with RSA"
	}
	return ""
}

func (p *smallstep) Write(f Form, content []byte) ([]byte, error) {
	switch f.Kind {
	case CertsOnly:
		var joined []byte
		for _, who := range f.Who {
			joined = append(joined, p.lab.PKI.ID(who).Cert.Raw...)
		}
		return pkcs7.DegenerateCertificate(joined)
	case Signed:
		return p.sign(f, content)
	}
	var to []*x509.Certificate
	for _, who := range f.Who {
		to = append(to, p.lab.PKI.ID(who).Cert)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
	switch f.Cipher {
	case "aes128-cbc":
		pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES128CBC
	case "des-cbc":
		pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmDESCBC
	}
	return pkcs7.Encrypt(content, to)
}

func (p *smallstep) sign(f Form, content []byte) ([]byte, error) {
	var digest asn1.ObjectIdentifier
	switch f.Digest {
	case "sha1":
		digest = pkcs7.OIDDigestAlgorithmSHA1
	case "sha224":
		digest = pkcs7.OIDDigestAlgorithmSHA224
	case "sha256":
		digest = pkcs7.OIDDigestAlgorithmSHA256
	case "sha384":
		digest = pkcs7.OIDDigestAlgorithmSHA384
	case "sha512":
		digest = pkcs7.OIDDigestAlgorithmSHA512
	}
	sd, err := pkcs7.NewSignedData(content)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(digest)
	for _, who := range f.Who {
		id := p.lab.PKI.ID(who)
		add := func(cert *x509.Certificate, key crypto.PrivateKey) error {
			return sd.AddSigner(cert, key, pkcs7.SignerInfoConfig{})
		}
		if f.Bare {
			add = func(cert *x509.Certificate, key crypto.PrivateKey) error {
				return sd.SignWithoutAttr(cert, key, pkcs7.SignerInfoConfig{})
			}
		}
		if err := add(id.Cert, id.Key); err != nil {
			return nil, err
		}
	}
	if f.Detached {
		sd.Detach()
	}
	return sd.Finish()
}

func (p *smallstep) Read(f Form, cms, content []byte) ([]byte, error) {
	p7, err := pkcs7.Parse(cms)
	if err != nil {
		return nil, err
	}
	switch f.Kind {
	case CertsOnly:
		var certs [][]byte
		for _, c := range p7.Certificates {
			certs = append(certs, c.Raw)
		}
		return joinCertificates(certs), nil
	case Signed:
		if f.Detached {
			p7.Content = content
		}
		if len(p7.Signers) != len(f.Who) {
			return nil, errors.New("smallstep: not every signer was found")
		}
		roots := x509.NewCertPool()
		roots.AddCert(p.lab.PKI.Root)
		if err := p7.VerifyWithChain(roots); err != nil {
			return nil, err
		}
		return p7.Content, nil
	}
	return readAs(f.Who, func(who string) ([]byte, error) {
		id := p.lab.PKI.ID(who)
		// The library decrypts in place, so that each recipient needs a parse of its own.
		p7, err := pkcs7.Parse(cms)
		if err != nil {
			return nil, err
		}
		return p7.Decrypt(id.Cert, id.Key)
	})
}
