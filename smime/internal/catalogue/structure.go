package catalogue

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/smime"
	"golang.org/x/crypto/cryptobyte"
)

// Deep returns n SEQUENCEs inside each other.
func Deep(n int) []byte {
	out := []byte{5, 0}
	for range n {
		out = forge.Sequence(out)
	}
	return out
}

// nesting: a place where anything may stand holds no tower.
func (m *Maker) nesting() {
	unsigned := func(value []byte) string {
		return m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) { s.Signers[0].Unsigned = [][]byte{forge.Attribute("\x2a\x03\x04", value)} }).DER())
	}
	const twin = "d01-twin-unsigned"
	m.authentic(twin, "an unsigned attribute of 50 levels", unsigned(Deep(50)), m.part).bare()
	m.beyond("d01-unsigned", "an unsigned attribute of 70 levels", twin, unsigned(Deep(70))).bare()
	m.beyond("d01-signed", "a signed attribute of 70 levels", twin, m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) {
		s.Signers[0].Attributes = append(s.Signers[0].Attributes, forge.Attribute("\x2a\x03\x04", Deep(70)))
	}).DER())).bare()
	m.beyond("d01-parameters", "parameters of a digest of 70 levels", twin, m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) {
		s.Announced = [][]byte{forge.Algorithm(oid.SHA256, Deep(70))}
	}).DER())).bare()
	m.beyond("d01-certificate", "a certificate of 70 levels", twin, m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) {
		s.Certificates = append(s.Certificates, Deep(70))
	}).DER())).bare()
	m.beyond("d01-indefinite", "a thousand elements of indefinite length", twin, m.OpaqueMail(forge.Nested(1000, 0x30, 0x80))).bare()
	m.beyond("d01-strings", "a thousand strings inside each other", twin, m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) {
		s.Encapsulated = forge.Sequence(forge.OID(oid.Data), forge.Tagged(0, forge.Nested(1000, 0x24, 0x80)))
	}).DER())).bare()
}

// lengths: nobody believes a length.
func (m *Maker) lengths() {
	valid := m.Forged(m.part, nil).DER()
	const twin = "d02-twin-long-form"
	claim := func(length ...byte) string { // of the outermost element
		return m.OpaqueMail(slices.Concat([]byte{0x30, 0x80 | byte(len(length))}, length, forge.Content(valid)))
	}
	n := len(forge.Content(valid))
	m.authentic(twin, "a length with zeros in front", claim(0, 0, 0, byte(n>>8), byte(n)), m.part).bare()
	cut := func(name, note, code, message string) {
		m.add(&Case{Name: name, Note: note, Twin: twin, Verdict: smime.NotAuthentic, Codes: []string{code}, Message: message})
	}
	cut("d02-one-more", "one octet more than there is", "cms.truncated", claim(byte((n+1)>>8), byte(n+1)))
	cut("d02-31-bits", "2 GiB more than there is", "cms.truncated", claim(0x7f, 0xff, 0xff, 0xff))
	cut("d02-63-bits", "as much as a signed number holds", "cms.malformed", claim(0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))
	cut("d02-64-bits", "more than a number holds", "cms.malformed", claim(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))
	cut("d02-126-octets", "a length of 126 octets", "cms.malformed", claim(bytes.Repeat([]byte{1}, 126)...))
	cut("d02-one-less", "one octet less than there is", "cms.malformed", claim(byte((n-1)>>8), byte(n-1)))
	at := func(name, note string, old []byte, header ...byte) {
		i := bytes.Index(valid, old)
		if i < 0 {
			panic(name)
		}
		cut(name, note, "cms.malformed", m.OpaqueMail(slices.Concat(valid[:i], header, valid[i+len(old):])))
	}
	content := forge.Octets([]byte(m.part))
	at("d02-content", "a content longer than the structure", content, append([]byte{0x04, 0x84, 0x7f, 0xff, 0xff, 0xff}, m.part...)...)
	leaf := m.people.Alice().Certificate().Raw
	at("d02-certificate", "a certificate longer than the structure", leaf, append([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff}, forge.Content(leaf)...)...)
}

