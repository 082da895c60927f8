// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The budgets of this repository, in lines, parameters, methods and levels.
const (
	maxFileLines     = 500
	maxFunctionLines = 80
	maxParameters    = 5
	maxMethods       = 5
	maxNesting       = 3
)

var filesAreShort = rule{
	advice: "Split the file by what its parts are about; half of our files are under 160 lines.",
	find: func(t *tree) (found []finding) {
		for _, f := range t.files {
			if !sourceFile(f) || generatedLine.MatchString(f.text) {
				continue
			}
			if n := strings.Count(f.text, "\n"); n > maxFileLines {
				found = append(found, finding{f.path, fmt.Sprintf("%d lines, at most %d", n, maxFileLines)})
			}
		}
		return found
	},
}

// sourceFile tells whether people write the file in Go, Java, Python or
// shell.
func sourceFile(f textFile) bool {
	switch path.Ext(f.path) {
	case ".go", ".java", ".py", ".sh":
		return true
	}
	return strings.HasPrefix(f.text, "#!")
}

// function is a declared function or a function literal.
type function struct {
	name string
	node ast.Node
	typ  *ast.FuncType
	body *ast.BlockStmt
}

// functions gives every function of a file, literals included.
func functions(f *ast.File) (all []function) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			all = append(all, function{n.Name.Name, n, n.Type, n.Body})
		case *ast.FuncLit:
			all = append(all, function{"func literal", n, n.Type, n.Body})
		}
		return true
	})
	return all
}

// perFunction makes a rule's search out of a check of one function, which
// answers with a complaint or "".
func perFunction(check func(*tree, *goFile, function) string) func(*tree) []finding {
	return func(t *tree) (found []finding) {
		t.eachGo(func(_ *goPackage, f *goFile) {
			for _, fn := range functions(f.ast) {
				if what := check(t, f, fn); what != "" {
					found = append(found, finding{t.line(fn.node), fn.name + ": " + what})
				}
			}
		})
		return found
	}
}

var functionsAreShort = rule{
	advice: "Take steps out into functions with names of their own; half of our functions are under 10 lines. In tests, tables do not count.",
	find: perFunction(func(t *tree, f *goFile, fn function) string {
		n := t.lines(fn.node)
		if f.test && fn.body != nil {
			n -= tableLines(t, fn.body)
		}
		if n <= maxFunctionLines {
			return ""
		}
		return fmt.Sprintf("%d lines, at most %d", n, maxFunctionLines)
	}),
}

// tableLines counts the lines inside the outermost composite literals.
func tableLines(t *tree, body *ast.BlockStmt) (sum int) {
	ast.Inspect(body, func(n ast.Node) bool {
		table, ok := n.(*ast.CompositeLit)
		if ok {
			sum += t.lines(table) - 1
		}
		return !ok
	})
	return sum
}

var parametersAreFew = rule{
	advice: "Pass a struct with named fields instead.",
	find: perFunction(func(_ *tree, _ *goFile, fn function) string {
		n := 0
		for _, field := range fn.typ.Params.List {
			n += max(1, len(field.Names))
		}
		if n <= maxParameters {
			return ""
		}
		return fmt.Sprintf("%d parameters, at most %d", n, maxParameters)
	}),
}

var nestingIsShallow = rule{
	advice: "Return early, or take the inner part out into a function.",
	find: perFunction(func(_ *tree, _ *goFile, fn function) string {
		if fn.body == nil {
			return ""
		}
		if n := nesting(fn.body); n > maxNesting {
			return fmt.Sprintf("%d levels of nesting, at most %d", n, maxNesting)
		}
		return ""
	}),
}

// nesting is the depth of if, for, switch and select inside a block. "else
// if" stays on the level of its if; a function literal is counted as a
// function of its own.
func nesting(block ast.Node) (deepest int) {
	ast.Inspect(block, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.IfStmt:
			deepest = max(deepest, 1+nestingOfIf(n))
			return false
		case *ast.ForStmt:
			deepest = max(deepest, 1+nesting(n.Body))
			return false
		case *ast.RangeStmt:
			deepest = max(deepest, 1+nesting(n.Body))
			return false
		case *ast.SwitchStmt:
			deepest = max(deepest, 1+nesting(n.Body))
			return false
		case *ast.TypeSwitchStmt:
			deepest = max(deepest, 1+nesting(n.Body))
			return false
		case *ast.SelectStmt:
			deepest = max(deepest, 1+nesting(n.Body))
			return false
		}
		return true
	})
	return deepest
}

func nestingOfIf(n *ast.IfStmt) int {
	inside := nesting(n.Body)
	switch e := n.Else.(type) {
	case *ast.IfStmt:
		inside = max(inside, nestingOfIf(e))
	case *ast.BlockStmt:
		inside = max(inside, nesting(e))
	}
	return inside
}

