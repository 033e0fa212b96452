package cipherstream_test

import (
	"encoding/hex"
	"testing"

	"github.com/postseal/postseal/internal/cipherstream"
)

// The test vectors of RFC 2268, Section 5.
func TestRC2(t *testing.T) {
	for _, v := range []struct {
		key       string
		effective int
		plain, ct string
	}{
		{"0000000000000000", 63, "0000000000000000", "ebb773f993278eff"},
		{"ffffffffffffffff", 64, "ffffffffffffffff", "278b27e42e2f0d49"},
		{"3000000000000000", 64, "1000000000000001", "30649edf9be7d2c2"},
		{"88", 64, "0000000000000000", "61a8a244adacccf0"},
		{"88bca90e90875a", 64, "0000000000000000", "6ccf4308974c267f"},
		{"88bca90e90875a7f0f79c384627bafb2", 64, "0000000000000000", "1a807d272bbe5db1"},
		{"88bca90e90875a7f0f79c384627bafb2", 128, "0000000000000000", "2269552ab0f85ca6"},
		{"88bca90e90875a7f0f79c384627bafb216f80a6f85920584c42fceb0be255daf1e", 129, "0000000000000000", "5b78d3a43dfff1f1"},
	} {
		key, _ := hex.DecodeString(v.key)
		b, err := cipherstream.NewRC2(key, v.effective)
		if err != nil {
			t.Fatal(err)
		}
		p, _ := hex.DecodeString(v.plain)
		out := make([]byte, 8)
		b.Encrypt(out, p)
		if hex.EncodeToString(out) != v.ct {
			t.Errorf("%s, %d bits: %x", v.key, v.effective, out)
		}
		b.Decrypt(out, out)
		if hex.EncodeToString(out) != v.plain {
			t.Errorf("%s, %d bits: deciphered to %x", v.key, v.effective, out)
		}
	}
	for _, v := range []struct{ key, effective int }{{0, 40}, {129, 40}, {5, 0}, {5, 1025}} {
		if _, err := cipherstream.NewRC2(make([]byte, v.key), v.effective); err == nil {
			t.Error("accepted", v)
		}
	}
}