// pieces: a string in segments reads as one, and only as long as they are strings.
func (m *Maker) pieces() {
	encapsulated := func(content []byte) string {
		return m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) {
			s.Encapsulated = forge.Sequence(forge.OID(oid.Data), forge.Tagged(0, content))
		}).DER())
	}
	var single, mixed []byte
	for i := range len(m.part) {
		single = append(single, forge.Octets([]byte(m.part[i:i+1]))...)
	}
	half := len(m.part) / 2
	whole := forge.Octets([]byte(m.part))
	mixed = slices.Concat(forge.Octets(nil), forge.Indefinite(forge.Element(0x24, forge.Octets([]byte(m.part[:half])))), forge.Octets([]byte(m.part[half:])))
	const twin = "d03-twin-octets"
	m.authentic(twin, "a segment for each octet", encapsulated(forge.Element(0x24, single)), m.part).bare()
	m.authentic("d03-twin-mixed", "segments of every form", encapsulated(forge.Indefinite(forge.Element(0x24, mixed))), m.part).bare()
	nested := func(n int) []byte {
		out := whole
		for range n {
			out = forge.Element(0x24, out)
		}
		return out
	}
	m.authentic("d03-twin-nested", "strings three deep", encapsulated(nested(3)), m.part).bare()
	m.beyond("d03-nested", "strings four deep", twin, encapsulated(nested(4))).bare()
	for _, c := range []struct {
		name, note string
		content    []byte
	}{
		{"no-end", "no end-of-contents", append([]byte{0x24, 0x80}, whole...)},
		{"two-ends", "end-of-contents twice", append(forge.Indefinite(forge.Element(0x24, whole)), 0, 0)},
		{"end-in-definite", "end-of-contents where the length is known", forge.Element(0x24, whole, []byte{0, 0})},
		{"integer", "a number among the segments", forge.Element(0x24, whole, forge.Integer(1))},
		{"utf8", "a segment of another type", forge.Element(0x24, forge.Element(0x0c, []byte(m.part)))},
		{"primitive", "a primitive string of indefinite length", slices.Concat([]byte{0x04, 0x80}, []byte(m.part), []byte{0, 0})},
		{"two", "two contents", slices.Concat(whole, whole)},
	} {
		m.refused("d03-"+c.name, c.note, twin, "cms.malformed", encapsulated(c.content))
	}
}

// alias returns o with 2 to the power of bits added to its last arc, which must be less
// than 128.
func alias(o oid.OID, bits int) oid.OID {
	last := []byte{o[len(o)-1]}
	for n := bits; ; n -= 7 {
		if n < 7 {
			last = append([]byte{0x80 | 1<<n}, last...)
			break
		}
		last = append([]byte{0x80}, last...)
	}
	return o[:len(o)-1] + oid.OID(last)
}

// aliases: an identifier whose last number is 2^32 or 2^64 too large is another.
func (m *Maker) aliases() {
	const twin = "valid-opaque"
	for _, bits := range []int{32, 64} {
		name := func(s string) string { return fmt.Sprintf("d05-%s-%d", s, bits) }
		by := func(change func(*forge.Signed)) string { return m.OpaqueMail(m.Forged(m.part, change).DER()) }
		m.refused(name("content-info"), "the type of the structure", twin, "cms.unsupported",
			m.OpaqueMail(forge.ContentInfo(alias(oid.SignedData, bits), forge.Content(forge.Content(forge.Sequence(m.Forged(m.part, nil).DER()))))))
		m.refused(name("content-type"), "the type of the attribute content-type", twin, "attr.missing", by(func(s *forge.Signed) {
			s.Signers[0].Attributes[0] = forge.Attribute(alias(oid.ContentType, bits), forge.OID(oid.Data))
		})).bare()
		m.refused(name("message-digest"), "the type of the attribute message-digest", twin, "attr.missing", by(func(s *forge.Signed) {
			s.Signers[0].Attributes[1] = forge.Sequence(forge.OID(alias(oid.MessageDigest, bits)), forge.Set(forge.Octets(make([]byte, 32))))
		})).bare()
		m.refused(name("data"), "the type of the content", twin, "attr.content_type", by(func(s *forge.Signed) { s.ContentType = alias(oid.Data, bits) })).bare()
		m.refused(name("digest"), "the digest", twin, "sig.unsupported", by(func(s *forge.Signed) {
			s.Signers[0].DigestAlgorithm = forge.Algorithm(alias(oid.SHA256, bits), nil)
		})).bare()
		m.refused(name("signature"), "the signature algorithm", twin, "sig.unsupported", by(func(s *forge.Signed) {
			s.Signers[0].SignatureAlgorithm = forge.Algorithm(alias(oid.RSA, bits), forge.Null())
		})).bare()
	}
}

