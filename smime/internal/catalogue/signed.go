package catalogue

import (
	"bytes"
	"crypto"
	"math/big"
	"slices"
	"strings"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/smime"
)

// OtherPart is what nobody signed.
const OtherPart = "Content-Type: text/plain\r\n\r\nPay Eve 100.\r\n"

// twoContents: a message has one content or none.
func (m *Maker) twoContents() {
	const twin = "valid-multipart"
	old := m.Forged(m.part, nil)
	m.refused("a01-other-content", "a part beside a signature that carries another content", twin, "cms.two_contents", m.DetachedMail(OtherPart, old.DER())).bare()
	m.refused("a01-same-content", "a part beside a signature that carries the same content", twin, "cms.two_contents", m.DetachedMail(m.part, old.DER())).bare()
	empty := m.Forged("", nil)
	m.refused("a01-empty-content", "a part beside a signature that carries an empty content", twin, "cms.two_contents", m.DetachedMail("", empty.DER())).bare()
	m.refused("a01-no-content", "a signature without the part that it covers", twin, "cms.no_content", m.OpaqueMail(Detached(old)))
	m.authentic("a01-twin-forged", "a signature made as all the forged ones are", m.DetachedMail(m.part, Detached(old)), m.part).bare()
}

// attributesAsContent: what is signed attributes in one message is content in another.
func (m *Maker) attributesAsContent() {
	without := func(content string) *forge.Signed {
		return m.Forged(content, func(s *forge.Signed) { s.Signers[0].Attributes = nil })
	}
	const twin = "a02-twin-no-attributes"
	m.authentic(twin, "a signature without signed attributes", m.OpaqueMail(without(m.part).DER()), m.part).bare()
	m.authentic("a02-twin-no-attributes-detached", "a detached signature without signed attributes", m.DetachedMail(m.part, Detached(without(m.part))), m.part).bare()
	replayed := func(victim *forge.Signer) (attributes []byte, s *forge.Signed) {
		attributes = forge.Set(victim.Attributes...)
		signer := *victim
		signer.Attributes, signer.Wire, signer.Covered = nil, nil, attributes
		return attributes, m.Forged(m.part, func(s *forge.Signed) { s.Content, s.Signers = attributes, []*forge.Signer{&signer} })
	}
	victim := m.Forged(m.part, nil).Signers[0]
	_, s := replayed(victim)
	m.refused("a02-attributes-as-content", "the signed attributes of another message as the content", twin, "attr.forgery", m.OpaqueMail(s.DER())).bare()
	// A line end in the attributes would be an obstacle of another kind.
	for n := 1; strings.ContainsAny(string(forge.Set(victim.Attributes...)), "\n") && n < 64; n++ {
		victim = m.Forged(m.part+strings.Repeat("x", n), nil).Signers[0]
	}
	attributes, s := replayed(victim)
	m.refused("a02-attributes-as-part", "the signed attributes of another message as the signed part", twin, "attr.forgery", m.DetachedMail(string(attributes), Detached(s))).bare()
}

