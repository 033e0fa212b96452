package catalogue

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/forge"
	"github.com/postseal/postseal/internal/mimeraw"
)

// A Letter is a message to make cases of.
type Letter struct {
	Header *mimeraw.Header // of the message
	Part   string          // the entity that is protected, canonical
	Signed *forge.Signed   // what the author signed, where he is not there to sign something else

	Encrypted bool                     // and then signed inside
	Watch     func(lacks func(string)) // is given what to call for every signature that is missing
}

func (l *Letter) kind() string {
	if l.Encrypted {
		return "encrypted"
	}
	return "signed"
}

// given is what there is in place of an author who signs what he is asked to.
type given struct {
	signed   *forge.Signed
	original string
}

// by returns a copy of what the author signed, or nil if it is to be made.
func (g *given) by(m *Maker, id *certstore.Identity, content string) *forge.Signed {
	if g == nil || id != m.people.Alice() || content != g.original {
		return nil
	}
	s := *g.signed
	s.Signers = nil
	for _, who := range g.signed.Signers {
		c := *who
		c.Attributes = slices.Clone(who.Attributes)
		s.Signers = append(s.Signers, &c)
	}
	s.Content, s.Certificates, s.Announced = []byte(content), slices.Clone(s.Certificates), slices.Clone(s.Announced)
	return &s
}

// Forge returns the one case of a name, made of a letter. Alice is its author and signer,
// and Bob its reader.
func Forge(people People, l *Letter, name string) (*Case, error) {
	m := &Maker{people: people, part: l.Part}
	if err := m.readHeader(l.Header); err != nil {
		return nil, err
	}
	if strings.Contains(l.Part, "--outer") || strings.Contains(l.Part, "--inner") {
		return nil, errors.New("the content holds a boundary that forged messages use")
	}
	if l.Watch != nil {
		l.Watch(m.lacks)
	}
	if l.Signed != nil {
		m.given = &given{l.Signed, l.Part}
	}
	row, _, _ := strings.Cut(name, "-")
	wrong := errors.New("there is no such defect")
	for _, g := range groups() {
		m.cases = nil
		if !strings.Contains(g.rows, row+" ") {
			continue
		}
		if needs := l.kind(); g.needs != needs {
			wrong = fmt.Errorf("it takes a message that is %s, and this one is %s", g.needs, needs)
			continue
		}
		m.run(g)
		for _, c := range m.cases {
			if c.Name == name {
				return c, nil
			}
		}
	}
	return nil, wrong
}

// readHeader takes the header of the message apart.
func (m *Maker) readHeader(h *mimeraw.Header) error {
	from, err := mimeraw.FromAddress(h)
	if err != nil {
		return err
	}
	m.address = from.Addr()
	var rest strings.Builder
	for _, f := range h.Fields {
		raw := strings.TrimRight(string(mimeraw.Canonical(f.Raw)), "\r\n") + "\r\n"
		switch name := strings.ToLower(f.Name); {
		case name == "from":
			m.from = raw
		case name == "subject":
			value, _ := mimeraw.DisplayText(f.Value())
			m.subject = "Subject: " + strings.TrimSpace(value) + "\r\n"
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
				m.subject = "Subject: Greetings\r\n"
			}
		case name == "mime-version" || strings.HasPrefix(name, "content-"):
		default:
			rest.WriteString(raw)
		}
	}
	if m.subject == "" {
		m.subject = "Subject: Greetings\r\n"
	}
	m.fields = m.from + rest.String() + m.subject + "MIME-Version: 1.0\r\n"
	return nil
}

// plainHeader is for cases about a header that nothing inside the message speaks about.
func (m *Maker) plainHeader() {
	header, _ := m.text()
	if m.given != nil && strings.Contains(strings.ToLower(header), "hp=") {
		m.lacks("the signer's private key, for the signed part speaks about the header")
		m.forAll()
	}
}

// Absent is the key of somebody who is not there to sign.
type Absent struct {
	Key    crypto.PublicKey
	Missed func() // is called for every signature that was wanted
}

// Public returns the public key.
func (a *Absent) Public() crypto.PublicKey { return a.Key }

// Sign returns something that is no signature.
func (a *Absent) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	a.Missed()
	return bytes.Repeat([]byte{1}, 64), nil
}
