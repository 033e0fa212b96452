package ber_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postseal/postseal/internal/ber"
	"github.com/postseal/postseal/internal/limits"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestElement(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"primitive", "02 01 05", "02 01 05"},
		{"empty sequence", "30 00", "30 00"},
		{"definite", "30 06 02 01 05 04 01 41", "30 06 02 01 05 04 01 41"},
		{"indefinite", "30 80 02 01 05 00 00", "30 03 02 01 05"},
		{"nested indefinite", "30 80 a0 80 31 80 00 00 00 00 05 00 00 00", "30 06 a0 02 31 00 05 00"},
		{"definite around indefinite", "30 07 31 80 02 01 05 00 00", "30 05 31 03 02 01 05"},
		{"long form of a short length", "30 81 03 02 01 05", "30 03 02 01 05"},
		{"leading zeros in a length", "30 84 00 00 00 03 02 01 05", "30 03 02 01 05"},
		{"nine length octets", "04 89 00 00 00 00 00 00 00 00 01 41", "04 01 41"},
		{"constructed octet string", "24 80 04 02 41 42 04 00 04 01 43 00 00", "04 03 41 42 43"},
		{"constructed, nested", "24 0b 24 80 04 01 41 00 00 04 02 42 43", "04 03 41 42 43"},
		{"constructed string in a structure", "30 80 24 05 04 03 41 42 43 05 00 00 00", "30 07 04 03 41 42 43 05 00"},
		{"character string of octet strings", "3a 09 04 03 4a 6f 6e 04 02 65 73", "1a 05 4a 6f 6e 65 73"},
		{"character string of its own kind", "2c 80 0c 01 41 0c 01 42 00 00", "0c 02 41 42"},
		{"bit string", "23 80 03 03 00 0a 3b 03 05 04 5f 29 1c d0 00 00", "03 07 04 0a 3b 5f 29 1c d0"},
		{"bit string without segments", "23 80 00 00", "03 01 00"},
		{"high tag", "bf 8f 7f 03 02 01 05", "bf 8f 7f 03 02 01 05"},
		{"context string stays", "a0 80 04 01 41 00 00", "a0 03 04 01 41"},
		{"set order stays", "31 80 02 01 09 02 01 01 00 00", "31 06 02 01 09 02 01 01"},
	} {
		got, err := ber.ToDER(unhex(t, c.in), 1000)
		if err != nil || !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%s: %x, %v; want %s", c.name, got, err, c.want)
		}
		// The same one octet at a time, followed by another element.
		r := ber.NewReader(iotest.OneByteReader(bytes.NewReader(append(unhex(t, c.in), 5, 0))))
		got, err = r.Element(1000)
		if err != nil || !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%s, one octet at a time: %x, %v", c.name, got, err)
		}
		if err := r.Skip(); err != nil {
			t.Errorf("%s: then %v", c.name, err)
		}
		if err := r.End(); err != nil {
			t.Errorf("%s: end: %v", c.name, err)
		}
		raw, err := ber.NewBytesReader(unhex(t, c.in)).Raw(1000)
		if err != nil || !bytes.Equal(raw, unhex(t, c.in)) {
			t.Errorf("%s: Raw gives %x, %v", c.name, raw, err)
		}
	}
}

