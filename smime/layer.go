package smime

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mimeraw"
	"github.com/postseal/postseal/internal/sigalg"
)

// A syntaxError is a defect of the message's form, named by its code.
type syntaxError struct{ code, detail string }

func (e *syntaxError) Error() string { return e.detail }
func (e *syntaxError) Code() string  { return e.code }

// layerOf returns the layer that an entity is, or nil if it is content. The label only
// says where to look; what the layer is, the CMS structure decides (threats.md, A19).
func (p *pass) layerOf(e *mimeraw.Entity) (layerReader, error) {
	mt, labelled := mediaType(e)
	switch {
	case mt.Type == "multipart/signed" && smimeProtocol(mt.Params["protocol"]):
		return p.multipartSigned(e, mt)
	case isTNEF(e, mt):
		return p.tnefLayer(e)
	case cmsType(mt.Type), namedCMS(e.Header, mt, labelled):
		if _, err := e.MediaType(); err != nil {
			p.warnings = append(p.warnings, codeOf(err))
		}
		body, err := e.Decoded()
		if err != nil {
			return nil, err
		}
		layer, err := p.cmsLayer(body, &mt)
		if err != nil && mt.Type == "application/octet-stream" {
			return nil, &syntaxError{"cms.malformed", "the attachment named as CMS is not CMS: " + err.Error()}
		}
		return layer, err
	case maybeCMS(mt):
		return p.hiddenLayer(e, mt)
	}
	return nil, nil
}

// hiddenLayer returns the layer that an entity is whose label does not say so, or nil if it
// is ordinary content; e then still has all of its body. What a limit or something else than
// the message put an end to is neither.
func (p *pass) hiddenLayer(e *mimeraw.Entity, mt mimeraw.MediaType) (layerReader, error) {
	seen := &recorder{r: e.Body}
	body, err := (&mimeraw.Entity{Header: e.Header, Body: seen}).Decoded()
	if err != nil {
		return nil, nil // content, in an encoding that nobody has to know
	}
	data := bufio.NewReader(body)
	if start, _ := data.Peek(64); cmsStart(start) {
		problems, warnings := len(p.problems), len(p.warnings)
		layer, err := p.cmsLayer(data, &mt)
		if endsCall(err) || errors.As(err, new(*limits.Exceeded)) {
			return nil, err
		}
		if err == nil {
			seen.stop()
			p.warnings = append(p.warnings, "mime.hidden_type")
			return layer, nil
		}
		p.problems, p.warnings = p.problems[:problems], p.warnings[:warnings]
	}
	e.Body = seen.again()
	return nil, nil
}

// cmsLayer returns the layer of a CMS structure. mt is the label it came with, or nil.
func (p *pass) cmsLayer(r io.Reader, mt *mimeraw.MediaType) (layerReader, error) {
	content, err := cms.Open(r)
	if err != nil {
		return nil, err
	}
	if mt != nil {
		p.checkLabel(content, mt.Params["smime-type"])
	}
	switch c := content.(type) {
	case *cms.SignedData:
		return p.opaqueSigned(c)
	case *cms.EnvelopedData:
		return p.encrypted(c)
	case *cms.CompressedData:
		inside := 0
		for _, l := range p.layers {
			if _, ok := l.(*compressedLayer); ok {
				inside++
			}
		}
		if inside == limits.CompressedLayers {
			return nil, &limits.Exceeded{What: "compressed layers", Max: limits.CompressedLayers}
		}
		return &compressedLayer{c, &Layer{Kind: "compressed", Algorithm: "zlib"}}, nil
	}
	if p.form.bare {
		if layer, err := p.bareLayer(content); layer != nil || err != nil {
			return layer, err
		}
	}
	return nil, &syntaxError{"cms.unsupported", "the content type " + content.Type().String() + " has no place in a message"}
}

// checkLabel warns when smime-type promises another structure (RFC 8551, Section 3.2.2).
func (p *pass) checkLabel(c cms.Content, smimeType string) {
	var want string
	switch c := c.(type) {
	case *cms.SignedData:
		want = "signed-data"
		if strings.EqualFold(smimeType, "certs-only") && !c.HasContent() {
			return
		}
	case *cms.EnvelopedData:
		want = "enveloped-data"
		if c.Authenticated() {
			want = "authenveloped-data"
		}
	case *cms.CompressedData:
		want = "compressed-data"
	}
	if smimeType != "" && !strings.EqualFold(smimeType, want) {
		p.warnings = append(p.warnings, "mime.smime_type")
	}
}

