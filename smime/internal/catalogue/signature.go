package catalogue

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"math/big"
	"slices"

	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/oid"
)

// by is a message that one identity signed, in the way that change makes of it.
func (m *Maker) by(id *certstore.Identity, change func(*forge.Signer)) string {
	if id == m.people.Alice() {
		m.ofRSA()
	} else if m.address != "alice@good.example" {
		m.lacks("the author alice@good.example")
	}
	s := Forged(m.part, id)
	change(s.Signers[0])
	s.Announced = [][]byte{s.Signers[0].DigestAlgorithm}
	return m.OpaqueMail(s.DER())
}

// protection: what cmsAlgorithmProtection says has to be so, and the digest has to be that
// of the signature algorithm (RFC 6211, RFC 8933).
func (m *Maker) protection() {
	alice := m.people.Alice()
	sha256, sha512 := forge.Algorithm(oid.SHA256, nil), forge.Algorithm(oid.SHA512, nil)
	rsaID := forge.Algorithm(oid.RSA, forge.Null())
	attribute := func(digest, signature []byte, tag byte) []byte {
		return forge.Attribute(oid.AlgorithmProtection, forge.Sequence(digest, append([]byte{tag}, signature[1:]...)))
	}
	with := func(a []byte) string {
		return m.by(alice, func(s *forge.Signer) { s.Attributes = Sorted(append(s.Attributes, a)) })
	}
	const twin, signature, mac = "a11-twin-protection", 0xa1, 0xa2
	m.authentic(twin, "cmsAlgorithmProtection names the algorithms", with(attribute(sha256, rsaID, signature)), m.part).bare()
	m.authentic("a11-twin-null", "cmsAlgorithmProtection names the digest with NULL", with(attribute(forge.Algorithm(oid.SHA256, forge.Null()), rsaID, signature)), m.part).bare()
	m.authentic("a11-twin-absent", "cmsAlgorithmProtection names RSA without NULL", with(attribute(sha256, forge.Algorithm(oid.RSA, nil), signature)), m.part).bare()
	m.authentic("a11-twin-unsigned", "cmsAlgorithmProtection names others, and nobody signed it", m.by(alice, func(s *forge.Signer) {
		s.Unsigned = [][]byte{attribute(sha512, rsaID, signature)}
	}), m.part).bare()
	for _, c := range []struct {
		name, note string
		attribute  []byte
	}{
		{"digest", "another digest", attribute(sha512, rsaID, signature)},
		{"signature", "another signature algorithm", attribute(sha256, forge.Algorithm(oid.SHA512WithRSA, forge.Null()), signature)},
		{"parameters", "other parameters of the signature algorithm", attribute(sha256, forge.Algorithm(oid.RSA, forge.Integer(1)), signature)},
		{"mac", "a MAC instead of a signature algorithm", attribute(sha256, rsaID, mac)},
		{"both", "a signature algorithm and a MAC", forge.Attribute(oid.AlgorithmProtection, forge.Sequence(sha256, append([]byte{signature}, rsaID[1:]...), append([]byte{mac}, rsaID[1:]...)))},
		{"neither", "a digest alone", forge.Attribute(oid.AlgorithmProtection, forge.Sequence(sha256))},
		{"null", "nothing", forge.Attribute(oid.AlgorithmProtection, forge.Null())},
	} {
		m.refused("a11-"+c.name, "cmsAlgorithmProtection names "+c.note, twin, "attr.algorithm_protection", with(c.attribute)).bare()
	}
	m.authentic("a11-twin-hash", "sha256WithRSAEncryption over SHA-256", m.by(alice, func(s *forge.Signer) {
		s.SignatureAlgorithm = forge.Algorithm(oid.SHA256WithRSA, forge.Null())
	}), m.part).bare()
	m.refused("a11-hash-of-signature", "the digest is SHA-256, the signature algorithm has SHA-512", "a11-twin-hash", "alg.mismatch", m.by(alice, func(s *forge.Signer) {
		s.SignatureAlgorithm = forge.Algorithm(oid.SHA512WithRSA, forge.Null())
	})).bare()
	m.refused("a11-hash-of-content", "the content is digested with SHA-512, the attributes with SHA-256", "a11-twin-hash", "alg.mismatch", m.by(alice, func(s *forge.Signer) {
		s.SignatureAlgorithm = forge.Algorithm(oid.SHA256WithRSA, forge.Null())
		s.DigestAlgorithm = sha512
		s.Attributes[1] = forge.MessageDigest(forge.Digest(crypto.SHA512, []byte(m.part)))
	})).bare()
}

