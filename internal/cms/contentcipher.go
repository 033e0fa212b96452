package cms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"

	"github.com/postseal/postseal/internal/cipherstream"
	"github.com/postseal/postseal/internal/kdf"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
)

// A cipherMode is how a content cipher is worked.
type cipherMode uint8

const (
	modeCBC cipherMode = iota
	modeGCM
	modeCCM
	modeChaCha
)

// contentCiphers are the ciphers of RFC 3565, RFC 5084, RFC 8103 and, for reading old
// mail, RFC 3370. The key of RC2 has the effective length its parameters give.
var contentCiphers = [...]struct {
	name   string
	oid    oid.OID
	mode   cipherMode
	keyLen int
	legacy bool
}{
	{"aes128-cbc", oid.AES128CBC, modeCBC, 16, false},
	{"aes192-cbc", oid.AES192CBC, modeCBC, 24, false},
	{"aes256-cbc", oid.AES256CBC, modeCBC, 32, false},
	{"aes128-gcm", oid.AES128GCM, modeGCM, 16, false},
	{"aes192-gcm", oid.AES192GCM, modeGCM, 24, false},
	{"aes256-gcm", oid.AES256GCM, modeGCM, 32, false},
	{"aes128-ccm", oid.AES128CCM, modeCCM, 16, false},
	{"aes192-ccm", oid.AES192CCM, modeCCM, 24, false},
	{"aes256-ccm", oid.AES256CCM, modeCCM, 32, false},
	{"chacha20-poly1305", oid.ChaCha20Poly1305, modeChaCha, 32, false},
	{"3des-cbc", oid.TripleDESCBC, modeCBC, 24, true},
	{"des-cbc", oid.DESCBC, modeCBC, 8, true},
	{"rc2-cbc", oid.RC2CBC, modeCBC, 0, true},
}

// cipherOID returns the identifier of the content cipher with a name.
func cipherOID(name string) oid.OID {
	for _, known := range contentCiphers {
		if known.name == name {
			return known.oid
		}
	}
	return ""
}

// A contentCipher is a content-encryption algorithm with its parameters.
type contentCipher struct {
	name   string
	oid    oid.OID
	mode   cipherMode
	keyLen int
	legacy bool
	iv     []byte // or nonce
	icv    int    // length of the tag; 0 without authentication
	bits   int    // effective key length of RC2
	derive []byte // DER of the algorithm, if its key is derived (RFC 9709)
}

// authenticated reports whether the cipher protects integrity.
func (c *contentCipher) authenticated() bool { return c.mode != modeCBC }

// parseContentCipher reads a ContentEncryptionAlgorithmIdentifier. What it does not know
// is an [UnsupportedError]; parameters that are not what the algorithm has are malformed.
func parseContentCipher(a AlgorithmIdentifier) (*contentCipher, error) {
	if a.OID != oid.CEKHKDFSHA256 {
		return parseBareCipher(a)
	}
	// RFC 9709, Section 3: the parameters are the algorithm that the key is derived for.
	var inner AlgorithmIdentifier
	if s := cryptobyte.String(a.Parameters); !readAlgorithm(&s, &inner) || !s.Empty() {
		return nil, malformed(0, "parameters of the key derivation for the content")
	}
	c, err := parseBareCipher(inner)
	if err != nil {
		return nil, err
	}
	c.derive = inner.Raw
	return c, nil
}

func parseBareCipher(a AlgorithmIdentifier) (*contentCipher, error) {
	for _, known := range contentCiphers {
		if known.oid != a.OID {
			continue
		}
		c := &contentCipher{name: known.name, oid: known.oid, mode: known.mode, keyLen: known.keyLen, legacy: known.legacy}
		return c, c.parse(a)
	}
	return nil, &UnsupportedError{What: "content cipher", OID: a.OID}
}

func (c *contentCipher) parse(a AlgorithmIdentifier) error {
	bad := malformed(0, "parameters of "+c.name)
	ok := true
	switch {
	case c.oid == oid.RC2CBC:
		c.bits, c.iv, ok = readRC2Parameters(a.Parameters)
		c.keyLen = (c.bits + 7) / 8
		ok = ok && len(c.iv) == 8
	case c.mode == modeCBC:
		c.iv, ok = readOctetString(a.Parameters)
		size := aes.BlockSize
		if c.legacy {
			size = des.BlockSize
		}
		ok = ok && len(c.iv) == size
	case c.mode == modeChaCha:
		c.iv, ok = readOctetString(a.Parameters) // RFC 8103, Section 3
		c.icv = cipherstream.TagSize
		ok = ok && len(c.iv) == cipherstream.NonceSize
	case c.mode == modeGCM:
		c.iv, c.icv, ok = readAEADParameters(a.Parameters)
		if !ok {
			return bad
		}
		if len(c.iv) != cipherstream.NonceSize {
			return &UnsupportedError{What: "GCM nonce that is not 12 octets"}
		}
		ok = c.icv >= 12 && c.icv <= 16
	default:
		c.iv, c.icv, ok = readAEADParameters(a.Parameters)
		ok = ok && len(c.iv) >= 7 && len(c.iv) <= 13 && c.icv >= 4 && c.icv <= 16 && c.icv%2 == 0
	}
	if !ok {
		return bad
	}
	return nil
}

