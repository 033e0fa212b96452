package smime

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
)

// An encryptedLayer is EnvelopedData or AuthEnvelopedData.
type encryptedLayer struct {
	data     *cms.EnvelopedData
	layer    *Layer
	unlocked bool
	reader   *x509.Certificate // whose key decrypts; nil if it is none of a certificate
}

func (l *encryptedLayer) report() *Layer { return l.layer }

func (l *encryptedLayer) next() io.Reader {
	if !l.unlocked {
		return nil
	}
	return l.data
}

// complete reads the layer to its end. Once a key was chosen every failure is the same.
func (l *encryptedLayer) complete() error {
	if l.unlocked {
		if _, err := io.Copy(io.Discard, l.data); err != nil {
			return err
		}
	}
	return l.data.Finish()
}

// encrypted chooses a recipient by its identifier and unlocks the content with its key.
func (p *pass) encrypted(d *cms.EnvelopedData) (layerReader, error) {
	l := &encryptedLayer{data: d, layer: &Layer{Kind: "encrypted", Form: "enveloped", Cipher: d.Cipher(), Authenticated: d.Authenticated()}}
	if d.Authenticated() {
		l.layer.Form = "auth-enveloped"
	}
	recipients := d.Recipients()
	for _, r := range recipients {
		l.layer.Recipients = append(l.layer.Recipients, &Recipient{Kind: r.Kind, Algorithm: r.Algorithm, ID: r.ID})
	}
	code, err := p.unlock(l, recipients)
	if err != nil {
		return nil, err
	}
	if !l.unlocked {
		p.problems = append(p.problems, problem{len(p.layers), code})
	}
	return l, nil
}

// unlock tries the recipients in order and stops at the first one a held key belongs to.
// Only what everybody can see makes it go on to the next: an algorithm that is not
// supported or not allowed.
func (p *pass) unlock(l *encryptedLayer, recipients []*cms.RecipientInfo) (string, error) {
	held, err := p.identities(recipients)
	if err != nil {
		return "", err
	}
	code := "decrypt.no_key"
	opt := cms.DecryptOptions{AllowLegacyCiphers: p.o.AllowLegacyCiphers}
	for i, r := range recipients {
		var key any
		var reader *x509.Certificate
		switch {
		case r.Kind == "kekri" && p.o.Secret != nil:
			key = cms.Secret(p.o.Secret)
		case r.Kind == "pwri" && p.o.Passphrase != nil:
			key = cms.Passphrase(p.o.Passphrase)
		default:
			for _, id := range held {
				if r.Matches(id.Certificate()) {
					key, reader = id.Key(), id.Certificate()
					break
				}
			}
		}
		if key == nil {
			continue
		}
		unlock := func() error { return l.data.Unlock(r, key, opt) }
		if err := await(p.ctx, unlock); err != nil {
			if endsCall(err) {
				return "", err
			}
			var coded interface{ Code() string }
			if code = "decrypt.unsupported"; errors.As(err, &coded) {
				code = coded.Code()
			}
			continue
		}
		l.unlocked, l.reader = true, reader
		l.layer.Recipients[i].Used = true
		return "", nil
	}
	return code, nil
}

// An abandoned error ends a call for a reason that says nothing about the message.
type abandoned struct{ err error }

func (e *abandoned) Error() string { return "smime: " + e.err.Error() }
func (e *abandoned) Unwrap() error { return e.err }

// await runs f, which uses a private key or derives one from a password, and does not wait
// for the end of it once the context has ended: a token may hang, and the cost of a
// derivation is for the sender to choose, within a limit.
func await(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() {
			if caught := recovered(recover()); caught != nil {
				err = caught
			}
			done <- err
		}()
		err = f()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return &abandoned{ctx.Err()}
	}
}

// identities asks the key store for every recipient at once.
func (p *pass) identities(recipients []*cms.RecipientInfo) ([]*certstore.Identity, error) {
	if p.o.Keys == nil {
		return nil, nil
	}
	var q certstore.AnyOf
	for _, r := range recipients {
		for _, id := range r.Identifiers() {
			if id.KeyID != nil {
				q = append(q, certstore.SubjectKeyID(id.KeyID))
			} else if id.Serial != nil {
				q = append(q, certstore.IssuerSerial{RawIssuer: id.RawIssuer, Serial: id.Serial})
			}
		}
	}
	if len(q) == 0 {
		return nil, nil
	}
	var held []*certstore.Identity
	for id, err := range p.o.Keys.Identities(p.ctx, q) {
		if err != nil {
			return nil, &abandoned{fmt.Errorf("asking the key store: %w", err)}
		}
		held = append(held, id)
	}
	return held, nil
}
