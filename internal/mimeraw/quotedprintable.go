package mimeraw

import "io"

// A QuotedPrintableReader decodes quoted-printable (RFC 2045, Section 6.7).
type QuotedPrintableReader struct {
	r      io.Reader
	in     []byte
	out    []byte // decoded octets of the last piece
	ready  []byte // what of out has not been read
	white  []byte // white space that counts only if something follows on its line
	state  qpState
	high   byte  // the first digit of an escape
	offset int64 // octets decoded
	lax    bool
	err    error
}

// qpWhite is how much white space in a row a line may hold.
const qpWhite = 64 << 10

type qpState uint8

const (
	qpText       qpState = iota
	qpCR                 // after a CR
	qpEquals             // after "="
	qpDigit              // after "=" and a digit
	qpBreakWhite         // after "=" and white space
	qpBreakCR            // after "=" and a CR
)

// QuotedPrintableDecoder returns a reader of what r holds in quoted-printable. Line ends
// stay as they are. An equals sign must be followed by two hexadecimal digits of either
// case or, behind optional white space, by the end of its line; anything else is an error
// with the code [CodeQuotedPrintable]. White space at the end of a line is taken away.
func QuotedPrintableDecoder(r io.Reader) *QuotedPrintableReader {
	return &QuotedPrintableReader{r: r}
}

// Lax reports whether the text so far broke the rules where that does no harm: octets that
// should have been encoded, digits in lower case, an equals sign at the very end.
func (q *QuotedPrintableReader) Lax() bool { return q.lax }

// Read implements io.Reader.
func (q *QuotedPrintableReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if q.in == nil {
		q.in = make([]byte, base64Buffer)
	}
	for empty := 0; len(q.ready) == 0; empty++ {
		if q.err != nil {
			return 0, q.err
		}
		n, err := q.r.Read(q.in)
		if n > 0 {
			empty = 0
		}
		q.out = q.out[:0]
		q.err = q.decode(q.in[:n])
		if q.err == nil && err == io.EOF {
			err = q.end()
		}
		if q.err == nil {
			q.err = err
		}
		if q.err == nil && empty == 100 {
			q.err = io.ErrNoProgress
		}
		q.ready = q.out
	}
	n := copy(p, q.ready)
	q.ready = q.ready[n:]
	return n, nil
}

// decode appends to out what in holds.
func (q *QuotedPrintableReader) decode(in []byte) error {
	for i := 0; i < len(in); i++ {
		c := in[i]
		switch q.state {
		case qpCR:
			q.state = qpText
			if c == '\n' {
				q.white = q.white[:0]
				q.out = append(q.out, '\r', '\n')
				continue
			}
			q.lax = true
			q.text('\r')
		case qpEquals, qpBreakWhite:
			switch {
			case c == '\n':
				q.state = qpText
			case c == '\r':
				q.state = qpBreakCR
			case c == ' ' || c == '\t':
				q.state = qpBreakWhite
			case q.state == qpEquals && fromHex(c) < 16:
				q.lax = q.lax || c >= 'a'
				q.high, q.state = fromHex(c), qpDigit
			default:
				return q.fail(i)
			}
			continue
		case qpDigit:
			if fromHex(c) > 15 {
				return q.fail(i)
			}
			q.lax = q.lax || c >= 'a'
			q.out = append(q.out, q.high<<4|fromHex(c))
			q.state = qpText
			continue
		case qpBreakCR:
			if c != '\n' {
				return q.fail(i)
			}
			q.state = qpText
			continue
		}
		switch {
		case c == '\r':
			q.state = qpCR
		case c == '\n':
			q.white = q.white[:0]
			q.out = append(q.out, '\n')
		case c == ' ' || c == '\t':
			if len(q.white) == qpWhite {
				return exceeded("octets of white space in a quoted-printable line", qpWhite)
			}
			q.white = append(q.white, c)
		case c == '=':
			q.flushWhite()
			q.state = qpEquals
		default:
			q.flushWhite()
			start := i
			i += qpRun(in[i+1:])
			q.lax = q.lax || !qpPlain(c)
			q.out = append(q.out, in[start:i+1]...)
		}
	}
	q.offset += int64(len(in))
	return nil
}

// end is decode for the end of the text. It returns io.EOF unless an escape is cut off.
func (q *QuotedPrintableReader) end() error {
	switch q.state {
	case qpDigit:
		return truncated(CodeQuotedPrintable, "quoted-printable ends within an escape", q.offset)
	case qpCR:
		q.text('\r')
		q.lax = true
	case qpEquals, qpBreakWhite, qpBreakCR:
		q.lax = true
	}
	return io.EOF
}

