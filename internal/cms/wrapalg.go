package cms

import (
	"crypto/aes"
	"crypto/des"

	"golang.org/x/crypto/cryptobyte"

	"github.com/postseal/postseal/internal/cipherstream"
	"github.com/postseal/postseal/internal/keywrap"
	"github.com/postseal/postseal/internal/oid"
)

// wrapAlgorithms are those of RFC 3565, RFC 5649 and, for reading, RFC 3370.
var wrapAlgorithms = [...]struct {
	name   string
	oid    oid.OID
	keyLen int
	padded bool
	legacy bool
}{
	{"aes128-wrap", oid.AES128Wrap, 16, false, false},
	{"aes192-wrap", oid.AES192Wrap, 24, false, false},
	{"aes256-wrap", oid.AES256Wrap, 32, false, false},
	{"aes128-wrap-pad", oid.AES128WrapPad, 16, true, false},
	{"aes192-wrap-pad", oid.AES192WrapPad, 24, true, false},
	{"aes256-wrap-pad", oid.AES256WrapPad, 32, true, false},
	{"3des-wrap", oid.TripleDESWrap, 24, false, true},
	{"rc2-wrap", oid.RC2Wrap, 0, false, true},
}

// A wrapAlgorithm is a key-wrap algorithm with its parameters.
type wrapAlgorithm struct {
	AlgorithmIdentifier
	name   string
	keyLen int // of the key that wraps, in octets
	padded bool
	legacy bool
	bits   int // effective key length of RC2
}

// parseWrap reads a KeyWrapAlgorithm.
func parseWrap(a AlgorithmIdentifier) (*wrapAlgorithm, error) {
	for _, known := range wrapAlgorithms {
		if known.oid != a.OID {
			continue
		}
		w := &wrapAlgorithm{a, known.name, known.keyLen, known.padded, known.legacy, 0}
		if a.OID == oid.RC2Wrap { // RFC 3370, Section 4.3.2: the parameters are the version alone
			var version int
			s := cryptobyte.String(a.Parameters)
			if !s.ReadASN1Integer(&version) || !s.Empty() {
				return nil, malformed(0, "parameters of "+w.name)
			}
			w.bits, _ = rc2Bits(version)
			if w.bits == 0 {
				return nil, &UnsupportedError{What: "RC2 key length"}
			}
			w.keyLen = 16
			return w, nil
		}
		// QUIRK: absent for AES (RFC 3565, Section 2.3.2), but BSAFE and others write NULL.
		if !a.NoParameters() {
			return nil, malformed(0, "parameters of "+w.name)
		}
		return w, nil
	}
	return nil, &UnsupportedError{What: "key wrap", OID: a.OID}
}

// aesWrap returns the AES key wrap whose key is at least as strong as a content key of n
// octets, to be written without parameters (RFC 3565, Section 2.3.2).
func aesWrap(n int) *wrapAlgorithm {
	for _, known := range wrapAlgorithms {
		if known.keyLen >= n && !known.legacy {
			return &wrapAlgorithm{algorithm(known.oid, nil), known.name, known.keyLen, false, false, 0}
		}
	}
	return nil
}

func (w *wrapAlgorithm) allowed(opt DecryptOptions) error {
	if w.legacy && !opt.AllowLegacyCiphers {
		return &WeakError{w.name}
	}
	return nil
}

// unwrap recovers a key of n octets. All faults, of lengths as well, end in ok being 0.
func (w *wrapAlgorithm) unwrap(kek, wrapped []byte, n int) (cek []byte, ok int) {
	var err error
	switch {
	case w.OID == oid.TripleDESWrap:
		block, e := des.NewTripleDESCipher(kek)
		if e != nil || n != 24 {
			return nil, 0
		}
		cek, ok, err = keywrap.UnwrapTripleDES(block, wrapped)
	case w.OID == oid.RC2Wrap:
		block, e := cipherstream.NewRC2(kek, w.bits)
		if e != nil {
			return nil, 0
		}
		cek, ok, err = keywrap.UnwrapRC2(block, wrapped, n)
	default:
		block, e := aes.NewCipher(kek)
		if e != nil {
			return nil, 0
		}
		if w.padded {
			cek, ok, err = keywrap.UnwrapPad(block, wrapped, n)
		} else if len(wrapped) == n+8 {
			cek, ok, err = keywrap.Unwrap(block, wrapped)
		}
	}
	if err != nil {
		return nil, 0
	}
	return cek, ok
}

func (w *wrapAlgorithm) wrap(kek, cek []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	return keywrap.Wrap(block, cek)
}
