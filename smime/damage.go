package smime

import (
	"bytes"
	"hash"
	"slices"

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
	sums  int    // looked at within the text
	sum   []byte // room for one

	fromQuoted, dotsDoubled damageHashes // with the change undone
	trimmed                 damageHashes // without the blank lines at the end
	held                    int          // line ends that may be at the end
	found                   []string     // codes
}

const (
	damageLine = 64 << 10 // octets of a line that are held
	damageSums = 200_000  // digests after which added text is no longer looked for; a line needs two of each hash
)

func newDamage(want []wantedDigest) *damage {
	return &damage{want: want, fromQuoted: newDamageHashes(want), dotsDoubled: newDamageHashes(want), trimmed: newDamageHashes(want)}
}

// damageHashes are the hashes of one text by every function that is wanted.
type damageHashes []damageHash

type damageHash struct {
	id    sigalg.Hash
	state hash.Hash
}

func newDamageHashes(want []wantedDigest) (hs damageHashes) {
	for _, w := range want {
		if w.hash.Valid() && !slices.ContainsFunc(hs, func(h damageHash) bool { return h.id == w.hash }) {
			hs = append(hs, damageHash{w.hash, w.hash.New()})
		}
	}
	return hs
}

// cost returns what an octet costs, in those of SHA-256.
func (d *damage) cost() int {
	n := 0
	for _, h := range d.trimmed {
		n += 3 * h.id.Cost() // with each of the changes undone
	}
	return n
}

func (hs damageHashes) write(p []byte) {
	for _, h := range hs {
		h.state.Write(p)
	}
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
	d.fromQuoted.write(undone)
	undone = line
	if !d.midst && bytes.HasPrefix(line, []byte("..")) {
		undone = line[1:]
	}
	d.dotsDoubled.write(undone)

	text, ended := bytes.CutSuffix(line, []byte("\r\n"))
	if len(text) > 0 {
		d.flush()
	}
	d.trimmed.write(text)
	if ended {
		d.held++
	}
	if d.held == 1 && d.sums < damageSums {
		d.sums += 2 * len(d.trimmed)
		d.prefix()
	}
}

// flush writes the line ends that turned out not to be the last.
func (d *damage) flush() {
	for ; d.held > 0; d.held-- {
		d.trimmed.write([]byte("\r\n"))
	}
}

// prefix asks whether what has been seen so far is what was signed: the rest was added.
func (d *damage) prefix() {
	if d.matches(d.trimmed, "") || d.matches(d.trimmed, "\r\n") {
		d.note("relay.text_added")
	}
}

// finish returns the codes of the changes that explain the digest.
func (d *damage) finish() []string {
	if len(d.line) > 0 {
		d.take(d.line)
		d.line = nil
	}
	if d.matches(d.fromQuoted, "") {
		d.note("relay.from_quoted")
	}
	if d.matches(d.dotsDoubled, "") {
		d.note("relay.dots_doubled")
	}
	if d.matches(d.trimmed, "") || d.matches(d.trimmed, "\r\n") {
		// Not text, only line ends were added or taken away behind it.
		d.found = []string{"relay.blank_lines"}
	}
	return d.found
}

// matches reports whether a text, with an end behind it, has a digest that was signed. Each
// digest is computed once, however many signers want one.
func (d *damage) matches(hs damageHashes, end string) bool {
	for _, h := range hs {
		state := h.state
		if end != "" {
			clone, err := state.(hash.Cloner).Clone()
			if err != nil {
				panic("smime: " + err.Error()) // every hash function of package sigalg clones
			}
			state = clone
			state.Write([]byte(end))
		}
		d.sum = state.Sum(d.sum[:0])
		for _, w := range d.want {
			if w.hash == h.id && bytes.Equal(d.sum, w.digest) {
				return true
			}
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