func (q *QuotedPrintableReader) text(c byte) {
	q.flushWhite()
	q.out = append(q.out, c)
}

func (q *QuotedPrintableReader) flushWhite() {
	q.out = append(q.out, q.white...)
	q.white = q.white[:0]
}

func (q *QuotedPrintableReader) fail(i int) error {
	return &SyntaxError{Code: CodeQuotedPrintable, What: "an equals sign that begins neither an escape nor a line break", Offset: q.offset + int64(i)}
}

// qpPlain reports whether c stands for itself: RFC 2045, Section 6.7, rule 2.
func qpPlain(c byte) bool { return c > ' ' && c < 0x7f && c != '=' }

// qpRun returns how many octets at the beginning of text stand for themselves wherever
// they are: plain ones, and spaces between those.
func qpRun(text []byte) int {
	for i, c := range text {
		if !qpPlain(c) && (c != ' ' || i+1 == len(text) || !qpPlain(text[i+1])) {
			return i
		}
	}
	return len(text)
}

// qpLine is the longest encoded line, with its equals sign: RFC 2045, Section 6.7, rule 5.
const qpLine = 76

// QuotedPrintableEncoder returns a writer that gives w text in quoted-printable, so that no
// relay needs to change it: besides what must be, it encodes white space at the end of a
// line, "From " and a dot at the beginning of one. CRLF and LF are both taken for line
// ends and written as CRLF; a lone CR is encoded. Close writes the rest; it does not close w.
func QuotedPrintableEncoder(w io.Writer) io.WriteCloser { return &qpEncoder{w: w} }

type qpEncoder struct {
	w      io.Writer
	out    []byte
	column int  // letters in the line being written
	from   int  // how many of them are the beginning of "From "
	held   byte // a space, tab or CR: what follows decides how it is written; or 0
	closed bool
	err    error
}

func (e *qpEncoder) Write(p []byte) (int, error) {
	if e.closed {
		return 0, io.ErrClosedPipe
	}
	for i := 0; i < len(p) && e.err == nil; {
		// Behind "From " in a line, what stands for itself goes out in one piece.
		if room := qpLine - 1 - e.column; e.held == 0 && e.column > 4 && room > 0 {
			n := qpRun(p[i:min(i+room, len(p))])
			e.out = append(e.out, p[i:i+n]...)
			e.column += n
			if i += n; i == len(p) {
				break
			}
		}
		e.octet(p[i])
		i++
		if len(e.out) >= base64Buffer {
			e.flush()
		}
	}
	e.flush()
	if e.err != nil {
		return 0, e.err
	}
	return len(p), nil
}

// Close implements io.Closer.
func (e *qpEncoder) Close() error {
	if e.closed {
		return e.err
	}
	e.closed = true
	if e.held != 0 {
		e.put(e.held, true)
	}
	e.flush()
	return e.err
}

// octet takes the next octet of the text.
func (e *qpEncoder) octet(c byte) {
	if held := e.held; held != 0 {
		e.held = 0
		if held != '\r' {
			e.put(held, c == '\r' || c == '\n')
		} else if c != '\n' {
			e.put(held, true)
		}
	}
	switch c {
	case '\n':
		e.out = append(e.out, '\r', '\n')
		e.column, e.from = 0, 0
	case ' ', '\t', '\r':
		e.held = c
	default:
		e.put(c, !qpPlain(c))
	}
}

// put writes c as it is or as an escape, behind a soft line break if the line is full.
func (e *qpEncoder) put(c byte, escape bool) {
	width := 1
	if escape {
		width = 3
	}
	if e.column+width >= qpLine {
		e.out = append(e.out, '=', '\r', '\n')
		e.column, e.from = 0, 0
	}
	const from = "From "
	if e.from == e.column && e.column < len(from) && c == from[e.column] {
		e.from++
	}
	escape = escape || e.column == 0 && c == '.' || e.column == 4 && e.from == 5
	if !escape {
		e.out = append(e.out, c)
		e.column++
		return
	}
	const digits = "0123456789ABCDEF"
	e.out = append(e.out, '=', digits[c>>4], digits[c&15])
	e.column += 3
}

func (e *qpEncoder) flush() {
	if len(e.out) > 0 && e.err == nil {
		e.err = writeAll(e.w, e.out)
	}
	e.out = e.out[:0]
}
