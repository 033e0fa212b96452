package peertest

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
	_ "embed"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/kem"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/x448"
)

// A keyPair is a key in the forms that certificates and peers need.
type keyPair struct {
	private     crypto.PrivateKey // nil if only peers can use it
	spki, pkcs8 []byte
	usage       x509.KeyUsage
}

const (
	signs   = x509.KeyUsageDigitalSignature
	opens   = x509.KeyUsageKeyEncipherment
	agrees  = x509.KeyUsageKeyAgreement
	seedTag = casn1.Tag(0) | 0x80 // [0] IMPLICIT, of a seed (RFC 9935, Section 6)
)

// newKey makes a key of a kind: see [KeyKind]. It returns nil if OpenSSL was to make it and
// is not there.
func newKey(kind string) (*keyPair, error) {
	switch kind {
	case "", "pss":
		return newRSA(kind)
	case "ec", "p384", "p521":
		curve := map[string]elliptic.Curve{"ec": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()}[kind]
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			return nil, err
		}
		return standard(key, key.Public(), signs|agrees)
	case "ed":
		pub, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return standard(key, pub, signs)
	case "x25519":
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return standard(key, key.PublicKey(), agrees)
	case "x448":
		key, err := x448.GenerateKey()
		if err != nil {
			return nil, err
		}
		return &keyPair{key, spki(oid.X448, key.PublicKey()), pkcs8(oid.X448, octets(key.Bytes())), agrees}, nil
	case "mldsa44", "mldsa65", "mldsa87":
		set := map[string]mldsa.Parameters{"mldsa44": mldsa.MLDSA44(), "mldsa65": mldsa.MLDSA65(), "mldsa87": mldsa.MLDSA87()}[kind]
		key, err := mldsa.GenerateKey(set)
		if err != nil {
			return nil, err
		}
		return standard(key, key.Public(), signs)
	case "mlkem512", "mlkem768", "mlkem1024":
		return newKEM(kind)
	}
	return generated(kind)
}

func standard(key crypto.PrivateKey, pub crypto.PublicKey, usage x509.KeyUsage) (*keyPair, error) {
	public, err := mldsax509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	private, err := mldsax509.MarshalPKCS8PrivateKey(key)
	return &keyPair{key, public, private, usage}, err
}

// newRSA makes an RSA-2048 key. One of kind pss is for RSASSA-PSS alone, with any hash (RFC
// 4055, Section 1.2).
func newRSA(kind string) (*keyPair, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil || kind == "" {
		return standard(key, key.Public(), signs|opens)
	}
	public, private := x509.MarshalPKCS1PublicKey(&key.PublicKey), x509.MarshalPKCS1PrivateKey(key)
	return &keyPair{key, spki(oid.RSAPSS, public), pkcs8(oid.RSAPSS, private), signs}, nil
}

func newKEM(kind string) (*keyPair, error) {
	id := map[string]oid.OID{"mlkem512": oid.MLKEM512, "mlkem768": oid.MLKEM768, "mlkem1024": oid.MLKEM1024}[kind]
	seed := make([]byte, mlkem.SeedSize)
	rand.Read(seed)
	key, err := kem.NewKey(id, seed)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(seedTag, func(b *cryptobyte.Builder) { b.AddBytes(seed) })
	der := pkcs8(id, b.BytesOrPanic())
	k := &keyPair{nil, spki(id, key.Encapsulator().Bytes()), der, opens}
	k.private, err = kem.ParsePKCS8(der)
	return k, err
}

// dsaParameters are of 2048 and 256 bits, made for these tests: making them takes a second.
//
//go:embed dsa.pem
var dsaParameters []byte

// generated makes the keys that this module reads signatures of, but has no private keys for.
func generated(kind string) (*keyPair, error) {
	program, err := exec.LookPath("openssl")
	if err != nil {
		return nil, nil
	}
	parameters, err := os.CreateTemp("", "dsa")
	if err != nil {
		return nil, err
	}
	defer os.Remove(parameters.Name())
	defer parameters.Close()
	if _, err := parameters.Write(dsaParameters); err != nil {
		return nil, err
	}
	args := map[string][]string{
		"ed448": {"genpkey", "-algorithm", "ED448"},
		"bp":    {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"},
		"dsa":   {"genpkey", "-paramfile", parameters.Name()},
	}[kind]
	if args == nil {
		return nil, fmt.Errorf("no kind of key is called %q", kind)
	}
	text, err := exec.Command(program, args...).Output()
	if err != nil {
		return nil, fmt.Errorf("openssl genpkey: %w", err)
	}
	private, _ := pem.Decode(text)
	if private == nil {
		return nil, fmt.Errorf("openssl genpkey wrote %q", text)
	}
	cmd := exec.Command(program, "pkey", "-pubout", "-outform", "DER")
	cmd.Stdin = bytes.NewReader(text)
	public, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("openssl pkey: %w", err)
	}
	return &keyPair{nil, public, private.Bytes, signs}, nil
}

// packGenerated makes a PKCS #12 file with a key that only OpenSSL can use, with OpenSSL.
func (id *ID) packGenerated(root *x509.Certificate) ([]byte, error) {
	var in bytes.Buffer
	for _, block := range []*pem.Block{
		{Type: "PRIVATE KEY", Bytes: id.pkcs8}, {Type: "CERTIFICATE", Bytes: id.Cert.Raw}, {Type: "CERTIFICATE", Bytes: root.Raw},
	} {
		if err := pem.Encode(&in, block); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command("openssl", "pkcs12", "-export", "-passout", "pass:"+Password,
		"-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1")
	cmd.Stdin = &in
	return cmd.Output()
}

// spki returns a SubjectPublicKeyInfo without parameters.
func spki(id oid.OID, key []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addAlgorithm(b, id)
		b.AddASN1BitString(key)
	})
	return b.BytesOrPanic()
}

// pkcs8 returns a PrivateKeyInfo (RFC 5958, Section 2).
func pkcs8(id oid.OID, key []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		addAlgorithm(b, id)
		b.AddASN1OctetString(key)
	})
	return b.BytesOrPanic()
}

func addAlgorithm(b *cryptobyte.Builder, id oid.OID) {
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(id)) })
	})
}

func octets(v []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1OctetString(v)
	return b.BytesOrPanic()
}
