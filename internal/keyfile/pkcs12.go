package keyfile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/cipherstream"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// pkcs12 reads a PKCS#12 file in DER or BER (RFC 7292, Section 5.2): the MAC first, then
// every SafeContents, then the bags in them.
func (f *File) pkcs12(data []byte, password string, b *budget) error {
	der, err := ber.ToDER(data, maxFile)
	if err != nil {
		return fmt.Errorf("not a PKCS#12 file: %w", err)
	}
	p, ok := parsePFX(der)
	if !ok {
		return malformed("PKCS#12 file")
	}
	if p.signed {
		return &UnsupportedError{"PKCS#12 with a signature in place of a MAC"}
	}
	if !p.hasMAC {
		return ErrNoMAC
	}
	s := newSecret(password)
	if ok, err = p.verify(s, b); err == nil && !ok && password == "" {
		// QUIRK: GnuTLS, NSS and others take no octets at all for an empty password,
		// OpenSSL and Windows take the final NUL.
		s.bmp = nil
		ok, err = p.verify(s, b)
	}
	if err != nil {
		return err
	}
	if !ok {
		return errPassword
	}
	return f.safes(p.safe, s, b)
}

// verify checks the MAC with the password s.
func (p pfx) verify(s secret, b *budget) (bool, error) {
	var h digest
	var key []byte
	var err error
	if p.digest.id == oidPBMAC1 {
		h, key, err = p.pbmac1(s, b)
	} else {
		var ok bool
		if h, ok = digestOf(p.digest.id); !ok {
			return false, &UnsupportedError{"MAC digest " + p.digest.id.String()}
		}
		key, err = pkcs12Key(h, forMAC, s.bmp, p.salt, p.iterations, h.size, b)
	}
	if err != nil {
		return false, err
	}
	mac := hmac.New(h.new, key)
	mac.Write(p.safe)
	return subtle.ConstantTimeCompare(mac.Sum(nil), p.mac) == 1, nil
}

// pbmac1 returns the digest and key of a PBMAC1 (RFC 9879): the salt and iterations of
// MacData do not count, the key length must be stated and one that an attacker cannot
// simply try.
func (p pfx) pbmac1(s secret, b *budget) (digest, []byte, error) {
	kdf, scheme, ok := parsePair(p.digest.params)
	if !ok {
		return digest{}, nil, malformed("PBMAC1 parameters")
	}
	h, ok := digestOf(scheme.id)
	if !ok || scheme.id == oid.SHA1 {
		return digest{}, nil, &UnsupportedError{"PBMAC1 with " + scheme.id.String()}
	}
	d, err := parseDerivation(kdf)
	if err != nil {
		return digest{}, nil, err
	}
	if d.keyLength < 20 || d.keyLength > 64 {
		return digest{}, nil, fmt.Errorf("PBMAC1 key length %d is not within 20 and 64", d.keyLength)
	}
	key, err := d.derive(s.utf8, d.keyLength, b)
	return h, key, err
}

// safes reads an AuthenticatedSafe: SEQUENCE OF ContentInfo.
func (f *File) safes(der []byte, s secret, b *budget) error {
	der, err := ber.ToDER(der, maxFile)
	if err != nil {
		return err
	}
	in, seq := cryptobyte.String(der), cryptobyte.String(nil)
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() {
		return malformed("authenticated safe")
	}
	queue := [][]byte{} // SafeContents, also those that sit in bags of others
	for n := 0; !seq.Empty(); n++ {
		if n == maxSafes {
			return &limits.Exceeded{What: "safes in a PKCS#12 file", Max: maxSafes}
		}
		t, content, ok := readContentInfo(&seq)
		if !ok {
			return malformed("authenticated safe")
		}
		var safe []byte
		switch t {
		case oid.Data:
			if safe, ok = parseOctets(content); !ok {
				return malformed("authenticated safe")
			}
		case oid.EncryptedData:
			alg, ciphertext, ok := parseEncryptedData(content)
			if !ok {
				return malformed("encrypted safe")
			}
			if safe, err = decrypt(alg, ciphertext, s, b); err != nil {
				return fmt.Errorf("encrypted safe: %w", err)
			}
		default:
			return &UnsupportedError{"safe of content type " + t.String()}
		}
		queue = append(queue, safe)
	}
	for n := 0; len(queue) > 0; queue = queue[1:] {
		der, err := ber.ToDER(queue[0], maxFile)
		if err != nil {
			return err
		}
		in, bags := cryptobyte.String(der), cryptobyte.String(nil)
		if !in.ReadASN1(&bags, asn1.SEQUENCE) || !in.Empty() {
			return malformed("safe")
		}
		for ; !bags.Empty(); n++ {
			if n == maxBags {
				return &limits.Exceeded{What: "bags in a PKCS#12 file", Max: maxBags}
			}
			k, ok := readBag(&bags)
			if !ok {
				return malformed("bag")
			}
			if k.id == oidSafeBag {
				queue = append(queue, k.value)
				continue
			}
			if err := f.bag(k, s, b); err != nil {
				return fmt.Errorf("bag %d: %w", n, err)
			}
		}
	}
	return nil
}

