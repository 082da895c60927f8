// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// tree is everything that the rules look at: the text files of a repository
// without what git ignores, the Go sources parsed.
type tree struct {
	fsys   fs.FS
	module string
	fset   *token.FileSet
	files  []textFile
	pkgs   []*goPackage
}

// textFile is one text file; path is relative to the root, with slashes.
type textFile struct {
	path string
	text string
	exec bool
}

// goPackage is one folder with Go sources that are not generated. path is
// the folder, "." for the root; name is that of the package without _test.
type goPackage struct {
	path  string
	name  string
	files []*goFile
}

// goFile is one parsed Go source.
type goFile struct {
	path string
	ast  *ast.File
	test bool
}

// finding is one violation: where (file or file:line) and what.
type finding struct {
	where string
	what  string
}

// maxTextSize bounds what is read as text, in bytes.
const maxTextSize = 4 << 20

var (
	moduleLine    = regexp.MustCompile(`(?m)^module\s+(\S+)`)
	generatedLine = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
)

// repository is this repository, read once for all tests.
var repository = sync.OnceValues(func() (*tree, error) { return load(os.DirFS("../..")) })

// load reads a tree. Go sources that do not parse are an error.
func load(fsys fs.FS) (*tree, error) {
	t := &tree{fsys: fsys, fset: token.NewFileSet()}
	ignored, err := readIgnored(fsys)
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p != "." && ignored.matches(p, d.IsDir()):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		return t.add(p)
	})
	return t, err
}

// add reads one file and, if it is Go and not generated, parses it.
func (t *tree) add(p string) error {
	info, err := fs.Stat(t.fsys, p)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && info.Size() > maxTextSize) {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := fs.ReadFile(t.fsys, p)
	if err != nil {
		return err
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil
	}
	t.files = append(t.files, textFile{path: p, text: string(text), exec: info.Mode().Perm()&0o111 != 0})
	if p == "go.mod" {
		if m := moduleLine.FindSubmatch(text); m != nil {
			t.module = string(m[1])
		}
	}
	if path.Ext(p) != ".go" || strings.Contains(p, "testdata/") || generatedLine.Match(text) {
		return nil
	}
	return t.addGo(p, text)
}

func (t *tree) addGo(p string, text []byte) error {
	parsed, err := parser.ParseFile(t.fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	dir := path.Dir(p)
	i := slices.IndexFunc(t.pkgs, func(g *goPackage) bool { return g.path == dir })
	if i < 0 {
		i = len(t.pkgs)
		t.pkgs = append(t.pkgs, &goPackage{path: dir, name: strings.TrimSuffix(parsed.Name.Name, "_test")})
	}
	test := strings.HasSuffix(p, "_test.go")
	t.pkgs[i].files = append(t.pkgs[i].files, &goFile{path: p, ast: parsed, test: test})
	return nil
}

// line gives "file:line" of a node.
func (t *tree) line(n ast.Node) string {
	p := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// lines counts the lines from the first to the last one of a node.
func (t *tree) lines(n ast.Node) int {
	return t.fset.Position(n.End()).Line - t.fset.Position(n.Pos()).Line + 1
}

// eachGo calls f for every Go source of the tree.
func (t *tree) eachGo(f func(*goPackage, *goFile)) {
	for _, p := range t.pkgs {
		for _, file := range p.files {
			f(p, file)
		}
	}
}

// file finds a text file by its path.
func (t *tree) file(p string) (textFile, bool) {
	i := slices.IndexFunc(t.files, func(f textFile) bool { return f.path == p })
	if i < 0 {
		return textFile{}, false
	}
	return t.files[i], true
}

// rule is one policy: what it finds, and what to do about a finding.
type rule struct {
	advice string
	find   func(*tree) []finding
}

// hold fails the test with every finding of the rule in the repository.
func (r rule) hold(t *testing.T) {
	t.Helper()
	repo, err := repository()
	require.NoError(t, err)
	require.NotEmpty(t, repo.pkgs, "no Go package was found, so no rule was checked")
	found := r.find(repo)
	if len(found) == 0 {
		return
	}
	var text strings.Builder
	for _, f := range found {
		fmt.Fprintf(&text, "\n  %s: %s", f.where, f.what)
	}
	t.Errorf("%d to mend. %s%s", len(found), r.advice, text.String())
}

// on runs the rule over a made-up tree and gives the places it complains
// about, in order.
func (r rule) on(t *testing.T, files map[string]string) []string {
	t.Helper()
	fsys := fstest.MapFS{"go.mod": {Data: []byte("module house\n")}}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	made, err := load(fsys)
	require.NoError(t, err)
	places := make([]string, 0)
	for _, f := range r.find(made) {
		places = append(places, f.where)
	}
	slices.Sort(places)
	return places
}