// What RFC 2634 defines for receipts.
const (
	oidExpansion = oid.OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x03")
	oidContentID = oid.OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x07")
	oidSigDigest = oid.OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x05")
)

// receipts: a message may ask for one, and gets none; a receipt is no mail, whatever it
// says it answers.
func (m *Maker) receipts() {
	alice := m.people.Alice()
	to := func(mailbox string) []byte {
		return forge.Sequence(forge.Element(casn1.Tag(1).ContextSpecific(), []byte(mailbox)))
	}
	identifier := forge.Octets([]byte("the message"))
	request := forge.Attribute(oid.ReceiptRequest, forge.Sequence(identifier, []byte{0x80, 1, 0}, forge.Sequence(to("eve@evil.example"), to("list@good.example"))))
	signed := func(a ...[]byte) string {
		return m.by(alice, func(s *forge.Signer) { s.Attributes = Sorted(append(s.Attributes, a...)) })
	}
	m.authentic("a22-twin-request", "a receipt is asked for, to be sent to somebody else", signed(request), m.part).bare().Remarks = []string{"receipt.requested"}
	m.authentic("a22-twin-list", "a receipt is asked for, of a list that says it is one", signed(request,
		forge.Attribute(oidExpansion, forge.Sequence(forge.Sequence(identifier, []byte("\x18\x0f20260601120000Z"), []byte{0x80, 0})))), m.part).bare().Remarks = []string{"receipt.requested"}
	m.authentic("a22-twin-unsigned", "a receipt is asked for where nobody signed it", m.by(alice, func(s *forge.Signer) { s.Unsigned = [][]byte{request} }), m.part).bare()
	m.authentic("a22-twin-malformed", "what asks for a receipt is malformed, and nobody reads it", signed(forge.Attribute(oid.ReceiptRequest, forge.Null())), m.part).bare()
	m.refused("a22-twice", "a receipt is asked for twice", "a22-twin-request", "attr.duplicate", signed(request, request)).bare()

	// A receipt for a message that was never sent: its digest is of nothing.
	receipt := string(forge.Sequence(forge.Integer(1), forge.OID(oid.Data), identifier, forge.Octets(make([]byte, 256))))
	as := func(change func(*forge.Signer)) *forge.Signed {
		s := m.Forged(receipt, func(s *forge.Signed) {
			s.ContentType = oid.Receipt
			s.Signers[0].Attributes = Sorted([][]byte{forge.ContentType(oid.Receipt), forge.MessageDigest(forge.Digest(crypto.SHA256, []byte(receipt))),
				forge.Attribute(oidSigDigest, forge.Octets(make([]byte, 32))), forge.Attribute(oidContentID, identifier)})
		})
		change(s.Signers[0])
		return s
	}
	m.refused("a22-receipt", "a receipt for a message that nobody sent", "valid-opaque", "cms.content_type", m.OpaqueMail(as(func(*forge.Signer) {}).DER())).CMS = "authentic"
	m.refused("a22-receipt-as-data", "a receipt whose type is that of mail outside of the signature", "valid-opaque", "attr.content_type", m.OpaqueMail(func() []byte {
		s := as(func(*forge.Signer) {})
		s.ContentType = oid.Data
		return s.DER()
	}())).bare()
	m.refused("a21-receipt", "a receipt without signed attributes", "valid-opaque", "attr.missing", m.OpaqueMail(as(func(s *forge.Signer) {
		s.Attributes, s.Content = nil, []byte(receipt)
	}).DER())).bare()
}

