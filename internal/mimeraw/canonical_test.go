package mimeraw_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postseal/postseal/internal/mimeraw"
)

// canonicalTwins are what is signed for what was sent.
var canonicalTwins = []struct{ name, in, want string }{
	{"CRLF", "a\r\nb\r\n", "a\r\nb\r\n"},
	{"LF", "a\nb\n", "a\r\nb\r\n"},
	{"LF, then CRLF", "a\nb\r\n", "a\r\nb\r\n"},
	{"CRLF, then LF", "a\r\nb\n", "a\r\nb\r\n"},
	{"lone CR", "a\rb\r\n", "a\rb\r\n"},
	{"CR CR LF", "a\r\r\n", "a\r\r\n"},
	{"LF CR", "a\n\rb", "a\r\n\rb"},
	{"CR at the end", "a\r", "a\r"},
	{"no line end", "a\r\nb", "a\r\nb"},
	{"white space at the end of a line", "a \t\nb \n", "a \t\r\nb \r\n"},
	{"dots", ".\n..\n.a\n", ".\r\n..\r\n.a\r\n"},
	{"only line ends", "\n\n\r\n\n", "\r\n\r\n\r\n\r\n"},
	{"nothing", "", ""},
	{"NUL and 8 bits", "\x00\xff\n", "\x00\xff\r\n"},
}

// E11.
func TestCanonicaliser(t *testing.T) {
	for _, tt := range canonicalTwins {
		for size := 1; size <= len(tt.in)+1; size++ {
			var out bytes.Buffer
			c := mimeraw.NewCanonicaliser(&out)
			for in := []byte(tt.in); len(in) > 0; {
				n := min(size, len(in))
				if m, err := c.Write(in[:n]); m != n || err != nil {
					t.Fatalf("%s: Write gave %d, %v", tt.name, m, err)
				}
				in = in[n:]
			}
			if out.String() != tt.want {
				t.Errorf("%s, %d octets at a time: %q, want %q", tt.name, size, out.String(), tt.want)
			}
			if c.Changed() != (tt.in != tt.want) {
				t.Errorf("%s, %d octets at a time: changed is %v", tt.name, size, c.Changed())
			}
		}
	}
}

func TestCanonicaliserLongText(t *testing.T) {
	for _, line := range []int{0, 1, 76, 32<<10 - 3, 32<<10 - 2, 32<<10 - 1, 32 << 10, 100 << 10} {
		in := strings.Repeat(strings.Repeat("a", line)+"\n", 200<<10/(line+1)+1)
		var out bytes.Buffer
		c := mimeraw.NewCanonicaliser(&out)
		if _, err := io.Copy(c, iotest.HalfReader(strings.NewReader(in))); err != nil {
			t.Fatal(err)
		}
		if want := strings.ReplaceAll(in, "\n", "\r\n"); out.String() != want {
			t.Errorf("lines of %d octets: not the same as ReplaceAll", line)
		}
	}
}

func TestCanonicaliserError(t *testing.T) {
	for _, in := range []string{"a\r\n", "a\n", strings.Repeat("a\n", 100000)} {
		_, err := mimeraw.NewCanonicaliser(fullDisk{}).Write([]byte(in))
		if !errors.Is(err, errFull) {
			t.Errorf("%d octets: error %v", len(in), err)
		}
	}
}

var errFull = errors.New("disk full")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }
