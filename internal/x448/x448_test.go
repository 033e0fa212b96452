package x448_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/postseal/postseal/internal/corpus"
	"github.com/postseal/postseal/internal/x448"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// The vectors of RFC 7748, Sections 5.2 and 6.2.
func TestVectors(t *testing.T) {
	for _, v := range [][3]string{
		{"3d262fddf9ec8e88495266fea19a34d28882acef045104d0d1aae121700a779c984c24f8cdd78fbff44943eba368f54b29259a4f1c600ad3",
			"06fce640fa3487bfda5f6cf2d5263f8aad88334cbd07437f020f08f9814dc031ddbdc38c19c6da2583fa5429db94ada18aa7a7fb4ef8a086",
			"ce3e4ff95a60dc6697da1db1d85e6afbdf79b50a2412d7546d5f239fe14fbaadeb445fc66a01b0779d98223961111e21766282f73dd96b6f"},
		{"203d494428b8399352665ddca42f9de8fef600908e0d461cb021f8c538345dd77c3e4806e25f46d3315c44e0a5b4371282dd2c8d5be3095f",
			"0fbcc2f993cd56d3305b0b7d9e55d4c1a8fb5dbb52f8e9a1e9b6201b165d015894e56c4d3570bee52fe205e28a78b91cdfbde71ce8d157db",
			"884a02576239ff7a2f2f63b2db6a9ff37047ac13568e1e30fe63c4a7ad1b3ee3a5700df34321d62077e63633c575c1c954514e99da7c179d"},
	} {
		k, err := x448.NewPrivateKey(unhex(v[0]))
		if err != nil {
			t.Fatal(err)
		}
		if z, err := k.ECDH(unhex(v[1])); err != nil || !bytes.Equal(z, unhex(v[2])) {
			t.Errorf("%x, %v", z, err)
		}
	}
	alice, _ := x448.NewPrivateKey(unhex("9a8f4925d1519f5775cf46971028b71bb8eb5bd8c74b3e6ea6b1ea3e5b3e4d2e5c7c7b9a3b2f3a35d4f1c5b4bd5f7e0c3d5b2c1a09f8e7d6"))
	bob, err := x448.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	a, err1 := alice.ECDH(bob.PublicKey())
	b, err2 := bob.ECDH(alice.PublicKey())
	if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
		t.Error("two sides disagree", err1, err2)
	}
	if again, err := x448.NewPrivateKey(bob.Bytes()); err != nil || !bytes.Equal(again.PublicKey(), bob.PublicKey()) {
		t.Error("the encoding does not come back", err)
	}
}

// The iterated vector of RFC 7748, Section 5.2.
func TestIterated(t *testing.T) {
	k := make([]byte, x448.Size)
	k[0] = 5
	u := bytes.Clone(k)
	for i := 1; i <= 1000; i++ {
		key, err := x448.NewPrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		z, err := key.ECDH(u)
		if err != nil {
			t.Fatal(err)
		}
		k, u = z, k
		if i == 1 && !bytes.Equal(k, unhex("3f482c8a9f19b01e6c46ee9711d9dc14fd4bf67af30765c2ae2b846a4d23a8cd0db897086239492caf350b51f833868b9bc2b3bca9cf4113")) {
			t.Fatalf("after one: %x", k)
		}
	}
	if !bytes.Equal(k, unhex("aa3b4749d55b9daf1e5b00288826c467274ce3ebbdd5c17b975e09d4af6c67cf10d087202db88286e2b79fceea3ec353ef54faa26e219f38")) {
		t.Errorf("after a thousand: %x", k)
	}
}

// Low order points, and keys of another length, give an error (threats.md, B05).
func TestRefuses(t *testing.T) {
	k, _ := x448.GenerateKey()
	p := bytes.Repeat([]byte{0xff}, 56)
	p[28] = 0xfe // the prime itself, another zero
	for _, u := range [][]byte{make([]byte, 56), append([]byte{1}, make([]byte, 55)...), p} {
		if _, err := k.ECDH(u); err != x448.ErrZero {
			t.Errorf("%x: %v", u, err)
		}
	}
	for _, n := range []int{0, 55, 57} {
		if _, err := k.ECDH(make([]byte, n)); err == nil {
			t.Error("public key of", n)
		}
		if _, err := x448.NewPrivateKey(make([]byte, n)); err == nil {
			t.Error("private key of", n)
		}
	}
}

func TestWycheproof(t *testing.T) {
	type group struct {
		Tests []struct {
			corpus.Case
			Public, Private, Shared corpus.Hex
		}
	}
	n := 0
	for _, g := range corpus.Wycheproof[group](t, "x448_test.json") {
		for _, v := range g.Tests {
			n++
			k, err := x448.NewPrivateKey(v.Private)
			var z []byte
			if err == nil {
				z, err = k.ECDH(v.Public)
			}
			zero := bytes.Equal(v.Shared, make([]byte, len(v.Shared)))
			switch {
			case v.Result == "invalid" || zero:
				if err == nil {
					t.Errorf("%d: %s %v accepted", v.TcID, v.Comment, v.Flags)
				}
			case err != nil || !bytes.Equal(z, v.Shared):
				t.Errorf("%d: %s %v: %x, %v", v.TcID, v.Comment, v.Flags, z, err)
			}
		}
	}
	t.Log(n, "vectors")
}

func BenchmarkECDH(b *testing.B) {
	k, _ := x448.GenerateKey()
	peer, _ := x448.GenerateKey()
	for b.Loop() {
		k.ECDH(peer.PublicKey())
	}
}