// forgedPSS: RSASSA-PSS with every parameter other than it was signed with, or absurd.
func (m *Maker) forgedPSS() {
	alice := m.people.Alice()
	key := m.rsaKey()
	attributes := m.Forged(m.part, nil).Signers[0].Attributes
	digest := forge.Digest(crypto.SHA256, forge.Set(attributes...))
	salt := bytes.Repeat([]byte("salt"), 60)
	block := func(mgf crypto.Hash, n int) []byte {
		return forge.PSSBlock(key.Size(), crypto.SHA256, mgf, salt[:n], digest)
	}
	with := func(parameters, block []byte) string {
		return m.by(alice, func(s *forge.Signer) {
			s.SignatureAlgorithm = forge.Algorithm(oid.RSAPSS, parameters)
			s.Signature = forge.RSASignature(key, block)
		})
	}
	stated := func(salt, trailer int) []byte { return forge.PSSParameters(oid.SHA256, oid.SHA256, salt, trailer) }
	right := block(crypto.SHA256, 32)
	const twin = "b02-twin"
	m.authentic(twin, "PSS with SHA-256, a mask by SHA-256 and 32 octets of salt", with(stated(32, 1), right), m.part).bare()
	m.authentic("b02-twin-mask-sha1", "PSS with SHA-256 and a mask by SHA-1", with(forge.PSSParameters(oid.SHA256, oid.SHA1, 20, 1), block(crypto.SHA1, 20)), m.part).bare()
	m.authentic("b02-twin-no-salt", "PSS without salt", with(stated(0, 1), block(crypto.SHA256, 0)), m.part).bare()
	m.authentic("b02-twin-long-salt", "PSS with as much salt as there is room for", with(stated(222, 1), block(crypto.SHA256, 222)), m.part).bare()
	changed := func(at int) []byte {
		b := bytes.Clone(right)
		b[at] ^= 0x01
		return b
	}
	leadingBit := bytes.Clone(right)
	leadingBit[0] |= 0x80
	for _, c := range []struct {
		name, note, code  string
		parameters, block []byte
	}{
		{"mask-absent", "no mask named, which means one by SHA-1, and another used", "sig.invalid",
			forge.Sequence(forge.Tagged(0, forge.Algorithm(oid.SHA256, nil)), forge.Tagged(2, forge.Integer(32))), right},
		{"mask-other", "a mask by SHA-512 named, and another used", "sig.invalid", forge.PSSParameters(oid.SHA256, oid.SHA512, 32, 1), right},
		{"mask-unknown", "a mask function that nobody knows", "sig.unsupported",
			forge.Sequence(forge.Tagged(0, forge.Algorithm(oid.SHA256, nil)), forge.Tagged(1, forge.Algorithm("\x2a\x03\x04", nil))), right},
		{"mask-md5", "a mask by MD5", "sig.unsupported", forge.PSSParameters(oid.SHA256, oid.MD5, 32, 1), right},
		{"salt-short", "less salt than announced", "sig.invalid", stated(32, 1), block(crypto.SHA256, 31)},
		{"salt-long", "more salt than announced", "sig.invalid", stated(32, 1), block(crypto.SHA256, 33)},
		{"salt-none", "no salt announced, and some there", "sig.invalid", stated(0, 1), right},
		{"salt-huge", "a gigabyte of salt", "sig.invalid", stated(1<<30, 1), right},
		{"salt-negative", "less than no salt", "sig.unsupported", stated(-1, 1), right},
		{"trailer", "another trailer announced", "sig.unsupported", stated(32, 2), right},
		{"trailer-other", "another trailer there", "sig.invalid", stated(32, 1), changed(255)},
		{"hash", "another hash function than the digest's", "alg.mismatch", forge.PSSParameters(oid.SHA512, oid.SHA512, 32, 1), right},
		{"absent", "no parameters", "sig.unsupported", nil, right},
		{"null", "NULL as parameters", "sig.unsupported", forge.Null(), right},
		{"defaults", "parameters left to their defaults, which are SHA-1", "alg.mismatch", forge.Sequence(), right},
		{"leading-bit", "a bit before the block", "sig.invalid", stated(32, 1), leadingBit},
		{"digest", "one bit of the hash value is another", "sig.invalid", stated(32, 1), changed(240)},
		{"padding", "one bit of the padding is another", "sig.invalid", stated(32, 1), changed(10)},
		{"v15", "PKCS #1 v1.5 where PSS is announced", "sig.invalid", stated(32, 1),
			forge.SignatureBlock(256, forge.DigestInfo(forge.Algorithm(oid.SHA256, forge.Null()), digest))},
	} {
		m.refused("b02-"+c.name, c.note, twin, c.code, with(c.parameters, c.block)).bare()
	}
	m.refused("b02-as-v15", "PSS where PKCS #1 v1.5 is announced", twin, "sig.invalid", m.by(alice, func(s *forge.Signer) { s.Signature = forge.RSASignature(key, right) })).bare()
	m.refused("b02-short", "the first octet of the signature left out", twin, "sig.invalid", m.by(alice, func(s *forge.Signer) {
		s.SignatureAlgorithm = forge.Algorithm(oid.RSAPSS, stated(32, 1))
		s.Signature = forge.RSASignature(key, right)[1:]
	})).bare()
}

