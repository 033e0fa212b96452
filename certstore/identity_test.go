package certstore_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"reflect"
	"slices"
	"testing"

	"filippo.io/mldsa"
	"github.com/postseal/postseal/certstore"
	"github.com/postseal/postseal/internal/x448"
)

// A certificate as crypto/x509 leaves it where it knows the key algorithm not: no public
// key, but the octets of one.
func unknownKey(t testing.TB, algorithm asn1.ObjectIdentifier, key []byte) *x509.Certificate {
	t.Helper()
	spki, err := asn1.Marshal(struct {
		Algorithm struct{ OID asn1.ObjectIdentifier }
		Key       asn1.BitString
	}{struct{ OID asn1.ObjectIdentifier }{algorithm}, asn1.BitString{Bytes: key, BitLength: 8 * len(key)}})
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{RawSubjectPublicKeyInfo: spki}
}

// Tokens stand in for hardware: each can do one thing and shows nothing else.
type (
	signToken    struct{ crypto.Signer }
	decryptToken struct{ crypto.Decrypter }
	agreeToken   struct{ ecdh.KeyExchanger }
	kemToken     struct{ crypto.Decapsulator }
)

func TestNewIdentity(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec := newKey(t)
	ecDH, err := ec.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kem, err := mlkem.GenerateKey768()
	if err != nil {
		t.Fatal(err)
	}
	dsa, err := mldsa.GenerateKey(mldsa.MLDSA65())
	if err != nil {
		t.Fatal(err)
	}
	x448Key, err := x448.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	broken := *rsaKey
	broken.D = new(big.Int).Add(rsaKey.D, big.NewInt(2))

	rsaCert := selfSigned(t, rsaKey, 1)
	ecCert := selfSigned(t, ec, 2)
	x25519OID, mldsa65OID := asn1.ObjectIdentifier{1, 3, 101, 110}, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}
	for _, tt := range []struct {
		name string
		cert *x509.Certificate
		key  crypto.PrivateKey
		ok   bool
	}{
		{"RSA", rsaCert, rsaKey, true},
		{"RSA token that signs", rsaCert, signToken{rsaKey}, true},
		{"RSA token that decrypts", rsaCert, decryptToken{rsaKey}, true},
		{"EC", ecCert, ec, true},
		{"EC key for agreement", ecCert, ecDH, true},
		{"EC token for agreement", ecCert, agreeToken{ecDH}, true},
		{"Ed25519", selfSigned(t, ed, 3), ed, true},
		{"X25519", unknownKey(t, x25519OID, x25519.PublicKey().Bytes()), x25519, true},
		{"X448", unknownKey(t, asn1.ObjectIdentifier{1, 3, 101, 111}, x448Key.PublicKey()), x448Key, true},
		{"ML-DSA", unknownKey(t, mldsa65OID, dsa.PublicKey().Bytes()), dsa, true},
		{"ML-KEM", unknownKey(t, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 2}, kem.EncapsulationKey().Bytes()), kem, true},
		{"ML-KEM token", unknownKey(t, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 2}, kem.EncapsulationKey().Bytes()), kemToken{kem}, true},

		{"foreign RSA", ecCert, rsaKey, false},
		{"foreign EC", ecCert, newKey(t), false},
		{"foreign curve", ecCert, p384, false},
		{"foreign token", rsaCert, signToken{ec}, false},
		{"X25519 key under Ed25519's name", unknownKey(t, asn1.ObjectIdentifier{1, 3, 101, 112}, x25519.PublicKey().Bytes()), x25519, false},
		{"ML-DSA key under another set's name", unknownKey(t, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 17}, dsa.PublicKey().Bytes()), dsa, false},
		{"ML-KEM key under ML-DSA's name", unknownKey(t, mldsa65OID, kem.EncapsulationKey().Bytes()), kem, false},
		{"certificate without key", &x509.Certificate{}, ec, false},
		{"inconsistent RSA key", rsaCert, &broken, false},
		{"not a private key", ecCert, ec.Public(), false},
		{"no key", ecCert, nil, false},
		{"no certificate", nil, ec, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := certstore.NewIdentity(tt.cert, tt.key)
			if (err == nil) != tt.ok {
				t.Fatalf("got error %v, want success %v", err, tt.ok)
			}
			if err == nil && (id.Certificate() != tt.cert || !reflect.DeepEqual(id.Key(), tt.key)) {
				t.Error("identity holds something else than what it was made of")
			}
		})
	}
}

func TestIdentityIsImmutable(t *testing.T) {
	key := newKey(t)
	cert, ca := selfSigned(t, key, 1), selfSigned(t, newKey(t), 2)
	chain := []*x509.Certificate{ca}
	id, err := certstore.NewIdentity(cert, key, chain...)
	if err != nil {
		t.Fatal(err)
	}
	chain[0] = cert
	id.Intermediates()[0] = cert
	if got := id.Intermediates(); !slices.Equal(got, []*x509.Certificate{ca}) {
		t.Error("intermediates changed from outside")
	}
	if _, err := certstore.NewIdentity(cert, key, nil); err == nil {
		t.Error("nil intermediate accepted")
	}
}

func TestMemoryIdentities(t *testing.T) {
	key := newKey(t)
	cert, ca := selfSigned(t, key, 1, "alice@example.org"), selfSigned(t, newKey(t), 2)
	id, err := certstore.NewIdentity(cert, key, ca)
	if err != nil {
		t.Fatal(err)
	}
	var m certstore.Memory
	m.AddIdentity(id, id)
	n := 0
	for got, err := range m.Identities(t.Context(), certstore.IssuerSerial{RawIssuer: cert.RawIssuer, Serial: cert.SerialNumber}) {
		if err != nil || !bytes.Equal(got.Certificate().Raw, cert.Raw) {
			t.Errorf("got %v, %v", got, err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("found %d identities, want 1", n)
	}
	if got := serials(t, m.All(t.Context())); !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("certificates of the identity: %v", got)
	}
}
