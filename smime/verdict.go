package smime

import (
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/hp"
	"github.com/postseal/postseal/internal/mimeraw"
)

// An author is the one mailbox of the one From field, or why there is none.
type author struct {
	address string // the addr-spec
	shown   string // what stands in From, for the report
	code    string // why there is no author; empty if there is one
}

// readOuter takes author, subject and defects from the header of the message.
func (p *pass) readOuter(h *mimeraw.Header) {
	p.outer = h
	p.author = authorOf(h)
	if s, n := h.Get("Subject"); n > 0 {
		p.subject, _ = mimeraw.DisplayText(s)
	}
	for _, code := range h.Codes() {
		if code == mimeraw.CodeNoHeader {
			p.problems = append(p.problems, problem{0, code}) // this is no message
			continue
		}
		p.warnings = append(p.warnings, code)
	}
}

// maxShownFrom is how much is shown of a From that names nobody, in characters.
const maxShownFrom = 200

// authorOf reads From: exactly one field with exactly one well-formed mailbox, or nobody
// (threats.md, F01 to F04).
func authorOf(h *mimeraw.Header) author {
	value, n := h.Get("From")
	shown, _ := mimeraw.DisplayText(value)
	a := author{shown: strings.TrimSpace(shown)}
	if r := []rune(a.shown); len(r) > maxShownFrom {
		a.shown = string(r[:maxShownFrom]) + "..."
	}
	switch n {
	case 0:
		a.code = "from.absent"
		return a
	case 1:
	default:
		a.code = "from.several"
		return a
	}
	from, err := mimeraw.FromAddress(h)
	if err != nil {
		a.code = "from.malformed"
		return a
	}
	a.address = from.Addr()
	a.shown, _ = mimeraw.Harmless(a.address)
	return a
}

// repliesElsewhere reports whether answers go to somebody else than the author, and nobody
// signed that they should (threats.md, F03).
func (p *pass) repliesElsewhere() bool {
	if p.outer == nil || p.author.address == "" {
		return false
	}
	value, n := p.outer.Get("Reply-To")
	if n == 0 || value == "" || p.protection != nil && p.protection.header.State(hp.Pair{Name: "Reply-To", Value: value}, true, false) != hp.Unprotected {
		return false
	}
	list, err := mimeraw.ParseAddresses(value)
	return err != nil || slices.ContainsFunc(list, func(a mimeraw.Address) bool { return !sameAddress(a.Addr(), p.author.address) })
}

// date returns what the message says about when it was written: the protected Date, or the
// one outside.
func (p *pass) date() (time.Time, bool) {
	if p.outer == nil {
		return time.Time{}, false
	}
	value, n := p.outer.Get("Date")
	if q := p.protection; q != nil {
		if inner, m := q.header.Get("Date"); m > 0 {
			value, n = inner, m
		}
	}
	if n != 1 {
		return time.Time{}, false
	}
	t, err := mail.ParseDate(value)
	return t, err == nil
}

// judge verifies signatures once the whole message has been read. Signatures inside a
// decryption that failed are gone by now.
func (p *pass) judge() {
	p.chooseAuthor()
	var signed []*signedLayer
	for _, l := range p.layers {
		if s, ok := l.(*signedLayer); ok {
			p.judgeSigned(s)
			signed = append(signed, s)
		}
	}
	// Last, so that nothing that anybody can add takes work from the signatures themselves.
	for _, s := range signed {
		p.judgeEvidence(s)
	}
}

// verdict draws the one answer from layers and problems.
func (p *pass) verdict() *Report {
	form := "mime"
	if p.form.bare {
		form = "cms"
	}
	r := &Report{Form: form, From: p.author.shown, Subject: p.subject, Codes: []string{}, Layers: []*Layer{}}
	for _, l := range p.layers {
		r.Layers = append(r.Layers, l.report())
	}
	add := func(codes ...string) {
		for _, c := range codes {
			if !slices.Contains(r.Codes, c) {
				r.Codes = append(r.Codes, c)
			}
		}
	}
	for _, q := range p.problems {
		add(q.code)
	}
	covered, sealedOnly := p.judgeLayers(add)
	for i, l := range p.layers {
		l.report().Verdict = p.layerVerdict(i, l)
	}
	for _, w := range p.warnings {
		if fatalDefect(w) && len(p.layers) > 0 {
			add(w)
		} else if !slices.Contains(r.Warnings, w) {
			r.Warnings = append(r.Warnings, w)
		}
	}
	switch {
	case p.unreadable():
		r.Verdict = Unreadable
	case len(r.Codes) > 0:
		r.Verdict = NotAuthentic
	case covered:
		r.Verdict = Authentic
	case sealedOnly:
		r.Verdict = NotAuthentic
		add("sig.ciphertext_only")
	default:
		r.Verdict = Unsigned
	}
	if r.Verdict == Authentic || r.Verdict == Unsigned {
		r.Content = p.released()
	}
	p.reportProtection(r)
	if r.Verdict == Authentic && p.repliesElsewhere() {
		r.Warnings = append(r.Warnings, "from.reply_to_differs")
	}
	p.reportParts(r)
	r.summarise()
	return r
}

