package cms_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"io"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/cms"
)

// The benchmarks print x-raw: how many times the speed of the raw cipher on one core a
// whole structure is written or read at, each at its fastest in turns with the other.
func benchmark(b *testing.B, n int, raw, structure func()) {
	b.SetBytes(int64(n))
	b.ReportAllocs()
	best := [2]time.Duration{time.Hour, time.Hour}
	for b.Loop() {
		b.StopTimer()
		start := time.Now()
		raw()
		best[0] = min(best[0], time.Since(start))
		b.StartTimer()
		start = time.Now()
		structure()
		best[1] = min(best[1], time.Since(start))
	}
	b.ReportMetric(float64(best[0])/float64(best[1]), "x-raw")
}

// rawCipher runs a cipher over n octets, as fast as the standard library does.
func rawCipher(name string, n int, decrypt bool) func() {
	block, _ := aes.NewCipher(make([]byte, 32))
	in, out := make([]byte, n), make([]byte, n+16)
	if cms.AuthenticatedCipher(name) {
		g, _ := cipher.NewGCM(block)
		return func() { g.Seal(out[:0], make([]byte, 12), in, nil) }
	}
	return func() {
		if decrypt {
			cipher.NewCBCDecrypter(block, make([]byte, 16)).CryptBlocks(out[:n], in)
		} else {
			cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(out[:n], in)
		}
	}
}

func BenchmarkEncrypt(b *testing.B) {
	for _, name := range []string{"aes256-cbc", "aes256-gcm"} {
		for label, n := range map[string]int{"4KiB": 4 << 10, "1MiB": 1 << 20, "64MiB": 64 << 20} {
			b.Run(name+"/"+label, func(b *testing.B) {
				content := someBytes(n)
				to := []*cms.Recipient{{Certificate: holders()["p256"].cert}}
				benchmark(b, n, rawCipher(name, n, false), func() {
					w, err := cms.NewEnvelopedWriter(io.Discard, to, cms.EnvelopeOptions{Cipher: name})
					if err != nil {
						b.Fatal(err)
					}
					w.Write(content)
					if err := w.Close(); err != nil {
						b.Fatal(err)
					}
				})
			})
		}
	}
}

func BenchmarkDecrypt(b *testing.B) {
	h := holders()["p256"]
	for _, name := range []string{"aes256-cbc", "aes256-gcm"} {
		for label, n := range map[string]int{"4KiB": 4 << 10, "1MiB": 1 << 20, "64MiB": 64 << 20} {
			b.Run(name+"/"+label, func(b *testing.B) {
				der := seal(b, someBytes(n), n, cms.EnvelopeOptions{Cipher: name}, &cms.Recipient{Certificate: h.cert})
				benchmark(b, n, rawCipher(name, n, true), func() {
					c, err := cms.Open(bytes.NewReader(der))
					if err != nil {
						b.Fatal(err)
					}
					e := c.(*cms.EnvelopedData)
					if err := e.Unlock(e.Recipients()[0], h.key, cms.DecryptOptions{}); err != nil {
						b.Fatal(err)
					}
					if _, err := e.WriteTo(io.Discard); err != nil {
						b.Fatal(err)
					}
				})
			})
		}
	}
}
