package postseal_test

import (
	"go/ast"
	"go/token"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/corpus"
)

// notRun are the files of vectors that no test runs, with the reason.
var notRun = map[string]string{
	"x25519_jwk_test.json": "keys in JSON, which nothing here reads; x25519_test.json has the same points",
	"x448_jwk_test.json":   "keys in JSON, which nothing here reads; x448_test.json has the same points",
}

// TestVectorsAreRun holds the files of Wycheproof's vectors against the patterns that the
// tests name: every file is run by a test, or is in notRun.
func TestVectorsAreRun(t *testing.T) {
	files, err := os.ReadDir(corpus.Path(t, "wycheproof", "testvectors_v1"))
	if err != nil || len(files) < 100 {
		t.Fatal(len(files), "files,", err)
	}
	patterns := map[string]string{}
	for _, f := range sources(t) {
		for name, file := range f.files {
			if !isTest(name) || f.path == "." {
				continue
			}
			ast.Inspect(file, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				if s, err := strconv.Unquote(lit.Value); err == nil && strings.HasSuffix(s, "_test.json") {
					patterns[path.Base(s)] = name
				}
				return true
			})
		}
	}
	used := map[string]bool{}
	for _, f := range files {
		by := ""
		for p, test := range patterns {
			if ok, err := path.Match(p, f.Name()); err != nil {
				t.Errorf("%s has the pattern %q: %v", test, p, err)
			} else if ok {
				by, used[p] = test, true
			}
		}
		switch reason, listed := notRun[f.Name()]; {
		case by == "" && !listed:
			t.Errorf("no test runs %s", f.Name())
		case by != "" && listed:
			t.Errorf("%s runs %s, which is said not to be run because %s", by, f.Name(), reason)
		}
	}
	for p, test := range patterns {
		if !used[p] {
			t.Errorf("%s has the pattern %q, which no file matches", test, p)
		}
	}
}
