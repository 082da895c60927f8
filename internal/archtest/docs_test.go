// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"go/ast"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var packagesHaveDocs = rule{
	advice: "Write what the package is for above its package clause, beginning with \"Package <name>\" (\"Command <name>\" for a main package), with a blank line between it and the licence line.",
	find: func(t *tree) (found []finding) {
		for _, p := range t.pkgs {
			if !documentedPackage(p) {
				found = append(found, finding{p.path, "package " + p.name + " has no package documentation"})
			}
		}
		return found
	},
}

func documentedPackage(p *goPackage) bool {
	want := "Package " + p.name
	if p.name == "main" {
		want = "Command "
	}
	for _, f := range p.files {
		if f.ast.Doc != nil && strings.HasPrefix(f.ast.Doc.Text(), want) {
			return true
		}
	}
	return false
}

var exportedNamesHaveDocs = rule{
	advice: "Say what each name means, in which units, and which errors it gives.",
	find: func(t *tree) (found []finding) {
		t.eachGo(func(_ *goPackage, f *goFile) {
			if f.test {
				return
			}
			for _, d := range f.ast.Decls {
				for _, id := range undocumented(d) {
					found = append(found, finding{t.line(id), id.Name + " is exported and not documented"})
				}
			}
		})
		return found
	},
}

// undocumented gives the exported names of a declaration without a comment.
// A comment above a group of constants or variables speaks for all of it.
func undocumented(d ast.Decl) []*ast.Ident {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		return undocumentedSpecs(d)
	}
	return nil
}

func undocumentedSpecs(d *ast.GenDecl) (names []*ast.Ident) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Doc == nil && d.Doc == nil && s.Name.IsExported() {
				names = append(names, s.Name)
			}
		case *ast.ValueSpec:
			if s.Doc == nil && s.Comment == nil && d.Doc == nil {
				names = append(names, exported(s.Names)...)
			}
		}
	}
	return names
}

func exported(names []*ast.Ident) (out []*ast.Ident) {
	for _, n := range names {
		if n.IsExported() {
			out = append(out, n)
		}
	}
	return out
}

// exportedReceiver tells whether a function is no method, or one of an
// exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	for expr := d.Recv.List[0].Type; ; {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return true
		}
	}
}

var designsAreWritten = rule{
	advice: "Describe purpose, life and borders of the package in 30 to 60 lines, and keep them true.",
	find: func(t *tree) (found []finding) {
		for _, dir := range []string{"auth", "conf", "session", "engine", "discovery", "server/proxy", "server/frontend", "server/rest"} {
			f, ok := t.file(dir + "/DESIGN.md")
			if !ok || len(strings.Fields(f.text)) < 50 {
				found = append(found, finding{dir, "needs a DESIGN.md of more than a few words"})
			}
		}
		return found
	},
}

var goStatementsSayWhoWaits = rule{
	advice: "Say in a comment above each go statement who waits for that goroutine to end.",
	find: func(t *tree) (found []finding) {
		t.eachGo(func(_ *goPackage, f *goFile) {
			if f.test {
				return
			}
			commented := commentLines(t, f.ast)
			ast.Inspect(f.ast, func(n ast.Node) bool {
				g, ok := n.(*ast.GoStmt)
				if !ok {
					return true
				}
				if line := t.fset.Position(g.Pos()).Line; !commented[line] && !commented[line-1] {
					found = append(found, finding{t.line(g), "go statement without a word on who waits for it"})
				}
				return true
			})
		})
		return found
	},
}

// commentLines is the set of lines on which a comment ends.
func commentLines(t *tree, f *ast.File) map[int]bool {
	lines := map[int]bool{}
	for _, c := range f.Comments {
		lines[t.fset.Position(c.End()).Line] = true
	}
	return lines
}

func TestPackagesHaveDocs(t *testing.T)        { packagesHaveDocs.hold(t) }
func TestExportedNamesHaveDocs(t *testing.T)   { exportedNamesHaveDocs.hold(t) }
func TestDesignsAreWritten(t *testing.T)       { designsAreWritten.hold(t) }
func TestGoStatementsSayWhoWaits(t *testing.T) { goStatementsSayWhoWaits.hold(t) }

func TestPackagesWithoutDocsAreFound(t *testing.T) {
	got := packagesHaveDocs.on(t, map[string]string{
		"good/a.go":       "// Package good is.\npackage good\n",
		"good/b.go":       "package good\n",
		"cmd/main.go":     "// Command cmd runs.\npackage main\n",
		"licence/a.go":    "// SPDX-License-Identifier: Apache-2.0\npackage licence\n",
		"none/a.go":       "package none\n",
		"tests/a_test.go": "package tests_test\n",
	})
	require.Equal(t, []string{"licence", "none", "tests"}, got)
}

func TestUndocumentedNamesAreFound(t *testing.T) {
	source := `package a

func Bare() {}

// Said is.
func Said() {}

func hidden() {}

type T struct{}

func (*T) Method() {}

type inner[K any] struct{}

func (inner[K]) Fine() {}

// Group of things.
const (
	One = 1
	Two = 2
)

var (
	Three = 3
	Four  = 4 // Four is after three.
	five  = 5
)
`
	got := exportedNamesHaveDocs.on(t, map[string]string{"a/a.go": source, "a/a_test.go": "package a\nfunc TestX() {}\n"})
	require.Equal(t, []string{"a/a.go:10", "a/a.go:12", "a/a.go:25", "a/a.go:3"}, got)
}

func TestMissingDesignsAreFound(t *testing.T) {
	got := designsAreWritten.on(t, map[string]string{
		"auth/DESIGN.md":    "# auth\nlater",
		"session/DESIGN.md": strings.Repeat("word ", 60),
		"engine/DESIGN.md":  strings.Repeat("word ", 60),
	})
	require.Equal(t, []string{"auth", "conf", "discovery", "server/frontend", "server/proxy", "server/rest"}, got)
}

func TestSilentGoStatementsAreFound(t *testing.T) {
	source := `package a

func f() {
	// Ended by close; Run waits.
	go g()
	go g() // nobody: it ends by itself at once

	go g()
}
`
	got := goStatementsSayWhoWaits.on(t, map[string]string{"a/a.go": source, "a/a_test.go": fmt.Sprintln("package a\nfunc h() {\n go g()\n}")})
	require.Equal(t, []string{"a/a.go:8"}, got)
}
