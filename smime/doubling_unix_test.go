//go:build unix

package smime_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/smime/internal/catalogue"
)

// doubling measures f on inputs that double in size, and reports what a doubling multiplies
// the time by, next to the time for an octet of the largest: 2 is linear.
func doubling(b *testing.B, make func(n int) []byte, f func([]byte) error) {
	b.Helper()
	const steps = 5
	var inputs [][]byte
	for i := range steps {
		inputs = append(inputs, make(1<<i))
	}
	best := slices.Repeat([]time.Duration{time.Hour}, steps)
	for b.Loop() {
		for i, in := range inputs {
			start := used(b)
			if err := f(in); err != nil {
				b.Fatal(err)
			}
			best[i] = min(best[i], used(b)-start)
		}
	}
	// The slope of the line through the logarithms of sizes and times.
	var x, y, xx, xy float64
	for i := range steps {
		u, v := math.Log2(float64(len(inputs[i]))), math.Log2(float64(best[i]))
		x, y, xx, xy = x+u, y+v, xx+u*u, xy+u*v
	}
	slope := (steps*xy - x*y) / (steps*xx - x*x)
	last := len(inputs) - 1
	b.SetBytes(0)
	b.ReportMetric(math.Exp2(slope), "x/doubling")
	b.ReportMetric(float64(best[last])/float64(len(inputs[last])), "ns/octet")
	b.ReportMetric(0, "ns/op") // a round of all sizes says nothing
}

// used returns the time that this process has spent on the processors: what else the machine
// does is nothing to it.
func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkOpenDoubling opens messages of every form that double in size.
func BenchmarkOpenDoubling(b *testing.B) {
	p := newParty(b)
	for name, c := range p.every() {
		if c.Compress {
			continue // the tape compresses so well that the guard against bombs refuses it
		}
		b.Run(name, func(b *testing.B) {
			doubling(b, func(n int) []byte {
				var mail bytes.Buffer
				if _, err := c.Compose(&mail, newTape(int64(n)<<20)); err != nil {
					b.Fatal(err)
				}
				return mail.Bytes()
			}, func(mail []byte) error {
				_, err := p.opener().OpenTo(b.Context(), io.Discard, bytes.NewReader(mail))
				return err
			})
		})
	}
}

// BenchmarkMultipartDoubling reads what MIME can be made of that doubles: parts, levels,
// fields, lines, and delimiters that are almost some.
func BenchmarkMultipartDoubling(b *testing.B) {
	p := newParty(b)
	const from = "From: alice@example.com\r\n"
	multipart := func(body string) string {
		return from + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + body + "--b--\r\n"
	}
	for _, c := range []struct {
		name string
		make func(n int) string
	}{
		{"text", func(n int) string { return from + "\r\n" + strings.Repeat("a line of text\r\n", n<<14) }},
		{"parts", func(n int) string { return multipart(strings.Repeat("--b\r\n\r\nx\r\n", n<<14)) }},
		{"almost delimiters", func(n int) string { return multipart("--b\r\n\r\n" + strings.Repeat("--bb\r\n--\r\n--b-x\r\n", n<<14)) }},
		{"dashes", func(n int) string { return multipart("--b\r\n\r\n" + strings.Repeat("-", n<<18) + "\r\n") }},
		{"line ends", func(n int) string { return multipart("--b\r\n\r\n" + strings.Repeat("\r\n", n<<17)) }},
		{"headers of parts", func(n int) string {
			return multipart(strings.Repeat("--b\r\n"+strings.Repeat("X: y\r\n", 50)+"\r\nx\r\n", n<<8))
		}},
		{"multiparts beside each other", func(n int) string {
			return multipart(strings.Repeat("--b\r\n"+catalogue.MultipartAt("c", "mixed", "\r\nx\r\n")+"\r\n", n<<12))
		}},
		{"messages beside each other", func(n int) string {
			return multipart(strings.Repeat("--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nx\r\n", n<<12))
		}},
		{"signed parts beside each other", func(n int) string {
			return multipart(strings.Repeat("--b\r\nContent-Type: multipart/signed; boundary=s; protocol=\"application/pkcs7-signature\"\r\n\r\n--s\r\n\r\nx\r\n--s--\r\n", n<<10))
		}},
		{"fields", func(n int) string { return from + strings.Repeat("X: y\r\n", n*60) + "\r\nhi\r\n" }},
		{"folds", func(n int) string { return from + "X: y" + strings.Repeat("\r\n y", n<<12) + "\r\n\r\nhi\r\n" }},
	} {
		b.Run(c.name, func(b *testing.B) {
			doubling(b, func(n int) []byte { return []byte(c.make(n)) }, func(mail []byte) error {
				r, err := p.opener().Inspect(b.Context(), bytes.NewReader(mail))
				if err == nil && r.Verdict != "unsigned" {
					err = fmt.Errorf("%s %q", r.Verdict, r.Codes)
				}
				return err
			})
		})
	}
}
