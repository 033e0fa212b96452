package catalogue

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"strings"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/smime"
)

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

// readers: who can read a message, and who can see that (C20, C21, C22, C23).
func (m *Maker) readers() {
	signed := m.SealedPart()
	bob, eve := Transport(m.people.Bob(), []byte(Key)), Transport(m.people.Eve(), []byte(Key))
	to := func(recipients ...[]byte) string {
		return m.SealedMail(m.Envelope(signed, func(e *forge.Enveloped) { e.Recipients = recipients }))
	}
	m.refused("c20-forgotten", "nobody thought of Bob, to whom the message is addressed", "c20-twin", "decrypt.no_key", to(eve))
	m.authentic("c20-twin", "he can read it, and Eve too", to(bob, eve), m.part)
	m.authentic("c21-bcc", "a reader who was in Bcc can be seen by every other", to(bob, eve), m.part)
	m.authentic("c21-twin", "a copy of his own shows nobody", to(bob), m.part)
	padded := strings.TrimSuffix(signed, "\r\n") + "\r\n" + strings.Repeat("\r\n", 1000)
	m.authentic("c22-twin-padded", "line ends behind the signature hide how long it is", m.SealedMail(m.Envelope(padded, nil)), m.part)
	m.authentic("c22-bare", "the length of the text can be told from that of the message", to(bob), m.part)
	altered := OpaqueFields + Base64Lines(m.Forged(m.part, func(s *forge.Signed) { s.Content = []byte(OtherPart) }).DER())
	m.refused("c23-late", "only behind the content it turns out that nobody signed it: none of it may stay", "c20-twin", "digest.mismatch",
		m.SealedMail(m.Envelope(altered, nil)))
	m.authentic("i06-zeros", "a random source that gave zeros: nobody who reads can tell", m.AuthSealedMail(m.AuthEnvelope("", func(e *forge.Enveloped) {
		key, nonce := make([]byte, 32), make([]byte, 12)
		e.Recipients = [][]byte{Transport(m.people.Bob(), key)}
		e.Cipher = forge.AESGCM(key, nonce, 16)
		e.Text, e.MAC = forge.GCM(key, nonce, []byte(signed), nil)
	})), m.part)
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

// hidden: what a message is, its data say (E15).
func (m *Maker) hidden() {
	der := m.opaque(m.people.Alice(), m.part)
	as := func(field string) string {
		return m.fields + field + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + Base64Lines(der)
	}
	m.authentic("e15-twin-named", "octets named as CMS", as("Content-Type: application/octet-stream; name=smime.p7m"), m.part)
	m.authentic("e15-twin-disposition", "octets whose disposition names them as CMS", as("Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"SMIME.P7M\""), m.part)
	m.authentic("e15-twin-no-type", "no type, and a name", as("Content-Disposition: attachment; filename=smime.p7m"), m.part)
	for _, c := range []struct{ name, note, field string }{
		{"unnamed", "octets without a name", "Content-Type: application/octet-stream"},
		{"extensions", "octets with two extensions", "Content-Type: application/octet-stream; name=smime.p7m.txt"},
		{"invoice", "named as something else", "Content-Type: application/octet-stream; name=invoice.pdf"},
		{"pdf", "labelled as something else", "Content-Type: application/pdf; name=invoice.pdf; smime-type=signed-data"},
	} {
		m.authentic("e15-"+c.name, c.note, as(c.field), m.part).Warnings = []string{"mime.hidden_type"}
	}
	m.add(&Case{Name: "e15-text", Note: "labelled as text: nobody shows it as anything else", Twin: "e15-twin-named", Verdict: smime.Unsigned,
		Message: as("Content-Type: text/plain; name=smime.p7m; smime-type=signed-data")})
	m.refused("e15-not-cms", "octets named as CMS that are none", "e15-twin-named", "cms.malformed",
		m.fields+"Content-Type: application/octet-stream; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\nbm90aGluZw==\r\n")
	m.unsigned("e15-attached", "a signed part labelled as something else, beside a text", m.fields+MultipartAt("layout", "mixed",
		"Content-Type: text/plain\r\n\r\nSend the money to 4711.\r\n",
		"Content-Type: application/pdf; name=invoice.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"+Base64Lines(der)), "mime.partly_protected")
}

// written: what careless programs write (F08, I01, I03, I05).
func (m *Maker) written() {
	alice := m.people.Alice()
	m.plainHeader()
	inner := m.from + m.subject + "Content-Type: text/plain; hp=\"clear\"\r\n\r\nhi\r\n"
	outer := m.from + m.subject + "MIME-Version: 1.0\r\n"
	injected := m.from + strings.TrimSuffix(m.subject, "\r\n") + "\r\nBcc: eve@evil.example\r\nReply-To: eve@evil.example\r\nMIME-Version: 1.0\r\n"
	m.authentic("i01-twin", "a protected header", outer+m.opaqueEntity(alice, inner), inner)
	m.authentic("i01-injected", "a line end in the subject has made fields of what came behind it", injected+m.opaqueEntity(alice, inner), inner).
		Notes = []string{"Bcc header.added", "Reply-To header.added"}
	m.open("i01-header-ended", "two line ends in the subject have ended the header", "i01-twin",
		m.from+strings.TrimSuffix(m.subject, "\r\n")+"\r\n\r\nSend the money to 4711.\r\n"+"MIME-Version: 1.0\r\n"+m.signedEntity(alice, m.part))
	header, text := m.text()
	m.refused("i03-boundary", "the text holds the boundary that was chosen", "valid-multipart", "mime.signed_parts",
		m.Message(header+text+"--outer\r\nContent-Type: text/plain\r\n\r\nSend the money to 4711.\r\n"))
	for _, c := range []struct{ name, note, style string }{
		{"conditional", "another screen", "@media (max-width: 800px) { .quote { display: block } .reply { display: none } } .quote { display: none }"},
		{"printed", "paper", "@media print { .quote { display: block } .reply { display: none } } .quote { display: none }"},
		{"supported", "another program", "@supports (display: grid) { .quote { display: none } }"},
		{"coloured", "another background", ".quote { color: white }"},
		{"moved", "a wider window", ".quote { position: absolute; left: 9999px }"},
	} {
		covert := "Content-Type: text/html\r\n\r\n<style>" + c.style + "</style>\r\n<p class=reply>No.</p><p class=quote>Yes, pay Eve 100.</p>\r\n"
		m.authentic("i05-"+c.name, "a text that reads differently on "+c.note+", which the author of a reply signed unseen", m.fields+m.opaqueEntity(alice, covert), covert)
	}
}

// replies: a reply gives away what it answers (F08).
func (m *Maker) replies() {
	reply := func(protect string) (string, string) {
		c := smime.Composer{Opaque: true, Recipients: []*x509.Certificate{m.people.Bob().Certificate()}, ProtectHeaders: protect}
		return m.composed(c, "Content-Type: text/plain\r\n\r\nThe merger? Yes.\r\n")
	}
	ours, content := reply("baseline")
	f := m.authentic("f08-twin", "a reply that hides the subject it answers", ours, content)
	f.Notes = []string{"Subject header.obscured"}
	m.random()
	ours, content = reply("no-confidentiality")
	m.authentic("f08-leak", "a reply that shows the subject it answers, which was hidden", ours, content)
	m.random()
}
