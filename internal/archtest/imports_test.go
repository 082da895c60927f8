// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mayImport says which packages of this module each package may import
// outside its tests. The longest matching row counts; "x/..." is x and all
// below it. It is immutable.
var mayImport = map[string][]string{
	"internal/...":          {"internal/..."},
	"internal/archtest":     {},
	"proto/...":             {},
	"conf":                  {"internal/..."},
	"auth":                  {"internal/..."},
	"auth/...":              {"auth", "internal/..."},
	"discovery":             {"internal/..."},
	"discovery/...":         {"discovery", "internal/..."},
	"engine":                {"discovery", "engine/control", "engine/local", "internal/..."},
	"engine/control":        {"internal/..."},
	"engine/local":          {"internal/..."},
	"engine/submit":         {"engine", "engine/local", "engine/standalone", "internal/..."},
	"engine/standalone":     {"engine", "internal/..."},
	"engine/plugin":         {},
	"engine/enginetest/...": {"discovery", "engine/enginetest/...", "internal/...", "proto/..."},
	"session":               {"auth", "conf", "discovery", "engine", "internal/...", "proto/..."},
	"server/proxy":          {"internal/...", "proto/..."},
	"server/metrics":        {"internal/...", "proto/..."},
	"server/audit":          {"auth", "internal/..."},
	"server/people":         {"auth", "discovery", "internal/..."},
	"server/frontend":       {"auth", "conf", "engine", "session", "server/proxy", "internal/...", "proto/..."},
	"server/rest":           {"auth", "conf", "engine", "session", "internal/..."},
	"server":                {"auth/...", "conf", "discovery/...", "engine", "engine/control", "engine/local", "engine/submit", "session", "server/...", "internal/...", "proto/..."},
	"cmd/...":               {"auth", "cmd/...", "conf", "server", "internal/..."},
	"integration-tests/...": {"auth/...", "conf", "discovery/...", "engine/...", "integration-tests/...", "internal/...", "proto/...", "server/...", "session"},
}

// testsMayImport is what tests may import beyond the row of their package:
// helpers and real neighbours instead of mocks. It is immutable.
var testsMayImport = []string{"auth/...", "discovery/...", "engine/enginetest", "integration-tests/env", "internal/...", "proto/..."}

// neverReaches lists what must not be reachable over any chain of imports,
// whatever the rows above say. It is immutable.
var neverReaches = map[string][]string{
	"engine":       {"auth", "session", "server", "conf", "engine/submit"},
	"discovery":    {"auth", "engine", "session", "server", "conf"},
	"auth":         {"discovery", "engine", "session", "server", "conf"},
	"session":      {"server", "discovery/embedded", "engine/submit"},
	"server/proxy": {"auth", "session", "engine", "discovery", "conf"},
	"server/rest":  {"server/frontend", "server/proxy", "discovery/embedded", "engine/submit"},
	"conf":         {"auth", "discovery", "engine", "session", "server"},
}

// clients says which package alone may import a third-party module. A module
// without a row must not be imported at all; an empty list means anywhere.
// It is immutable.
var clients = map[string][]string{
	"go.etcd.io/bbolt":                    {"discovery/embedded"},
	"github.com/go-zookeeper/zk":          {"discovery/zookeeper", "integration-tests/..."},
	"github.com/spf13/viper":              {"conf"},
	"github.com/spf13/cobra":              {"cmd/gateway/cli"},
	"github.com/prometheus/client_golang": {"server/metrics"},
	"github.com/prometheus/client_model":  {"server/metrics"},
	"github.com/hashicorp/golang-lru/v2":  {"session", "auth/throttle", "auth/ldap", "auth/jwt", "internal/recall"},
	"github.com/coreos/go-oidc/v3":        {"auth/jwt"},
	"github.com/go-jose/go-jose/v4":       {"auth/jwt", "auth/issue", "integration-tests/..."},
	"github.com/go-ldap/ldap/v3":          {"auth/ldap"},
	"github.com/jcmturner":                {"internal/krb5/..."},
	"go.yaml.in/yaml/v3":                  {"auth/rules"},
	"gopkg.in/natefinch/lumberjack.v2":    {"server/audit"},
	"github.com/pavlo-v-chernykh":         {"internal/tlsx"},
	"software.sslmate.com/src/go-pkcs12":  {"internal/tlsx"},
	"golang.org/x/term":                   {"cmd/gateway/cli"},
	"golang.org/x/oauth2":                 {"cmd/gateway/cli"},
	"github.com/google/uuid":              {},
	"golang.org/x/sync":                   {},
	"golang.org/x/sys":                    {},
	"google.golang.org/genproto":          {},
	"google.golang.org/grpc":              {},
	"google.golang.org/protobuf":          {},
}

