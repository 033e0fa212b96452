package mimeraw

import (
	"bytes"
	"io"
)

// A Canonicaliser gives text the line ends that are signed (RFC 8551, Section 3.1.1): an LF
// without a CR before it becomes CRLF. Everything else passes unchanged, a lone CR and
// white space before a line end too. It is the one canonicaliser for signing and for
// verifying.
type Canonicaliser struct {
	w       io.Writer
	out     []byte // room for text that changes
	afterCR bool
	changed bool
}

// canonicalBuffer is the size of the pieces in which changed text is written.
const canonicalBuffer = 32 << 10

// NewCanonicaliser returns a Canonicaliser that writes to w. Nothing is held back between
// calls of Write, so that there is nothing to flush.
func NewCanonicaliser(w io.Writer) *Canonicaliser { return &Canonicaliser{w: w} }

// Canonical returns text as a [Canonicaliser] writes it, in new memory.
func Canonical(text []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(text))
	NewCanonicaliser(&b).Write(text)
	return b.Bytes()
}

// Changed reports whether any line end had to be changed so far.
func (c *Canonicaliser) Changed() bool { return c.changed }

// Write implements io.Writer. Text whose line ends are right is handed on without a copy.
func (c *Canonicaliser) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	lf := c.bareLF(p, 0)
	c.afterCR = p[len(p)-1] == '\r'
	if lf < 0 {
		return c.w.Write(p)
	}
	c.changed = true
	if c.out == nil {
		c.out = make([]byte, 0, canonicalBuffer)
	}
	out := c.out[:0]
	done, from := 0, 0 // octets of p that are written, and that are in out besides
	for from < len(p) {
		// One line, or the piece of it that fits.
		stop, end := lf, 2
		if lf < 0 {
			stop, end = len(p), 0
		}
		if room := cap(out) - len(out) - end; stop-from > room {
			if len(out) > 0 {
				if err := writeAll(c.w, out); err != nil {
					return done, err
				}
				out, done = out[:0], from
				continue
			}
			stop, end = from+cap(out)-2, 0
		}
		out = append(out, p[from:stop]...)
		from = stop
		if end > 0 {
			out = append(out, '\r', '\n')
			from++
			lf = c.bareLF(p, from)
		}
	}
	if err := writeAll(c.w, out); err != nil {
		return done, err
	}
	return len(p), nil
}

// writeCanonical is Write for text that is known to have no LF without a CR before it.
func (c *Canonicaliser) writeCanonical(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	c.afterCR = p[len(p)-1] == '\r'
	return writeAll(c.w, p)
}

// bareLF returns the place of the first LF at or after from that no CR stands before, or -1.
func (c *Canonicaliser) bareLF(p []byte, from int) int {
	for from < len(p) {
		n := bytes.IndexByte(p[from:], '\n')
		if n < 0 {
			return -1
		}
		at := from + n
		if at > 0 && p[at-1] != '\r' || at == 0 && !c.afterCR {
			return at
		}
		from = at + 1
	}
	return -1
}

func writeAll(w io.Writer, p []byte) error {
	n, err := w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}
