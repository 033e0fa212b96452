package smimetest

import (
	"crypto/x509"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/postseal/postseal/certstore"
)

// A Foreign is somebody who is called Alice and whom no PKI of this process knows.
type Foreign struct {
	Identity *certstore.Identity
	Root     *x509.Certificate
}

func NewForeign(t *testing.T) *Foreign {
	p := NewPKI(t)
	id := p.Alice()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.identities = nil
	return &Foreign{id, p.Root.cert}
}

// Named returns the defects that are constants of this package.
func Named(t *testing.T) (all []Defect) {
	file, err := parser.ParseFile(token.NewFileSet(), "catalogue.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.ValueSpec); ok && len(s.Values) == 1 {
			if id, ok := s.Type.(*ast.Ident); ok && id.Name == "Defect" {
				name, _ := strconv.Unquote(s.Values[0].(*ast.BasicLit).Value)
				all = append(all, Defect(name))
			}
		}
		return true
	})
	return all
}
