package smime

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/limits"
)

// An encryptedLayer is EnvelopedData, AuthEnvelopedData or EncryptedData.
type encryptedLayer struct {
	data     cms.Content
	layer    *Layer
	unlocked bool
	reader   *x509.Certificate // whose key decrypts; nil if it is none of a certificate
	tries    []attempt         // more keys than one may be the right one
	guessed  bool              // no recipient names a key that is held: failing says just that
}

// An attempt is a recipient, by number, with a key that may be the one of it.
type attempt struct {
	recipient int
	key       any
	reader    *x509.Certificate
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
		l.found()
	}
	return l.data.Finish()
}

// found notes which of several keys was the right one.
func (l *encryptedLayer) found() {
	if l.tries == nil {
		return
	}
	right := l.tries[l.data.(*cms.EnvelopedData).Tried()]
	l.reader = right.reader
	for i, r := range l.layer.Recipients {
		r.Used = i == right.recipient
	}
}

// failure is the code for everything that goes wrong once there is a key.
func (l *encryptedLayer) failure() string {
	if l.guessed {
		return codeNoKey
	}
	return codeDecrypt
}

// encrypted chooses a recipient by its identifier and unlocks the content with its key.
func (p *pass) encrypted(d *cms.EnvelopedData) (layerReader, error) {
	l := &encryptedLayer{data: d, layer: &Layer{Kind: "encrypted", Form: "enveloped", Cipher: d.Cipher(), Authenticated: d.Authenticated()}}
	if d.Authenticated() {
		l.layer.Form = "auth-enveloped"
	}
	recipients := d.Recipients()
	l.layer.Recipients = reportRecipients(recipients)
	code, err := p.unlock(l, d, recipients)
	if err != nil {
		return nil, err
	}
	if !l.unlocked {
		p.problems = append(p.problems, problem{len(p.layers), code})
	}
	return l, nil
}

func reportRecipients(recipients []*cms.RecipientInfo) (list []*Recipient) {
	for _, r := range recipients {
		list = append(list, &Recipient{Kind: r.Kind, Algorithm: r.Algorithm, ID: r.ID})
	}
	return list
}

// unlock tries the recipients in order and stops at the first one a held key belongs to.
// Only what everybody can see makes it go on to the next: an algorithm that is not
// supported or not allowed. It returns the code of why it found none.
func (p *pass) unlock(l *encryptedLayer, d *cms.EnvelopedData, recipients []*cms.RecipientInfo) (code string, err error) {
	held, err := p.identities(recipients)
	if err != nil {
		return "", err
	}
	shared := p.shared(recipients)
	code = codeNoKey
	var work spent
	for i, r := range recipients {
		tries := work.named(i, r, held)
		// No recipient names a secret or a password, so any of them may be ours.
		if len(shared) > 0 && i == shared[0].recipient {
			tries, shared = shared, nil
		}
		if len(tries) == 0 {
			continue
		}
		if code, err = p.try(l, d, tries); code == "" || err != nil {
			return "", err
		}
	}
	if code != codeNoKey || len(p.o.TryKeys) == 0 {
		return code, nil
	}
	l.guessed = true
	var tries []attempt
	for i := range recipients {
		for _, id := range p.o.TryKeys {
			tries = append(tries, attempt{i, id.Key(), id.Certificate()})
		}
	}
	_, err = p.try(l, d, tries)
	return codeNoKey, err
}

// try unlocks d by one of several tries. It returns the code of what everybody can see to
// stand in the way, or none.
func (p *pass) try(l *encryptedLayer, d *cms.EnvelopedData, tries []attempt) (code string, err error) {
	opt := p.decryptOptions()
	unlock := func() error {
		return d.Unlock(d.Recipients()[tries[0].recipient], tries[0].key, opt)
	}
	if len(tries) > 1 || l.guessed {
		unlock = func() error {
			var list []cms.Try
			for _, t := range tries {
				list = append(list, cms.Try{Recipient: d.Recipients()[t.recipient], Key: t.key})
			}
			return d.UnlockAny(list, opt)
		}
	}
	if code, err = p.await(unlock); code != "" || err != nil {
		return code, err
	}
	l.unlocked, l.reader = true, tries[0].reader
	if len(tries) > 1 || l.guessed {
		l.tries = tries
	}
	for _, t := range tries {
		l.layer.Recipients[t.recipient].Used = !l.guessed
	}
	return "", nil
}

// named returns the first held key of a certificate that a recipient names.
func (s *spent) named(i int, r *cms.RecipientInfo, held []*certstore.Identity) []attempt {
	for _, name := range r.Identifiers() {
		for _, id := range held {
			if s.matches(name, id.Certificate()) {
				return []attempt{{i, id.Key(), id.Certificate()}}
			}
		}
	}
	return nil
}

// shared lists the recipients whose key the caller's secret or password may be.
func (p *pass) shared(recipients []*cms.RecipientInfo) (list []attempt) {
	for i, r := range recipients {
		switch {
		case r.Kind == "kekri" && p.o.Secret != nil:
			list = append(list, attempt{recipient: i, key: cms.Secret(p.o.Secret)})
		case r.Kind == "pwri" && p.o.Passphrase != nil:
			list = append(list, attempt{recipient: i, key: cms.Passphrase(p.o.Passphrase)})
		}
	}
	return list
}

func (p *pass) decryptOptions() cms.DecryptOptions {
	return cms.DecryptOptions{AllowLegacyCiphers: p.o.AllowLegacyCiphers, AllowShortTags: p.o.AllowShortTags}
}

// await runs f, which unlocks something. It returns the code of why everybody can see that
// it cannot, or none if it did.
func (p *pass) await(f func() error) (code string, err error) {
	if err = await(p.ctx, f); err == nil || endsCall(err) {
		return "", err
	}
	if coded, ok := errors.AsType[interface {
		error
		Code() string
	}](err); ok {
		return coded.Code(), nil
	}
	if errors.As(err, new(*limits.Exceeded)) {
		return codeOf(err), nil
	}
	return "decrypt.unsupported", nil
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
