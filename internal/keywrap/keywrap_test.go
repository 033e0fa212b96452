package keywrap_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"encoding/hex"
	"testing"

	"github.com/postseal/postseal/internal/cipherstream"
	"github.com/postseal/postseal/internal/corpus"
	"github.com/postseal/postseal/internal/keywrap"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func aesKey(t *testing.T, key []byte) cipher.Block {
	t.Helper()
	b, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors of RFC 3394, Section 4.
func TestWrap(t *testing.T) {
	for _, v := range [][3]string{
		{"000102030405060708090A0B0C0D0E0F", "00112233445566778899AABBCCDDEEFF", "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"},
		{"000102030405060708090A0B0C0D0E0F1011121314151617", "00112233445566778899AABBCCDDEEFF", "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D"},
		{"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF", "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"},
		{"000102030405060708090A0B0C0D0E0F1011121314151617", "00112233445566778899AABBCCDDEEFF0001020304050607", "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2"},
		{"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF0001020304050607", "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"},
		{"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F", "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"},
	} {
		kek := aesKey(t, unhex(t, v[0]))
		got, err := keywrap.Wrap(kek, unhex(t, v[1]))
		if err != nil || !bytes.Equal(got, unhex(t, v[2])) {
			t.Errorf("wrapped to %x, %v", got, err)
		}
		key, ok, err := keywrap.Unwrap(kek, unhex(t, v[2]))
		if err != nil || ok != 1 || !bytes.Equal(key, unhex(t, v[1])) {
			t.Errorf("unwrapped to %x, %d, %v", key, ok, err)
		}
	}
}

// The vectors of RFC 5649, Section 6.
func TestWrapPad(t *testing.T) {
	kek := aesKey(t, unhex(t, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"))
	for _, v := range [][2]string{
		{"c37b7e6492584340bed12207808941155068f738", "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"},
		{"466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"},
	} {
		key := unhex(t, v[0])
		got, err := keywrap.WrapPad(kek, key)
		if err != nil || !bytes.Equal(got, unhex(t, v[1])) {
			t.Errorf("wrapped to %x, %v", got, err)
		}
		back, ok, err := keywrap.UnwrapPad(kek, got, len(key))
		if err != nil || ok != 1 || !bytes.Equal(back, key) {
			t.Errorf("unwrapped to %x, %d, %v", back, ok, err)
		}
		if _, ok, err := keywrap.UnwrapPad(kek, got, len(key)-1); ok != 0 || err != nil {
			t.Error("another length of the key is accepted", err)
		}
	}
}

// A vector of RFC 3211, Section 3, and one with Triple-DES and one with AES of the same
// construction.
func TestUnwrapPassword(t *testing.T) {
	for _, v := range []struct {
		block        func([]byte) (cipher.Block, error)
		kek, iv      string
		key, wrapped string
	}{
		{des.NewCipher, "D1DAA78615F287E6", "EFE598EF21B33D6D",
			"8C627C897323A2F8", "B81B2565EE373CA6DEDCA26A178B0C10"},
		{des.NewTripleDESCipher, "6A8970BF68C92CAEA84A8DF28510858607126380CC47AB2D", "BAF1CA7931213C4E",
			"8C637D887223A2F965B566EB014B0FA5D52300A3F7EA40FFFC577203C71BAF3B",
			"C03C514ABDB9E2C5AAC038572B5E24553876B377AAFB82ECA5A9D73F8AB143D9EC74E6CAD7DB260C"},
		{aes.NewCipher, "000102030405060708090A0B0C0D0E0F", "000102030405060708090A0B0C0D0E0F",
			"00112233445566778899AABBCCDDEEFF", "7C8798DFC802553B3F00BB4315E3A087322725C92398B9C112C74D0925C63B61"},
	} {
		b, err := v.block(unhex(t, v.kek))
		if err != nil {
			t.Fatal(err)
		}
		key := unhex(t, v.key)
		got, ok, err := keywrap.UnwrapPassword(b, unhex(t, v.iv), unhex(t, v.wrapped), len(key))
		if err != nil || ok != 1 || !bytes.Equal(got, key) {
			t.Errorf("unwrapped to %x, %d, %v", got, ok, err)
		}
	}
}

// Stream ciphers, fewer than two blocks and foreign lengths are refused before the key is
// used (threats.md, C12); an altered octet is never taken for the right key.
func TestPasswordBounds(t *testing.T) {
	kek := aesKey(t, make([]byte, 32))
	iv := make([]byte, 16)
	for _, n := range []int{3, 5, 16, 24, 32, 255} {
		key := make([]byte, n)
		rand.Read(key)
		wrapped, err := keywrap.WrapPassword(kek, iv, key)
		if err != nil || len(wrapped) < 32 {
			t.Fatal(n, len(wrapped), err)
		}
		got, ok, err := keywrap.UnwrapPassword(kek, iv, wrapped, n)
		if err != nil || ok != 1 || !bytes.Equal(got, key) {
			t.Error(n, ok, err)
		}
		for cut := 0; cut < 32; cut += 16 {
			if _, _, err := keywrap.UnwrapPassword(kek, iv, wrapped[:cut], n); err != keywrap.ErrLength {
				t.Errorf("%d octets accepted: %v", cut, err)
			}
		}
		if _, ok, err := keywrap.UnwrapPassword(kek, iv, wrapped, max(3, n-1)); n > 3 && (ok != 0 || err != nil) {
			t.Error("another length of the key is accepted", err)
		}
		if _, _, err := keywrap.UnwrapPassword(kek, iv[:15], wrapped, n); err != keywrap.ErrLength {
			t.Error(err)
		}
	}
	for _, n := range []int{0, 2, 256} {
		if _, err := keywrap.WrapPassword(kek, iv, make([]byte, n)); err != keywrap.ErrLength {
			t.Error(n, err)
		}
	}
	if _, _, err := keywrap.UnwrapPassword(kek, iv, make([]byte, 1<<16), 32); err != keywrap.ErrLength {
		t.Error("64 KiB accepted")
	}
}

// The examples of RFC 3217, Sections 3.4 and 4.4.
func TestUnwrapOld(t *testing.T) {
	kek, err := des.NewTripleDESCipher(unhex(t, "255e0d1c07b646dfb3134cc843ba8aa71f025b7c0838251f"))
	if err != nil {
		t.Fatal(err)
	}
	wrapped := unhex(t, "690107618ef092b3b48ca1796b234ae9fa33ebb4159604037db5d6a84eb3aac2768c632775a467d4")
	key, ok, err := keywrap.UnwrapTripleDES(kek, wrapped)
	if err != nil || ok != 1 || !bytes.Equal(key, unhex(t, "2923bf85e06dd6ae529149f1f1bae9eab3a7da3d860d3e98")) {
		t.Errorf("%x, %d, %v", key, ok, err)
	}
	for i := range wrapped {
		bad := bytes.Clone(wrapped)
		bad[i] ^= 4
		if _, ok, err := keywrap.UnwrapTripleDES(kek, bad); ok != 0 || err != nil {
			t.Error("altered octet", i, "accepted", err)
		}
	}
	if _, _, err := keywrap.UnwrapTripleDES(kek, wrapped[:32]); err != keywrap.ErrLength {
		t.Error(err)
	}
	rc2, err := cipherstream.NewRC2(unhex(t, "fd04fd08060707fb0003fefffd02fe05"), 40)
	if err != nil {
		t.Fatal(err)
	}
	wrapped = unhex(t, "70e699fb5701f7833330fb71e87c85a420bdc99af05d22af5a0e48d35f3138986cbaafb4b28d4f35")
	key, ok, err = keywrap.UnwrapRC2(rc2, wrapped, 16)
	if err != nil || ok != 1 || !bytes.Equal(key, unhex(t, "b70a25fbc9d86a86050ce0d711ead4d9")) {
		t.Errorf("%x, %d, %v", key, ok, err)
	}
	if _, ok, err := keywrap.UnwrapRC2(rc2, wrapped, 17); ok != 0 || err != nil {
		t.Error("another length of the key is accepted", err)
	}
}

func TestUnwrapLengths(t *testing.T) {
	kek := aesKey(t, make([]byte, 32))
	for _, n := range []int{0, 8, 15, 16, 17, 23, 25, 41, 1 << 16} {
		if _, _, err := keywrap.Unwrap(kek, make([]byte, n)); err != keywrap.ErrLength {
			t.Errorf("%d octets: %v", n, err)
		}
		if _, _, err := keywrap.UnwrapPad(kek, make([]byte, n), 32); err != keywrap.ErrLength {
			t.Errorf("%d octets, padded: %v", n, err)
		}
	}
	tdes, _ := des.NewTripleDESCipher(make([]byte, 24))
	if _, _, err := keywrap.Unwrap(tdes, make([]byte, 24)); err != keywrap.ErrLength {
		t.Error("a cipher with blocks of 8 octets", err)
	}
}

type group struct {
	Tests []struct {
		corpus.Case
		Key, Msg, Ct corpus.Hex
	}
}

func TestWycheproofWrap(t *testing.T) {
	n := 0
	for _, g := range corpus.Wycheproof[group](t, "aes_wrap_test.json") {
		for _, v := range g.Tests {
			n++
			kek := aesKey(t, v.Key)
			key, ok, err := keywrap.Unwrap(kek, v.Ct)
			good := err == nil && ok == 1 && bytes.Equal(key, v.Msg)
			// Keys of 8 octets, which RFC 3394 has and NIST SP 800-38F has not, are refused.
			want := v.Result == "valid" || v.Result == "acceptable" && len(v.Msg) >= 16
			if good != want {
				t.Errorf("%d: %s %v: unwrapping gives %x, %d, %v", v.TcID, v.Comment, v.Flags, key, ok, err)
			}
			if want {
				if out, err := keywrap.Wrap(kek, v.Msg); err != nil || !bytes.Equal(out, v.Ct) {
					t.Errorf("%d: wrapping gives %x, %v", v.TcID, out, err)
				}
			}
		}
	}
	t.Log(n, "vectors")
}

func TestWycheproofWrapPad(t *testing.T) {
	n := 0
	for _, g := range corpus.Wycheproof[group](t, "aes_kwp_test.json") {
		for _, v := range g.Tests {
			n++
			kek := aesKey(t, v.Key)
			key, ok, err := keywrap.UnwrapPad(kek, v.Ct, len(v.Msg))
			good := err == nil && ok == 1 && bytes.Equal(key, v.Msg)
			if v.Result == "invalid" && good {
				t.Errorf("%d: %s accepted", v.TcID, v.Comment)
			}
			if v.Result != "invalid" && !good {
				t.Errorf("%d: %s %v: %x, %d, %v", v.TcID, v.Comment, v.Flags, key, ok, err)
			}
			if v.Result == "valid" {
				if out, err := keywrap.WrapPad(kek, v.Msg); err != nil || !bytes.Equal(out, v.Ct) {
					t.Errorf("%d: wrapping gives %x, %v", v.TcID, out, err)
				}
			}
		}
	}
	t.Log(n, "vectors")
}
