package cms

import (
	"bytes"
	"reflect"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/postseal/postseal/internal/oid"
)

// FuzzRecipientInfo: what reads as a recipient, written and read again, is the same
// recipient (threats.md, D06).
func FuzzRecipientInfo(f *testing.F) {
	id := CertificateID{KeyID: []byte("key")}
	issuer := CertificateID{IssuerAndSerialNumber: IssuerAndSerialNumber{RawIssuer: []byte{0x30, 0}}}
	s := cryptobyte.String([]byte{2, 1, 5})
	readInteger(&s, &issuer.Serial)
	a := algorithm(oid.AES256Wrap, nil)
	for _, e := range []encoder{
		&keyTransRecipient{rid: id, algorithm: algorithm(oid.RSA, null()), encryptedKey: []byte{1}},
		&keyTransRecipient{rid: issuer, algorithm: algorithm(oid.RSAOAEP, nil), encryptedKey: []byte{1}},
		&keyAgreeRecipient{originatorAlg: algorithm(oid.X25519, nil), originatorKey: []byte{9}, ukm: []byte{3}, algorithm: algorithm(oid.ECDHStdSHA256, a.Raw),
			keys: []recipientEncryptedKey{{id, []byte{1}}, {issuer, []byte{2}}}},
		&kekRecipient{kekid: []byte{1}, algorithm: a, encryptedKey: []byte{7}},
		&passwordRecipient{derivation: algorithm(oid.PBKDF2, pbkdf2Parameters{salt: []byte{1}, iterations: 5}.der()), algorithm: algorithm(oid.PWRIKEK, a.Raw)},
		&kemRecipient{rid: id, kem: algorithm(oid.MLKEM768, nil), kdf: algorithm(oid.HKDFSHA256, nil), wrap: a, kekLength: 32, ukm: []byte{}},
	} {
		var b cryptobyte.Builder
		e.add(&b)
		f.Add(b.BytesOrPanic())
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		s := cryptobyte.String(der)
		var one cryptobyte.String
		var tag casn1.Tag
		if !s.ReadAnyASN1Element(&one, &tag) || !s.Empty() {
			return
		}
		for _, ri := range parseRecipientInfo(one, tag) {
			if ri.err == nil && ri.lock == nil {
				t.Fatal("a recipient without a way to open it")
			}
		}
		first, second := reread(one, tag)
		if first == nil {
			return
		}
		if k, ok := first.(*keyAgreeRecipient); ok && k.originatorKey == nil {
			return // a static originator is never written
		}
		if p, ok := first.(*passwordRecipient); ok && p.derivation.OID == "" {
			return // no more is a password without derivation
		}
		if second == nil || !reflect.DeepEqual(first, second) {
			t.Errorf("%x: %+v became %+v", der, first, second)
		}
	})
}

// reread reads a recipient, and what it is written as; nil where that is none.
func reread(der cryptobyte.String, tag casn1.Tag) (first, second encoder) {
	read := func(s cryptobyte.String) encoder {
		ok := false
		var v encoder
		switch tag {
		case casn1.SEQUENCE:
			r := new(keyTransRecipient)
			v, ok = r, readKeyTransRecipient(s, r)
		case constructed(1):
			r := new(keyAgreeRecipient)
			v, ok = r, readKeyAgreeRecipient(s, r)
		case constructed(2):
			r := new(kekRecipient)
			v, ok = r, readKEKRecipient(s, r)
		case constructed(3):
			r := new(passwordRecipient)
			v, ok = r, readPasswordRecipient(s, r)
		case constructed(4):
			var o oid.OID
			var value cryptobyte.String
			r := new(kemRecipient)
			v, ok = r, readOtherRecipient(s, &o, &value) && o == oid.KEMRecipientInfo && readKEMRecipient(value, r)
		}
		if !ok {
			return nil
		}
		return v
	}
	if first = read(der); first == nil {
		return nil, nil
	}
	var b cryptobyte.Builder
	first.add(&b)
	out, err := b.Bytes()
	if err != nil {
		return nil, nil
	}
	return first, read(out)
}

// The parameters that are written are those that are read.
func TestParametersRoundTrip(t *testing.T) {
	for _, h := range hashes {
		for _, mgf := range hashes {
			for _, label := range [][]byte{nil, []byte("label")} {
				p := oaepParameters{h.hash, mgf.hash, label}
				got, err := parseOAEPParameters(p.der())
				if err != nil || got.hash != p.hash || got.mgf != p.mgf || !bytes.Equal(got.label, label) {
					t.Errorf("%s, %s, %q: %+v, %v", h.name, mgf.name, label, got, err)
				}
				if !h.hash.Available() {
					t.Error(h.name, "is not there")
				}
			}
		}
	}
	if nonce, icv, ok := readAEADParameters(aeadParameters([]byte("nonce"), 16)); !ok || icv != 16 || string(nonce) != "nonce" {
		t.Error(nonce, icv, ok)
	}
}
