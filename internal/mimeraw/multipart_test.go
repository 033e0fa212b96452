package mimeraw_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mimeraw"
)

// split cuts in and gives back everything a Multipart says about it.
func split(r io.Reader, boundary string) (parts []string, m *mimeraw.Multipart, err error) {
	m = mimeraw.NewMultipart(r, boundary)
	for {
		p, err := m.NextPart()
		if err == io.EOF {
			return parts, m, nil
		}
		if err != nil {
			return parts, m, err
		}
		b, err := io.ReadAll(p)
		parts = append(parts, string(b))
		if err != nil {
			return parts, m, err
		}
	}
}

// boundaryTricks are cut at the boundary "x".
var boundaryTricks = []struct {
	name     string
	in       string
	parts    []string
	preamble string // length " " blank
	epilogue string
	defects  []string
	code     string
}{
	{name: "two parts", in: "--x\r\nA: b\r\n\r\none\r\n--x\r\n\r\ntwo\r\n--x--\r\n", parts: []string{"A: b\r\n\r\none", "\r\ntwo"}},
	{name: "LF", in: "--x\n\none\n--x\n\ntwo\n--x--\n", parts: []string{"\none", "\ntwo"}},
	{name: "LF before CRLF", in: "--x\r\n\none\n--x\r\n\r\ntwo\n\r\n--x--", parts: []string{"\none", "\r\ntwo\n"}},
	{name: "line ends at the end of a part", in: "--x\r\none\r\n\r\n\r\n--x--", parts: []string{"one\r\n\r\n"}},
	{name: "CR at the end of a part", in: "--x\r\none\r\r\n--x--", parts: []string{"one\r"}},
	{name: "white space at the end of a part", in: "--x\r\none \t\r\n--x--", parts: []string{"one \t"}},
	{name: "no line end at the end", in: "--x\r\none\r\n--x--", parts: []string{"one"}},
	{name: "empty part", in: "--x\r\n\r\n--x--\r\n", parts: []string{""}},
	{name: "empty part without line break", in: "--x\r\n--x\r\n--x--\r\n", parts: []string{"", ""}},
	{name: "part of one line end", in: "--x\r\n\r\n\r\n--x--\r\n", parts: []string{"\r\n"}},
	{name: "padding", in: "--x \t\r\none\r\n--x\t\t \n two\r\n--x-- \t \r\n", parts: []string{"one", " two"}},
	{name: "padding at the very end", in: "--x\r\none\r\n--x--  ", parts: []string{"one"}},
	{name: "preamble", in: "pre\r\namble\r\n--x\r\none\r\n--x--\r\n", parts: []string{"one"}, preamble: "10 false"},
	{name: "blank preamble", in: "\r\n \t\r\n--x\r\none\r\n--x--\r\n", parts: []string{"one"}, preamble: "4 true"},
	{name: "one blank line before", in: "\r\n--x\r\none\r\n--x--\r\n", parts: []string{"one"}},
	{name: "epilogue", in: "--x\r\none\r\n--x--\r\nepi\r\n", parts: []string{"one"}, epilogue: "5 false"},
	{name: "blank epilogue", in: "--x\r\none\r\n--x--\r\n\r\n\n", parts: []string{"one"}, epilogue: "3 true"},
	{name: "delimiter in the epilogue", in: "--x\r\none\r\n--x--\r\n--x\r\ntwo\r\n--x--\r\n", parts: []string{"one"}, epilogue: "17 false"},
	{name: "no part", in: "--x--\r\n"},

	{name: "longer boundary", in: "--x\r\none\r\n--xy\r\ntwo\r\n--x--", parts: []string{"one\r\n--xy\r\ntwo"}, defects: []string{mimeraw.CodeBoundaryPrefix}},
	{name: "one dash", in: "--x\r\none\r\n--x-\r\ntwo\r\n--x--", parts: []string{"one\r\n--x-\r\ntwo"}, defects: []string{mimeraw.CodeBoundaryPrefix}},
	{name: "text behind the close delimiter", in: "--x\r\none\r\n--x--z\r\ntwo\r\n--x--", parts: []string{"one\r\n--x--z\r\ntwo"}, defects: []string{mimeraw.CodeBoundaryPrefix}},
	{name: "text behind white space", in: "--x\r\none\r\n--x z\r\ntwo\r\n--x--", parts: []string{"one\r\n--x z\r\ntwo"}, defects: []string{mimeraw.CodeBoundaryPrefix}},
	{name: "CR behind a boundary", in: "--x\r\none\r\n--x\rtwo\r\n--x--", parts: []string{"one\r\n--x\rtwo"}, defects: []string{mimeraw.CodeBoundaryPrefix}},
	{name: "CR CR LF behind a boundary", in: "--x\r\none\r\n--x\r\r\ntwo\r\n--x--", parts: []string{"one\r\n--x\r\r\ntwo"}, defects: []string{mimeraw.CodeBoundaryPrefix}},
	{name: "CR before a boundary", in: "--x\r\none\r--x\r\ntwo\r\n--x--", parts: []string{"one\r--x\r\ntwo"}, defects: []string{mimeraw.CodeBareCR}},
	{name: "boundary within a line", in: "--x\r\none --x\r\ntwo--x--\r\n--x--", parts: []string{"one --x\r\ntwo--x--"}},
	{name: "space before a boundary", in: "--x\r\none\r\n --x\r\ntwo\r\n--x--", parts: []string{"one\r\n --x\r\ntwo"}},
	{name: "more dashes", in: "--x\r\none\r\n---x\r\n----x--\r\n--x--", parts: []string{"one\r\n---x\r\n----x--"}},
	{name: "other case", in: "--x\r\none\r\n--X\r\ntwo\r\n--x--", parts: []string{"one\r\n--X\r\ntwo"}},

	{name: "no close delimiter", in: "--x\r\none\r\n--x\r\ntwo\r\n", parts: []string{"one", "two\r\n"}, code: mimeraw.CodeTruncated},
	{name: "nothing behind a delimiter", in: "--x\r\none\r\n--x", parts: []string{"one", ""}, code: mimeraw.CodeTruncated},
	{name: "half a close delimiter", in: "--x\r\none\r\n--x-", parts: []string{"one\r\n--x-"}, defects: []string{mimeraw.CodeBoundaryPrefix}, code: mimeraw.CodeTruncated},
	{name: "no delimiter", in: "one\r\n", preamble: "5 false", code: mimeraw.CodeTruncated},
	{name: "nothing", in: "", code: mimeraw.CodeTruncated},
	{name: "endless padding", in: "--x\r\none\r\n--x" + strings.Repeat(" ", 2000) + "\r\n--x--", parts: []string{"one"}, code: mimeraw.CodeDelimiterPadding},
}

