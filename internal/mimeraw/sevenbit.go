package mimeraw

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/offload"
)

// heldLeaf is how much of a body WriteSevenBit looks at before it decides how to write it.
const heldLeaf = 4 << 20

// WriteSevenBit writes the entity that has the fields of header (without the blank line)
// and body to dst in the form in which it is signed: CRLF line ends, and nothing that a
// relay would have to re-encode (RFC 8551, Section 3.1).
//
// A body that is 7bit as RFC 2045, Section 2.7 has it stays as it is, octet for octet but
// for LF line ends, unless it is text declared as 8bit or binary with lines that relays are
// known to change, or something else declared as binary, whose LF are no line ends. Any other part, at any depth, is re-encoded: text in quoted-printable,
// the rest in base64; its Content-Transfer-Encoding field is replaced. What cannot be
// re-encoded is an error with the code [CodeUnsafe]: the inside of another
// multipart/signed, and octets that come more than 4 MiB into a body that is not declared
// as 8bit or binary.
func WriteSevenBit(dst io.Writer, header string, body io.Reader) error {
	if header != "" && !strings.HasSuffix(header, "\n") {
		header += "\r\n"
	}
	h := &Header{Raw: []byte(header + "\r\n")}
	if err := h.parse(0); err != nil {
		return err
	}
	s := &sevenBit{dst: NewCanonicaliser(dst)}
	if err := s.entity(&Entity{h, body}); err != nil {
		return err
	}
	for len(s.inside) > 0 {
		part, err := s.inside[len(s.inside)-1].m.NextPart()
		if err == io.EOF || isTruncated(err) {
			s.inside = s.inside[:len(s.inside)-1]
			continue
		}
		if err != nil {
			return err
		}
		e, err := ReadEntity(&openPart{part})
		if err != nil {
			return err
		}
		if err := s.entity(e); err != nil {
			return err
		}
	}
	return nil
}

// sevenBit is a walk through the parts of an entity.
type sevenBit struct {
	dst    *Canonicaliser
	inside []level          // being walked through, outermost first
	held   []*offload.Piece // the beginning of the leaf that is looked at
}

type level struct {
	m     *Multipart
	depth int // messages within messages count too
}

// entity writes e, or the beginning of it if it is a multipart.
func (s *sevenBit) entity(e *Entity) error {
	depth := 0
	if n := len(s.inside); n > 0 {
		depth = s.inside[n-1].depth + 1
	}
	for ; ; depth++ {
		if depth > limits.MIMEDepth {
			return exceeded("levels of MIME", limits.MIMEDepth)
		}
		t, _ := e.MediaType()
		encoding, err := e.TransferEncoding()
		identity := err == nil && encoding != "base64" && encoding != "quoted-printable"
		switch {
		case t.Type == "multipart/signed":
			// Whoever signed it relies on every octet.
			if err := writeAll(s.dst, e.Header.Raw); err != nil {
				return err
			}
			return s.pass(new(sevenBitCheck), e.Body)
		case t.IsMultipart() && identity:
			boundary, err := t.Boundary()
			if err != nil {
				return s.leaf(e, t.Type, encoding)
			}
			if err := s.header(e.Header, encoding, "7bit"); err != nil {
				return err
			}
			m := NewMultipart(e.Body, boundary)
			m.skeleton = &skeleton{w: s.dst}
			s.inside = append(s.inside, level{m, depth})
			return nil
		case t.Type == "message/rfc822" && identity:
			if err := s.header(e.Header, encoding, "7bit"); err != nil {
				return err
			}
			if e, err = ReadEntity(e.Body); err != nil {
				return err
			}
		default:
			return s.leaf(e, t.Type, encoding)
		}
	}
}

// header writes h with another transfer encoding if it has to change.
func (s *sevenBit) header(h *Header, old, encoding string) error {
	if old == encoding || encoding == "7bit" && old != "8bit" && old != "binary" {
		return writeAll(s.dst, h.Raw)
	}
	out := append([]byte(nil), h.Mbox...)
	for _, f := range h.Fields {
		if !strings.EqualFold(f.Name, "Content-Transfer-Encoding") {
			out = append(out, f.Raw...)
		}
	}
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, "\r\n"...)
	}
	out = append(out, "Content-Transfer-Encoding: "+encoding+"\r\n\r\n"...)
	return writeAll(s.dst, out)
}