// allowed refuses what the options do not name.
func (c *contentCipher) allowed(opt DecryptOptions) error {
	if c.legacy && !opt.AllowLegacyCiphers {
		return &WeakError{c.name}
	}
	// RFC 5084, Section 3 recommends 12 octets for both. Nobody has been seen to write less
	// than 16 with GCM, where a forgery is easier the shorter the tag is.
	least := cipherstream.TagSize
	switch {
	case c.mode == modeCCM && opt.AllowShortTags:
		least = 8
	case c.mode == modeCCM || opt.AllowShortTags:
		least = 12 // QUIRK: Bouncy Castle, with CCM.
	}
	if c.authenticated() && c.icv < least {
		return &WeakError{fmt.Sprintf("%s with a tag of %d bits", c.name, 8*c.icv)}
	}
	return nil
}

// open deciphers text with the key that a recipient was given. If wrong is 1 the key is known
// not to be the one, and the content ends in no other way than with any wrong key.
func (c *contentCipher) open(key []byte, wrong int, text io.Reader, tail cipherstream.Tail) (io.Reader, error) {
	if c.derive != nil {
		var err error
		if key, err = kdf.ContentKey(key, c.derive); err != nil {
			return nil, err
		}
	}
	switch c.mode {
	case modeGCM:
		return cipherstream.NewGCMReader(text, key, c.iv, tail)
	case modeCCM:
		return cipherstream.NewCCMReader(text, key, c.iv, limits.HeldInMemory, tail)
	case modeChaCha:
		return cipherstream.NewChaChaReader(text, key, c.iv, tail)
	}
	b, err := c.block(key)
	if err != nil {
		return nil, err
	}
	r, err := cipherstream.NewCBCReader(text, b, c.iv, tail)
	if err != nil {
		return nil, err
	}
	r.Doom(wrong) // with a tag a random key never fits
	return r, nil
}

// longest is the length of content, in octets, beyond which r reports that it is too long.
func (c *contentCipher) longest(r io.Reader) int64 {
	if c.mode == modeCCM {
		return min(limits.HeldInMemory, cipherstream.LongestCCM(len(c.iv)))
	}
	if _, tried := r.(*trial); tried {
		return limits.HeldInMemory
	}
	return cipherstream.LongestGCM
}

// block returns the block cipher of a CBC cipher.
func (c *contentCipher) block(key []byte) (cipher.Block, error) {
	switch c.oid {
	case oid.TripleDESCBC:
		return des.NewTripleDESCipher(key)
	case oid.DESCBC:
		return des.NewCipher(key)
	case oid.RC2CBC:
		return cipherstream.NewRC2(key, c.bits)
	}
	return aes.NewCipher(key)
}

// newContentCipher returns a cipher to write with, by name, with a fresh initial vector
// or nonce. Only ciphers that are not weak can be written.
func newContentCipher(name string, derive bool) (*contentCipher, AlgorithmIdentifier, error) {
	for _, known := range contentCiphers {
		if known.name != name || known.legacy {
			continue
		}
		c := &contentCipher{name: known.name, oid: known.oid, mode: known.mode, keyLen: known.keyLen}
		size := cipherstream.NonceSize
		if c.mode == modeCBC {
			size = aes.BlockSize
		} else {
			c.icv = cipherstream.TagSize
		}
		c.iv = make([]byte, size)
		rand.Read(c.iv)
		parameters := octetString(c.iv)
		if c.mode == modeGCM || c.mode == modeCCM {
			parameters = aeadParameters(c.iv, c.icv)
		}
		a := algorithm(c.oid, parameters)
		if derive {
			c.derive = a.Raw
			a = algorithm(oid.CEKHKDFSHA256, a.Raw)
		}
		return c, a, nil
	}
	return nil, AlgorithmIdentifier{}, &UnsupportedError{What: "content cipher " + name}
}

// A contentWriter enciphers content.
type contentWriter interface {
	io.WriteCloser
	Tag() []byte
}

// seal enciphers what is written to the result and passes it to dst.
func (c *contentCipher) seal(dst io.Writer, key, additional []byte) (contentWriter, error) {
	if c.derive != nil {
		var err error
		if key, err = kdf.ContentKey(key, c.derive); err != nil {
			return nil, err
		}
	}
	switch c.mode {
	case modeGCM:
		return cipherstream.NewGCMWriter(dst, key, c.iv, additional)
	case modeCCM:
		return cipherstream.NewCCMWriter(dst, key, c.iv, additional, limits.HeldInMemory)
	case modeChaCha:
		return cipherstream.NewChaChaWriter(dst, key, c.iv, additional)
	}
	b, err := c.block(key)
	if err != nil {
		return nil, err
	}
	return cipherstream.NewCBCWriter(dst, b, c.iv)
}