// sealedAliases: so is one in an envelope.
func (m *Maker) sealedAliases() {
	for _, bits := range []int{32, 64} {
		name := func(s string) string { return fmt.Sprintf("d05-%s-%d", s, bits) }
		m.refused(name("transport"), "the algorithm of the encrypted key", "c01-twin-sealed", "decrypt.unsupported", m.SealedMail(m.Envelope(m.part, func(e *forge.Enveloped) {
			bob := m.people.Bob()
			e.Recipients = [][]byte{forge.KeyTransport(bob.Certificate(), forge.Algorithm(alias(oid.RSA, bits), forge.Null()), make([]byte, 256))}
		})))
		m.refused(name("cipher"), "the content cipher", "c01-twin-sealed", "decrypt.unsupported", m.SealedMail(m.Envelope(m.part, func(e *forge.Enveloped) {
			e.Cipher = forge.Algorithm(alias(oid.AES256CBC, bits), forge.Octets([]byte(IV)))
		})))
	}
}

// elements: added, left out, doubled or of another type.
func (m *Maker) elements() {
	s := m.Forged(m.part, nil)
	signer := s.Signers[0].DER()
	certs := forge.Tagged(0, s.Certificates...)
	announced, infos := forge.Set(s.Announced...), forge.Set(signer)
	encapsulated := forge.Sequence(forge.OID(oid.Data), forge.Tagged(0, forge.Octets([]byte(m.part))))
	one := forge.Integer(1)
	of := func(elements ...[]byte) string {
		return m.OpaqueMail(forge.ContentInfo(oid.SignedData, forge.Sequence(elements...)))
	}
	const twin = "d06-twin"
	m.authentic(twin, "all elements of SignedData", of(one, announced, encapsulated, certs, infos), m.part).bare()
	m.authentic("d06-twin-no-crls", "an empty list of CRLs", of(one, announced, encapsulated, certs, []byte{0xa1, 0}, infos), m.part).bare()
	m.authentic("d06-twin-other-certificates", "what is no X.509 certificate is passed over", of(one, announced, encapsulated,
		forge.Tagged(0, append(slices.Clone(s.Certificates), forge.Tagged(1, forge.Null()), forge.Tagged(3, forge.OID(oid.Data)))...), infos), m.part).bare()
	info := func(change func([][]byte) [][]byte) []byte {
		body := cryptobyte.String(forge.Content(signer))
		var parts [][]byte
		for !body.Empty() {
			var e cryptobyte.String
			if !body.ReadAnyASN1Element(&e, nil) {
				panic("the SignerInfo is malformed")
			}
			parts = append(parts, e)
		}
		return forge.Set(forge.Sequence(change(parts)...))
	}
	for _, c := range []struct {
		name, note, code string
		message          string
	}{
		{"d06-no-version", "no version", "cms.malformed", of(announced, encapsulated, certs, infos)},
		{"d06-two-versions", "two versions", "cms.malformed", of(one, one, announced, encapsulated, certs, infos)},
		{"d06-two-certificates", "the certificates twice", "cms.malformed", of(one, announced, encapsulated, certs, certs, infos)},
		{"d06-two-signers", "the signers twice", "cms.malformed", of(one, announced, encapsulated, certs, infos, infos)},
		{"d06-crls-first", "CRLs before the certificates", "cms.malformed", of(one, announced, encapsulated, []byte{0xa1, 0}, certs, infos)},
		{"d06-two-contents", "two contents, the wrong one first", "cms.malformed", of(one, announced,
			forge.Sequence(forge.OID(oid.Data), forge.Tagged(0, forge.Octets([]byte(OtherPart))), forge.Tagged(0, forge.Octets([]byte(m.part)))), certs, infos)},
		{"d06-two-encapsulated", "two encapsulated contents", "cms.malformed", of(one, announced, encapsulated, encapsulated, certs, infos)},
		{"d06-unknown", "an element with an unknown tag", "cms.malformed", of(one, announced, encapsulated, certs, forge.Tagged(5, forge.Null()), infos)},
		{"d06-attributes-twice", "signed attributes twice", "cms.malformed", of(one, announced, encapsulated, certs,
			info(func(e [][]byte) [][]byte { return slices.Insert(e, 4, e[3]) }))},
		{"d06-signature-twice", "the signature twice", "cms.malformed", of(one, announced, encapsulated, certs,
			info(func(e [][]byte) [][]byte { return append(e, e[5]) }))},
		{"d06-outer", "an element behind the content of ContentInfo", "cms.malformed", m.OpaqueMail(forge.Sequence(
			forge.OID(oid.SignedData), forge.Tagged(0, forge.Sequence(one, announced, encapsulated, certs, infos)), forge.Null()))},
		{"d06-behind", "an element behind ContentInfo", "cms.trailing_data", m.OpaqueMail(append(s.DER(), 5, 0))},
		{"d07-signers-sequence", "the signers are a SEQUENCE", "cms.malformed", of(one, announced, encapsulated, certs, forge.Sequence(signer))},
		{"d07-signer-set", "a signer is a SET", "cms.malformed", of(one, announced, encapsulated, certs, forge.Set(append([]byte{0x31}, signer[1:]...)))},
		{"d07-content-utf8", "the content is a UTF8String", "cms.malformed", of(one, announced,
			forge.Sequence(forge.OID(oid.Data), forge.Tagged(0, forge.Element(0x0c, []byte(m.part)))), certs, infos)},
		{"d07-content-primitive", "the tag around the content is primitive", "cms.malformed", of(one, announced,
			forge.Sequence(forge.OID(oid.Data), forge.Element(0x80, forge.Octets([]byte(m.part)))), certs, infos)},
		{"d07-signature-bits", "the signature is a bit string", "cms.malformed", of(one, announced, encapsulated, certs,
			info(func(e [][]byte) [][]byte { return append(e[:5:5], append([]byte{3}, e[5][1:]...)) }))},
		{"d07-version-octets", "the version is an octet string", "cms.malformed", of(forge.Octets([]byte{1}), announced, encapsulated, certs, infos)},
		{"d07-attributes-primitive", "the signed attributes are primitive", "cms.malformed", of(one, announced, encapsulated, certs,
			info(func(e [][]byte) [][]byte {
				return slices.Concat(e[:3], [][]byte{append([]byte{0x80}, e[3][1:]...)}, e[4:])
			}))},
		{"d08-no-content", "ContentInfo without content", "cms.malformed", m.OpaqueMail(forge.Sequence(forge.OID(oid.SignedData)))},
		{"d08-empty-content", "ContentInfo with an empty content", "cms.malformed", m.OpaqueMail(forge.Sequence(forge.OID(oid.SignedData), forge.Tagged(0)))},
		{"d08-null-content", "ContentInfo with NULL as content", "cms.malformed", m.OpaqueMail(forge.ContentInfo(oid.SignedData, forge.Null()))},
		{"d08-null-encapsulated", "NULL as the content that was signed", "cms.malformed", of(one, announced, forge.Sequence(forge.OID(oid.Data), forge.Tagged(0, forge.Null())), certs, infos)},
		{"d08-empty-encapsulated", "no content where there should be one", "cms.malformed", of(one, announced, forge.Sequence(forge.OID(oid.Data), forge.Tagged(0)), certs, infos)},
		{"d08-nothing", "an empty structure", "cms.malformed", m.OpaqueMail([]byte{0x30, 0})},
		{"d08-data", "content without any protection", "cms.unsupported", m.OpaqueMail(forge.ContentInfo(oid.Data, forge.Octets([]byte(m.part))))},
		{"d08-no-octets", "no octets", "cms.truncated", m.OpaqueMail(nil)},
	} {
		m.refused(c.name, c.note, twin, c.code, c.message)
	}
}