// leaf writes a part that is not walked into.
func (s *sevenBit) leaf(e *Entity, mediaType, encoding string) error {
	defer s.release()
	var check sevenBitCheck
	good, whole, err := s.hold(e.Body, &check)
	if err != nil {
		return err
	}
	declared := encoding == "8bit" || encoding == "binary"
	text := (strings.HasPrefix(mediaType, "text/") || strings.HasPrefix(mediaType, "message/")) && hasLines(e)
	exact := encoding == "binary" && !text && check.bareLF
	// Text that says it is 8bit may be encoded, and is where a relay might touch it.
	fragile := declared && whole && strings.HasPrefix(mediaType, "text/") && s.fragile()
	if good && !fragile && !exact && (whole && check.complete() || !whole && !declared) {
		if err := s.header(e.Header, encoding, "7bit"); err != nil {
			return err
		}
		return s.pass(&check, e.Body)
	}
	if strings.HasPrefix(mediaType, "multipart/") {
		return syntaxError(CodeUnsafe, "a multipart that is not 7bit and cannot be walked through")
	}
	text = text && encoding != "base64"
	all := make([]io.Reader, 0, len(s.held)+1)
	for _, p := range s.held {
		all = append(all, bytes.NewReader(p.In))
		text = text && bytes.IndexByte(p.In, 0) < 0
	}
	body, err := DecodeTransfer(encoding, io.MultiReader(append(all, e.Body)...))
	if err != nil {
		return err
	}
	if text {
		if err := s.header(e.Header, encoding, "quoted-printable"); err != nil {
			return err
		}
		return encode(QuotedPrintableEncoder(s.dst), body)
	}
	if err := s.header(e.Header, encoding, "base64"); err != nil {
		return err
	}
	return encode(Base64Encoder(s.dst), body)
}

// hasLines reports whether the line ends of a text are those of ASCII.
func hasLines(e *Entity) bool {
	t, _ := e.MediaType()
	return HoldsASCII(t.Params["charset"])
}

// HoldsASCII reports whether octets of ASCII within text of a character set mean what they
// mean in ASCII.
func HoldsASCII(charset string) bool {
	charset = strings.ToLower(charset)
	return !strings.HasPrefix(charset, "utf-16") && !strings.HasPrefix(charset, "utf-32") && !strings.HasPrefix(charset, "iso-10646-ucs-")
}

// fragile reports whether the text that is held has what relays are known to change: lines
// with white space at their end, with a dot at their beginning, or like a separator of a
// mailbox file, and control characters.
func (s *sevenBit) fragile() bool {
	var line []byte // the beginning of the line, and its last octet
	for _, p := range s.held {
		for text := p.In; len(text) > 0; {
			n := bytes.IndexByte(text, '\n')
			end := n
			if n < 0 {
				end = len(text)
			}
			for _, b := range text[:end] {
				if b < ' ' && b != '\t' && b != '\r' || b == 0x7f {
					return true
				}
				if len(line) < 8 {
					line = append(line, b)
				} else if b != '\r' {
					line[7] = b
				}
			}
			if n < 0 {
				break
			}
			if fragileLine(line) {
				return true
			}
			line, text = line[:0], text[n+1:]
		}
	}
	return fragileLine(line)
}

func fragileLine(line []byte) bool {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return false
	}
	last := line[len(line)-1]
	return last == ' ' || last == '\t' || line[0] == '.' || bytes.HasPrefix(line, []byte("From "))
}

// hold reads up to heldLeaf octets of a body and keeps them. good says that check has
// found nothing in them, whole that the body has no more.
func (s *sevenBit) hold(body io.Reader, check *sevenBitCheck) (good, whole bool, err error) {
	good = true
	for left := heldLeaf; left > 0; {
		p := offload.NewPiece()
		s.held = append(s.held, p)
		room := p.In[:min(left, offload.PieceSize)]
		n, err := io.ReadFull(body, room)
		p.In = room[:n]
		left -= n
		good = good && check.ok(p.In)
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return good, true, nil
		default:
			return false, false, err
		}
	}
	return good, false, nil
}

// release lets go of what is held.
func (s *sevenBit) release() {
	for _, p := range s.held {
		p.Free()
	}
	s.held = nil
}

func encode(w io.WriteCloser, r io.Reader) error {
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	return w.Close()
}

