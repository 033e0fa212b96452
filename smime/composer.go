package smime

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/cms"
	"github.com/postseal/postseal/internal/hp"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/sigalg"
)

// A Composer writes protected messages. With Signers it signs, with Recipients it
// encrypts, with both it signs and then encrypts. Every zero value is the strict or the
// usual choice. A Composer is safe for concurrent use once its fields are set.
type Composer struct {
	// Signers sign, the author first: some readers look at the first signature only.
	Signers []*certstore.Identity
	// Recipients can decrypt. A message is composed for all of them or not at all. A list
	// that is empty and not nil is an error, so that a search that found nobody does not
	// end in a message that everybody can read.
	Recipients []*x509.Certificate

	// Secret and Passphrase let whoever has them decrypt too, or without Recipients nobody
	// else: a key-encryption key of 16, 24 or 32 octets, which SecretID may name for the
	// reader (RFC 5652, Section 6.2.3), and a password (Section 6.2.4).
	Secret, SecretID, Passphrase []byte

	// CoverHeader refuses a message with an address in To or Cc that none of Recipients'
	// certificates names, so that nobody gets a message he cannot read. Groups have to be
	// expanded before; see [Resolver.Resolve].
	CoverHeader bool
	// Bcc are recipients that nobody else is told of. Only [Composer.ComposeCopies] can
	// serve them. BccMode says how: "each" with a copy of their own, "together" with one
	// copy for all of them, or "refuse". Empty means "each".
	Bcc     []*x509.Certificate
	BccMode string

	// Opaque signs as application/pkcs7-mime, which survives relays that rewrite text,
	// instead of multipart/signed, which everybody can read (RFC 8551, Section 3.5).
	Opaque bool
	// Digest is "sha256", "sha384", "sha512", or "shake128" or "shake256" (RFC 8702), with
	// which an RSA key that is not in a device signs by RSASSA-PSS. Empty takes the one that
	// fits each key.
	Digest string
	// PSS signs with RSASSA-PSS where the key is RSA (RFC 4056).
	PSS bool
	// Include is "none", "leaf", "chain" or "chain+root": the certificates that travel
	// with a signature. Empty means "chain".
	Include string
	// SignerKeyID names signers by subjectKeyIdentifier instead of issuer and serial.
	SignerKeyID bool
	// EncryptionCertificate is the one that replies to the first of Signers should be
	// encrypted to, where that is not the certificate that signs (RFC 8551, Section 2.5.3).
	// It travels with the signature unless Include is "none".
	EncryptionCertificate *x509.Certificate
	// OmitCapabilities leaves out what tells correspondents which ciphers they may use
	// (RFC 8551, Section 2.5.2).
	OmitCapabilities bool

	// Cipher is "aes128-cbc", "aes192-cbc", "aes256-cbc", "aes128-gcm", "aes192-gcm",
	// "aes256-gcm", "chacha20-poly1305" or "auto". Empty means "auto": AES-256-GCM, or the
	// strongest authenticated cipher that every recipient is known to read, else AES-CBC,
	// with 256 bits unless a recipient is known to read less.
	Cipher string
	// KeyTransport is "pkcs1", "oaep" or "auto" for RSA recipients. Empty means "auto":
	// OAEP where the recipient is known to read it.
	KeyTransport string
	// Capabilities returns the DER of a recipient's SMIMECapabilities (RFC 8551, Section
	// 2.5.2), from a directory or a verified message, or nil if nothing is known. What
	// the certificate itself states need not be returned. Optional.
	Capabilities func(*x509.Certificate) []byte
	// RecipientKeyID names recipients by subjectKeyIdentifier instead of issuer and serial.
	RecipientKeyID bool
	// Compress compresses what is encrypted or, without Recipients, the message (RFC 3274).
	Compress bool
	// Pad hides how long an encrypted message is: it grows to the next of few lengths, by an
	// eighth at most and to 4 KiB at least (RFC 8551, Section 6). The padding is line ends
	// behind what is signed or compressed, so that it needs Signers or Compress.
	Pad bool
	// Triple signs the encrypted message again (RFC 2634, Section 1.1). It needs Signers
	// and Recipients.
	Triple bool

	// ProtectHeaders protects the header together with the content (RFC 9788). It names
	// what the header of an encrypted message looks like to others: "baseline" hides
	// subject, comments and keywords, "shy" display names and the time zone too,
	// "no-confidentiality" nothing. Empty means "baseline"; "off" leaves the header
	// unprotected.
	ProtectHeaders string
	// Response is the policy of the message that this one answers; see
	// [Message.Response].
	Response func(name, value string) (outer string, keep bool)
	// LegacyDisplay writes the fields that ProtectHeaders hides into the text as well, for
	// recipients whose program does not know RFC 9788.
	LegacyDisplay bool
	// Draft keeps the Bcc fields of the message, inside the encryption, for a draft that
	// is encrypted to its author alone. Otherwise they are dropped.
	Draft bool

	// Time is the clock for the signing time and for judging certificates; nil means
	// time.Now.
	Time func() time.Time

	own []*x509.Certificate // the newest fit one stands in for EncryptionCertificate
}