// floods: as many as there may be, and one more.
func (m *Maker) floods() {
	of := func(n int) string {
		return m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) {
			for range n - 1 {
				s.Infos = append(s.Infos, s.Signers[0].DER())
			}
		}).DER())
	}
	m.authentic("d10-twin-signers", "16 signatures", of(16), m.part).bare()
	m.beyond("d10-signers", "17 signatures", "d10-twin-signers", of(17)).bare()
	attributes := func(n int) string {
		return m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) {
			a := s.Signers[0].Attributes
			for i := range n - len(a) {
				a = append(a, forge.Attribute(oid.OID([]byte{0x2a, 3, byte(i)}), forge.Null()))
			}
			s.Signers[0].Attributes = Sorted(a)
		}).DER())
	}
	m.authentic("d10-twin-attributes", "64 signed attributes", attributes(64), m.part).bare()
	m.beyond("d10-attributes", "65 signed attributes", "d10-twin-attributes", attributes(65)).bare()
	announced := func(n int) string {
		return m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) {
			for i := range n - 1 {
				s.Announced = append(s.Announced, forge.Algorithm(oid.OID([]byte{0x2a, 3, byte(i)}), nil))
			}
		}).DER())
	}
	m.authentic("d10-twin-digests", "16 digests announced", announced(16), m.part).bare()
	m.beyond("d10-digests", "17 digests announced", "d10-twin-digests", announced(17)).bare()
}