// malleable: signatures of elliptic curves that somebody made another of. One form of each
// is read. The same numbers with s negated are a good signature as well, which is why the
// octets of a signature never name a message.
func (m *Maker) malleable() {
	curve, edwards := m.other("p256"), m.other("ed25519")
	key := curve.Key().(*ecdsa.PrivateKey)
	order := key.Params().N
	right := forge.SignatureOf(Forged(m.part, curve).Signers[0])
	body := forge.Content(right)
	first := body[:2+int(body[1])]
	second := body[len(first):]
	r, s := new(big.Int).SetBytes(first[2:]), new(big.Int).SetBytes(second[2:])
	number := func(v *big.Int) []byte { return forge.BigInteger(v) }
	with := func(sig []byte) string { return m.by(curve, func(who *forge.Signer) { who.Signature = sig }) }
	padded := func(e []byte) []byte { return slices.Concat([]byte{2, e[1] + 1, 0}, e[2:]) }
	zero := big.NewInt(0)
	const twin = "b03-twin"
	m.authentic(twin, "ECDSA with P-256", with(right), m.part).bare()
	m.authentic("b03-twin-negated", "the same with s negated", with(forge.Sequence(first, number(new(big.Int).Sub(order, s)))), m.part).bare()
	for _, c := range []struct {
		name, note string
		sig        []byte
	}{
		{"third-number", "a third number", forge.Sequence(first, second, forge.Integer(1))},
		{"null", "NULL behind the numbers", forge.Sequence(first, second, forge.Null())},
		{"one-number", "one number", forge.Sequence(first)},
		{"behind", "an octet behind", append(bytes.Clone(right), 0)},
		{"set", "a SET", forge.Set(first, second)},
		{"long-length", "a length that is not minimal", append([]byte{0x30, 0x81}, right[1:]...)},
		{"indefinite", "an indefinite length", forge.Indefinite(right)},
		{"r-padded", "a zero in front of r", forge.Sequence(padded(first), second)},
		{"s-padded", "a zero in front of s", forge.Sequence(first, padded(second))},
		{"r-zero", "r is zero", forge.Sequence(number(zero), second)},
		{"s-zero", "s is zero", forge.Sequence(first, number(zero))},
		{"both-zero", "both are zero", forge.Sequence(number(zero), number(zero))},
		{"r-order", "r is the order of the group", forge.Sequence(number(order), second)},
		{"s-order", "s is the order of the group", forge.Sequence(first, number(order))},
		{"r-more", "the order of the group added to r", forge.Sequence(number(new(big.Int).Add(r, order)), second)},
		{"s-more", "the order of the group added to s", forge.Sequence(first, number(new(big.Int).Add(s, order)))},
		{"r-negative", "r is negative", forge.Sequence(number(new(big.Int).Sub(r, order)), second)},
		{"swapped", "r and s exchanged", forge.Sequence(second, first)},
		{"octets", "the numbers as octet strings", forge.Sequence(forge.Octets(r.Bytes()), forge.Octets(s.Bytes()))},
		{"raw", "the numbers one after the other", slices.Concat(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32)))},
		{"empty", "nothing", []byte{}},
	} {
		m.refused("b03-"+c.name, "ECDSA: "+c.note, twin, "sig.invalid", with(c.sig)).bare()
	}

	good := Forged(m.part, edwards).Signers[0]
	sig := forge.SignatureOf(good)
	with = func(sig []byte) string { return m.by(edwards, func(who *forge.Signer) { who.Signature = sig }) }
	// The order of the base point of Ed25519, little-endian (RFC 8032, Section 5.1).
	l, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	more := func(times int64) []byte {
		v := bytes.Clone(sig[32:])
		slices.Reverse(v)
		n := new(big.Int).Add(new(big.Int).SetBytes(v), new(big.Int).Mul(l, big.NewInt(times)))
		v = n.FillBytes(make([]byte, 32))
		slices.Reverse(v)
		return append(bytes.Clone(sig[:32]), v...)
	}
	const edTwin = "b03-twin-ed25519"
	m.authentic(edTwin, "Ed25519", with(sig), m.part).bare()
	for _, c := range []struct {
		name, note string
		sig        []byte
	}{
		{"s-more", "the order of the group added to S", more(1)},
		{"s-much-more", "the order of the group added to S seven times", more(7)},
		{"long", "an octet behind", append(bytes.Clone(sig), 0)},
		{"short", "the last octet left out", sig[:63]},
		{"r-only", "R without S", sig[:32]},
		{"zero", "zeros", make([]byte, 64)},
		{"identity", "the neutral point and zero", append([]byte{1}, make([]byte, 63)...)},
		{"empty", "nothing", []byte{}},
	} {
		m.refused("b03-ed25519-"+c.name, "Ed25519: "+c.note, edTwin, "sig.invalid", with(c.sig)).bare()
	}
}

