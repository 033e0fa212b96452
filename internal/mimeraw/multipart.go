package mimeraw

import (
	"bytes"
	"io"

	"github.com/postseal/postseal/internal/limits"
)

const (
	splitBuffer = 64 << 10 // how much of a body a Multipart holds
	firstBuffer = 4 << 10  // how much it begins with; a delimiter line must fit
	paddingMax  = 1000     // octets behind the boundary in a delimiter line: lines have up to 1000, RFC 5322, Section 2.1.1
)

// A Multipart cuts the body of a multipart entity into its parts (RFC 2046, Section 5.1).
//
// A delimiter is a whole line: "--", the boundary, "--" in the last one, and at the most
// spaces and tabs before its CRLF or LF. Unlike RFC 2046 has it, a line that merely begins
// with the boundary is content; it is reported as [CodeBoundaryPrefix].
type Multipart struct {
	r         io.Reader
	dash      []byte // "--" boundary
	buf       []byte
	pos, end  int   // buf[pos:end] has been read and not yet given out
	content   int   // how much of that is known to be content
	offset    int64 // of buf[pos] in the body
	lineStart bool  // buf[pos] begins a line
	afterCR   bool  // the octet before buf[pos] was a CR
	filled    bool  // the last read left no room
	readErr   error // of r; io.EOF at its end

	delimiter int  // length of the delimiter line at buf[pos], line break before it included; 0 if none is known to be there
	closing   bool // that delimiter is the close delimiter

	part     *Part
	parts    int
	closed   bool
	preamble Remainder
	epilogue Remainder
	defects  []string
	skeleton io.Writer // takes every octet that belongs to no part; may be nil
	err      error     // what NextPart answers from now on
}

// A Remainder is text of a multipart that belongs to no part: it is not rendered, but a
// signature around the multipart covers it and one inside does not.
type Remainder struct {
	Length int64 // octets, without the line break that belongs to a delimiter
	Blank  bool  // nothing but white space and line ends, or nothing at all
}

// NewMultipart returns a splitter for body, cut at boundary, which is used as it is; see
// [MediaType.Boundary]. With one of no or more than 70 octets there are no parts, only an
// error.
func NewMultipart(body io.Reader, boundary string) *Multipart {
	m := &Multipart{
		r: body, dash: []byte("--" + boundary), lineStart: true,
		preamble: Remainder{Blank: true}, epilogue: Remainder{Blank: true},
	}
	if boundary == "" || len(boundary) > limits.BoundaryLength {
		m.err = syntaxError(CodeBoundary, "a boundary that is empty or longer than 70 octets")
	}
	return m
}

// NextPart skips what is left of the part before and returns the next one. After the close
// delimiter it reads to the end of the body and returns io.EOF. If the body ends without
// the close delimiter, the error has the code [CodeTruncated] and wraps
// io.ErrUnexpectedEOF; the last part returned the same error at its end.
func (m *Multipart) NextPart() (*Part, error) {
	if m.err != nil {
		return nil, m.err
	}
	if m.part == nil {
		m.drain(&m.preamble)
	} else {
		m.drain(nil)
	}
	if m.delimiter == 0 {
		return nil, m.fail()
	}
	m.part = &Part{m: m}
	m.cross()
	if m.closed {
		m.drain(&m.epilogue)
		if m.readErr != io.EOF {
			return nil, m.fail()
		}
		if m.err == nil {
			m.err = io.EOF
		}
	}
	if m.err != nil {
		return nil, m.err
	}
	m.parts++
	if m.parts > limits.MIMEParts {
		m.err = exceeded("parts in a multipart", limits.MIMEParts)
		return nil, m.err
	}
	return m.part, nil
}

// Closed reports whether the close delimiter has been seen.
func (m *Multipart) Closed() bool { return m.closed }

// Preamble returns what stood before the first part, once there is a first part.
func (m *Multipart) Preamble() Remainder { return m.preamble }

// Epilogue returns what stood after the close delimiter, once NextPart returned io.EOF.
func (m *Multipart) Epilogue() Remainder { return m.epilogue }

// Defects returns the codes of what other readers may cut differently, as far as the body
// has been read: [CodeBoundaryPrefix] and [CodeBareCR].
func (m *Multipart) Defects() []string { return m.defects }

// A Part reads the exact octets of one part: all between two delimiter lines without the
// line break before the second one, which belongs to it. It is valid until the next call
// of [Multipart.NextPart]; from then on it answers io.ErrClosedPipe.
type Part struct {
	m    *Multipart
	done error
}

// Read implements io.Reader. A part that no delimiter ends gives its octets and then an
// error that wraps io.ErrUnexpectedEOF.
func (p *Part) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, p.done
	}
	ready := p.ready()
	if len(ready) == 0 {
		return 0, p.done
	}
	n := copy(b, ready)
	p.m.advance(n)
	return n, nil
}

// WriteTo implements io.WriterTo, without a copy in between.
func (p *Part) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		ready := p.ready()
		if len(ready) == 0 {
			if p.done == io.EOF {
				return total, nil
			}
			return total, p.done
		}
		n, err := w.Write(ready)
		total += int64(n)
		p.m.advance(n)
		if err == nil && n < len(ready) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, err
		}
	}
}

// ready returns octets of the part; none once p.done is set.
func (p *Part) ready() []byte {
	if p.done != nil {
		return nil
	}
	if p.m.part != p {
		p.done = io.ErrClosedPipe
		return nil
	}
	ready := p.m.scan()
	if len(ready) == 0 {
		p.done = io.EOF
		if p.m.delimiter == 0 {
			p.done = p.m.fail()
		}
	}
	return ready
}