// judgeLayers reports whether a good signature covers the content itself, and whether the
// only signatures cover ciphertext.
func (p *pass) judgeLayers(add func(...string)) (covered, sealedOnly bool) {
	var covering *signedLayer // innermost
	signed := false
	for _, l := range p.layers {
		switch l := l.(type) {
		case *encryptedLayer:
			sealedOnly = sealedOnly || covered
			covered, covering = false, nil
		case *signedLayer:
			if l.layer.Kind == "certs-only" {
				add("cms.certs_only")
				continue
			}
			signed = true
			if l.good = p.judgeLayer(l, add); l.good {
				covered, sealedOnly, covering = true, false, l
			}
		}
	}
	if (covered || !signed && len(p.problems) == 0) && !p.required(covering) {
		add("sig.required")
	}
	return covered, sealedOnly
}

// layerVerdict is the answer about the layer at index i alone.
func (p *pass) layerVerdict(i int, l layerReader) Verdict {
	for _, q := range p.problems {
		if q.depth == i || q.depth == i+1 && q.code == codeContentType {
			return NotAuthentic
		}
	}
	switch l := l.(type) {
	case *signedLayer:
		if l.good {
			return Authentic
		}
		return NotAuthentic
	case *encryptedLayer:
		if !l.layer.Decrypted {
			return NotAuthentic
		}
	}
	return Unsigned
}

// judgeLayer reports whether one signed layer is good: no signature that can be checked
// is broken, and at least one is good, trusted and the author's.
func (p *pass) judgeLayer(l *signedLayer, add func(...string)) bool {
	if len(l.layer.Signatures) == 0 {
		if !p.troubled(l.depth) {
			add("cms.no_signers")
		}
		return false
	}
	good, broken := false, false
	for _, s := range l.layer.Signatures {
		good = good || s.good(p.o.AllowMismatchedSender)
		if s.Crypto == "invalid" {
			broken = true
			add(s.reasons()...)
			add("sig.invalid")
		}
	}
	if !good && !broken {
		for _, s := range l.layer.Signatures {
			add(s.reasons()...)
		}
		add("sig.not_good")
	}
	return good && !broken
}

// required reports whether there is a good signature by every algorithm that the caller
// asks for among those of the layer that covers the content.
func (p *pass) required(l *signedLayer) bool {
	return !slices.ContainsFunc(p.o.RequireAlgorithms, func(name string) bool {
		return l == nil || !slices.ContainsFunc(l.layer.Signatures, func(s *Signature) bool {
			return s.Algorithm == name && s.good(p.o.AllowMismatchedSender)
		})
	})
}

// troubled reports whether reading the layer at depth failed already.
func (p *pass) troubled(depth int) bool {
	return slices.ContainsFunc(p.problems, func(q problem) bool { return q.depth >= depth-1 })
}

// unreadable reports whether the input was no message, or no CMS structure, at all, or went
// beyond a limit. A message whose protection is malformed was read: it is not authentic.
func (p *pass) unreadable() bool {
	for _, q := range p.problems {
		first := q.depth == 0 && len(p.layers) == 0
		if q.code == "limit.exceeded" || first && (p.form.bare || q.code == mimeraw.CodeNoHeader) {
			return true
		}
	}
	return false
}

// malleable reports whether the content came out of encryption that does not protect
// integrity and no signature inside makes up for it.
func (p *pass) malleable() bool {
	for i := len(p.layers) - 1; i >= 0; i-- {
		switch l := p.layers[i].(type) {
		case *signedLayer:
			return false
		case *encryptedLayer:
			return !l.layer.Authenticated
		}
	}
	return false
}

// reason returns the sentinel that stands for the problems, or nil.
func (p *pass) reason() error {
	for _, q := range p.problems {
		switch q.code {
		case codeDecrypt:
			return ErrDecrypt
		case codeNoKey:
			return ErrNoKey
		}
	}
	if len(p.problems) == 0 && !slices.ContainsFunc(p.layers, func(l layerReader) bool { return l.report().Kind == "signed" }) {
		return ErrNotSigned
	}
	return nil
}

// fatalDefect reports whether a defect of the header makes a protected message ambiguous.
func fatalDefect(code string) bool {
	switch code {
	case "mime.duplicate_field", "mime.nul", "mime.bare_cr", "mime.space_before_colon",
		"mime.blank_fold", "mime.control", "mime.malformed_field":
		return true
	}
	return false
}

// reasons returns the codes that speak against the signature, without the remarks.
func (s *Signature) reasons() []string {
	var out []string
	for _, c := range s.Codes {
		if !slices.Contains(s.remarks, c) && !remark(c) {
			out = append(out, c)
		}
	}
	return out
}

// remark reports whether a code of this package or of a valid signature is no reason.
func remark(code string) bool {
	switch code {
	case "address.case_folded", "address.subject_only", "attr.not_der", "mime.canonicalised", "mime.not_canonical",
		codeDateDiffers, codeReceiptRequested:
		return true
	}
	return false
}
