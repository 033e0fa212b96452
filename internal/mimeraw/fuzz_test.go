package mimeraw_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postseal/postseal/internal/mimeraw"
)

// typed fails the test unless err is one that this package may give for readable input.
func typed(t *testing.T, err error) {
	t.Helper()
	if err == nil || err == io.EOF {
		return
	}
	e, ok := errors.AsType[*mimeraw.SyntaxError](err)
	if !ok || e.Code == "" || e.What == "" {
		t.Fatalf("error %T: %v", err, err)
	}
}

func FuzzReadEntity(f *testing.F) {
	for _, tt := range headerForms {
		f.Add([]byte(tt.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := mimeraw.ReadEntity(bytes.NewReader(in))
		if err != nil {
			typed(t, err)
			return
		}
		body, err := io.ReadAll(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(append(slices.Clone(e.Header.Raw), body...), in) {
			t.Fatal("header and body are not the input")
		}
		// Reading the fields again gives the fields again.
		again := slices.Clone(e.Header.Mbox)
		for _, f := range e.Header.Fields {
			again = append(again, f.Raw...)
		}
		if !bytes.HasPrefix(e.Header.Raw, again) {
			t.Fatal("the fields are not the header")
		}
		e2, err := mimeraw.ReadEntity(bytes.NewReader(e.Header.Raw))
		if err != nil {
			t.Fatal(err)
		}
		same := func(a, b mimeraw.Field) bool { return a.Name == b.Name && bytes.Equal(a.Raw, b.Raw) }
		if len(e.Header.Raw) > 0 && (!slices.EqualFunc(e.Header.Fields, e2.Header.Fields, same) || !slices.Equal(e.Header.Defects, e2.Header.Defects)) {
			t.Fatal("the header reads differently the second time")
		}
		_, err = e.MediaType()
		typed(t, err)
		_, err = mimeraw.FromAddress(e.Header)
		typed(t, err)
		for _, f := range e.Header.Fields {
			if v := f.Value(); strings.Contains(v, "\n") {
				t.Fatalf("value %q has a line end", v)
			}
		}
	})
}

// What the splitter leaves out is exactly the delimiter lines.
func FuzzMultipart(f *testing.F) {
	for _, tt := range boundaryTricks {
		f.Add([]byte(tt.in), uint8(0))
		f.Add([]byte(tt.in), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, how uint8) {
		const boundary = "x"
		var r io.Reader = bytes.NewReader(in)
		switch how % 4 {
		case 1:
			r = iotest.OneByteReader(r)
		case 2:
			r = iotest.HalfReader(r)
		case 3:
			r = iotest.DataErrReader(r)
		}
		parts, m, err := split(r, boundary)
		typed(t, err)
		if code(err) == mimeraw.CodeDelimiterPadding || code(err) == mimeraw.CodeLimit {
			return
		}
		// A second, naive splitter which holds everything.
		wantParts, pre, epi, closed := naiveSplit(string(in), boundary)
		if !slices.Equal(parts, wantParts) {
			t.Fatalf("parts %q, want %q", parts, wantParts)
		}
		if m.Closed() != closed || closed != (err == nil) {
			t.Fatalf("closed is %v, want %v; error %v", m.Closed(), closed, err)
		}
		if m.Preamble().Length != int64(len(pre)) || m.Epilogue().Length != int64(len(epi)) {
			t.Fatalf("preamble %+v, want %q; epilogue %+v, want %q", m.Preamble(), pre, m.Epilogue(), epi)
		}
		if m.Preamble().Blank != (strings.Trim(pre, " \t\r\n") == "") || m.Epilogue().Blank != (strings.Trim(epi, " \t\r\n") == "") {
			t.Fatalf("preamble %+v, want %q; epilogue %+v, want %q", m.Preamble(), pre, m.Epilogue(), epi)
		}
	})
}

// naiveSplit does line by line what Multipart does.
func naiveSplit(in, boundary string) (parts []string, pre, epi string, closed bool) {
	var text string
	part := -1
	end := func(cut bool) {
		if cut {
			if s, ok := strings.CutSuffix(text, "\r\n"); ok {
				text = s
			} else {
				text = strings.TrimSuffix(text, "\n")
			}
		}
		if part < 0 {
			pre = text
		} else {
			parts = append(parts, text)
		}
		text = ""
	}
	for line := range strings.Lines(in) {
		if closed {
			epi += line
			continue
		}
		rest, ok := strings.CutPrefix(line, "--"+boundary)
		if ok {
			bare, lf := strings.CutSuffix(rest, "\n")
			if lf {
				bare = strings.TrimSuffix(bare, "\r")
			}
			bare, closing := strings.CutPrefix(bare, "--")
			if strings.Trim(bare, " \t") == "" {
				end(true)
				part++
				closed = closing
				continue
			}
		}
		text += line
	}
	if !closed {
		end(false)
	}
	return parts, pre, epi, closed
}

func FuzzParseMediaType(f *testing.F) {
	for _, in := range []string{"text/plain", `a/b; c="d\"e"; f*0*=utf-8''%41; f*1=x (y)`, "a/b; x=y; x=z", "a/b; boundary=a=b;"} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		m, err := mimeraw.ParseMediaType(in)
		typed(t, err)
		_, berr := m.Boundary()
		typed(t, berr)
		if err != nil {
			return
		}
		out, err := mimeraw.FormatMediaType(m.Type, m.Params)
		if err != nil {
			typed(t, err) // names and octets that are read and never written
			return
		}
		again, err := mimeraw.ParseMediaType(out)
		if err != nil || again.Type != m.Type || parameters(again.Params) != parameters(m.Params) {
			t.Fatalf("%q is printed as %q, which reads as %+v, %v", in, out, again, err)
		}
	})
}

