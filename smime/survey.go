package smime

import (
	"bufio"
	"io"
	"strconv"
	"strings"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mimeraw"
)

// survey passes the body of the content on and looks on its way for protected parts in
// it. inner is the message in a message/rfc822 whose header was read and passed on before,
// or nil. They are named in the report with their place and change no verdict: what is signed
// inside a message does not make the message signed, and what is encrypted inside it is
// not decrypted into it (threats.md, C01, E01 to E06).
func (p *pass) survey(e, inner *mimeraw.Entity, out io.Writer) error {
	mt, _ := mediaType(e)
	place, depth := "", 0
	if inner != nil {
		e, place, depth = inner, "1", 1
	} else if !mt.IsMultipart() && !isMessage(mt) {
		_, err := io.Copy(out, e.Body)
		return err
	}
	t := &tee{r: e.Body, w: out}
	s := &surveyor{}
	if !s.walk(&mimeraw.Entity{Header: e.Header, Body: t}, place, depth) && t.err == nil {
		p.warnings = append(p.warnings, "mime.survey_incomplete")
	}
	p.parts = s.found
	if _, err := io.Copy(io.Discard, t); err != nil {
		return err
	}
	return t.err
}

// A surveyor walks through a tree of parts without recursion.
type surveyor struct {
	open  []surveyed
	found []*Layer
}

// surveyed is a multipart that is being walked through.
type surveyed struct {
	m     *mimeraw.Multipart
	place string // of the multipart, as a prefix: "" or "1.2."
	parts int
	depth int
}

// isMessage reports whether a part is a message (RFC 2046, Section 5.2.1; RFC 6532,
// Section 3.7).
func isMessage(mt mimeraw.MediaType) bool {
	return mt.Type == "message/rfc822" || mt.Type == "message/global"
}

// walk reports whether it saw everything.
func (s *surveyor) walk(root *mimeraw.Entity, place string, depth int) bool {
	complete := s.entity(root, place, depth)
	for len(s.open) > 0 {
		l := &s.open[len(s.open)-1]
		part, err := l.m.NextPart()
		if err != nil {
			complete = complete && err == io.EOF
			s.open = s.open[:len(s.open)-1]
			continue
		}
		l.parts++
		e, err := mimeraw.ReadEntity(part)
		if err != nil {
			complete = false
			continue
		}
		complete = s.entity(e, l.place+strconv.Itoa(l.parts), l.depth+1) && complete
	}
	return complete
}

// entity looks at one entity; a multipart is opened to be walked through next.
func (s *surveyor) entity(e *mimeraw.Entity, place string, depth int) bool {
	for ; ; depth++ {
		if depth > limits.MIMEDepth || len(s.found) > limits.MIMEParts {
			return false
		}
		mt, labelled := mediaType(e)
		switch {
		case mt.IsMultipart():
			if mt.Type == "multipart/signed" && smimeProtocol(mt.Params["protocol"]) && place != "" {
				s.found = append(s.found, &Layer{Place: place, Kind: "signed", Form: "multipart"})
			}
			m, err := e.Multipart()
			if err != nil {
				return false
			}
			prefix := place
			if prefix != "" {
				prefix += "."
			}
			s.open = append(s.open, surveyed{m: m, place: prefix, depth: depth})
			return true
		case isMessage(mt):
			// QUIRK: some senders encode message/rfc822, which RFC 2046, Section 5.2.1 forbids.
			body, err := e.Decoded()
			if err != nil {
				return false
			}
			inner, err := mimeraw.ReadEntity(body)
			if err != nil {
				return false
			}
			e = inner
			place = strings.TrimPrefix(place+".1", ".")
			continue
		case isTNEF(e, mt):
			if l := tnefPart(e); l != nil {
				l.Place = place
				s.found = append(s.found, l)
			}
		case cmsType(mt.Type) && !strings.HasSuffix(mt.Type, "-signature"), namedCMS(e.Header, mt, labelled) && !strings.HasSuffix(strings.ToLower(fileName(e.Header, mt)), ".p7s"):
			if l := structureOf(e); l != nil {
				l.Place = place
				s.found = append(s.found, l)
			}
		case maybeCMS(mt) && !strings.HasSuffix(mt.Type, "-signature"):
			if l := hiddenIn(e); l != nil {
				l.Place = place
				s.found = append(s.found, l)
			}
		}
		return true
	}
}

// hiddenIn says what a part is whose data begin as CMS does, though its label does not say
// so, or nil.
func hiddenIn(e *mimeraw.Entity) *Layer {
	body, err := e.Decoded()
	if err != nil {
		return nil
	}
	data := bufio.NewReader(body)
	if start, _ := data.Peek(64); !cmsStart(start) {
		return nil
	}
	return structureIn(data)
}

// structureOf says what a part labelled as CMS is, from the beginning of it.
func structureOf(e *mimeraw.Entity) *Layer {
	body, err := e.Decoded()
	if err != nil {
		return nil
	}
	return structureIn(body)
}

func structureIn(body io.Reader) *Layer {
	content, err := cms.Open(&boundedReader{body, limits.SignaturePart})
	if err != nil {
		return nil
	}
	switch c := content.(type) {
	case *cms.SignedData:
		return &Layer{Kind: "signed", Form: "opaque"}
	case *cms.EnvelopedData:
		form := "enveloped"
		if c.Authenticated() {
			form = "auth-enveloped"
		}
		return &Layer{Kind: "encrypted", Form: form, Cipher: c.Cipher(), Authenticated: c.Authenticated()}
	case *cms.CompressedData:
		return &Layer{Kind: "compressed", Algorithm: "zlib"}
	}
	return nil
}

// reportParts fills in what survey found.
func (p *pass) reportParts(r *Report) {
	r.Parts = p.parts
	signed, encrypted := p.cryptographic()
	if len(p.parts) == 0 || signed || encrypted {
		return
	}
	r.Warnings = append(r.Warnings, "mime.partly_protected")
	if p.outer == nil {
		return
	}
	_, list := p.outer.Get("List-Id")
	_, post := p.outer.Get("List-Post")
	if first := p.parts[0]; list+post > 0 && first.Place == "1" && first.Kind == "signed" {
		r.Warnings = append(r.Warnings, "mime.list_footer")
	}
}

// A tee writes what it reads, and keeps the first error of either side.
type tee struct {
	r   io.Reader
	w   io.Writer
	err error
}

func (t *tee) Read(b []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.r.Read(b)
	if n > 0 {
		if _, werr := t.w.Write(b[:n]); werr != nil {
			t.err = werr
			return 0, werr
		}
	}
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}
