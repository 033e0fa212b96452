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
// A key derived from a password may take 0.26 s, and there are no more of those than
// maxDerivations.
const (
	maxTries       = 64
	maxDerivations = 4
)

// A Try is a recipient and a key that may be the one of it.
type Try struct {
	Recipient *RecipientInfo
	Key       crypto.PrivateKey
}

// UnlockAny makes the content readable by whichever of tries has the right key. It is for
// messages whose recipients no certificate matches, because it was renewed with the same
// key, or lost, and for secrets and passwords, which no recipient names;
// [EnvelopedData.Unlock] comes first.
//
// If there are several the content is held in memory, up to limits.HeldInMemory, and
// deciphered once for each try, whether an earlier one fitted or not. So nothing about a
// single recipient shows: neither in time nor by a recipient that somebody added to a
// message that others open (RFC 3218). Without authentication of the content one wrong try
// in about 250 seems to fit; where the right one comes later the content then makes no
// sense.
//
// Tries that everybody can see to be impossible do not count; an error says that there is
// no other, or that there are too many: more than 64, or more than 4 with a password.
func (e *EnvelopedData) UnlockAny(tries []Try, opt DecryptOptions) error {
	if err := e.unlockable(opt); err != nil {
		return err
	}
	var possible []int
	derivations := 0
	for i, t := range tries {
		if t.Recipient.err != nil || !t.Recipient.lock.fits(t.Key) {
			continue
		}
		if t.Recipient.Kind == "pwri" {
			derivations++
		}
		if possible = append(possible, i); len(possible) > maxTries || derivations > maxDerivations {
			return &limits.Exceeded{What: "keys to try", Max: maxTries}
		}
	}
	opt.Originators = append(e.originatorCertificates(), opt.Originators...)
	w := &trial{e: e}
	first := errors.New("no key to try")
	for n, i := range possible {
		cek, err := tries[i].Recipient.contentKey(tries[i].Key, e.cipher.keyLen, opt)
		if err == nil {
			w.keys, w.index = append(w.keys, cek), append(w.index, i)
		} else if n == 0 {
			first = err
		}
	}
	var err error
	switch len(w.keys) {
	case 0:
		return first
	case 1:
		e.plain, err = e.cipher.open(w.keys[0], e.content.text, e.tail)
		e.tried = w.index[0]
		clear(w.keys[0])
		return err
	}
	e.plain, e.tried = w, -1
	return nil
}

// Tried returns which of the tries of UnlockAny gave the content, or -1 as long as that is
// not known, because nothing has been read.
func (e *EnvelopedData) Tried() int { return e.tried }

// trial deciphers a content with several keys.
type trial struct {
	e     *EnvelopedData
	keys  [][]byte
	index []int         // of each of keys among the tries
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
	for i, key := range t.keys {
		r, err := t.e.cipher.open(key, bytes.NewReader(text), held)
		if err != nil {
			return err
		}
		plain, err := io.ReadAll(r)
		if err == nil && result != io.EOF {
			result = io.EOF
			t.plain.Reset(plain)
			t.e.tried = t.index[i]
		}
		clear(key)
	}
	return result
}