// Composed says what a Composer chose and why.
type Composed struct {
	Cipher  string   // content encryption, empty if nothing was encrypted
	Digests []string // one for each signer
	Reasons []string // one sentence for each choice the settings left open
}

// NewWriter returns a writer for the message. The protected message in dst is complete
// only once Close has returned nil; a writer that is not closed holds a goroutine. What was
// written so far is the whole message for Close. To give up instead, call the writer's
// CloseWithError(error), a method as that of an io.PipeWriter.
func (c *Composer) NewWriter(dst io.Writer) (io.WriteCloser, error) {
	if _, err := c.plan(); err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := c.Compose(dst, r)
		r.CloseWithError(err)
		done <- err
	}()
	return &pushWriter{w, done}, nil
}

type pushWriter struct {
	*io.PipeWriter
	done chan error
}

func (p *pushWriter) Close() error { return p.CloseWithError(nil) }

// CloseWithError ends the message, or for an error other than nil gives it up and returns
// what came of that.
func (p *pushWriter) CloseWithError(err error) error {
	p.PipeWriter.CloseWithError(err)
	err = <-p.done
	p.done <- err
	return err
}

// Compose reads the message src and writes the protected message to dst, in constant
// memory. If it returns an error, what was written is no message and must be discarded;
// unfit certificates are found before anything is written.
func (c *Composer) Compose(dst io.Writer, src io.Reader) (_ *Composed, err error) {
	defer func() {
		if caught := recovered(recover()); caught != nil {
			err = caught
		}
	}()
	plan, err := c.plan()
	if err != nil {
		return nil, err
	}
	e, err := readMessage(src)
	if err != nil {
		return nil, err
	}
	if err := plan.covered(e.Header); err != nil {
		return nil, err
	}
	if err := plan.write(dst, e); err != nil {
		return nil, fmt.Errorf("smime: composing: %w", tooLarge(err))
	}
	return plan.result, nil
}

// A plan is a Composer's settings after every check that needs no message.
type plan struct {
	signers    []*cms.Signer
	bag        []*x509.Certificate
	recipients []*cms.Recipient
	envelope   cms.EnvelopeOptions
	opaque     bool
	compress   bool
	pad        bool
	triple     bool
	headers    *hp.Option // nil leaves them unprotected
	cover      []*x509.Certificate
	legacy     bool
	result     *Composed
}

func (c *Composer) plan() (*plan, error) {
	p := &plan{opaque: c.Opaque, compress: c.Compress, pad: c.Pad, triple: c.Triple, result: &Composed{}}
	if len(c.Bcc) > 0 {
		return nil, errors.New("smime: a Composer with Bcc composes copies; see ComposeCopies")
	}
	if len(c.Signers) == 0 && !c.encrypts() {
		return nil, errors.New("smime: a Composer needs Signers or Recipients")
	}
	if c.Recipients != nil && len(c.Recipients) == 0 {
		return nil, errors.New("smime: the list of Recipients is empty")
	}
	if c.Draft && (!c.encrypts() || c.ProtectHeaders == "off") {
		return nil, errors.New("smime: Draft needs Recipients and protected headers")
	}
	if c.CoverHeader {
		p.cover = c.Recipients
		if len(p.cover) == 0 {
			return nil, errors.New("smime: CoverHeader needs Recipients")
		}
	}
	if err := c.planHeaders(p); err != nil {
		return nil, err
	}
	if c.Triple && (len(c.Signers) == 0 || !c.encrypts()) {
		return nil, errors.New("smime: Triple needs Signers and Recipients")
	}
	if c.Pad && (len(c.Recipients) == 0 || len(c.Signers) == 0 && !c.Compress) {
		return nil, errors.New("smime: Pad needs Recipients, and Signers or Compress")
	}
	now := time.Now()
	if c.Time != nil {
		now = c.Time()
	}
	if err := c.planSigners(p, now); err != nil {
		return nil, err
	}
	return p, c.planRecipients(p, now)
}

// encrypts reports whether the message is for somebody who must decrypt it.
func (c *Composer) encrypts() bool {
	return len(c.Recipients) > 0 || c.Secret != nil || c.Passphrase != nil
}

