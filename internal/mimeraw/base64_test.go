package mimeraw_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postseal/postseal/internal/mimeraw"
)

// E13; J01 for what is cut off.
func TestBase64Decoder(t *testing.T) {
	const cut = "cut"
	for _, tt := range []struct{ in, want, code string }{
		{"", "", ""},
		{"QUI=", "AB", ""},
		{"QQ==", "A", ""},
		{"QUJD", "ABC", ""},
		{"QUJD\r\nREVG\r\n", "ABCDEF", ""},
		{"QUJD\nREVG", "ABCDEF", ""},
		{" Q U\tJ\rD\n\n", "ABC", ""},
		{"QUI\r\n=\r\n", "AB", ""},
		{"Q\r\nQ=\r\n=\r\n \t", "A", ""},
		{"////+++/", "\xff\xff\xff\xfb\xef\xbf", ""},
		{"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", ""},

		{"QUI=QUI=", "AB", mimeraw.CodeBase64},
		{"QUI==", "AB", mimeraw.CodeBase64},
		{"QUI=\r\nQ", "AB", mimeraw.CodeBase64},
		{"QUJ=", "", mimeraw.CodeBase64},
		{"QR==", "", mimeraw.CodeBase64},
		{"QUJDQR==", "ABC", mimeraw.CodeBase64},
		{"=", "", mimeraw.CodeBase64},
		{"Q===", "", mimeraw.CodeBase64},
		{"QQ=Q", "", mimeraw.CodeBase64},
		{"QUJD=", "ABC", mimeraw.CodeBase64},
		{"QU-D", "", mimeraw.CodeBase64},
		{"QU_D", "", mimeraw.CodeBase64},
		{"QUJD!REVG", "ABC", mimeraw.CodeBase64},
		{"QUJD\x00REVG", "ABC", mimeraw.CodeBase64},
		{"QUJD\x0bREVG", "ABC", mimeraw.CodeBase64},
		{"QUJD\xa0", "ABC", mimeraw.CodeBase64},
		{"QUJD\r\n--x", "ABC", mimeraw.CodeBase64},

		{"Q", "", cut},
		{"QU", "", cut},
		{"QUJ", "", cut},
		{"QQ=", "", cut},
		{"QUJDRE\r\n", "ABC", cut},
	} {
		for how, r := range map[string]io.Reader{
			"at once":         strings.NewReader(tt.in),
			"octet by octet":  iotest.OneByteReader(strings.NewReader(tt.in)),
			"with a last EOF": iotest.DataErrReader(strings.NewReader(tt.in)),
		} {
			got, err := io.ReadAll(mimeraw.Base64Decoder(r))
			want := tt.code
			if want == cut {
				want = mimeraw.CodeBase64
			}
			if string(got) != tt.want || code(err) != want {
				t.Errorf("%q %s: %q, %v, want %q, %q", tt.in, how, got, err, tt.want, want)
			}
			if errors.Is(err, io.ErrUnexpectedEOF) != (tt.code == cut) {
				t.Errorf("%q %s: error %v", tt.in, how, err)
			}
		}
	}
}

func TestBase64DecoderSaysWhere(t *testing.T) {
	in := strings.Repeat("QUJD\r\n", 20000) + "QU.D"
	_, err := io.ReadAll(mimeraw.Base64Decoder(strings.NewReader(in)))
	e, ok := errors.AsType[*mimeraw.SyntaxError](err)
	if !ok || e.Offset != 120002 {
		t.Errorf("error %v, want one at octet 120002", err)
	}
}

func TestBase64RoundTrip(t *testing.T) {
	octets := make([]byte, 200000)
	for i := range octets {
		octets[i] = byte(i * i >> 7)
	}
	for _, size := range []int{0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 23939, 23940, 23941, 200000} {
		for _, step := range []int{1, 7, 57, 1000, 200000} {
			if step == 1 && size > 1000 {
				continue
			}
			var out bytes.Buffer
			w := mimeraw.Base64Encoder(&out)
			for p := octets[:size]; len(p) > 0; {
				n, err := w.Write(p[:min(step, len(p))])
				if err != nil {
					t.Fatal(err)
				}
				p = p[n:]
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if got, want := out.String(), wrapped(octets[:size]); got != want {
				t.Fatalf("%d octets in steps of %d: %q, want %q", size, step, got, want)
			}
			var back bytes.Buffer
			if _, err := io.Copy(&back, mimeraw.Base64Decoder(&out)); err != nil || !bytes.Equal(back.Bytes(), octets[:size]) {
				t.Fatalf("%d octets do not come back: %v", size, err)
			}
		}
	}
}

// wrapped is what the encoder must write, made with the standard library.
func wrapped(octets []byte) string {
	text := base64.StdEncoding.EncodeToString(octets)
	var b strings.Builder
	for text != "" {
		n := min(76, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return b.String()
}

func TestBase64EncoderErrors(t *testing.T) {
	w := mimeraw.Base64Encoder(fullDisk{})
	if _, err := w.Write(make([]byte, 100)); !errors.Is(err, errFull) {
		t.Errorf("Write gave %v", err)
	}
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close gave %v", err)
	}
	w = mimeraw.Base64Encoder(io.Discard)
	w.Close()
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("Write after Close gave no error")
	}
}
