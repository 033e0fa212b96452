package chain_test

import (
	"bytes"
	"crypto/rand"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/chain"
	"github.com/postseal/postseal/internal/oid"
)

// costlyRoot returns a certificate that looks self-signed, with an RSA key of 16384 bits
// whose signature takes as long to check as a good one.
func costlyRoot(t testing.TB, serial int64) []byte {
	t.Helper()
	n := make([]byte, 2048)
	if _, err := rand.Read(n); err != nil {
		t.Fatal(err)
	}
	n[0], n[2047] = n[0]|0x80, n[2047]|1
	signature := make([]byte, 2048)
	signature[0], signature[2047] = n[0]>>1, 7
	add := func(b *cryptobyte.Builder, id oid.OID) {
		b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(id)) })
	}
	algorithm := func(b *cryptobyte.Builder, id oid.OID) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			add(b, id)
			b.AddASN1NULL()
		})
	}
	name := func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					add(b, oid.CommonName)
					b.AddASN1(asn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte("Costly Root")) })
				})
			})
		})
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(serial)
			algorithm(b, oid.SHA256WithRSA)
			name(b)
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1UTCTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
				b.AddASN1UTCTime(time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC))
			})
			name(b)
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				algorithm(b, oid.RSA)
				b.AddASN1(asn1.BIT_STRING, func(b *cryptobyte.Builder) {
					b.AddUint8(0)
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1BigInt(new(big.Int).SetBytes(n))
						b.AddASN1Int64(65537)
					})
				})
			})
		})
		algorithm(b, oid.SHA256WithRSA)
		b.AddASN1BitString(signature)
	})
	return b.BytesOrPanic()
}

// Of a file as large as is read, full of the costliest roots there are, only as many
// signatures are checked as the bound on work allows: the rest become intermediates unseen.
func TestCollectionCost(t *testing.T) {
	first, last := issue(t, nil, "First", ca), issue(t, nil, "Last", ca)
	file := bytes.NewBuffer(bytes.Clone(first.Raw))
	n := 0
	for ; file.Len() < 15<<20; n++ {
		file.Write(costlyRoot(t, int64(n)))
	}
	file.Write(last.Raw)
	c, err := chain.ReadCollection(file)
	if err != nil || c.Len() != n+2 {
		t.Fatalf("%v", err)
	}
	if a := c.Anchors(); len(a) != 1 || !a[0].Equal(first.Certificate) {
		t.Errorf("%d anchors: the work was not bounded", len(a))
	}
}
