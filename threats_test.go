package postseal_test

import (
	"flag"
	"fmt"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/threats.md and docs/RFCs.md that these tests check")

// citedRows maps the row of an attack to the tests that cite it in their comment or body,
// and to the files and folders of testdata that carry it in their name.
func citedRows(t *testing.T, rows map[string]bool) map[string][]string {
	row := regexp.MustCompile(`\b[A-K](?:0[1-9]|1[0-9]|2[0-9])\b`)
	cited := map[string][]string{}
	cite := func(id, by string) {
		if rows[id] && !slices.Contains(cited[id], by) {
			cited[id] = append(cited[id], by)
		}
	}
	for _, f := range sources(t) {
		for name, file := range f.files {
			if !isTest(name) || f.path == "." {
				continue
			}
			text, err := os.ReadFile(filepath.FromSlash(name))
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range file.Decls {
				d, ok := decl.(*ast.FuncDecl)
				if !ok || !strings.HasPrefix(d.Name.Name, "Test") && !strings.HasPrefix(d.Name.Name, "Fuzz") {
					continue
				}
				start := d.Pos()
				if d.Doc != nil {
					start = d.Doc.Pos()
				}
				body := text[f.fset.Position(start).Offset:f.fset.Position(d.End()).Offset]
				for _, id := range row.FindAll(body, -1) {
					cite(string(id), fmt.Sprintf("%s `%s`", f.path, d.Name.Name))
				}
			}
		}
	}
	// Names such as testdata/open/a02-attributes-as-content.eml.
	inName := regexp.MustCompile(`(?i)^([a-k][0-9]{2})[-_.]`)
	for _, name := range tree(t) {
		if !strings.Contains("/"+name, "/testdata/") {
			continue
		}
		if m := inName.FindStringSubmatch(path.Base(name)); m != nil {
			cite(strings.ToUpper(m[1]), fmt.Sprintf("`%s/%s-*`", path.Dir(name), m[1]))
		}
	}
	return cited
}

// TestThreats holds the last column of the tables of docs/threats.md against the tests
// that there are.
func TestThreats(t *testing.T) {
	const file = "docs/threats.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^\| ([A-K][0-9]{2}) \| ([^|]+) \| ([^|]+) \|$`)
	rows := map[string]bool{}
	for _, m := range line.FindAllSubmatch(text, -1) {
		if id := string(m[1]); rows[id] {
			t.Errorf("%s has two rows %s", file, id)
		} else {
			rows[id] = true
		}
	}
	if len(rows) != 137 {
		t.Fatalf("%s has %d rows, the catalogue has 137", file, len(rows))
	}
	cited := citedRows(t, rows)
	want := line.ReplaceAllStringFunc(string(text), func(s string) string {
		m := line.FindStringSubmatch(s)
		by := cited[m[1]]
		slices.Sort(by)
		if len(by) == 0 {
			by = []string{"–"}
		}
		return fmt.Sprintf("| %s | %s | %s |", m[1], m[2], strings.Join(by, ", "))
	})
	stayOrUpdate(t, file, string(text), want)
	for _, m := range line.FindAllStringSubmatch(string(text), -1) {
		for by := range strings.SplitSeq(m[3], ", ") {
			if by != "–" && !*update && !slices.Contains(cited[m[1]], by) {
				t.Errorf("%s says that %s cites %s", file, by, m[1])
			}
		}
	}
}
