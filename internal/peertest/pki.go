package peertest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/postseal/postseal/internal/pkix"
)

// Password protects every PKCS #12 file and key store of a lab.
const Password = "test"

// An ID is somebody in the lab's PKI. What follows the hyphen in the name says what kind of
// key it is: see [KeyKind].
type ID struct {
	Name  string // alice, bob-ec and so on; also the stem of the file names
	Email string // the rfc822Name in the certificate
	Cert  *x509.Certificate
	// Key is the private key, nil for kinds that only peers have: ed448, bp and dsa.
	Key crypto.PrivateKey

	pkcs8 []byte
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
	if id := p.find(name); id != nil {
		return id
	}
	panic("peertest: no identity " + name)
}

func (p *PKI) find(name string) *ID {
	for _, id := range p.IDs {
		if id.Name == name {
			return id
		}
	}
	return nil
}

// Has reports whether the lab has every identity of a form: those whose keys a missing
// OpenSSL was to make are not there.
func (p *PKI) Has(f Form) bool {
	return !slices.ContainsFunc(f.Who, func(who string) bool { return p.find(who) == nil })
}

// people lists the identities of every lab.
func people() []string {
	return []string{"alice", "bob", "alice-ec", "bob-ec", "alice-p384", "bob-p384", "alice-p521", "bob-p521", "alice-pss",
		"alice-ed", "alice-mldsa44", "alice-mldsa65", "alice-mldsa87", "alice-bp", "alice-dsa", "alice-ed448",
		"bob-x25519", "bob-x448", "bob-mlkem512", "bob-mlkem768", "bob-mlkem1024"}
}

func newPKI() (*PKI, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               stdpkix.Name{Organization: []string{"Postseal Test"}, CommonName: "Peer Test Root"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(0, 1, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	p := &PKI{RootKey: key}
	if p.Root, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	for i, name := range people() {
		k, err := newKey(KeyKind(name))
		if err != nil {
			return nil, fmt.Errorf("peertest: key of %s: %w", name, err)
		}
		if k == nil {
			continue
		}
		id := &ID{Name: name, Email: name + "@example.test", Key: k.private, pkcs8: k.pkcs8}
		if id.Cert, err = p.issue(id, int64(i+2), k); err != nil {
			return nil, fmt.Errorf("peertest: certificate of %s: %w", name, err)
		}
		p.IDs = append(p.IDs, id)
	}
	return p, nil
}

// issue makes a certificate for any key: one with the root's own key, in which the
// SubjectPublicKeyInfo is then another.
func (p *PKI) issue(id *ID, serial int64, k *keyPair) (*x509.Certificate, error) {
	ski := sha256.Sum256(k.spki) // truncated, as RFC 7093, Section 2 allows
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               stdpkix.Name{Organization: []string{"Postseal Test"}, CommonName: id.Name},
		NotBefore:             p.Root.NotBefore,
		NotAfter:              p.Root.NotAfter,
		KeyUsage:              k.usage,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		BasicConstraintsValid: true,
		EmailAddresses:        []string{id.Email},
		SubjectKeyId:          ski[:20],
	}, p.Root, p.RootKey.Public(), p.RootKey)
	if err != nil {
		return nil, err
	}
	var tbs, algorithm cryptobyte.String
	whole := cryptobyte.String(der)
	if !whole.ReadASN1(&whole, casn1.SEQUENCE) || !whole.ReadASN1Element(&tbs, casn1.SEQUENCE) ||
		!whole.ReadASN1Element(&algorithm, casn1.SEQUENCE) {
		return nil, fmt.Errorf("crypto/x509 wrote %x", der)
	}
	tbs, err = withKey(tbs, k.spki)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(tbs)
	signature, err := p.RootKey.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(algorithm)
		b.AddASN1BitString(signature)
	})
	der, err = b.Bytes()
	if err != nil {
		return nil, err
	}
	return pkix.ParseCertificate(der)
}

// withKey replaces the seventh element of a TBSCertificate (RFC 5280, Section 4.1), its key.
func withKey(tbs cryptobyte.String, spki []byte) ([]byte, error) {
	var b cryptobyte.Builder
	ok := tbs.ReadASN1(&tbs, casn1.SEQUENCE)
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for i := 0; ok && !tbs.Empty(); i++ {
			var element cryptobyte.String
			var tag casn1.Tag
			if ok = tbs.ReadAnyASN1Element(&element, &tag); i == 6 {
				element = spki
			}
			b.AddBytes(element)
		}
	})
	if !ok {
		return nil, fmt.Errorf("crypto/x509 wrote a TBSCertificate of %d octets too many", len(tbs))
	}
	return b.Bytes()
}

// write leaves the PKI in a folder the way command-line tools want it: ca.pem and for
// every identity NAME.pem, NAME.key (PKCS #8) and, for some, NAME.p12.
func (p *PKI) write(dir string) error {
	if err := writePEM(filepath.Join(dir, "ca.pem"), "CERTIFICATE", p.Root.Raw); err != nil {
		return err
	}
	for _, id := range p.IDs {
		stem := filepath.Join(dir, id.Name)
		if err := writePEM(stem+".pem", "CERTIFICATE", id.Cert.Raw); err != nil {
			return err
		}
		if err := writePEM(stem+".key", "PRIVATE KEY", id.pkcs8); err != nil {
			return err
		}
		if !id.packed() {
			continue
		}
		if err := id.pack(p.Root, dir); err != nil {
			return err
		}
	}
	return nil
}

// pack writes NAME.p12 into a folder: the certificate, the key and the root.
func (id *ID) pack(root *x509.Certificate, dir string) error {
	// gpgsm 2.2 reads no newer protection than SHA-1 with 3DES.
	pack := func() ([]byte, error) { return id.packGenerated(root) }
	if id.Key != nil {
		pack = func() ([]byte, error) {
			return pkcs12.LegacyDES.Encode(id.Key, id.Cert, []*x509.Certificate{root}, Password)
		}
	}
	p12, err := pack()
	if err != nil {
		return fmt.Errorf("%s.p12: %w", id.Name, err)
	}
	return os.WriteFile(filepath.Join(dir, id.Name+".p12"), p12, 0o600)
}

// packed reports whether there is a PKCS #12 file: for the keys that a peer which wants
// one can use.
func (id *ID) packed() bool {
	return slices.Contains([]string{"", "ec", "p384", "p521", "bp", "dsa"}, KeyKind(id.Name))
}

func writePEM(path, label string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}), 0o600)
}
