package catalogue

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/smime"
)

// A Relay is something that mail systems do to the lines of messages on their way.
type Relay struct {
	Name   string // for files
	Does   string // what it does
	Hazard string // text that it changes
	Remark string // what a reader can tell about it, if anything
	Line   func(line string) string
}

// Message returns a message as it leaves the relay.
func (r Relay) Message(message string) string {
	var b strings.Builder
	for line := range strings.Lines(message) {
		b.WriteString(r.Line(line))
	}
	return b.String()
}

// Relays returns all of them.
func Relays() []Relay {
	return []Relay{
		{"white-space", "strips white space", "a \t\r\n", "", func(l string) string { return strings.TrimRight(l, " \t\r\n") + "\r\n" }},
		{"from", "quotes From", "From now on\r\n", "relay.from_quoted", func(l string) string {
			if strings.HasPrefix(l, "From ") {
				return ">" + l
			}
			return l
		}},
		{"dots", "doubles dots", ".a\r\n", "relay.dots_doubled", func(l string) string {
			if strings.HasPrefix(l, ".") {
				return "." + l
			}
			return l
		}},
		{"dot", "ends at a dot", "a\r\n.\r\nb\r\n", "", func(l string) string {
			if l == ".\r\n" {
				return ""
			}
			return l
		}},
		{"7bit", "clears the eighth bit", "Gr\xc3\xbc\xc3\x9fe\r\n", "", func(l string) string {
			b := []byte(l)
			for i := range b {
				b[i] &= 0x7f
			}
			return string(b)
		}},
		{"charset", "converts the character set", "Gr\xfc\xdfe\r\n", "", func(l string) string { return strings.ToValidUTF8(l, "\u00fc") }},
		{"long-lines", "breaks long lines", strings.Repeat("a", 1200) + "\r\n", "", func(l string) string {
			if len(l) > 1000 {
				return l[:998] + "\r\n" + l[998:]
			}
			return l
		}},
		{"bare-cr", "takes CR for a line end", "a\rb\r\n", "", func(l string) string { return strings.ReplaceAll(strings.TrimSuffix(l, "\r\n"), "\r", "\r\n") + "\r\n" }},
		{"nul", "drops NUL", "a\x00b\r\n", "", func(l string) string { return strings.ReplaceAll(l, "\x00", "") }},
		{"controls", "drops control characters", "a\x0bb\x7f\r\n", "", func(l string) string {
			return strings.Map(func(r rune) rune {
				if r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7f {
					return -1
				}
				return r
			}, l)
		}},
	}
}

// relayed: what relays do to a signed text as it is, and to what we write (E12, I02, I04).
func (m *Maker) relayed() {
	everything := ""
	for _, r := range Relays() {
		everything += r.Hazard
		f := m.refused("e12-"+r.Name, "a relay that "+r.Does, "e12-twin-"+r.Name, "digest.mismatch", r.Message(m.Message(m.part+r.Hazard)))
		if r.Remark != "" {
			f.Remarks = []string{r.Remark}
		}
		ours, content := m.composed(smime.Composer{}, m.eightBit(r.Hazard))
		m.authentic("e12-twin-"+r.Name, "a relay that "+r.Does+", and a text written so that it finds nothing", r.Message(ours), content)
		m.random()
	}
	m.refused("e12-footer", "a relay that adds text to the signed part", "valid-multipart", "digest.mismatch",
		m.fields+SignedField+"\r\n"+Body(m.part+"-- \r\nScanned and found clean.\r\n", m.signature(m.people.Alice(), m.part))).Remarks = []string{"relay.text_added"}
	ours, content := m.composed(smime.Composer{}, m.eightBit(everything))
	for _, r := range Relays() {
		ours = r.Message(ours)
	}
	m.authentic("i04-twin-all", "every relay there is, and a text written so that none finds anything", ours, content)
	m.random()
	m.refused("i04-as-it-was", "text that is signed as it was, and stripped of white space on its way", "i04-twin-all", "digest.mismatch",
		Relays()[0].Message(m.Message(m.part+Relays()[0].Hazard)))
	printed := "Content-Type: text/plain;\r\n charset=\"us-ascii\"\r\n\r\n"
	_, text := m.text()
	m.refused("i02-printed-again", "the signed part is parsed and printed again", "valid-multipart", "digest.mismatch",
		m.fields+SignedField+"\r\n"+Body(printed+text, m.signature(m.people.Alice(), m.part)))
}

// eightBit returns a text that a composer writes so that no relay changes it.
func (m *Maker) eightBit(text string) string {
	return "Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\nDear Bob,\r\n" + text
}

// composed returns the message as a composer of Alice's writes it, and its content.
func (m *Maker) composed(c smime.Composer, part string) (message, content string) {
	c.Signers, c.Time = []*certstore.Identity{m.people.Alice()}, m.people.Now
	if c.ProtectHeaders == "" {
		c.ProtectHeaders = "off"
	}
	if m.given != nil {
		m.lacks("the signer's private key")
		return m.fields, ""
	}
	var b bytes.Buffer
	_, err := c.Compose(&b, strings.NewReader(m.fields+part))
	must(err)
	msg, err := m.opener().Open(context.Background(), bytes.NewReader(b.Bytes()))
	must(err)
	entity, err := io.ReadAll(msg.Entity())
	must(err)
	return b.String(), string(entity)
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