// signers: one verdict for each, and none at all is no success.
func (m *Maker) signers() {
	alice, eve := m.people.Alice(), m.people.Eve()
	spoil := func(s *forge.Signer) {
		s.Covered = []byte("nothing")
	}
	unknown := func(s *forge.Signer) { s.SignatureAlgorithm = forge.Algorithm("\x2a\x03\x04", nil) }
	const twin = "a04-twin-two-good"
	two := func(first, second *certstore.Identity, change func(a, b *forge.Signer)) string {
		s := Forged(m.part, first, second)
		if change != nil {
			change(s.Signers[0], s.Signers[1])
		}
		return m.OpaqueMail(s.DER())
	}
	m.authentic(twin, "signatures of Alice and of Eve", two(alice, eve, nil), m.part).bare()
	m.authentic("a04-twin-two-good-reversed", "signatures of Eve and of Alice", two(eve, alice, nil), m.part).bare()
	m.refused("a04-good-and-bad", "a good signature and a broken one", twin, "sig.invalid", two(alice, eve, func(_, b *forge.Signer) { spoil(b) })).bare()
	m.refused("a04-bad-and-good", "a broken signature and a good one", twin, "sig.invalid", two(eve, alice, func(a, _ *forge.Signer) { spoil(a) })).bare()
	m.refused("a04-good-and-other-content", "a good signature and one of other content", twin, "digest.mismatch", two(alice, eve, func(_, b *forge.Signer) {
		b.Attributes[1] = forge.MessageDigest(make([]byte, 32))
	})).bare()
	m.refused("a04-both-bad", "two broken signatures", twin, "sig.invalid", two(alice, eve, func(a, b *forge.Signer) { spoil(a); spoil(b) })).bare()
	m.authentic("a04-twin-unknown-and-good", "a signature that nobody can check does not count", two(eve, alice, func(a, _ *forge.Signer) { unknown(a) }), m.part).
		Remarks = []string{"sig.unsupported"}
	m.refused("a04-unknown-and-eve", "a signature that nobody can check, and one of Eve", twin, "address.mismatch", two(alice, eve, func(a, _ *forge.Signer) { unknown(a) })).
		CMS = smime.Authentic
	m.refused("a04-only-unknown", "signatures that nobody can check", twin, "sig.unsupported", two(alice, eve, func(a, b *forge.Signer) { unknown(a); unknown(b) })).bare()
	revoked := m.people.Other("revoked")
	withCRL := func(ids ...*certstore.Identity) string {
		m.other("revoked")
		s := Forged(m.part, ids...)
		s.CRLs = [][]byte{m.people.CRL()}
		return m.OpaqueMail(s.DER())
	}
	m.refused("a04-revoked", "Alice with a revoked certificate", "valid-opaque", "rev.revoked", withCRL(revoked)).bare()
	m.authentic("a04-twin-revoked-and-good", "Alice with a revoked certificate, and with a good one: each is told", withCRL(revoked, alice), m.part).
		Remarks = []string{"rev.revoked"}
	m.refused("a04-revoked-and-eve", "Alice with a revoked certificate, and Eve with a good one", twin, "rev.revoked", withCRL(revoked, eve)).
		CMS = smime.Authentic

	nobody := func(certs ...[]byte) *forge.Signed {
		return m.Forged(m.part, func(s *forge.Signed) { s.Signers, s.Certificates = nil, certs })
	}
	m.refused("a05-nobody", "content with neither signers nor certificates", "valid-opaque", "cms.no_signers", m.OpaqueMail(nobody().DER())).bare()
	m.refused("a05-nobody-certificates", "content with certificates and no signer", "valid-opaque", "cms.no_signers",
		m.OpaqueMail(nobody(alice.Certificate().Raw).DER())).bare()
	m.refused("a05-nobody-detached", "a part beside a signature without signers", "valid-multipart", "cms.no_signers", m.DetachedMail(m.part, Detached(nobody()))).bare()
	m.refused("a05-nobody-announced", "nothing announced, nobody signed", "valid-opaque", "cms.no_signers",
		m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) { s.Signers, s.Certificates, s.Announced = nil, [][]byte{}, nil }).DER())).bare()
	m.refused("a05-no-certificate", "no certificate of the signer", "valid-opaque", "signer.no_certificate",
		m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) { s.Certificates = nil }).DER())).bare()
	m.refused("a05-other-certificate", "a certificate of somebody else", "valid-opaque", "signer.no_certificate",
		m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) { s.Certificates[0] = eve.Certificate().Raw }).DER())).bare()
}

// strangers: a signature may be right and its signer nobody.
func (m *Maker) strangers() {
	for name, c := range map[string]struct{ note, code string }{
		"self-signed":  {"Alice's certificate is signed by itself", "path.untrusted_self_signed"},
		"stranger":     {"an authority that has the name of a trusted one", "sig.invalid"},
		"below-a-leaf": {"a person's certificate as that of an authority", "ca.not_ca"},
	} {
		id := m.other(name)
		s := Forged(m.part, id)
		m.refused("a06-"+name, c.note, "valid-opaque", c.code, m.OpaqueMail(s.DER())).bare()
	}
	alone := m.Forged(m.part, func(s *forge.Signed) { s.Certificates = s.Certificates[:1] })
	m.refused("a06-no-issuer", "the authority that issued Alice's certificate is not there", "valid-opaque", "path.no_issuer", m.OpaqueMail(alone.DER())).bare()
	id := m.other("self-signed")
	twice := Forged(m.part, id)
	twice.Certificates = append(twice.Certificates, id.Certificate().Raw, m.people.Root().Raw)
	m.refused("a06-with-a-root", "a trusted root lies beside a certificate that it did not sign", "valid-opaque", "path.untrusted_self_signed", m.OpaqueMail(twice.DER())).bare()
}

