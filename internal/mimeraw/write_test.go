package mimeraw_test

import (
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/mimeraw"
)

func TestAppendField(t *testing.T) {
	words := strings.TrimSpace(strings.Repeat("word ", 40))
	for _, tt := range []struct{ name, value, want string }{
		{"Subject", "x", "Subject: x\r\n"},
		{"Subject", "", "Subject: \r\n"},
		{"Subject", "a  b\tc", "Subject: a  b\tc\r\n"},
		{"X-A", "Gr\u00fc\u00dfe", "X-A: Gr\u00fc\u00dfe\r\n"},
		{"X", words, "X: " + words[:74] + "\r\n" + words[74:74+75] + "\r\n" + words[74+75:] + "\r\n"},
		{"X", strings.Repeat("x", 995), "X: " + strings.Repeat("x", 995) + "\r\n"},
		{"X", "a " + strings.Repeat("x", 997), "X: a\r\n " + strings.Repeat("x", 997) + "\r\n"},
	} {
		got, err := mimeraw.AppendField([]byte("before"), tt.name, tt.value)
		if err != nil || string(got) != "before"+tt.want {
			t.Errorf("%s %q: %q, %v, want %q", tt.name, tt.value, got, err, tt.want)
		}
		e, err := mimeraw.ReadEntity(strings.NewReader(string(got[len("before"):]) + "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if v, n := e.Header.Get(tt.name); v != tt.value || n != 1 || len(e.Header.Fields) != 1 || len(e.Header.Defects) > 0 {
			t.Errorf("%s %q: reads as %q, %d times, %v", tt.name, tt.value, v, n, e.Header.Defects)
		}
	}
}

// I01.
func TestAppendFieldRefuses(t *testing.T) {
	for _, tt := range []struct{ name, value string }{
		{"", "x"}, {"A:", "x"}, {"A B", "x"}, {"A\r\nB", "x"}, {"A\x00", "x"}, {"\u00e4", "x"}, {"A\"", "x"}, {" A", "x"}, {"A ", "x"},
		{"A", "x\r\nB: y"}, {"A", "x\nB: y"}, {"A", "x\rB: y"}, {"A", "x\x00"}, {"A", "x\r\n y"}, {"A", "x\x1b"}, {"A", "x\x7f"},
		{"A", "\xff"}, {"A", " x"}, {"A", "x "}, {"A", "\t"}, {"A", strings.Repeat("x", 996)}, {"A", "a " + strings.Repeat("x", 998)},
	} {
		got, err := mimeraw.AppendField([]byte("before"), tt.name, tt.value)
		if code(err) != mimeraw.CodeInjection || string(got) != "before" {
			t.Errorf("%q %q: %q, %v", tt.name, tt.value, got, err)
		}
	}
}

func TestFormatMediaType(t *testing.T) {
	for _, tt := range []struct {
		mediaType string
		params    map[string]string
		want      string
	}{
		{"text/plain", nil, "text/plain"},
		{"attachment", map[string]string{"filename": "smime.p7m"}, "attachment; filename=smime.p7m"},
		{"application/pkcs7-mime", map[string]string{"smime-type": "signed-data", "name": "a b.p7m"}, `application/pkcs7-mime; name="a b.p7m"; smime-type=signed-data`},
		{"a/b", map[string]string{"x": `"\`}, `a/b; x="\"\\"`},
		{"a/b", map[string]string{"x": ""}, `a/b; x=""`},
		{"a/b", map[string]string{"x": "\u20ac 1*%'"}, "a/b; x*=utf-8''%E2%82%AC%201%2A%25%27"},
		{"multipart/mixed", map[string]string{"boundary": "=_1"}, `multipart/mixed; boundary="=_1"`},
	} {
		got, err := mimeraw.FormatMediaType(tt.mediaType, tt.params)
		if err != nil || got != tt.want {
			t.Errorf("%q, %v, want %q", got, err, tt.want)
		}
		m, err := mimeraw.ParseDisposition(strings.TrimPrefix(got, "a/"))
		if strings.Contains(got, "/") {
			m, err = mimeraw.ParseMediaType(got)
		}
		if err != nil || m.Type != tt.mediaType || parameters(m.Params) != parameters(tt.params) {
			t.Errorf("%q reads as %+v, %v", got, m, err)
		}
	}
	for _, tt := range []struct {
		mediaType string
		params    map[string]string
	}{
		{"", nil}, {"a/", nil}, {"a/b;c", nil}, {"a/b\r\nX: y", nil},
		{"a/b", map[string]string{"x": "y\r\nX: z"}}, {"a/b", map[string]string{"x": "\x00"}}, {"a/b", map[string]string{"x": "\xff"}},
		{"a/b", map[string]string{"": "y"}}, {"a/b", map[string]string{"x*": "y"}}, {"a/b", map[string]string{"x y": "z"}},
	} {
		if got, err := mimeraw.FormatMediaType(tt.mediaType, tt.params); code(err) != mimeraw.CodeInjection {
			t.Errorf("%q %v: %q, %v", tt.mediaType, tt.params, got, err)
		}
	}
}

// I03.
func TestNewBoundary(t *testing.T) {
	a, b := mimeraw.NewBoundary(), mimeraw.NewBoundary()
	if a == b || len(a) != 34 {
		t.Errorf("boundaries %q and %q", a, b)
	}
	value, err := mimeraw.FormatMediaType("multipart/mixed", map[string]string{"boundary": a})
	if err != nil {
		t.Fatal(err)
	}
	m, err := mimeraw.ParseMediaType(value)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Boundary(); got != a || err != nil || m.Defects != nil {
		t.Errorf("%q reads as %q, %v, %v", value, got, err, m.Defects)
	}
}
