package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"

	"golang.org/x/crypto/cryptobyte"

	"github.com/postseal/postseal/internal/kdf"
	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
	"github.com/postseal/postseal/internal/x448"
)

// agreements are the key agreement schemes of RFC 5753, Section 7.1.4 and RFC 8418,
// Section 2.2. On the curves here, whose cofactor is one or cleared by the private key,
// the standard and the cofactor primitive give the same secret.
var agreements = [...]struct {
	name string
	oid  oid.OID
	hash crypto.Hash
	hkdf bool
}{
	{"ecdh-sha1", oid.ECDHStdSHA1, crypto.SHA1, false},
	{"ecdh-sha224", oid.ECDHStdSHA224, crypto.SHA224, false},
	{"ecdh-sha256", oid.ECDHStdSHA256, crypto.SHA256, false},
	{"ecdh-sha384", oid.ECDHStdSHA384, crypto.SHA384, false},
	{"ecdh-sha512", oid.ECDHStdSHA512, crypto.SHA512, false},
	{"ecdh-cofactor-sha1", oid.ECDHCofactorSHA1, crypto.SHA1, false},
	{"ecdh-cofactor-sha224", oid.ECDHCofactorSHA224, crypto.SHA224, false},
	{"ecdh-cofactor-sha256", oid.ECDHCofactorSHA256, crypto.SHA256, false},
	{"ecdh-cofactor-sha384", oid.ECDHCofactorSHA384, crypto.SHA384, false},
	{"ecdh-cofactor-sha512", oid.ECDHCofactorSHA512, crypto.SHA512, false},
	{"ecdh-hkdf-sha256", oid.ECDHHKDFSHA256, crypto.SHA256, true},
	{"ecdh-hkdf-sha384", oid.ECDHHKDFSHA384, crypto.SHA384, true},
	{"ecdh-hkdf-sha512", oid.ECDHHKDFSHA512, crypto.SHA512, true},
}

// agreeLock is key agreement by ECDH (RFC 5652, Section 6.2.2).
type agreeLock struct {
	keyAgreeRecipient
	hash         crypto.Hash
	hkdf         bool
	wrap         *wrapAlgorithm
	encryptedKey []byte
}

// parseKARI returns a RecipientInfo for every recipient that shares the agreement.
func parseKARI(s cryptobyte.String) []*RecipientInfo {
	var v keyAgreeRecipient
	if !readKeyAgreeRecipient(s, &v) {
		return one(unusable("kari", malformed(0, "KeyAgreeRecipientInfo")))
	}
	l := agreeLock{keyAgreeRecipient: v}
	name, err := l.parseAlgorithm()
	bits := 0
	if err == nil {
		bits = 8 * l.wrap.keyLen
	}
	var out []*RecipientInfo
	for _, k := range v.keys {
		mine := l
		mine.encryptedKey = k.encryptedKey
		out = append(out, &RecipientInfo{
			Kind: "kari", Algorithm: name, ID: k.rid.String(), KeyBits: bits,
			certificate: k.rid, lock: &mine, err: err})
	}
	return out
}

func (l *agreeLock) parseAlgorithm() (name string, err error) {
	for _, known := range agreements {
		if known.oid != l.algorithm.OID {
			continue
		}
		l.hash, l.hkdf = known.hash, known.hkdf
		var inner AlgorithmIdentifier
		if s := cryptobyte.String(l.algorithm.Parameters); !readAlgorithm(&s, &inner) || !s.Empty() {
			return known.name, malformed(0, "key wrap algorithm of a key agreement")
		}
		if l.wrap, err = parseWrap(inner); err != nil {
			return known.name, err
		}
		return known.name + "-" + l.wrap.name, nil
	}
	return l.algorithm.OID.String(), &UnsupportedError{What: "key agreement", OID: l.algorithm.OID}
}

func (l *agreeLock) fits(key crypto.PrivateKey) bool {
	if l.originatorKey == nil {
		return true // the curve is that of a certificate
	}
	_, isX448 := key.(*x448.PrivateKey)
	if isX448 || l.originatorAlg.OID == oid.X448 {
		return isX448 && l.originatorAlg.OID == oid.X448
	}
	k, err := exchanger(key)
	return err == nil && sameCurve(k, l.originatorAlg)
}

func (l *agreeLock) open(key crypto.PrivateKey, n int, opt DecryptOptions) ([]byte, int, error) {
	if err := l.wrap.allowed(opt); err != nil {
		return nil, 0, err
	}
	peer, named := l.originatorKey, l.originatorAlg
	if peer == nil {
		var err error
		if peer, named, err = l.static(opt); err != nil {
			return nil, 0, err
		}
	}
	z, ok, err := agree(key, peer, named)
	if err != nil || !ok {
		return nil, 0, err
	}
	kek, err := l.kek(z)
	if err != nil {
		return nil, 0, err
	}
	cek, good := l.wrap.unwrap(kek, l.encryptedKey, n)
	return cek, good, nil
}

// kek derives the key that wraps (RFC 5753, Section 7.2; RFC 8418, Section 2.2).
func (l *agreeLock) kek(z []byte) ([]byte, error) {
	info := sharedInfo(l.wrap.AlgorithmIdentifier, l.ukm, 8*l.wrap.keyLen)
	if l.hkdf {
		return kdf.HKDF(l.hash.New, z, l.ukm, info, l.wrap.keyLen)
	}
	return kdf.X963(l.hash.New, z, info, l.wrap.keyLen)
}

