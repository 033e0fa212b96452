package smime_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const benchSize = 16 << 20

// BenchmarkRaw is the speed of the primitives alone, on the same machine and in the same
// run: what the other figures are to be compared with.
func BenchmarkRaw(b *testing.B) {
	data := make([]byte, benchSize)
	block, _ := aes.NewCipher(make([]byte, 32))
	gcm, _ := cipher.NewGCM(block)
	out := make([]byte, 0, benchSize*2)
	run := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(benchSize)
			for b.Loop() {
				f()
			}
		})
	}
	run("sha256", func() { sha256.Sum256(data) })
	run("aes256-cbc encrypt", func() { cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(out[:benchSize], data) })
	run("aes256-cbc decrypt", func() { cipher.NewCBCDecrypter(block, make([]byte, 16)).CryptBlocks(out[:benchSize], data) })
	run("aes256-gcm", func() { gcm.Seal(out[:0], make([]byte, 12), data, nil) })
	run("base64 encode", func() { base64.StdEncoding.Encode(out[:base64.StdEncoding.EncodedLen(benchSize)], data) })
}

// BenchmarkCompose and BenchmarkOpen are whole messages: MIME, base64 and CMS.
func BenchmarkCompose(b *testing.B) {
	p := newParty(b)
	for name, c := range p.every() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Compose(io.Discard, newTape(benchSize)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	p := newParty(b)
	for name, c := range p.every() {
		if c.Compress {
			continue // the tape compresses so well that the guard against bombs refuses it
		}
		var mail bytes.Buffer
		if _, err := c.Compose(&mail, newTape(benchSize)); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.opener().OpenTo(b.Context(), io.Discard, bytes.NewReader(mail.Bytes())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpenSSL is the command line of OpenSSL on the messages of BenchmarkOpen.
func BenchmarkOpenSSL(b *testing.B) {
	program, err := exec.LookPath("openssl")
	if err != nil {
		b.Skip("the program openssl is not installed")
	}
	p := newParty(b)
	dir := b.TempDir()
	for _, name := range []string{"signed/sha256", "signed/opaque sha256"} {
		file := filepath.Join(dir, "message.eml")
		f, err := os.Create(file)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.every()[name].Compose(f, newTape(benchSize)); err != nil {
			b.Fatal(err)
		}
		f.Close()
		b.Run(name, func(b *testing.B) {
			b.SetBytes(benchSize)
			for b.Loop() {
				cmd := exec.Command(program, "cms", "-verify", "-noverify", "-in", file, "-out", os.DevNull)
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
			}
		})
	}
}
