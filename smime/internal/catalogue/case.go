package catalogue

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/postseal/postseal/smime"
)

// A Case is one message and what is to be answered about it.
type Case struct {
	Name     string        `json:"-"`                  // begins with the row of the attack
	Note     string        `json:"note"`               // what is wrong, or what is unusual and right
	Twin     string        `json:"twin,omitempty"`     // the message without the defect
	Verdict  smime.Verdict `json:"verdict"`            // what Inspect answers
	Codes    []string      `json:"codes,omitempty"`    // some of the codes it must give
	Warnings []string      `json:"warnings,omitempty"` // some of the warnings it must give
	Remarks  []string      `json:"remarks,omitempty"`  // codes that one of the signatures must have
	Notes    []string      `json:"notes,omitempty"`    // notes about the header that it must give: the field and the code
	CMS      smime.Verdict `json:"cms,omitempty"`      // what InspectCMS answers for the outermost structure alone
	Pipe     smime.Verdict `json:"pipe,omitempty"`     // what Inspect answers where the message can be read only once, if another
	Content  string        `json:"content,omitempty"`  // SHA-256 of the content, where it is authentic

	Message string `json:"-"`
	Needs   string `json:"-"` // what the message it is made of must be: "signed" or "encrypted"
	Random  bool   `json:"-"` // differs each time it is made
	Sample  bool   `json:"-"` // is not made of the message given
	Fault   string `json:"-"` // why the message given does not make one; Message is none then
}

// Row returns the row of the attack catalogue, "A01", or "" for a message that is as it
// should be and belongs to none.
func (c *Case) Row() string {
	row, _, _ := strings.Cut(c.Name, "-")
	if len(row) != 3 {
		return ""
	}
	return strings.ToUpper(row)
}

// bare says that the structure alone gets the same verdict as the message.
func (c *Case) bare() *Case {
	c.CMS = c.Verdict
	return c
}

func (m *Maker) add(c *Case) *Case {
	c.Fault = m.fault
	if m.groupFault != "" {
		c.Fault = m.groupFault
	}
	m.fault = ""
	m.cases = append(m.cases, c)
	return c
}

// forAll says that what was missing so far is missing for the rest of the group too.
func (m *Maker) forAll() {
	if m.fault != "" {
		m.groupFault, m.fault = m.fault, ""
	}
}

// authentic adds a message that is as it should be.
func (m *Maker) authentic(name, note, message, content string) *Case {
	sum := sha256.Sum256([]byte(content))
	return m.add(&Case{Name: name, Note: note, Verdict: smime.Authentic, Content: hex.EncodeToString(sum[:]), Message: message})
}

// refused adds a message that is not authentic for the reason code.
func (m *Maker) refused(name, note, twin, code, message string) *Case {
	return m.add(&Case{Name: name, Note: note, Twin: twin, Verdict: smime.NotAuthentic, Codes: []string{code}, Message: message})
}

// beyond adds a message that goes beyond a limit.
func (m *Maker) beyond(name, note, twin, message string) *Case {
	return m.add(&Case{Name: name, Note: note, Twin: twin, Verdict: smime.Unreadable, Codes: []string{"limit.exceeded"}, Message: message})
}

// unsigned adds a message whose root nobody signed.
func (m *Maker) unsigned(name, note, message string, warnings ...string) {
	m.add(&Case{Name: name, Note: note, Twin: "valid-multipart", Verdict: smime.Unsigned, Warnings: warnings, Message: message})
}

// open adds a message that nobody signed and that is not refused for another reason.
func (m *Maker) open(name, note, twin, message string) *Case {
	return m.add(&Case{Name: name, Note: note, Twin: twin, Verdict: smime.Unsigned, Message: message})
}

// random marks the newest case as one that differs each time it is made.
func (m *Maker) random() { m.cases[len(m.cases)-1].Random = true }

// sample marks the newest case as one that is not made of the message given.
func (m *Maker) sample() { m.cases[len(m.cases)-1].Sample = true }
