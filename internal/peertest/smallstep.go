package peertest

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"sync"

	"github.com/smallstep/pkcs7"
)

// smallstep is the Go library github.com/smallstep/pkcs7. It reads only what a test has
// just made: on hostile input it panics.
type smallstep struct {
	lab *Lab
	mu  sync.Mutex // the library takes its cipher from a package variable
}

func startSmallstep(l *Lab) Peer { return &smallstep{lab: l} }

func (p *smallstep) Name() string { return "smallstep" }

// Version returns "": go.mod states it, and a test binary does not hold it.
func (p *smallstep) Version() string { return "" }

func (p *smallstep) CannotWrite(f Form) string {
	switch {
	case f.Kind == Compressed:
		return "pkcs7 has no CompressedData"
	case f.Edwards():
		return "pkcs7 has no Ed25519"
	case f.Kind == Encrypted && (f.EC() || f.Shared()):
		return "pkcs7 has RSA recipients only"
	case f.PSS:
		return "pkcs7 has no RSA-PSS"
	case f.KeyID:
		return "pkcs7 names signers and recipients by issuer and serial number only"
	case f.Streamed:
		return "pkcs7 writes DER only"
	case f.GCM():
		return "pkcs7 has no AuthEnvelopedData: it puts GCM into EnvelopedData, which nobody else reads"
	case f.Cipher == "aes192-cbc":
		return "pkcs7 has no AES-192"
	case f.OAEP != "":
		return "pkcs7 writes OAEP parameters that others cannot read"
	}
	return ""
}

func (p *smallstep) CannotRead(f Form) string {
	switch {
	case f.Kind == Compressed:
		return "pkcs7 has no CompressedData"
	case f.Edwards():
		return "pkcs7 has no Ed25519"
	case f.Kind == Encrypted && (f.EC() || f.Shared()):
		return "pkcs7 has RSA recipients only"
	case f.PSS:
		return "pkcs7 has no RSA-PSS"
	case f.Kind == Signed && f.KeyID:
		return "pkcs7 reads no signer named by key identifier: it reports none"
	case f.Kind == Encrypted && f.KeyID:
		return "pkcs7 finds no recipient named by key identifier"
	case f.GCM():
		return "pkcs7 has no AuthEnvelopedData"
	case f.Cipher == "aes192-cbc":
		return "pkcs7 has no AES-192"
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
	if f.Cipher == "aes128-cbc" {
		pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES128CBC
	}
	return pkcs7.Encrypt(content, to)
}

func (p *smallstep) sign(f Form, content []byte) ([]byte, error) {
	var digest asn1.ObjectIdentifier
	switch f.Digest {
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
		if err := sd.AddSigner(id.Cert, id.Key, pkcs7.SignerInfoConfig{}); err != nil {
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
