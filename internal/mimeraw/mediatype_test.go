package mimeraw_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/mimeraw"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// parameters prints p in the order of the names.
func parameters(p map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(p)) {
		list = append(list, fmt.Sprintf("%s=%q", name, p[name]))
	}
	return strings.Join(list, " ")
}

// One name twice, or plainly and extended (E08).
func TestParseMediaType(t *testing.T) {
	for _, tt := range []struct{ in, mediaType, params, defects, code string }{
		{in: "text/plain", mediaType: "text/plain"},
		{in: " Text/PLAIN ", mediaType: "text/plain"},
		{in: "application/pkcs7-mime;", mediaType: "application/pkcs7-mime"},
		{in: "X-PKCS7-MIME/x", mediaType: "x-pkcs7-mime/x"},
		{in: "text/plain; charset=UTF-8", mediaType: "text/plain", params: `charset="UTF-8"`},
		{in: "text/plain;charset=utf-8;", mediaType: "text/plain", params: `charset="utf-8"`},
		{in: "text/plain ; charset = utf-8 ;; format=flowed", mediaType: "text/plain", params: `charset="utf-8" format="flowed"`},
		{in: `a/b; x="y z"`, mediaType: "a/b", params: `x="y z"`},
		{in: `a/b; x="y\"z\\"`, mediaType: "a/b", params: `x="y\"z\\"`},
		{in: `a/b; x=""`, mediaType: "a/b", params: `x=""`},
		{in: `a/b; x=";y=z"`, mediaType: "a/b", params: `x=";y=z"`},
		{in: "a/b; X=Y", mediaType: "a/b", params: `x="Y"`},
		{in: "a/b (c (d\\)) e); (f) x (g) = (h) y (i)", mediaType: "a/b", params: `x="y"`},
		{in: "a/b; x=\"\xc3\xa4\"", mediaType: "a/b", params: "x=\"\u00e4\""},
		{in: "a/b; boundary=----=_Part_1", mediaType: "a/b", params: `boundary="----=_Part_1"`, defects: mimeraw.CodeParameterSyntax},
		{in: "a/b; charset=x:y/z?; y=z", mediaType: "a/b", params: `charset="x:y/z?" y="z"`, defects: mimeraw.CodeParameterSyntax},

		{in: "a/b; name*=utf-8''%e2%82%ac%20x", mediaType: "a/b", params: "name=\"\u20ac x\""},
		{in: "a/b; name*=ISO-8859-1'de'%e4", mediaType: "a/b", params: "name=\"\u00e4\""},
		{in: "a/b; name*=''x", mediaType: "a/b", params: `name="x"`},
		{in: `a/b; name*1=b; name*0="a "`, mediaType: "a/b", params: `name="a b"`},
		{in: "a/b; name*0*=utf-8''%e2; name*1*=%82%ac; name*2=%20", mediaType: "a/b", params: "name=\"\u20ac%20\""},
		{in: "a/b; name*=utf-8''%ff", mediaType: "a/b", params: "name=\"\ufffd\""},

		{in: "", code: mimeraw.CodeMediaType},
		{in: "text", code: mimeraw.CodeMediaType},
		{in: "text/", code: mimeraw.CodeMediaType},
		{in: "/plain", code: mimeraw.CodeMediaType},
		{in: "text/plain/x", mediaType: "text/plain", code: mimeraw.CodeParameter},
		{in: "text/plain charset=x", mediaType: "text/plain", code: mimeraw.CodeParameter},
		{in: "a/b; x", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x=", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; =x", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x=y z", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: `a/b; x="y`, mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: `a/b; x="y\"`, mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: `a/b; x="y"z`, mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x=y (z", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x=\"y\rz\"", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x=\"y\x00z\"", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x=y\x00z", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x=\xc3\xa4", mediaType: "a/b", code: mimeraw.CodeParameter},

		{in: "a/b; x=y; x=z", mediaType: "a/b", code: mimeraw.CodeDuplicateParam},
		{in: "a/b; x=y; X=y", mediaType: "a/b", code: mimeraw.CodeDuplicateParam},
		{in: "a/b; x=y; x*=utf-8''z", mediaType: "a/b", code: mimeraw.CodeDuplicateParam},
		{in: "a/b; x*0=y; x=z", mediaType: "a/b", code: mimeraw.CodeDuplicateParam},
		{in: "a/b; x*0=y; x*=utf-8''z", mediaType: "a/b", code: mimeraw.CodeDuplicateParam},
		{in: "a/b; x*0=y; x*0=z", mediaType: "a/b", code: mimeraw.CodeDuplicateParam},
		{in: "a/b; x*0=y; x*0*=z", mediaType: "a/b", code: mimeraw.CodeDuplicateParam},
		{in: "a/b; x*1=y", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x*0=y; x*2=z", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x*00=y", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x*9999999999999999999=y", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x*0**=y", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; *0=y", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x*=y", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x*=utf-8''%zz", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x*=utf-8''%4", mediaType: "a/b", code: mimeraw.CodeParameter},
		{in: "a/b; x*0=y; x*1*=%41", mediaType: "a/b", code: mimeraw.CodeParameter},
	} {
		m, err := mimeraw.ParseMediaType(tt.in)
		if m.Type != tt.mediaType || code(err) != tt.code {
			t.Errorf("%q: type %q, error %v, want %q, %q", tt.in, m.Type, err, tt.mediaType, tt.code)
		}
		if err == nil && parameters(m.Params) != tt.params {
			t.Errorf("%q: parameters %s, want %s", tt.in, parameters(m.Params), tt.params)
		}
		if got := strings.Join(m.Defects, " "); got != tt.defects {
			t.Errorf("%q: defects %q, want %q", tt.in, got, tt.defects)
		}
	}
}

// The ways to write a boundary that mail programs read differently (E08).
func TestBoundary(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"boundary=x", "x"},
		{`boundary="x y"`, "x y"},
		{`boundary="----=_Part_1(2)?"`, "----=_Part_1(2)?"},
		{"boundary=" + strings.Repeat("x", 70), strings.Repeat("x", 70)},
		{"", ""},
		{`boundary=""`, ""},
		{`boundary="x "`, ""},
		{`boundary=" "`, ""},
		{`boundary="x\y"`, ""},
		{"boundary*=us-ascii''x", ""},
		{"boundary*0=x; boundary*1=y", ""},
		{"boundary=" + strings.Repeat("x", 71), ""},
		{"boundary=\"\xc3\xa4\"", ""},
		{"boundary=\"x\ty\"", ""},
	} {
		m, err := mimeraw.ParseMediaType("multipart/mixed; " + tt.in)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		got, err := m.Boundary()
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: %q, %v, want %q", tt.in, got, err, tt.want)
		}
		if err != nil && code(err) != mimeraw.CodeBoundary {
			t.Errorf("%q: code %q", tt.in, code(err))
		}
	}
}

func TestParseDisposition(t *testing.T) {
	m, err := mimeraw.ParseDisposition(`Attachment; filename="a;b.p7m"; size=3`)
	if err != nil || m.Type != "attachment" || parameters(m.Params) != `filename="a;b.p7m" size="3"` {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := mimeraw.ParseDisposition("; filename=x"); code(err) != mimeraw.CodeMediaType {
		t.Errorf("no disposition: %v", err)
	}
}
