package mimeraw_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mimeraw"
)

// headerForms has what mail programs read differently, beside plain forms that must pass.
var headerForms = []struct {
	name   string
	in     string
	fields []string // name "=" value
	body   string
	codes  []string
}{
	{"plain", "From: a@b.example\r\nSubject: x\r\n\r\nbody\r\n", []string{"From=a@b.example", "Subject=x"}, "body\r\n", nil},
	{"LF line ends", "From: a@b.example\nSubject: x\n\nbody\n", []string{"From=a@b.example", "Subject=x"}, "body\n", nil},
	{"mixed line ends", "From: a\nSubject: x\r\n\nbody", []string{"From=a", "Subject=x"}, "body", nil},
	{"no space behind the colon", "From:a\r\n\r\n", []string{"From=a"}, "", nil},
	{"white space around the value", "From: \t a \t\r\n\r\n", []string{"From=a"}, "", nil},
	{"empty value", "Bcc:\r\n\r\n", []string{"Bcc="}, "", nil},
	{"fold with a space", "Subject: a\r\n b\r\n\r\n", []string{"Subject=a b"}, "", nil},
	{"fold with a tab", "Subject: a\r\n\tb\r\n\r\n", []string{"Subject=a\tb"}, "", nil},
	{"fold right behind the colon", "Subject:\r\n a\r\n\r\n", []string{"Subject=a"}, "", nil},
	{"fold with LF", "Subject: a\n b\n\n", []string{"Subject=a b"}, "", nil},
	{"several folds", "Subject: a\r\n b\r\n  c\r\n\r\n", []string{"Subject=a b  c"}, "", nil},
	{"colon in the value", "Subject: Re: x\r\n\r\n", []string{"Subject=Re: x"}, "", nil},
	{"UTF-8", "Subject: \xc3\xa4\r\n\r\n", []string{"Subject=\u00e4"}, "", nil},
	{"names without case", "fROM: a\r\n\r\n", []string{"fROM=a"}, "", nil},
	{"empty header", "\r\nbody", nil, "body", nil},
	{"empty header with LF", "\nbody", nil, "body", nil},
	{"field that may repeat", "Received: a\r\nReceived: b\r\n\r\n", []string{"Received=a", "Received=b"}, "", nil},
	{"unusual name", "X_y+z!: a\r\n\r\n", []string{"X_y+z!=a"}, "", nil},
	{"body like a header", "A: b\r\n\r\nC: d\r\n", []string{"A=b"}, "C: d\r\n", nil},
	{"blank line of spaces in the body", "A: b\r\n\r\n \r\n", []string{"A=b"}, " \r\n", nil},

	{"two From", "From: a\r\nFrom: b\r\n\r\n", []string{"From=a", "From=b"}, "", []string{mimeraw.CodeDuplicateField}},
	{"two From of other case", "From: a\r\nX: y\r\nFROM: b\r\n\r\n", []string{"From=a", "X=y", "FROM=b"}, "", []string{mimeraw.CodeDuplicateField}},
	{"two Content-Type", "Content-Type: text/plain\r\nContent-type: text/html\r\n\r\n", []string{"Content-Type=text/plain", "Content-type=text/html"}, "", []string{mimeraw.CodeDuplicateField}},
	{"two Subject", "Subject: a\r\nSubject: a\r\n\r\n", []string{"Subject=a", "Subject=a"}, "", []string{mimeraw.CodeDuplicateField}},
	{"space before the colon", "From : a\r\n\r\n", []string{"From=a"}, "", []string{mimeraw.CodeSpaceBeforeColon}},
	{"tab before the colon", "From\t: a\r\n\r\n", []string{"From=a"}, "", []string{mimeraw.CodeSpaceBeforeColon}},
	{"hidden second From", "From: a\r\nFrom : b\r\n\r\n", []string{"From=a", "From=b"}, "", []string{mimeraw.CodeSpaceBeforeColon, mimeraw.CodeDuplicateField}},
	{"space before the name", " From: a\r\n\r\n", nil, " From: a\r\n\r\n", []string{mimeraw.CodeNoHeader}},
	{"space before a later name", "A: b\r\n From: a\r\n\r\n", []string{"A=b From: a"}, "", nil},
	{"fold of white space only", "Subject: a\r\n \r\n b\r\n\r\n", []string{"Subject=a  b"}, "", []string{mimeraw.CodeBlankFold}},
	{"header that ends in white space", "Subject: a\r\n \t\r\nFrom: b\r\n\r\n", []string{"Subject=a", "From=b"}, "", []string{mimeraw.CodeBlankFold}},
	{"NUL in a value", "From: a\x00b\r\n\r\n", []string{"From=a\x00b"}, "", []string{mimeraw.CodeNUL}},
	{"NUL in a name", "A: b\r\nFr\x00om: a\r\n\r\n", []string{"A=b", "=Fr\x00om: a"}, "", []string{mimeraw.CodeMalformedField, mimeraw.CodeNUL}},
	{"CR in a value", "Subject: a\rFrom: b\r\n\r\n", []string{"Subject=a\rFrom: b"}, "", []string{mimeraw.CodeBareCR}},
	{"CR CR LF", "Subject: a\r\r\n\r\n", []string{"Subject=a"}, "", []string{mimeraw.CodeBareCR}},
	{"blank line of CR CR LF", "Subject: a\r\n\r\r\nFrom: b\r\n\r\n", []string{"Subject=a", "=", "From=b"}, "", []string{mimeraw.CodeMalformedField, mimeraw.CodeBareCR}},
	{"only CR as line end", "From: a\rTo: b\r\rbody", []string{"From=a\rTo: b\r\rbody"}, "", []string{mimeraw.CodeBareCR, mimeraw.CodeHeaderOnly}},
	{"escape character", "Subject: \x1b[31m\r\n\r\n", []string{"Subject=\x1b[31m"}, "", []string{mimeraw.CodeControl}},
	{"delete character", "Subject: \x7f\r\n\r\n", []string{"Subject=\x7f"}, "", []string{mimeraw.CodeControl}},
	{"line without a colon", "From: a\r\nhello\r\nTo: b\r\n\r\nbody", []string{"From=a", "=hello", "To=b"}, "body", []string{mimeraw.CodeMalformedField}},
	{"empty name", "From: a\r\n: b\r\n\r\n", []string{"From=a", "=: b"}, "", []string{mimeraw.CodeMalformedField}},
	{"name with a space", "From: a\r\nMy name: b\r\n\r\n", []string{"From=a", "=My name: b"}, "", []string{mimeraw.CodeMalformedField}},
	{"name outside ASCII", "From: a\r\nFr\xc3\xb6m: b\r\n\r\n", []string{"From=a", "=Fr\xc3\xb6m: b"}, "", []string{mimeraw.CodeMalformedField}},
	{"no blank line", "From: a\r\nTo: b\r\n", []string{"From=a", "To=b"}, "", []string{mimeraw.CodeHeaderOnly}},
	{"no line end", "From: a", []string{"From=a"}, "", []string{mimeraw.CodeHeaderOnly}},
	{"text without header", "Dear Bob, pay: 100\r\n\r\nAlice\r\n", nil, "Dear Bob, pay: 100\r\n\r\nAlice\r\n", []string{mimeraw.CodeNoHeader}},
	{"text without colon", "Hello\r\n\r\nworld", nil, "Hello\r\n\r\nworld", []string{mimeraw.CodeNoHeader}},
	{"text like a field", "Note: sell\r\nall of it\r\n", []string{"Note=sell", "=all of it"}, "", []string{mimeraw.CodeMalformedField, mimeraw.CodeHeaderOnly}},
	{"nothing", "", nil, "", []string{mimeraw.CodeNoHeader}},
	{"mbox line", "From a@b.example Mon Jun  1 12:00:00 2026\nFrom: a\n\nbody", []string{"From=a"}, "body", []string{mimeraw.CodeMboxLine}},
	{"mbox line with a zone", "From - Mon Jun 01 12:00:00 2026 +0200\r\nFrom: a\r\n\r\nbody", []string{"From=a"}, "body", []string{mimeraw.CodeMboxLine}},
	{"HTTP request", "POST / HTTP/1.1\r\nFrom: a\r\n\r\nbody", []string{"From=a"}, "body", []string{mimeraw.CodeHTTPLine}},
	{"HTTP response", "HTTP/1.1 200 OK\r\nFrom: a\r\n\r\nbody", []string{"From=a"}, "body", []string{mimeraw.CodeHTTPLine}},
	{"text that begins with POST", "POST early\r\n\r\nAlice\r\n", nil, "POST early\r\n\r\nAlice\r\n", []string{mimeraw.CodeNoHeader}},
	{"text that begins with From", "From now on, at 12:00, we sell.\r\n\r\nAlice\r\n", nil, "From now on, at 12:00, we sell.\r\n\r\nAlice\r\n", []string{mimeraw.CodeNoHeader}},
	{"mbox line over text", "From a@b Mon Jun  1 12:00:00 2026\nhello\n", nil, "From a@b Mon Jun  1 12:00:00 2026\nhello\n", []string{mimeraw.CodeNoHeader}},
}