// attributes: every rule about signed attributes, each broken alone by a signer who
// plays along.
func (m *Maker) attributes() {
	digest := forge.Digest(crypto.SHA256, []byte(m.part))
	ct, md := forge.ContentType(oid.Data), forge.MessageDigest(digest)
	data, octets := forge.OID(oid.Data), forge.Octets(digest)
	time := forge.Attribute(oid.SigningTime, []byte("\x17\x0d260601120000Z"))
	with := func(attributes ...[]byte) string {
		return m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) { s.Signers[0].Attributes = Sorted(attributes) }).DER())
	}
	const twin = "a07-twin-time"
	m.authentic(twin, "content-type, message-digest and signing-time", with(ct, md, time), m.part).bare()
	for _, c := range []struct {
		name, note, code string
		attributes       [][]byte
	}{
		{"a07-absent", "no content-type", "attr.missing", [][]byte{md}},
		{"a07-other", "content-type is another", "attr.content_type", [][]byte{forge.ContentType(oid.TSTInfo), md}},
		{"a07-two-values", "content-type with two values", "attr.duplicate", [][]byte{forge.Attribute(oid.ContentType, data, forge.OID(oid.TSTInfo)), md}},
		{"a07-no-value", "content-type without a value", "attr.duplicate", [][]byte{forge.Attribute(oid.ContentType), md}},
		{"a07-twice", "content-type twice", "attr.duplicate", [][]byte{ct, forge.ContentType(oid.TSTInfo), md}},
		{"a07-wrong-type", "content-type is an octet string", "attr.content_type", [][]byte{forge.Attribute(oid.ContentType, octets), md}},
		{"a08-absent", "no message-digest", "attr.missing", [][]byte{ct}},
		{"a08-other", "message-digest is another", "digest.mismatch", [][]byte{ct, forge.MessageDigest(make([]byte, 32))}},
		{"a08-short", "message-digest is the first half of the digest", "attr.message_digest", [][]byte{ct, forge.MessageDigest(digest[:16])}},
		{"a08-long", "message-digest goes on behind the digest", "attr.message_digest", [][]byte{ct, forge.MessageDigest(append(slices.Clip(digest), 0))}},
		{"a08-empty", "message-digest is empty", "attr.message_digest", [][]byte{ct, forge.MessageDigest(nil)}},
		{"a08-null", "message-digest is NULL", "attr.message_digest", [][]byte{ct, forge.Attribute(oid.MessageDigest, forge.Null())}},
		{"a08-bit-string", "message-digest is a bit string", "attr.message_digest", [][]byte{ct, forge.Attribute(oid.MessageDigest, append([]byte{3, 33, 0}, digest...))}},
		{"a09-two-digests", "message-digest twice, the right one first", "attr.duplicate", [][]byte{ct, md, forge.MessageDigest(bytes.Repeat([]byte{0xff}, 32))}},
		{"a09-two-values", "message-digest with two values", "attr.duplicate", [][]byte{ct, forge.Attribute(oid.MessageDigest, Sorted([][]byte{octets, forge.Octets(make([]byte, 32))})...)}},
		{"a09-same-twice", "message-digest twice, the same", "attr.duplicate", [][]byte{ct, md, md}},
		{"a09-time-twice", "signing-time twice", "attr.duplicate", [][]byte{ct, md, time, time}},
		{"a09-time-values", "signing-time with two values", "attr.duplicate", [][]byte{ct, md, forge.Attribute(oid.SigningTime, []byte("\x17\x0d260601120000Z"), []byte("\x17\x0d270601120000Z"))}},
	} {
		m.refused(c.name, c.note, twin, c.code, with(c.attributes...)).bare()
	}
	altered := m.Forged(m.part, func(s *forge.Signed) { s.Content = []byte(OtherPart) })
	m.refused("a08-altered", "other content than was signed", twin, "digest.mismatch", m.OpaqueMail(altered.DER())).bare()
	m.refused("a08-altered-detached", "another part than was signed", twin, "digest.mismatch", m.DetachedMail(OtherPart, Detached(altered))).bare()
	unsigned := m.Forged(m.part, func(s *forge.Signed) {
		s.Signers[0].Unsigned = [][]byte{forge.ContentType(oid.TSTInfo), forge.MessageDigest(make([]byte, 32)), time}
	})
	m.authentic("a09-twin-unsigned", "other values in unsigned attributes are nobody's word", m.OpaqueMail(unsigned.DER()), m.part).bare()
}