func FuzzCanonicaliser(f *testing.F) {
	for _, tt := range canonicalTwins {
		f.Add([]byte(tt.in), 2)
	}
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		var out bytes.Buffer
		c := mimeraw.NewCanonicaliser(&out)
		for p := in; len(p) > 0; {
			n := min(max(step, 1), len(p))
			c.Write(p[:n])
			p = p[n:]
		}
		want := bytes.ReplaceAll(bytes.ReplaceAll(in, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		if !bytes.Equal(out.Bytes(), want) || c.Changed() != !bytes.Equal(in, want) {
			t.Fatalf("%q: %q, want %q; changed is %v", in, out.Bytes(), want, c.Changed())
		}
	})
}

func FuzzBase64(f *testing.F) {
	for _, in := range []string{"QUI=", "QUJ=", "QUJD\r\nREVG", " Q Q = = ", "QUI=QUI=", "QU", strings.Repeat("QUJD", 19) + "\r\nQUJD"} {
		f.Add([]byte(in), false)
		f.Add([]byte(in), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, slowly bool) {
		var r io.Reader = bytes.NewReader(in)
		if slowly {
			r = iotest.OneByteReader(r)
		}
		got, err := io.ReadAll(mimeraw.Base64Decoder(r))
		typed(t, err)
		stripped := bytes.Map(func(r rune) rune {
			if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
				return -1
			}
			return r
		}, in)
		want, werr := base64.StdEncoding.Strict().DecodeString(string(stripped))
		if (err == nil) != (werr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%q: %q, %v, want %q, %v", in, got, err, want, werr)
		}
		var out bytes.Buffer
		w := mimeraw.Base64Encoder(&out)
		w.Write(in)
		w.Close()
		if out.String() != wrapped(in) {
			t.Fatalf("%q is written as %q", in, out.String())
		}
	})
}

func FuzzQuotedPrintable(f *testing.F) {
	for _, in := range []string{"a=3D", "a= \r\nb", "From x\n.\n", "a \r\n", "=zz", strings.Repeat("a ", 80)} {
		f.Add([]byte(in), false)
		f.Add([]byte(in), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, slowly bool) {
		var r io.Reader = bytes.NewReader(in)
		if slowly {
			r = iotest.OneByteReader(r)
		}
		_, err := io.Copy(io.Discard, mimeraw.QuotedPrintableDecoder(r))
		typed(t, err)

		var out, canonical bytes.Buffer
		w := mimeraw.QuotedPrintableEncoder(&out)
		w.Write(in)
		w.Close()
		mimeraw.NewCanonicaliser(&canonical).Write(in)
		q := mimeraw.QuotedPrintableDecoder(bytes.NewReader(out.Bytes()))
		back, err := io.ReadAll(q)
		if err != nil || q.Lax() || !bytes.Equal(back, canonical.Bytes()) {
			t.Fatalf("%q is written as %q, which reads as %q, %v, lax %v", in, out.Bytes(), back, err, q.Lax())
		}
		back, err = io.ReadAll(quotedprintable.NewReader(&out))
		if err != nil || !bytes.Equal(back, canonical.Bytes()) {
			t.Fatalf("%q: the standard library reads %q, %v", in, back, err)
		}
	})
}

