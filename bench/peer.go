package main

import (
	"crypto"
	"crypto/x509"
	"io"

	digitorus "github.com/digitorus/pkcs7"
	smallstep "github.com/smallstep/pkcs7"
)

// A peer is another Go library for CMS. None of them streams, or knows any cipher of
// AuthEnvelopedData.
type peer struct {
	name    string
	sign    func(content []byte, cert *x509.Certificate, key crypto.PrivateKey, detached bool) error
	verify  func(der, detached []byte) error
	encrypt func(content []byte, to *x509.Certificate) error
	decrypt func(der []byte, cert *x509.Certificate, key crypto.PrivateKey) error
}

func peers() []peer {
	return []peer{{
		name: "smallstep",
		sign: func(content []byte, cert *x509.Certificate, key crypto.PrivateKey, detached bool) error {
			sd, err := smallstep.NewSignedData(content)
			if err != nil {
				return err
			}
			sd.SetDigestAlgorithm(smallstep.OIDDigestAlgorithmSHA256)
			if err := sd.AddSigner(cert, key, smallstep.SignerInfoConfig{}); err != nil {
				return err
			}
			if detached {
				sd.Detach()
			}
			_, err = sd.Finish()
			return err
		},
		verify: func(der, detached []byte) error {
			p, err := smallstep.Parse(der)
			if err != nil {
				return err
			}
			if detached != nil {
				p.Content = detached
			}
			return p.Verify()
		},
		encrypt: func(content []byte, to *x509.Certificate) error {
			smallstep.ContentEncryptionAlgorithm = smallstep.EncryptionAlgorithmAES256CBC
			_, err := smallstep.Encrypt(content, []*x509.Certificate{to})
			return err
		},
		decrypt: func(der []byte, cert *x509.Certificate, key crypto.PrivateKey) error {
			p, err := smallstep.Parse(der)
			if err != nil {
				return err
			}
			_, err = p.Decrypt(cert, key)
			return err
		},
	}, {
		name: "digitorus",
		sign: func(content []byte, cert *x509.Certificate, key crypto.PrivateKey, detached bool) error {
			sd, err := digitorus.NewSignedData(content)
			if err != nil {
				return err
			}
			sd.SetDigestAlgorithm(digitorus.OIDDigestAlgorithmSHA256)
			if err := sd.AddSigner(cert, key, digitorus.SignerInfoConfig{}); err != nil {
				return err
			}
			if detached {
				sd.Detach()
			}
			_, err = sd.Finish()
			return err
		},
		verify: func(der, detached []byte) error {
			p, err := digitorus.Parse(der)
			if err != nil {
				return err
			}
			if detached != nil {
				p.Content = detached
			}
			return p.Verify()
		},
		encrypt: func(content []byte, to *x509.Certificate) error {
			digitorus.ContentEncryptionAlgorithm = digitorus.EncryptionAlgorithmAES256CBC
			_, err := digitorus.Encrypt(content, []*x509.Certificate{to})
			return err
		},
		decrypt: func(der []byte, cert *x509.Certificate, key crypto.PrivateKey) error {
			p, err := digitorus.Parse(der)
			if err != nil {
				return err
			}
			_, err = p.Decrypt(cert, key)
			return err
		},
	}}
}

func peerSign(detached bool) func(peer, *env, source) error {
	return func(p peer, e *env, s source) error {
		content, err := readAll(s.content)
		if err != nil {
			return err
		}
		return p.sign(content, e.cert, e.key, detached)
	}
}

func peerVerify(detached bool) func(peer, *env, source) error {
	return func(p peer, e *env, s source) error {
		der, err := readAll(s.input)
		if err != nil {
			return err
		}
		var content []byte
		if detached {
			if content, err = readAll(s.content); err != nil {
				return err
			}
		}
		return p.verify(der, content)
	}
}

func peerEncrypt(p peer, e *env, s source) error {
	content, err := readAll(s.content)
	if err != nil {
		return err
	}
	return p.encrypt(content, e.cert)
}

func peerDecrypt(p peer, e *env, s source) error {
	der, err := readAll(s.input)
	if err != nil {
		return err
	}
	return p.decrypt(der, e.cert, e.key)
}

func readAll(open func() (io.ReadCloser, error)) ([]byte, error) {
	in, err := open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}
