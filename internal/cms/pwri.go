package cms

import (
	"crypto"
	"crypto/aes"
	"crypto/rand"

	"golang.org/x/crypto/cryptobyte"

	"github.com/postseal/postseal/internal/kdf"
	"github.com/postseal/postseal/internal/keywrap"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// passwordIterations is what we write: what RFC 8018 leaves open, at the cost that a
// reader's cap of a million allows with room to spare.
const passwordIterations = 600_000

// passwordLock is a password (RFC 5652, Section 6.2.4 and RFC 3211).
type passwordLock struct {
	passwordRecipient
	cipher     *contentCipher    // the cipher the key is wrapped with
	parameters *pbkdf2Parameters // nil if the secret is the key itself
}

func parsePWRI(s cryptobyte.String) *RecipientInfo {
	var v passwordRecipient
	if !readPasswordRecipient(s, &v) {
		return unusable("pwri", malformed(0, "PasswordRecipientInfo"))
	}
	l := &passwordLock{passwordRecipient: v}
	ri := &RecipientInfo{Kind: "pwri", Algorithm: v.algorithm.OID.String(), lock: l}
	ri.err = l.parse()
	if ri.err == nil {
		ri.Algorithm, ri.KeyBits = "pwri-kek-"+l.cipher.name, 8*l.cipher.keyLen
		if l.parameters != nil {
			ri.Algorithm = "pbkdf2-hmac-" + hashName(l.parameters.prf) + "-" + ri.Algorithm
		}
	}
	return ri
}

func (l *passwordLock) parse() error {
	if l.algorithm.OID != oid.PWRIKEK {
		return &UnsupportedError{What: "key encryption by password", OID: l.algorithm.OID}
	}
	var inner AlgorithmIdentifier
	if s := cryptobyte.String(l.algorithm.Parameters); !readAlgorithm(&s, &inner) || !s.Empty() {
		return malformed(0, "parameters of id-alg-PWRI-KEK")
	}
	var err error
	if l.cipher, err = parseBareCipher(inner); err != nil {
		return err
	}
	if l.cipher.mode != modeCBC { // RFC 3211, Section 2.3: the wrap needs the chaining of CBC
		return &UnsupportedError{What: "cipher for a password's key", OID: inner.OID}
	}
	if l.derivation.OID == "" {
		return nil
	}
	if l.derivation.OID != oid.PBKDF2 {
		return &UnsupportedError{What: "key derivation from a password", OID: l.derivation.OID}
	}
	p, err := parsePBKDF2Parameters(l.derivation.Parameters)
	if err != nil {
		return err
	}
	if p.iterations > limits.KDFIterations {
		return &limits.Exceeded{What: "PBKDF2 iterations", Max: limits.KDFIterations}
	}
	if p.keyLength != 0 && p.keyLength != l.cipher.keyLen {
		return malformed(0, "key length of PBKDF2")
	}
	l.parameters = &p
	return nil
}

func (l *passwordLock) fits(key crypto.PrivateKey) bool {
	if l.parameters == nil {
		k, ok := key.(Secret)
		return ok && len(k) == l.cipher.keyLen
	}
	_, ok := key.(Passphrase)
	return ok
}

func (l *passwordLock) open(key crypto.PrivateKey, n int, opt DecryptOptions) ([]byte, int, error) {
	if l.cipher.legacy && !opt.AllowLegacyCiphers {
		return nil, 0, &WeakError{l.cipher.name}
	}
	kek, err := l.kek(key)
	if err != nil {
		return nil, 0, err
	}
	block, err := l.cipher.block(kek)
	if err != nil {
		return nil, 0, err
	}
	cek, ok, err := keywrap.UnwrapPassword(block, l.cipher.iv, l.encryptedKey, n)
	if err != nil {
		return nil, 0, nil
	}
	return cek, ok, nil
}

func (l *passwordLock) kek(key crypto.PrivateKey) ([]byte, error) {
	if l.parameters == nil {
		// RFC 5652, Section 6.2.4: without derivation the key comes from elsewhere.
		k, ok := key.(Secret)
		if !ok || len(k) != l.cipher.keyLen {
			return nil, errKeyType("pwri, without key derivation,")
		}
		return k, nil
	}
	password, ok := key.(Passphrase)
	if !ok {
		return nil, errKeyType("pwri")
	}
	p := l.parameters
	return kdf.PBKDF2(p.prf.New, password, p.salt, p.iterations, limits.KDFIterations, l.cipher.keyLen)
}

// cost returns what deriving the key takes, in iterations of HMAC-SHA-256. One of SHA-512
// takes two and a half times as long, and a key longer than the hash takes another round
// (RFC 8018, Section 5.2).
func (l *passwordLock) cost() int {
	p := l.parameters
	if p == nil {
		return 0
	}
	n, size := p.iterations, p.prf.Size()
	if p.prf.New().BlockSize() > crypto.SHA256.New().BlockSize() {
		n = n * 5 / 2
	}
	return n * ((l.cipher.keyLen + size - 1) / size)
}

// sealPassword protects cek with a password: PBKDF2 with HMAC-SHA-256, AES-256-CBC.
// iterations may be 0, for 600,000.
func sealPassword(password []byte, iterations int, cek []byte) (*passwordRecipient, error) {
	if iterations == 0 {
		iterations = passwordIterations
	}
	p := pbkdf2Parameters{salt: make([]byte, 16), iterations: iterations, prf: crypto.SHA256}
	rand.Read(p.salt)
	kek, err := kdf.PBKDF2(p.prf.New, password, p.salt, iterations, limits.KDFIterations, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	iv := make([]byte, aes.BlockSize)
	rand.Read(iv)
	wrapped, err := keywrap.WrapPassword(block, iv, cek)
	if err != nil {
		return nil, err
	}
	return &passwordRecipient{
		derivation:   algorithm(oid.PBKDF2, p.der()),
		algorithm:    algorithm(oid.PWRIKEK, algorithm(oid.AES256CBC, octetString(iv)).Raw),
		encryptedKey: wrapped,
	}, nil
}
