package ber_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/postseal/postseal/internal/ber"
)

func TestWriter(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 5000)
	for _, size := range []int{1, 7, 4096, 16384, 16385, 50000} {
		var b bytes.Buffer
		w := ber.NewWriter(&b)
		if err := errors.Join(w.Begin(ber.Sequence), w.Raw([]byte{5, 0})); err != nil {
			t.Fatal(err)
		}
		o, err := w.Octets(ber.OctetString)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(content); i += size {
			if n, err := o.Write(content[i:min(i+size, len(content))]); err != nil || n != min(size, len(content)-i) {
				t.Fatal(n, err)
			}
		}
		if err := errors.Join(o.Close(), w.End()); err != nil {
			t.Fatal(err)
		}
		want := append([]byte{5, 0}, ber.AppendHeader(nil, ber.OctetString, false, len(content))...)
		want = append(want, content...)
		want = append(ber.AppendHeader(nil, ber.Sequence, true, len(want)), want...)
		if got, err := ber.ToDER(b.Bytes(), 1<<20); err != nil || !bytes.Equal(got, want) {
			t.Errorf("writes of %d: content differs, %v", size, err)
		}
	}
}

func TestWriterMisuse(t *testing.T) {
	w := ber.NewWriter(io.Discard)
	if err := w.End(); err == nil {
		t.Error("ended nothing")
	}
	w = ber.NewWriter(io.Discard)
	o, _ := w.Octets(ber.OctetString)
	if err := w.Raw([]byte{5, 0}); err == nil {
		t.Error("wrote an element into an octet string")
	}
	if err := o.Close(); err == nil {
		t.Error("an error is not final")
	}
}

func TestHeader(t *testing.T) {
	for _, tag := range []ber.Tag{ber.Sequence, ber.Context(0), ber.Context(30), ber.Context(31), ber.Context(127), ber.Context(128), ber.Context(1 << 20), ber.Context(1<<28 - 1)} {
		for _, length := range []int{0, 127, 128, 255, 256, 1 << 16, 1<<31 - 1} {
			b := ber.AppendHeader(nil, tag, true, length)
			h, err := ber.NewBytesReader(b).Peek()
			if err != nil || h.Tag != tag || h.Length != int64(length) || !h.Constructed {
				t.Errorf("%v %d: %x reads as %+v, %v", tag, length, b, h, err)
			}
		}
	}
}
