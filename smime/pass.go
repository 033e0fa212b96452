package smime

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"slices"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/hp"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mimeraw"
	"github.com/postseal/postseal/internal/sigalg"
)

// A pass reads a message once, from the outermost layer to the content. Each layer is a
// reader stacked on the one around it; when the content has run dry the layers complete
// from the innermost out, because signatures and tags follow what they cover. Nothing is
// looked up or judged until then.
type pass struct {
	ctx  context.Context
	o    *Opener
	form form
	sink io.Writer

	oneShot bool          // the source cannot be read again
	exact   bool          // hash detached parts as received, not in canonical form
	digests []sigalg.Hash // digests to compute beyond the announced ones

	layers      []layerReader
	outer       *mimeraw.Header // of the message as it arrived; nil for a bare structure
	innerHeader *mimeraw.Header // of the content; nil for a bare structure
	protection  *protection     // of the header; nil if there is none
	between     *hp.Protected   // what encryption around another layer says of it; nil if nothing
	parts       []*Layer        // protected parts inside the content
	author      author
	subject     string
	content     Content
	hash        *cms.Digests // of the content
	hashed      bool         // the innermost layer computes it
	sums        int          // hashes that are computed
	bytesBeside int64        // of all layers, beside their contents
	bytesCerts  int64        // of certificates among them
	spent                    // for signatures
	beside      spent        // for what stands beside them
	problems    []problem
	warnings    []string
	stamps      map[*cms.SignerInfo][]*Signature // judged so far
	stampOctets int                              // of certificates in them

	wantExact   bool          // a signature covers the octets as received
	wantDigests []sigalg.Hash // a signature uses a digest that was not computed

	damage, wantDamage []wantedDigest // digests that were signed, of parts that have others
}

// A spent is the work done so far, in the passes before too.
type spent struct {
	checks int // signatures verified
	work   int // what they cost, in the unit of sigalg.Cost
	budget int // what is left for paths, see chain.Request
	names  int // compared that are not the same octets

	received, digested int64 // octets, the latter in those of SHA-256
}

// A layerReader is a layer while it is being read.
type layerReader interface {
	// next is the reader of what the layer protects; nil if it is out of reach.
	next() io.Reader
	// complete reads the rest of the layer after its content and checks that it ends
	// where it must.
	complete() error
	// report returns the layer's part of the report, complete once judge was called.
	report() *Layer
}

// A problem is a reason against a message, found at a depth: 0 is the message itself,
// n is inside the n-th layer.
type problem struct {
	depth int
	code  string
}

func newPass(ctx context.Context, o *Opener, sink io.Writer, f form) *pass {
	return &pass{ctx: ctx, o: o, sink: sink, form: f, hash: cms.NewDigests(sigalg.SHA256), spent: spent{budget: limits.PathWork}, beside: spent{budget: limits.EvidencePathWork}}
}

// next returns the pass to make after this one.
func (p *pass) next() *pass {
	q := newPass(p.ctx, p.o, p.sink, p.form)
	q.exact = p.exact || p.wantExact
	q.digests = append(append(q.digests, p.digests...), p.wantDigests...)
	q.damage = append(append(q.damage, p.damage...), p.wantDamage...)
	q.spent, q.beside = p.spent, p.beside
	return q
}

func (p *pass) wantsMore() bool {
	_, report := p.sink.(nowhere)
	return p.wantExact && !p.exact || len(p.wantDigests) > 0 ||
		len(p.wantDamage) > 0 && len(p.damage) == 0 && report
}

// run reads src to its end and returns the report. The error is nil unless reading src
// or writing the content failed.
func (p *pass) run(src io.Reader) (*Report, error) {
	in := &source{ctx: p.ctx, r: src, n: &p.received}
	var err error
	if p.form.bare {
		err = p.walkCMS(in)
	} else {
		err = p.walkMIME(in)
	}
	beyond := beyondLimit(err)
	if err = p.failure(in, err); err != nil {
		return nil, err
	}
	for i := len(p.layers) - 1; i >= 0; i-- {
		e, encrypted := p.layers[i].(*encryptedLayer)
		err := beyond // which nothing more is read for, but whether it was deciphered
		if beyond == nil || encrypted {
			err = p.layers[i].complete()
		}
		beyond = cmp.Or(beyond, beyondLimit(err))
		if err == nil || in.err == nil && !endsCall(err) {
			err = p.settle(i, err)
		}
		if encrypted && !e.layer.Decrypted {
			beyond = nil
		}
		if err = p.failure(in, err); err != nil {
			return nil, err
		}
	}
	p.judge()
	return p.verdict(), p.ctx.Err()
}