// bag reads one bag. CRLs and secrets are passed over.
func (f *File) bag(k bag, s secret, b *budget) error {
	switch k.id {
	case oidKeyBag:
		return f.addKey(k.value)
	case oidShroudedBag:
		der, err := decryptPKCS8(k.value, s, b)
		if err != nil {
			return err
		}
		return f.addKey(der)
	case oidCertBag:
		der, ok := parseCertBag(k.value)
		if !ok {
			return malformed("certificate bag")
		}
		if der == nil || len(der) > limits.CertificateSize {
			f.Unread = append(f.Unread, errors.New("certificate that is not X.509 or too large"))
			return nil
		}
		c, err := pkix.ParseCertificate(der)
		if err != nil {
			f.Unread = append(f.Unread, err)
			return nil
		}
		f.Certificates = append(f.Certificates, c)
	}
	return nil
}

// decryptPKCS8 decrypts an EncryptedPrivateKeyInfo.
func decryptPKCS8(der []byte, s secret, b *budget) ([]byte, error) {
	alg, ciphertext, ok := parseEncryptedKey(der)
	if !ok {
		return nil, malformed("encrypted private key")
	}
	return decrypt(alg, ciphertext, s, b)
}

// decrypt decrypts what is encrypted with a password. Wrong padding means a wrong password.
func decrypt(a algorithm, ciphertext []byte, s secret, b *budget) ([]byte, error) {
	block, iv, err := passwordCipher(a, s, b)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(ciphertext) == 0 || len(ciphertext)%size != 0 || len(iv) != size {
		return nil, malformed("ciphertext")
	}
	clear := make([]byte, len(ciphertext))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(clear, ciphertext)
	pad := int(clear[len(clear)-1])
	if pad < 1 || pad > size {
		return nil, errPassword
	}
	for _, c := range clear[len(clear)-pad:] {
		if int(c) != pad {
			return nil, errPassword
		}
	}
	return clear[:len(clear)-pad], nil
}

// passwordCipher returns the cipher and IV of a password-based encryption scheme.
func passwordCipher(a algorithm, s secret, b *budget) (cipher.Block, []byte, error) {
	if a.id == oidPBES2 {
		return pbes2(a.params, s, b)
	}
	size := 0
	switch a.id {
	case oidPBETripleDES:
		size = 24
	case oidPBE2KeyDES, oidPBERC2_128:
		size = 16
	case oidPBERC2_40:
		size = 5
	default:
		return nil, nil, &UnsupportedError{"password-based encryption " + a.id.String()}
	}
	salt, iterations, ok := parsePBE(a.params)
	if !ok {
		return nil, nil, malformed("encryption parameters")
	}
	h, _ := digestOf(oid.SHA1)
	key, err := pkcs12Key(h, forKey, s.bmp, salt, iterations, size, b)
	if err != nil {
		return nil, nil, err
	}
	iv, err := pkcs12Key(h, forIV, s.bmp, salt, iterations, 8, b)
	if err != nil {
		return nil, nil, err
	}
	var block cipher.Block
	switch a.id {
	case oidPBE2KeyDES:
		block, err = des.NewTripleDESCipher(append(key[:16:16], key[:8]...))
	case oidPBETripleDES:
		block, err = des.NewTripleDESCipher(key)
	default:
		block, err = cipherstream.NewRC2(key, 8*size)
	}
	return block, iv, err
}

// pbes2 is RFC 8018, Section 6.2. Its password is UTF-8, in PKCS#12 files as well.
func pbes2(params cryptobyte.String, s secret, b *budget) (cipher.Block, []byte, error) {
	kdf, scheme, ok := parsePair(params)
	if !ok {
		return nil, nil, malformed("PBES2 parameters")
	}
	size := 0
	switch scheme.id {
	case oid.AES128CBC:
		size = 16
	case oid.AES192CBC, oid.TripleDESCBC:
		size = 24
	case oid.AES256CBC:
		size = 32
	default:
		return nil, nil, &UnsupportedError{"PBES2 with cipher " + scheme.id.String()}
	}
	iv, ok := parseOctets(scheme.params)
	if !ok {
		return nil, nil, malformed("PBES2 parameters")
	}
	d, err := parseDerivation(kdf)
	if err != nil {
		return nil, nil, err
	}
	if d.keyLength >= 0 && d.keyLength != size {
		return nil, nil, fmt.Errorf("PBES2 key length %d where the cipher takes %d", d.keyLength, size)
	}
	key, err := d.derive(s.utf8, size, b)
	if err != nil {
		return nil, nil, err
	}
	if scheme.id == oid.TripleDESCBC {
		block, err := des.NewTripleDESCipher(key)
		return block, iv, err
	}
	block, err := aes.NewCipher(key)
	return block, iv, err
}
