package cms

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// rsaLock is key transport by RSA (RFC 5652, Section 6.2.1).
type rsaLock struct {
	oaep         *oaepParameters // nil for PKCS #1 v1.5
	encryptedKey []byte
}

func parseKTRI(s cryptobyte.String) *RecipientInfo {
	var v keyTransRecipient
	if !readKeyTransRecipient(s, &v) {
		return unusable("ktri", malformed(0, "KeyTransRecipientInfo"))
	}
	l := &rsaLock{encryptedKey: v.encryptedKey}
	ri := &RecipientInfo{Kind: "ktri", ID: v.rid.String(), certificate: v.rid, lock: l}
	switch v.algorithm.OID {
	case oid.RSA:
		ri.Algorithm = "rsa-pkcs1"
		if !v.algorithm.NoParameters() {
			ri.err = malformed(0, "parameters of rsaEncryption")
		}
	case oid.RSAOAEP:
		// Whatever is wrong with the parameters, PKCS #1 v1.5 is never tried instead.
		p, err := parseOAEPParameters(v.algorithm.Parameters)
		l.oaep, ri.err = &p, err
		ri.Algorithm = "rsa-oaep"
		if err == nil {
			ri.Algorithm += "-" + hashName(p.hash)
			if p.mgf != p.hash {
				ri.Algorithm += "-mgf1-" + hashName(p.mgf)
			}
		}
	default:
		ri.Algorithm = v.algorithm.OID.String()
		ri.err = &UnsupportedError{What: "key transport", OID: v.algorithm.OID}
	}
	return ri
}

// decrypter returns key as an RSA key that can decrypt, or nil.
func decrypter(key crypto.PrivateKey) (crypto.Decrypter, *rsa.PublicKey) {
	if d, ok := key.(crypto.Decrypter); ok {
		if pub, ok := d.Public().(*rsa.PublicKey); ok {
			return d, pub
		}
	}
	return nil, nil
}

func (l *rsaLock) fits(key crypto.PrivateKey) bool {
	_, pub := decrypter(key)
	return pub != nil && pub.Size() == len(l.encryptedKey)
}

func (l *rsaLock) open(key crypto.PrivateKey, n int, opt DecryptOptions) ([]byte, int, error) {
	d, pub := decrypter(key)
	if d == nil {
		return nil, 0, errKeyType("ktri")
	}
	if bits := pub.N.BitLen(); bits > limits.RSAModulusMax {
		return nil, 0, &limits.Exceeded{What: "bits of an RSA modulus", Max: limits.RSAModulusMax}
	} else if bits < limits.RSAModulusMin && !opt.AllowLegacyCiphers {
		return nil, 0, &WeakError{fmt.Sprintf("an RSA key of %d bits", bits)}
	}
	if len(l.encryptedKey) != pub.Size() {
		return nil, 0, nil
	}
	// With SessionKeyLen bad padding gives a random key and no error.
	var how crypto.DecrypterOpts = &rsa.PKCS1v15DecryptOptions{SessionKeyLen: n}
	if l.oaep != nil {
		how = &rsa.OAEPOptions{Hash: l.oaep.hash, MGFHash: l.oaep.mgf, Label: l.oaep.label}
	} else if _, ours := key.(*rsa.PrivateKey); !ours && !takesSessionKeyLen(d, pub, n) {
		how = &rsa.PKCS1v15DecryptOptions{}
	}
	// What the message brought is decrypted once, whatever comes of it: a second operation
	// after a bad padding would show in the time it takes.
	cek, err := d.Decrypt(rand.Reader, l.encryptedKey, how)
	if l.oaep == nil && (err != nil || len(cek) != n) { // that no content ever fits would tell, too
		cek, err = make([]byte, n), nil
		rand.Read(cek)
	}
	if err != nil {
		return nil, 0, nil
	}
	return cek, 1, nil
}

// takesSessionKeyLen reports whether d decrypts with a SessionKeyLen of n. It finds out by a
// random key of its own, so that the answer has nothing to do with any message.
//
// QUIRK: tokens behind github.com/ThalesGroup/crypto11 refuse a SessionKeyLen. They show bad
// padding, and from there on it is a random key as well.
func takesSessionKeyLen(d crypto.Decrypter, pub *rsa.PublicKey, n int) bool {
	key := make([]byte, n)
	rand.Read(key)
	text, err := rsa.EncryptPKCS1v15(rand.Reader, pub, key)
	if err != nil {
		return false
	}
	got, err := d.Decrypt(rand.Reader, text, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: n})
	return err == nil && subtle.ConstantTimeCompare(got, key) == 1
}

// checkModulus refuses keys that nobody should encrypt to.
func checkModulus(pub *rsa.PublicKey) error {
	if bits := pub.N.BitLen(); bits < limits.RSAModulusMin {
		return &sigalg.WeakKeyError{Bits: bits, Min: limits.RSAModulusMin}
	} else if bits > limits.RSAModulusMax {
		return &limits.Exceeded{What: "bits of an RSA modulus", Max: limits.RSAModulusMax}
	}
	return nil
}

// sealRSA protects cek for the holder of an RSA key. PKCS #1 v1.5 has NULL parameters
// (RFC 3370, Section 4.2.1).
func sealRSA(cert *x509.Certificate, pub *rsa.PublicKey, oaep *oaepParameters, keyID bool, cek []byte) (*keyTransRecipient, error) {
	v := &keyTransRecipient{rid: NewCertificateID(cert, keyID)}
	var err error
	if oaep == nil {
		v.algorithm = algorithm(oid.RSA, null())
		v.encryptedKey, err = rsa.EncryptPKCS1v15(rand.Reader, pub, cek)
		return v, err
	}
	v.algorithm = algorithm(oid.RSAOAEP, oaep.der())
	v.encryptedKey, err = rsa.EncryptOAEPWithOptions(rand.Reader, pub, cek,
		&rsa.OAEPOptions{Hash: oaep.hash, MGFHash: oaep.mgf, Label: oaep.label})
	return v, err
}