// beyondLimit returns err if it says that the message went beyond a limit.
func beyondLimit(err error) error {
	if errors.As(err, new(*limits.Exceeded)) {
		return err
	}
	return nil
}

// failure records err as a problem of the message, or returns it if it is not the
// message's fault.
func (p *pass) failure(in *source, err error) error {
	switch {
	case err == nil:
		return nil
	case in.err != nil:
		return &readError{in.err}
	case endsCall(err):
		return err
	}
	p.problems = append(p.problems, problem{len(p.layers), codeOf(err)})
	return nil
}

// endsCall reports whether err says nothing about the message but that its reading ends here.
func endsCall(err error) bool {
	return errors.As(err, new(*sinkError)) || errors.As(err, new(*abandoned)) || errors.As(err, new(*panicError))
}

// settle completes the account of layer i. A decryption that failed takes everything
// found inside it along, so that no trace of the garbage shows which step failed; so does
// anything malformed inside encryption that does not protect integrity (RFC 8551,
// Section 6; threats.md, C07 to C10).
func (p *pass) settle(i int, err error) error {
	e, ok := p.layers[i].(*encryptedLayer)
	if !ok {
		if err != nil {
			p.problems = append(p.problems, problem{i, codeOf(err)})
		}
		return nil
	}
	if !e.unlocked {
		return err
	}
	inside := false
	for _, q := range p.problems {
		inside = inside || q.depth > i
	}
	if err == nil && (!inside || e.layer.Authenticated) {
		e.layer.Decrypted = true
		return nil
	}
	p.layers = p.layers[:i+1]
	kept := p.problems[:0]
	for _, q := range p.problems {
		if q.depth <= i {
			kept = append(kept, q)
		}
	}
	p.problems = append(kept, problem{i, e.failure()})
	p.warnings = nil
	p.protection, p.between, p.parts = nil, nil, nil
	p.wantDigests, p.wantExact, p.wantDamage = nil, false, nil
	return nil
}

// walkMIME descends through the layers of a message.
func (p *pass) walkMIME(r io.Reader) error {
	for first := true; ; first = false {
		entity, err := mimeraw.ReadEntity(r)
		if err != nil {
			return err
		}
		headless := slices.Contains(entity.Header.Codes(), mimeraw.CodeNoHeader)
		switch {
		case first && headless:
			return &syntaxError{mimeraw.CodeNoHeader, "the input does not begin with a header"}
		case first:
			p.readOuter(entity.Header)
		case headless: // all of it is content (threats.md, E16)
			p.warnings = append(p.warnings, mimeraw.CodeNoHeader)
		}
		layer, err := p.layerOf(entity)
		if err != nil {
			return err
		}
		if layer == nil {
			return p.release(entity)
		}
		if _, encrypted := p.cryptographic(); encrypted {
			if h := hp.Read(entity.Header); h.Mode == hp.Cipher {
				p.between = h
			}
		}
		if len(p.layers) == limits.Layers {
			return &limits.Exceeded{What: "layers", Max: limits.Layers}
		}
		p.layers = append(p.layers, layer)
		if r = layer.next(); r == nil {
			return nil
		}
		if l, ok := layer.(*signedLayer); ok {
			if p.sums += len(l.digests.Hashes()); p.sums > limits.Digests {
				return &limits.Exceeded{What: "digests", Max: limits.Digests}
			}
			r = &hashedReader{r, p, l}
		}
	}
}

// A hashedReader is the content of a signed layer as long as the message is worth the work:
// each layer around the content hashes all of it, by as many functions as are announced.
type hashedReader struct {
	r io.Reader
	p *pass
	l *signedLayer
}

func (h *hashedReader) Read(b []byte) (int, error) {
	if h.p.digested > limits.DigestWork+limits.DigestRatio*h.p.received {
		return 0, &limits.Exceeded{What: "octets to hash", Max: limits.DigestWork}
	}
	n, err := h.r.Read(b)
	h.p.digested += int64(n) * int64(h.l.hashCost())
	return n, err
}

// walkCMS reads one bare CMS structure; its content is octets.
func (p *pass) walkCMS(r io.Reader) error {
	layer, err := p.cmsLayer(r, nil)
	if err != nil {
		return err
	}
	if p.form.detached != nil {
		if err := p.attach(layer); err != nil {
			p.problems = append(p.problems, problem{len(p.layers), codeOf(err)})
		}
	}
	p.layers = append(p.layers, layer)
	content := layer.next()
	if content == nil {
		return nil
	}
	p.shareHash()
	p.content.Type = "application/octet-stream" // it is octets, whatever they mean
	_, err = io.Copy(p.out(), content)
	return err
}

