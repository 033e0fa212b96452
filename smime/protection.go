package smime

import (
	"io"
	"slices"
	"strings"

	"github.com/emersion/go-message/mail"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/hp"
	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/internal/mimeraw"
)

// A protection is what the innermost entity says about the header of the message
// (RFC 9788, and the older forms that are read).
type protection struct {
	header *hp.Protected   // never nil
	raw    *mimeraw.Header // the header that is protected
	author author          // according to it
}

// cryptographic reports whether the layers read so far sign or encrypt, and so whether
// what is inside may have something to say about the header.
func (p *pass) cryptographic() (signed, encrypted bool) {
	for _, l := range p.layers {
		switch l.report().Kind {
		case "signed":
			signed = true
		case "encrypted":
			encrypted = true
		}
	}
	return signed, encrypted
}

// protect takes the protected header from the innermost entity. Only the root of what is
// protected counts (RFC 9788, Section 4.1). To see a message/rfc822 inside, the header of
// it is read, and passed on by way of out; the message is returned then, else nil.
func (p *pass) protect(e *mimeraw.Entity, out io.Writer) (*mimeraw.Entity, error) {
	signed, encrypted := p.cryptographic()
	if p.form.bare || !signed && !encrypted {
		return nil, nil
	}
	if h := hp.Read(e.Header); h.Mode != hp.None {
		p.protection = &protection{h, e.Header, authorOf(e.Header)}
		p.warnings = append(p.warnings, e.Header.Codes()...)
		return nil, nil
	}
	if mt, ok := mediaType(e); !ok || mt.Type != "message/rfc822" {
		return nil, nil
	}
	inner, err := mimeraw.ReadEntity(e.Body)
	if err != nil {
		return nil, err
	}
	if _, err := out.Write(inner.Header.Raw); err != nil {
		return nil, err
	}
	p.protectWrapped(inner)
	return inner, nil
}

// protectWrapped takes the header of a message inside message/rfc822 for that of the
// message around it (RFC 8551, Section 3.1). The same form is a forwarded message. Only
// where both have one and the same author can it be meant as protection, and where the
// message inside is not protected itself (RFC 9788, Section 4.10.1).
func (p *pass) protectWrapped(inner *mimeraw.Entity) {
	a := authorOf(inner.Header)
	if a.code != "" || p.author.code != "" || !sameAddress(a.address, p.author.address) {
		return
	}
	mt, _ := mediaType(inner)
	if hp.Read(inner.Header).Mode != hp.None || mt.Type == "multipart/signed" || cmsType(mt.Type) {
		return
	}
	p.protection = &protection{hp.ReadWrapped(inner.Header, p.outer), inner.Header, a}
}

func sameAddress(a, b string) bool {
	return mailbox.Compare(a, mailbox.Mailbox{Address: b}) != mailbox.Different
}

// chooseAuthor settles who the author is before signatures are held against him. A From
// inside the protection counts only where the sender protected the header as RFC 9788
// says. Then it is the only one that counts.
func (p *pass) chooseAuthor() {
	q := p.protection
	if q == nil || q.header.Mode != hp.Clear && q.header.Mode != hp.Cipher {
		return
	}
	if _, n := q.header.Get("From"); n > 0 {
		p.author = q.author
	}
}

// reportProtection fills in what the protected header says.
func (p *pass) reportProtection(r *Report) {
	r.author = p.author.address
	q := p.protection
	if q == nil {
		// Who encrypts what somebody signed cannot get into the payload (RFC 9788, Section
		// 4.1). The subject that he hid stands only here. It is as unsigned as one outside.
		if p.between != nil {
			r.takeSubject(p.between)
		}
		return
	}
	r.HeaderProtection = string(q.header.Mode)
	r.protection = q
	r.signed = r.Verdict == Authentic
	_, r.encrypted = p.cryptographic()
	r.takeSubject(q.header)
	for _, d := range q.header.Differences(p.outer) {
		r.Notes = append(r.Notes, differenceNote(d))
	}
	if r.signed && p.readerUnnamed() {
		r.Warnings = append(r.Warnings, "recipient.not_named")
	}
	outer := authorOf(p.outer)
	if q.author.address != "" && !sameAddress(q.author.address, outer.address) {
		r.Warnings = append(r.Warnings, "from.outer_differs")
		// Without a signature by the author inside, the one outside is what the mail
		// system may have checked (RFC 9788, Section 4.4.3).
		if !r.signedByAuthor() {
			r.From = outer.shown
		}
	}
}

func (r *Report) takeSubject(h *hp.Protected) {
	if value, n := h.Get("Subject"); n > 0 {
		r.Subject, _ = mimeraw.DisplayText(value)
	}
}

