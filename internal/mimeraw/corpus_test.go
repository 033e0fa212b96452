package mimeraw_test

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/limits"
	"github.com/postseal/postseal/internal/mimeraw"
)

// Messages of real programs read without a complaint, down to the last part, and without
// the loss of an octet.
func TestCorpus(t *testing.T) {
	root := os.Getenv("POSTSEAL_CORPUS")
	if root == "" {
		t.Skip("POSTSEAL_CORPUS is not set")
	}
	// What is wrong with the few that have something wrong with them.
	expected := map[string]string{
		"basicAS2.message":          mimeraw.CodeHTTPLine,  // begins with the line of an HTTP request
		"rawAS2.message":            mimeraw.CodeHTTPLine,  // the same
		"multipart-alternative.eml": mimeraw.CodeTruncated, // ends without "--"
	}
	n := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".eml" && filepath.Ext(path) != ".message" {
			return err
		}
		n++
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var codes []string
		var exact bytes.Buffer
		readAll(t, io.TeeReader(bytes.NewReader(data), &exact), 0, &codes)
		if !bytes.Equal(exact.Bytes(), data) {
			t.Errorf("%s: read %d octets of %d", path, exact.Len(), len(data))
		}
		if got := strings.Join(codes, " "); got != expected[filepath.Base(path)] {
			t.Errorf("%s: codes %q", path, got)
		}
		e, err := mimeraw.ReadEntity(bytes.NewReader(data))
		if err != nil {
			return err
		}
		body, err := io.ReadAll(e.Body)
		if err != nil || string(e.Header.Raw)+string(body) != string(data) {
			t.Errorf("%s: header and body are not the file, %v", path, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 80 {
		t.Fatalf("only %d messages", n)
	}
}

// readAll reads an entity and all within, and collects what there is to say about it.
func readAll(t *testing.T, r io.Reader, depth int, codes *[]string) {
	if depth > limits.MIMEDepth {
		t.Fatal("too deep")
	}
	note := func(code string) {
		if !slices.Contains(*codes, code) {
			*codes = append(*codes, code)
		}
	}
	e, err := mimeraw.ReadEntity(r)
	if err != nil {
		note(code(err))
		return
	}
	for _, c := range e.Header.Codes() {
		note(c)
	}
	m, err := e.MediaType()
	if err != nil {
		note(code(err))
	}
	for _, c := range m.Defects {
		note(c)
	}
	if !m.IsMultipart() {
		body, err := e.Decoded()
		if err == nil {
			_, err = io.Copy(io.Discard, body)
		}
		if err != nil {
			note(code(err))
		}
		return
	}
	parts, err := e.Multipart()
	if err != nil {
		note(code(err))
		return
	}
	for {
		p, err := parts.NextPart()
		if err != nil {
			if err != io.EOF {
				note(code(err))
			}
			break
		}
		readAll(t, p, depth+1, codes)
	}
	for _, c := range parts.Defects() {
		note(c)
	}
}
