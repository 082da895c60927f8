// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"go/ast"
	"go/token"
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// settingsFor are settings that no code reads, and why they are there all the
// same. It is immutable.
var settingsFor = map[string]string{
	"kyuubi.ha.client.class":              "it has one value; its type refuses the others with a reason",
	"kyuubi.session.group.provider":       "it has one value; its type refuses the others with a reason",
	"kyuubi.session.local.dir.allow.list": "nothing to allow here, but it must not count as ignored",
}

var settingsAreRead = rule{
	advice: "Read it where its documentation says, or delete the entry and, if the name is Kyuubi's, add it to conf/kyuubi_keys.txt.",
	find: func(t *tree) (found []finding) {
		used := map[string]bool{}
		t.eachGo(func(p *goPackage, f *goFile) {
			switch {
			case f.test || testHelper(p.path) || declaresSettings(f.path):
			case p.path == "conf":
				namesInConf(f.ast, used)
			default:
				namesOfConf(t, f.ast, used)
			}
		})
		t.eachSetting(func(name *ast.Ident, key string) {
			if !used[name.Name] && settingsFor[key] == "" {
				found = append(found, finding{t.line(name), key + " is read by no code"})
			}
		})
		return found
	},
}

// declaresSettings tells whether a file names settings without reading them.
func declaresSettings(file string) bool {
	keys, _ := path.Match("conf/keys_*.go", file)
	return keys || file == "conf/table.go"
}

// namesOfConf notes which names of package conf a file of another one uses.
func namesOfConf(t *tree, f *ast.File, used map[string]bool) {
	if _, ok := importName(f, t.module+"/conf"); !ok {
		return
	}
	for _, use := range uses(f, ban{pkg: t.module + "/conf"}) {
		used[use.Sel.Name] = true
	}
}

// namesInConf notes the names that a file of package conf uses: those that it
// declares, and what stands behind a dot, are other things of the same name.
func namesInConf(f *ast.File, used map[string]bool) {
	other := map[*ast.Ident]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			other[n.Name] = true
		case *ast.SelectorExpr:
			other[n.Sel] = true
		case *ast.Ident:
			used[n.Name] = used[n.Name] || !other[n]
		}
		return true
	})
}

// eachSetting calls do for every variable of conf/keys_*.go that is an Entry.
func (t *tree) eachSetting(do func(name *ast.Ident, key string)) {
	t.eachGo(func(_ *goPackage, f *goFile) {
		if !declaresSettings(f.path) || f.test {
			return
		}
		for _, d := range f.ast.Decls {
			vars, ok := d.(*ast.GenDecl)
			if !ok || vars.Tok != token.VAR {
				continue
			}
			for _, spec := range vars.Specs {
				entry := spec.(*ast.ValueSpec)
				if key := settingKey(entry); key != "" {
					do(entry.Names[0], key)
				}
			}
		}
	})
}

// settingKey is the Key inside Entry[T]{Meta{Key: "..."}, ...}, or "".
func settingKey(v *ast.ValueSpec) (key string) {
	for _, value := range v.Values {
		ast.Inspect(value, func(n ast.Node) bool {
			pair, ok := n.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			name, named := pair.Key.(*ast.Ident)
			text, literal := pair.Value.(*ast.BasicLit)
			if named && literal && name.Name == "Key" && strings.HasPrefix(text.Value, `"`) {
				key, _ = strconv.Unquote(text.Value)
			}
			return true
		})
	}
	return key
}

func TestSettingsAreRead(t *testing.T) { settingsAreRead.hold(t) }

func TestAllSettingsAreSeen(t *testing.T) {
	repo, err := repository()
	require.NoError(t, err)
	keys := map[string]bool{}
	repo.eachSetting(func(_ *ast.Ident, key string) { keys[key] = true })
	require.Greater(t, len(keys), 40)
	for key := range settingsFor {
		require.Contains(t, keys, key, "a row for a setting that is gone")
	}
}

func TestIdleSettingsAreFound(t *testing.T) {
	got := settingsAreRead.on(t, map[string]string{
		"conf/keys_a.go": `package conf

var (
	Read      = Entry[int]{Meta{Key: "kyuubi.read"}, k()}
	ReadHere  = Entry[int]{Meta{Key: "kyuubi.here"}, k()}
	Idle      = Entry[int]{Meta{Key: "kyuubi.idle"}, k()}
	Tested    = Entry[int]{Meta{Key: "kyuubi.tested"}, k()}
	Namesake  = Entry[int]{Meta{Key: "kyuubi.namesake"}, k()}
	OneValue  = Entry[int]{Meta{Key: "kyuubi.ha.client.class"}, k()}
	unrelated = 1
)

func f(c *Conf) { Idle.Get(c) }
`,
		"conf/table.go":     "package conf\n\nvar all = []setting{Idle, Tested}\n",
		"conf/conf.go":      "package conf\n\nfunc (c *Conf) Namesake() int { return ReadHere.Get(c) }\n",
		"conf/conf_test.go": "package conf\n\nvar x = Tested\n",
		"server/wire.go":    "package server\n\nimport \"house/conf\"\n\nvar x = conf.Read.Get(c) + c.Namesake() + other.Idle\n",
		"server/x_test.go":  "package server\n\nimport \"house/conf\"\n\nvar y = conf.Tested\n",
	})
	require.Equal(t, []string{"conf/keys_a.go:6", "conf/keys_a.go:7", "conf/keys_a.go:8"}, got)
}
