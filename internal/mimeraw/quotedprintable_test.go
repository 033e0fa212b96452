package mimeraw_test

import (
	"bytes"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mimeraw"
)

// E13.
func TestQuotedPrintableDecoder(t *testing.T) {
	for _, tt := range []struct {
		in, want, code string
		lax            bool
	}{
		{in: "", want: ""},
		{in: "abc", want: "abc"},
		{in: "a=3Db\r\n", want: "a=b\r\n"},
		{in: "=E4=00=0D", want: "\xe4\x00\r"},
		{in: "a=\r\nb", want: "ab"},
		{in: "a=\nb", want: "ab"},
		{in: "a= \t\r\nb", want: "ab"},
		{in: "a \t\r\nb", want: "a\r\nb"},
		{in: "a \nb ", want: "a\nb"},
		{in: "a =\r\nb", want: "a b"},
		{in: "a=20\r\n", want: "a \r\n"},
		{in: "\r\n\r\n", want: "\r\n\r\n"},
		{in: strings.Repeat("a", 200) + "\r\n", want: strings.Repeat("a", 200) + "\r\n"},

		{in: "=e4", want: "\xe4", lax: true},
		{in: "\xe4", want: "\xe4", lax: true},
		{in: "a\x00b", want: "a\x00b", lax: true},
		{in: "a\rb", want: "a\rb", lax: true},
		{in: "a\r", want: "a\r", lax: true},
		{in: "a \rb", want: "a \rb", lax: true},
		{in: "a=", want: "a", lax: true},
		{in: "a= ", want: "a", lax: true},
		{in: "a=\r", want: "a", lax: true},

		{in: "a=zz", want: "a", code: mimeraw.CodeQuotedPrintable},
		{in: "a=4z", want: "a", code: mimeraw.CodeQuotedPrintable},
		{in: "a==", want: "a", code: mimeraw.CodeQuotedPrintable},
		{in: "a= b", want: "a", code: mimeraw.CodeQuotedPrintable},
		{in: "a= 41", want: "a", code: mimeraw.CodeQuotedPrintable},
		{in: "a=\rb", want: "a", code: mimeraw.CodeQuotedPrintable},
		{in: "a=4", want: "a", code: mimeraw.CodeQuotedPrintable},
	} {
		for how, r := range map[string]io.Reader{
			"at once":         strings.NewReader(tt.in),
			"octet by octet":  iotest.OneByteReader(strings.NewReader(tt.in)),
			"with a last EOF": iotest.DataErrReader(strings.NewReader(tt.in)),
		} {
			q := mimeraw.QuotedPrintableDecoder(r)
			got, err := io.ReadAll(q)
			if string(got) != tt.want || code(err) != tt.code || err == nil && q.Lax() != tt.lax {
				t.Errorf("%q %s: %q, %v, lax %v, want %q, %q, %v", tt.in, how, got, err, q.Lax(), tt.want, tt.code, tt.lax)
			}
		}
	}
	_, err := io.ReadAll(mimeraw.QuotedPrintableDecoder(strings.NewReader("a=4")))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut escape gave %v", err)
	}
}

func TestQuotedPrintableWhiteSpaceLimit(t *testing.T) {
	_, err := io.Copy(io.Discard, mimeraw.QuotedPrintableDecoder(strings.NewReader(strings.Repeat(" ", 1<<20)+"x")))
	if _, ok := errors.AsType[*limits.Exceeded](err); !ok {
		t.Errorf("error %v, want a *limits.Exceeded", err)
	}
}

func TestQuotedPrintableEncoder(t *testing.T) {
	a := strings.Repeat("a", 100)
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"abc\r\n", "abc\r\n"},
		{"a\nb\r\n", "a\r\nb\r\n"},
		{"a=b\xe4", "a=3Db=E4"},
		{"a b\tc", "a b\tc"},
		{"a \r\nb\t\n", "a=20\r\nb=09\r\n"},
		{"a  \n", "a =20\r\n"},
		{"a ", "a=20"},
		{"a\rb", "a=0Db"},
		{"a\r", "a=0D"},
		{"a \r", "a=20=0D"},
		{"a\r\r\n", "a=0D\r\n"},
		{".\r\n..\r\n a.\r\n", "=2E\r\n=2E.\r\n a.\r\n"},
		{"From a\nFrom: b\nFromc\n From d\n", "From=20a\r\nFrom: b\r\nFromc\r\n From d\r\n"},
		{"From \n", "From=20\r\n"},
		{"\x00\x7f", "=00=7F"},
		{a + "\r\n", a[:75] + "=\r\n" + a[75:] + "\r\n"},
		{a[:75] + ".x", a[:75] + "=\r\n=2Ex"},
		{a[:75] + "From x", a[:75] + "=\r\nFrom=20x"},
		{a[:74] + "\xe4", a[:74] + "=\r\n=E4"},
	} {
		for _, step := range []int{1, 3, len(tt.in) + 1} {
			var out bytes.Buffer
			w := mimeraw.QuotedPrintableEncoder(&out)
			for p := []byte(tt.in); len(p) > 0; {
				n, err := w.Write(p[:min(step, len(p))])
				if err != nil {
					t.Fatal(err)
				}
				p = p[n:]
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.want {
				t.Errorf("%q: %q, want %q", tt.in, out.String(), tt.want)
			}
		}
	}
}

// What a relay may do to a line finds nothing to do (E12, I04).
func TestQuotedPrintableRoundTrip(t *testing.T) {
	var text strings.Builder
	for i := range 30000 {
		text.WriteByte(byte(i * i >> 5))
		if i%97 == 0 {
			text.WriteString(" \r\nFrom .\r\n.")
		}
	}
	in := text.String()
	var out bytes.Buffer
	w := mimeraw.QuotedPrintableEncoder(&out)
	if _, err := io.Copy(w, strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		bare := strings.TrimSuffix(line, "\r\n")
		if len(bare) > 76 || strings.HasPrefix(line, ".") || strings.HasPrefix(line, "From ") || bare != strings.TrimRight(bare, " \t\r") {
			t.Errorf("line %q is not safe", line)
		}
	}
	var canonical bytes.Buffer
	if _, err := mimeraw.NewCanonicaliser(&canonical).Write([]byte(in)); err != nil {
		t.Fatal(err)
	}
	q := mimeraw.QuotedPrintableDecoder(bytes.NewReader(out.Bytes()))
	back, err := io.ReadAll(q)
	if err != nil || q.Lax() || !bytes.Equal(back, canonical.Bytes()) {
		t.Errorf("the text does not come back: %v, lax %v", err, q.Lax())
	}
	back, err = io.ReadAll(quotedprintable.NewReader(&out))
	if err != nil || !bytes.Equal(back, canonical.Bytes()) {
		t.Errorf("the standard library reads something else: %v", err)
	}
}
