// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// packagesHoldNoState finds package-level variables that change. Errors,
// regular expressions, tables and classes stay: a variable is state when its
// type exists to be changed (locks, atomics, pools, channels), when anything
// is assigned to it or into it, when its address is taken, or when it is
// sorted, cleared or deleted from, in any package of the tree.
var packagesHoldNoState = rule{
	advice: "Put it into a struct that a constructor makes and its user is given.",
	find: func(t *tree) (found []finding) {
		globals := map[string]bool{} // "house/conf.Table": declared outside tests
		for _, p := range t.pkgs {
			found = append(found, declaredState(t, p, globals)...)
		}
		for _, p := range t.pkgs {
			found = append(found, writtenState(t, p, globals)...)
		}
		return found
	},
}

// declaredState notes the variables of a package and complains about types
// that exist to be changed.
func declaredState(t *tree, p *goPackage, globals map[string]bool) (found []finding) {
	for _, f := range p.files {
		if f.test {
			continue
		}
		for _, spec := range packageVars(f.ast) {
			for _, id := range spec.Names {
				globals[t.importPathOf(p)+"."+id.Name] = true
			}
			if kind := changingType(f.ast, spec); kind != "" {
				found = append(found, finding{t.line(spec), spec.Names[0].Name + " is a package-level " + kind})
			}
		}
	}
	return found
}

func (t *tree) importPathOf(p *goPackage) string { return path.Join(t.module, p.path) }

func packageVars(f *ast.File) (specs []*ast.ValueSpec) {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			specs = append(specs, s.(*ast.ValueSpec))
		}
	}
	return specs
}

// changingType names the type of a variable if a constant thing would not
// have it, as far as the declaration shows.
func changingType(f *ast.File, spec *ast.ValueSpec) string {
	exprs := slices.Clone(spec.Values)
	if spec.Type != nil {
		exprs = append(exprs, spec.Type)
	}
	for _, e := range exprs {
		if kind := changingExpr(f, e); kind != "" {
			return kind
		}
	}
	return ""
}

func changingExpr(f *ast.File, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.ChanType:
		return "channel"
	case *ast.StarExpr:
		return changingExpr(f, e.X)
	case *ast.UnaryExpr:
		return changingExpr(f, e.X)
	case *ast.CompositeLit:
		return changingExpr(f, e.Type)
	case *ast.IndexExpr:
		return changingExpr(f, e.X)
	case *ast.CallExpr:
		if id, ok := e.Fun.(*ast.Ident); ok && (id.Name == "make" || id.Name == "new") && len(e.Args) > 0 {
			return changingExpr(f, e.Args[0])
		}
	case *ast.SelectorExpr:
		return changingSelector(f, e)
	}
	return ""
}

func changingSelector(f *ast.File, s *ast.SelectorExpr) string {
	for _, pkg := range []string{"sync", "sync/atomic"} {
		local, ok := importName(f, pkg)
		if x, isIdent := s.X.(*ast.Ident); ok && isIdent && x.Name == local {
			return pkg + "." + s.Sel.Name
		}
	}
	return ""
}

// writtenState complains about changes that a package makes to its own
// variables or to those of another one.
func writtenState(t *tree, p *goPackage, globals map[string]bool) (found []finding) {
	for _, external := range []bool{false, true} {
		files := sameScope(p, external)
		uses := resolve(t, p, files)
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				for _, target := range changed(n) {
					name := globalName(target, uses)
					if globals[name] {
						found = append(found, finding{t.line(n), name + " is a package-level variable, and changed here"})
					}
				}
				return true
			})
		}
	}
	return found
}

// sameScope gives the files of a folder that share a package scope: the
// package with its inner tests, or its external tests.
func sameScope(p *goPackage, external bool) (files []*ast.File) {
	for _, f := range p.files {
		if (f.ast.Name.Name != p.name) == external {
			files = append(files, f.ast)
		}
	}
	return files
}

// resolve finds out what each identifier means. Imports are not followed:
// they give empty packages, and the errors that follow from it are dropped.
func resolve(t *tree, p *goPackage, files []*ast.File) map[*ast.Ident]types.Object {
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: emptyImporter{}, Error: func(error) {}}
	_, _ = conf.Check(t.importPathOf(p), t.fset, files, info)
	return info.Uses
}

