package cipherstream_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/postseal/postseal/internal/cipherstream"
	"github.com/postseal/postseal/internal/corpus"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func none() (tag, additional []byte, err error) { return nil, nil, nil }

func tail(tag, additional []byte) cipherstream.Tail {
	return func() ([]byte, []byte, error) { return tag, additional, nil }
}

// sizes meet every boundary: blocks, the first buffer, parts and windows.
func sizes() []int {
	out := []int{0, 1, 15, 16, 17, 31, 32, 8191, 8192, 8193, 16384, 65535, 65536, 65537}
	w := 65536 * min(4*runtime.GOMAXPROCS(0), 16)
	return append(out, w-1, w, w+1, 8192+w, 8192+w+16, 3*w+12345)
}

// writeIn writes p in pieces of n.
func writeIn(t *testing.T, w io.Writer, p []byte, n int) {
	t.Helper()
	for len(p) > 0 {
		m := min(n, len(p))
		if k, err := w.Write(p[:m]); err != nil || k != m {
			t.Fatal(k, err)
		}
		p = p[m:]
	}
}

func TestCBCAgainstStandardLibrary(t *testing.T) {
	for _, keySize := range []int{16, 24, 32} {
		key, iv := random(keySize), random(16)
		b, _ := aes.NewCipher(key)
		for _, n := range sizes() {
			plain := random(n)
			pad := 16 - n%16
			want := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
			cipher.NewCBCEncrypter(b, iv).CryptBlocks(want, want)
			for _, step := range []int{7, 1000, 1 << 20} {
				if step == 7 && n > 100000 {
					continue
				}
				var out bytes.Buffer
				w, err := cipherstream.NewCBCWriter(&out, b, iv)
				if err != nil {
					t.Fatal(err)
				}
				writeIn(t, w, plain, step)
				if err := w.Close(); err != nil || w.Tag() != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(out.Bytes(), want) {
					t.Fatalf("%d octets in pieces of %d: wrong ciphertext", n, step)
				}
			}
			r, _ := cipherstream.NewCBCReader(bytes.NewReader(want), b, iv, none)
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%d octets: %v", n, err)
			}
			r, _ = cipherstream.NewCBCReader(iotest.HalfReader(bytes.NewReader(want)), b, iv, none)
			var out bytes.Buffer
			if m, err := r.WriteTo(&out); err != nil || m != int64(n) || !bytes.Equal(out.Bytes(), plain) {
				t.Fatalf("%d octets: %v", n, err)
			}
		}
	}
}

func TestCBCEightOctetBlocks(t *testing.T) {
	b, _ := des.NewTripleDESCipher(random(24))
	iv := random(8)
	for _, n := range []int{0, 1, 7, 8, 9, 8184, 8192, 200000} {
		plain := random(n)
		var out bytes.Buffer
		w, _ := cipherstream.NewCBCWriter(&out, b, iv)
		w.Write(plain)
		w.Close()
		r, _ := cipherstream.NewCBCReader(&out, b, iv, none)
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
			t.Fatal(n, err)
		}
	}
	if _, err := cipherstream.NewCBCReader(nil, b, random(16), none); err == nil {
		t.Error("an initial vector of 16 octets for a block of 8")
	}
	if _, err := cipherstream.NewCBCWriter(nil, b, random(7)); err == nil {
		t.Error("an initial vector of 7 octets for a block of 8")
	}
}

