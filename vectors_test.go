package postseal_test

import (
	"go/ast"
	"go/token"
	"os"
	"path"
	"regexp"
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

// TestParsersAreFuzzed: a package with a function that reads what may come from anybody, by
// its name and its first parameter, has a fuzz target.
func TestParsersAreFuzzed(t *testing.T) {
	reads := regexp.MustCompile(`^(?i:parse|read|open|decode|unmarshal|split|extract)`)
	targets := 0
	for _, f := range sources(t) {
		if !within(f.path, "smime", "chain", "certstore", "internal") || within(f.path, "internal/peertest", "internal/servertest", "internal/certtest", "internal/corpus", "internal/forge", "smime/smimetest") {
			continue
		}
		parser, fuzzed := "", false
		for name, file := range f.files {
			for _, decl := range file.Decls {
				d, ok := decl.(*ast.FuncDecl)
				if !ok {
					continue
				}
				if isTest(name) {
					if strings.HasPrefix(d.Name.Name, "Fuzz") {
						fuzzed = true
						targets++
					}
				} else if reads.MatchString(d.Name.Name) && d.Recv == nil && takesOctets(d) {
					parser = d.Name.Name
				}
			}
		}
		if parser != "" && !fuzzed {
			t.Errorf("%s reads octets (%s) and has no fuzz target", f.path, parser)
		}
	}
	t.Log(targets, "fuzz targets")
	if targets < 20 {
		t.Errorf("only %d fuzz targets", targets)
	}
}

// takesOctets reports whether a parameter is []byte, string, an io.Reader or a
// cryptobyte.String.
func takesOctets(d *ast.FuncDecl) bool {
	for _, p := range d.Type.Params.List {
		switch x := p.Type.(type) {
		case *ast.ArrayType:
			if id, ok := x.Elt.(*ast.Ident); ok && id.Name == "byte" && x.Len == nil {
				return true
			}
		case *ast.Ident:
			if x.Name == "string" {
				return true
			}
		case *ast.SelectorExpr:
			if pkg, ok := x.X.(*ast.Ident); ok && (pkg.Name == "io" && x.Sel.Name == "Reader" || pkg.Name == "cryptobyte" && x.Sel.Name == "String") {
				return true
			}
		}
	}
	return false
}
