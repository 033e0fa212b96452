package offload_test

import (
	"bytes"
	"crypto/sha256"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/offload"
)

func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 131 >> 3)
	}
	return b
}

// A Sink hands on every octet once and in order, whatever the sizes of the writes, and may
// be waited for in between.
func TestSink(t *testing.T) {
	all := text(offload.Threshold + 3*offload.PieceSize + 1)
	for _, size := range []int{100, 4096, offload.PieceSize, offload.PieceSize + 1, len(all)} {
		var got []byte
		s := offload.NewSink(func(b []byte) { got = append(got, b...) })
		for i := 0; i < len(all); i += size {
			s.Write(all[i:min(i+size, len(all))])
			if i/size%50 == 7 {
				s.Wait()
				if !bytes.Equal(got, all[:min(i+size, len(all))]) {
					t.Fatalf("writes of %d: other octets after %d", size, i)
				}
			}
		}
		s.Wait()
		s.Wait()
		if !bytes.Equal(got, all) {
			t.Errorf("writes of %d: %d octets of %d, or others", size, len(got), len(all))
		}
	}
}

// A Line gives pieces back in order; a serial one works on them in order too.
func TestLine(t *testing.T) {
	for _, serial := range []bool{false, true} {
		var seen []byte
		l := offload.NewLine(serial, func(p *offload.Piece) {
			if serial {
				seen = append(seen, p.In...)
			}
			p.Out = append(p.Room(), p.In...)
		})
		var got, want []byte
		take := func() {
			p := l.Take()
			got = append(got, p.Out...)
			p.Free()
		}
		for i := range 100 {
			if l.Full() {
				take()
			}
			p := offload.NewPiece()
			p.In = append(p.In, byte(i))
			want = append(want, byte(i))
			l.Put(p)
		}
		for !l.Empty() {
			take()
		}
		if !bytes.Equal(got, want) || serial && !bytes.Equal(seen, want) {
			t.Errorf("serial %v: %v, worked on %v", serial, got, seen)
		}
	}
}

// A stream that is given up halfway leaves no goroutine behind.
func TestNothingStays(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		h := sha256.New()
		offload.NewSink(func(b []byte) { h.Write(b) }).Write(text(offload.Threshold - 1))
		s := offload.NewSink(func(b []byte) { h.Write(b) })
		s.Write(text(offload.Threshold))
		s.Write(text(5 * offload.PieceSize))
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// What a Sink took may have been plaintext: no other stream finds it in a piece.
func TestSinkLeavesNothing(t *testing.T) {
	secret := bytes.Repeat([]byte{0xa5}, offload.Threshold+5*offload.PieceSize+100)
	sum := sha256.New()
	s := offload.NewSink(func(b []byte) { sum.Write(b) })
	for part := range slices.Chunk(secret, 4096) {
		s.Write(part)
	}
	s.Wait()
	if want := sha256.Sum256(secret); !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Error("the hash of other octets")
	}
	for range 30 {
		if p := offload.NewPiece(); bytes.IndexByte(p.In[:offload.PieceSize], 0xa5) >= 0 {
			t.Fatal("octets of a stream that has ended")
		}
	}
}
