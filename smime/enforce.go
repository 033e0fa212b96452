package smime

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/keyfile"
	"github.com/postseal/postseal/internal/mailbox"
	"github.com/postseal/postseal/internal/mimeraw"
)

// Composer returns a Composer that does what [Policy.Evaluate] decided: action is "sign",
// "encrypt", "seal" or "triple". from are the sender's identities, of which one is
// chosen, and replies are to be encrypted to another one where its own certificate is for
// signing alone; to are the recipients' certificates. There is no Composer for the other
// actions, and none that would do less than asked for.
func (p *Policy) Composer(action string, from []*certstore.Identity, to ...*x509.Certificate) (*Composer, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	c := &Composer{
		Opaque: p.Opaque, Include: p.Include, RecipientKeyID: p.RecipientKeyID,
		OmitCapabilities: p.OmitCapabilities, ProtectHeaders: p.ProtectHeaders,
		Digest: strongFirst(p.Digests, knownDigest),
	}
	sign, encrypt := false, false
	switch action {
	case "sign":
		sign = true
	case "encrypt":
		encrypt = true
	case "seal":
		sign, encrypt, c.Triple = true, true, p.TripleWrap
	case "triple":
		sign, encrypt, c.Triple = true, true, true
	default:
		return nil, fmt.Errorf("smime: policy: nothing to compose for %q", action)
	}
	if sign {
		id, err := p.signer(from)
		if err != nil {
			return nil, err
		}
		c.Signers = []*certstore.Identity{id}
		c.own = forReplies(id.Certificate(), from)
	}
	if encrypt {
		if len(to) == 0 {
			return nil, errors.New("smime: policy: a message that must be encrypted has no recipients")
		}
		c.Recipients, c.Cipher = to, p.cipher(to)
		c.Opaque = c.Opaque || sign
	}
	if c.BccMode = p.Bcc; p.Bcc == "shared" {
		c.BccMode = "refuse"
	}
	return c, nil
}

// cipher returns the first cipher of the list that may be used and that, unless the
// policy fixes it, all recipients are known to read; "" leaves the choice to Composer.
func (p *Policy) cipher(to []*x509.Certificate) string {
	if p.FixedCipher {
		return strongFirst(p.Ciphers, knownCipher)
	}
	return strongFirst(p.Ciphers, func(name string) (bool, bool) {
		strong, ok := knownCipher(name)
		return strong && everyoneReads(name, to), ok
	})
}

// signer chooses the identity that signs: the first if the user chooses, else of those
// that may sign mail the one with the newest notBefore, and of equals the one whose
// certificate has the smallest SHA-256, so that the choice never changes by itself.
func (p *Policy) signer(from []*certstore.Identity) (*certstore.Identity, error) {
	usable := slices.Clone(from)
	if p.HardwareKeys {
		usable = slices.DeleteFunc(usable, func(id *certstore.Identity) bool { return keyfile.InMemory(id.Key()) })
	}
	switch {
	case len(from) == 0:
		return nil, errors.New("smime: policy: a message that must be signed has no signer")
	case len(usable) == 0:
		return nil, errors.New("smime: policy: only keys in a device may sign, and there is none")
	case p.UserChoosesSigner:
		return usable[0], nil
	}
	// Validity is for the Composer to judge, whose clock is not known here.
	var fit []*certstore.Identity
	var first error
	for _, id := range usable {
		err := fitToSign(id.Certificate(), id.Certificate().NotBefore)
		if err == nil {
			err = (&cms.Signer{Certificate: id.Certificate(), Key: id.Key()}).Check()
		}
		if err == nil {
			fit = append(fit, id)
		} else if first == nil {
			first = err
		}
	}
	if len(fit) == 0 {
		return nil, fmt.Errorf("smime: policy: a message that must be signed has no signer: %w", first)
	}
	return slices.MinFunc(fit, func(a, b *certstore.Identity) int {
		x, y := a.Certificate(), b.Certificate()
		return cmp.Or(y.NotBefore.Compare(x.NotBefore), compareThumbprints(x, y))
	}), nil
}

// forReplies returns the certificates of from for mailboxes of a signer whose own nobody can
// encrypt to, as where a person has one certificate for each use. Those that are fit are for
// the Composer to tell.
func forReplies(signer *x509.Certificate, from []*certstore.Identity) []*x509.Certificate {
	if fitToEncrypt(signer, signer.NotBefore) == nil {
		return nil
	}
	var list []*x509.Certificate
	for _, id := range from {
		c := id.Certificate()
		if slices.ContainsFunc(mailbox.Of(signer), func(m mailbox.Mailbox) bool { return certstore.Email(m.Address).Match(c) }) {
			list = append(list, c)
		}
	}
	return list
}

