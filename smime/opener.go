package smime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/limits"
)

// An Opener decrypts and verifies messages. Its zero value opens nothing: Chain is
// required. An Opener is safe for concurrent use once its fields are set, as far as its
// stores are.
type Opener struct {
	// Chain judges the signers' certificates. Required by Open and OpenTo; Inspect
	// without it leaves trust unchecked.
	Chain *chain.Verifier
	// Keys decrypt. Without it, encrypted messages fail with ErrNoKey.
	Keys certstore.KeyStore
	// Certs finds signers' certificates that the message does not carry. Optional.
	Certs certstore.Store
	// Secret is the key for recipients named by a key-encryption key (RFC 5652,
	// Section 6.2.3), Passphrase for those named by a password (Section 6.2.4). Optional.
	Secret, Passphrase []byte
	// TryKeys are keys to try on a message none of whose recipients names a certificate in
	// Keys, because that was renewed with the same key, or lost. At most 64 keys of the
	// recipients' kinds are tried, on content of up to 32 MiB if there are several, and
	// every failure is ErrNoKey. Whoever can make the reader try, and see whether he
	// could, has him use his keys on what he likes; leave it empty where nobody waits for
	// the message.
	TryKeys []*certstore.Identity

	// AllowUnsigned accepts a message nobody signed. Signatures that are present must
	// still be good.
	AllowUnsigned bool
	// AllowMalleable, with AllowUnsigned, accepts unsigned content out of encryption
	// that does not protect integrity: an attacker may have changed it (RFC 8551,
	// Section 6).
	AllowMalleable bool
	// AllowMismatchedSender accepts a good signature of somebody who is not in From.
	AllowMismatchedSender bool
	// AllowSHA1 and AllowMD5 accept message signatures over these digests, for old mail.
	AllowSHA1, AllowMD5 bool
	// AllowLegacyCiphers decrypts 3DES, DES and RC2, and RSA keys below 2048 bits.
	AllowLegacyCiphers bool
	// AllowShortTags decrypts where the authentication tag is short: from 12 octets with
	// GCM, instead of 16, where 12 is what parameters without a length mean (RFC 5084,
	// Section 3.2), and from 8 with CCM, instead of 12. A tag of 12 octets takes 2^96
	// forgeries to guess, and one of 8 takes 2^64.
	AllowShortTags bool
	// ExactLocalPart compares the local part of addresses octet for octet instead of
	// folding A to Z (RFC 8550, Section 3).
	ExactLocalPart bool

	// RequireAlgorithms names signature algorithms, as [Signature.Algorithm] has them. A
	// good signature by each of them must cover the content, or the message is not
	// authentic, with the code sig.required. It is for senders who are known to sign with
	// two kinds of keys, such as RSA and ML-DSA: a signature that somebody took away
	// leaves no trace of its own.
	RequireAlgorithms []string

	// MaxMemory bounds the content that Open holds while it cannot vouch for it, in
	// bytes. Zero means 32 MiB. Larger messages fail with ErrTooLarge; see OpenTo.
	MaxMemory int64
}

// Open reads one message and returns it if, and only if, it is authentic: signed by
// somebody o.Chain accepts, who is the author in From. Otherwise the error is an
// [*UnverifiedError] with the report, or says why the message could not be read.
func (o *Opener) Open(ctx context.Context, src io.Reader) (*Message, error) {
	if err := o.ready(); err != nil {
		return nil, err
	}
	held := &holder{max: o.maxMemory()}
	report, p, err := o.examine(ctx, held, src, mimeForm)
	if held.full {
		return nil, fmt.Errorf("smime: %w (%d bytes); use OpenTo", ErrTooLarge, held.max)
	}
	if err := o.accept(report, p, err); err != nil {
		return nil, err
	}
	return newMessage(report, p, held.Bytes()), nil
}

// OpenTo is like Open for messages of any size, in constant memory. It writes the content
// to quarantine as it goes, before anything is proven: the caller must discard what was
// written unless OpenTo returns a nil error. The Message has no body; quarantine has it.
//
// If quarantine is an io.Seeker with a Truncate method, as *os.File is, and stands at its
// end, OpenTo takes back what it wrote when the message is refused. A source that is an
// io.Seeker is then read a second time where one pass is not enough: when a message does
// not announce the digest it uses, or was signed with other line ends than RFC 8551,
// Section 3.1.1, asks for. Otherwise such a message is not authentic.
func (o *Opener) OpenTo(ctx context.Context, quarantine io.Writer, src io.Reader) (*Message, error) {
	return o.openTo(ctx, quarantine, src, mimeForm)
}

func (o *Opener) openTo(ctx context.Context, quarantine io.Writer, src io.Reader, f form) (*Message, error) {
	if err := o.ready(); err != nil {
		return nil, err
	}
	sink := newSpool(quarantine)
	report, p, err := o.examine(ctx, sink, src, f)
	if err := o.accept(report, p, err); err != nil {
		sink.rewind()
		return nil, err
	}
	return newMessage(report, p, nil), nil
}

