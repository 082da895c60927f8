// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ban forbids the use of functions of a package, or of all of it.
type ban struct {
	pkg   string
	names []string // empty: every name
	why   string
	free  func(*goPackage, *goFile) bool // where it may be used after all
}

// bans is immutable.
var bans = []ban{
	{
		pkg: "time", names: []string{"Sleep"},
		why:  "tests wait with testing/synctest (inside synctest.Test it is allowed: time is fake there), a channel, or require.Eventually",
		free: func(p *goPackage, f *goFile) bool { return !f.test && !testHelper(p.path) },
	},
	{
		pkg: "os", names: []string{"Exit"},
		why:  "only main and TestMain end the process; return an error",
		free: func(p *goPackage, f *goFile) bool { return f.test || p.name == "main" },
	},
	{
		pkg: "log", why: "use the *slog.Logger that was injected",
		free: func(*goPackage, *goFile) bool { return false },
	},
	{
		pkg: "log/slog", names: []string{"Debug", "Info", "Warn", "Error", "Log", "LogAttrs", "SetDefault", "DebugContext", "InfoContext", "WarnContext", "ErrorContext"},
		why:  "use the *slog.Logger that was injected",
		free: func(*goPackage, *goFile) bool { return false },
	},
	{
		pkg: "net/http", names: []string{"DefaultClient", "DefaultServeMux", "DefaultTransport", "Handle", "HandleFunc", "Get", "Post", "ListenAndServe"},
		why:  "make an own client, mux or server with time limits",
		free: func(p *goPackage, f *goFile) bool { return f.test || testHelper(p.path) },
	},
	{
		pkg: "math/rand", why: "use math/rand/v2, or crypto/rand for what must not be guessed",
		free: func(*goPackage, *goFile) bool { return false },
	},
}

// testHelper tells whether a package exists for tests only, though its files
// are not named _test.go.
func testHelper(dir string) bool {
	return strings.HasSuffix(dir, "test") || strings.HasPrefix(dir, "integration-tests")
}

var bannedNamesAreUnused = rule{
	advice: "Use what the line names instead.",
	find: func(t *tree) (found []finding) {
		t.eachGo(func(p *goPackage, f *goFile) {
			for _, b := range bans {
				if b.free(p, f) {
					continue
				}
				for _, use := range uses(f.ast, b) {
					found = append(found, finding{t.line(use), b.pkg + "." + use.Sel.Name + ": " + b.why})
				}
			}
		})
		return found
	},
}

// uses gives the places of a file where a banned name stands.
func uses(f *ast.File, b ban) (found []*ast.SelectorExpr) {
	local, ok := importName(f, b.pkg)
	if !ok {
		return nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			return b.pkg != "time" || !inBubble(n)
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && x.Name == local && (len(b.names) == 0 || slices.Contains(b.names, n.Sel.Name)) {
				found = append(found, n)
			}
		}
		return true
	})
	return found
}

// inBubble tells whether a call is synctest.Test, below which time is fake.
func inBubble(call *ast.CallExpr) bool {
	s, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "synctest" && s.Sel.Name == "Test"
}

// importName is the name under which a file knows an imported package.
func importName(f *ast.File, pkg string) (string, bool) {
	for _, i := range f.Imports {
		if importPath(i) != pkg {
			continue
		}
		if i.Name != nil {
			return i.Name.Name, true
		}
		return path.Base(pkg), true
	}
	return "", false
}

func importPath(i *ast.ImportSpec) string {
	p, err := strconv.Unquote(i.Path.Value)
	if err != nil {
		return i.Path.Value
	}
	return p
}

var nothingRunsBeforeMain = rule{
	advice: "Build it in a constructor and pass it on; nothing happens because a package was imported.",
	find: func(t *tree) (found []finding) {
		t.eachGo(func(_ *goPackage, f *goFile) {
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					found = append(found, finding{t.line(fn), "init function"})
				}
			}
		})
		return found
	},
}

var noShellIsStarted = rule{
	advice: "Start the program itself with its arguments; nothing that a client says may meet a shell.",
	find: func(t *tree) (found []finding) {
		t.eachGo(func(p *goPackage, f *goFile) {
			if f.test || testHelper(p.path) {
				return
			}
			for _, use := range uses(f.ast, ban{pkg: "os/exec"}) {
				found = append(found, shellCalls(t, f.ast, use)...)
			}
		})
		return found
	},
}

