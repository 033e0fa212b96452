package cms

import (
	"crypto"
	"crypto/rand"
	"encoding/hex"
	"errors"

	"golang.org/x/crypto/cryptobyte"
)

// kekLock is a key that both sides have already (RFC 5652, Section 6.2.3).
type kekLock struct {
	kekRecipient
	wrap *wrapAlgorithm
}

func parseKEKRI(s cryptobyte.String) *RecipientInfo {
	var v kekRecipient
	if !readKEKRecipient(s, &v) {
		return unusable("kekri", malformed(0, "KEKRecipientInfo"))
	}
	l := &kekLock{kekRecipient: v}
	ri := &RecipientInfo{Kind: "kekri", Algorithm: v.algorithm.OID.String(), ID: "key " + hex.EncodeToString(v.kekid), lock: l}
	if l.wrap, ri.err = parseWrap(v.algorithm); ri.err == nil {
		ri.Algorithm, ri.KeyBits = l.wrap.name, 8*l.wrap.keyLen
	}
	return ri
}

func (l *kekLock) fits(key crypto.PrivateKey) bool {
	kek, ok := key.(Secret)
	return ok && len(kek) == l.wrap.keyLen
}

func (l *kekLock) open(key crypto.PrivateKey, n int, opt DecryptOptions) ([]byte, int, error) {
	if err := l.wrap.allowed(opt); err != nil {
		return nil, 0, err
	}
	kek, ok := key.(Secret)
	if !ok {
		return nil, 0, errKeyType("kekri")
	}
	if len(kek) != l.wrap.keyLen {
		return nil, 0, errors.New("the secret key has another length than " + l.wrap.name + " needs")
	}
	cek, good := l.wrap.unwrap(kek, l.encryptedKey, n)
	return cek, good, nil
}

// sealKEK protects cek with a key that both sides have, of 16, 24 or 32 octets. It must
// be no shorter than cek (RFC 5652, Section 14).
func sealKEK(kek, id, cek []byte) (*kekRecipient, error) {
	if len(kek) < len(cek) {
		return nil, errors.New("the secret key is weaker than the content cipher")
	}
	wrap := aesWrap(len(kek))
	if wrap == nil || wrap.keyLen != len(kek) {
		return nil, errors.New("a secret key must have 16, 24 or 32 octets")
	}
	wrapped, err := wrap.wrap(kek, cek)
	if err != nil {
		return nil, err
	}
	if len(id) == 0 {
		id = make([]byte, 16)
		rand.Read(id)
	}
	return &kekRecipient{kekid: id, algorithm: wrap.AlgorithmIdentifier, encryptedKey: wrapped}, nil
}
