package cms

import (
	"bytes"
	"crypto"
	"testing"

	"golang.org/x/crypto/cryptobyte"

	"github.com/postseal/postseal/internal/oid"
)

// FuzzParameters reads anything as the parameters of every algorithm that has some, and as
// the algorithm itself. What is read is written back as the same values.
func FuzzParameters(f *testing.F) {
	f.Add([]byte(oid.AES256GCM), aeadParameters(make([]byte, 12), 16))
	f.Add([]byte(oid.AES128CCM), aeadParameters(make([]byte, 7), 8))
	f.Add([]byte(oid.AES128CBC), octetString(make([]byte, 16)))
	f.Add([]byte(oid.RC2CBC), []byte{0x30, 13, 2, 1, 58, 4, 8, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte(oid.RC2Wrap), []byte{2, 1, 58})
	f.Add([]byte(oid.CEKHKDFSHA256), algorithm(oid.AES128CBC, octetString(make([]byte, 16))).Raw)
	f.Add([]byte(oid.PBKDF2), pbkdf2Parameters{salt: []byte("salt"), iterations: 1000, keyLength: 32, prf: hashes[2].hash}.der())
	f.Add([]byte(oid.RSAOAEP), oaepParameters{hashes[2].hash, hashes[0].hash, []byte("label")}.der())
	f.Add([]byte(oid.AES256GMAC), aeadParameters(make([]byte, 12), 12))
	f.Add([]byte(oid.HMACSHA256), null())
	f.Fuzz(func(t *testing.T, id, parameters []byte) {
		if p, err := parseOAEPParameters(parameters); err == nil {
			q, err := parseOAEPParameters(p.der())
			if err != nil || q.hash != p.hash || q.mgf != p.mgf || !bytes.Equal(q.label, p.label) {
				t.Fatalf("%+v became %+v, %v", p, q, err)
			}
		}
		if p, err := parsePBKDF2Parameters(parameters); err == nil {
			q, err := parsePBKDF2Parameters(p.der())
			// We write HMAC with SHA-256 alone.
			if err != nil || q.iterations != p.iterations || q.prf != p.prf && p.prf == crypto.SHA256 || !bytes.Equal(q.salt, p.salt) || p.iterations < 1 {
				t.Fatalf("%+v became %+v, %v", p, q, err)
			}
		}
		if nonce, icv, ok := readAEADParameters(parameters); ok {
			n, i, ok := readAEADParameters(aeadParameters(nonce, icv))
			if !ok || i != icv || !bytes.Equal(n, nonce) {
				t.Fatalf("%x and %d became %x and %d", nonce, icv, n, i)
			}
		}
		if bits, _, ok := readRC2Parameters(parameters); ok && (bits < 40 || bits > 1024) {
			t.Fatalf("RC2 of %d bits", bits)
		}
		if len(id) == 0 || len(id) > 100 {
			return
		}
		a := algorithm(oid.OID(id), parameters)
		var again AlgorithmIdentifier
		if s := cryptobyte.String(a.Raw); readAlgorithm(&s, &again) && s.Empty() && again.OID != a.OID {
			t.Fatalf("%v became %v", a.OID, again.OID)
		}
		if c, err := parseContentCipher(a); err == nil && (c.keyLen < 5 || c.name == "" || c.icv > 16) {
			t.Fatalf("%+v", c)
		}
		if w, err := parseWrap(a); err == nil && (w.keyLen < 16 || w.keyLen > 32) {
			t.Fatalf("%+v", w)
		}
		if c, err := parseCode(a); err == nil && (c.size < 12 || c.keyLen < 16) {
			t.Fatalf("%+v", c)
		}
	})
}

// FuzzAttributes reads anything as signed attributes. What is read has one DER encoding,
// which reads as the same, and each of the attributes that have a meaning is found once or
// not at all.
func FuzzAttributes(f *testing.F) {
	f.Add([]byte{0x31, 0})
	f.Add([]byte("\x31\x80\x30\x18\x06\x09*\x86H\x86\xf7\x0d\x01\x09\x03\x31\x0b\x06\x09*\x86H\x86\xf7\x0d\x01\x07\x01\x00\x00"))
	f.Add([]byte("\x31\x2a\x30\x18\x06\x09*\x86H\x86\xf7\x0d\x01\x09\x03\x31\x0b\x06\x09*\x86H\x86\xf7\x0d\x01\x07\x01\x30\x0e\x06\x09*\x86H\x86\xf7\x0d\x01\x09\x04\x31\x01\x04"))
	f.Add([]byte("\xa0\x13\x30\x08\x06\x02*\x03\x31\x02\x05\x00\x30\x07\x06\x02*\x04\x31\x01\x05"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) == 0 {
			return
		}
		received, der, attrs, err := signedOctets(raw)
		if err != nil {
			return
		}
		if received[0] != 0x31 || len(received) != len(raw) || !bytes.Equal(received[1:], raw[1:]) {
			t.Fatalf("%x was received as %x", raw, received)
		}
		canonical := attrs.der()
		if der != nil && !bytes.Equal(der, canonical) || der == nil && !bytes.Equal(received, canonical) {
			t.Fatalf("%x has the DER %x or %x", raw, der, canonical)
		}
		again, err := parseAttributeSet(canonical)
		if err != nil || !bytes.Equal(again.der(), canonical) {
			t.Fatalf("%x became %x, %v", canonical, again.der(), err)
		}
		if digest, ok := attrs.messageDigest(); ok && digest == nil {
			t.Fatal("a digest that is none")
		}
	})
}

// FuzzTimestamp reads anything as a time-stamp token.
func FuzzTimestamp(f *testing.F) {
	info := []byte("\x30\x4e\x02\x01\x01\x06\x02*\x03\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x2000000000000000000000000000000000\x02\x01\x07\x18\x0f20261121130000Z")
	var b cryptobyte.Builder
	b.AddASN1(0x30, func(b *cryptobyte.Builder) {
		b.AddBytes(derOID(oid.SignedData))
		b.AddASN1(0xa0, func(b *cryptobyte.Builder) {
			b.AddASN1(0x30, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(3)
				b.AddASN1(0x31, func(b *cryptobyte.Builder) {})
				b.AddASN1(0x30, func(b *cryptobyte.Builder) {
					b.AddBytes(derOID(oid.TSTInfo))
					b.AddASN1(0xa0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(info) })
				})
				b.AddASN1(0x31, func(b *cryptobyte.Builder) {})
			})
		})
	})
	token := b.BytesOrPanic()
	if ts, err := readTimestamp(token); err != nil || ts.Serial.Int64() != 7 {
		f.Fatal("the seed is no token:", err)
	}
	f.Add(token)
	f.Fuzz(func(t *testing.T, token []byte) {
		ts, err := readTimestamp(token)
		if err != nil {
			return
		}
		if ts.Time.IsZero() || ts.Serial == nil || ts.Policy == "" {
			t.Fatalf("%+v", ts)
		}
		if r := ts.Verify(nil, VerifyOptions{}); r.State == "valid" {
			t.Fatal("nobody's token is valid")
		}
	})
}