// shellCalls finds the call that a use of os/exec belongs to, if that call
// names a shell.
func shellCalls(t *tree, f *ast.File, use *ast.SelectorExpr) (found []finding) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || call.Fun != use {
			return true
		}
		for _, a := range call.Args {
			lit, ok := a.(*ast.BasicLit)
			if ok && slices.Contains([]string{"sh", "bash", "dash", "zsh"}, path.Base(strings.Trim(lit.Value, "\"`"))) {
				found = append(found, finding{t.line(call), "starts a shell"})
			}
		}
		return true
	})
	return found
}

var leaksAreLookedFor = rule{
	advice: "Add a TestMain that calls goleak.VerifyTestMain(m).",
	find: func(t *tree) (found []finding) {
		for _, p := range t.pkgs {
			if place := firstGo(t, p); place != "" && !importsLeakCheck(p) && !testHelper(p.path) {
				found = append(found, finding{place, p.path + " starts goroutines and its tests do not look for leaks"})
			}
		}
		return found
	},
}

// firstGo is the place of a package's first go statement outside its tests.
func firstGo(t *tree, p *goPackage) (place string) {
	for _, f := range p.files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok && !f.test && place == "" {
				place = t.line(g)
			}
			return place == ""
		})
	}
	return place
}

func importsLeakCheck(p *goPackage) bool {
	return slices.ContainsFunc(p.files, func(f *goFile) bool {
		_, ok := importName(f.ast, "go.uber.org/goleak")
		return ok && f.test
	})
}

func TestBannedNamesAreUnused(t *testing.T)  { bannedNamesAreUnused.hold(t) }
func TestNothingRunsBeforeMain(t *testing.T) { nothingRunsBeforeMain.hold(t) }
func TestNoShellIsStarted(t *testing.T)      { noShellIsStarted.hold(t) }
func TestLeaksAreLookedFor(t *testing.T)     { leaksAreLookedFor.hold(t) }

func TestBannedNamesAreFound(t *testing.T) {
	sleeper := "package a\nimport \"time\"\nfunc f() { time.Sleep(1); time.Now() }\n"
	got := bannedNamesAreUnused.on(t, map[string]string{
		"a/sleep.go":          sleeper,
		"a/sleep_test.go":     sleeper,
		"a/bubble_test.go":    "package a\nimport (\"time\"; \"testing/synctest\")\nfunc f() { synctest.Test(t, func() { time.Sleep(1) })\ntime.Sleep(1) }\n",
		"a/renamed_test.go":   "package a\nimport zzz \"time\"\nvar f = zzz.Sleep\n",
		"a/atest/helper.go":   sleeper,
		"a/log.go":            "package a\nimport \"log\"\nfunc g() { log.Println() }\n",
		"a/slog.go":           "package a\nimport \"log/slog\"\nfunc h(l *slog.Logger) { slog.Info(\"x\"); l.Info(\"x\") }\n",
		"a/exit.go":           "package a\nimport \"os\"\nfunc i() { os.Exit(1) }\n",
		"cmd/gateway/main.go": "package main\nimport \"os\"\nfunc main() { os.Exit(1) }\n",
	})
	require.Equal(t, []string{"a/atest/helper.go:3", "a/bubble_test.go:4", "a/exit.go:3", "a/log.go:3", "a/renamed_test.go:3", "a/sleep_test.go:3", "a/slog.go:3"}, got)
}

func TestInitFunctionsAreFound(t *testing.T) {
	got := nothingRunsBeforeMain.on(t, map[string]string{"a/a.go": "package a\nfunc init() {}\nfunc (t T) init() {}\n"})
	require.Equal(t, []string{"a/a.go:2"}, got)
}

func TestShellsAreFound(t *testing.T) {
	got := noShellIsStarted.on(t, map[string]string{"a/a.go": `package a

import "os/exec"

func f() {
	exec.Command("/bin/sh", "-c", "ls")
	exec.CommandContext(ctx, "bash")
	exec.Command("spark-submit", name)
}
`})
	require.Equal(t, []string{"a/a.go:6", "a/a.go:7"}, got)
}

func TestMissingLeakChecksAreFound(t *testing.T) {
	starter := "package a\nfunc f() { go g() }\n"
	got := leaksAreLookedFor.on(t, map[string]string{
		"good/a.go":      starter,
		"good/a_test.go": "package a_test\nimport \"go.uber.org/goleak\"\n",
		"bad/a.go":       starter,
		"bad/a_test.go":  "package a\n",
		"calm/a.go":      "package a\n",
		"calm/a_test.go": starter,
	})
	require.Equal(t, []string{"bad/a.go:2"}, got)
}