// Every length grows or shrinks when the framing changes, over the borders of its size.
func TestElementLengths(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 128, 129, 255, 256, 257, 65533, 65536, 70000} {
		content := bytes.Repeat([]byte{'x'}, n)
		inner := append(ber.AppendHeader(nil, ber.OctetString, false, n), content...)
		want := append(ber.AppendHeader(nil, ber.Sequence, true, len(inner)), inner...)
		in := []byte{0x30, 0x80, 0x24, 0x80}
		for i := 0; i < n; i += 100 {
			part := content[i:min(i+100, n)]
			in = append(append(in, 0x04, 0x82, 0, byte(len(part))), part...)
		}
		in = append(in, 0, 0, 0, 0)
		if got, err := ber.ToDER(in, 1<<20); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d octets: wrong, %v", n, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	for _, c := range []struct{ name, in string }{
		{"end-of-contents at top level", "00 00"},
		{"end-of-contents in a definite element", "30 02 00 00"},
		{"end-of-contents with content", "30 80 00 01 00"},
		{"child longer than its parent", "30 03 04 02 41"},
		{"header longer than its parent", "30 01 04"},
		{"missing end-of-contents in a definite parent", "30 04 30 80 05 00"},
		{"primitive of indefinite length", "04 80 00 00"},
		{"reserved length", "04 ff"},
		{"length beyond 62 bits", "04 88 40 00 00 00 00 00 00 00"},
		{"long tag not minimal", "1f 80 1f 00"},
		{"long tag for a short number", "1f 1e 00"},
		{"tag number too large", "1f ff ff ff ff 7f 00"},
		{"other type inside a string", "24 80 02 01 05 00 00"},
		{"octet string inside a bit string", "23 80 04 01 05 00 00"},
		{"unused bits inside a bit string", "23 80 03 02 01 00 03 02 00 00 00 00"},
	} {
		_, err := ber.ToDER(unhex(t, c.in), 1000)
		if _, ok := errors.AsType[*ber.SyntaxError](err); !ok {
			t.Errorf("%s: %v", c.name, err)
		}
		_, err = ber.NewBytesReader(unhex(t, c.in)).Element(1000)
		if _, ok := errors.AsType[*ber.SyntaxError](err); !ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := ber.ToDER(unhex(t, "05 00 00 00"), 1000); !errors.Is(err, ber.ErrTrailingData) {
		t.Errorf("an end-of-contents too many: %v", err)
	}
}

func TestTruncated(t *testing.T) {
	in := unhex(t, "30 80 06 03 2a 03 04 a0 80 24 80 04 05 68 65 6c 6c 6f 24 04 04 02 41 42 00 00 00 00 bf 8f 7f 84 00 00 00 03 02 01 05 00 00")
	if _, err := ber.ToDER(in, 1000); err != nil {
		t.Fatal(err)
	}
	for n := range len(in) {
		for name, f := range map[string]func(*ber.Reader) error{
			"Element": func(r *ber.Reader) error { _, err := r.Element(1000); return err },
			"Raw":     func(r *ber.Reader) error { _, err := r.Raw(1000); return err },
			"Skip":    (*ber.Reader).Skip,
		} {
			if err := f(ber.NewReader(bytes.NewReader(in[:n]))); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s of the first %d octets: %v", name, n, err)
			}
		}
	}
}

// Attack row D01.
func TestDepth(t *testing.T) {
	nested := func(open string, n int, closed bool) []byte {
		b := bytes.Repeat(unhex(t, open), n)
		if closed {
			b = append(b, make([]byte, 2*n)...)
		}
		return b
	}
	if _, err := ber.ToDER(nested("30 80", limits.Depth, true), 1000); err != nil {
		t.Errorf("%d levels: %v", limits.Depth, err)
	}
	if _, err := ber.ToDER(nested("24 80", limits.StringNesting, true), 1000); err != nil {
		t.Errorf("%d strings: %v", limits.StringNesting, err)
	}
	for _, in := range [][]byte{
		nested("30 80", limits.Depth+1, true),
		nested("30 80", 1e6, false),
		nested("30 80", 1e6, true),
		nested("24 80", limits.StringNesting+1, true),
		nested("24 80", 1e6, false),
		nested("a0 80", 1e6, true),
	} {
		_, err := ber.ToDER(in, 1<<30)
		if _, ok := errors.AsType[*limits.Exceeded](err); !ok {
			t.Errorf("%x: %v", in[:4], err)
		}
		err = ber.NewReader(bytes.NewReader(in)).Skip()
		if _, ok := errors.AsType[*limits.Exceeded](err); !ok && in[0] != 0x24 {
			t.Errorf("Skip %x: %v", in[:4], err)
		}
	}
}

