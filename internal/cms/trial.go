package cms

import (
	"bytes"
	"crypto"
	"errors"
	"io"

	"github.com/postseal/postseal/internal/cipherstream"
	"github.com/postseal/postseal/internal/limits"
)

// maxTries bounds the private key operations of one message: an RSA one takes 1 to 10 ms.
const maxTries = 64

// A Try is a recipient and a key that may be the one of it.
type Try struct {
	Recipient *RecipientInfo
	Key       crypto.PrivateKey
}

// UnlockAny makes the content readable by whichever of tries has the right key. It is for
// messages whose recipients no certificate matches, because it was renewed with the same
// key, or lost; [EnvelopedData.Unlock] comes first.
//
// The content is held in memory, up to limits.HeldInMemory, and deciphered once for each
// try, whether an earlier one fitted or not. So nothing about a single recipient shows:
// neither in time nor by a recipient that somebody added to a message that others open
// (RFC 3218). Without authentication of the content one wrong try in about 250 seems to
// fit; where the right one comes later the content then makes no sense.
//
// Tries that everybody can see to be impossible do not count; an error says that there is
// no other, or that there are more than 64.
func (e *EnvelopedData) UnlockAny(tries []Try, opt DecryptOptions) error {
	if err := e.unlockable(opt); err != nil {
		return err
	}
	if len(tries) > maxTries {
		return &limits.Exceeded{What: "keys to try", Max: maxTries}
	}
	opt.Originators = append(e.originatorCertificates(), opt.Originators...)
	var keys [][]byte
	first := errors.New("no key to try")
	for i, t := range tries {
		cek, err := t.Recipient.contentKey(t.Key, e.cipher.keyLen, opt)
		if err == nil {
			keys = append(keys, cek)
		} else if i == 0 {
			first = err
		}
	}
	var err error
	switch len(keys) {
	case 0:
		return first
	case 1:
		e.plain, err = e.cipher.open(keys[0], e.content.text, e.tail)
		return err
	}
	e.plain = &trial{e: e, keys: keys}
	return nil
}

// trial deciphers a content with several keys.
type trial struct {
	e     *EnvelopedData
	keys  [][]byte
	plain *bytes.Reader // nil before the first Read
	err   error
}

func (t *trial) Read(p []byte) (int, error) {
	if t.plain == nil {
		t.plain = bytes.NewReader(nil)
		t.err = t.run()
	}
	if t.plain.Len() > 0 {
		return t.plain.Read(p)
	}
	return 0, t.err
}

func (t *trial) run() error {
	text, err := io.ReadAll(io.LimitReader(t.e.content.text, limits.HeldInMemory+1))
	if err != nil {
		return err
	}
	if len(text) > limits.HeldInMemory {
		return cipherstream.ErrTooLong
	}
	tag, additional, err := t.e.tail()
	if err != nil {
		return err
	}
	held := func() ([]byte, []byte, error) { return tag, additional, nil }
	result := error(cipherstream.ErrOpen)
	for _, key := range t.keys {
		r, err := t.e.cipher.open(key, bytes.NewReader(text), held)
		if err != nil {
			return err
		}
		plain, err := io.ReadAll(r)
		if err == nil && result != io.EOF {
			result = io.EOF
			t.plain.Reset(plain)
		}
		clear(key)
	}
	return result
}
