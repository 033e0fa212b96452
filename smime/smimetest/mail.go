package smimetest

import (
	"bytes"
	"io"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/mimeraw"
)

// A Mail is a message to protect. The zero value is a short one from Alice to Bob.
type Mail struct {
	From, To, Subject string    // field values; empty is Alice, Bob and "Greetings"
	Date              time.Time // zero is the time of [Now]
	Text              string    // the text; empty is a short one; line ends become CRLF
	Attachment        []byte    // sent along as data.bin if it is not nil
}

// Bytes returns the message with CRLF line ends. It is the same for the same Mail, and
// needs no other transfer encoding than it has unless Text holds more than ASCII. It
// panics if a field value cannot stand in a header.
func (m Mail) Bytes() []byte {
	m.From = either(m.From, "Alice <alice@good.example>")
	m.To = either(m.To, "Bob <bob@good.example>")
	m.Subject = either(m.Subject, "Greetings")
	m.Text = either(m.Text, "Dear Bob,\nsee you on Tuesday.\n-- \nAlice\n")
	if m.Date.IsZero() {
		m.Date = Now()
	}
	var b []byte
	field := func(name, value string) {
		var err error
		if b, err = mimeraw.AppendField(b, name, value); err != nil {
			panic("smimetest: " + err.Error())
		}
	}
	text := string(mimeraw.Canonical([]byte(m.Text)))
	field("From", m.From)
	field("To", m.To)
	field("Subject", m.Subject)
	field("Date", m.Date.Format(time.RFC1123Z))
	field("Message-ID", "<"+m.Date.UTC().Format("20060102.150405")+"@good.example>")
	field("MIME-Version", "1.0")
	if m.Attachment == nil {
		textPart(field, text)
		return append(append(b, "\r\n"...), text...)
	}
	boundary := "part"
	for strings.Contains(m.Text, "--"+boundary) {
		boundary += "-"
	}
	field("Content-Type", "multipart/mixed; boundary="+boundary)
	b = append(b, "\r\n--"+boundary+"\r\n"...)
	textPart(field, text)
	b = append(b, "\r\n"+text+"\r\n--"+boundary+"\r\n"...)
	field("Content-Type", "application/octet-stream; name=data.bin")
	field("Content-Disposition", "attachment; filename=data.bin")
	field("Content-Transfer-Encoding", "base64")
	b = append(b, "\r\n"...)
	var encoded bytes.Buffer
	w := mimeraw.Base64Encoder(&encoded)
	w.Write(m.Attachment)
	w.Close()
	return append(append(b, encoded.Bytes()...), "--"+boundary+"--\r\n"...)
}

// textPart writes the fields for a text.
func textPart(field func(name, value string), text string) {
	field("Content-Type", "text/plain; charset=utf-8")
	encoding := "7bit"
	if strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }) {
		encoding = "8bit"
	}
	field("Content-Transfer-Encoding", encoding)
}

// Reader returns a reader of [Mail.Bytes].
func (m Mail) Reader() io.Reader { return bytes.NewReader(m.Bytes()) }

func either(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
