package mimeraw

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// The quick way through canonical text and the way line by line must agree, wherever the
// text is cut.
func TestSevenBitCheckWays(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	quick := 0
	for range 20000 {
		var b strings.Builder
		for b.Len() < 300 {
			n := rnd.IntN(90)
			if rnd.IntN(8) == 0 {
				n = lineMax - 3 + rnd.IntN(6)
			}
			b.WriteString(strings.Repeat("x", n) + "\r\n")
		}
		text := []byte(b.String())
		for range rnd.IntN(3) {
			text[rnd.IntN(len(text))] = "\r\n\x00\x80x\xff"[rnd.IntN(6)]
		}
		var one, two sevenBitCheck
		two.bareLF = true // takes the way line by line
		for len(text) > 0 {
			n := min(len(text), 60+rnd.IntN(1200))
			before := one
			if one.canonical(text[:n]) {
				quick++
				one = before
			}
			good := one.ok(text[:n])
			if want := two.ok(text[:n]); good != want {
				t.Fatalf("%v, line by line %v: %q", good, want, text[:n])
			}
			if !good {
				break
			}
			if one.line != two.line || one.afterCR != two.afterCR {
				t.Fatalf("state %v, line by line %v: %q", one, two, text[:n])
			}
			text = text[n:]
		}
	}
	if quick < 1000 {
		t.Errorf("the quick way was taken %d times only", quick)
	}
}
