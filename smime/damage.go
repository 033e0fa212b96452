package smime

import (
	"bytes"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/sigalg"
)

// A wantedDigest is what a genuine signature says the digest of its content is, where the
// content has another one.
type wantedDigest struct {
	hash   sigalg.Hash
	digest []byte
}

// A damage tries out what mail systems do to text on its way. It is shown the signed part
// as it arrived, in canonical form, and remembers which undoing of a change gives the
// digest that was signed. That explains a broken signature; it never makes it good.
type damage struct {
	want  []wantedDigest
	line  []byte // the line being collected
	midst bool   // line is not the beginning of one
	lines int

	fromQuoted, dotsDoubled *cms.Digests // with the change undone
	trimmed                 *cms.Digests // without the blank lines at the end
	held                    int          // line ends that may be at the end
	found                   []string     // codes
}

const (
	damageLine  = 64 << 10 // octets of a line that are held
	damageLines = 100_000  // lines after which added text is no longer looked for
)

func newDamage(want []wantedDigest) *damage {
	var hs []sigalg.Hash
	for _, w := range want {
		hs = append(hs, w.hash)
	}
	return &damage{want: want, fromQuoted: cms.NewDigests(hs...), dotsDoubled: cms.NewDigests(hs...), trimmed: cms.NewDigests(hs...)}
}

// Write takes canonical text.
func (d *damage) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n') + 1
		if end == 0 {
			end = len(p)
		}
		d.line = append(d.line, p[:end]...)
		complete := d.line[len(d.line)-1] == '\n'
		if complete || len(d.line) > damageLine {
			d.take(d.line)
			d.line, d.midst = d.line[:0], !complete
		}
		p = p[end:]
	}
	return n, nil
}

// take tries every undoing on one line.
func (d *damage) take(line []byte) {
	undone := line
	if rest := bytes.TrimLeft(line, ">"); !d.midst && len(rest) < len(line) && bytes.HasPrefix(rest, []byte("From ")) {
		undone = line[1:]
	}
	d.fromQuoted.Write(undone)
	undone = line
	if !d.midst && bytes.HasPrefix(line, []byte("..")) {
		undone = line[1:]
	}
	d.dotsDoubled.Write(undone)

	text, ended := bytes.CutSuffix(line, []byte("\r\n"))
	if len(text) > 0 {
		d.flush()
	}
	d.trimmed.Write(text)
	if ended {
		d.held++
	}
	if d.lines++; d.lines <= damageLines && d.held == 1 {
		d.prefix()
	}
}

// flush writes the line ends that turned out not to be the last.
func (d *damage) flush() {
	for ; d.held > 0; d.held-- {
		d.trimmed.Write([]byte("\r\n"))
	}
}

// prefix asks whether what has been seen so far is what was signed: the rest was added.
func (d *damage) prefix() {
	if d.matches(d.trimmed) || d.matches(withLineEnd(d.trimmed)) {
		d.note("relay.text_added")
	}
}

// finish returns the codes of the changes that explain the digest.
func (d *damage) finish() []string {
	if len(d.line) > 0 {
		d.take(d.line)
		d.line = nil
	}
	if d.matches(d.fromQuoted) {
		d.note("relay.from_quoted")
	}
	if d.matches(d.dotsDoubled) {
		d.note("relay.dots_doubled")
	}
	if d.matches(d.trimmed) || d.matches(withLineEnd(d.trimmed)) {
		// Not text, only line ends were added or taken away behind it.
		d.found = []string{"relay.blank_lines"}
	}
	return d.found
}

func withLineEnd(x *cms.Digests) *cms.Digests {
	c := x.Clone()
	c.Write([]byte("\r\n"))
	return c
}

func (d *damage) matches(x *cms.Digests) bool {
	for _, w := range d.want {
		if sum, ok := x.Sum(w.hash); ok && bytes.Equal(sum, w.digest) {
			return true
		}
	}
	return false
}

func (d *damage) note(code string) {
	for _, c := range d.found {
		if c == code {
			return
		}
	}
	d.found = append(d.found, code)
}

// explain says what happened to a signed part on its way, where that can be shown: the
// signature over the attributes is good, and the content has another digest.
func (p *pass) explain(l *signedLayer, r *cms.SignatureResult, h sigalg.Hash) {
	if r.State != "invalid" || len(r.Codes) != 1 || r.Codes[0] != "digest.mismatch" || l.layer.Form != "multipart" {
		return
	}
	if l.damage == nil {
		p.wantDamage = append(p.wantDamage, wantedDigest{h, r.ContentDigest})
		return
	}
	r.Codes = append(r.Codes, l.damage.finish()...)
}
