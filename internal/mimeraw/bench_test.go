package mimeraw_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"mime/multipart"
	"mime/quotedprintable"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/mimeraw"
)

const benchSize = 8 << 20

var benchLine = strings.Repeat("The quick brown fox jumps over the lazy dog. ", 2)[:76]

func benchText(end string) []byte {
	return bytes.Repeat([]byte(benchLine+end), benchSize/(76+len(end)))
}

// ratio runs ours as the benchmark and then the other way, and reports how many times
// faster ours is.
func ratio(b *testing.B, octets int, ours, theirs func()) {
	b.SetBytes(int64(octets))
	start := time.Now()
	n := 0
	for b.Loop() {
		ours()
		n++
	}
	mine := time.Since(start) / time.Duration(n)
	start, n = time.Now(), 0
	for time.Since(start) < b.Elapsed() || n == 0 {
		theirs()
		n++
	}
	b.ReportMetric(float64(time.Since(start)/time.Duration(n))/float64(mine), "x-std")
}

func BenchmarkBase64Decode(b *testing.B) {
	var in bytes.Buffer
	w := mimeraw.Base64Encoder(&in)
	w.Write(benchText("\r\n"))
	w.Close()
	ratio(b, in.Len(), func() {
		if _, err := io.Copy(io.Discard, mimeraw.Base64Decoder(bytes.NewReader(in.Bytes()))); err != nil {
			b.Fatal(err)
		}
	}, func() {
		if _, err := io.Copy(io.Discard, base64.NewDecoder(base64.StdEncoding, bytes.NewReader(in.Bytes()))); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkBase64Encode(b *testing.B) {
	in := benchText("\r\n")
	ratio(b, len(in), func() {
		w := mimeraw.Base64Encoder(io.Discard)
		w.Write(in)
		w.Close()
	}, func() { // without any line ends
		w := base64.NewEncoder(base64.StdEncoding, io.Discard)
		w.Write(in)
		w.Close()
	})
}

func BenchmarkMultipart(b *testing.B) {
	in := append([]byte("--boundary\r\n\r\n"), benchText("\r\n")...)
	in = append(in, "\r\n--boundary--\r\n"...)
	ratio(b, len(in), func() {
		m := mimeraw.NewMultipart(bytes.NewReader(in), "boundary")
		p, err := m.NextPart()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, p); err != nil {
			b.Fatal(err)
		}
	}, func() {
		m := multipart.NewReader(bytes.NewReader(in), "boundary")
		p, err := m.NextRawPart()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, p); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkCanonical compares with a loop over the octets.
func BenchmarkCanonical(b *testing.B) {
	for name, end := range map[string]string{"CRLF": "\r\n", "LF": "\n"} {
		b.Run(name, func(b *testing.B) {
			in := benchText(end)
			out := make([]byte, 0, 64<<10)
			ratio(b, len(in), func() {
				c := mimeraw.NewCanonicaliser(io.Discard)
				for p := in; len(p) > 0; {
					n := min(len(p), 32<<10)
					c.Write(p[:n])
					p = p[n:]
				}
			}, func() {
				for i, c := range in {
					if c == '\n' && (i == 0 || in[i-1] != '\r') {
						out = append(out, '\r')
					}
					out = append(out, c)
					if len(out) > 32<<10 {
						out = out[:0]
					}
				}
			})
		})
	}
}

// BenchmarkSHA256 is what everything else is measured against: hashing what was read.
func BenchmarkSHA256(b *testing.B) {
	in := benchText("\r\n")
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		sha256.Sum256(in)
	}
}

func BenchmarkQuotedPrintable(b *testing.B) {
	text := bytes.Repeat([]byte("Gr\xc3\xbc\xc3\x9fe aus K\xc3\xb6ln, a line of ordinary text with few escapes\r\n"), benchSize/64)
	b.Run("encode", func(b *testing.B) {
		ratio(b, len(text), func() {
			w := mimeraw.QuotedPrintableEncoder(io.Discard)
			w.Write(text)
			w.Close()
		}, func() {
			w := quotedprintable.NewWriter(io.Discard)
			w.Write(text)
			w.Close()
		})
	})
	var in bytes.Buffer
	w := mimeraw.QuotedPrintableEncoder(&in)
	w.Write(text)
	w.Close()
	b.Run("decode", func(b *testing.B) {
		ratio(b, in.Len(), func() {
			if _, err := io.Copy(io.Discard, mimeraw.QuotedPrintableDecoder(bytes.NewReader(in.Bytes()))); err != nil {
				b.Fatal(err)
			}
		}, func() {
			if _, err := io.Copy(io.Discard, quotedprintable.NewReader(bytes.NewReader(in.Bytes()))); err != nil {
				b.Fatal(err)
			}
		})
	})
}
