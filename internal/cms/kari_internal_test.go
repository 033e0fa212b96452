package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"

	"github.com/postseal/postseal/internal/corpus"
	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/x448"
)

// Public keys of every malformation: a wrong secret never comes out, and a right one only
// for keys in the one encoding that is accepted (threats.md, B05).
func TestWycheproofAgreement(t *testing.T) {
	type group struct {
		Type, Curve, Encoding string
		Tests                 []struct {
			corpus.Case
			Public, Private octets
			Shared          corpus.Hex
		}
	}
	curves := map[string]ecdh.Curve{"secp256r1": ecdh.P256(), "secp384r1": ecdh.P384(), "secp521r1": ecdh.P521(), "curve25519": ecdh.X25519()}
	for _, file := range []string{
		"ecdh_secp256r1_test.json", "ecdh_secp256r1_ecpoint_test.json", "ecdh_secp256r1_pem_test.json", "ecdh_secp384r1_test.json", "ecdh_secp521r1_test.json",
		"x25519_test.json", "x25519_asn_test.json", "x25519_pem_test.json", "x448_test.json", "x448_asn_test.json", "x448_pem_test.json",
	} {
		agreed, refused := 0, 0
		for _, g := range corpus.Wycheproof[group](t, file) {
			curve := curves[g.Curve]
			for _, v := range g.Tests {
				key, ok := agreementKey(g.Type, curve, v.Private)
				if !ok {
					if v.Result == "valid" {
						t.Errorf("%s %d: the private key does not read", file, v.TcID)
					}
					continue
				}
				point, named := []byte(v.Public), AlgorithmIdentifier{}
				if g.Encoding == "asn" || g.Encoding == "pem" || g.Type == "XdhAsnComp" || g.Type == "XdhPemComp" {
					if !readSPKI(cryptobyte.String(v.Public), &named, &point) {
						point = nil
					}
				} else if g.Curve == "curve448" {
					named = algorithm(oid.X448, nil)
				} else {
					named = curveAlgorithm(curve)
				}
				z, ok, err := agree(key, point, named)
				if err != nil {
					t.Errorf("%s %d: %v", file, v.TcID, err)
				}
				// RFC 8418, Section 2: a secret of zero is refused on the curves of RFC 7748.
				zero := strings.HasPrefix(g.Type, "Xdh") && bytes.Equal(v.Shared, make([]byte, len(v.Shared)))
				switch {
				case ok && (v.Result == "invalid" && len(v.Shared) == 0 || zero || !bytes.Equal(z, v.Shared)):
					t.Errorf("%s %d: %s %v: agreed on %x", file, v.TcID, v.Comment, v.Flags, z)
				case !ok && v.Result == "valid" && !zero && !v.Has("CompressedPoint") && !v.Has("CompressedPublic"):
					t.Errorf("%s %d: %s %v: refused", file, v.TcID, v.Comment, v.Flags)
				}
				if ok {
					agreed++
				} else {
					refused++
				}
			}
		}
		t.Log(file, agreed, "agreed,", refused, "refused")
		if agreed == 0 || refused == 0 {
			t.Error(file, "has nothing to agree on, or nothing to refuse")
		}
	}
}

// octets are a key in hexadecimal digits or in PEM.
type octets []byte

func (o *octets) UnmarshalText(text []byte) error {
	if block, _ := pem.Decode(text); block != nil {
		*o = block.Bytes
		return nil
	}
	return (*corpus.Hex)(o).UnmarshalText(text)
}

// agreementKey reads the private key of a vector.
func agreementKey(kind string, curve ecdh.Curve, b []byte) (crypto.PrivateKey, bool) {
	switch kind {
	case "EcdhPemTest":
		k, err := x509.ParsePKCS8PrivateKey(b)
		if err != nil {
			return nil, false
		}
		ec, ok := k.(*ecdsa.PrivateKey)
		return ec, ok
	case "XdhAsnComp", "XdhPemComp":
		if k, err := x509.ParsePKCS8PrivateKey(b); err == nil {
			return k, true
		}
		if len(b) < x448.Size || !bytes.Contains(b, derOID(oid.X448)) {
			return nil, false
		}
		k, err := x448.NewPrivateKey(b[len(b)-x448.Size:])
		return k, err == nil
	case "XdhComp":
		if curve == nil {
			k, err := x448.NewPrivateKey(b)
			return k, err == nil
		}
	default: // a number
		size := map[ecdh.Curve]int{ecdh.P256(): 32, ecdh.P384(): 48, ecdh.P521(): 66}[curve]
		b = bytes.TrimLeft(b, "\x00")
		if len(b) > size {
			return nil, false
		}
		b = append(make([]byte, size-len(b)), b...)
	}
	k, err := curve.NewPrivateKey(b)
	return k, err == nil
}

// The identifiers of the schemes are those of the RFCs, and no two are one.
func TestAgreementNames(t *testing.T) {
	seen := make(map[oid.OID]bool)
	for _, a := range agreements {
		if seen[a.oid] || !a.hash.Available() || !strings.Contains(a.name, hashName(a.hash)) {
			t.Error(a.name)
		}
		seen[a.oid] = true
	}
}

// A carelessToken agrees on a secret with any point, as some tokens do.
type carelessToken struct{ *ecdh.PrivateKey }

func (carelessToken) ECDH(*ecdh.PublicKey) ([]byte, error) { return make([]byte, 32), nil }

// A secret of zero is refused wherever it comes from (threats.md, B05).
func TestZeroSecretOfToken(t *testing.T) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	named := algorithm(oid.X25519, nil)
	if z, ok, err := agree(k, peer.PublicKey().Bytes(), named); !ok || err != nil || len(z) != 32 {
		t.Error("the twin:", ok, err)
	}
	if z, ok, err := agree(carelessToken{k}, peer.PublicKey().Bytes(), named); ok || err != nil {
		t.Errorf("agreed on %x, %v", z, err)
	}
}
