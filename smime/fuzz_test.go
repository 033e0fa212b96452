package smime_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/postseal/postseal/smime"
)

// FuzzOpen opens anything, by every entrance, as a message and as a bare structure. Nothing
// may panic, every refusal has its code, and what comes out as authentic is one of the
// contents that the people of testdata/open really signed: nobody can make another. What
// is said about it is printable, whatever stands in the message (row J06).
func FuzzOpen(f *testing.F) {
	t := new(testing.T)
	people := readOpenIdentities(t)
	names, _ := filepath.Glob(filepath.Join(openFolder, "*.eml"))
	if len(names) < 100 {
		f.Fatalf("%d messages", len(names))
	}
	genuine := map[string]bool{}
	for _, name := range names {
		mail, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(mail)
		if c := readExpectation(t, strings.TrimSuffix(name, ".eml")).Content; c != "" {
			genuine[c] = true
		}
	}
	f.Fuzz(func(t *testing.T, mail []byte) {
		o := people.opener()
		r, err := o.Inspect(t.Context(), bytes.NewReader(mail))
		if err != nil {
			t.Fatal(err)
		}
		checkReport(t, r)
		m, err := o.Open(t.Context(), bytes.NewReader(mail))
		if (err == nil) != (r.Verdict == smime.Authentic) {
			t.Fatalf("Inspect says %s %q, Open says %v", r.Verdict, r.Codes, err)
		}
		if err != nil {
			printable(t, err.Error())
		}
		printable(t, r.Summary)
		if err == nil {
			content, _ := io.ReadAll(m.Entity())
			sum := sha256.Sum256(content)
			if !genuine[hex.EncodeToString(sum[:])] {
				t.Fatalf("nobody signed %q", content)
			}
		}
		bare, err := o.InspectCMS(t.Context(), bytes.NewReader(mail), nil)
		if err != nil {
			t.Fatal(err)
		}
		checkReport(t, bare)
	})
}

func checkReport(t *testing.T, r *smime.Report) {
	t.Helper()
	if (r.Verdict == smime.NotAuthentic || r.Verdict == smime.Unreadable) != (len(r.Codes) > 0) {
		t.Fatalf("%s with codes %q", r.Verdict, r.Codes)
	}
	for _, c := range append(r.Codes, r.Warnings...) {
		if !isCode(c) {
			t.Fatalf("code %q", c)
		}
	}
	if r.Summary == "" || r.Severity == "" {
		t.Fatalf("nothing to show for %s", r.Verdict)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Fatal(err)
	}
}

// printable checks that text is one line that nothing in it dresses up (row J06).
func printable(t *testing.T, text string) {
	t.Helper()
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) || len(text) > 4000 {
		t.Fatalf("not printable: %.500q", text)
	}
}

// isCode reports whether c has the form of the contract: [a-z][a-z0-9]*(\.[a-z0-9_]+)+
func isCode(c string) bool {
	words := strings.Split(c, ".")
	if len(words) < 2 {
		return false
	}
	for i, w := range words {
		if w == "" || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || i == 0 && (strings.Contains(w, "_") || w[0] <= '9') {
			return false
		}
	}
	return true
}
