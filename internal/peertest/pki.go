package peertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// Password protects every PKCS #12 file and key store of a lab.
const Password = "test"

// An ID is somebody in the lab's PKI.
type ID struct {
	Name  string // alice, bob, alice-ec, bob-ec, alice-ed; also the stem of the file names
	Email string // the rfc822Name in the certificate
	Cert  *x509.Certificate
	// Key is an RSA-2048 key, *ecdsa.PrivateKey on P-256 for names in -ec,
	// ed25519.PrivateKey for names in -ed.
	Key crypto.Signer
}

// A PKI is a root and the people it issued to. The certificates are valid now, because
// the peers judge by the clock of the machine.
type PKI struct {
	Root    *x509.Certificate
	RootKey crypto.Signer
	IDs     []*ID
}

// ID returns the identity of that name. It panics if there is none.
func (p *PKI) ID(name string) *ID {
	for _, id := range p.IDs {
		if id.Name == name {
			return id
		}
	}
	panic("peertest: no identity " + name)
}

func newPKI() (*PKI, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{Organization: []string{"Postseal Test"}, CommonName: "Peer Test Root"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(0, 1, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	root, err := issue(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	p := &PKI{Root: root, RootKey: key}
	for i, name := range []string{"alice", "bob", "alice-ec", "bob-ec", "alice-ed"} {
		id, err := p.issueTo(name, int64(i+2))
		if err != nil {
			return nil, err
		}
		p.IDs = append(p.IDs, id)
	}
	return p, nil
}

func (p *PKI) issueTo(name string, serial int64) (*ID, error) {
	id := &ID{Name: name, Email: name + "@example.test"}
	key, usage, err := newKey(name)
	if err != nil {
		return nil, err
	}
	id.Key = key
	public := key.Public()
	ski, err := keyID(public)
	if err != nil {
		return nil, err
	}
	id.Cert, err = issue(&x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{Organization: []string{"Postseal Test"}, CommonName: name},
		NotBefore:             p.Root.NotBefore,
		NotAfter:              p.Root.NotAfter,
		KeyUsage:              usage,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		BasicConstraintsValid: true,
		EmailAddresses:        []string{id.Email},
		SubjectKeyId:          ski, // x509 adds one by itself only for authorities
	}, p.Root, public, p.RootKey)
	return id, err
}

// newKey makes the kind of key that the name asks for, and says what it may be used for.
func newKey(name string) (crypto.Signer, x509.KeyUsage, error) {
	_, kind, _ := strings.Cut(name, "-")
	switch kind {
	case "ec":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return key, x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement, err
	case "ed":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, x509.KeyUsageDigitalSignature, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return key, x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, err
}

func issue(template, parent *x509.Certificate, pub crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// keyID is a truncated SHA-256 of the key, as RFC 7093, Section 2 allows.
func keyID(pub crypto.PublicKey) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	h := crypto.SHA256.New()
	h.Write(spki)
	return h.Sum(nil)[:20], nil
}

// write leaves the PKI in a folder the way command-line tools want it: ca.pem and for
// every identity NAME.pem, NAME.key (PKCS #8) and, for RSA and P-256, NAME.p12
// (certificate, key and root).
func (p *PKI) write(dir string) error {
	if err := writePEM(filepath.Join(dir, "ca.pem"), "CERTIFICATE", p.Root.Raw); err != nil {
		return err
	}
	for _, id := range p.IDs {
		stem := filepath.Join(dir, id.Name)
		pkcs8, err := x509.MarshalPKCS8PrivateKey(id.Key)
		if err != nil {
			return err
		}
		if err := writePEM(stem+".pem", "CERTIFICATE", id.Cert.Raw); err != nil {
			return err
		}
		if err := writePEM(stem+".key", "PRIVATE KEY", pkcs8); err != nil {
			return err
		}
		if (Form{Who: []string{id.Name}}).Edwards() {
			continue // no peer that wants PKCS #12 can use the key
		}
		// gpgsm 2.2 reads no newer protection than SHA-1 with 3DES.
		p12, err := pkcs12.LegacyDES.Encode(id.Key, id.Cert, []*x509.Certificate{p.Root}, Password)
		if err != nil {
			return fmt.Errorf("%s.p12: %w", id.Name, err)
		}
		if err := os.WriteFile(stem+".p12", p12, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func writePEM(path, label string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}), 0o600)
}