// static finds the static public key of the sender, which only a certificate holds.
func (l *agreeLock) static(opt DecryptOptions) (point []byte, named AlgorithmIdentifier, err error) {
	compared := 0
	for _, cert := range opt.Originators {
		if l.originator.Compares(cert) {
			if compared++; compared > limits.SignerCandidates {
				continue
			}
		}
		if !l.originator.Matches(cert) {
			continue
		}
		spki := cryptobyte.String(cert.RawSubjectPublicKeyInfo)
		if !readSPKI(spki, &named, &point) {
			return nil, named, malformed(0, "SubjectPublicKeyInfo")
		}
		return point, named, nil
	}
	return nil, named, &UnsupportedError{What: "key agreement with a sender whose certificate is not at hand"}
}

// agree computes the shared secret of key and an encoded public key. named is the
// algorithm of the public key, whose curve must be that of key where it is stated: with
// its parameters absent or NULL it is not (RFC 5753, Section 3.1.1). A public key that is
// not on the curve, and a secret of zero, make ok false.
func agree(key crypto.PrivateKey, peer []byte, named AlgorithmIdentifier) (z []byte, ok bool, err error) {
	if k, ok := key.(*x448.PrivateKey); ok {
		if named.OID != oid.X448 {
			return nil, false, nil
		}
		z, err := k.ECDH(peer)
		return z, err == nil, nil
	}
	k, err := exchanger(key)
	if err != nil || !sameCurve(k, named) {
		return nil, false, err
	}
	pub, err := k.Curve().NewPublicKey(peer)
	if err != nil {
		return nil, false, nil
	}
	if z, err = k.ECDH(pub); err != nil {
		return nil, false, nil
	}
	// crypto/ecdh looks for zero, a token need not (RFC 8418, Section 2).
	if k.Curve() == ecdh.X25519() && subtle.ConstantTimeCompare(z, make([]byte, len(z))) == 1 {
		return nil, false, nil
	}
	return z, true, nil
}

// exchanger returns a private key as one that can agree on a curve that is supported.
func exchanger(key crypto.PrivateKey) (ecdh.KeyExchanger, error) {
	if k, ok := key.(*ecdsa.PrivateKey); ok {
		// ECDSA and ECDH keys of a curve are the same; the certificate says which it is for.
		var err error
		if key, err = k.ECDH(); err != nil {
			return nil, &UnsupportedError{What: "curve for key agreement"}
		}
	}
	k, ok := key.(ecdh.KeyExchanger)
	if !ok {
		return nil, errKeyType("kari")
	}
	if curveAlgorithm(k.Curve()).OID == "" {
		return nil, &UnsupportedError{What: "curve for key agreement"}
	}
	return k, nil
}

// sameCurve reports whether a public key named so can be on the curve of k.
func sameCurve(k ecdh.KeyExchanger, named AlgorithmIdentifier) bool {
	want := curveAlgorithm(k.Curve())
	return named.OID == want.OID && (named.NoParameters() || bytes.Equal(named.Parameters, want.Parameters))
}

// curveAlgorithm returns the AlgorithmIdentifier of public keys on a curve, or an empty one.
func curveAlgorithm(c ecdh.Curve) AlgorithmIdentifier {
	var curve oid.OID
	switch c {
	case ecdh.X25519():
		return algorithm(oid.X25519, nil)
	case ecdh.P256():
		curve = oid.P256
	case ecdh.P384():
		curve = oid.P384
	case ecdh.P521():
		curve = oid.P521
	default:
		return AlgorithmIdentifier{}
	}
	return algorithm(oid.ECPublicKey, derOID(curve))
}

// sealECDH protects cek for the holder of an ECDH key: a fresh ephemeral key, a wrap as
// strong as the content key, SHA-256 or the hash of the curve's strength with X9.63, and
// HKDF on the curves of RFC 7748 (RFC 8551, Section 2.3).
func sealECDH(cert *x509.Certificate, pub crypto.PublicKey, keyID bool, cek []byte) (*keyAgreeRecipient, error) {
	v := &keyAgreeRecipient{}
	var z []byte
	var scheme oid.OID
	switch pub := pub.(type) {
	case *ecdh.PublicKey:
		e, err := pub.Curve().GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		if z, err = e.ECDH(pub); err != nil {
			return nil, err
		}
		v.originatorAlg, v.originatorKey = curveAlgorithm(pub.Curve()), e.PublicKey().Bytes()
		switch pub.Curve() {
		case ecdh.P256():
			scheme = oid.ECDHStdSHA256
		case ecdh.P384():
			scheme = oid.ECDHStdSHA384
		case ecdh.P521():
			scheme = oid.ECDHStdSHA512
		default:
			scheme = oid.ECDHHKDFSHA256
		}
	case sigalg.X448PublicKey:
		e, err := x448.GenerateKey()
		if err != nil {
			return nil, err
		}
		if z, err = e.ECDH(pub); err != nil {
			return nil, err
		}
		v.originatorAlg, v.originatorKey = algorithm(oid.X448, nil), e.PublicKey()
		scheme = oid.ECDHHKDFSHA512
	default:
		return nil, &UnsupportedError{What: "type of public key for key agreement"}
	}
	wrap := aesWrap(len(cek))
	v.algorithm = algorithm(scheme, wrap.Raw)
	l := agreeLock{keyAgreeRecipient: *v}
	if _, err := l.parseAlgorithm(); err != nil {
		return nil, err
	}
	kek, err := l.kek(z)
	if err != nil {
		return nil, err
	}
	wrapped, err := wrap.wrap(kek, cek)
	if err != nil {
		return nil, err
	}
	id := NewCertificateID(cert, keyID)
	v.keys = []recipientEncryptedKey{{id, wrapped}}
	return v, nil
}
