package mimeraw_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mimeraw"
)

// sevenBit writes the entity in through WriteSevenBit.
func sevenBit(in string) (string, error) {
	header, body, ok := strings.Cut(in, "\r\n\r\n")
	if !ok {
		header, body, _ = strings.Cut(in, "\n\n")
	}
	var out bytes.Buffer
	err := mimeraw.WriteSevenBit(&out, header, iotest.HalfReader(strings.NewReader(body)))
	return out.String(), err
}

func TestWriteSevenBitKeeps(t *testing.T) {
	for name, in := range map[string]string{
		"text":                "Content-Type: text/plain\r\n\r\nhello \r\nFrom me\r\n.\r\n",
		"no type":             "\r\n\r\nhello",
		"no body":             "Content-Type: text/plain\r\n\r\n",
		"longest line":        "A: b\r\n\r\n" + strings.Repeat("x", 998) + "\r\n",
		"base64":              "Content-Transfer-Encoding: base64\r\n\r\nQUJD\r\n",
		"quoted-printable":    "Content-Transfer-Encoding: Quoted-Printable\r\n\r\n=e4=\r\nx\r\n",
		"unknown encoding":    "Content-Transfer-Encoding: x-mine\r\n\r\nabc\r\n",
		"multipart":           "Content-Type: multipart/mixed; boundary=x\r\n\r\npre\r\n--x \t\r\n\r\none\r\n\r\n--x\r\nA: b\r\n\r\ntwo\r\n--x--\r\nepi\r\n",
		"nested multipart":    "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: multipart/related; boundary=y\r\n\r\n--y\r\n\r\n1\r\n--y--\r\nz\r\n--x\r\n\r\n2\r\n--x--",
		"no close delimiter":  "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\n\r\ntwo",
		"no delimiter":        "Content-Type: multipart/mixed; boundary=x\r\n\r\nhello",
		"no boundary":         "Content-Type: multipart/mixed\r\n\r\nhello",
		"message":             "Content-Type: message/rfc822\r\n\r\nFrom: a\r\nContent-Type: text/plain\r\n\r\nhello\r\n",
		"message in a part":   "Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nFrom: a\r\n\r\nhello\r\n--x--",
		"message of one line": "Content-Type: message/rfc822\r\n\r\nhello",
		"multipart/signed":    "Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\n\r\ntwo\r\n--x--\r\n",
		"long text":           "A: b\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 100000),
	} {
		out, err := sevenBit(in)
		if want := strings.TrimPrefix(in, "\r\n"); name != "no type" && want != out || err != nil {
			t.Errorf("%s: %.200q, %v, want %.200q", name, out, err, want)
		}
	}
	out, err := sevenBit("A: b\n\nLF\nonly\n")
	if want := "A: b\r\n\r\nLF\r\nonly\r\n"; out != want || err != nil {
		t.Errorf("LF: %q, %v", out, err)
	}
	var b bytes.Buffer
	if err := mimeraw.WriteSevenBit(&b, "", strings.NewReader("hello")); err != nil || b.String() != "\r\nhello" {
		t.Errorf("no header: %q, %v", b.String(), err)
	}
}