// Headers that mail programs read differently (E07), and text without any (E16).
func TestReadEntity(t *testing.T) {
	for _, tt := range headerForms {
		t.Run(tt.name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"at once":         strings.NewReader(tt.in),
				"octet by octet":  iotest.OneByteReader(strings.NewReader(tt.in)),
				"with a last EOF": iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				e, err := mimeraw.ReadEntity(r)
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				var fields []string
				for _, f := range e.Header.Fields {
					fields = append(fields, f.Name+"="+f.Value())
				}
				if !slices.Equal(fields, tt.fields) {
					t.Errorf("%s: fields %q, want %q", how, fields, tt.fields)
				}
				body, err := io.ReadAll(e.Body)
				if err != nil || string(body) != tt.body {
					t.Errorf("%s: body %q, %v, want %q", how, body, err, tt.body)
				}
				if got := e.Header.Codes(); !slices.Equal(got, tt.codes) {
					t.Errorf("%s: codes %q, want %q", how, got, tt.codes)
				}
				if got := string(e.Header.Raw) + string(body); got != tt.in {
					t.Errorf("%s: header and body are %q, want %q", how, got, tt.in)
				}
			}
		})
	}
}

func TestHeaderGet(t *testing.T) {
	e, err := mimeraw.ReadEntity(strings.NewReader("To: a\r\nX-A: 1\r\nx-a: 2\r\n 3\r\nX-B: 4\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if v, n := e.Header.Get("X-a"); v != "1" || n != 2 {
		t.Errorf("Get gave %q and %d", v, n)
	}
	if v, n := e.Header.Get("X-C"); v != "" || n != 0 {
		t.Errorf("Get of an absent field gave %q and %d", v, n)
	}
	if got := e.Header.Values("X-A"); !slices.Equal(got, []string{"1", "2 3"}) {
		t.Errorf("Values gave %q", got)
	}
	if got := string(e.Header.Fields[2].Raw); got != "x-a: 2\r\n 3\r\n" {
		t.Errorf("Raw is %q", got)
	}
}

func TestDefectSaysWhere(t *testing.T) {
	e, err := mimeraw.ReadEntity(strings.NewReader("To: a\r\n b\r\nFrom : c\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := mimeraw.Defect{Code: mimeraw.CodeSpaceBeforeColon, Field: "From", Line: 3}
	if !slices.Equal(e.Header.Defects, []mimeraw.Defect{want}) {
		t.Errorf("defects are %v, want %v", e.Header.Defects, want)
	}
}

// E14.
func TestHeaderLimits(t *testing.T) {
	fields := func(n int) string { return strings.Repeat("A: b\r\n", n) + "\r\nbody" }
	size := func(n int) string { return "A: " + strings.Repeat("x", n-len("A: \r\n\r\n")) + "\r\n\r\nbody" }
	for _, tt := range []struct {
		name, in string
		ok       bool
	}{
		{"most fields", fields(limits.HeaderFields), true},
		{"a field more", fields(limits.HeaderFields + 1), false},
		{"most octets", size(limits.HeaderSize), true},
		{"an octet more", size(limits.HeaderSize + 1), false},
	} {
		e, err := mimeraw.ReadEntity(strings.NewReader(tt.in))
		if tt.ok {
			if err != nil || len(e.Header.Codes()) > 0 {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if _, ok := errors.AsType[*limits.Exceeded](err); !ok {
			t.Errorf("%s: error %v, want a *limits.Exceeded", tt.name, err)
		}
	}
}

func TestReadEntityError(t *testing.T) {
	want := errors.New("broken")
	for _, in := range []string{"", "From: a\r\n", "From: a\r\nX: " + strings.Repeat("x", 10000)} {
		r := io.MultiReader(strings.NewReader(in), iotest.ErrReader(want))
		if _, err := mimeraw.ReadEntity(r); !errors.Is(err, want) {
			t.Errorf("after %d octets: error %v, want %v", len(in), err, want)
		}
	}
}

func TestEntityDefaults(t *testing.T) {
	e, err := mimeraw.ReadEntity(strings.NewReader("\r\nhello"))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := e.MediaType(); err != nil || m.Type != "text/plain" {
		t.Errorf("media type %q, %v", m.Type, err)
	}
	if c, err := e.TransferEncoding(); err != nil || c != "7bit" {
		t.Errorf("transfer encoding %q, %v", c, err)
	}
	r, err := e.Decoded()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "hello" {
		t.Errorf("decoded %q, %v", b, err)
	}
}

func TestTransferEncoding(t *testing.T) {
	for _, tt := range []struct{ in, want, code string }{
		{"Base64", "base64", ""},
		{" quoted-printable ", "quoted-printable", ""},
		{"BASE64 (as ever)", "base64", ""},
		{"8bit", "8bit", ""},
		{"binary", "binary", ""},
		{"x-uuencode", "x-uuencode", mimeraw.CodeTransferEncoding},
		{"base64; x", "base64; x", mimeraw.CodeTransferEncoding},
		{"", "", mimeraw.CodeTransferEncoding},
		{"7bit\r\nContent-Transfer-Encoding: base64", "7bit", mimeraw.CodeDuplicateField},
	} {
		e, err := mimeraw.ReadEntity(strings.NewReader("Content-Transfer-Encoding: " + tt.in + "\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.TransferEncoding()
		if got != tt.want || code(err) != tt.code {
			t.Errorf("%q: %q, %v, want %q, %q", tt.in, got, err, tt.want, tt.code)
		}
	}
}

// code returns the code of a SyntaxError, "" for nil, and the text of any other error.
func code(err error) string {
	if e, ok := errors.AsType[*mimeraw.SyntaxError](err); ok {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