// attributeEncodings: the signature covers the octets, or their DER, and nothing else.
func (m *Maker) attributeEncodings() {
	by := func(change func(*forge.Signer)) string {
		return m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) { change(s.Signers[0]) }).DER())
	}
	reversed := func(s *forge.Signer) { slices.Reverse(s.Attributes) }
	remark := []string{"attr.not_der"}
	m.authentic("a10-twin-unsorted", "signed attributes that are not in order, signed as they are", by(reversed), m.part).Remarks = remark
	m.authentic("a10-twin-unsorted-der", "signed attributes that are not in order, signed in order", by(func(s *forge.Signer) {
		s.Covered = forge.Set(s.Attributes...)
		reversed(s)
	}), m.part).Remarks = remark
	m.authentic("a10-twin-indefinite", "signed attributes of indefinite length, signed as DER", by(func(s *forge.Signer) {
		s.Wire = forge.Indefinite(forge.Tagged(0, s.Attributes...))
	}), m.part).Remarks = remark
	const twin = "a10-twin-unsorted"
	m.refused("a10-signed-unsorted", "signed attributes in order, signed in another order", twin, "sig.invalid", by(func(s *forge.Signer) {
		s.Covered = forge.Set(s.Attributes[1], s.Attributes[0])
	})).bare()
	m.refused("a10-signed-as-sent", "the signature covers the tag [0]", twin, "sig.invalid", by(func(s *forge.Signer) {
		s.Covered = forge.Tagged(0, s.Attributes...)
	})).bare()
	m.refused("a10-added", "an attribute added behind the ones that were signed", twin, "sig.invalid", by(func(s *forge.Signer) {
		s.Covered = forge.Set(s.Attributes...)
		s.Attributes = append(s.Attributes, forge.Attribute(oid.SigningTime, []byte("\x17\x0d260601120000Z")))
	})).bare()
	m.refused("a10-behind", "an element behind the signed attributes", twin, "cms.malformed", by(func(s *forge.Signer) {
		s.Wire = append(forge.Tagged(0, s.Attributes...), forge.Null()...)
	}))
	m.refused("a10-inside", "an element among the signed attributes that is none", twin, "cms.malformed", by(func(s *forge.Signer) {
		s.Attributes = append(s.Attributes, forge.Null())
	})).bare()
}

// announced: the digests that SignedData announces are a hint.
func (m *Maker) announced() {
	known, unknown := forge.Algorithm(oid.SHA256, nil), forge.Algorithm("\x2a\x03\x04", nil)
	for _, c := range []struct {
		name, note string
		announced  [][]byte
	}{
		{"empty", "no digest is announced", nil},
		{"unknown", "an unknown digest is announced", [][]byte{unknown}},
		{"unknown-and-known", "an unknown digest and the right one are announced", [][]byte{unknown, known}},
		{"repeated", "the digest is announced three times", [][]byte{known, known, known}},
		{"other", "another digest is announced", [][]byte{forge.Algorithm(oid.SHA512, nil)}},
	} {
		s := m.Forged(m.part, func(s *forge.Signed) { s.Announced = c.announced })
		f := m.authentic("a12-twin-"+c.name, c.note, m.OpaqueMail(s.DER()), m.part)
		if f.bare(); c.name == "other" {
			f.Pipe = smime.NotAuthentic // RFC 5652, Section 5.1, allows that, and it takes a second pass
		}
		m.authentic("a12-twin-"+c.name+"-detached", c.note, m.DetachedMail(m.part, Detached(s)), m.part).bare()
	}
	const twin = "a12-twin-unknown"
	by := func(change func(*forge.Signer)) string {
		return m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) { change(s.Signers[0]) }).DER())
	}
	m.refused("a12-unknown-digest", "the signer's digest is unknown", twin, "sig.unsupported", by(func(s *forge.Signer) { s.DigestAlgorithm = unknown })).bare()
	m.refused("a12-other-digest", "the signer's digest is not the one that was used", twin, "attr.message_digest", by(func(s *forge.Signer) {
		s.DigestAlgorithm = forge.Algorithm(oid.SHA512, nil)
	})).bare()
	m.refused("a12-malformed", "what is announced is no algorithm", twin, "cms.malformed",
		m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) { s.Announced = [][]byte{forge.Sequence(forge.Null())} }).DER()))
}