// Every last octet, every cut block and nothing at all end in the same error
// (attacks.md, C10).
func TestCBCPaddingFaultsAreOneError(t *testing.T) {
	b, _ := aes.NewCipher(random(32))
	iv := make([]byte, 16)
	failures := 0
	for last := range 256 {
		for n := 16; n <= 48; n += 16 {
			p := make([]byte, n)
			for i := range p {
				p[i] = byte(last)
			}
			if n > 16 {
				p[n-2] ^= byte(n) // the octet before the last is wrong
			}
			c := make([]byte, n)
			cipher.NewCBCEncrypter(b, iv).CryptBlocks(c, p)
			r, _ := cipherstream.NewCBCReader(bytes.NewReader(c), b, iv, none)
			_, err := io.ReadAll(r)
			good := last >= 1 && last <= 16 && n == 16 || last == 1
			if good != (err == nil) {
				t.Errorf("padding of %d times %d: %v", n, last, err)
			}
			if err != nil {
				failures++
				if err != cipherstream.ErrOpen {
					t.Error(err)
				}
			}
		}
	}
	for n := range 40 {
		if n == 16 || n == 32 {
			continue
		}
		r, _ := cipherstream.NewCBCReader(bytes.NewReader(make([]byte, n)), b, iv, none)
		if _, err := io.ReadAll(r); err != cipherstream.ErrOpen {
			t.Errorf("%d octets: %v", n, err)
		}
		failures++
	}
	if failures < 700 {
		t.Error("only", failures, "failures seen")
	}
}

type construct struct {
	name   string
	keyLen int
	reader func(src io.Reader, key, nonce []byte, t cipherstream.Tail) (io.Reader, error)
	seal   func(dst io.Writer, key, nonce, ad, plain []byte, step int) ([]byte, error)
	std    func(key []byte) (cipher.AEAD, error)
}

type tagger interface {
	io.WriteCloser
	Tag() []byte
}

func sealed(w tagger, plain []byte, step int) ([]byte, error) {
	for len(plain) > 0 {
		n := min(step, len(plain))
		if _, err := w.Write(plain[:n]); err != nil {
			return nil, err
		}
		plain = plain[n:]
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return w.Tag(), nil
}

func gcmStd(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

func constructs() []construct {
	gcmReader := func(src io.Reader, key, nonce []byte, t cipherstream.Tail) (io.Reader, error) {
		return cipherstream.NewGCMReader(src, key, nonce, t)
	}
	gcmSeal := func(dst io.Writer, key, nonce, ad, plain []byte, step int) ([]byte, error) {
		w, err := cipherstream.NewGCMWriter(dst, key, nonce, ad)
		if err != nil {
			return nil, err
		}
		return sealed(w, plain, step)
	}
	return []construct{
		{"aes128-gcm", 16, gcmReader, gcmSeal, gcmStd},
		{"aes192-gcm", 24, gcmReader, gcmSeal, gcmStd},
		{"aes256-gcm", 32, gcmReader, gcmSeal, gcmStd},
		{"chacha20-poly1305", 32,
			func(src io.Reader, key, nonce []byte, t cipherstream.Tail) (io.Reader, error) {
				return cipherstream.NewChaChaReader(src, key, nonce, t)
			},
			func(dst io.Writer, key, nonce, ad, plain []byte, step int) ([]byte, error) {
				w, err := cipherstream.NewChaChaWriter(dst, key, nonce, ad)
				if err != nil {
					return nil, err
				}
				return sealed(w, plain, step)
			},
			chacha20poly1305.New},
	}
}

func TestStreamsAgainstStandardLibrary(t *testing.T) {
	for _, c := range constructs() {
		t.Run(c.name, func(t *testing.T) {
			for _, n := range sizes() {
				key, nonce, plain := random(c.keyLen), random(12), random(n)
				for _, ad := range [][]byte{nil, random(1), random(16), random(70000)} {
					std, err := c.std(key)
					if err != nil {
						t.Fatal(err)
					}
					want := std.Seal(nil, nonce, plain, ad)
					var out bytes.Buffer
					tag, err := c.seal(&out, key, nonce, ad, plain, 1+n/3)
					if err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(append(bytes.Clone(out.Bytes()), tag...), want) {
						t.Fatalf("%d octets, %d additional: wrong ciphertext or tag", n, len(ad))
					}
					r, err := c.reader(iotest.HalfReader(bytes.NewReader(want[:n])), key, nonce, tail(want[n:], ad))
					if err != nil {
						t.Fatal(err)
					}
					if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
						t.Fatalf("%d octets, %d additional: %v", n, len(ad), err)
					}
				}
			}
		})
	}
}

// A flipped bit anywhere, a cut tag and foreign additional data give one error.
func TestStreamsRefuseAlteration(t *testing.T) {
	for _, c := range constructs() {
		key, nonce, plain, ad := random(c.keyLen), random(12), random(100), random(20)
		std, _ := c.std(key)
		sealed := std.Seal(nil, nonce, plain, ad)
		open := func(ct, tag, ad []byte) error {
			r, err := c.reader(bytes.NewReader(ct), key, nonce, tail(tag, ad))
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, r)
			return err
		}
		for i := range sealed {
			for bit := range 8 {
				m := bytes.Clone(sealed)
				m[i] ^= 1 << bit
				if err := open(m[:100], m[100:], ad); err != cipherstream.ErrOpen {
					t.Fatalf("%s, bit %d of octet %d: %v", c.name, bit, i, err)
				}
			}
		}
		for n := range 12 {
			if err := open(sealed[:100], sealed[100:100+n], ad); err != cipherstream.ErrOpen {
				t.Errorf("%s: tag of %d octets: %v", c.name, n, err)
			}
		}
		for _, x := range [][]byte{nil, ad[:19], append(bytes.Clone(ad), 0)} {
			if err := open(sealed[:100], sealed[100:], x); err != cipherstream.ErrOpen {
				t.Errorf("%s: other additional data: %v", c.name, err)
			}
		}
		if err := open(sealed[:100], sealed[100:], ad); err != nil {
			t.Error(c.name, err)
		}
		if _, err := c.reader(nil, key, nonce[:11], none); err == nil {
			t.Error(c.name, "nonce of 11 octets")
		}
		if _, err := c.reader(nil, key[:11], nonce, none); err == nil {
			t.Error(c.name, "key of 11 octets")
		}
	}
}

