package mimeraw

import (
	"encoding/base64"
	"encoding/binary"
	"io"

	"github.com/postseal/postseal/internal/offload"
)

const (
	base64Buffer = 32 << 10 // the size of the pieces in which base64 is read and written
	firstBase64  = 8 << 10  // of the first one: most texts are short
)

// Base64Decoder returns a reader of the octets that r holds in base64 (RFC 2045, Section
// 6.8). CR, LF, space and tab are passed over wherever they stand; any other octet outside
// the alphabet, bits that are not zero behind the last octet, and anything behind the
// padding are errors with the code [CodeBase64]. Text that ends within a group, so without
// its padding too, is an error that wraps io.ErrUnexpectedEOF.
//
// The reader is an io.WriterTo as well. Of a long text it reads some more than it has given
// out, and decodes that on another core.
func Base64Decoder(r io.Reader) io.Reader { return &base64Decoder{r: r} }

type base64Decoder struct {
	r       io.Reader
	in      []byte
	out     []byte         // room for what one piece decodes to
	ready   []byte         // decoded and not yet read
	total   int            // octets read from r so far, up to offload.Threshold
	line    *offload.Line  // nil for as long as the text is short
	taken   *offload.Piece // that ready is part of
	readErr error          // of r, when there is a line
	err     error
	base64State
}

// A base64State is how far a text has been decoded.
type base64State struct {
	group  [4]byte // octets of a group that is not complete
	n      int     // how many
	ended  bool    // padding has been seen
	offset int64   // of what is decoded next
}

func (d *base64Decoder) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !d.more() {
		return 0, d.err
	}
	n := copy(p, d.ready)
	d.ready = d.ready[n:]
	return n, nil
}

// WriteTo implements io.WriterTo.
func (d *base64Decoder) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for d.more() {
		n, err := w.Write(d.ready)
		total += int64(n)
		if err == nil && n < len(d.ready) {
			err = io.ErrShortWrite
		}
		d.ready = d.ready[n:]
		if err != nil {
			return total, err
		}
	}
	if d.err == io.EOF {
		return total, nil
	}
	return total, d.err
}

// more makes octets ready. If it returns false, d.err says why.
func (d *base64Decoder) more() bool {
	for len(d.ready) == 0 {
		switch {
		case d.err != nil:
			return false
		case d.total < offload.Threshold:
			d.decodeHere()
		default:
			d.decodeAhead()
		}
	}
	return true
}

// decodeHere reads and decodes one piece.
func (d *base64Decoder) decodeHere() {
	if len(d.in) == 0 || len(d.in) < base64Buffer && d.total >= len(d.in) {
		size := firstBase64
		if d.in != nil {
			size = base64Buffer
		}
		d.in, d.out = make([]byte, size), make([]byte, size/4*3+8)
	}
	var n int
	n, d.readErr = readSome(d.r, d.in)
	d.total += n
	d.ready, d.err = d.decode(d.out, d.in[:n])
	d.end()
}

// decodeAhead begins with as many pieces as are worth it and waits for the oldest.
func (d *base64Decoder) decodeAhead() {
	if d.line == nil {
		d.in, d.out = nil, nil
		d.line = offload.NewLine(true, func(p *offload.Piece) {
			p.Out, p.Err = d.decode(p.Room()[:offload.PieceSize], p.In)
		})
	}
	if d.taken != nil {
		d.taken.Free()
		d.taken = nil
	}
	for d.readErr == nil && !d.line.Full() {
		p := offload.NewPiece()
		for d.readErr == nil && len(p.In) < offload.PieceSize/2 {
			var n int
			n, d.readErr = readSome(d.r, p.In[len(p.In):offload.PieceSize])
			p.In = p.In[:len(p.In)+n]
		}
		d.line.Put(p)
	}
	if d.line.Empty() {
		d.end()
		return
	}
	d.taken = d.line.Take()
	d.ready, d.err = d.taken.Out, d.taken.Err
}

