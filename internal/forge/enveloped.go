package forge

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"math/big"

	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
)

// An Enveloped is EnvelopedData (RFC 5652, Section 6.1) or AuthEnvelopedData (RFC 5083,
// Section 2.1) with the fields as they are to be sent.
type Enveloped struct {
	Authenticated bool // AuthEnvelopedData
	Originator    []byte
	Recipients    [][]byte
	ContentType   oid.OID
	Cipher        []byte // contentEncryptionAlgorithm
	Text          []byte // encryptedContent; nil leaves it out
	WireText      []byte // encryptedContent with its tag, instead of Text
	Attributes    []byte // what comes behind the content
	MAC           []byte // of AuthEnvelopedData; nil leaves it out
	Tail          []byte // behind everything
}

// DER returns the ContentInfo.
func (e *Enveloped) DER() []byte {
	t, contentType := oid.EnvelopedData, e.ContentType
	var mac []byte
	if e.Authenticated {
		t = oid.AuthEnvelopedData
		if e.MAC != nil {
			mac = Octets(e.MAC)
		}
	}
	if contentType == "" {
		contentType = oid.Data
	}
	text := e.WireText
	if text == nil && e.Text != nil {
		text = Element(casn1.Tag(0).ContextSpecific(), e.Text)
	}
	return ContentInfo(t, Sequence(Integer(0), e.Originator, Set(e.Recipients...),
		Sequence(OID(contentType), e.Cipher, text), e.Attributes, mac, e.Tail))
}

// KeyTransport returns a KeyTransRecipientInfo that names cert by issuer and serial.
func KeyTransport(cert *x509.Certificate, algorithm, encryptedKey []byte) []byte {
	return Sequence(Integer(0), IssuerAndSerial(cert.RawIssuer, cert.SerialNumber), algorithm, Octets(encryptedKey))
}

// SharedKey returns a KEKRecipientInfo (RFC 5652, Section 6.2.3).
func SharedKey(id, algorithm, encryptedKey []byte) []byte {
	return Tagged(2, Integer(4), Sequence(Octets(id)), algorithm, Octets(encryptedKey))
}

// RSAEncrypted returns block, an encoded message of any form, encrypted with RSA.
func RSAEncrypted(pub *rsa.PublicKey, block []byte) []byte {
	c := new(big.Int).Exp(new(big.Int).SetBytes(block), big.NewInt(int64(pub.E)), pub.N)
	return c.FillBytes(make([]byte, pub.Size()))
}

// EncryptionBlock returns 00 02, padding octets that are not zero, 00 and key, in size
// octets (RFC 8017, Section 7.2.1).
func EncryptionBlock(size int, key []byte) []byte {
	b := make([]byte, size)
	for i := range b[:size-len(key)-1] {
		b[i] = byte(i%255 + 1)
	}
	b[0], b[1] = 0, 2
	copy(b[size-len(key):], key)
	return b
}

// OAEPBlock returns key encoded by EME-OAEP in size octets, with a seed that is always the
// same (RFC 8017, Section 7.1.1). change may alter the data block before it is masked.
func OAEPBlock(size int, hash, mgf crypto.Hash, label, key []byte, change func(db []byte)) []byte {
	b := make([]byte, size)
	seed, db := b[1:1+hash.Size()], b[1+hash.Size():]
	for i := range seed {
		seed[i] = byte(i + 1)
	}
	copy(db, Digest(hash, label))
	db[len(db)-len(key)-1] = 1
	copy(db[len(db)-len(key):], key)
	if change != nil {
		change(db)
	}
	mask(db, mgf, seed)
	mask(seed, mgf, db)
	return b
}

// mask applies MGF1 (RFC 8017, Appendix B.2.1).
func mask(out []byte, h crypto.Hash, seed []byte) {
	for counter, at := uint32(0), 0; at < len(out); counter++ {
		for _, m := range Digest(h, binary.BigEndian.AppendUint32(append([]byte(nil), seed...), counter)) {
			if at < len(out) {
				out[at] ^= m
				at++
			}
		}
	}
}

// AESCBC returns the algorithm of AES-CBC for the key.
func AESCBC(key, iv []byte) []byte {
	o := map[int]oid.OID{16: oid.AES128CBC, 24: oid.AES192CBC, 32: oid.AES256CBC}[len(key)]
	return Algorithm(o, Octets(iv))
}

// AESGCM returns the algorithm of AES-GCM for the key, with the length of the tag.
func AESGCM(key, nonce []byte, tag int) []byte {
	o := map[int]oid.OID{16: oid.AES128GCM, 24: oid.AES192GCM, 32: oid.AES256GCM}[len(key)]
	return Algorithm(o, Sequence(Octets(nonce), Integer(int64(tag))))
}

// Padded returns content with the padding of RFC 5652, Section 6.3, for blocks of size.
func Padded(content []byte, size int) []byte {
	n := size - len(content)%size
	out := append([]byte(nil), content...)
	for range n {
		out = append(out, byte(n))
	}
	return out
}

// CBC enciphers whole blocks.
func CBC(b cipher.Block, iv, blocks []byte) []byte {
	out := make([]byte, len(blocks))
	cipher.NewCBCEncrypter(b, iv).CryptBlocks(out, blocks)
	return out
}

// AES returns the block cipher.
func AES(key []byte) cipher.Block {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	return b
}

// GCM enciphers content and returns the ciphertext and the full tag.
func GCM(key, nonce, content, additional []byte) (text, tag []byte) {
	aead, err := cipher.NewGCM(AES(key))
	if err != nil {
		panic(err)
	}
	out := aead.Seal(nil, nonce, content, additional)
	return out[:len(out)-aead.Overhead()], out[len(out)-aead.Overhead():]
}