// E12, I04.
func TestWriteSevenBitReencodes(t *testing.T) {
	const qp, b64 = "Content-Transfer-Encoding: quoted-printable\r\n\r\n", "Content-Transfer-Encoding: base64\r\n\r\n"
	long := strings.Repeat("x", 999)
	for name, tt := range map[string]struct{ in, want string }{
		"8bit text": {
			"Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\nX: y\r\n\r\nGr\xc3\xbc\xc3\x9fe \r\nFrom me\r\n.\r\n",
			"Content-Type: text/plain\r\nX: y\r\n" + qp + "Gr=C3=BC=C3=9Fe=20\r\nFrom=20me\r\n=2E\r\n"},
		"8bit text with LF":      {"Content-Transfer-Encoding: 8bit\n\n\xe4\nb\n", qp + "=E4\r\nb\r\n"},
		"undeclared 8bit":        {"A: b\r\n\r\n\xe4", "A: b\r\n" + qp + "=E4"},
		"8bit that is 7bit":      {"Content-Transfer-Encoding: 8bit\r\nA: b\r\n\r\nx y.z\r\n", "A: b\r\nContent-Transfer-Encoding: 7bit\r\n\r\nx y.z\r\n"},
		"8bit with white space":  {"Content-Transfer-Encoding: 8bit\r\n\r\nx \r\n", qp + "x=20\r\n"},
		"8bit, long, with a tab": {"Content-Transfer-Encoding: 8bit\n\nthe quick brown fox\t\nend", qp + "the quick brown fox=09\r\nend"},
		"8bit with From":         {"Content-Transfer-Encoding: binary\r\n\r\na\r\nFrom x\r\n", qp + "a\r\nFrom=20x\r\n"},
		"8bit with a dot":        {"Content-Transfer-Encoding: 8bit\r\n\r\na\r\n.", qp + "a\r\n=2E"},
		"7bit with white space":  {"Content-Transfer-Encoding: 7bit\r\n\r\nx \r\n", "Content-Transfer-Encoding: 7bit\r\n\r\nx \r\n"},
		"long line":              {"A: b\r\n\r\n" + long, "A: b\r\n" + qp + strings.Repeat(long[:75]+"=\r\n", 13) + long[13*75:]},
		"lone CR":                {"A: b\r\n\r\na\rb\r\n", "A: b\r\n" + qp + "a=0Db\r\n"},
		"CR at the end":          {"A: b\r\n\r\na\r", "A: b\r\n" + qp + "a=0D"},
		"NUL":                    {"A: b\r\n\r\na\x00\n", "A: b\r\n" + b64 + "YQAK\r\n"},
		"8bit that is not text":  {"Content-Type: application/json\r\n\r\n\xe4\n", "Content-Type: application/json\r\n" + b64 + "5Ao=\r\n"},
		"base64 in one line":     {"Content-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat("QUJD", 250), "Content-Transfer-Encoding: base64\r\n\r\n" + wrapped([]byte(strings.Repeat("ABC", 250)))},
		"quoted-printable, 8bit": {"Content-Transfer-Encoding: quoted-printable\r\n\r\n\xe4=3D", "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4=3D"},
		"binary with LF":         {"Content-Type: application/x-sh\r\nContent-Transfer-Encoding: binary\r\n\r\na\nb\n", "Content-Type: application/x-sh\r\n" + b64 + "YQpiCg==\r\n"},
		"binary with CRLF":       {"Content-Type: application/x-sh\r\nContent-Transfer-Encoding: binary\r\n\r\na\r\n", "Content-Type: application/x-sh\r\nContent-Transfer-Encoding: 7bit\r\n\r\na\r\n"},
		"binary text with LF":    {"Content-Transfer-Encoding: binary\r\n\r\na\nb\n", "Content-Transfer-Encoding: 7bit\r\n\r\na\r\nb\r\n"},
		"UTF-16, 7bit octets":    {"Content-Type: text/plain; charset=UTF-16LE\r\nContent-Transfer-Encoding: binary\r\n\r\n\nNwm\rN", "Content-Type: text/plain; charset=UTF-16LE\r\n" + b64 + "Ck53bQ1O\r\n"},
		"UTF-16, 8bit octets":    {"Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xff\xfe\nN", "Content-Type: text/plain; charset=utf-16\r\n" + b64 + "//4KTg==\r\n"},
		"parts": {
			"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe4\r\n--x\r\n\r\none\r\n--x\r\nA: b\r\n\r\n\xe4\r\n--x--\r\n\xe4",
			"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: 7bit\r\n\r\n?\r\n--x\r\n\r\none\r\n--x\r\nA: b\r\n" + qp + "=E4\r\n--x--\r\n?"},
		"part without header": {
			"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n\xe4\r\n--x--",
			"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n" + qp + "=E4\r\n--x--"},
		"message": {
			"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: a\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe4",
			"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: a\r\n" + qp + "=E4"},
	} {
		if out, err := sevenBit(tt.in); err != nil || out != tt.want {
			t.Errorf("%s: %q, %v, want %q", name, out, err, tt.want)
		}
	}
}

// Large bodies that are declared stream, in constant memory.
func TestWriteSevenBitStreams(t *testing.T) {
	text := strings.Repeat("hello\r\n", 1<<20)
	var out bytes.Buffer
	err := mimeraw.WriteSevenBit(&out, "Content-Transfer-Encoding: 8bit\r\n", strings.NewReader(text+"\xe4\r\n"))
	if want := "Content-Transfer-Encoding: quoted-printable\r\n\r\n" + text + "=E4\r\n"; err != nil || out.String() != want {
		t.Errorf("%d octets, %v, want %d", out.Len(), err, len(want))
	}
}

func TestWriteSevenBitRefuses(t *testing.T) {
	deep := strings.Repeat("Content-Type: message/rfc822\r\n\r\n", limits.MIMEDepth)
	if out, err := sevenBit(deep + "A: b\r\n\r\nx"); err != nil || out != deep+"A: b\r\n\r\nx" {
		t.Errorf("deepest message: %v", err)
	}
	if _, err := sevenBit(deep + "Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx"); code(err) != mimeraw.CodeLimit {
		t.Errorf("message that is too deep: %v", err)
	}
	for name, in := range map[string]string{
		"8bit in multipart/signed":  "Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n\r\n\xe4\r\n--x\r\n\r\ntwo\r\n--x--\r\n",
		"8bit without boundary":     "Content-Type: multipart/mixed\r\n\r\n\xe4",
		"late 8bit":                 "A: b\r\n\r\n" + strings.Repeat("hello\r\n", 1<<20) + "\xe4",
		"late 8bit in base64":       "Content-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat("hello\r\n", 1<<20) + "\xe4",
		"CR at the end of the late": "A: b\r\n\r\n" + strings.Repeat("hello\r\n", 1<<20) + "\r",
	} {
		if _, err := sevenBit(in); code(err) != mimeraw.CodeUnsafe {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := sevenBit("Content-Transfer-Encoding: base64\r\n\r\n\xe4"); code(err) != mimeraw.CodeBase64 {
		t.Errorf("base64 that is none: %v", err)
	}
	for _, in := range []string{"\n\nx", "\n\n\xe4", "Content-Type: multipart/mixed; boundary=x\n\n--x\n\n1\n--x--\n"} {
		header, body, _ := strings.Cut(in, "\n\n")
		for room := range 60 {
			err := mimeraw.WriteSevenBit(&smallDisk{room}, header, strings.NewReader(body))
			if err != nil && !errors.Is(err, errFull) {
				t.Errorf("%q: %v", in, err)
			}
			if err == nil && room < len(in) {
				t.Errorf("%q: no error with room for %d octets", in, room)
			}
		}
	}
	broken := errors.New("broken")
	if err := mimeraw.WriteSevenBit(io.Discard, "", iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a broken reader gave %v", err)
	}
}

// smallDisk takes room octets.
type smallDisk struct{ room int }

func (d *smallDisk) Write(p []byte) (int, error) {
	if d.room -= len(p); d.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}