var interfacesAreSmall = rule{
	advice: "Split it: the consumer declares what it needs, two methods are usual, and optional abilities are interfaces of their own.",
	find: func(t *tree) (found []finding) {
		for _, p := range t.pkgs {
			declared := interfacesOf(p)
			for _, spec := range declared {
				if n := methods(spec.Type.(*ast.InterfaceType), declared, 0); n > maxMethods {
					found = append(found, finding{t.line(spec), fmt.Sprintf("%s has %d methods, at most %d", spec.Name.Name, n, maxMethods)})
				}
			}
		}
		return found
	},
}

// interfacesOf gives the interfaces that a package declares, by name.
func interfacesOf(p *goPackage) map[string]*ast.TypeSpec {
	declared := map[string]*ast.TypeSpec{}
	for _, f := range p.files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if _, ok := spec.Type.(*ast.InterfaceType); ok {
					declared[spec.Name.Name] = spec
				}
			}
			return true
		})
	}
	return declared
}

// methods counts the methods of an interface with those of the interfaces of
// its package that it embeds; one of another package counts as one.
func methods(i *ast.InterfaceType, declared map[string]*ast.TypeSpec, depth int) (n int) {
	for _, m := range i.Methods.List {
		id, embeds := m.Type.(*ast.Ident)
		if inner := declared[identName(id)]; embeds && inner != nil && depth < 10 {
			n += methods(inner.Type.(*ast.InterfaceType), declared, depth+1)
			continue
		}
		n += max(1, len(m.Names))
	}
	return n
}

func identName(id *ast.Ident) string {
	if id == nil {
		return ""
	}
	return id.Name
}

func TestFilesAreShort(t *testing.T)      { filesAreShort.hold(t) }
func TestFunctionsAreShort(t *testing.T)  { functionsAreShort.hold(t) }
func TestParametersAreFew(t *testing.T)   { parametersAreFew.hold(t) }
func TestNestingIsShallow(t *testing.T)   { nestingIsShallow.hold(t) }
func TestInterfacesAreSmall(t *testing.T) { interfacesAreSmall.hold(t) }

func TestLongFilesAreFound(t *testing.T) {
	long := strings.Repeat("\n", maxFileLines+1)
	got := filesAreShort.on(t, map[string]string{
		"a/a.go":    "package a" + long,
		"a/b.go":    "package a" + long[1:],
		"a/gen.go":  "// Code generated by x. DO NOT EDIT.\npackage a" + long,
		"a/A.java":  long,
		"bin/run":   "#!/bin/sh" + long,
		"docs/x.md": long,
	})
	require.Equal(t, []string{"a/A.java", "a/a.go", "bin/run"}, got)
}

func TestLongFunctionsAreFound(t *testing.T) {
	body := strings.Repeat("\tx()\n", maxFunctionLines-1)
	rows := "\ttable := []int{\n" + strings.Repeat("\t\t1,\n", maxFunctionLines) + "\t}\n"
	got := functionsAreShort.on(t, map[string]string{
		"a/long.go":      "package a\nfunc long() {\n" + body + "}\n",
		"a/fits.go":      "package a\nfunc fits() {\n" + body[5:] + "}\n",
		"a/wiring.go":    "package a\nfunc wiring() {\n" + rows + "}\n",
		"a/rows_test.go": "package a\nfunc rows() {\n" + rows + "}\n",
		"a/lit.go":       "package a\nvar f = func() {\n" + body + "}\n",
	})
	require.Equal(t, []string{"a/lit.go:2", "a/long.go:2", "a/wiring.go:2"}, got)
}

func TestManyParametersAreFound(t *testing.T) {
	got := parametersAreFew.on(t, map[string]string{"a/a.go": `package a

func (t T) six(a, b, c int, d, e, f string) {}
func (t T) five(a, b, c int, d, e string)   {}
func unnamed(int, int, int, int, int, int)  {}
`})
	require.Equal(t, []string{"a/a.go:3", "a/a.go:5"}, got)
}

func TestDeepNestingIsFound(t *testing.T) {
	got := nestingIsShallow.on(t, map[string]string{"a/a.go": `package a

func four() {
	for {
		if a {
			switch b {
			case 1:
				for range c {
				}
			}
		}
	}
}

func elses() {
	if a {
	} else if b {
	} else if c {
	} else if d {
	} else {
		for {
			select {}
		}
	}
}

func deepElse() {
	if a {
	} else {
		for {
			if b {
				for {
				}
			}
		}
	}
}

func literal() {
	for {
		if a {
			f = func() {
				for {
					switch {}
				}
			}
		}
	}
}
`})
	require.Equal(t, []string{"a/a.go:27", "a/a.go:3"}, got)
}

func TestWideInterfacesAreFound(t *testing.T) {
	got := interfacesAreSmall.on(t, map[string]string{"a/a.go": `package a

type six interface {
	A()
	B()
	C()
	D()
	E()
	F()
}

type four interface {
	A()
	B()
	C()
	error
}

type both interface {
	four
	G()
	H()
}

type five interface {
	four
	G()
}
`})
	require.Equal(t, []string{"a/a.go:19", "a/a.go:3"}, got)
}
