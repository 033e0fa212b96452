package smime

import (
	"io"

	"github.com/postseal/postseal/internal/cms"
)

// What CMS has and mail has not (RFC 8551, Section 2.4): structures that are opened where
// the caller asks for a bare one. None of them says who made the content.

// bareLayer returns the layer of a structure, or nil.
func (p *pass) bareLayer(content cms.Content) (layerReader, error) {
	switch c := content.(type) {
	case *cms.EncryptedData:
		return p.encryptedData(c)
	case *cms.AuthenticatedData:
		return p.authenticated(c)
	case *cms.DigestedData:
		return &plainLayer{c, &Layer{Kind: "digested", Algorithm: c.Hash().String()}}, nil
	case *cms.Data:
		return &plainLayer{c, &Layer{Kind: "data"}}, nil
	}
	return nil, nil
}

// encryptedData unlocks EncryptedData, whose key is the caller's secret.
func (p *pass) encryptedData(d *cms.EncryptedData) (layerReader, error) {
	l := &encryptedLayer{data: d, layer: &Layer{Kind: "encrypted", Form: "encrypted-data", Cipher: d.Cipher()}}
	code := codeNoKey
	if p.o.Secret != nil {
		var err error
		if code, err = p.await(func() error { return d.Unlock(cms.Secret(p.o.Secret), p.decryptOptions()) }); err != nil {
			return nil, err
		}
		l.unlocked = code == ""
	}
	if !l.unlocked {
		p.problems = append(p.problems, problem{len(p.layers), code})
	}
	return l, nil
}

// authenticated finds the key of the code in AuthenticatedData as it is found for
// EnvelopedData. Without it the content is as good as any other.
func (p *pass) authenticated(d *cms.AuthenticatedData) (layerReader, error) {
	recipients := d.Recipients()
	l := &authenticatedLayer{d, &Layer{Kind: "authenticated", Algorithm: d.Algorithm(), Recipients: reportRecipients(recipients)}}
	held, err := p.identities(recipients)
	if err != nil {
		return nil, err
	}
	shared := p.shared(recipients)
	code := codeNoKey
	var work spent
	for i, r := range recipients {
		tries := work.named(i, r, held)
		if len(shared) > 0 && i == shared[0].recipient {
			tries, shared = shared[:1], shared[1:]
		}
		if len(tries) == 0 {
			continue
		}
		if code, err = p.await(func() error { return d.Unlock(r, tries[0].key, p.decryptOptions()) }); err != nil {
			return nil, err
		}
		if code == "" {
			l.layer.Recipients[i].Used = true
			return l, nil
		}
	}
	p.problems = append(p.problems, problem{len(p.layers), code})
	return l, nil
}

// An authenticatedLayer is AuthenticatedData (RFC 5652, Section 9).
type authenticatedLayer struct {
	data  *cms.AuthenticatedData
	layer *Layer
}

func (l *authenticatedLayer) next() io.Reader { return l.data }
func (l *authenticatedLayer) report() *Layer  { return l.layer }

func (l *authenticatedLayer) complete() error {
	err := l.data.Finish()
	l.layer.Authenticated = l.data.Verified()
	return err
}

// A plainLayer is DigestedData (RFC 5652, Section 7), which notices accidents, or nothing
// but content (Section 4).
type plainLayer struct {
	data  cms.Content
	layer *Layer
}

func (l *plainLayer) next() io.Reader { return l.data }
func (l *plainLayer) complete() error { return l.data.Finish() }
func (l *plainLayer) report() *Layer  { return l.layer }