// strings: what is not text is equal to nothing.
func (m *Maker) strings() {
	issuer := m.people.Alice().Certificate().RawIssuer
	const cn = "Postseal Test Issuing CA"
	named := func(tag byte, value []byte) string {
		var rdns [][]byte
		for s := cryptobyte.String(forge.Content(issuer)); !s.Empty(); {
			var rdn cryptobyte.String
			if !s.ReadAnyASN1Element(&rdn, nil) {
				panic("the issuer is malformed")
			}
			if bytes.Contains(rdn, []byte(cn)) {
				rdn = forge.Set(forge.Sequence(forge.OID(oid.CommonName), append([]byte{tag, byte(len(value))}, value...)))
			}
			rdns = append(rdns, rdn)
		}
		return m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) {
			s.Signers[0].ID = forge.IssuerAndSerial(forge.Sequence(rdns...), m.people.Alice().Certificate().SerialNumber)
		}).DER())
	}
	wide := func(s string, size int) (out []byte) {
		for _, c := range s {
			for i := size - 1; i >= 0; i-- {
				out = append(out, byte(c>>(8*i)))
			}
		}
		return out
	}
	const utf8, printable, t61, bmp, universal = 12, 19, 20, 30, 28
	const twin = "d11-twin-bmp"
	m.authentic(twin, "the issuer as a BMPString", named(bmp, wide(cn, 2)), m.part).bare()
	m.authentic("d11-twin-universal", "the issuer as a UniversalString", named(universal, wide(cn, 4)), m.part).bare()
	m.authentic("d11-twin-utf8", "the issuer as a UTF8String, in capitals and with spaces", named(utf8, []byte("  POSTSEAL  test issuing ca ")), m.part).bare()
	// Controls count for nothing in names (RFC 4518, Section 2.2).
	m.authentic("d11-twin-nul", "the issuer with a NUL in it", named(utf8, []byte("Postseal\x00 Test Issuing CA")), m.part).bare()
	m.authentic("d11-twin-escape", "the issuer as a TeletexString with an escape in it", named(t61, []byte("Postseal\x1b Test Issuing CA")), m.part).bare()
	for _, c := range []struct {
		name, note string
		tag        byte
		value      []byte
	}{
		{"bmp-odd", "a BMPString of odd length", bmp, append(wide(cn, 2), 0)},
		{"bmp-surrogate", "half a surrogate behind the name", bmp, append(wide(cn, 2), 0xd8, 0x00)},
		{"bmp-truncated", "a BMPString that ends in half a character", bmp, wide(cn, 2)[:2*len(cn)-1]},
		{"universal-large", "a character beyond Unicode", universal, append(wide(cn, 4), 0, 0x11, 0, 0)},
		{"utf8-invalid", "octets that are not UTF-8", utf8, append([]byte(cn), 0xff)},
		{"utf8-surrogate", "a surrogate in UTF-8", utf8, append([]byte(cn), 0xed, 0xa0, 0x80)},
		{"utf8-overlong", "a letter in two octets", utf8, append([]byte(cn[:len(cn)-1]), 0xc1, 0x81)},
		{"printable-at", "a character that no PrintableString has", printable, append([]byte(cn), '@')},
		{"t61-other", "an octet in a TeletexString that nobody knows how to read", t61, append([]byte(cn), 0xc1)},
		{"integer", "a number", 2, []byte(cn)},
	} {
		m.refused("d11-"+c.name, c.note, twin, "signer.no_certificate", named(c.tag, c.value)).bare()
	}
}