// otherSchemes: signatures of schemes that nobody here knows in whole are not good by half,
// and neither are those that go with another digest than their own.
func (m *Maker) otherSchemes() {
	alice, edwards := m.people.Alice(), m.other("ed25519")
	half := forge.SignatureOf(Forged(m.part, alice).Signers[0])
	with := func(o oid.OID, sig []byte) string {
		return m.by(alice, func(s *forge.Signer) { s.SignatureAlgorithm, s.Signature = forge.Algorithm(o, nil), sig })
	}
	m.refused("b09-ed25519-sha256", "Ed25519 over attributes with SHA-256", "b03-twin-ed25519", "alg.mismatch", m.by(edwards, func(s *forge.Signer) {
		s.Hash, s.DigestAlgorithm = crypto.SHA256, forge.Algorithm(oid.SHA256, nil)
		s.Attributes[1] = forge.MessageDigest(forge.Digest(crypto.SHA256, []byte(m.part)))
	})).bare()
	for _, c := range []struct {
		name, note string
		oid        oid.OID
		sig        []byte
	}{
		{"b09-hash-ml-dsa-44", "HashML-DSA-44 with SHA-512", "\x60\x86\x48\x01\x65\x03\x04\x03\x20", half},
		{"b09-hash-ml-dsa-65", "HashML-DSA-65 with SHA-512", "\x60\x86\x48\x01\x65\x03\x04\x03\x21", half},
		{"b09-hash-ml-dsa-87", "HashML-DSA-87 with SHA-512", "\x60\x86\x48\x01\x65\x03\x04\x03\x22", half},
		{"b09-slh-dsa", "SLH-DSA-SHA2-128s", "\x60\x86\x48\x01\x65\x03\x04\x03\x14", half},
		{"b09-ml-dsa-by-rsa", "ML-DSA-44, by a key that is one of RSA", oid.MLDSA44, half},
		{"k05-empty", "ML-DSA-44 with RSA in one, of neither", "\x2b\x06\x01\x05\x05\x07\x06\x25", []byte{}},
		{"k05-second", "ML-DSA-44 with RSA in one, of which RSA is right", "\x2b\x06\x01\x05\x05\x07\x06\x25", slices.Concat(make([]byte, 2420), half)},
		{"k05-swapped", "ML-DSA-44 with RSA in one, in the wrong order", "\x2b\x06\x01\x05\x05\x07\x06\x25", slices.Concat(half, make([]byte, 2420))},
		{"k05-only", "ML-DSA-44 with RSA in one, of which only RSA is there", "\x2b\x06\x01\x05\x05\x07\x06\x25", half},
		{"k05-sequence", "a draft's composite of a SEQUENCE of two", "\x60\x86\x48\x01\x86\xfa\x6b\x50\x08\x01\x15", forge.Sequence([]byte{3, 1, 0}, append([]byte{3, 0x82, 1, 1, 0}, half...))},
		{"k06-hss-255-levels", "HSS/LMS of 255 levels", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x03\x11", slices.Concat([]byte{0, 0, 0, 254}, make([]byte, 4000))},
		{"k06-hss-many-levels", "HSS/LMS of four thousand million levels", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x03\x11", []byte{0xff, 0xff, 0xff, 0xff}},
		{"k06-hss-unknown-type", "HSS/LMS of an unknown type", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x03\x11", slices.Concat(make([]byte, 8), []byte{0xff, 0xff}, half)},
		{"k06-xmss", "XMSS", "\x2b\x06\x01\x05\x05\x07\x06\x22", slices.Concat(make([]byte, 4), half)},
	} {
		code := "sig.unsupported"
		if c.oid == oid.MLDSA44 {
			code = "sig.invalid"
		}
		m.refused(c.name, "a signature that calls itself "+c.note, "valid-opaque", code, with(c.oid, c.sig)).bare()
	}
	m.authentic("k05-twin-two-signers", "a composite signature that nobody can check, and one with RSA beside it", m.OpaqueMail(func() []byte {
		s := Forged(m.part, alice, alice)
		s.Signers[0].SignatureAlgorithm, s.Signers[0].Signature = forge.Algorithm("\x2b\x06\x01\x05\x05\x07\x06\x25", nil), half
		return s.DER()
	}()), m.part).Remarks = []string{"sig.unsupported"}
}

// otherRecipients: RSA-KEM (RFC 9690), whose ciphertext would have to be deciphered without
// any padding to tell right from wrong, is not read, and nothing else is tried in its place.
func (m *Maker) otherRecipients() {
	bob := m.people.Bob()
	pub := bob.Certificate().PublicKey.(*rsa.PublicKey)
	cert := bob.Certificate()
	kem := func(ciphertext []byte) []byte {
		return forge.Tagged(4, forge.OID(oid.KEMRecipientInfo), forge.Sequence(forge.Integer(0), forge.IssuerAndSerial(cert.RawIssuer, cert.SerialNumber),
			forge.Algorithm("\x28\x81\x8c\x71\x02\x02\x04", nil), forge.Octets(ciphertext), forge.Algorithm(oid.HKDFSHA256, nil), forge.Integer(32),
			forge.Algorithm(oid.AES256Wrap, nil), forge.Octets(make([]byte, 40))))
	}
	signed := m.SealedPart()
	by := func(recipients ...[]byte) string {
		return m.SealedMail(m.Envelope(signed, func(e *forge.Enveloped) { e.Recipients = recipients }))
	}
	size := pub.Size()
	right := forge.RSAEncrypted(pub, forge.EncryptionBlock(size, []byte(Key)))
	const twin = "k04-twin-beside"
	m.authentic(twin, "a recipient by RSA-KEM, and one by PKCS #1 v1.5", by(kem(make([]byte, size)), Transport(bob, []byte(Key))), m.part)
	for _, c := range []struct {
		name, note string
		ciphertext []byte
	}{
		{"number", "a number below the modulus", forge.RSAEncrypted(pub, append([]byte{0}, bytes.Repeat([]byte{5}, size-1)...))},
		{"modulus", "the modulus", pub.N.Bytes()},
		{"above", "a number above the modulus", bytes.Repeat([]byte{0xff}, size)},
		{"short", "an octet less", make([]byte, size-1)},
		{"long", "an octet more", make([]byte, size+1)},
		{"zero", "zero", make([]byte, size)},
		{"one", "one", append(make([]byte, size-1), 1)},
		{"minus-one", "the modulus less one", new(big.Int).Sub(pub.N, big.NewInt(1)).Bytes()},
		{"empty", "nothing", nil},
		{"transport", "a key by PKCS #1 v1.5", right},
	} {
		m.refused("k04-"+c.name, "RSA-KEM whose ciphertext is "+c.note, twin, "decrypt.unsupported", by(kem(c.ciphertext)))
	}
	old := func(key []byte) []byte {
		return forge.KeyTransport(cert, forge.Algorithm("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x03\x0e", nil), key)
	}
	m.refused("k04-key-transport", "RSA-KEM as key transport, around a key by PKCS #1 v1.5 (RFC 5990)", twin, "decrypt.unsupported", by(old(right)))
	m.refused("k04-key-transport-long", "RSA-KEM as key transport, with a wrapped key (RFC 5990)", twin, "decrypt.unsupported", by(old(append(bytes.Clone(right), make([]byte, 40)...))))
}
