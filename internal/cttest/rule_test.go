package cttest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// public are the files of packages with secrets that compare octets in varying time, and
// what those are.
var public = map[string]string{
	"cms/asn1.go":            "identifiers of certificates, names, and NULL",
	"cms/asn1_params.go":     "capabilities, put in order",
	"cms/asn1_signed.go":     "signed attributes, put in order",
	"cms/attributes.go":      "parameters of algorithms; the digest of a certificate",
	"cms/envelopedwriter.go": "recipients, put in order",
	"cms/kari.go":            "parameters of algorithms",
	"cms/signedattrs.go":     "signed attributes, put in order",
	"cms/signedwriter.go":    "algorithms, put in order",
	"sigalg/ed448.go":        "the point R of a signature",
	"keyfile/keys.go":        "public keys",
}

// TestComparisons (row C19): in packages that handle keys, tags, codes and paddings nothing
// compares octets but crypto/subtle, except where they are no secret.
func TestComparisons(t *testing.T) {
	used := map[string]bool{}
	for _, folder := range []string{"cms", "keywrap", "cipherstream", "kdf", "kem", "x448", "sigalg", "keyfile"} {
		names, err := filepath.Glob(filepath.Join("..", folder, "*.go"))
		if err != nil || len(names) == 0 {
			t.Fatal("no files in", folder, err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, name, text, 0)
			if err != nil {
				t.Fatal(err)
			}
			id := filepath.ToSlash(filepath.Join(folder, filepath.Base(name)))
			ast.Inspect(file, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				pkg, ok := s.X.(*ast.Ident)
				varying := map[string]string{"bytes": "Equal Compare EqualFold HasPrefix HasSuffix", "reflect": "DeepEqual", "slices": "Equal Compare", "strings": "Compare EqualFold"}
				if ok && contains(varying[pkg.Name], s.Sel.Name) {
					used[id] = true
					if public[id] == "" {
						t.Errorf("%s: %s.%s takes the longer the more is alike; see crypto/subtle", fset.Position(n.Pos()), pkg.Name, s.Sel.Name)
					}
				}
				return true
			})
		}
	}
	for id := range public {
		if !used[id] {
			t.Errorf("%s compares nothing", id)
		}
	}
}

func contains(words, word string) bool {
	for w := range strings.FieldsSeq(words) {
		if w == word {
			return true
		}
	}
	return false
}
