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
// A key derived from a password may take 0.26 s with SHA-256, and there are no more of
// those than maxDerivations, with other hashes fewer.
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
// deciphered once for each try, whether an earlier one fitted or not, so all of it together
// has at most limits.TriedOctets, or TriedLegacy. So nothing about a single recipient shows:
// neither in time nor by a recipient that somebody added to a message that others open (RFC
// 3218). Without authentication of the content one wrong try with RSA PKCS #1 v1.5 in about
// 250 seems to fit. So of those that fit the first one counts whose content begins as text,
// or else the first.
//
// Tries that everybody can see to be impossible do not count; an error says that there is
// no other, or that there are too many: more than 64, or more than 4 with a password,
// or that those cost more than 4 may that use SHA-256.
func (e *EnvelopedData) UnlockAny(tries []Try, opt DecryptOptions) error {
	if err := e.unlockable(opt); err != nil {
		return err
	}
	var possible []int
	derivations, iterations := 0, 0
	first := errors.New("no key to try")
	for i, t := range tries {
		if t.Recipient.err != nil {
			first = t.Recipient.err
			continue
		}
		if !t.Recipient.lock.fits(t.Key) {
			continue
		}
		if l, ok := t.Recipient.lock.(*passwordLock); ok {
			derivations++
			iterations += l.cost()
		}
		if possible = append(possible, i); len(possible) > maxTries || derivations > maxDerivations || iterations > maxDerivations*limits.KDFIterations {
			return &limits.Exceeded{What: "keys to try", Max: maxTries}
		}
	}
	opt.Originators = append(e.originatorCertificates(), opt.Originators...)
	w := &trial{e: e}
	for n, i := range possible {
		cek, wrong, err := tries[i].Recipient.contentKey(tries[i].Key, e.cipher.keyLen, opt)
		if err == nil {
			w.keys, w.wrong, w.index = append(w.keys, cek), append(w.wrong, wrong), append(w.index, i)
		} else if n == 0 {
			first = err
		}
	}
	var err error
	switch len(w.keys) {
	case 0:
		return first
	case 1:
		e.plain, err = e.cipher.open(w.keys[0], w.wrong[0], e.content.text, e.tail)
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
	wrong []int         // 1 for each of keys that is known to be wrong
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
	work := limits.TriedOctets
	if t.e.cipher.legacy {
		work = limits.TriedLegacy
	}
	most := min(limits.HeldInMemory, work/len(t.keys))
	text, err := io.ReadAll(io.LimitReader(t.e.content.text, int64(most)+1))
	if err != nil {
		return err
	}
	if len(text) > most {
		return cipherstream.ErrTooLong
	}
	tag, additional, err := t.e.tail()
	if err != nil {
		return err
	}
	held := func() ([]byte, []byte, error) { return tag, additional, nil }
	result, readable := error(cipherstream.ErrOpen), false
	for i, key := range t.keys {
		r, err := t.e.cipher.open(key, t.wrong[i], bytes.NewReader(text), held)
		if err != nil {
			return err
		}
		plain, err := io.ReadAll(r)
		if likely := err == nil && beginsAsText(plain); err == nil && (result != io.EOF || likely && !readable) {
			result, readable = io.EOF, likely
			t.plain.Reset(plain)
			t.e.tried = t.index[i]
		}
		clear(key)
	}
	return result
}

// beginsAsText reports whether the first octets of plain are ASCII text, as every MIME entity
// begins. Of 10^26 wrong keys one makes 64 such octets.
func beginsAsText(plain []byte) bool {
	for _, c := range plain[:min(len(plain), 64)] {
		if (c < ' ' || c > '~') && c != '\r' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}