func (c *Composer) planSigners(p *plan, now time.Time) error {
	var digest sigalg.Hash
	switch c.Digest {
	case "":
	case "sha256", "sha384", "sha512", "shake128", "shake256":
		digest, _ = sigalg.HashByName(c.Digest)
	default:
		return fmt.Errorf("smime: Digest %q is not sha256, sha384, sha512, shake128 or shake256", c.Digest)
	}
	if len(c.Signers) > limits.SignerInfos {
		return fmt.Errorf("smime: %w", tooLarge(&limits.Exceeded{What: "signers", Max: limits.SignerInfos}))
	}
	for i, id := range c.Signers {
		if id == nil || id.Certificate() == nil {
			return errors.New("smime: a signer is nil, or was not made by NewIdentity")
		}
		if err := fitToSign(id.Certificate(), now); err != nil {
			return err
		}
		s := &cms.Signer{
			Certificate: id.Certificate(), Key: id.Key(), Digest: digest,
			PSS: c.PSS, KeyID: c.SignerKeyID, Time: now,
		}
		if c.OmitCapabilities {
			s.Capabilities = []byte{}
		}
		if i == 0 && c.EncryptionCertificate != nil {
			if len(c.EncryptionCertificate.Raw) == 0 {
				return errors.New("smime: the EncryptionCertificate was not parsed")
			}
			if err := fitToEncrypt(c.EncryptionCertificate, now); err != nil {
				return err
			}
			s.EncryptionCertificate = c.EncryptionCertificate
		} else if i == 0 {
			s.EncryptionCertificate = newestToEncrypt(c.own, now)
		}
		if err := s.Check(); err != nil {
			return fmt.Errorf("smime: signer %s: %w", id.Certificate().Subject, err)
		}
		p.signers = append(p.signers, s)
		p.result.Digests = append(p.result.Digests, s.Hash().String())
		bag, err := included(id, c.Include)
		if err != nil {
			return err
		}
		if s.EncryptionCertificate != nil && bag != nil {
			bag = append(bag, s.EncryptionCertificate)
		}
		for _, cert := range bag {
			if !slices.ContainsFunc(p.bag, cert.Equal) {
				p.bag = append(p.bag, cert)
			}
		}
	}
	return readableBag(p.bag, nil)
}

// readableBag refuses more certificates and CRLs than are read again.
func readableBag(certs []*x509.Certificate, crls [][]byte) error {
	for _, b := range []struct {
		what   string
		n, max int
	}{{"certificates", len(certs), limits.Certificates}, {"CRLs", len(crls), limits.CRLs}} {
		if b.n > b.max {
			return fmt.Errorf("smime: %w", tooLarge(&limits.Exceeded{What: b.what, Max: int64(b.max)}))
		}
	}
	return nil
}

// included lists the certificates that travel with a signature.
func included(id *certstore.Identity, what string) ([]*x509.Certificate, error) {
	bag := []*x509.Certificate{id.Certificate()}
	switch what {
	case "none":
		return nil, nil
	case "leaf":
		return bag, nil
	case "", "chain", "chain+root":
	default:
		return nil, fmt.Errorf("smime: Include %q is not none, leaf, chain or chain+root", what)
	}
	for _, ca := range id.Intermediates() {
		root := string(ca.RawIssuer) == string(ca.RawSubject)
		if !root || what == "chain+root" {
			bag = append(bag, ca)
		}
	}
	return bag, nil
}

func (c *Composer) planRecipients(p *plan, now time.Time) error {
	if !c.encrypts() {
		return nil
	}
	var unfit []error
	for _, cert := range c.Recipients {
		if cert == nil || len(cert.Raw) == 0 {
			return errors.New("smime: a recipient is nil, or a certificate that was not parsed")
		}
		if err := fitToEncrypt(cert, now); err != nil {
			unfit = append(unfit, err)
		}
	}
	if len(unfit) > 0 {
		return errors.Join(unfit...)
	}
	choice, err := cms.Choose(c.Recipients, cms.Wishes{
		Cipher: c.Cipher, KeyTransport: c.KeyTransport, KeyID: c.RecipientKeyID, Capabilities: c.capabilities,
		Secret: c.Secret, SecretID: c.SecretID, Passphrase: c.Passphrase,
	})
	if err != nil {
		return fmt.Errorf("smime: %w", err)
	}
	if len(choice.Recipients) > limits.RecipientInfos {
		return fmt.Errorf("smime: %w", tooLarge(&limits.Exceeded{What: "recipients", Max: limits.RecipientInfos}))
	}
	p.recipients, p.envelope = choice.Recipients, choice.Options()
	p.result.Cipher, p.result.Reasons = choice.Cipher, choice.Reasons
	return nil
}

// capabilities reads what the caller knows of a recipient. What cannot be read is not known.
func (c *Composer) capabilities(cert *x509.Certificate) cms.Capabilities {
	if c.Capabilities == nil {
		return nil
	}
	known, err := cms.ParseCapabilities(c.Capabilities(cert))
	if err != nil {
		return nil
	}
	return known
}