// times: the claimed time is whatever can be read of it, and nobody's proof.
func (m *Maker) times() {
	for _, c := range []struct{ name, note, value string }{
		{"utc", "UTCTime", "\x17\x0d260601120000Z"},
		{"no-seconds", "UTCTime without seconds", "\x17\x0b2606011200Z"},
		{"offset", "UTCTime with an offset", "\x17\x11260601120000+0200"},
		{"generalized", "GeneralizedTime before 2050", "\x18\x0f20260601120000Z"},
		{"far", "GeneralizedTime far away", "\x18\x0f99991231235959Z"},
		{"fraction", "a fraction of a second", "\x18\x1120260601120000.5Z"},
		{"leap", "a leap second", "\x17\x0d161231235960Z"},
		{"no-day", "February 30", "\x17\x0d260230120000Z"},
		{"empty", "nothing", "\x17\x00"},
		{"null", "NULL", "\x05\x00"},
		{"local", "local time", "\x17\x0c260601120000"},
	} {
		m.authentic("d12-twin-"+c.name, "signing-time: "+c.note, m.OpaqueMail(m.Forged(m.part, func(s *forge.Signed) {
			s.Signers[0].Attributes = Sorted(append(s.Signers[0].Attributes, forge.Attribute(oid.SigningTime, []byte(c.value))))
		}).DER()), m.part).bare()
	}
}

// cuts: an end that came too early is no end.
func (m *Maker) cuts() {
	opaqueText := m.OpaqueMail(m.Forged(m.part, nil).DER())
	clear := m.DetachedMail(m.part, Detached(m.Forged(m.part, nil)))
	start := len(m.fields + SignedField + "\r\n--outer\r\n")
	for _, c := range []struct {
		name, note, twin, code, message string
	}{
		{"opaque-half", "half of a structure", "valid-opaque", "cms.truncated", lines(opaqueText, len(opaqueText)/2)},
		{"opaque-group", "a group of base64 cut", "valid-opaque", "mime.base64", lines(opaqueText, len(opaqueText)/2) + "M"},
		{"opaque-line", "the last line is missing", "valid-opaque", "cms.truncated", lines(opaqueText, len(opaqueText)-2)},
		{"header", "the header is cut", "valid-opaque", "cms.truncated", m.fields + OpaqueFields},
		{"part", "the signed part is cut", "valid-multipart", "mime.truncated", clear[:start+len(m.part)/2]},
		{"before-signature", "the signature is missing", "valid-multipart", "mime.truncated", clear[:start+len(m.part+"\r\n--outer\r\n")]},
		{"signature", "the signature is cut", "valid-multipart", "mime.truncated", lines(clear, len(clear)-600)},
	} {
		m.refused("j01-"+c.name, c.note, c.twin, c.code, c.message)
	}
}

