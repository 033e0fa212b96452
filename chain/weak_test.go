package chain_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/dsa"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"testing"

	"github.com/postseal/postseal/chain"
)

// tinyRSA is a key of 1024 bits, which crypto/rsa no longer makes. It protects nothing.
func tinyRSA() crypto.Signer {
	b, _ := pem.Decode([]byte(tinyKey))
	k, err := x509.ParsePKCS1PrivateKey(b.Bytes)
	if err != nil {
		panic(err)
	}
	return k
}

// weakly signs a leaf of an RSA root with a hash that crypto/x509 does not sign with.
func weakly(t testing.TB, root *entity, hash crypto.Hash, sum func([]byte) []byte, last byte) *entity {
	t.Helper()
	leaf := issue(t, root, "alice", mail)
	// sha256WithRSAEncryption is 1.2.840.113549.1.1.11; only the last arc differs.
	old := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11}
	der := bytes.ReplaceAll(leaf.Raw, old, append(bytes.Clone(old[:8]), last))
	var parts struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &parts); err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, len(parts.Signature.Bytes))
	if hash != 0 {
		var err error
		if sig, err = rsa.SignPKCS1v15(rand.Reader, root.key.(*rsa.PrivateKey), hash, sum(parts.TBS.FullBytes)); err != nil {
			t.Fatal(err)
		}
	}
	parts.Signature = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	out, err := asn1.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	return &entity{raw(out), leaf.key}
}

func sha1Signed(t testing.TB, root *entity) *entity {
	return weakly(t, root, crypto.SHA1, func(b []byte) []byte { s := sha1.Sum(b); return s[:] }, 5)
}

func md5Signed(t testing.TB, root *entity) *entity {
	return weakly(t, root, crypto.MD5, func(b []byte) []byte { s := md5.Sum(b); return s[:] }, 4)
}

// unknownSigned names an algorithm that nobody has.
func unknownSigned(t testing.TB, root *entity) *entity { return weakly(t, root, 0, nil, 99) }

const tinyKey = `-----BEGIN RSA PRIVATE KEY-----
MIICXgIBAAKBgQD1YT2rgB2nmRYanwGP1gv+xQD6BSJwgx4+gI8E4lbTByIP1a1f
e6U9YGU2cj2IWkKfd1xAmWZyoB7oM2vZmeBzhwIozZukJalRlB1fnTBUJzBSOSxS
7Sv9Rni6aqzSpQZ93mJ6NpSbxAKwqzy4gzhhbM8zXhIoR5Gkto7ELH0/OwIDAQAB
AoGBANO7MqGXjP8fI2mZJpncksElcLBMWelH2oMIH2CRhWXWU9fiAxXO9Ug+s1cF
wH61k6NSNTIwq6vg6opmRHuhQX/9w9gOpAl2o5yr/OEIWnbUxS6bHCadveraZjXI
7WB1qicN030gR2WOYpnv3/mCXPOyWFZWMTHuWf7B2t68zfDBAkEA/M+I84GmE60c
vMqlyWF9j5oe9udgHNBVti9llu+y2M6rqospRxuIN84hFJDijr1qR1PsGjwarlUO
nNuQQkBt0QJBAPh5tSmodKWF8nD9EjAtsOLOhw+OCHitZAm2h6/coCjh3mzn04Mo
itfi7d1yPMdtBadsaKKo/bqlYW8wXunho0sCQQClMdeDhoxG/y9wDdsXJCUv2L2z
CK29JkVbrszrO+XZ1fJGlnh6hnsUPBVRovrn2s2/ng8BdZTZparOxIoXQJKBAkBc
fpHdrAOgCjixrsMyhA+wnkjQlYK5yXHP286uvGYyUcJGsBWgYVst+h+pq3jMk9zi
8gwRYO7yp9WZWlw6m+/5AkEApPqFiwDsDkTE5Mnuekq/PyzODe0cq8HbXMARHBOO
8CAwP27anKaI7ZXMJlTWBLhqrT2rjMfvIG8k66tXCrvbyg==
-----END RSA PRIVATE KEY-----
`

