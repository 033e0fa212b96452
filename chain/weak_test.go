package chain_test

import (
	"bytes"
	"crypto"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"testing"
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