// The error of the source and of the tail come before any finding about the content.
func TestErrorsOfTheSource(t *testing.T) {
	mine := errors.New("mine")
	b, _ := aes.NewCipher(make([]byte, 16))
	for _, n := range []int{0, 5, 16, 100000} {
		broken := func() io.Reader { return io.MultiReader(bytes.NewReader(make([]byte, n)), iotest.ErrReader(mine)) }
		whole := func() io.Reader { return bytes.NewReader(make([]byte, n)) }
		bad := func() ([]byte, []byte, error) { return nil, nil, mine }
		for _, src := range []struct {
			r io.Reader
			t cipherstream.Tail
		}{{broken(), none}, {whole(), bad}} {
			r, _ := cipherstream.NewCBCReader(src.r, b, make([]byte, 16), src.t)
			if _, err := io.Copy(io.Discard, r); err != mine {
				t.Errorf("cbc, %d octets: %v", n, err)
			}
		}
		for _, c := range constructs() {
			for _, src := range []struct {
				r io.Reader
				t cipherstream.Tail
			}{{broken(), none}, {whole(), bad}} {
				r, _ := c.reader(src.r, make([]byte, c.keyLen), make([]byte, 12), src.t)
				if _, err := io.Copy(io.Discard, r); err != mine {
					t.Errorf("%s, %d octets: %v", c.name, n, err)
				}
			}
		}
		r, _ := cipherstream.NewCCMReader(broken(), make([]byte, 16), make([]byte, 12), 1<<20, none)
		if _, err := io.Copy(io.Discard, r); err != mine {
			t.Error("ccm", err)
		}
	}
	w, _ := cipherstream.NewCBCWriter(failing{mine}, b, make([]byte, 16))
	w.Write(make([]byte, 1<<20))
	if err := w.Close(); err != mine {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

type aeadGroup struct {
	IvSize, KeySize, TagSize int
	Tests                    []struct {
		corpus.Case
		Key, Iv, Aad, Msg, Ct, Tag corpus.Hex
	}
}

func TestWycheproofAEAD(t *testing.T) {
	for _, f := range []struct {
		file string
		open func(key, iv, aad, ct, tag []byte) ([]byte, error)
		seal func(key, iv, aad, msg []byte) ([]byte, []byte, error)
		skip func(g aeadGroup) bool
	}{
		{"aes_gcm_test.json",
			func(key, iv, aad, ct, tag []byte) ([]byte, error) {
				r, err := cipherstream.NewGCMReader(bytes.NewReader(ct), key, iv, tail(tag, aad))
				if err != nil {
					return nil, err
				}
				return io.ReadAll(r)
			},
			func(key, iv, aad, msg []byte) ([]byte, []byte, error) {
				var out bytes.Buffer
				w, err := cipherstream.NewGCMWriter(&out, key, iv, aad)
				if err != nil {
					return nil, nil, err
				}
				tag, err := sealed(w, msg, 5)
				return out.Bytes(), tag, err
			},
			func(g aeadGroup) bool { return g.IvSize != 96 }},
		{"chacha20_poly1305_test.json",
			func(key, iv, aad, ct, tag []byte) ([]byte, error) {
				r, err := cipherstream.NewChaChaReader(bytes.NewReader(ct), key, iv, tail(tag, aad))
				if err != nil {
					return nil, err
				}
				return io.ReadAll(r)
			},
			func(key, iv, aad, msg []byte) ([]byte, []byte, error) {
				var out bytes.Buffer
				w, err := cipherstream.NewChaChaWriter(&out, key, iv, aad)
				if err != nil {
					return nil, nil, err
				}
				tag, err := sealed(w, msg, 5)
				return out.Bytes(), tag, err
			},
			func(g aeadGroup) bool { return false }},
		{"aes_ccm_test.json",
			func(key, iv, aad, ct, tag []byte) ([]byte, error) {
				r, err := cipherstream.NewCCMReader(bytes.NewReader(ct), key, iv, 1<<20, tail(tag, aad))
				if err != nil {
					return nil, err
				}
				return io.ReadAll(r)
			},
			func(key, iv, aad, msg []byte) ([]byte, []byte, error) {
				var out bytes.Buffer
				w, err := cipherstream.NewCCMWriter(&out, key, iv, aad, 1<<20)
				if err != nil {
					return nil, nil, err
				}
				tag, err := sealed(w, msg, 5)
				return out.Bytes(), tag, err
			},
			func(g aeadGroup) bool { return false }},
	} {
		t.Run(f.file, func(t *testing.T) {
			ran, refused := 0, 0
			for _, g := range corpus.Wycheproof[aeadGroup](t, f.file) {
				for _, v := range g.Tests {
					got, err := f.open(v.Key, v.Iv, v.Aad, v.Ct, v.Tag)
					if f.skip(g) { // a nonce size of which we take none
						refused++
						if err == nil {
							t.Errorf("%d: nonce of %d bits accepted", v.TcID, g.IvSize)
						}
						continue
					}
					ran++
					if v.Result == "invalid" {
						if err == nil {
							t.Errorf("%d: %s accepted", v.TcID, v.Comment)
						}
						continue
					}
					if err != nil || !bytes.Equal(got, v.Msg) {
						t.Errorf("%d: %s: %v", v.TcID, v.Comment, err)
					}
					ct, tag, err := f.seal(v.Key, v.Iv, v.Aad, v.Msg)
					if err != nil || !bytes.Equal(ct, v.Ct) || g.TagSize == 128 && !bytes.Equal(tag, v.Tag) {
						t.Errorf("%d: sealing gives another result (%v)", v.TcID, err)
					}
				}
			}
			t.Logf("%d vectors, %d more refused for their nonce size", ran, refused)
		})
	}
}

func TestWycheproofCBC(t *testing.T) {
	type group struct {
		Tests []struct {
			corpus.Case
			Key, Iv, Msg, Ct corpus.Hex
		}
	}
	bad := 0
	for _, g := range corpus.Wycheproof[group](t, "aes_cbc_pkcs5_test.json") {
		for _, v := range g.Tests {
			b, err := aes.NewCipher(v.Key)
			if err != nil {
				t.Fatal(err)
			}
			r, err := cipherstream.NewCBCReader(bytes.NewReader(v.Ct), b, v.Iv, none)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if v.Result == "invalid" {
				bad++
				if err != cipherstream.ErrOpen {
					t.Errorf("%d: %s: %v", v.TcID, v.Comment, err)
				}
			} else if err != nil || !bytes.Equal(got, v.Msg) {
				t.Errorf("%d: %s: %v", v.TcID, v.Comment, err)
			}
		}
	}
	if bad == 0 {
		t.Error("no invalid vector")
	}
}

func TestCCMHoldsNoMoreThanItsLimit(t *testing.T) {
	var out bytes.Buffer
	w, err := cipherstream.NewCCMWriter(&out, make([]byte, 32), make([]byte, 12), []byte("a"), 100)
	if err != nil {
		t.Fatal(err)
	}
	plain := random(100)
	tag, err := sealed(w, plain, 30)
	if err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int]error{100: nil, 99: cipherstream.ErrTooLong} {
		r, _ := cipherstream.NewCCMReader(bytes.NewReader(out.Bytes()), make([]byte, 32), make([]byte, 12), limit, tail(tag, []byte("a")))
		if got, err := io.ReadAll(r); err != want || err == nil && !bytes.Equal(got, plain) {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
	w, _ = cipherstream.NewCCMWriter(&out, make([]byte, 32), make([]byte, 12), nil, 99)
	if _, err := w.Write(plain); err != cipherstream.ErrTooLong {
		t.Error(err)
	}
	// Additional data from 65,280 octets on has another length form (RFC 3610, Section 2.2).
	for _, n := range []int{65279, 65280, 70000} {
		ad := random(n)
		out.Reset()
		w, _ = cipherstream.NewCCMWriter(&out, make([]byte, 32), make([]byte, 7), ad, 100)
		tag, _ := sealed(w, plain, 100)
		r, _ := cipherstream.NewCCMReader(&out, make([]byte, 32), make([]byte, 7), 100, tail(tag, ad))
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
			t.Error(n, err)
		}
	}
}

// The plaintext of a message under AES-CCM does not leave before its tag is right
// (attacks.md, C06).
func TestCCMReleasesNothingUnverified(t *testing.T) {
	var out bytes.Buffer
	w, _ := cipherstream.NewCCMWriter(&out, make([]byte, 16), make([]byte, 12), nil, 1000)
	tag, _ := sealed(w, random(1000), 1000)
	tag[15] ^= 1
	r, _ := cipherstream.NewCCMReader(&out, make([]byte, 16), make([]byte, 12), 1000, tail(tag, nil))
	if got, err := io.ReadAll(r); len(got) != 0 || err != cipherstream.ErrOpen {
		t.Error(len(got), err)
	}
}

func TestRunsInConstantMemory(t *testing.T) {
	b, _ := aes.NewCipher(make([]byte, 32))
	const total = 32 << 20
	piece := make([]byte, 1<<16)
	for name, run := range map[string]func(){
		"cbc": func() {
			r, _ := cipherstream.NewCBCReader(io.LimitReader(zeros{}, total), b, make([]byte, 16), none)
			io.Copy(io.Discard, r)
		},
		"gcm": func() {
			w, _ := cipherstream.NewGCMWriter(io.Discard, make([]byte, 32), make([]byte, 12), nil)
			for range total / len(piece) {
				w.Write(piece)
			}
			w.Close()
		},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		run()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
			t.Errorf("%s: %d octets allocated for %d", name, n, total)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// The benchmarks print x-raw: how many times the speed of the raw primitive on one core
// the stream reaches, each at its fastest in turns with the other.
func compare(b *testing.B, n int64, raw, stream func()) {
	b.SetBytes(n)
	b.ReportAllocs()
	best := [2]time.Duration{time.Hour, time.Hour}
	for b.Loop() {
		b.StopTimer()
		start := time.Now()
		raw()
		best[0] = min(best[0], time.Since(start))
		b.StartTimer()
		start = time.Now()
		stream()
		best[1] = min(best[1], time.Since(start))
	}
	b.ReportMetric(float64(best[0])/float64(best[1]), "x-raw")
}

const benchSize = 16 << 20

func BenchmarkCBCDecrypt(b *testing.B) {
	block, _ := aes.NewCipher(make([]byte, 32))
	data, out := make([]byte, benchSize), make([]byte, benchSize)
	compare(b, benchSize, func() {
		cipher.NewCBCDecrypter(block, make([]byte, 16)).CryptBlocks(out, data)
	}, func() {
		r, _ := cipherstream.NewCBCReader(bytes.NewReader(data), block, make([]byte, 16), none)
		r.WriteTo(io.Discard)
	})
}

func BenchmarkCBCEncrypt(b *testing.B) {
	block, _ := aes.NewCipher(make([]byte, 32))
	data, out := make([]byte, benchSize), make([]byte, benchSize)
	compare(b, benchSize, func() {
		cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(out, data)
	}, func() {
		w, _ := cipherstream.NewCBCWriter(io.Discard, block, make([]byte, 16))
		w.Write(data)
		w.Close()
	})
}

func benchAEAD(b *testing.B, std cipher.AEAD, stream func(data []byte)) {
	data, out := make([]byte, benchSize), make([]byte, 0, benchSize+16)
	compare(b, benchSize, func() { std.Seal(out, make([]byte, 12), data, nil) }, func() { stream(data) })
}

func BenchmarkGCMSeal(b *testing.B) {
	std, _ := gcmStd(make([]byte, 32))
	benchAEAD(b, std, func(data []byte) {
		w, _ := cipherstream.NewGCMWriter(io.Discard, make([]byte, 32), make([]byte, 12), nil)
		w.Write(data)
		w.Close()
	})
}

func BenchmarkGCMOpen(b *testing.B) {
	std, _ := gcmStd(make([]byte, 32))
	benchAEAD(b, std, func(data []byte) {
		r, _ := cipherstream.NewGCMReader(bytes.NewReader(data), make([]byte, 32), make([]byte, 12), none)
		r.WriteTo(io.Discard)
	})
}

func BenchmarkChaChaSeal(b *testing.B) {
	std, _ := chacha20poly1305.New(make([]byte, 32))
	benchAEAD(b, std, func(data []byte) {
		w, _ := cipherstream.NewChaChaWriter(io.Discard, make([]byte, 32), make([]byte, 12), nil)
		w.Write(data)
		w.Close()
	})
}

func ExampleNewGCMWriter() {
	key, nonce := make([]byte, 32), make([]byte, 12)
	var text bytes.Buffer
	w, _ := cipherstream.NewGCMWriter(&text, key, nonce, nil)
	io.WriteString(w, "attack at dawn")
	w.Close()
	r, _ := cipherstream.NewGCMReader(&text, key, nonce, func() (tag, additional []byte, err error) {
		return w.Tag(), nil, nil
	})
	plain, err := io.ReadAll(r)
	fmt.Println(string(plain), err)
	// Output: attack at dawn <nil>
}

// A write that is large enough to be worked on where it lies leaves the caller's memory as
// it is, and nobody looks at it any more once the call has returned.
func TestLargeWritesAreOnlyRead(t *testing.T) {
	b, _ := aes.NewCipher(random(32))
	key, nonce := random(32), random(12)
	for name, open := range map[string]func(io.Writer) (*cipherstream.Writer, error){
		"cbc": func(w io.Writer) (*cipherstream.Writer, error) {
			return cipherstream.NewCBCWriter(w, b, make([]byte, 16))
		},
		"gcm": func(w io.Writer) (*cipherstream.Writer, error) { return cipherstream.NewGCMWriter(w, key, nonce, nil) },
		"chacha": func(w io.Writer) (*cipherstream.Writer, error) {
			return cipherstream.NewChaChaWriter(w, key, nonce, nil)
		},
	} {
		plain := random(3<<20 + 77)
		encipher := func(step int) []byte {
			var out bytes.Buffer
			w, err := open(&out)
			if err != nil {
				t.Fatal(err)
			}
			for rest := plain; len(rest) > 0; rest = rest[min(step, len(rest)):] {
				p := bytes.Clone(rest[:min(step, len(rest))])
				before := bytes.Clone(p)
				if _, err := w.Write(p); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(p, before) {
					t.Fatalf("%s: a write of %d octets was overwritten", name, len(p))
				}
				clear(p)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			return append(out.Bytes(), w.Tag()...)
		}
		want := encipher(1000)
		for _, step := range []int{100_000, 1<<20 + 1, len(plain)} {
			if !bytes.Equal(encipher(step), want) {
				t.Errorf("%s: writes of %d octets give another ciphertext", name, step)
			}
		}
	}
}