type emptyImporter struct{}

func (emptyImporter) Import(p string) (*types.Package, error) {
	pkg := types.NewPackage(p, path.Base(p))
	pkg.MarkComplete()
	return pkg, nil
}

// changed gives the expressions that a node changes.
func changed(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			return []ast.Expr{n.Key, n.Value}
		}
	case *ast.UnaryExpr:
		if _, direct := n.X.(*ast.Ident); direct && n.Op == token.AND {
			return []ast.Expr{n.X}
		}
	case *ast.CallExpr:
		if len(n.Args) > 0 && changesArgument(n.Fun) {
			return n.Args[:1]
		}
	}
	return nil
}

// changesArgument tells whether a function changes its first argument.
func changesArgument(fun ast.Expr) bool {
	switch f := fun.(type) {
	case *ast.Ident:
		return slices.Contains([]string{"delete", "clear", "copy"}, f.Name)
	case *ast.SelectorExpr:
		x, ok := f.X.(*ast.Ident)
		return ok && (x.Name == "sort" || x.Name == "slices" && slices.Contains([]string{"Sort", "SortFunc", "SortStableFunc", "Reverse"}, f.Sel.Name))
	}
	return false
}

// globalName gives the full name of the package-level variable that an
// expression reaches into, or "".
func globalName(e ast.Expr, uses map[*ast.Ident]types.Object) string {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return globalName(e.X, uses)
	case *ast.StarExpr:
		return globalName(e.X, uses)
	case *ast.IndexExpr:
		return globalName(e.X, uses)
	case *ast.SliceExpr:
		return globalName(e.X, uses)
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			if pkg, ok := uses[x].(*types.PkgName); ok {
				return pkg.Imported().Path() + "." + e.Sel.Name
			}
		}
		return globalName(e.X, uses)
	case *ast.Ident:
		v, ok := uses[e].(*types.Var)
		if ok && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
			return v.Pkg().Path() + "." + v.Name()
		}
	}
	return ""
}

func TestPackagesHoldNoState(t *testing.T) { packagesHoldNoState.hold(t) }

func TestStateOfPackagesIsFound(t *testing.T) {
	fine := `package a

import (
	"errors"
	"regexp"
	"sync"
)

var (
	ErrGone = errors.New("gone")
	word    = regexp.MustCompile("x")
	table   = map[string]int{"a": 1}
	lazy    = sync.OnceValue(func() int { return 1 })
	Class   = &T{}
	Public  = []int{1}
)

func f() {
	table := map[string]int{}
	table["b"] = 2
	var word int
	word++
}
`
	got := packagesHoldNoState.on(t, map[string]string{
		"a/fine.go": fine,
		"b/types.go": `package b

import (
	"sync"
	sa "sync/atomic"
)

var mu sync.Mutex
var count sa.Int64
var p sa.Pointer[int]
var pool = &sync.Pool{}
var wake = make(chan struct{})
var done chan int
`,
		"c/writes.go": `package c

var hits int
var seen = map[string]bool{}
var list, hook, last = []int{3, 1}, func() {}, 0

func f() {
	hits++
	seen["x"] = true
	delete(seen, "x")
	slices.Sort(list)
	scan(&last)
}
`,
		"c/in_test.go": "package c\n\nfunc g() { hook = nil }\n",
		"d/d.go":       "package d\n\nimport \"house/a\"\n\nfunc f() {\n\ta.Public[0] = 2\n\ta.Class.name = \"x\"\n}\n",
		"e/e_test.go":  "package e\n\nvar update bool\n\nfunc f() { update = true }\n",
		"f/f.go":       "package f\n\nvar from = 1\n",
		"f/f_test.go":  "package f_test\n\nimport \"house/f\"\n\nfunc g() { f.from = 2 }\n",
	})
	require.Equal(t, []string{
		"b/types.go:10", "b/types.go:11", "b/types.go:12", "b/types.go:13", "b/types.go:8", "b/types.go:9",
		"c/in_test.go:3", "c/writes.go:10", "c/writes.go:11", "c/writes.go:12", "c/writes.go:8", "c/writes.go:9",
		"d/d.go:6", "d/d.go:7", "f/f_test.go:5",
	}, got)
}