// testLibraries are imported by tests and their helpers only. It is immutable.
var testLibraries = []string{"github.com/stretchr/testify", "go.uber.org/goleak", "github.com/getkin/kin-openapi", "golang.org/x/net"}

// within tells whether a package path is covered by a pattern.
func within(pkg, pattern string) bool {
	base, deep := strings.CutSuffix(pattern, "/...")
	return pkg == base || deep && strings.HasPrefix(pkg, base+"/")
}

func withinAny(pkg string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return within(pkg, p) })
}

// row finds the row of the import table for a package.
func row(pkg string) ([]string, bool) {
	best := ""
	for pattern := range mayImport {
		if within(pkg, pattern) && (len(pattern) > len(best) || pattern == pkg) && best != pkg {
			best = pattern
		}
	}
	return mayImport[best], best != ""
}

var importsFollowTheTable = rule{
	advice: "Declare an interface where it is consumed and let server/wire.go join the parts, or, if the design changes, change the table in internal/archtest.",
	find: func(t *tree) (found []finding) {
		for _, p := range t.pkgs {
			allowed, ok := row(p.path)
			if !ok {
				found = append(found, finding{p.path, "the import table has no row for this package"})
				continue
			}
			for _, f := range p.files {
				found = append(found, t.strayImports(p, f, allowed)...)
			}
		}
		return found
	},
}

func (t *tree) strayImports(p *goPackage, f *goFile, allowed []string) (found []finding) {
	for _, i := range f.ast.Imports {
		to, ours := strings.CutPrefix(importPath(i), t.module+"/")
		if !ours || to == p.path || withinAny(to, allowed) {
			continue
		}
		if f.test && (withinAny(to, testsMayImport) || within(to, p.path+"/...")) {
			continue
		}
		found = append(found, finding{t.line(i), p.path + " must not import " + to})
	}
	return found
}

var layersStayApart = rule{
	advice: "Break the chain: one of its packages knows more than it needs.",
	find: func(t *tree) (found []finding) {
		graph := t.importGraph()
		for _, from := range slices.Sorted(maps.Keys(neverReaches)) {
			for _, to := range neverReaches[from] {
				if chain := chainBetween(graph, from, to, nil); chain != nil {
					found = append(found, finding{from, "reaches " + to + " over " + strings.Join(chain, " -> ")})
				}
			}
		}
		return found
	},
}

// importGraph gives, for each package of the module, those which its files
// outside tests import.
func (t *tree) importGraph() map[string][]string {
	graph := map[string][]string{}
	t.eachGo(func(p *goPackage, f *goFile) {
		for _, i := range f.ast.Imports {
			if to, ours := strings.CutPrefix(importPath(i), t.module+"/"); ours && !f.test {
				graph[p.path] = append(graph[p.path], to)
			}
		}
	})
	return graph
}

// chainBetween finds a way from a package to another one, or nil.
func chainBetween(graph map[string][]string, from, to string, seen []string) []string {
	if from == to {
		return []string{to}
	}
	if slices.Contains(seen, from) {
		return nil
	}
	for _, next := range graph[from] {
		if chain := chainBetween(graph, next, to, append(seen, from)); chain != nil {
			return append([]string{from}, chain...)
		}
	}
	return nil
}

var clientsHaveOneImporter = rule{
	advice: "Third-party clients stay behind one package of ours; a new one needs a row in internal/archtest and a reason in the commit.",
	find: func(t *tree) (found []finding) {
		t.eachGo(func(p *goPackage, f *goFile) {
			for _, i := range f.ast.Imports {
				if what := t.strayClient(p, f, i); what != "" {
					found = append(found, finding{t.line(i), what})
				}
			}
		})
		return found
	},
}