// dsaSigned makes what x509 signed with ECDSA and SHA-256, a certificate or a list, one
// signed with a DSA key.
func dsaSigned(t testing.TB, key *dsa.PrivateKey, der []byte) []byte {
	t.Helper()
	old := []byte("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02")
	alg := []byte("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x02")
	var parts struct{ TBS, Algorithm, Signature asn1.RawValue }
	if _, err := asn1.Unmarshal(replaceTBS(t, der, old, alg), &parts); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(parts.TBS.FullBytes)
	r, s, err := dsa.Sign(rand.Reader, key, digest[:key.Q.BitLen()/8])
	if err != nil {
		t.Fatal(err)
	}
	sig, err := asn1.Marshal([]*big.Int{r, s})
	if err != nil {
		t.Fatal(err)
	}
	bits, err := asn1.Marshal(asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)})
	if err != nil {
		t.Fatal(err)
	}
	parts.Algorithm, parts.Signature = asn1.RawValue{FullBytes: alg}, asn1.RawValue{FullBytes: bits}
	out, err := asn1.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// dsaSPKI encodes a DSA key, with its parameters or without.
func dsaSPKI(t testing.TB, key *dsa.PublicKey, whole bool) []byte {
	t.Helper()
	y, err := asn1.Marshal(key.Y)
	if err != nil {
		t.Fatal(err)
	}
	spki := struct {
		Algorithm struct {
			ID     asn1.ObjectIdentifier
			Params []*big.Int `asn1:"optional,omitempty"`
		}
		Key asn1.BitString
	}{Key: asn1.BitString{Bytes: y, BitLength: 8 * len(y)}}
	spki.Algorithm.ID = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}
	if whole {
		spki.Algorithm.Params = []*big.Int{key.P, key.Q, key.G}
	}
	der, err := asn1.Marshal(spki)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Attack rows B04 and G08: a DSA key without parameters takes them from the path. A namesake of its issuer in
// the message would choose them so that anybody can sign for it.
func TestInheritedParametersOfListSigner(t *testing.T) {
	var real dsa.PrivateKey
	if err := dsa.GenerateParameters(&real.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		t.Fatal(err)
	}
	upper := real
	for _, k := range []*dsa.PrivateKey{&real, &upper} {
		if err := dsa.GenerateKey(k, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	// With the public key as the generator, the private key is one.
	forger := real
	forger.G, forger.X = real.Y, big.NewInt(1)

	fake, root := issue(t, nil, "Root", ca), issue(t, nil, "Root", ca)
	plain := issue(t, root, "Upper", ca)
	above := altered(t, root, plain, plain.RawSubjectPublicKeyInfo, dsaSPKI(t, &upper.PublicKey, true))
	namesake := issue(t, fake, "Upper", ca, like(plain))
	namesake = altered(t, fake, namesake, namesake.RawSubjectPublicKeyInfo, dsaSPKI(t, &forger.PublicKey, true))
	plain = issue(t, plain, "Issuing", ca)
	inner := replaceTBS(t, plain.Raw, plain.RawSubjectPublicKeyInfo, dsaSPKI(t, &real.PublicKey, false))
	issuing := &x509.Certificate{Raw: dsaSigned(t, &upper, inner)}
	leaf := &x509.Certificate{Raw: dsaSigned(t, &real, issue(t, plain, "alice", mail).Raw)}
	gone := &entity{Certificate: parsed(t, leaf.Raw)}
	empty, full := listing(t, plain, nil), listing(t, plain, nil, gone)
	for _, tt := range []struct {
		name string
		key  *dsa.PrivateKey
		list []byte
		want string
	}{
		{"twin: a list of the issuer", &real, empty, "valid"},
		{"twin: a list of the issuer that names it", &real, full, "rev.revoked"},
		{"a forged list", &forger, empty, "rev.unknown"},
		{"a forged list that names it", &forger, full, "rev.unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := verifier(collection(root))
			v.AllowSHA1 = true
			rev := chain.Revocation{RequireAll: true, CRLs: [][]byte{dsaSigned(t, tt.key, tt.list), listing(t, root, nil), dsaSigned(t, &upper, listing(t, &entity{above.Certificate, issue(t, nil, "", ca).key}, nil))}}
			r := v.Explain(context.Background(), chain.Request{Leaf: leaf, Untrusted: []*x509.Certificate{namesake.Certificate, above.Certificate, issuing}, Revocation: &rev})
			expect(t, r, tt.want)
		})
	}
}