// labels: the structure says what a message is, not its label.
func (m *Maker) labels() {
	valid := m.OpaqueMail(m.Forged(m.part, nil).DER())
	label := func(to string) string { return m.change(valid, "smime-type=signed-data; name=smime.p7m", to) }
	mislabelled := []string{"mime.smime_type"}
	m.authentic("a19-twin-enveloped", "signed data labelled as enveloped", label("smime-type=enveloped-data; name=smime.p7m"), m.part).Warnings = mislabelled
	m.authentic("a19-twin-certs-only", "signed data labelled as certificates", label("smime-type=certs-only; name=smime.p7c"), m.part).Warnings = mislabelled
	m.authentic("a19-twin-unlabelled", "signed data without a label", label("name=smime.p7m"), m.part)
	m.authentic("a19-twin-p7s", "opaque signed data named as a detached signature", label("name=smime.p7s"), m.part)
	nobody := m.Forged(m.part, func(s *forge.Signed) { s.Signers = nil })
	m.refused("a20-content", "content labelled as certificates, and nobody signed", "valid-opaque", "cms.no_signers",
		m.change(m.OpaqueMail(nobody.DER()), "signed-data", "certs-only")).bare()
	certs := m.Forged(m.part, func(s *forge.Signed) { s.Signers, s.Content = nil, nil })
	m.refused("a20-certificates", "nothing but certificates, labelled as signed", "valid-opaque", "cms.certs_only", m.OpaqueMail(certs.DER())).bare()
	m.refused("a20-certificates-labelled", "nothing but certificates", "valid-opaque", "cms.certs_only",
		m.change(m.OpaqueMail(certs.DER()), "signed-data", "certs-only")).bare()
	m.refused("a20-certificates-part", "nothing but certificates beside a part", "valid-multipart", "cms.no_signers", m.DetachedMail(m.part, certs.DER())).bare()

	typed := func(t oid.OID, change func(*forge.Signer)) *forge.Signed {
		return m.Forged(m.part, func(s *forge.Signed) {
			s.ContentType, s.Signers[0].Attributes[0] = t, forge.ContentType(t)
			change(s.Signers[0])
		})
	}
	as := func(*forge.Signer) {}
	none := func(s *forge.Signer) { s.Attributes = nil }
	tst := typed(oid.TSTInfo, as)
	m.refused("a21-time-stamp", "a time stamp as a message", "valid-opaque", "cms.content_type", m.OpaqueMail(tst.DER())).CMS = smime.Authentic
	m.refused("a21-time-stamp-detached", "a detached time stamp as a message", "valid-multipart", "cms.content_type", m.DetachedMail(m.part, Detached(tst))).CMS = smime.Authentic
	m.refused("a21-enveloped", "a content of the type EnvelopedData", "valid-opaque", "cms.content_type", m.OpaqueMail(typed(oid.EnvelopedData, as).DER())).CMS = smime.Authentic
	m.refused("a21-no-attributes", "a time stamp without signed attributes", "valid-opaque", "attr.missing", m.OpaqueMail(typed(oid.TSTInfo, none).DER())).bare()
}