func (t *tree) strayClient(p *goPackage, f *goFile, i *ast.ImportSpec) string {
	to := importPath(i)
	host, _, _ := strings.Cut(to, "/")
	if !strings.Contains(host, ".") {
		return "" // the standard library or this module
	}
	if withinAny(to, deep(testLibraries)) {
		if f.test || testHelper(p.path) {
			return ""
		}
		return to + " is for tests"
	}
	for module, only := range clients {
		if !within(to, module+"/...") {
			continue
		}
		if len(only) == 0 || withinAny(p.path, only) {
			return ""
		}
		return fmt.Sprintf("%s is imported by %s only", module, strings.Join(only, ", "))
	}
	return to + " is a module without a row"
}

func deep(patterns []string) (all []string) {
	for _, p := range patterns {
		all = append(all, p+"/...")
	}
	return all
}

func TestImportsFollowTheTable(t *testing.T)  { importsFollowTheTable.hold(t) }
func TestLayersStayApart(t *testing.T)        { layersStayApart.hold(t) }
func TestClientsHaveOneImporter(t *testing.T) { clientsHaveOneImporter.hold(t) }

func TestStrayImportsAreFound(t *testing.T) {
	got := importsFollowTheTable.on(t, map[string]string{
		"conf/a.go":             "package conf\nimport \"house/internal/errs\"\n",
		"engine/a.go":           "package engine\nimport (\n\"house/discovery\"\n\"house/auth\"\n\"os\"\n)\n",
		"engine/a_test.go":      "package engine\nimport \"house/discovery/embedded\"\n",
		"engine/b_test.go":      "package engine_test\nimport (\n\"house/engine\"\n\"house/session\"\n)\n",
		"engine/local/a.go":     "package local\nimport \"house/engine\"\n",
		"server/frontend/a.go":  "package frontend\nimport \"house/server/rest\"\n",
		"session/a.go":          "package session\nimport \"house/discovery/embedded\"\n",
		"internal/errs/a.go":    "package errs\nimport \"house/conf\"\n",
		"auth/token/a.go":       "package token\nimport \"house/auth\"\n",
		"somewhere/else/new.go": "package else_\n",
	})
	require.Equal(t, []string{
		"engine/a.go:4", "engine/b_test.go:4", "engine/local/a.go:2", "internal/errs/a.go:2",
		"server/frontend/a.go:2", "session/a.go:2", "somewhere/else",
	}, got)
}

func TestChainsBetweenLayersAreFound(t *testing.T) {
	files := map[string]string{
		"engine/a.go":        "package engine\nimport \"house/internal/x\"\n",
		"internal/x/a.go":    "package x\nimport \"house/internal/y\"\n",
		"internal/y/a.go":    "package y\nimport (\"house/internal/x\"; \"house/auth\")\n",
		"engine/a_test.go":   "package engine\nimport \"house/conf\"\n",
		"server/proxy/a.go":  "package proxy\nimport \"house/internal/z\"\n",
		"discovery/a_tes.go": "package discovery\n",
	}
	require.Equal(t, []string{"engine"}, layersStayApart.on(t, files))
}

func TestStrayClientsAreFound(t *testing.T) {
	got := clientsHaveOneImporter.on(t, map[string]string{
		"discovery/embedded/a.go": "package embedded\nimport \"go.etcd.io/bbolt/errors\"\n",
		"session/a.go":            "package session\nimport (\n\"go.etcd.io/bbolt\"\n\"google.golang.org/grpc/codes\"\n)\n",
		"auth/a.go":               "package auth\nimport \"example.org/new/client\"\n",
		"auth/b.go":               "package auth\nimport \"github.com/stretchr/testify/require\"\n",
		"auth/b_test.go":          "package auth\nimport \"github.com/stretchr/testify/require\"\n",
		"auth/authtest/a.go":      "package authtest\nimport \"github.com/stretchr/testify/require\"\n",
	})
	require.Equal(t, []string{"auth/a.go:2", "auth/b.go:2", "session/a.go:3"}, got)
}