// Inspect reports on every layer of a message without judging it fit for use, for mail
// readers and test harnesses that must say something about any message. The error is nil
// unless reading src failed; a message that is no message is Unreadable.
func (o *Opener) Inspect(ctx context.Context, src io.Reader) (*Report, error) {
	return o.inspect(ctx, src, mimeForm)
}

// OpenCMS is OpenTo for a bare CMS structure in BER or DER. The content is bytes and is
// never parsed as a message, so no author can be compared with the signer. detached is
// the content of a structure that carries none, or nil.
func (o *Opener) OpenCMS(ctx context.Context, quarantine io.Writer, src, detached io.Reader) (*Message, error) {
	return o.openTo(ctx, quarantine, src, form{detached: detached, bare: true})
}

// InspectCMS is Inspect for a bare CMS structure; see OpenCMS.
func (o *Opener) InspectCMS(ctx context.Context, src, detached io.Reader) (*Report, error) {
	return o.inspect(ctx, src, form{detached: detached, bare: true})
}

func (o *Opener) inspect(ctx context.Context, src io.Reader, f form) (*Report, error) {
	report, _, err := o.examine(ctx, nowhere{io.Discard}, src, f)
	if report != nil {
		report.Content = nil // nothing was released
	}
	return report, err
}

// form says how the source is to be read.
type form struct {
	bare     bool
	detached io.Reader // bare only
}

var mimeForm = form{}

func (o *Opener) ready() error {
	if o.Chain == nil {
		return errors.New("smime: Opener.Chain is required; see chain.NewVerifier")
	}
	return nil
}

func (o *Opener) maxMemory() int64 {
	if o.MaxMemory > 0 {
		return o.MaxMemory
	}
	return limits.HeldInMemory
}

// examine makes one pass over src, and another where the first shows that it is needed
// and src can be read again.
func (o *Opener) examine(ctx context.Context, sink rewinder, src io.Reader, f form) (report *Report, p *pass, err error) {
	defer func() {
		if caught := recovered(recover()); caught != nil {
			report, p, err = nil, nil, caught
		}
	}()
	p = newPass(ctx, o, sink, f)
	seeker, again := src.(io.Seeker)
	var start int64
	if again {
		var err error
		if start, err = seeker.Seek(0, io.SeekCurrent); err != nil {
			again = false // a pipe has the method and not the ability
		}
	}
	p.oneShot = !again
	report, err = p.run(src)
	for n := 0; err == nil && again && p.wantsMore() && n < 3; n++ {
		if !sink.rewind() {
			break
		}
		if _, err = seeker.Seek(start, io.SeekStart); err != nil {
			return nil, p, fmt.Errorf("smime: reading the message again: %w", err)
		}
		p = p.next()
		report, err = p.run(src)
	}
	return report, p, err
}

// accept turns a report into the error of Open, nil only for what the caller allows.
func (o *Opener) accept(report *Report, p *pass, err error) error {
	switch {
	case err != nil:
		return err
	case report.Verdict == Authentic:
		return nil
	case report.Verdict == Unsigned && o.AllowUnsigned && (o.AllowMalleable || !p.malleable()):
		return nil
	}
	report.Content = nil
	return &UnverifiedError{Report: report, reason: p.reason()}
}

// A rewinder can take back what a pass has written, if it says so.
type rewinder interface {
	io.Writer
	rewind() bool
}

// nowhere is where the content goes that only the report is about.
type nowhere struct{ io.Writer }

func (nowhere) rewind() bool { return true }

// A spool is a writer of the caller's. It is rewound to where it stood, and only if that
// was its end: nothing of what was in it before is lost.
type spool struct {
	io.Writer
	file  seekTruncater // nil if it cannot be rewound
	start int64
}

type seekTruncater interface {
	io.Seeker
	Truncate(int64) error
}

func newSpool(w io.Writer) rewinder {
	if w == io.Discard {
		return nowhere{w}
	}
	s := &spool{Writer: w}
	file, ok := w.(seekTruncater)
	if !ok {
		return s
	}
	at, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return s // a pipe has the method and not the ability
	}
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil || at != end {
		file.Seek(at, io.SeekStart)
		return s
	}
	s.file, s.start = file, at
	return s
}

func (s *spool) rewind() bool {
	if s.file == nil || s.file.Truncate(s.start) != nil {
		return false
	}
	_, err := s.file.Seek(s.start, io.SeekStart)
	return err == nil
}

// A holder keeps content in memory up to a bound and remembers when there was more.
type holder struct {
	bytes.Buffer
	max  int64
	full bool
}

func (h *holder) rewind() bool {
	h.Reset()
	return true
}

func (h *holder) Write(b []byte) (int, error) {
	if h.full || int64(h.Len()+len(b)) > h.max {
		h.full = true
		return 0, ErrTooLarge
	}
	return h.Buffer.Write(b)
}
