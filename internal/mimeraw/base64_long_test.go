package mimeraw_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postseal/postseal/internal/mimeraw"
	"github.com/postseal/postseal/internal/offload"
)

// longText returns octets whose base64 takes the way over other cores, and that base64.
func longText(t *testing.T) (plain []byte, encoded string) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(3, 4))
	plain = make([]byte, 3*offload.Threshold+101)
	for i := range plain {
		plain[i] = byte(rnd.Uint32())
	}
	var b strings.Builder
	for flat := base64.StdEncoding.EncodeToString(plain); flat != ""; {
		n := min(76, len(flat))
		b.WriteString(flat[:n] + "\r\n")
		flat = flat[n:]
	}
	return plain, b.String()
}

func TestBase64Long(t *testing.T) {
	plain, encoded := longText(t)
	for _, size := range []int{1000, 57 * 1000, 100_000, len(plain)} {
		var out bytes.Buffer
		w := mimeraw.Base64Encoder(&out)
		for i := 0; i < len(plain); i += size {
			if _, err := w.Write(plain[i:min(i+size, len(plain))]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil || out.String() != encoded {
			t.Errorf("encoded in writes of %d: other text, %v", size, err)
		}
	}
	for name, text := range map[string]string{
		"lines":     encoded,
		"LF":        strings.ReplaceAll(encoded, "\r\n", "\n"),
		"one line":  strings.ReplaceAll(encoded, "\r\n", ""),
		"odd lines": strings.ReplaceAll(encoded, "A", "A \t\r\n"),
	} {
		for how, r := range map[string]io.Reader{
			"at once":  strings.NewReader(text),
			"in bits":  iotest.HalfReader(strings.NewReader(text)),
			"data+EOF": iotest.DataErrReader(strings.NewReader(text)),
		} {
			got, err := io.ReadAll(mimeraw.Base64Decoder(r))
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%s, %s: %d octets of %d or others, %v", name, how, len(got), len(plain), err)
			}
		}
	}
}

// Far into a text an error is the same, at the same place and after the same octets, as
// near its beginning.
func TestBase64LongErrors(t *testing.T) {
	_, encoded := longText(t)
	for _, end := range []string{"A!AA", "QQ==QQ==", "QR==", "QQ", "=AAA"} {
		_, err := io.ReadAll(mimeraw.Base64Decoder(strings.NewReader(end)))
		var near, far *mimeraw.SyntaxError
		if !errors.As(err, &near) {
			t.Fatalf("%q: %v", end, err)
		}
		for _, lines := range []int{offload.Threshold / 78, 4*offload.Threshold/78 - 100} {
			before := encoded[:lines*78]
			got, err := io.ReadAll(mimeraw.Base64Decoder(strings.NewReader(before + end)))
			if !errors.As(err, &far) || far.What != near.What || far.Offset-int64(len(before)) != near.Offset || len(got) < lines*57 {
				t.Errorf("%q after %d lines: %d octets, %v, want %v", end, lines, len(got), err, near)
			}
		}
	}
	broken := errors.New("broken")
	got, err := io.ReadAll(mimeraw.Base64Decoder(io.MultiReader(strings.NewReader(encoded[:78*8000]), iotest.ErrReader(broken))))
	if err != broken || len(got) != 57*8000 {
		t.Errorf("%d octets before %v", len(got), err)
	}
	w := mimeraw.Base64Encoder(&smallDisk{600_000})
	_, err = w.Write(bytes.Repeat([]byte("x"), 300_000))
	for n := 0; err == nil && n < 100; n++ {
		_, err = w.Write(bytes.Repeat([]byte("x"), 30_000))
	}
	if err == nil || w.Close() == nil {
		t.Error("an error of the destination was lost")
	}
}
