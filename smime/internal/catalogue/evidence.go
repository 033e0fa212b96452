package catalogue

import (
	"crypto"
	"time"

	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
)

// A StampToken is a time-stamp token (RFC 3161) with the fields as they are to be sent.
type StampToken struct {
	Authority *certstore.Identity
	Over      []byte // what it says that existed
	At        time.Time
	Unnamed   bool // without the signing certificate attribute
}

// DER returns the token.
func (k StampToken) DER() []byte {
	info := forge.Sequence(forge.Integer(1), forge.OID("\x2a\x03\x04"),
		forge.Sequence(forge.Algorithm(oid.SHA256, nil), forge.Octets(forge.Digest(crypto.SHA256, k.Over))),
		forge.Integer(7), forge.Element(casn1.GeneralizedTime, []byte(k.At.UTC().Format("20060102150405Z"))))
	cert := k.Authority.Certificate()
	s := Forged(string(info), k.Authority)
	s.ContentType = oid.TSTInfo
	who := s.Signers[0]
	who.Attributes[0] = forge.ContentType(oid.TSTInfo)
	if !k.Unnamed {
		named := forge.Sequence(forge.Sequence(forge.Sequence(forge.Octets(forge.Digest(crypto.SHA256, cert.Raw)))))
		who.Attributes = append(who.Attributes, forge.Attribute(oid.SigningCertificateV2, named))
	}
	return s.DER()
}

// Attribute returns the unsigned attribute that holds the token.
func (k StampToken) Attribute() []byte { return forge.Attribute(oid.TimeStampToken, k.DER()) }

// evidence: what stands beside a signature (A13 and A15).
func (m *Maker) evidence() {
	old := m.other("expired")
	m.forAll()
	authority, stranger := m.people.Other("timestamps"), m.people.Other("timestamps-stranger")
	valid, late := old.Certificate().NotBefore.AddDate(0, 1, 0), old.Certificate().NotAfter.AddDate(0, 0, 1)
	stamped := func(id *certstore.Identity, stamps func(signature []byte) [][]byte) string {
		s := Forged(m.part, id)
		s.Signers[0].Unsigned = stamps(forge.SignatureOf(s.Signers[0]))
		return m.OpaqueMail(s.DER())
	}
	one := func(k StampToken) func([]byte) [][]byte {
		return func(signature []byte) [][]byte {
			if k.Over == nil {
				k.Over = signature
			}
			return [][]byte{k.Attribute()}
		}
	}
	const twin = "a13-twin-time-stamp"
	used := func(f *Case) { f.Remarks = []string{"timestamp.used"} }
	used(m.authentic(twin, "a certificate that has expired, and a time stamp from before", stamped(old, one(StampToken{Authority: authority, At: valid})), m.part).bare())
	used(m.authentic("a13-twin-two-time-stamps", "the same beside a time stamp of nobody known", stamped(old, func(signature []byte) [][]byte {
		return [][]byte{forge.Attribute(oid.TimeStampToken, StampToken{Authority: stranger, Over: signature, At: valid.AddDate(0, -1, 0)}.DER(),
			StampToken{Authority: authority, Over: signature, At: valid}.DER())}
	}), m.part).bare())
	refused := func(name, note string, k StampToken) {
		m.refused(name, note, twin, "time.expired", stamped(old, one(k))).bare()
	}
	refused("a13-time-stamp-stranger", "the time stamp of an authority without a way to an anchor", StampToken{Authority: stranger, At: valid})
	refused("a13-time-stamp-late", "a time stamp from after the end of the certificate", StampToken{Authority: authority, At: late})
	refused("a13-time-stamp-other", "a time stamp over something else", StampToken{Authority: authority, At: valid, Over: []byte(m.part)})
	refused("a13-time-stamp-mail", "a time stamp by somebody whose certificate is for mail", StampToken{Authority: m.people.Alice(), At: valid})
	refused("a13-time-stamp-unnamed", "a time stamp that does not name its certificate", StampToken{Authority: authority, At: valid, Unnamed: true})
	refused("a13-time-stamp-before", "a time stamp from before its authority was there", StampToken{Authority: authority, At: authority.Certificate().NotBefore.AddDate(0, 0, -1)})

	alice, bob := m.people.Alice(), m.people.Bob()
	m.authentic("a15-time-stamp", "a time stamp that is none, beside a good signature", stamped(alice, func([]byte) [][]byte {
		return [][]byte{forge.Attribute(oid.TimeStampToken, forge.Null())}
	}), m.part).bare()
	m.authentic("a15-time-stamp-future", "a time stamp from the future, beside a good signature",
		stamped(alice, one(StampToken{Authority: authority, At: m.people.Now().AddDate(0, 0, 10)})), m.part).bare()
	countersigned := func(over func(signature []byte) []byte) string {
		s := Forged(m.part, alice)
		counter := forge.NewSigner(bob.Certificate(), bob.Key().(crypto.Signer), over(forge.SignatureOf(s.Signers[0])))
		counter.Attributes = counter.Attributes[1:] // no content-type (RFC 5652, Section 11.4)
		s.Signers[0].Unsigned = [][]byte{forge.Attribute(oid.Countersignature, counter.DER())}
		s.Certificates = append(s.Certificates, bob.Certificate().Raw)
		return m.OpaqueMail(s.DER())
	}
	m.authentic("a15-twin-countersignature", "a countersignature", countersigned(func(signature []byte) []byte { return signature }), m.part).bare()
	m.authentic("a15-countersignature-other", "a countersignature over the content", countersigned(func([]byte) []byte { return []byte(m.part) }), m.part).bare()
}
