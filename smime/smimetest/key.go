package smimetest

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"sync"

	"filippo.io/mldsa"
	"github.com/postseal/postseal/internal/oid"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A Key is a kind of key.
type Key string

// The kinds of keys. The zero Key is [P256].
const (
	RSA1024   Key = "rsa-1024" // too weak for anybody
	RSA2048   Key = "rsa-2048"
	RSA3072   Key = "rsa-3072"
	RSA4096   Key = "rsa-4096" // takes seconds to make
	P256      Key = "p-256"
	P384      Key = "p-384"
	P521      Key = "p-521"
	Ed25519   Key = "ed25519"     // signs only
	X25519    Key = "x25519"      // decrypts only
	MLDSA44   Key = "ml-dsa-44"   // signs only
	MLDSA65   Key = "ml-dsa-65"   // signs only
	MLDSA87   Key = "ml-dsa-87"   // signs only
	MLKEM768  Key = "ml-kem-768"  // decrypts only
	MLKEM1024 Key = "ml-kem-1024" // decrypts only
)

// generate makes a key.
func (k Key) generate() (crypto.PrivateKey, error) {
	switch k {
	case RSA1024:
		return rsa.GenerateKey(rand.Reader, 1024)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	case P256, "":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case P521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case X25519:
		return ecdh.X25519().GenerateKey(rand.Reader)
	case MLDSA44:
		return mldsa.GenerateKey(mldsa.MLDSA44())
	case MLDSA65:
		return mldsa.GenerateKey(mldsa.MLDSA65())
	case MLDSA87:
		return mldsa.GenerateKey(mldsa.MLDSA87())
	case MLKEM768:
		return mlkem.GenerateKey768()
	case MLKEM1024:
		return mlkem.GenerateKey1024()
	}
	return nil, fmt.Errorf("no kind of key is called %q", string(k))
}

// usage returns the key usage that a certificate with such a key has by default.
func (k Key) usage() x509.KeyUsage {
	switch k {
	case RSA1024, RSA2048, RSA3072, RSA4096:
		return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	case P256, P384, P521, "":
		return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement
	case X25519:
		return x509.KeyUsageKeyAgreement
	case MLKEM768, MLKEM1024:
		return x509.KeyUsageKeyEncipherment
	}
	return x509.KeyUsageDigitalSignature
}

// publicKeyInfo returns the SubjectPublicKeyInfo of key (RFC 5280, Section 4.1.2.7; RFC
// 9881, Section 4; RFC 9935, Section 4).
func (k Key) publicKeyInfo(key crypto.PrivateKey) ([]byte, error) {
	var algorithm oid.OID
	var bits []byte
	switch k {
	case MLDSA44:
		algorithm, bits = oid.MLDSA44, key.(*mldsa.PrivateKey).PublicKey().Bytes()
	case MLDSA65:
		algorithm, bits = oid.MLDSA65, key.(*mldsa.PrivateKey).PublicKey().Bytes()
	case MLDSA87:
		algorithm, bits = oid.MLDSA87, key.(*mldsa.PrivateKey).PublicKey().Bytes()
	case MLKEM768:
		algorithm, bits = oid.MLKEM768, key.(*mlkem.DecapsulationKey768).EncapsulationKey().Bytes()
	case MLKEM1024:
		algorithm, bits = oid.MLKEM1024, key.(*mlkem.DecapsulationKey1024).EncapsulationKey().Bytes()
	default:
		return x509.MarshalPKIXPublicKey(key.(interface{ Public() crypto.PublicKey }).Public())
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(algorithm)) })
		})
		b.AddASN1BitString(bits)
	})
	return b.Bytes()
}

// A person is a name with a kind of key.
type person struct {
	name string
	kind Key
}

// keyring holds the keys of people, who have the same ones in every PKI of the process.
var keyring struct {
	sync.Mutex
	keys map[person][]*heldKey
}

type heldKey struct {
	once sync.Once
	key  crypto.PrivateKey
	err  error
}

// key returns the next key of that kind for somebody of that name.
func (p *PKI) key(name string, kind Key) (crypto.PrivateKey, error) {
	who := person{name, kind}
	p.mu.Lock()
	n := p.issued[who]
	p.issued[who]++
	p.mu.Unlock()

	keyring.Lock()
	if keyring.keys == nil {
		keyring.keys = map[person][]*heldKey{}
	}
	for len(keyring.keys[who]) <= n {
		keyring.keys[who] = append(keyring.keys[who], new(heldKey))
	}
	held := keyring.keys[who][n]
	keyring.Unlock()

	held.once.Do(func() { held.key, held.err = kind.generate() })
	return held.key, held.err
}