// Attack row D02.
func TestGiantLengths(t *testing.T) {
	for _, in := range []string{"04 84 7f ff ff ff", "04 88 3f ff ff ff ff ff ff ff", "30 84 7f ff ff ff", "24 84 7f ff ff ff 04 84 70 00 00 00"} {
		b := unhex(t, in)
		var err error
		allocated := measure(func() {
			r := ber.NewReader(bytes.NewReader(b))
			_, err = r.Raw(1 << 40)
		})
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", in, err)
		}
		if allocated > 72<<10 {
			t.Errorf("%s: allocated %d octets", in, allocated)
		}
		_, err = ber.NewReader(bytes.NewReader(b)).Element(1 << 20)
		if _, ok := errors.AsType[*limits.Exceeded](err); !ok && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Element of %s: %v", in, err)
		}
	}
}

func measure(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Attack row D03: ten million chunks of one octet.
func TestManyChunks(t *testing.T) {
	n := int64(1e7)
	if testing.Short() {
		n = 1e6
	}
	in := io.MultiReader(bytes.NewReader(unhex(t, "24 80")), io.LimitReader(repeat("\x04\x01A"), 3*n), bytes.NewReader([]byte{0, 0}))
	r := ber.NewReader(in)
	var got int64
	start := time.Now()
	allocated := measure(func() {
		o, err := r.Octets(ber.OctetString)
		if err != nil {
			t.Fatal(err)
		}
		if got, err = io.Copy(io.Discard, o); err != nil {
			t.Fatal(err)
		}
	})
	if got != n || r.End() != nil {
		t.Errorf("read %d octets, %v", got, r.End())
	}
	if allocated > 256<<10 {
		t.Errorf("allocated %d octets", allocated)
	}
	t.Logf("%v for each chunk", time.Since(start)/time.Duration(n))
}

// repeat is an endless reader of s.
type repeat string

func (s repeat) Read(p []byte) (int, error) {
	n := 0
	for len(p)-n >= len(s) {
		n += copy(p[n:], s)
	}
	if n == 0 {
		n = copy(p, s)
		if n < len(s) {
			panic("the chunk must fit")
		}
	}
	return n, nil
}

func TestOctets(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"primitive", "04 03 41 42 43", "ABC"},
		{"empty", "04 00", ""},
		{"no segment", "24 80 00 00", ""},
		{"segments", "24 80 04 01 41 04 00 04 02 42 43 00 00", "ABC"},
		{"definite segments", "24 07 04 01 41 04 02 42 43", "ABC"},
		{"nested", "24 80 24 80 04 01 41 00 00 24 04 04 02 42 43 00 00", "ABC"},
	} {
		in := append(unhex(t, c.in), 5, 0)
		r := ber.NewReader(bytes.NewReader(in))
		o, err := r.Octets(ber.OctetString)
		if err != nil {
			t.Fatal(c.name, err)
		}
		if err := iotest.TestReader(o, []byte(c.want)); err != nil {
			t.Error(c.name, err)
		}
		if err := r.Enter(ber.Null); err == nil {
			t.Errorf("%s: entered a NULL", c.name)
		}
		r = ber.NewReader(bytes.NewReader(in))
		o, _ = r.Octets(ber.OctetString)
		var b bytes.Buffer
		if _, err := io.Copy(&b, o); err != nil || b.String() != c.want {
			t.Errorf("%s: %q, %v", c.name, b.String(), err)
		}
		if h, err := r.Peek(); err != nil || h.Tag != ber.Null {
			t.Errorf("%s: then %v, %v", c.name, h, err)
		}
	}
	r := ber.NewReader(strings.NewReader("\x80\x02AB"))
	o, err := r.Octets(ber.Context(0))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(o); err != nil || string(b) != "AB" {
		t.Errorf("implicit tag: %q, %v", b, err)
	}
}

func TestOctetsNotRead(t *testing.T) {
	r := ber.NewReader(strings.NewReader("\x04\x02AB\x05\x00"))
	o, err := r.Octets(ber.OctetString)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := r.Skip(); err == nil {
		t.Error("skipped content that nobody read")
	}
}

func TestOctetsTruncated(t *testing.T) {
	in := unhex(t, "24 80 04 05 68 65 6c 6c 6f 24 04 04 02 41 42 00 00")
	for n := range len(in) {
		r := ber.NewReader(bytes.NewReader(in[:n]))
		o, err := r.Octets(ber.OctetString)
		if err == nil {
			_, err = io.ReadAll(o)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the first %d octets: %v", n, err)
		}
	}
}

