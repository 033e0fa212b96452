package cms

import (
	"crypto"
	"crypto/mlkem"
	"crypto/x509"

	"golang.org/x/crypto/cryptobyte"

	"github.com/postseal/postseal/internal/kdf"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// kemLock is a key encapsulation mechanism (RFC 9629), which is ML-KEM (RFC 9936).
type kemLock struct {
	kemRecipient
	hash    crypto.Hash
	wrapper *wrapAlgorithm
	size    int // of the ciphertext
}

// mlkemSets are the parameter sets of FIPS 203: the lengths of the encapsulation key and
// of the ciphertext.
var mlkemSets = [...]struct {
	name            string
	oid             oid.OID
	key, ciphertext int
}{
	{"ml-kem-512", oid.MLKEM512, 800, 768},
	{"ml-kem-768", oid.MLKEM768, 1184, 1088},
	{"ml-kem-1024", oid.MLKEM1024, 1568, 1568},
}

func parseKEMRI(s cryptobyte.String) *RecipientInfo {
	var v kemRecipient
	if !readKEMRecipient(s, &v) {
		return unusable("kemri", malformed(0, "KEMRecipientInfo"))
	}
	l := &kemLock{kemRecipient: v}
	ri := &RecipientInfo{Kind: "kemri", ID: v.rid.String(), certificate: v.rid, lock: l}
	if ri.Algorithm, ri.err = l.parse(); ri.err == nil {
		ri.KeyBits = 8 * l.kekLength
	}
	return ri
}

func (l *kemLock) parse() (name string, err error) {
	for _, set := range mlkemSets {
		if set.oid == l.kem.OID {
			name, l.size = set.name, set.ciphertext
		}
	}
	if name == "" {
		return l.kem.OID.String(), &UnsupportedError{What: "key encapsulation", OID: l.kem.OID}
	}
	if l.kem.Parameters != nil { // RFC 9936, Section 2.1
		return name, malformed(0, "parameters of "+name)
	}
	switch l.kdf.OID {
	case oid.HKDFSHA256:
		l.hash = crypto.SHA256
	case oid.HKDFSHA384:
		l.hash = crypto.SHA384
	case oid.HKDFSHA512:
		l.hash = crypto.SHA512
	default:
		return name, &UnsupportedError{What: "key derivation for a KEM", OID: l.kdf.OID}
	}
	if l.kdf.Parameters != nil { // RFC 8619, Section 3
		return name, malformed(0, "parameters of HKDF")
	}
	if l.wrapper, err = parseWrap(l.wrap); err != nil {
		return name, err
	}
	name += "-hkdf-" + hashName(l.hash) + "-" + l.wrapper.name
	if l.kekLength != l.wrapper.keyLen { // RFC 9629, Section 3
		return name, malformed(0, "kekLength: it is not the key length of "+l.wrapper.name)
	}
	return name, nil
}

func (l *kemLock) fits(key crypto.PrivateKey) bool {
	d, ok := key.(crypto.Decapsulator)
	if !ok || len(l.ciphertext) != l.size {
		return false
	}
	public := len(d.Encapsulator().Bytes())
	for _, set := range mlkemSets {
		if set.ciphertext == l.size {
			return set.key == public
		}
	}
	return false
}

func (l *kemLock) open(key crypto.PrivateKey, n int, opt DecryptOptions) ([]byte, int, error) {
	if err := l.wrapper.allowed(opt); err != nil {
		return nil, 0, err
	}
	d, ok := key.(crypto.Decapsulator)
	if !ok {
		return nil, 0, errKeyType("kemri")
	}
	if len(l.ciphertext) != l.size {
		return nil, 0, nil
	}
	// A wrong ciphertext gives a wrong secret, not an error (FIPS 203, Section 6.3).
	secret, err := d.Decapsulate(l.ciphertext)
	if err != nil {
		return nil, 0, nil
	}
	kek, err := l.kek(secret)
	if err != nil {
		return nil, 0, err
	}
	cek, good := l.wrapper.unwrap(kek, l.encryptedKey, n)
	return cek, good, nil
}

func (l *kemLock) kek(secret []byte) ([]byte, error) {
	defer clear(secret)
	return kdf.HKDF(l.hash.New, secret, nil, kemOtherInfo(l.wrap, l.kekLength, l.ukm), l.kekLength)
}

// encapsulator returns an ML-KEM key that is strong enough to encrypt to.
func encapsulator(pub *sigalg.MLKEMPublicKey) (crypto.Encapsulator, error) {
	switch pub.Parameters {
	case oid.MLKEM768:
		return mlkem.NewEncapsulationKey768(pub.Bytes)
	case oid.MLKEM1024:
		return mlkem.NewEncapsulationKey1024(pub.Bytes)
	}
	return nil, &UnsupportedError{What: "key encapsulation", OID: pub.Parameters}
}

// sealKEM protects cek for the holder of an ML-KEM-768 or ML-KEM-1024 key: HKDF with
// SHA-256 and AES-256 key wrap (RFC 9936, Section 2.2).
func sealKEM(cert *x509.Certificate, pub *sigalg.MLKEMPublicKey, keyID bool, cek []byte) (*kemRecipient, error) {
	e, err := encapsulator(pub)
	if err != nil {
		return nil, err
	}
	secret, ciphertext := e.Encapsulate()
	wrap := aesWrap(32)
	l := &kemLock{kemRecipient: kemRecipient{
		rid: NewCertificateID(cert, keyID), kem: algorithm(pub.Parameters, nil), kdf: algorithm(oid.HKDFSHA256, nil),
		wrap: wrap.AlgorithmIdentifier, ciphertext: ciphertext, kekLength: wrap.keyLen}}
	if _, err := l.parse(); err != nil {
		return nil, err
	}
	kek, err := l.kek(secret)
	if err != nil {
		return nil, err
	}
	l.encryptedKey, err = wrap.wrap(kek, cek)
	return &l.kemRecipient, err
}