// Delimiters that mail programs cut differently (E09), and text outside of all parts (E17).
func TestMultipart(t *testing.T) {
	for _, tt := range boundaryTricks {
		t.Run(tt.name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"at once":         strings.NewReader(tt.in),
				"octet by octet":  iotest.OneByteReader(strings.NewReader(tt.in)),
				"with a last EOF": iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				parts, m, err := split(r, "x")
				if !slices.Equal(parts, tt.parts) {
					t.Errorf("%s: parts %q, want %q", how, parts, tt.parts)
				}
				if code(err) != tt.code {
					t.Errorf("%s: error %v, want %q", how, err, tt.code)
				}
				if tt.code == mimeraw.CodeTruncated && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s: error %v does not wrap io.ErrUnexpectedEOF", how, err)
				}
				if m.Closed() != (tt.code == "") {
					t.Errorf("%s: closed is %v", how, m.Closed())
				}
				if got := m.Defects(); !slices.Equal(got, tt.defects) {
					t.Errorf("%s: defects %q, want %q", how, got, tt.defects)
				}
				checkRemainder(t, how+": preamble", m.Preamble(), tt.preamble)
				checkRemainder(t, how+": epilogue", m.Epilogue(), tt.epilogue)
			}
		})
	}
}

func checkRemainder(t *testing.T, what string, got mimeraw.Remainder, want string) {
	t.Helper()
	if want == "" {
		want = "0 true"
	}
	length, blank, _ := strings.Cut(want, " ")
	if s := itoa(got.Length); s != length || got.Blank != (blank == "true") {
		t.Errorf("%s is %+v, want %s", what, got, want)
	}
}