// pass writes what is held, which check has seen, and the rest of a body as they are.
func (s *sevenBit) pass(check *sevenBitCheck, body io.Reader) error {
	for _, p := range s.held {
		if err := s.text(p.In, check.bareLF); err != nil {
			return err
		}
	}
	p := offload.NewPiece()
	defer p.Free()
	for {
		n, err := readSome(body, p.In[:offload.PieceSize])
		if !check.ok(p.In[:n]) {
			return errNotSevenBit
		}
		if err := s.text(p.In[:n], check.bareLF); err != nil {
			return err
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if !check.complete() {
		return errNotSevenBit
	}
	return nil
}

// text writes text that is 7bit.
func (s *sevenBit) text(p []byte, bareLF bool) error {
	if bareLF {
		return writeAll(s.dst, p)
	}
	return s.dst.writeCanonical(p)
}

var errNotSevenBit = syntaxError(CodeUnsafe, "a body that is not 7bit where it cannot be re-encoded")

// A sevenBitCheck takes only text that is 7bit (RFC 2045, Section 2.7), with LF line ends
// too.
type sevenBitCheck struct {
	line    int // octets of the line so far
	afterCR bool
	bareLF  bool // not every line end is CRLF
}

// complete reports whether the text may end here.
func (c *sevenBitCheck) complete() bool { return !c.afterCR }

func (c *sevenBitCheck) ok(p []byte) bool {
	if !c.bareLF && c.canonical(p) {
		return true
	}
	for len(p) > 0 {
		if c.afterCR && p[0] != '\n' {
			return false
		}
		text, rest := p, []byte(nil)
		n := bytes.IndexByte(p, '\n')
		if n >= 0 {
			text, rest = p[:n], p[n+1:]
			c.bareLF = c.bareLF || n == 0 && !c.afterCR || n > 0 && p[n-1] != '\r'
		}
		c.afterCR = false
		if len(text) > 0 && text[len(text)-1] == '\r' {
			text = text[:len(text)-1]
			c.afterCR = n < 0
		}
		c.line += len(text)
		if c.line > lineMax || !isSevenBit(text) {
			return false
		}
		if n >= 0 {
			c.line, c.afterCR = 0, false
		}
		p = rest
	}
	return true
}

// canonical is ok for text whose line ends are all CRLF, many octets at a time. If it
// returns false it has done nothing.
func (c *sevenBitCheck) canonical(p []byte) bool {
	const ones, lows, highs = 0x0101010101010101, 0x7f7f7f7f7f7f7f7f, 0x8080808080808080
	if len(p) < 64 {
		return false
	}
	// The high bit of each octet: in bad, that the octet is NUL or beyond ASCII or that it
	// is an LF and the one before is no CR or the other way round; in cr, that the octet
	// is no CR. Within ASCII the sums do not carry over.
	var bad uint64
	cr := uint64(highs)
	if c.afterCR {
		cr = 0
	}
	rest := p
	for ; len(rest) >= 8; rest = rest[8:] {
		w := binary.LittleEndian.Uint64(rest)
		before := cr >> 56
		cr = (w ^ ones*'\r') + lows
		lf := (w ^ ones*'\n') + lows
		bad |= w | (w - ones) | (lf ^ (cr<<8 | before))
	}
	if bad&highs != 0 {
		return false
	}
	afterCR := cr&(1<<63) == 0
	for _, b := range rest {
		if b == 0 || b >= 0x80 || afterCR != (b == '\n') {
			return false
		}
		afterCR = b == '\r'
	}
	// No line is too long if every stretch of the longest length ends one.
	line := c.line
	for from := 0; ; {
		to := min(len(p), from+lineMax-line+2)
		last := bytes.LastIndexByte(p[from:to], '\n')
		if last < 0 {
			if to < len(p) || line+to-from > lineMax {
				return false
			}
			line += to - from
			break
		}
		from, line = from+last+1, 0
	}
	if afterCR {
		line--
	}
	c.line, c.afterCR = line, afterCR
	return true
}

// isSevenBit reports whether text has neither NUL nor CR nor an octet beyond ASCII.
func isSevenBit(text []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; len(text) >= 8; text = text[8:] {
		w := binary.LittleEndian.Uint64(text)
		cr := w ^ ones*'\r'
		if (w|(w-ones)|(cr-ones))&highs != 0 {
			return false
		}
	}
	for _, c := range text {
		if c == 0 || c == '\r' || c >= 0x80 {
			return false
		}
	}
	return true
}

// An openPart is a part that may lack its close delimiter.
type openPart struct{ p *Part }

func (o *openPart) Read(b []byte) (int, error) {
	n, err := o.p.Read(b)
	if isTruncated(err) {
		err = io.EOF
	}
	return n, err
}

func isTruncated(err error) bool {
	e, ok := errors.AsType[*SyntaxError](err)
	return ok && e.Code == CodeTruncated
}

// A skeleton writes what of a multipart belongs to no part: delimiters as they are, and
// with a question mark for every octet of a preamble or an epilogue that is not 7bit.
type skeleton struct{ w io.Writer }

func (s *skeleton) Write(p []byte) (int, error) {
	masked := bytes.Clone(p)
	for i, c := range masked {
		if c == 0 || c >= 0x80 {
			masked[i] = '?'
		}
	}
	return s.w.Write(masked)
}