// drain passes content up to the next delimiter or the end and counts it into rest.
func (m *Multipart) drain(rest *Remainder) {
	for {
		ready := m.scan()
		if len(ready) == 0 {
			return
		}
		if rest != nil {
			m.outside(ready)
			rest.Length += int64(len(ready))
			rest.Blank = rest.Blank && len(bytes.Trim(ready, " \t\r\n")) == 0
		}
		m.advance(len(ready))
	}
}

func (m *Multipart) outside(p []byte) {
	if m.skeleton != nil && m.err == nil {
		m.err = writeAll(m.skeleton, p)
	}
}

// fail makes what ended the reading the answer of every further call.
func (m *Multipart) fail() error {
	if m.err == nil {
		m.err = m.readErr
		if m.err == io.EOF {
			m.err = truncated(CodeTruncated, "a multipart without its close delimiter", m.offset)
		}
	}
	return m.err
}

// advance gives out the next n octets.
func (m *Multipart) advance(n int) {
	if n == 0 {
		return
	}
	last := m.buf[m.pos+n-1]
	m.lineStart, m.afterCR = last == '\n', last == '\r'
	m.pos += n
	m.content -= n
	m.offset += int64(n)
}

// cross passes the delimiter that scan has found.
func (m *Multipart) cross() {
	m.outside(m.buf[m.pos : m.pos+m.delimiter])
	m.advance(m.delimiter)
	m.content, m.delimiter = 0, 0
	m.lineStart = true
	m.closed = m.closing
}

// scan returns the next octets of content that are in the buffer, reading more if there
// are none. It returns none if m.delimiter has been set or if m.readErr has been reached.
func (m *Multipart) scan() []byte {
	for {
		if m.delimiter > 0 {
			return nil
		}
		if m.content > 0 {
			return m.buf[m.pos : m.pos+m.content]
		}
		var ok bool
		m.content, ok = m.search()
		switch {
		case ok:
		case m.readErr == nil:
			m.fill()
		case m.pos == m.end:
			return nil
		default:
			m.content = m.end - m.pos
		}
	}
}

// search looks for a delimiter in the buffer. It returns how much content is before it; ok
// is false if more has to be read to know.
func (m *Multipart) search() (content int, ok bool) {
	window := m.buf[m.pos:m.end]
	if m.closed {
		return len(window), len(window) > 0
	}
	for from := 0; ; {
		n := bytes.Index(window[from:], m.dash)
		if n < 0 {
			// What could be the beginning of a line break and a delimiter stays.
			safe := len(window) - len(m.dash) - 1
			if safe <= 0 {
				return 0, false
			}
			return safe, true
		}
		at := from + n
		brk, begins := m.lineBreak(window[:at])
		if !begins {
			from = at + 1
			continue
		}
		length, closing, known := delimiterLine(window[at+len(m.dash):], m.readErr == io.EOF)
		if known && length < 0 {
			m.defect(CodeBoundaryPrefix)
			from = at + 1
			continue
		}
		if length > paddingMax {
			m.readErr = &SyntaxError{Code: CodeDelimiterPadding, What: "a delimiter line without end", Offset: m.offset + int64(at)}
			m.end = m.pos + brk
			return brk, brk > 0
		}
		if !known && brk == 0 {
			return 0, false
		}
		if brk > 0 {
			return brk, true
		}
		m.delimiter, m.closing = at+len(m.dash)+length, closing
		return 0, true
	}
}

// lineBreak reports whether a line begins after before, and where the line break ahead of
// it begins.
func (m *Multipart) lineBreak(before []byte) (at int, begins bool) {
	n := len(before)
	if n == 0 {
		if m.afterCR {
			m.defect(CodeBareCR)
		}
		return 0, m.lineStart
	}
	switch before[n-1] {
	case '\n':
		if n > 1 && before[n-2] == '\r' {
			return n - 2, true
		}
		return n - 1, true
	case '\r':
		m.defect(CodeBareCR)
	}
	return 0, false
}

// delimiterLine looks at what follows "--" boundary. It returns the length of the rest of
// the delimiter line, or -1 if it is none. If rest ends too early to say, known is false
// and length what there is so far.
func delimiterLine(rest []byte, end bool) (length int, closing, known bool) {
	if len(rest) == 1 && rest[0] == '-' && !end {
		return 0, false, false
	}
	i := 0
	if len(rest) >= 2 && rest[0] == '-' && rest[1] == '-' {
		closing, i = true, 2
	}
	for i < len(rest) && i <= paddingMax && (rest[i] == ' ' || rest[i] == '\t') {
		i++
	}
	switch {
	case i == len(rest) || i > paddingMax:
		return i, closing, end
	case rest[i] == '\n':
		return i + 1, closing, true
	case rest[i] == '\r' && i+1 == len(rest) && !end:
		return i, closing, false
	case rest[i] == '\r' && i+1 < len(rest) && rest[i+1] == '\n':
		return i + 2, closing, true
	}
	return -1, false, true
}

func (m *Multipart) defect(code string) { m.defects = addCode(m.defects, code) }

// fill reads more into the buffer. It is called only when less than a delimiter line is
// held, or a delimiter line that has no end yet.
func (m *Multipart) fill() {
	buf := m.buf
	switch {
	case buf == nil:
		buf = make([]byte, firstBuffer)
	case m.filled && len(buf) < splitBuffer:
		buf = make([]byte, splitBuffer)
	}
	m.end = copy(buf, m.buf[m.pos:m.end])
	m.buf, m.pos = buf, 0
	for range 100 {
		n, err := m.r.Read(m.buf[m.end:])
		m.end += n
		m.filled = m.end == len(m.buf)
		if err != nil {
			m.readErr = err
		}
		if n > 0 || err != nil {
			return
		}
	}
	m.readErr = io.ErrNoProgress
}