func TestNestedMultiparts(t *testing.T) {
	inner := "Content-Type: multipart/mixed; boundary=xx\r\n\r\n--xx\r\n\r\none\r\n--xx\r\n\r\ntwo\r\n--xx--\r\n"
	e, err := mimeraw.ReadEntity(strings.NewReader("Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n" + inner + "\r\n--x\r\n\r\nsig\r\n--x--\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	outer, err := e.Multipart()
	if err != nil {
		t.Fatal(err)
	}
	p, err := outer.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	var exact bytes.Buffer
	if e, err = mimeraw.ReadEntity(io.TeeReader(p, &exact)); err != nil {
		t.Fatal(err)
	}
	m, err := e.Multipart()
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for {
		p, err := m.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, string(b))
	}
	if !slices.Equal(parts, []string{"\r\none", "\r\ntwo"}) {
		t.Errorf("inner parts are %q", parts)
	}
	if exact.String() != inner {
		t.Errorf("the part is %q, want %q", exact.String(), inner)
	}
}

// A boundary of the outer multipart ends every part within.
func TestOuterBoundaryInsideInner(t *testing.T) {
	body := "--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\none\r\n--x\r\ntwo\r\n--y--\r\n--x--\r\n"
	outer := mimeraw.NewMultipart(strings.NewReader(body), "x")
	p, err := outer.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	e, err := mimeraw.ReadEntity(p)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := e.Multipart()
	if err != nil {
		t.Fatal(err)
	}
	q, err := inner.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(q)
	if string(b) != "\r\none" || code(err) != mimeraw.CodeTruncated {
		t.Errorf("inner part is %q, %v", b, err)
	}
	if p, err = outer.NextPart(); err != nil {
		t.Fatal(err)
	}
	if b, err = io.ReadAll(p); err != nil || string(b) != "two\r\n--y--" {
		t.Errorf("second outer part is %q, %v", b, err)
	}
}

func TestPartIsSkipped(t *testing.T) {
	m := mimeraw.NewMultipart(strings.NewReader("--x\r\n"+strings.Repeat("line\r\n", 100000)+"--x\r\ntwo\r\n--x--"), "x")
	first, err := m.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	second, err := m.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Read(make([]byte, 1)); err != io.ErrClosedPipe {
		t.Errorf("reading the first part gave %v", err)
	}
	if b, err := io.ReadAll(second); err != nil || string(b) != "two" {
		t.Errorf("the second part is %q, %v", b, err)
	}
}

// E14.
func TestPartLimit(t *testing.T) {
	body := strings.Repeat("--x\r\n\r\n", limits.MIMEParts)
	if parts, _, err := split(strings.NewReader(body+"--x--"), "x"); err != nil || len(parts) != limits.MIMEParts {
		t.Errorf("%d parts, %v", len(parts), err)
	}
	_, _, err := split(strings.NewReader(body+"--x\r\n\r\n--x--"), "x")
	if _, ok := errors.AsType[*limits.Exceeded](err); !ok {
		t.Errorf("error %v, want a *limits.Exceeded", err)
	}
}

// A delimiter is found wherever the buffer of the reader happens to end.
func TestDelimiterAcrossBuffers(t *testing.T) {
	for _, near := range []int{4 << 10, 64 << 10, 128 << 10} {
		for d := -40; d < 40; d++ {
			content := strings.Repeat("a", near+d)
			parts, _, err := split(strings.NewReader("--boundary\r\n"+content+"\r\n--boundary \t\r\n"+content+"\n--boundary--"), "boundary")
			if err != nil || len(parts) != 2 || parts[0] != content || parts[1] != content {
				t.Fatalf("%d octets: %d parts, %v", near+d, len(parts), err)
			}
		}
	}
}

func TestMultipartReadError(t *testing.T) {
	want := errors.New("broken")
	for _, in := range []string{"", "pre", "--x", "--x\r\none", "--x\r\none\r\n--x ", "--x\r\none\r\n--x--\r\nepi"} {
		_, _, err := split(io.MultiReader(strings.NewReader(in), iotest.ErrReader(want)), "x")
		if !errors.Is(err, want) {
			t.Errorf("after %q: error %v, want %v", in, err, want)
		}
	}
}

// E10: a transfer encoding on a multipart.
func TestMultipartRefused(t *testing.T) {
	for header, want := range map[string]string{
		"Content-Type: multipart/mixed":                                                    mimeraw.CodeBoundary,
		"Content-Type: multipart/mixed; boundary=\"\"":                                     mimeraw.CodeBoundary,
		"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: base64":   mimeraw.CodeEncodedMultipart,
		"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: x":        mimeraw.CodeTransferEncoding,
		"Content-Type: multipart/mixed; boundary=x\r\nContent-Type: text/plain":            mimeraw.CodeDuplicateField,
		"Content-Type: multipart/mixed; boundary=x; boundary=y":                            mimeraw.CodeDuplicateParam,
		"Content-Type: multipart/mixed; boundary=" + strings.Repeat("x", 71):               mimeraw.CodeBoundary,
		"Content-Type: multipart/mixed; boundary=" + strings.Repeat("x", 70):               "",
		"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: 8bit":     "",
		"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: (7) 7bit": "",
	} {
		e, err := mimeraw.ReadEntity(strings.NewReader(header + "\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Multipart(); code(err) != want {
			t.Errorf("%q: %v, want %q", header, err, want)
		}
	}
	if _, err := mimeraw.NewMultipart(strings.NewReader(""), "").NextPart(); code(err) != mimeraw.CodeBoundary {
		t.Errorf("no boundary: %v", err)
	}
}
