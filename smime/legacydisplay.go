package smime

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/postseal/postseal/internal/hp"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mimeraw"
)

// writeLegacy is mimeraw.WriteSevenBit with the hidden fields written into the main body
// parts: the text parts that are reached by the first child of every multipart, and by
// every child of a multipart/alternative (RFC 9788, Section 5.2.4).
func writeLegacy(dst io.Writer, header string, body io.Reader, hidden []hp.Pair) error {
	e, err := mimeraw.ReadEntity(io.MultiReader(strings.NewReader(header+"\r\n"), body))
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	d := &legacyDisplay{w: w, hidden: hidden}
	rootHeader, rest, err := d.root(e)
	if err != nil {
		return err
	}
	go func() {
		var err error
		defer func() {
			if caught := recovered(recover()); caught != nil {
				err = caught
			}
			w.CloseWithError(err)
		}()
		err = rest()
	}()
	err = mimeraw.WriteSevenBit(dst, rootHeader, r)
	r.CloseWithError(errors.New("smime: composing was given up"))
	return err
}

// A legacyDisplay copies an entity and changes its main body parts.
type legacyDisplay struct {
	w      io.Writer
	hidden []hp.Pair
	open   []*legacyLevel
}

// A legacyLevel is a multipart that is being copied.
type legacyLevel struct {
	m           *mimeraw.Multipart
	boundary    string
	alternative bool
	parts       int
}

// root returns the header of the new entity and a function that writes its body.
func (d *legacyDisplay) root(e *mimeraw.Entity) (string, func() error, error) {
	mt, err := e.MediaType()
	switch {
	case err != nil:
	case mainText(e, mt):
		header, body, err := d.text(e, mt)
		return header, func() error { return copyAll(d.w, body) }, err
	case walkable(mt):
		if m, err := e.Multipart(); err == nil {
			d.push(m, mt)
			return fieldsOf(e.Header), d.walk, nil
		}
	}
	return fieldsOf(e.Header), func() error { return copyAll(d.w, e.Body) }, nil
}

func (d *legacyDisplay) push(m *mimeraw.Multipart, mt mimeraw.MediaType) {
	boundary, _ := mt.Boundary() // Multipart has just used it
	d.open = append(d.open, &legacyLevel{m: m, boundary: boundary, alternative: mt.Type == "multipart/alternative"})
}

// walk copies the multiparts that are open, innermost first, until none is left.
func (d *legacyDisplay) walk() error {
	for len(d.open) > 0 {
		l := d.open[len(d.open)-1]
		part, err := l.m.NextPart()
		if err == io.EOF {
			if _, err := io.WriteString(d.w, "\r\n--"+l.boundary+"--"); err != nil {
				return err
			}
			d.open = d.open[:len(d.open)-1]
			continue
		}
		if err != nil {
			return err
		}
		delimiter := "\r\n--" + l.boundary + "\r\n"
		if l.parts++; l.parts == 1 {
			delimiter = delimiter[2:]
		}
		if _, err := io.WriteString(d.w, delimiter); err != nil {
			return err
		}
		if l.parts > 1 && !l.alternative || len(d.open) > limits.MIMEDepth {
			if err := copyAll(d.w, part); err != nil {
				return err
			}
			continue
		}
		if err := d.part(part); err != nil {
			return err
		}
	}
	_, err := io.WriteString(d.w, "\r\n")
	return err
}

// part copies a part that may be or hold a main body part.
func (d *legacyDisplay) part(r io.Reader) error {
	e, err := mimeraw.ReadEntity(r)
	if err != nil {
		return err
	}
	header, body := string(e.Header.Raw), e.Body
	mt, err := e.MediaType()
	switch {
	case err != nil:
	case mainText(e, mt):
		if header, body, err = d.text(e, mt); err != nil {
			return err
		}
		header += "\r\n"
	case walkable(mt) && !attached(e):
		m, err := e.Multipart()
		if err != nil {
			break
		}
		d.push(m, mt)
		_, err = io.WriteString(d.w, header)
		return err
	}
	if _, err := io.WriteString(d.w, header); err != nil {
		return err
	}
	return copyAll(d.w, body)
}

// text returns the fields and the decoded body of a main body part with the element in it.
func (d *legacyDisplay) text(e *mimeraw.Entity, mt mimeraw.MediaType) (string, io.Reader, error) {
	body, err := e.Decoded()
	if err != nil {
		return "", nil, err
	}
	// The body tag of HTML stands near the beginning.
	start, err := io.ReadAll(io.LimitReader(body, 64<<10))
	if err != nil {
		return "", nil, err
	}
	shown := make([]hp.Pair, len(d.hidden))
	utf8 := strings.EqualFold(mt.Params["charset"], "utf-8")
	for i, f := range d.hidden {
		shown[i] = hp.Pair{Name: f.Name, Value: displayable(f.Value, utf8)}
	}
	var fields strings.Builder
	marked := false
	for _, f := range e.Header.Fields {
		raw := strings.TrimRight(string(mimeraw.Canonical(f.Raw)), "\r\n")
		switch strings.ToLower(f.Name) {
		case "content-transfer-encoding":
			continue
		case "content-type":
			raw = strings.TrimRight(raw, "; \t\r\n") + ";\r\n\thp-legacy-display=\"1\""
			marked = true
		}
		fields.WriteString(raw + "\r\n")
	}
	if !marked {
		fields.WriteString("Content-Type: text/plain; charset=us-ascii; hp-legacy-display=\"1\"\r\n")
	}
	fields.WriteString("Content-Transfer-Encoding: 8bit\r\n")
	start = hp.AddLegacyDisplay(mt.Type, start, shown)
	return fields.String(), io.MultiReader(bytes.NewReader(start), body), nil
}

// displayable returns a field value as it can stand in a text.
func displayable(value string, utf8 bool) string {
	if text, _ := mimeraw.DisplayText(value); utf8 {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r >= 0x80 {
			return '?'
		}
		return r
	}, value)
}

// mainText reports whether e is text that is shown, and that has not been marked before.
func mainText(e *mimeraw.Entity, mt mimeraw.MediaType) bool {
	_, marked := mt.Params["hp-legacy-display"]
	return (mt.Type == "text/plain" || mt.Type == "text/html") && !marked && !attached(e) && mimeraw.HoldsASCII(mt.Params["charset"])
}

// walkable reports whether parts of an entity may be changed. Whoever signed others relies
// on every octet.
func walkable(mt mimeraw.MediaType) bool {
	return mt.IsMultipart() && mt.Type != "multipart/signed"
}

func attached(e *mimeraw.Entity) bool {
	value, n := e.Header.Get("Content-Disposition")
	if n == 0 {
		return false
	}
	d, err := mimeraw.ParseDisposition(value)
	return err != nil || d.Type == "attachment"
}

// fieldsOf returns the fields of a header without the blank line.
func fieldsOf(h *mimeraw.Header) string {
	var b strings.Builder
	for _, f := range h.Fields {
		b.Write(f.Raw)
	}
	return b.String()
}

func copyAll(w io.Writer, r io.Reader) error {
	_, err := io.Copy(w, r)
	return err
}
