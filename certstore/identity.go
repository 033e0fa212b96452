package certstore

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"filippo.io/mldsa"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/pkix"
	"github.com/postseal/postseal/internal/x448"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// An Identity is a certificate, the intermediate certificates to send with it, and its
// private key. It cannot be changed, and is safe for concurrent use if its key is.
type Identity struct {
	cert  *x509.Certificate
	inter []*x509.Certificate
	key   crypto.PrivateKey
}

// NewIdentity returns the identity of cert. It fails if key is not the private key of
// cert, or is an RSA key that is inconsistent in itself.
//
// The key may live in a token: it need only implement one of [crypto.Signer],
// [crypto.MessageSigner], [crypto.Decrypter], [ecdh.KeyExchanger] or [crypto.Decapsulator].
// Intermediates are the certificates to send along, nearest issuer first.
func NewIdentity(cert *x509.Certificate, key crypto.PrivateKey, intermediates ...*x509.Certificate) (*Identity, error) {
	if cert == nil {
		return nil, errors.New("certstore: identity without a certificate")
	}
	if slices.Contains(intermediates, nil) {
		return nil, errors.New("certstore: nil among the intermediate certificates")
	}
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("certstore: private key of %s: %w", pkix.NameString(cert.RawSubject), err)
	}
	pub, ok := publicKey(key)
	if !ok {
		return nil, fmt.Errorf("certstore: a key of type %T can neither sign nor decrypt nor agree on keys", key)
	}
	if !ownsKey(cert, pub) {
		return nil, fmt.Errorf("certstore: private key does not belong to the certificate of %s", pkix.NameString(cert.RawSubject))
	}
	return &Identity{cert, slices.Clone(intermediates), key}, nil
}

// Certificate returns the end-entity certificate.
func (id *Identity) Certificate() *x509.Certificate { return id.cert }

// Intermediates returns the certificates to send along, nearest issuer first.
func (id *Identity) Intermediates() []*x509.Certificate { return slices.Clone(id.inter) }

// Key returns the private key or the handle to it. It implements at least one of the
// interfaces that [NewIdentity] names.
func (id *Identity) Key() crypto.PrivateKey { return id.key }

// checkKey refuses keys that are inconsistent in themselves: one signature made with a
// wrong CRT value gives the factors away.
func checkKey(key crypto.PrivateKey) error {
	if k, ok := key.(*rsa.PrivateKey); ok {
		return k.Validate()
	}
	return nil
}

// publicKey returns the public half of key.
func publicKey(key crypto.PrivateKey) (crypto.PublicKey, bool) {
	switch k := key.(type) {
	case *x448.PrivateKey:
		return x448Public(k.PublicKey()), true
	case crypto.Decapsulator:
		return k.Encapsulator(), true
	case crypto.Signer:
		return k.Public(), true
	case crypto.Decrypter:
		return k.Public(), true
	case ecdh.KeyExchanger:
		return k.PublicKey(), true
	}
	return nil, false
}

// An x448Public is the public half of the one key that no interface of the standard
// library fits.
type x448Public []byte

// ownsKey reports whether pub is the key that c certifies. Types are no help: crypto/x509
// gives one for signing to every certificate with an elliptic curve key, a token that
// agrees on keys gives another, and some algorithms have none. So the encodings decide.
func ownsKey(c *x509.Certificate, pub crypto.PublicKey) bool {
	if k, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); ok && k.Equal(pub) {
		return true
	}
	alg, curve, bits, ok := splitSPKI(c.RawSubjectPublicKeyInfo)
	if !ok || len(bits) == 0 || !bytes.Equal(bits, publicBits(pub)) {
		return false
	}
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return alg == oid.RSA || alg == oid.RSAPSS || alg == oid.RSAOAEP
	case *ecdsa.PublicKey:
		return alg == oid.ECPublicKey && curve == ecdsaCurve(k.Curve)
	case *ecdh.PublicKey:
		if k.Curve() == ecdh.X25519() {
			return alg == oid.X25519
		}
		return alg == oid.ECPublicKey && curve == ecdhCurve(k.Curve())
	case x448Public:
		return alg == oid.X448
	case ed25519.PublicKey:
		return alg == oid.Ed25519
	case *mldsa.PublicKey:
		return alg == mldsaOID(k.Parameters())
	case crypto.Encapsulator:
		return alg == oid.MLKEM512 || alg == oid.MLKEM768 || alg == oid.MLKEM1024
	}
	return false
}

// publicBits returns pub as the BIT STRING of a SubjectPublicKeyInfo holds it; nil if its
// type is unknown.
func publicBits(pub crypto.PublicKey) []byte {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return x509.MarshalPKCS1PublicKey(k)
	case *ecdsa.PublicKey:
		b, err := k.Bytes()
		if err != nil {
			return nil
		}
		return b
	case x448Public:
		return k
	case ed25519.PublicKey:
		return k
	case interface{ Bytes() []byte }: // of crypto/ecdh, ML-DSA and every crypto.Encapsulator
		return k.Bytes()
	}
	return nil
}

// splitSPKI returns the algorithm, the named curve if there is one, and the key of a
// SubjectPublicKeyInfo (RFC 5280, Section 4.1.2.7).
func splitSPKI(spki []byte) (alg, curve oid.OID, key []byte, ok bool) {
	var seq, id, a, p cryptobyte.String
	in := cryptobyte.String(spki)
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !seq.ReadASN1(&id, asn1.SEQUENCE) ||
		!id.ReadASN1(&a, asn1.OBJECT_IDENTIFIER) || !seq.ReadASN1BitStringAsBytes(&key) {
		return "", "", nil, false
	}
	if id.PeekASN1Tag(asn1.OBJECT_IDENTIFIER) && !id.ReadASN1(&p, asn1.OBJECT_IDENTIFIER) {
		return "", "", nil, false
	}
	return oid.OID(a), oid.OID(p), key, true
}

func ecdsaCurve(c elliptic.Curve) oid.OID {
	switch c {
	case elliptic.P224():
		return oid.P224
	case elliptic.P256():
		return oid.P256
	case elliptic.P384():
		return oid.P384
	case elliptic.P521():
		return oid.P521
	}
	return "none"
}

func ecdhCurve(c ecdh.Curve) oid.OID {
	switch c {
	case ecdh.P256():
		return oid.P256
	case ecdh.P384():
		return oid.P384
	case ecdh.P521():
		return oid.P521
	}
	return "none"
}

func mldsaOID(p mldsa.Parameters) oid.OID {
	switch p {
	case mldsa.MLDSA44():
		return oid.MLDSA44
	case mldsa.MLDSA65():
		return oid.MLDSA65
	case mldsa.MLDSA87():
		return oid.MLDSA87
	}
	return "none"
}
