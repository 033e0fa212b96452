package sigalg_test

import (
	"testing"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// A key that cannot be read is nil, and not a nil pointer in an interface, which would
// pass for a key: its cost is asked for before anything else (attack row G09).
func TestUnreadableKeyIsNil(t *testing.T) {
	for _, o := range []oid.OID{oid.RSA, oid.RSAPSS, oid.ECPublicKey, oid.DSA, oid.Ed25519, oid.Ed448, oid.X25519, oid.X448, oid.MLDSA44, oid.MLKEM768} {
		var b cryptobyte.Builder
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(o)) })
			})
			b.AddASN1BitString([]byte("no key"))
		})
		key, err := sigalg.PublicKey(b.BytesOrPanic())
		if err == nil || key != nil {
			t.Errorf("%x: key %T, error %v", string(o), key, err)
		}
		if sigalg.Cost(key) <= 0 {
			t.Errorf("%x: a key of unknown cost is free", string(o))
		}
	}
}