// readerUnnamed reports whether the author signed a list of recipients in which the owner
// of the key that decrypted the message does not stand. He may have been in Bcc, or
// somebody passed a message for others on to him (threats.md, A18).
func (p *pass) readerUnnamed() bool {
	to, ok := p.protection.recipients()
	if !ok {
		return false
	}
	for _, l := range p.layers {
		e, ok := l.(*encryptedLayer)
		if !ok || e.reader == nil || len(mailbox.Of(e.reader)) == 0 {
			continue
		}
		named := slices.ContainsFunc(to, func(a string) bool { return certstore.Email(a).Match(e.reader) })
		if !named {
			return true
		}
	}
	return false
}

// recipients lists the addresses in the protected To and Cc; false if they cannot be told.
func (q *protection) recipients() ([]string, bool) {
	var to []string
	for _, f := range q.header.Fields {
		if !strings.EqualFold(f.Name, "To") && !strings.EqualFold(f.Name, "Cc") {
			continue
		}
		list, err := mimeraw.ParseAddresses(f.Value)
		if err != nil {
			return nil, false
		}
		for _, a := range list {
			to = append(to, a.Addr())
		}
	}
	return to, len(to) > 0
}

// signedByAuthor reports whether a good signature is by the author himself, not only by
// somebody the caller puts up with.
func (r *Report) signedByAuthor() bool {
	if r.Verdict != Authentic {
		return false
	}
	for _, l := range r.Layers {
		for _, s := range l.Signatures {
			if s.good(false) && s.Address == "match" {
				return true
			}
		}
	}
	return false
}

func differenceNote(d hp.Difference) Note {
	n := Note{About: d.Name, Code: "header." + d.Kind, Severity: "info"}
	switch d.Kind {
	case "obscured":
		n.Detail = "the sender shows others another value: " + clip(d.Outside)
	case "hidden":
		n.Detail = "the sender does not show it to others"
	case "changed":
		n.Detail = "it was changed on the way and reads outside: " + clip(d.Outside)
	case "removed":
		n.Detail = "it was taken away on the way"
	case "added":
		n.Detail = "it was added on the way and is not protected"
	}
	if d.Kind == "changed" || d.Kind == "added" && replyField(d.Name) {
		n.Severity = "warning"
	}
	return n
}

// replyField reports whether a field decides where a reply goes or what it seems to be.
func replyField(name string) bool {
	switch strings.ToLower(name) {
	case "from", "sender", "to", "cc", "reply-to", "mail-followup-to", "subject", "date":
		return true
	}
	return false
}

// Protection says how far one field of the message was protected (RFC 9788, Section 4.3):
// "unprotected", "signed-only", "encrypted-only" or "signed-and-encrypted". value is the
// field's value as it stands in the message, unfolded. What counts as signed is only what
// makes the message authentic.
func (r *Report) Protection(name, value string) string {
	if r.protection == nil {
		return string(hp.Unprotected)
	}
	return string(r.protection.header.State(hp.Pair{Name: name, Value: value}, r.signed, r.encrypted))
}

// Response returns the policy for the header of a message that answers or forwards m, for
// [Composer.Response]: fields that m's sender kept confidential are confidential in the
// answer (RFC 9788, Section 6.1). respond is how the mail program drafts the header of
// the answer from the header of a message; it is called twice, with what was protected
// and with what was readable. nil drafts a reply to everybody.
func (m *Message) Response(respond func(mail.Header) mail.Header) func(name, value string) (outer string, keep bool) {
	if m.report == nil || m.report.protection == nil {
		return func(_, value string) (string, bool) { return value, true }
	}
	q := m.report.protection
	if respond == nil {
		return q.header.Response(nil)
	}
	return q.header.Response(func(fields []hp.Pair) []hp.Pair {
		var h mail.Header
		for i := len(fields) - 1; i >= 0; i-- { // Add puts a field in front
			h.Add(fields[i].Name, fields[i].Value)
		}
		draft := respond(h)
		var out []hp.Pair
		for f := draft.Fields(); f.Next(); {
			out = append(out, hp.Pair{Name: f.Key(), Value: f.Value()})
		}
		return out
	})
}

// WithoutLegacyDisplay returns the decoded text of a part of m without the copy of hidden
// header fields that some senders put above it for older readers (RFC 9788, Section
// 4.5.3). contentType is the part's Content-Type. Text of a part that is not so marked,
// or of a message that was not encrypted, is returned as it is.
func (m *Message) WithoutLegacyDisplay(contentType string, text []byte) []byte {
	mt, err := mimeraw.ParseMediaType(contentType)
	if err != nil || m.report == nil || m.report.protection == nil || !m.report.encrypted || mt.Params["hp-legacy-display"] != "1" {
		return text
	}
	if mt.Type != "text/plain" && mt.Type != "text/html" {
		return text
	}
	return hp.RemoveLegacyDisplay(mt.Type, text)
}