// sealedCuts: nor is it in an envelope.
func (m *Maker) sealedCuts() {
	sealed := m.SealedMail(m.Envelope(m.SealedPart(), nil))
	m.refused("j01-sealed", "half of a ciphertext", "c01-twin-sealed", "decrypt.failed", lines(sealed, len(sealed)*2/3))
}

// lines returns the whole lines among the first octets of a text.
func lines(text string, most int) string { return text[:strings.LastIndexByte(text[:most], '\n')+1] }

// bombs: what grows when it is unpacked (C17).
func (m *Maker) bombs() {
	compressed := func(entity io.Reader) string {
		var der bytes.Buffer
		w, err := cms.NewCompressedWriter(&der)
		if err == nil {
			_, err = io.Copy(w, entity)
		}
		if err == nil {
			err = w.Close()
		}
		must(err)
		return m.fields + "Content-Type: application/pkcs7-mime; smime-type=compressed-data; name=smime.p7z\r\n" +
			"Content-Transfer-Encoding: base64\r\n\r\n" + Base64Lines(der.Bytes())
	}
	m.authentic("c17-twin", "a signed message that is compressed", compressed(strings.NewReader(m.SealedPart())), m.part)
	m.beyond("c17-bomb", "a few octets that turn into millions", "c17-twin",
		compressed(io.MultiReader(strings.NewReader(m.SealedPart()), strings.NewReader(strings.Repeat("\r\n", 8<<20)))))
}

// masses: more than anybody needs, and as much as anybody may have (E14).
func (m *Maker) masses() {
	valid := m.Message(m.part)
	fields := strings.Count(strings.NewReplacer("\r\n\t", "", "\r\n ", "").Replace(m.fields+SignedField), "\r\n")
	pad := func(n int) string { return strings.Repeat("X: y\r\n", n-fields) + valid }
	m.authentic("e14-twin-fields", "a thousand fields", pad(limits.HeaderFields), m.part)
	m.beyond("e14-fields", "a field more", "e14-twin-fields", pad(limits.HeaderFields+1))
	signed := m.signedEntity(m.people.Alice(), m.part)
	many := func(n int) string {
		var b strings.Builder
		b.WriteString(m.fields + "Content-Type: multipart/mixed; boundary=layout\r\n\r\n")
		for range n - 1 {
			b.WriteString("--layout\r\n\r\nx\r\n")
		}
		return b.String() + "--layout\r\n" + signed + "\r\n--layout--\r\n"
	}
	m.unsigned("e14-most-parts", "a signed part behind as many others as anybody looks at", many(limits.MIMEParts), "mime.partly_protected")
	m.unsigned("e14-parts", "a signed part behind more parts than anybody looks at", many(limits.MIMEParts+2), "mime.survey_incomplete")
	deep := func(n int) string {
		inner := signed
		for i := range n {
			inner = MultipartAt(fmt.Sprintf("level%d", i), "mixed", inner)
		}
		return m.fields + inner
	}
	m.unsigned("e14-deepest", "a signed part as deep as anybody looks", deep(limits.MIMEDepth-1), "mime.partly_protected")
	m.unsigned("e14-deep", "a signed part deeper than anybody looks", deep(limits.MIMEDepth+5), "mime.survey_incomplete")
}
