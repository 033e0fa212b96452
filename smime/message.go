package smime

import (
	"bufio"
	"bytes"
	"io"

	"github.com/emersion/go-message/mail"
	"github.com/emersion/go-message/textproto"

	"github.com/postseal/postseal/internal/hp"
	"github.com/postseal/postseal/internal/mimeraw"
)

// A Message is the content of an opened message. Only an [Opener] can make one, and only
// of content that it accepts, so holding a Message is holding its verdict.
type Message struct {
	report *Report
	outer  *mimeraw.Header // of the message as it arrived; nil if there is none, as header
	entity []byte          // innermost entity, header and body; nil if it went to a quarantine
	header *mimeraw.Header // of the innermost entity
	before int             // octets of the entity before header: that of a wrapping
}

func newMessage(report *Report, p *pass, entity []byte) *Message {
	m := &Message{report: report, outer: p.outer, entity: entity, header: p.innerHeader}
	if q := p.protection; q != nil && q.header.Mode == hp.Wrapped {
		m.before, m.header = len(m.header.Raw), q.raw
	}
	return m
}

// Header returns the header of the innermost entity: the fields that the protection
// covers. With header protection it is the header of the message, see
// [Report.HeaderProtection]; without, these are the Content fields alone.
func (m *Message) Header() mail.Header { return parseHeader(m.header) }

// OuterHeader returns the header of the message as it arrived. Anyone on the way may have
// written it; only From was compared with the signer, see [Report.From].
func (m *Message) OuterHeader() mail.Header { return parseHeader(m.outer) }

// Entity returns the innermost entity exactly as it was protected: its header, the empty
// line, its body. It is empty for a Message of OpenTo, whose quarantine has it.
func (m *Message) Entity() io.Reader { return bytes.NewReader(m.entity) }

// Body returns the body of the innermost entity, in its transfer encoding. It is empty
// for a Message of OpenTo.
func (m *Message) Body() io.Reader {
	before := m.before
	if m.header != nil {
		before += len(m.header.Raw)
	}
	if len(m.entity) < before {
		return bytes.NewReader(nil)
	}
	return bytes.NewReader(m.entity[before:])
}

// Report returns everything that was found out about the message.
func (m *Message) Report() *Report { return m.report }

// Signatures returns the signatures that make the content authentic, the innermost layer
// that covers it. It is empty if the message was not signed and the caller allowed that.
func (m *Message) Signatures() []*Signature {
	if m.report == nil {
		return nil // nobody opened it
	}
	for i := len(m.report.Layers) - 1; i >= 0; i-- {
		l := m.report.Layers[i]
		if l.Kind == "encrypted" {
			break
		}
		if l.Kind != "signed" {
			continue
		}
		var good []*Signature
		for _, s := range l.Signatures {
			if s.good(true) {
				good = append(good, s)
			}
		}
		return good
	}
	return nil
}

// parseHeader gives a header the ecosystem's type. Lines that are no field are left out;
// signed octets are never printed again from it.
func parseHeader(raw *mimeraw.Header) mail.Header {
	var m mail.Header
	if raw == nil {
		return m
	}
	var fields bytes.Buffer
	for _, f := range raw.Fields {
		if f.Name != "" {
			fields.Write(f.Raw)
		}
	}
	if h, err := textproto.ReadHeader(bufio.NewReader(&fields)); err == nil || err == io.EOF {
		m.Header.Header = h
	}
	return m
}
