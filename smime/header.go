package smime

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/hp"
	"github.com/postseal/postseal/internal/mimeraw"
)

func (c *Composer) planHeaders(p *plan) error {
	name := c.ProtectHeaders
	switch name {
	case "off":
		return nil
	case "":
		name = "baseline"
	}
	policy, ok := hp.Named(name)
	if !ok {
		return fmt.Errorf("smime: ProtectHeaders %q is not baseline, shy, no-confidentiality or off", c.ProtectHeaders)
	}
	p.headers = &hp.Option{Encrypt: c.encrypts(), Policy: policy, Response: c.Response, Draft: c.Draft}
	p.legacy = c.LegacyDisplay
	return nil
}

// readMessage reads the header of a message to protect. Text without a header is a body;
// but one that only a byte order mark hides, as editors on Windows write it, is none: all
// of it, with the recipients, would become the content of a message to nobody. UTF-16 is
// no mail at all.
func readMessage(src io.Reader) (*mimeraw.Entity, error) {
	e, err := mimeraw.ReadEntity(progressReader{src})
	if err != nil {
		return nil, fmt.Errorf("smime: reading the message: %w", tooLarge(err))
	}
	if slices.Contains(e.Header.Codes(), mimeraw.CodeNoHeader) {
		body := bufio.NewReader(e.Body)
		start, _ := body.Peek(2048) // so many are there already, see ReadEntity
		rest, marked := bytes.CutPrefix(start, []byte("\xef\xbb\xbf"))
		if marked {
			hidden, err := mimeraw.ReadEntity(bytes.NewReader(rest))
			marked = err != nil || !slices.Contains(hidden.Header.Codes(), mimeraw.CodeNoHeader)
		}
		if marked || bytes.HasPrefix(start, []byte("\xff\xfe")) || bytes.HasPrefix(start, []byte("\xfe\xff")) {
			return nil, fmt.Errorf("smime: reading the message: %w", &syntaxError{mimeraw.CodeNoHeader, "a byte order mark stands before the header"})
		}
		e.Body = body
	}
	return e, nil
}

// A progressReader ends with an error where a reader gives neither octets nor an error again
// and again, for which others would wait for good.
type progressReader struct{ r io.Reader }

func (p progressReader) Read(b []byte) (int, error) {
	for range 100 {
		if n, err := p.r.Read(b); n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// covered reports every address in To and Cc that no recipient's certificate names.
func (p *plan) covered(h *mimeraw.Header) error {
	if p.cover == nil {
		return nil
	}
	var missing []error
	for _, f := range h.Fields {
		if !strings.EqualFold(f.Name, "To") && !strings.EqualFold(f.Name, "Cc") {
			continue
		}
		list, err := mimeraw.ParseAddresses(f.Value())
		if err != nil {
			return fmt.Errorf("smime: the recipients in %s: %w", f.Name, err)
		}
		for _, a := range list {
			if !slices.ContainsFunc(p.cover, certstore.Email(a.Addr()).Match) {
				missing = append(missing, &RecipientError{a.Addr(), "recipient.no_certificate", "no certificate for it among the recipients"})
			}
		}
	}
	return errors.Join(missing...)
}

// divide parts the header of a message into what stands outside and what goes inside the
// protection. hidden are the fields that people see and that read otherwise outside.
func (p *plan) divide(h *mimeraw.Header) (outer, inner string, hidden []hp.Pair, err error) {
	for _, code := range h.Codes() {
		if fatalDefect(code) || code == mimeraw.CodeMalformedField {
			// Whoever reads the message would refuse it, or understand it differently.
			return "", "", nil, &syntaxError{code, "the header of the message is ambiguous: " + code}
		}
	}
	if p.headers == nil {
		outer, inner = splitHeader(h)
	} else {
		d, err := hp.Compose(h, *p.headers)
		if err != nil {
			return "", "", nil, err
		}
		outer, inner, hidden = string(d.Outer), string(d.Inner), d.Hidden
	}
	// What says how the header was protected adds to it, and readers have their limits.
	for _, header := range []string{outer, inner} {
		if _, err := mimeraw.ReadEntity(strings.NewReader(header + layerFields + "\r\n")); err != nil {
			return "", "", nil, err
		}
	}
	return outer, inner, hidden, nil
}

// layerFields are as many and as long as what any layer adds to a header.
const (
	layerField  = "Content-Type: application/pkcs7-mime; smime-type=authEnveloped-data; name=\"smime.p7m\"\r\n"
	layerFields = layerField + layerField + layerField + layerField
)

// splitHeader parts the fields that describe the content, which go inside the protection,
// from those that describe the message. Fields keep their octets but for line ends.
// Nobody is told who was in Bcc.
func splitHeader(h *mimeraw.Header) (outer, inner string) {
	var o, i strings.Builder
	for _, f := range h.Fields {
		raw := strings.TrimSuffix(string(mimeraw.Canonical(f.Raw)), "\r\n") + "\r\n"
		switch name := strings.ToLower(f.Name); {
		case name == "content-type":
			i.Write(hp.Unmarked(f))
		case strings.HasPrefix(name, "content-"):
			i.WriteString(raw)
		case name == "mime-version", name == "hp-outer", hp.Blind(name):
		default:
			o.WriteString(raw)
		}
	}
	return o.String(), i.String()
}

// writeContent writes the innermost entity: canonical line ends, nothing that a relay
// would alter (RFC 8551, Section 3.1).
func (p *plan) writeContent(dst io.Writer, header string, e *mimeraw.Entity, hidden []hp.Pair) error {
	if p.legacy && len(hidden) > 0 {
		return writeLegacy(dst, header, e.Body, hidden)
	}
	return mimeraw.WriteSevenBit(dst, header, e.Body)
}