// multipartSigned reads a multipart/signed entity (RFC 1847, Section 2.1).
func (p *pass) multipartSigned(e *mimeraw.Entity, mt mimeraw.MediaType) (layerReader, error) {
	parts, err := e.Multipart()
	if err != nil {
		return nil, err
	}
	part, err := parts.NextPart()
	if err == io.EOF {
		return nil, &syntaxError{"mime.signed_parts", "multipart/signed without any part"}
	}
	if err != nil {
		return nil, err
	}
	l := &signedLayer{layer: &Layer{Kind: "signed", Form: "multipart"}, depth: len(p.layers) + 1}
	l.digests = cms.NewDigests(p.candidates(mt.Params["micalg"])...)
	canon := &canonicalReader{r: part, exact: p.exact, digests: l.digests}
	canon.canon = mimeraw.NewCanonicaliser(&canon.buf)
	if len(p.damage) > 0 {
		l.damage = newDamage(p.damage)
		canon.damage = l.damage
	}
	l.content, l.canonical = canon, canon
	l.finish = func() error {
		l.received = canon.received
		err := p.signaturePart(l, parts)
		if err != nil {
			// That the multipart does not end says more than what its last part lacks.
			if end := lastError(parts); errors.Is(end, io.ErrUnexpectedEOF) {
				return end
			}
		}
		return err
	}
	return l, nil
}

// candidates lists the digests to compute before the signature has been seen: those that
// micalg names and, where a second pass is impossible, every other allowed one.
func (p *pass) candidates(micalg string) []sigalg.Hash {
	var hs []sigalg.Hash
	add := func(h sigalg.Hash) {
		for _, x := range hs {
			if x == h {
				return
			}
		}
		if p.allowed(h) {
			hs = append(hs, h)
		}
	}
	for name := range strings.SplitSeq(micalg, ",") {
		if h, ok := sigalg.HashByName(name); ok {
			add(h)
		}
	}
	for _, h := range p.digests {
		add(h)
	}
	if len(hs) == 0 || p.oneShot {
		for _, h := range usualHashes() {
			add(h)
		}
	}
	return hs
}

// allowed reports whether message signatures over h may count at all.
func (p *pass) allowed(h sigalg.Hash) bool {
	return !h.Weak() || h == sigalg.SHA1 && p.o.AllowSHA1 || h == sigalg.MD5 && p.o.AllowMD5
}

// usualHashes lists what mail is signed with.
func usualHashes() []sigalg.Hash {
	return []sigalg.Hash{sigalg.SHA256, sigalg.SHA384, sigalg.SHA512, sigalg.SHA1, sigalg.MD5}
}

