package sqlstore

import (
	"crypto"
	"crypto/mlkem"
	"crypto/x509"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/x448"
)

// marshalKey returns the PKCS #8 form of a private key of any kind that package keyfile
// reads. It fails for a key that does not give its octets away.
func marshalKey(key crypto.PrivateKey) ([]byte, error) {
	switch k := key.(type) {
	case *mldsa.PrivateKey:
		return mldsax509.MarshalPKCS8PrivateKey(k)
	case *mlkem.DecapsulationKey768:
		return seedKey(oid.MLKEM768, k.Bytes())
	case *mlkem.DecapsulationKey1024:
		return seedKey(oid.MLKEM1024, k.Bytes())
	case *x448.PrivateKey:
		return privateKeyInfo(oid.X448, func(b *cryptobyte.Builder) { b.AddASN1OctetString(k.Bytes()) })
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// seedKey writes a key by its seed (RFC 9935, Section 6):
//
//	ML-KEM-768-PrivateKey ::= CHOICE { seed [0] OCTET STRING (SIZE (64)), ... }
func seedKey(algorithm oid.OID, seed []byte) ([]byte, error) {
	return privateKeyInfo(algorithm, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(seed) })
	})
}

// privateKeyInfo writes (RFC 5958, Section 2):
//
//	OneAsymmetricKey ::= SEQUENCE {
//	  version INTEGER, privateKeyAlgorithm AlgorithmIdentifier, privateKey OCTET STRING, ... }
func privateKeyInfo(algorithm oid.OID, key func(*cryptobyte.Builder)) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(algorithm)) })
		})
		b.AddASN1(asn1.OCTET_STRING, key)
	})
	return b.Bytes()
}