// end takes over the error of the source once everything before it has been decoded.
func (d *base64Decoder) end() {
	if d.err == nil && d.readErr == io.EOF && d.n > 0 {
		d.err = truncated(CodeBase64, "base64 ends within a group", d.offset)
	} else if d.err == nil {
		d.err = d.readErr
	}
}

// readSome reads at least one octet, or returns an error.
func readSome(r io.Reader, p []byte) (int, error) {
	for range 100 {
		if n, err := r.Read(p); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// decode decodes in into out and returns what it decoded, and an error if there is
// something in the way; nothing is decoded after one. out has room for all of it.
func (d *base64State) decode(out, in []byte) ([]byte, error) {
	o := 0
	defer func() { d.offset += int64(len(in)) }()
	for i := 0; i < len(in); {
		if d.n == 0 && !d.ended {
			n := decodeLines(out[o:], in[i:])
			i, o = i+n, o+n/(lineLetters+2)*lineOctets
			n = decodeGroups(out[o:], in[i:])
			i, o = i+n, o+n/4*3
			if i+1 < len(in) && in[i] == '\r' && in[i+1] == '\n' {
				i += 2
				continue
			}
			if i == len(in) {
				break
			}
		}
		c := in[i]
		i++
		if c == '\n' || c == '\r' || c == ' ' || c == '\t' {
			continue
		}
		padding := c == '=' && d.n >= 2
		switch {
		case d.ended:
			return out[:o], d.fail("text behind the padding of base64", i-1)
		case !padding && (d.padded() || base64Value(c) < 0):
			return out[:o], d.fail("an octet that is not base64", i-1)
		}
		d.group[d.n] = c
		d.n++
		if d.n < 4 {
			continue
		}
		v, octets := d.group, 3
		d.n = 0
		if v[3] == '=' {
			octets--
			v[3] = 'A'
			d.ended = true
		}
		if v[2] == '=' {
			octets--
			v[2] = 'A'
		}
		word := base64Group[0][v[0]] | base64Group[1][v[1]] | base64Group[2][v[2]] | base64Group[3][v[3]]
		word <<= 8
		for range octets {
			out[o] = byte(word >> 24)
			word <<= 8
			o++
		}
		if word != 0 {
			return out[:o-octets], d.fail("base64 with bits that belong to no octet", i-1)
		}
	}
	return out[:o], nil
}

// padded reports whether the group being collected has padding in it already.
func (d *base64State) padded() bool { return d.n == 3 && d.group[2] == '=' }

func (d *base64State) fail(what string, i int) error {
	return &SyntaxError{Code: CodeBase64, What: what, Offset: d.offset + int64(i)}
}

// decodeLines decodes whole lines as [Base64Encoder] writes them from the beginning of in, as
// far as there are any, and returns how many octets of in it has used.
func decodeLines(out, in []byte) int {
	all := len(in)
	for len(in) >= lineLetters+2 && len(out) >= lineOctets {
		if !decodeLine((*[lineOctets]byte)(out), (*[lineLetters + 2]byte)(in)) {
			break
		}
		in, out = in[lineLetters+2:], out[lineOctets:]
	}
	return all - len(in)
}

// decodeLine decodes a line, sixteen letters at a time; the last sixteen begin with four
// that have been decoded before. If it returns false, what is in out means nothing.
func decodeLine(out *[lineOctets]byte, in *[lineLetters + 2]byte) bool {
	if in[lineLetters] != '\r' || in[lineLetters+1] != '\n' {
		return false
	}
	bad := decode16((*[12]byte)(out[0:]), (*[16]byte)(in[0:]))
	bad |= decode16((*[12]byte)(out[12:]), (*[16]byte)(in[16:]))
	bad |= decode16((*[12]byte)(out[24:]), (*[16]byte)(in[32:]))
	bad |= decode16((*[12]byte)(out[36:]), (*[16]byte)(in[48:]))
	bad |= decode16((*[12]byte)(out[45:]), (*[16]byte)(in[60:]))
	return int32(bad) >= 0
}

// decode16 decodes four groups. If the sign bit of the result is set they were none.
func decode16(out *[12]byte, in *[16]byte) uint32 {
	t0, t1, t2, t3 := &base64Group[0], &base64Group[1], &base64Group[2], &base64Group[3]
	v := t0[in[0]] | t1[in[1]] | t2[in[2]] | t3[in[3]]
	w := t0[in[4]] | t1[in[5]] | t2[in[6]] | t3[in[7]]
	x := t0[in[8]] | t1[in[9]] | t2[in[10]] | t3[in[11]]
	y := t0[in[12]] | t1[in[13]] | t2[in[14]] | t3[in[15]]
	binary.BigEndian.PutUint64(out[:8], uint64(v)<<40|uint64(w)<<16|uint64(x)>>8)
	binary.BigEndian.PutUint32(out[8:12], x<<24|y)
	return v | w | x | y
}

// decodeGroups decodes groups of four letters from the beginning of in, as far as they go
// without anything in between, and returns how many octets of in it has used. out must
// have room for eight octets more than they decode to.
func decodeGroups(out, in []byte) int {
	t0, t1, t2, t3 := &base64Group[0], &base64Group[1], &base64Group[2], &base64Group[3]
	all := len(in)
	for len(in) >= 16 && len(out) >= 12 && int32(decode16((*[12]byte)(out), (*[16]byte)(in))) >= 0 {
		in, out = in[16:], out[12:]
	}
	for len(in) >= 4 && len(out) >= 4 {
		s := in[:4]
		v := t0[s[0]] | t1[s[1]] | t2[s[2]] | t3[s[3]]
		if int32(v) < 0 {
			break
		}
		binary.BigEndian.PutUint32(out[:4], v<<8)
		in, out = in[4:], out[3:]
	}
	return all - len(in)
}

// base64Value returns the value of a letter of the alphabet, or a negative number.
func base64Value(c byte) int { return int(int32(base64Group[3][c])) }

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// base64Group[p][c] holds the bits of the alphabet's letter c at place p of a group, and
// for every other octet a word with the sign bit set.
var base64Group = func() (t [4][256]uint32) {
	for p := range t {
		for c := range t[p] {
			t[p][c] = 1 << 31
		}
		for v := range len(alphabet) {
			t[p][alphabet[v]] = uint32(v) << (18 - 6*p)
		}
	}
	return t
}()

// base64Pair holds the two letters for twelve bits, the first one in the low octet.
var base64Pair = func() (t [1 << 12]uint16) {
	for v := range t {
		t[v] = uint16(alphabet[v>>6]) | uint16(alphabet[v&63])<<8
	}
	return t
}()

const (
	lineOctets  = 57 // in a line of 76 letters
	lineLetters = 76
)

// Base64Encoder returns a writer that gives w everything in base64, in lines of 76 letters
// that end in CRLF (RFC 2045, Section 6.8). Of a long text several pieces are encoded at
// once, on other cores. Close writes what is left; it does not close w.
func Base64Encoder(w io.Writer) io.WriteCloser { return &base64Encoder{w: w} }

type base64Encoder struct {
	w      io.Writer
	line   [lineOctets]byte // the beginning of a line
	n      int
	out    []byte
	total  int            // octets written so far, up to offload.Threshold
	ahead  *offload.Line  // nil for as long as the text is short
	next   *offload.Piece // being filled
	closed bool
	err    error
}

func (e *base64Encoder) Write(p []byte) (int, error) {
	if e.closed {
		return 0, io.ErrClosedPipe
	}
	if e.err != nil {
		return 0, e.err
	}
	if e.total >= offload.Threshold {
		return e.writeAhead(p)
	}
	all := len(p)
	e.total += all
	if e.n > 0 {
		n := copy(e.line[e.n:], p)
		e.n, p = e.n+n, p[n:]
		if e.n < lineOctets {
			return all, nil
		}
		e.add(e.line[:])
		e.n = 0
	}
	for len(p) >= lineOctets && e.err == nil {
		e.add(p[:lineOctets])
		p = p[lineOctets:]
	}
	e.flush()
	if e.err != nil {
		return all - len(p), e.err
	}
	e.n = copy(e.line[:], p)
	return all, nil
}

// writeAhead is Write for a long text.
func (e *base64Encoder) writeAhead(p []byte) (int, error) {
	const whole = offload.PieceSize / (lineLetters + 2) * lineOctets
	if e.ahead == nil {
		e.out = nil
		e.ahead = offload.NewLine(false, encodePiece)
	}
	all := len(p)
	for len(p) > 0 && e.err == nil {
		if e.next == nil {
			e.next = offload.NewPiece()
			e.next.In = append(e.next.In, e.line[:e.n]...)
			e.n = 0
		}
		n := min(len(p), whole-len(e.next.In))
		e.next.In = append(e.next.In, p[:n]...)
		p = p[n:]
		if len(e.next.In) == whole {
			e.begin()
		}
	}
	return all - len(p), e.err
}

// begin puts the next piece to work.
func (e *base64Encoder) begin() {
	if e.ahead.Full() {
		e.pass()
	}
	e.ahead.Put(e.next)
	e.next = nil
}

// pass writes the oldest piece.
func (e *base64Encoder) pass() {
	p := e.ahead.Take()
	if e.err == nil {
		e.err = writeAll(e.w, p.Out)
	}
	p.Free()
}

// Close implements io.Closer.
func (e *base64Encoder) Close() error {
	if e.closed {
		return e.err
	}
	e.closed = true
	if e.next != nil {
		e.begin()
	}
	for e.ahead != nil && !e.ahead.Empty() {
		e.pass()
	}
	if e.n > 0 && e.err == nil {
		e.add(e.line[:e.n])
		e.flush()
	}
	return e.err
}

// add encodes one line into out.
func (e *base64Encoder) add(line []byte) {
	const letters = lineLetters + 2
	if len(e.out)+letters > cap(e.out) {
		e.flush()
		size := firstBase64
		if e.out != nil {
			size = base64Buffer
		}
		if cap(e.out) < size/letters*letters {
			e.out = make([]byte, 0, size/letters*letters)
		}
	}
	e.out = appendLine(e.out, line)
}

// encodePiece encodes whole lines, and the last line of a text behind them.
func encodePiece(p *offload.Piece) {
	in, out := p.In, p.Room()
	for len(in) >= lineOctets {
		out = appendLine(out, in[:lineOctets])
		in = in[lineOctets:]
	}
	if len(in) > 0 {
		out = appendLine(out, in)
	}
	p.Out = out
}

// appendLine encodes one line to the end of out, which has room for it.
func appendLine(out, line []byte) []byte {
	if len(line) < lineOctets {
		return append(base64.StdEncoding.AppendEncode(out, line), '\r', '\n')
	}
	n := len(out)
	out = out[:n+lineLetters+2]
	encodeLine((*[lineLetters + 2]byte)(out[n:]), (*[lineOctets]byte)(line))
	return out
}

// encodeLine encodes a whole line, six octets at a time.
func encodeLine(out *[lineLetters + 2]byte, in *[lineOctets]byte) {
	for i, o := 0, 0; i < 54; i, o = i+6, o+8 {
		w := binary.BigEndian.Uint64(in[i:])
		binary.LittleEndian.PutUint64(out[o:], uint64(base64Pair[w>>52])|uint64(base64Pair[w>>40&0xfff])<<16|
			uint64(base64Pair[w>>28&0xfff])<<32|uint64(base64Pair[w>>16&0xfff])<<48)
	}
	w := uint32(in[54])<<16 | uint32(in[55])<<8 | uint32(in[56])
	binary.LittleEndian.PutUint32(out[72:], uint32(base64Pair[w>>12])|uint32(base64Pair[w&0xfff])<<16)
	out[76], out[77] = '\r', '\n'
}

func (e *base64Encoder) flush() {
	if len(e.out) > 0 && e.err == nil {
		e.err = writeAll(e.w, e.out)
	}
	e.out = e.out[:0]
}