// release passes the innermost entity on, octet for octet.
func (p *pass) release(e *mimeraw.Entity) error {
	p.innerHeader = e.Header
	p.shareHash()
	mt, _ := mediaType(e)
	p.content.Type = mt.Type
	out := p.out()
	odd := new(oddOctets)
	if p.malleable() {
		odd.Write(e.Header.Raw)
		if _, n := e.Header.Get("Content-Type"); n == 0 {
			out = io.MultiWriter(out, odd)
		}
	}
	if _, err := out.Write(e.Header.Raw); err != nil {
		return err
	}
	inner, err := p.protect(e, out)
	if err != nil {
		return err
	}
	if err := p.survey(e, inner, out); err != nil {
		return err
	}
	if odd.seen {
		return &syntaxError{"mime.control", "control characters where text was deciphered"}
	}
	return nil
}

// shareHash takes the hash of the content from the innermost layer, if that is signed and
// computes it anyway: it is of the same octets, all that the layer's reader hands out.
func (p *pass) shareHash() {
	if len(p.layers) == 0 {
		return
	}
	l, ok := p.layers[len(p.layers)-1].(*signedLayer)
	if ok && l.digests != nil && slices.Contains(l.digests.Hashes(), sigalg.SHA256) {
		p.hash, p.hashed = l.digests, true
	}
}

// oddOctets notices control characters, which neither a header holds nor a body that says
// of itself, by saying nothing, that it is text (RFC 2045, Section 5.2). What came out of
// encryption that does not protect integrity is otherwise hard to tell from what another
// key, or a changed ciphertext, makes of it (threats.md, C02 and C07).
type oddOctets struct{ seen bool }

func (o *oddOctets) Write(b []byte) (int, error) {
	if o.seen {
		return len(b), nil
	}
	for _, c := range b {
		if c < ' ' && (c < '\t' || c > '\r') && c != 0x1b {
			o.seen = true
			break
		}
	}
	return len(b), nil
}

// out is where content goes: to the sink, hashed and counted.
func (p *pass) out() io.Writer { return &contentWriter{p} }

type contentWriter struct{ p *pass }

func (w *contentWriter) Write(b []byte) (int, error) {
	if !w.p.hashed {
		w.p.hash.Write(b)
	}
	w.p.content.Bytes += int64(len(b))
	n, err := wholeWriter{w.p.sink}.Write(b)
	if err != nil {
		return n, &sinkError{err}
	}
	return n, nil
}

func (p *pass) released() *Content {
	c := p.content
	sum, _ := p.hash.Sum(sigalg.SHA256)
	c.SHA256 = hex.EncodeToString(sum)
	return &c
}

// A sinkError is a failure to write the content: the caller's, not the message's.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return "smime: writing the content: " + e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }

// A readError is a failure to read the source.
type readError struct{ err error }

func (e *readError) Error() string { return "smime: reading the message: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// A source remembers an error of the caller's reader, so that it is never taken for a
// defect of the message, and ends when the context does.
type source struct {
	ctx context.Context
	r   io.Reader
	n   *int64 // counts the octets
	err error
}

func (s *source) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		s.err = err
		return 0, err
	}
	n, err := s.r.Read(b)
	*s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

const (
	codeDecrypt = "decrypt.failed"
	codeNoKey   = "decrypt.no_key"
)

// codeOf names the code of an error from a lower layer.
func codeOf(err error) string {
	var (
		limit       *limits.Exceeded
		coded       interface{ Code() string }
		text        *mimeraw.SyntaxError
		structure   *cms.SyntaxError
		unsupported *cms.UnsupportedError
	)
	switch {
	case errors.As(err, &limit):
		return "limit.exceeded"
	case errors.Is(err, cms.ErrDecrypt):
		return codeDecrypt
	case errors.Is(err, cms.ErrDigest):
		return "digest.mismatch"
	case errors.As(err, &coded):
		return coded.Code()
	case errors.As(err, &text):
		return text.Code
	case errors.As(err, &unsupported):
		return "cms.unsupported"
	case errors.Is(err, ber.ErrTrailingData):
		return "cms.trailing_data"
	case errors.As(err, &structure) && errors.Is(err, io.ErrUnexpectedEOF):
		return "cms.truncated"
	case errors.As(err, &structure):
		return "cms.malformed"
	}
	return "message.malformed"
}
