package sigalg

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"
	"testing"
)

func TestCost(t *testing.T) {
	modulus := func(bits uint, e int) crypto.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), bits-1), E: e}
	}
	on := func(c elliptic.Curve) crypto.PublicKey { return &ecdsa.PublicKey{Curve: c} }
	// From cheap to dear.
	last := 0
	for i, key := range []crypto.PublicKey{
		modulus(2048, 65537), on(elliptic.P256()), modulus(4096, 65537), on(elliptic.P384()), modulus(4096, 1<<31-1),
		on(elliptic.P521()), Ed448PublicKey(nil), modulus(16384, 65537), modulus(16384, 1<<31-1),
	} {
		if cost := Cost(key); cost <= last {
			t.Errorf("key %d costs %d, the one before %d", i, cost, last)
		} else {
			last = cost
		}
	}
	if cost := Cost(on(elliptic.P256())); cost != 10 {
		t.Errorf("the unit costs %d tenths", cost)
	}
	if cost := Cost("no key"); cost < Cost(Ed448PublicKey(nil)) {
		t.Errorf("an unknown key costs %d", cost)
	}
}
