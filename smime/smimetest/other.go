package smimetest

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"fmt"
	"math/big"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
)

// Other returns somebody with Alice's address and an RSA key, the same one each time, whose
// certificate has one thing about it that what tells:
//
//   - "encipherment", "authority", "commitment": its key usage is that alone;
//   - "server": it is for TLS servers; "unrestricted": it states no use;
//   - "ed25519", "p256": its key is of that kind;
//   - "expired"; "revoked": PKI.Issuing answers so, and it names a CRL;
//   - "stranger": an authority issued it that has the name of [PKI.Issuing] and is not it;
//   - "self-signed"; "below-a-leaf": a person's certificate issued it;
//   - "nul": its address goes on behind a NUL;
//   - "timestamps": it is no person's, but [TimeStamps]; "timestamps-stranger" of nobody known;
//   - "same-key": it is Mallory's, for the key of [PKI.Alice].
func (p *PKI) Other(what string) *certstore.Identity {
	p.mu.Lock()
	id := p.others[what]
	p.mu.Unlock()
	if id != nil {
		return id
	}
	id, err := p.other(what)
	if err != nil {
		p.fail(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.others[what]; first != nil {
		return first
	}
	p.others[what] = id
	return id
}

func (p *PKI) other(what string) (*certstore.Identity, error) {
	leaf := Leaf{Name: "Alice", Emails: []string{"alice@good.example"}, Key: RSA2048}
	switch what {
	case "encipherment":
		leaf.KeyUsage = x509.KeyUsageKeyEncipherment
	case "authority":
		leaf.KeyUsage = x509.KeyUsageCertSign
	case "commitment":
		leaf.KeyUsage = x509.KeyUsageContentCommitment
	case "server":
		leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case "unrestricted":
		leaf.Change = func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = 0, nil }
	case "ed25519":
		leaf.Key = Ed25519
	case "p256":
		leaf.Key = P256
	case "expired":
		leaf.NotBefore, leaf.NotAfter = p.now.AddDate(0, 0, -700), p.now.AddDate(0, 0, -30)
	case "revoked":
		leaf.CRLSources = []string{"http://crl.invalid/1"}
	case "timestamps":
		leaf = TimeStamps()
	case "timestamps-stranger":
		return newPKI(p.now, p.fail).Root.issue(TimeStamps())
	case "stranger":
		return newPKI(p.now, p.fail).Alice(), nil
	case "nul":
		leaf.Name, leaf.Emails = "Mallory", nil
		leaf.Change = func(c *x509.Certificate) { c.EmailAddresses = []string{"alice@good.example\x00.evil.example"} }
	case "eve":
		leaf.Name, leaf.Emails = "Eve", []string{"eve@evil.example"}
	case "self-signed":
		like := p.Issue(leaf)
		return signedBy(like, like.Certificate(), like.Key())
	case "below-a-leaf":
		parent := p.Issue(Leaf{Name: "Mallory", Emails: []string{"mallory@evil.example"}, Key: RSA2048})
		return signedBy(p.Issue(leaf), parent.Certificate(), parent.Key(),
			append([]*x509.Certificate{parent.Certificate()}, parent.Intermediates()...)...)
	case "same-key":
		alice := p.Alice()
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(p.nextSerial()), Subject: subject("Mallory"), EmailAddresses: []string{"mallory@evil.example"},
			NotBefore: p.now.AddDate(0, -6, 0), NotAfter: p.now.AddDate(0, 6, 0), KeyUsage: RSA2048.usage(),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, SubjectKeyId: alice.Certificate().SubjectKeyId,
		}, p.Root.cert, alice.Certificate().PublicKey, p.Root.key)
		if err != nil {
			return nil, err
		}
		return identityOf(der, alice.Key())
	default:
		return nil, fmt.Errorf("nobody is called %q", what)
	}
	return p.Issue(leaf), nil
}

// TimeStamps is the certificate of a time-stamping authority: for this purpose alone, and
// critical (RFC 3161, Section 2.3). It is valid from almost two years before the time of
// [Now].
func TimeStamps() Leaf {
	return Leaf{
		Name: "Time Stamps", Key: RSA2048, KeyUsage: x509.KeyUsageDigitalSignature, NotBefore: Now().AddDate(0, 0, -690),
		Change: func(c *x509.Certificate) {
			c.ExtKeyUsage = nil
			c.ExtraExtensions = append(c.ExtraExtensions, stdpkix.Extension{Id: []int{2, 5, 29, 37}, Critical: true,
				Value: forge.Sequence(forge.OID(oid.TimeStamping))})
		},
	}
}

// signedBy returns an identity like another, but with a certificate that parent signed.
func signedBy(like *certstore.Identity, parent *x509.Certificate, key crypto.PrivateKey, above ...*x509.Certificate) (*certstore.Identity, error) {
	c := *like.Certificate()
	c.AuthorityKeyId, c.SignatureAlgorithm = nil, 0
	for _, e := range c.Extensions {
		if e.Id.String() == "2.5.29.17" {
			c.ExtraExtensions = append(c.ExtraExtensions, e)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, parent, c.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return identityOf(der, like.Key(), above...)
}

func identityOf(der []byte, key crypto.PrivateKey, above ...*x509.Certificate) (*certstore.Identity, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return certstore.NewIdentity(cert, key, above...)
}
