package smime_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/smime/smimetest"
)

// A stampToken is a time-stamp token (RFC 3161) with the fields as they are to be sent.
type stampToken struct {
	authority *certstore.Identity
	over      []byte // what it says that existed
	at        time.Time
	unnamed   bool // without the signing certificate attribute
}

func (k stampToken) der() []byte {
	info := forge.Sequence(forge.Integer(1), forge.OID("\x2a\x03\x04"),
		forge.Sequence(forge.Algorithm(oid.SHA256, nil), forge.Octets(forge.Digest(crypto.SHA256, k.over))),
		forge.Integer(7), forge.Element(casn1.GeneralizedTime, []byte(k.at.UTC().Format("20060102150405Z"))))
	cert := k.authority.Certificate()
	s := forged(string(info), k.authority)
	s.ContentType = oid.TSTInfo
	who := s.Signers[0]
	who.Attributes[0] = forge.ContentType(oid.TSTInfo)
	if !k.unnamed {
		named := forge.Sequence(forge.Sequence(forge.Sequence(forge.Octets(forge.Digest(crypto.SHA256, cert.Raw)))))
		who.Attributes = append(who.Attributes, forge.Attribute(oid.SigningCertificateV2, named))
	}
	return s.DER()
}

func (k stampToken) attribute() []byte { return forge.Attribute(oid.TimeStampToken, k.der()) }

// signatureOf returns the signature value of the first signer, which is RSA and so the same
// each time.
func signatureOf(s *forge.Signed) []byte {
	who := s.Signers[0]
	sig, err := who.Key.Sign(rand.Reader, forge.Digest(who.Hash, forge.Set(who.Attributes...)), who.Hash)
	if err != nil {
		panic(err)
	}
	return sig
}

// evidence: what stands beside a signature (A13 and A15).
func (m *mimeMaker) evidence() {
	old := m.people.second["expired"]
	authority, stranger := m.people.others["timestamps"], m.people.others["timestamps-stranger"]
	valid, late := old.Certificate().NotBefore.AddDate(0, 1, 0), old.Certificate().NotAfter.AddDate(0, 0, 1)
	stamped := func(id *certstore.Identity, stamps func(signature []byte) [][]byte) string {
		s := forged(filePart, id)
		s.Signers[0].Unsigned = stamps(signatureOf(s))
		return opaqueMail(s.DER())
	}
	one := func(k stampToken) func([]byte) [][]byte {
		return func(signature []byte) [][]byte {
			if k.over == nil {
				k.over = signature
			}
			return [][]byte{k.attribute()}
		}
	}
	const twin = "a13-twin-time-stamp"
	used := func(f *openFile) { f.Remarks = []string{"timestamp.used"} }
	used(m.authentic(twin, "a certificate that has expired, and a time stamp from before", stamped(old, one(stampToken{authority: authority, at: valid})), filePart).bare())
	used(m.authentic("a13-twin-two-time-stamps", "the same beside a time stamp of nobody known", stamped(old, func(signature []byte) [][]byte {
		return [][]byte{forge.Attribute(oid.TimeStampToken, stampToken{authority: stranger, over: signature, at: valid.AddDate(0, -1, 0)}.der(),
			stampToken{authority: authority, over: signature, at: valid}.der())}
	}), filePart).bare())
	refused := func(name, note string, k stampToken) {
		m.refused(name, note, twin, "time.expired", stamped(old, one(k))).bare()
	}
	refused("a13-time-stamp-stranger", "the time stamp of an authority without a way to an anchor", stampToken{authority: stranger, at: valid})
	refused("a13-time-stamp-late", "a time stamp from after the end of the certificate", stampToken{authority: authority, at: late})
	refused("a13-time-stamp-other", "a time stamp over something else", stampToken{authority: authority, at: valid, over: []byte(filePart)})
	refused("a13-time-stamp-mail", "a time stamp by somebody whose certificate is for mail", stampToken{authority: m.people.alice, at: valid})
	refused("a13-time-stamp-unnamed", "a time stamp that does not name its certificate", stampToken{authority: authority, at: valid, unnamed: true})
	refused("a13-time-stamp-before", "a time stamp from before its authority was there", stampToken{authority: authority, at: authority.Certificate().NotBefore.AddDate(0, 0, -1)})

	alice, bob := m.people.alice, m.people.bob
	m.authentic("a15-time-stamp", "a time stamp that is none, beside a good signature", stamped(alice, func([]byte) [][]byte {
		return [][]byte{forge.Attribute(oid.TimeStampToken, forge.Null())}
	}), filePart).bare()
	m.authentic("a15-time-stamp-future", "a time stamp from the future, beside a good signature",
		stamped(alice, one(stampToken{authority: authority, at: days(10)})), filePart).bare()
	countersigned := func(over func(signature []byte) []byte) string {
		s := forged(filePart, alice)
		counter := forge.NewSigner(bob.Certificate(), bob.Key().(crypto.Signer), over(signatureOf(s)))
		counter.Attributes = counter.Attributes[1:] // no content-type (RFC 5652, Section 11.4)
		s.Signers[0].Unsigned = [][]byte{forge.Attribute(oid.Countersignature, counter.DER())}
		s.Certificates = append(s.Certificates, bob.Certificate().Raw)
		return opaqueMail(s.DER())
	}
	m.authentic("a15-twin-countersignature", "a countersignature", countersigned(func(signature []byte) []byte { return signature }), filePart).bare()
	m.authentic("a15-countersignature-other", "a countersignature over the content", countersigned(func([]byte) []byte { return []byte(filePart) }), filePart).bare()
}

// stampsLeaf is the certificate of a time-stamping authority: for this purpose alone, and
// critical (RFC 3161, Section 2.3).
func stampsLeaf() smimetest.Leaf {
	return smimetest.Leaf{Name: "Time Stamps", Key: smimetest.RSA2048, KeyUsage: x509.KeyUsageDigitalSignature, NotBefore: days(-690),
		Change: func(c *x509.Certificate) {
			c.ExtKeyUsage = nil
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true,
				Value: forge.Sequence(forge.OID(oid.TimeStamping))})
		}}
}

// crlAt returns a CRL of the authority of another time than now.
func crlAt(t *testing.T, a *smimetest.Authority, at time.Time, revoked ...*x509.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(at.Unix()), ThisUpdate: at.AddDate(0, 0, -1), NextUpdate: at.AddDate(0, 0, 7)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: at.AddDate(0, 0, -2)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.Certificate(), a.Key())
	if err != nil {
		t.Fatal(err)
	}
	return der
}