// forgedRSA: signatures that only a lax reader of the padding takes. Alice's own key made
// them; with an exponent of three anybody could.
func (m *Maker) forgedRSA() {
	key := m.rsaKey()
	attributes := m.Forged(m.part, nil).Signers[0].Attributes
	digest := forge.Digest(crypto.SHA256, forge.Set(attributes...))
	null := forge.Algorithm(oid.SHA256, forge.Null())
	info := forge.DigestInfo(null, digest)
	size := key.Size()
	by := func(block []byte) string {
		return m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) { s.Signers[0].Signature = forge.RSASignature(key, block) }).DER())
	}
	m.authentic("b01-twin", "a signature made by hand as it should be", by(forge.SignatureBlock(size, info)), m.part).bare()
	filler := bytes.Repeat([]byte{0x11}, size-3-8-len(info))
	short := slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 8), []byte{0}, info, filler)
	parameters := forge.Element(0x04, bytes.Repeat([]byte{0x11}, size-3-8-len(info)-6))
	for _, c := range []struct {
		name, note string
		block      []byte
	}{
		{"garbage-behind", "octets behind the DigestInfo", short},
		{"garbage-parameters", "octets in the parameters of the digest", forge.SignatureBlock(size, forge.DigestInfo(forge.Algorithm(oid.SHA256, parameters), digest))},
		{"garbage-inside", "octets behind the digest", forge.SignatureBlock(size, forge.Sequence(null, forge.Octets(digest), parameters))},
		{"little-padding", "the padding is too short", slices.Concat([]byte{0, 1, 0xff, 0}, info, make([]byte, size-4-len(info)))},
		{"other-padding", "the padding is not FF throughout", func() []byte {
			b := forge.SignatureBlock(size, info)
			b[20] = 0xfe
			return b
		}()},
		{"no-null", "the NULL is missing", forge.SignatureBlock(size, forge.DigestInfo(forge.Algorithm(oid.SHA256, nil), digest))},
		{"long-length", "a length that is not minimal", forge.SignatureBlock(size, append([]byte{0x30, 0x81}, info[1:]...))},
		{"digest-only", "the digest without its DigestInfo", forge.SignatureBlock(size, digest)},
		{"other-digest", "the DigestInfo names SHA-1", forge.SignatureBlock(size, forge.DigestInfo(forge.Algorithm(oid.SHA1, forge.Null()), digest))},
		{"block-type", "the block is one for encryption", func() []byte {
			b := forge.SignatureBlock(size, info)
			b[1] = 2
			return b
		}()},
	} {
		m.refused("b01-"+c.name, c.note, "b01-twin", "sig.invalid", by(c.block)).bare()
	}
	value := func(change func(sig []byte) []byte) string {
		return m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) {
			s.Signers[0].Signature = change(forge.RSASignature(key, forge.SignatureBlock(size, info)))
		}).DER())
	}
	m.refused("b01-signature-long", "a zero in front of the signature", "b01-twin", "sig.invalid", value(func(sig []byte) []byte { return append([]byte{0}, sig...) })).bare()
	m.refused("b01-signature-plus-modulus", "the modulus added to the signature", "b01-twin", "sig.invalid", value(func(sig []byte) []byte {
		return new(big.Int).Add(new(big.Int).SetBytes(sig), key.N).Bytes()
	})).bare()
	m.refused("b01-signature-empty", "an empty signature", "b01-twin", "sig.invalid", value(func([]byte) []byte { return []byte{} })).bare()
	m.refused("b01-signature-zero", "a signature of zero", "b01-twin", "sig.invalid", value(func([]byte) []byte { return make([]byte, size) })).bare()
	m.refused("b01-signature-one", "a signature of one", "b01-twin", "sig.invalid", value(func([]byte) []byte { return append(make([]byte, size-1), 1) })).bare()
}