// deviceKeys are the keys of a store that are in a device.
type deviceKeys struct{ certstore.KeyStore }

func (d deviceKeys) Identities(ctx context.Context, q certstore.Query) iter.Seq2[*certstore.Identity, error] {
	return func(yield func(*certstore.Identity, error) bool) {
		for id, err := range d.KeyStore.Identities(ctx, q) {
			if (err != nil || !keyfile.InMemory(id.Key())) && !yield(id, err) {
				return
			}
		}
	}
}

// Opener lets o accept what p.Accept names, beyond what it accepts already, and returns o.
// With p.HardwareKeys it takes the keys from o that are not in a device.
func (p *Policy) Opener(o *Opener) *Opener {
	if p.HardwareKeys {
		if o.Keys != nil {
			o.Keys = deviceKeys{o.Keys}
		}
		o.TryKeys = slices.DeleteFunc(slices.Clone(o.TryKeys), func(id *certstore.Identity) bool { return keyfile.InMemory(id.Key()) })
	}
	for _, word := range p.Accept {
		switch word {
		case "unsigned":
			o.AllowUnsigned = true
		case "sha1":
			o.AllowSHA1 = true
		case "md5":
			o.AllowMD5 = true
		case "legacy-ciphers":
			o.AllowLegacyCiphers = true
		case "short-tags":
			o.AllowShortTags = true
		case "mismatched-sender":
			o.AllowMismatchedSender = true
		}
	}
	return o
}

// Resolver lets r look as far as p allows, and returns r: at other addresses of a person
// only with p.SecondaryAddresses, at groups no longer than p.GroupMillis each, and past a
// revocation status that cannot be found out only with p.SoftRevocationOnSend.
func (p *Policy) Resolver(r *Resolver) *Resolver {
	if !p.SecondaryAddresses {
		r.Secondary = nil
	}
	r.ExpandTimeout = time.Minute
	if p.GroupMillis > 0 {
		r.ExpandTimeout = millis(p.GroupMillis)
	}
	r.AllowUnknownRevocation = p.SoftRevocationOnSend
	return r
}

// Inherit raises the action of [Policy.Evaluate] for the answer to a message: what came
// encrypted is answered encrypted, and what came with a good signature is answered signed
// unless p.ReplyUnsigned.
func (p *Policy) Inherit(action string, original *Report) string {
	_, encrypt := original.protectedBy()
	sign := original.Verdict == Authentic && !p.ReplyUnsigned
	switch action {
	case "sign":
		sign = true
	case "encrypt":
		encrypt = true
	case "leave":
	default:
		return action
	}
	switch {
	case sign && encrypt && p.TripleWrap:
		return "triple"
	case sign && encrypt:
		return "seal"
	case sign:
		return "sign"
	case encrypt:
		return "encrypt"
	}
	return action
}

// SignerAttributes lists the attributes of a signer's subject that p.ShowAttributes names,
// as "2.5.4.11=Accounts", for a signature whose address does not match.
func (p *Policy) SignerAttributes(s *Signature) []string {
	if s.certificate == nil || s.Address == "match" {
		return nil
	}
	var list []string
	for _, a := range s.certificate.Subject.Names {
		if id := a.Type.String(); slices.Contains(p.ShowAttributes, id) {
			text, _ := mimeraw.DisplayText(fmt.Sprint(a.Value))
			list = append(list, id+"="+text)
		}
	}
	return list
}

// Verifier returns a verifier that trusts p.IssuingCAs and nothing else, and looks at
// revocation as p says: for sending, or for reading what was received. fetch gets what is
// not at hand; it may be nil.
func (p *Policy) Verifier(sending bool, fetch chain.Fetcher) (*chain.Verifier, error) {
	anchors := new(chain.Collection)
	if len(p.IssuingCAs) > 0 {
		var err error
		if anchors, err = chain.ReadCollection(bytes.NewReader(p.IssuingCAs)); err != nil {
			return nil, fmt.Errorf("smime: policy: issuing_cas: %w", err)
		}
	}
	total := millis(p.FetchTotalMillis)
	v := chain.NewVerifier(anchors, chain.Revocation{
		InsecureOff: p.NoRevocation, AllowUnknown: sending && p.SoftRevocationOnSend,
		Fetcher: fetch, PerFetch: min(millis(p.FetchMillis), total), PerVerification: total,
	})
	v.AllowSHA1 = slices.Contains(p.Accept, "sha1")
	return v, nil
}

func millis(n uint32) time.Duration {
	if n == 0 {
		n = 10_000
	}
	return time.Duration(n) * time.Millisecond
}