func FuzzAddresses(f *testing.F) {
	for _, in := range []string{"a@b", `"a@b"@c`, "A (b) <c@d>", "G: a@b, c@d;", "=?utf-8?q?a?= <b@c>", "a@[1]"} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		list, err := mimeraw.ParseAddresses(in)
		typed(t, err)
		for _, a := range list {
			again, err := mimeraw.ParseAddresses(a.Addr())
			if err != nil || len(again) != 1 || again[0].Local != a.Local || again[0].Domain != a.Domain {
				t.Fatalf("%q: %q reads as %+v, %v", in, a.Addr(), again, err)
			}
			if strings.ContainsAny(a.Name+a.Group+a.Addr(), "\r\n\x00") {
				t.Fatalf("%q: control characters in %+v", in, a)
			}
		}
	})
}

func FuzzAppendField(f *testing.F) {
	f.Add("Subject", "x y")
	f.Add("X", "a\r\nB: c")
	f.Fuzz(func(t *testing.T, name, value string) {
		b, err := mimeraw.AppendField(nil, name, value)
		if err != nil {
			typed(t, err)
			return
		}
		e, err := mimeraw.ReadEntity(bytes.NewReader(append(b, "X-Last: y\r\n\r\n"...)))
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Header.Fields) != 2 || e.Header.Fields[0].Name != name || e.Header.Fields[0].Value() != value {
			t.Fatalf("%q: %q reads as %+v", name, value, e.Header.Fields)
		}
		if codes := e.Header.Codes(); len(codes) > 0 {
			t.Fatalf("%q: %q has the defects %q", name, value, codes)
		}
		for line := range bytes.Lines(b) {
			if len(line) > 1000 {
				t.Fatalf("a line of %d octets", len(line))
			}
		}
	})
}

// What is 7bit already stays, whatever its structure; what is written is 7bit.
func FuzzWriteSevenBit(f *testing.F) {
	for _, tt := range boundaryTricks {
		f.Add("Content-Type: multipart/mixed; boundary=x\r\n", []byte(tt.in))
	}
	f.Add("Content-Transfer-Encoding: 8bit\r\n", []byte("a\nb\x00"))
	f.Add("Content-Type: message/rfc822\r\n", []byte("Content-Transfer-Encoding: base64\r\n\r\nQUJD\xe4"))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		for _, c := range header {
			if c < ' ' && c != '\r' && c != '\n' || c > '~' {
				return
			}
		}
		if strings.Contains("\r\n"+header, "\r\n\r\n") || !strings.HasSuffix(header, "\r\n") || header != string(mimeraw.Canonical([]byte(header))) {
			return
		}
		var out bytes.Buffer
		err := mimeraw.WriteSevenBit(&out, header, bytes.NewReader(body))
		typed(t, err)
		if err != nil {
			return
		}
		for _, c := range out.Bytes() {
			if c == 0 || c >= 0x80 {
				// A field of an inner header has no transfer encoding.
				if !bytes.ContainsAny(body, ":") {
					t.Fatalf("%q %q is written as %q", header, body, out.Bytes())
				}
				return
			}
		}
		in := mimeraw.Canonical(append([]byte(header+"\r\n"), body...))
		if naiveSevenBit(in) && !bytes.Contains(bytes.ToLower(in), []byte("bi")) && !bytes.Equal(in, out.Bytes()) {
			t.Fatalf("%q is written as %q", in, out.Bytes())
		}
	})
}

func naiveSevenBit(text []byte) bool {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\r\n"))
		if len(line) > 998 || bytes.ContainsAny(line, "\x00\r") {
			return false
		}
		for _, c := range line {
			if c >= 0x80 {
				return false
			}
		}
	}
	return true
}