// algorithms: weak ones, and parameters where none belong.
func (m *Maker) algorithms() {
	alice, curve := m.people.Alice(), m.people.Other("ed25519")
	null, absent, garbage := forge.Null(), []byte(nil), forge.Sequence(forge.Integer(7))
	by := func(id *certstore.Identity, change func(*forge.Signer)) string {
		if id == alice {
			m.ofRSA()
		} else {
			m.other("ed25519")
		}
		s := Forged(m.part, id)
		change(s.Signers[0])
		s.Announced = [][]byte{s.Signers[0].DigestAlgorithm}
		return m.OpaqueMail(s.DER())
	}
	with := func(h crypto.Hash, o oid.OID) func(*forge.Signer) {
		return func(s *forge.Signer) {
			s.Hash, s.DigestAlgorithm = h, forge.Algorithm(o, nil)
			s.Attributes[1] = forge.MessageDigest(forge.Digest(h, []byte(m.part)))
		}
	}
	m.refused("b06-md5", "MD5", "b06-twin-sha512", "alg.weak_hash", by(alice, with(crypto.MD5, oid.MD5))).bare()
	m.refused("b06-sha1", "SHA-1", "b06-twin-sha512", "alg.weak_hash", by(alice, with(crypto.SHA1, oid.SHA1))).bare()
	m.authentic("b06-twin-sha512", "SHA-512", by(alice, with(crypto.SHA512, oid.SHA512)), m.part).bare()

	for _, c := range []struct {
		name, note, code string
		id               *certstore.Identity
		digest, sig      []byte
	}{
		{"twin-digest-null", "NULL as parameters of SHA-256", "", alice, forge.Algorithm(oid.SHA256, null), nil},
		{"twin-digest-absent", "SHA-256 without parameters", "", alice, forge.Algorithm(oid.SHA256, absent), nil},
		{"digest-garbage", "a SEQUENCE as parameters of SHA-256", "sig.unsupported", alice, forge.Algorithm(oid.SHA256, garbage), nil},
		{"twin-rsa-null", "rsaEncryption with NULL", "", alice, nil, forge.Algorithm(oid.RSA, null)},
		{"twin-rsa-absent", "rsaEncryption without parameters", "", alice, nil, forge.Algorithm(oid.RSA, absent)},
		{"rsa-garbage", "rsaEncryption with a SEQUENCE", "sig.unsupported", alice, nil, forge.Algorithm(oid.RSA, garbage)},
		{"twin-sha256-with-rsa", "sha256WithRSAEncryption with NULL", "", alice, nil, forge.Algorithm(oid.SHA256WithRSA, null)},
		{"sha256-with-rsa-garbage", "sha256WithRSAEncryption with a SEQUENCE", "sig.unsupported", alice, nil, forge.Algorithm(oid.SHA256WithRSA, garbage)},
		{"twin-ed25519", "Ed25519 without parameters", "", curve, nil, forge.Algorithm(oid.Ed25519, absent)},
		{"ed25519-null", "Ed25519 with NULL", "sig.unsupported", curve, nil, forge.Algorithm(oid.Ed25519, null)},
		{"ed25519-as-ed448", "a signature with Ed25519 that calls itself Ed448", "alg.mismatch", curve, nil, forge.Algorithm(oid.Ed448, absent)},
	} {
		message := by(c.id, func(s *forge.Signer) {
			if c.digest != nil {
				s.DigestAlgorithm = c.digest
			}
			if c.sig != nil {
				s.SignatureAlgorithm = c.sig
			}
		})
		if c.code == "" {
			m.authentic("b07-"+c.name, c.note, message, m.part).bare()
			continue
		}
		m.refused("b07-"+c.name, c.note, "b07-twin-digest-absent", c.code, message).bare()
	}
}

// usages: a certificate signs mail only if it may.
func (m *Maker) usages() {
	by := func(name string) string { return m.OpaqueMail(Forged(m.part, m.other(name)).DER()) }
	m.authentic("b08-twin-commitment", "the key usage is nonRepudiation alone", by("commitment"), m.part).bare()
	m.authentic("b08-twin-unrestricted", "neither key usage nor extended key usage", by("unrestricted"), m.part).bare()
	m.refused("b08-encipherment", "the key usage is keyEncipherment alone", "b08-twin-commitment", "ku.sign", by("encipherment")).bare()
	m.refused("b08-authority", "the key usage is keyCertSign alone", "b08-twin-commitment", "ku.sign", by("authority")).bare()
	m.refused("b08-server", "the extended key usage is serverAuth", "b08-twin-unrestricted", "eku.leaf", by("server")).bare()
}