// lastError reads a multipart to its end and returns what is wrong with it.
func lastError(parts *mimeraw.Multipart) error {
	for {
		if _, err := parts.NextPart(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// signaturePart reads the second part of a multipart/signed entity and its end.
func (p *pass) signaturePart(l *signedLayer, parts *mimeraw.Multipart) error {
	part, err := parts.NextPart()
	if err == io.EOF {
		return &syntaxError{"mime.signed_parts", "multipart/signed without a signature part"}
	}
	if err != nil {
		return err
	}
	e, err := mimeraw.ReadEntity(part)
	if err != nil {
		return err
	}
	if mt, labelled := mediaType(e); !cmsType(mt.Type) && !namedCMS(e.Header, mt, labelled) {
		return &syntaxError{"mime.signed_parts", "the second part of multipart/signed is not a signature but " + mt.Type}
	}
	body, err := e.Decoded()
	if err != nil {
		return err
	}
	content, err := cms.Open(&boundedReader{body, limits.SignaturePart})
	if err != nil {
		return err
	}
	sd, ok := content.(*cms.SignedData)
	if !ok {
		return &syntaxError{"cms.unsupported", "the signature part holds no SignedData"}
	}
	// Two contents never agree about what was signed, not even when they are equal
	// (threats.md, A01).
	if sd.HasContent() {
		return &syntaxError{"cms.two_contents", "the detached signature carries a content of its own"}
	}
	if err := p.take(l, sd); err != nil {
		return err
	}
	switch _, err := parts.NextPart(); {
	case err == nil:
		return &syntaxError{"mime.signed_parts", "multipart/signed with more than two parts"}
	case err != io.EOF:
		return err
	}
	p.warnings = append(p.warnings, parts.Defects()...)
	if !parts.Preamble().Blank || !parts.Epilogue().Blank {
		p.warnings = append(p.warnings, "mime.text_outside_parts")
	}
	return nil
}

// opaqueSigned reads SignedData that carries its content, or certificates alone.
func (p *pass) opaqueSigned(sd *cms.SignedData) (layerReader, error) {
	l := &signedLayer{layer: &Layer{Kind: "signed", Form: "opaque"}, depth: len(p.layers) + 1}
	if sd.HasContent() {
		// The announced digests need not be those the signers use (threats.md, A12).
		sd.Compute(p.digests...)
		if len(sd.Digests().Hashes()) == 0 {
			sd.Compute(usualHashes()...)
		}
		l.content, l.digests = sd, sd.Digests()
		l.finish = func() error { return p.take(l, sd) }
		return l, nil
	}
	if err := p.take(l, sd); err != nil {
		return nil, err
	}
	if len(l.infos) == 0 {
		l.layer = &Layer{Kind: "certs-only", Certificates: len(sd.Certificates()), certificates: l.bag, crls: l.crls}
		return l, nil
	}
	if p.form.detached == nil {
		l.missing = true
	}
	l.layer.Form = "detached"
	return l, nil
}

// attach gives a bare detached signature its content. With any other structure there would
// be two contents, or one that nothing covers.
func (p *pass) attach(layer layerReader) error {
	l, ok := layer.(*signedLayer)
	if !ok || l.content != nil {
		return &syntaxError{"cms.two_contents", "the structure carries a content of its own"}
	}
	if l.layer.Kind != "signed" {
		return nil // nobody signed, which is told for itself
	}
	var hs []sigalg.Hash
	for _, si := range l.infos {
		if h, ok := si.DigestAlgorithm(); ok {
			hs = append(hs, h)
		}
	}
	l.digests = cms.NewDigests(hs...)
	l.content = io.TeeReader(&callerReader{p.form.detached}, l.digests)
	return nil
}

// callerReader marks errors of a reader the caller handed in.
type callerReader struct{ r io.Reader }

func (c *callerReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if err != nil && err != io.EOF {
		err = &abandoned{fmt.Errorf("reading the content: %w", err)}
	}
	return n, err
}

// A compressedLayer is CompressedData (RFC 3274).
type compressedLayer struct {
	c     *cms.CompressedData
	layer *Layer
}

func (l *compressedLayer) next() io.Reader { return l.c }
func (l *compressedLayer) complete() error { return l.c.Finish() }
func (l *compressedLayer) report() *Layer  { return l.layer }

// A boundedReader fails once more than max octets were read.
type boundedReader struct {
	r   io.Reader
	max int64
}

func (b *boundedReader) Read(buf []byte) (int, error) {
	n, err := b.r.Read(buf)
	if b.max -= int64(n); b.max < 0 {
		return 0, &limits.Exceeded{What: "bytes of signature", Max: limits.SignaturePart}
	}
	return n, err
}

// A canonicalReader hands on what a detached signature covers: the octets of the part
// with CRLF line ends (RFC 8551, Section 3.1.1), hashed on the way. Where that changes
// anything it also hashes the octets as received, for senders who signed those.
type canonicalReader struct {
	r        io.Reader
	exact    bool
	digests  *cms.Digests
	received *cms.Digests // nil as long as the part is canonical
	damage   *damage      // may be nil
	canon    *mimeraw.Canonicaliser
	buf      bytes.Buffer
	in, out  []byte
	err      error
}

func (c *canonicalReader) Read(b []byte) (int, error) {
	for len(c.out) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.fill()
	}
	n := copy(b, c.out)
	c.out = c.out[n:]
	return n, nil
}

func (c *canonicalReader) fill() {
	if c.in == nil {
		c.in = make([]byte, 8<<10)
	} else if len(c.in) < 64<<10 { // this is no small message
		c.in = make([]byte, 64<<10)
	}
	n, err := c.r.Read(c.in)
	c.err = err
	raw := c.in[:n]
	if c.exact {
		c.digests.Write(raw)
		c.out = raw
		return
	}
	changed := c.canon.Changed()
	c.buf.Reset()
	c.canon.Write(raw)
	c.out = c.buf.Bytes()
	if c.received == nil && c.canon.Changed() && !changed {
		c.received = c.digests.Clone()
	}
	if c.received != nil {
		c.received.Write(raw)
	}
	c.digests.Write(c.out)
	if c.damage != nil {
		c.damage.Write(c.out)
	}
}
