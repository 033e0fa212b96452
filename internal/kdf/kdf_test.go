package kdf_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/corpus"
	"github.com/postseal/postseal/internal/kdf"
	"github.com/postseal/postseal/internal/limits"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// Vectors of NIST's CAVS 12.0, "ANSI X9.63-2001", for SHA-256.
func TestX963(t *testing.T) {
	for _, v := range [][3]string{
		{"96c05619d56c328ab95fe84b18264b08725b85e33fd34f08", "", "443024c3dae66b95e6f5670601558f71"},
		{"22518b10e70f2a3f243810ae3254139efbee04aa57c7af7d", "75eef81aa3041e33b80971203d2c0c52",
			"c498af77161cc59f2962b9a713e2b215152d139766ce34a776df11866a69bf2e52a13d9c7c6fc878c50c5ea0bc7b00e0da2447cfd874f6cf92f30d0097111485500c90c3af8b487872d04685d14c8d1dc8d7fa08beb0ce0ababc11f0bd496269142d43525a78e5bc79a17f59676a5706dc54d54d4d1f0bd7e386128ec26afc21"},
	} {
		want := unhex(v[2])
		got, err := kdf.X963(sha256.New, unhex(v[0]), unhex(v[1]), len(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%x, %v", got, err)
		}
	}
	for _, n := range []int{-1, 0, 1 << 20} {
		if _, err := kdf.X963(sha256.New, []byte("z"), nil, n); err == nil {
			t.Error("accepted a length of", n)
		}
	}
}

// The example of RFC 9709, Appendix B, for AES-128-GCM.
func TestContentKey(t *testing.T) {
	got, err := kdf.ContentKey(unhex("c702e7d0a9e064b09ba55245fb733cf3"),
		unhex("301b0609608648016503040106300e040c5c79058ba2f43447639d29e2"))
	if want := unhex("2124ffb29fac4e0fbbc7d5d87492bff3"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v", got, err)
	}
}

func TestWycheproofHKDF(t *testing.T) {
	type group struct {
		Tests []struct {
			corpus.Case
			Ikm, Salt, Info, Okm corpus.Hex
			Size                 int
		}
	}
	for file, h := range map[string]func() hash.Hash{
		"hkdf_sha1_test.json": sha1.New, "hkdf_sha256_test.json": sha256.New, "hkdf_sha512_test.json": sha512.New,
	} {
		for _, g := range corpus.Wycheproof[group](t, file) {
			for _, v := range g.Tests {
				got, err := kdf.HKDF(h, v.Ikm, v.Salt, v.Info, v.Size)
				if v.Size > 1024 || v.Result == "invalid" {
					if err == nil {
						t.Errorf("%s %d: %d octets derived", file, v.TcID, v.Size)
					}
				} else if err != nil || !bytes.Equal(got, v.Okm) {
					t.Errorf("%s %d: %x, %v", file, v.TcID, got, err)
				}
			}
		}
	}
}

func TestWycheproofPBKDF2(t *testing.T) {
	type group struct {
		Tests []struct {
			corpus.Case
			Password, Salt, Dk corpus.Hex
			IterationCount     int
			DkLen              int
		}
	}
	for file, h := range map[string]func() hash.Hash{
		"pbkdf2_hmacsha1_test.json": sha1.New, "pbkdf2_hmacsha224_test.json": sha256.New224,
		"pbkdf2_hmacsha256_test.json": sha256.New, "pbkdf2_hmacsha512_test.json": sha512.New,
	} {
		for _, g := range corpus.Wycheproof[group](t, file) {
			for _, v := range g.Tests {
				if v.IterationCount > 20000 && testing.Short() {
					continue
				}
				got, err := kdf.PBKDF2(h, v.Password, v.Salt, v.IterationCount, limits.KDFIterations, v.DkLen)
				if v.Result == "invalid" || v.IterationCount > limits.KDFIterations {
					if err == nil {
						t.Errorf("%s %d: accepted", file, v.TcID)
					}
				} else if err != nil || !bytes.Equal(got, v.Dk) {
					t.Errorf("%s %d: %x, %v", file, v.TcID, got, err)
				}
			}
		}
	}
}

// A cost above the cap is refused at once (threats.md, C14); the cap itself is allowed.
func TestPBKDF2Cap(t *testing.T) {
	start := time.Now()
	for _, n := range []int{11, 1 << 31} {
		_, err := kdf.PBKDF2(sha256.New, nil, nil, n, 10, 32)
		var e *limits.Exceeded
		if !errors.As(err, &e) || e.Max != 10 {
			t.Errorf("%d iterations: %v", n, err)
		}
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Error("refused after", d)
	}
	if _, err := kdf.PBKDF2(sha256.New, nil, nil, 10, 10, 32); err != nil {
		t.Error(err)
	}
	for _, n := range []int{0, -1} {
		if _, err := kdf.PBKDF2(sha256.New, nil, nil, n, 10, 32); err == nil {
			t.Error(n, "iterations accepted")
		}
	}
	if _, err := kdf.PBKDF2(sha256.New, nil, nil, 1, 10, 1<<30); err == nil {
		t.Error("a key of 1 GiB accepted")
	}
}
