package cms_test

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
	"github.com/postseal/postseal/internal/sigalg"
)

// A forge makes SignedData of any shape, signed by somebody who plays along.
type forge struct {
	signer      *person
	contentType oid.OID
	content     []byte // nil for a detached signature
	announced   [][]byte
	digest      []byte   // digestAlgorithm
	algorithm   []byte   // signatureAlgorithm
	attrs       [][]byte // signed attributes, in the order to be sent; nil for none
	wire        []byte   // signed attributes as to be sent, if not simply attrs under [0]
	covered     []byte   // what the signature covers, if not attrs or content
	unsigned    [][]byte
	sid         []byte
	certs       [][]byte
	signature   []byte // made once, so that what covers it can be added later
}

// newForge returns a forge for a signature that is as it should be, with P-256 and SHA-256.
func newForge(t testing.TB, content []byte) *forge {
	p := someone(t, "p256")
	return &forge{
		signer: p, contentType: oid.Data, content: content,
		announced: [][]byte{algorithmDER(oid.SHA256, nil)},
		digest:    algorithmDER(oid.SHA256, nil),
		algorithm: algorithmDER(oid.ECDSAWithSHA256, nil),
		attrs:     [][]byte{contentTypeAttr(oid.Data), digestAttr(sigalg.SHA256.Sum(content))},
		certs:     [][]byte{p.cert.Raw},
	}
}

func attr(t oid.OID, values ...[]byte) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addOID(b, t)
			b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
				for _, v := range values {
					b.AddBytes(v)
				}
			})
		})
	})
}

func contentTypeAttr(o oid.OID) []byte {
	return attr(oid.ContentType, build(func(b *cryptobyte.Builder) { addOID(b, o) }))
}

func digestAttr(d []byte) []byte {
	return attr(oid.MessageDigest, build(func(b *cryptobyte.Builder) { b.AddASN1OctetString(d) }))
}

// set returns the elements under the given tag.
func set(tag casn1.Tag, elements [][]byte) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(tag, func(b *cryptobyte.Builder) {
			for _, e := range elements {
				b.AddBytes(e)
			}
		})
	})
}

func context(n uint8) casn1.Tag { return casn1.Tag(n).ContextSpecific().Constructed() }

// sorted returns the elements in DER order.
func sorted(elements [][]byte) [][]byte {
	return slices.SortedFunc(slices.Values(elements), bytes.Compare)
}

// signerInfo returns the SignerInfo.
func (f *forge) signerInfo(t testing.TB) []byte {
	t.Helper()
	covered := f.covered
	if covered == nil {
		covered = f.content
		if f.attrs != nil {
			covered = set(casn1.SET, f.attrs)
		}
	}
	wire := f.wire
	if wire == nil && f.attrs != nil {
		wire = set(context(0), f.attrs)
	}
	if f.signature == nil {
		f.signature = f.sign(t, covered)
	}
	sid := f.sid
	if sid == nil {
		sid = build(func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(f.signer.cert.RawIssuer)
				b.AddASN1BigInt(f.signer.cert.SerialNumber)
			})
		})
	}
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			b.AddBytes(sid)
			b.AddBytes(f.digest)
			b.AddBytes(wire)
			b.AddBytes(f.algorithm)
			b.AddASN1OctetString(f.signature)
			if f.unsigned != nil {
				b.AddBytes(set(context(1), f.unsigned))
			}
		})
	})
}

func (f *forge) sign(t testing.TB, covered []byte) []byte {
	t.Helper()
	alg, err := sigalg.Parse(f.algorithm)
	if err != nil {
		t.Fatal(err)
	}
	var h sigalg.Hash
	if own, ok := alg.Hash(); ok {
		h = own
	}
	sig, err := alg.Sign(f.signer.key, f.signer.key.Public(), h, covered)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// signedData returns SignedData around the SignerInfo.
func (f *forge) signedData(t testing.TB) []byte {
	t.Helper()
	return wrap(f.announced, f.contentType, f.content, f.certs, [][]byte{f.signerInfo(t)})
}

func wrap(announced [][]byte, contentType oid.OID, content []byte, certs, infos [][]byte) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addOID(b, oid.SignedData)
			b.AddASN1(context(0), func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(1)
					b.AddBytes(set(casn1.SET, announced))
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						addOID(b, contentType)
						if content != nil {
							b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(content) })
						}
					})
					b.AddBytes(set(context(0), certs))
					b.AddBytes(set(casn1.SET, infos))
				})
			})
		})
	})
}
