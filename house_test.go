package postseal_test

// These tests keep the rules of the house that a compiler does not: which package may
// import which, how much a package exports, and what is written about it.

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/postseal/postseal"

// maxLines bounds a file that is not a test.
const maxLines = 700

// A folder is one folder of Go files.
type folder struct {
	path  string // relative to the module, with slashes; "." is its root
	fset  *token.FileSet
	files map[string]*ast.File // by path; tests included
}

func isTest(name string) bool { return strings.HasSuffix(name, "_test.go") }

// sources parses every Go file of the module, except what lies in testdata.
func sources(t *testing.T) []*folder {
	t.Helper()
	byPath := map[string]*folder{}
	for _, name := range tree(t) {
		if path.Ext(name) != ".go" || strings.Contains("/"+name, "/testdata/") {
			continue
		}
		dir := path.Dir(name)
		f := byPath[dir]
		if f == nil {
			f = &folder{path: dir, fset: token.NewFileSet(), files: map[string]*ast.File{}}
			byPath[dir] = f
		}
		file, err := parser.ParseFile(f.fset, filepath.FromSlash(name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		f.files[name] = file
	}
	var all []*folder
	for _, f := range byPath {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *folder) int { return strings.Compare(a.path, b.path) })
	if len(all) < 4 {
		t.Fatalf("only %d folders of Go files: run this from the root of the module", len(all))
	}
	return all
}

// tree lists every file of the module, with slashes.
func tree(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() && d.Name() != ".git" { // a worktree has a file of that name
			names = append(names, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// name returns the package's name, and whether the folder holds anything but tests.
func (f *folder) name() (string, bool) {
	for name, file := range f.files {
		if !isTest(name) {
			return file.Name.Name, true
		}
	}
	return "", false
}

// imports returns the paths that the folder's files import, tests apart or not.
func (f *folder) imports(tests bool) []string {
	var paths []string
	for name, file := range f.files {
		if isTest(name) && !tests {
			continue
		}
		for _, spec := range file.Imports {
			p, _ := strconv.Unquote(spec.Path.Value)
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// within reports whether p is one of the folders or below one.
func within(p string, folders ...string) bool {
	for _, f := range folders {
		if p == f || strings.HasPrefix(p, f+"/") {
			return true
		}
	}
	return false
}

// mayImport holds the arrows of the house: the folders that a folder's code may use. The
// first row that fits decides.
func mayImport(dir string) []string {
	for _, row := range []struct {
		dir string
		may []string
	}{
		{"examples", []string{"smime", "chain", "certstore", "examples"}},
		{"bench", []string{"smime", "chain", "certstore", "internal"}},
		{"smime", []string{"smime", "chain", "certstore", "internal"}},
		{"chain", []string{"chain", "certstore", "internal"}},
		{"certstore", []string{"certstore", "internal"}},
		{"internal/oid", nil},
		{"internal/limits", nil},
		{"internal/ber", []string{"internal/oid", "internal/limits"}},
		{"internal/offload", nil},
		{"internal/mimeraw", []string{"internal/limits", "internal/offload"}},
		{"internal", []string{"internal"}},
	} {
		if within(dir, row.dir) {
			return row.may
		}
	}
	return nil
}

func TestImportsPointDownward(t *testing.T) {
	for _, f := range sources(t) {
		for _, imported := range f.imports(false) {
			p, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			if !within(p, mayImport(f.path)...) {
				t.Errorf("%s imports %s", f.path, p)
			}
			if within(p, "internal/peertest") {
				t.Errorf("%s imports %s, which is for tests", f.path, p)
			}
			if !strings.Contains(f.path, "/") && within(p, f.path) {
				t.Errorf("%s imports the folder below it, %s", f.path, p)
			}
		}
	}
}

// homes says where the code of a package may import a module; tests may anywhere. "."
// stands for everywhere.
func homes() map[string][]string {
	return map[string][]string{
		"golang.org/x/crypto":                {"."},
		"golang.org/x/net/idna":              {"."},
		"golang.org/x/text":                  {"."},
		"filippo.io/bigmod":                  {"internal/sigalg"},
		"filippo.io/mldsa":                   {"."},
		"github.com/emersion/go-message":     {"smime", "examples"},
		"github.com/spf13/pflag":             {"examples"},
		"golang.org/x/term":                  {"examples"},
		"golang.org/x/sys":                   {"examples"},
		"github.com/go-ldap/ldap":            {"certstore/ldapstore", "internal/servertest"},
		"github.com/go-asn1-ber/asn1-ber":    {"certstore/ldapstore"},
		"github.com/google/uuid":             {"certstore/ldapstore"}, // in the signatures of go-ldap
		"github.com/miekg/dns":               {"certstore/smimeastore", "internal/servertest"},
		"modernc.org/sqlite":                 {"certstore/sqlstore"},
		"github.com/jackc/pgx":               {"certstore/sqlstore", "internal/servertest"},
		"github.com/ThalesGroup/crypto11":    {"examples/hsm"},
		"github.com/miekg/pkcs11":            {"examples/hsm"},
		"github.com/smallstep/pkcs7":         {"internal/peertest", "bench"},
		"github.com/digitorus/pkcs7":         {"bench"},
		"software.sslmate.com/src/go-pkcs12": {"internal/peertest"},
	}
}

func TestDependenciesStayAtHome(t *testing.T) {
	code := homes()
	for _, f := range sources(t) {
		inCode := f.imports(false)
		for _, imported := range f.imports(true) {
			if imported == "C" || imported == "unsafe" {
				t.Errorf("%s imports %q", f.path, imported)
			}
			home, known := homeOf(code, imported)
			if !foreign(imported) {
				continue
			}
			if !known {
				t.Errorf("%s imports %s, which is none of the modules agreed on", f.path, imported)
			} else if slices.Contains(inCode, imported) && home[0] != "." && !within(f.path, home...) {
				t.Errorf("%s imports %s, whose home is %v", f.path, imported, home)
			}
		}
		if within(f.path, "smime", "chain", "certstore", "internal") && !within(f.path, "internal/peertest", "internal/servertest") &&
			slices.Contains(inCode, "regexp") {
			t.Errorf("%s imports regexp: input is parsed, not matched", f.path)
		}
	}
}

// foreign reports whether an import is neither of the standard library nor of this module.
func foreign(imported string) bool {
	host, _, _ := strings.Cut(imported, "/")
	return strings.Contains(host, ".") && !within(imported, module)
}

func homeOf(homes map[string][]string, imported string) ([]string, bool) {
	for prefix, dirs := range homes {
		if within(imported, prefix) {
			return dirs, true
		}
	}
	return nil, false
}

// TestModuleFile checks that go.mod marks as indirect what no package imports, and nothing
// else.
func TestModuleFile(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	requirement := regexp.MustCompile(`(?m)^((?:require )?\s*([a-z0-9.-]+\.[a-z]+/\S+) v\S+)( // indirect)?$`)
	used := map[string]bool{} // by module
	for _, m := range requirement.FindAllSubmatch(text, -1) {
		used[string(m[2])] = false
	}
	for _, f := range sources(t) {
		if f.path == "examples/hsm" { // a module of its own
			continue
		}
		for _, imported := range f.imports(true) {
			best := ""
			for m := range used {
				if within(imported, m) && len(m) > len(best) {
					best = m
				}
			}
			if best != "" {
				used[best] = true
			} else if foreign(imported) {
				t.Errorf("%s imports %s, which go.mod does not require", f.path, imported)
			}
		}
	}
	want := requirement.ReplaceAllStringFunc(string(text), func(line string) string {
		m := requirement.FindStringSubmatch(line)
		if used[m[2]] {
			return m[1]
		}
		return m[1] + " // indirect"
	})
	stayOrUpdate(t, "go.mod", string(text), want)
}

func TestPackageNames(t *testing.T) {
	for _, f := range sources(t) {
		for name, file := range f.files {
			pkg := strings.TrimSuffix(file.Name.Name, "_test")
			if slices.Contains([]string{"util", "utils", "common", "types", "helper", "helpers", "misc"}, pkg) {
				t.Errorf("%s: package %s", name, pkg)
			}
		}
	}
}

// An export is one exported name.
type export struct {
	name       string // T or T.Method
	documented bool
	position   token.Position
}

// exports lists the exported names of a package: top-level ones and methods.
func (f *folder) exports() (top, methods []export) {
	for name, file := range f.files {
		if isTest(name) {
			continue
		}
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				e := export{d.Name.Name, d.Doc != nil, f.fset.Position(d.Pos())}
				if !d.Name.IsExported() {
					continue
				}
				if d.Recv == nil {
					top = append(top, e)
				} else if receiver := receiverName(d); ast.IsExported(receiver) {
					e.name = receiver + "." + e.name
					methods = append(methods, e)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						if s.Name.IsExported() {
							top = append(top, export{s.Name.Name, s.Doc != nil || d.Doc != nil && len(d.Specs) == 1, f.fset.Position(s.Pos())})
						}
					case *ast.ValueSpec:
						// The constants of an enumeration may be told by their names and their type.
						documented := s.Doc != nil || s.Comment != nil || d.Doc != nil || d.Tok == token.CONST && within(f.path, "internal")
						for _, id := range s.Names {
							if id.IsExported() {
								top = append(top, export{id.Name, documented, f.fset.Position(s.Pos())})
							}
						}
					}
				}
			}
		}
	}
	return top, methods
}

func receiverName(d *ast.FuncDecl) string {
	for expr := d.Recv.List[0].Type; ; {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

func TestExportedNames(t *testing.T) {
	budget := map[string]int{"smime": 30, "chain": 15, "certstore": 20}
	// Methods of interfaces that everybody knows need no sentence of their own: the first
	// two nowhere, the others in internal packages.
	known := []string{"Error", "Unwrap", "Is", "String", "Read", "Write", "Close"}
	for _, f := range sources(t) {
		if _, code := f.name(); !code {
			continue
		}
		top, methods := f.exports()
		for _, e := range slices.Concat(top, methods) {
			_, method, _ := strings.Cut(e.name, ".")
			exempt := known[:2]
			if within(f.path, "internal") {
				exempt = known
			}
			if !e.documented && !slices.Contains(exempt, method) {
				t.Errorf("%v: %s has no comment", e.position, e.name)
			}
		}
		if most, ok := budget[f.path]; ok {
			t.Logf("%s exports %d names of %d, and %d methods", f.path, len(top), most, len(methods))
			if len(top) > most {
				t.Errorf("%s exports %d names, at most %d are wanted", f.path, len(top), most)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	for _, f := range sources(t) {
		pkg, code := f.name()
		if !code {
			continue
		}
		var comments []string
		for name, file := range f.files {
			if !isTest(name) && file.Doc != nil {
				comments = append(comments, name)
			}
		}
		if len(comments) != 1 {
			t.Errorf("%s: package %s has %d package comments %v, want one", f.path, pkg, len(comments), comments)
		}
	}
}

// TestVariables allows package variables only where nobody can change what they mean.
func TestVariables(t *testing.T) {
	for _, f := range sources(t) {
		for name, file := range f.files {
			if isTest(name) || within(f.path, "examples") {
				continue
			}
			for _, decl := range file.Decls {
				d, ok := decl.(*ast.GenDecl)
				if !ok || d.Tok != token.VAR {
					continue
				}
				for _, spec := range d.Specs {
					for _, id := range spec.(*ast.ValueSpec).Names {
						if id.IsExported() && !strings.HasPrefix(id.Name, "Err") {
							t.Errorf("%v: exported variable %s", f.fset.Position(id.Pos()), id.Name)
						}
					}
				}
			}
		}
	}
}

func TestPackagesHaveExamples(t *testing.T) {
	for _, f := range sources(t) {
		pkg, code := f.name()
		if !code || pkg == "main" || f.path == "." || strings.Contains("/"+f.path+"/", "/internal/") {
			continue
		}
		var tests []*ast.File
		for name, file := range f.files {
			if isTest(name) {
				tests = append(tests, file)
			}
		}
		examples, runs := doc.Examples(tests...), 0
		for _, e := range examples {
			if e.Output != "" || e.EmptyOutput {
				runs++
			}
		}
		// The stores below certstore may need a server to run.
		if len(examples) == 0 || runs == 0 && !strings.HasPrefix(f.path, "certstore/") {
			t.Errorf("%s has no example", f.path)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, name := range tree(t) {
		if path.Ext(name) != ".go" || isTest(name) {
			continue
		}
		text, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(text, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, at most %d are wanted", name, n, maxLines)
		}
	}
}

// TestNothingOfAMachine looks for paths of one machine and for hosts of registries. The
// words are in two halves so that this file does not hold them.
func TestNothingOfAMachine(t *testing.T) {
	words := []string{"/wo" + "rk/", "/ro" + "ot/", "proxy.go" + "lang", "deb.deb" + "ian.org", "registry.np" + "mjs", "TO" + "DO", "FIX" + "ME"}
	folders := regexp.MustCompile("/tm" + "p/[a-z]+/")
	for _, name := range tree(t) {
		if name == "go.sum" {
			continue
		}
		text, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
			continue // a program that was built here, or a binary message
		}
		for _, w := range words {
			if bytes.Contains(text, []byte(w)) {
				t.Errorf("%s holds %q", name, w)
			}
		}
		if m := folders.Find(text); m != nil {
			t.Errorf("%s holds %q", name, m)
		}
	}
}

// rfcRow matches a row of docs/RFCs.md: number, title, state, packages, note.
func rfcRow() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^\| ([0-9]+) \| ([^|]+) \| ([a-z]+) \| ([^|]*)\| ([^|]*)\|$`)
}

// citations maps each RFC that Go code cites to the folders that do so outside of tests.
func citations(t *testing.T) map[string][]string {
	citation := regexp.MustCompile(`\bRFC[ -]?([0-9]{3,5})\b`)
	cited := map[string][]string{}
	for _, name := range tree(t) {
		if path.Ext(name) != ".go" {
			continue
		}
		text, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range citation.FindAllSubmatch(text, -1) {
			number, dir := string(m[1]), path.Dir(name)
			if number == "822" {
				continue // the name of a media type
			}
			if isTest(name) || within(dir, "internal/peertest", "internal/servertest") {
				cited[number] = cited[number][:len(cited[number]):len(cited[number])]
			} else if !slices.Contains(cited[number], dir) {
				cited[number] = append(cited[number], dir)
			}
		}
	}
	return cited
}

// TestCitedRFCsAreListed holds docs/RFCs.md against the code: every RFC that is cited has
// a row, and the row of one that is implemented names the packages that cite it.
func TestCitedRFCsAreListed(t *testing.T) {
	const file = "docs/RFCs.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	row, cited := rfcRow(), citations(t)
	listed := map[string]bool{}
	want := row.ReplaceAllStringFunc(string(text), func(line string) string {
		m := row.FindStringSubmatch(line)
		number, state, packages := m[1], m[3], m[4]
		if listed[number] {
			t.Errorf("%s lists RFC %s twice", file, number)
		}
		listed[number] = true
		if !slices.Contains([]string{"yes", "partial", "no"}, state) {
			t.Errorf("RFC %s: its state is %q, not yes, partial or no", number, state)
		}
		if state == "no" {
			packages = ""
		} else if by := citing(cited[number]); len(by) > 0 {
			packages = "`" + strings.Join(by, "`, `") + "` "
		} else {
			t.Errorf("RFC %s is %q in %s, but no code cites it", number, state, file)
		}
		return fmt.Sprintf("| %s | %s | %s | %s| %s|", number, m[2], state, packages, m[5])
	})
	if len(listed) < 10 {
		t.Fatalf("%s lists %d RFCs", file, len(listed))
	}
	for number := range cited {
		if !listed[number] {
			t.Errorf("the code cites RFC %s, which %s does not list", number, file)
		}
	}
	stayOrUpdate(t, file, string(text), want)
}

// citing leaves out the table of identifiers, unless it is all there is.
func citing(dirs []string) []string {
	var by []string
	for _, d := range dirs {
		if d != "internal/oid" {
			by = append(by, d)
		}
	}
	if by == nil {
		return dirs
	}
	slices.Sort(by)
	return by
}

// stayOrUpdate compares a file that a test keeps. With -update it is written again.
func stayOrUpdate(t *testing.T, file, is, want string) {
	t.Helper()
	if is == want {
		return
	}
	if !*update {
		behind(t, "%s is behind the code: run go test . -update", file)
	} else if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// behind fails in CI. Before that, the code may be ahead of what describes it.
func behind(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Errorf(format, args...)
	} else {
		t.Logf(format, args...)
	}
}

// TestReadmeSnippets finds every Go snippet of the README in an example or a test, so
// that what the README shows is compiled.
func TestReadmeSnippets(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var compiled []string
	for _, f := range sources(t) {
		for name := range f.files {
			if isTest(name) || within(f.path, "examples") {
				text, err := os.ReadFile(filepath.FromSlash(name))
				if err != nil {
					t.Fatal(err)
				}
				compiled = append(compiled, flat(string(text)))
			}
		}
	}
	rest, found := string(readme), 0
	for {
		_, after, ok := strings.Cut(rest, "```go\n")
		if !ok {
			break
		}
		snippet, tail, ok := strings.Cut(after, "```")
		if !ok {
			t.Fatal("README.md: a snippet does not end")
		}
		rest = tail
		found++
		if !slices.ContainsFunc(compiled, func(text string) bool { return strings.Contains(text, flat(snippet)) }) {
			t.Errorf("README.md: no example holds this snippet:\n%s", snippet)
		}
	}
	if found == 0 {
		t.Error("README.md shows no Go")
	}
}

// flat removes what indentation adds.
func flat(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintln(&b, line)
		}
	}
	return b.String()
}