func TestLevels(t *testing.T) {
	r := ber.NewReader(bytes.NewReader(unhex(t, "30 80 02 01 05 a0 03 02 01 06 00 00")))
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	step(r.Enter(ber.Sequence))
	if b, err := r.Element(10); err != nil || !bytes.Equal(b, []byte{2, 1, 5}) {
		t.Fatal(b, err)
	}
	if h, err := r.Peek(); err != nil || h != (ber.Header{Tag: ber.Context(0), Constructed: true, Length: 3, Offset: 5}) {
		t.Fatal(h, err)
	}
	step(r.Enter(ber.Context(0)))
	step(r.Skip())
	if _, err := r.Peek(); err != io.EOF {
		t.Fatal("inside the definite element:", err)
	}
	step(r.Leave())
	if _, err := r.Peek(); err != io.EOF {
		t.Fatal("inside the indefinite element:", err)
	}
	step(r.Leave())
	step(r.End())
	if r.Offset() != 12 {
		t.Error("offset", r.Offset())
	}

	r = ber.NewReader(bytes.NewReader(unhex(t, "30 03 02 01 05")))
	step(r.Enter(ber.Sequence))
	if err := r.Leave(); err == nil {
		t.Error("left an element that is not at its end")
	}
	if err := r.Skip(); err == nil {
		t.Error("an error is not final")
	}
}

func TestSourceError(t *testing.T) {
	boom := errors.New("boom")
	r := ber.NewReader(io.MultiReader(strings.NewReader("\x30\x05\x02"), iotest.ErrReader(boom)))
	if _, err := r.Element(100); err != boom {
		t.Errorf("%v, want the source's own error", err)
	}
}

func FuzzElement(f *testing.F) {
	for _, s := range []string{"30800201050000", "248004024142040004014300", "230703020003020500", "3084000000030201051f1e00", "bf8f7f03020105", "3080a0803180000000000500"} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		der, err := ber.ToDER(in, 1<<20)
		if err != nil {
			_, syntax := errors.AsType[*ber.SyntaxError](err)
			_, limit := errors.AsType[*limits.Exceeded](err)
			if !syntax && !limit {
				t.Fatalf("untyped error %T %v", err, err)
			}
			return
		}
		again, err := ber.ToDER(der, 1<<20)
		if err != nil || !bytes.Equal(der, again) {
			t.Fatalf("%x became %x, then %x, %v", in, der, again, err)
		}
		if raw, err := ber.NewReader(iotest.HalfReader(bytes.NewReader(in))).Raw(1 << 20); err != nil || !bytes.Equal(raw, in) {
			t.Fatalf("Raw of %x: %x, %v", in, raw, err)
		}
		r := ber.NewBytesReader(in)
		if h, _ := r.Peek(); h.Tag == ber.OctetString {
			o, err := r.Octets(h.Tag)
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(o)
			want := append(ber.AppendHeader(nil, ber.OctetString, false, len(content)), content...)
			if err != nil || !bytes.Equal(want, der) {
				t.Fatalf("content of %x: %x, %v; as an element %x", in, content, err, der)
			}
		}
	})
}

func BenchmarkOctets(b *testing.B) {
	const size = 64 << 20
	for _, c := range []struct {
		name string
		in   []byte
	}{
		{"primitive", append(ber.AppendHeader(nil, ber.OctetString, false, size), make([]byte, size)...)},
		{"chunks of 1000", append(append([]byte{0x24, 0x80}, bytes.Repeat(append([]byte{4, 0x82, 3, 0xe8}, make([]byte, 1000)...), size/1000)...), 0, 0)},
	} {
		b.Run(c.name+"/Read", func(b *testing.B) {
			b.SetBytes(int64(len(c.in)))
			buf := make([]byte, 64<<10)
			for b.Loop() {
				o, err := ber.NewReader(bytes.NewReader(c.in)).Octets(ber.OctetString)
				for err == nil {
					_, err = o.Read(buf)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/WriteTo", func(b *testing.B) {
			b.SetBytes(int64(len(c.in)))
			for b.Loop() {
				o, _ := ber.NewReader(bytes.NewReader(c.in)).Octets(ber.OctetString)
				if _, err := o.(io.WriterTo).WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
