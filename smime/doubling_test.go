package smime_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/mimeraw"
)

// bodies are multipart bodies of about n octets, cut at "b", each the worst for something.
func bodies() map[string]func(n int) string {
	filled := func(line string) func(int) string {
		return func(n int) string {
			return "--b\r\n\r\n" + strings.Repeat(line, n/len(line)) + "\r\n--b--\r\n"
		}
	}
	return map[string]func(n int) string{
		"text":                filled("The quick brown fox jumps over the lazy dog.\r\n"),
		"almost delimiters":   filled("--b-\r\n"),
		"delimiters and more": filled("--b" + strings.Repeat(" ", 60) + "x\r\n"),
		"empty lines":         filled("\r\n"),
		"bare CR":             filled("\r"),
		"bare LF":             filled("\n"),
		"one line":            filled("-"),
		"parts": func(n int) string {
			return strings.Repeat("--b\r\n\r\n"+strings.Repeat("x", n/900)+"\r\n", 900) + "--b--\r\n"
		},
		"header": func(n int) string { return "--b\r\n" + strings.Repeat("X-Y: z\r\n", n/8) + "\r\n\r\n--b--\r\n" },
	}
}

// BenchmarkDoublingCut and BenchmarkDoublingOpen print x-doubling: how many times as long
// twice the input takes. More than about 2 is not linear.
func BenchmarkDoublingCut(b *testing.B) {
	for name, body := range bodies() {
		doubling(b, name, func(n int) []byte { return []byte(body(n)) }, func(text []byte) {
			m := mimeraw.NewMultipart(bytes.NewReader(text), "b")
			for p, err := m.NextPart(); err == nil; p, err = m.NextPart() {
				if _, err := io.Copy(io.Discard, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDoublingOpen(b *testing.B) {
	p := newParty(b)
	o := p.opener()
	for name, body := range bodies() {
		doubling(b, name, func(n int) []byte {
			var mail bytes.Buffer
			source := "From: alice@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + body(n)
			c := p.composer(true, false, true)
			if _, err := c.Compose(&mail, strings.NewReader(source)); err != nil {
				mail.Reset() // too much of something to be written: it is read without a signature
				mail.WriteString(source)
			}
			return mail.Bytes()
		}, func(mail []byte) {
			if _, err := o.Inspect(b.Context(), bytes.NewReader(mail)); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// doubling runs f on inputs of 1 to 16 MiB, each in turns with one of half the size.
func doubling(b *testing.B, name string, input func(n int) []byte, f func([]byte)) {
	for n := 2 << 20; n <= 16<<20; n *= 2 {
		b.Run(fmt.Sprintf("%s/%dMiB", strings.ReplaceAll(name, " ", "-"), n>>20), func(b *testing.B) {
			half, whole := input(n/2), input(n)
			b.SetBytes(3 * int64(len(half)+len(whole)))
			best := [2]time.Duration{time.Hour, time.Hour}
			for b.Loop() {
				for i := range 6 {
					i, text := i%2, [][]byte{half, whole}[i%2]
					start := time.Now()
					f(text)
					best[i] = min(best[i], time.Since(start))
				}
			}
			b.ReportMetric(float64(best[1])/float64(best[0]), "x-doubling")
		})
	}
}
