// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const licence = "SPDX-License-Identifier: Apache-2.0"

var sourcesHaveLicence = rule{
	advice: "Begin the file with \"// " + licence + "\" (\"#\" in scripts, below the #! line), and leave the next line empty in Go.",
	find: func(t *tree) (found []finding) {
		for _, f := range t.files {
			if sourceFile(f) && !generatedLine.MatchString(f.text) && !licensed(f) {
				found = append(found, finding{f.path, "no licence line"})
			}
		}
		return found
	},
}

func licensed(f textFile) bool {
	comment := "// "
	if ext := path.Ext(f.path); ext != ".go" && ext != ".java" {
		comment = "# "
	}
	first, rest, _ := strings.Cut(f.text, "\n")
	if strings.HasPrefix(first, "#!") {
		first, _, _ = strings.Cut(rest, "\n")
	}
	return first == comment+licence
}

// machineTraces match what only the machine of a developer knows. They are
// written so that they do not match themselves. Of paths the first group is
// the part that must begin a path.
var machineTraces = []struct {
	what    string
	pattern *regexp.Regexp
}{
	{"a home folder", regexp.MustCompile(`/((?:home|Users)/[a-z]|(?:root)/\S)`)},
	{"a folder of one machine", regexp.MustCompile(`/((?:work)/(?:main|shared|tmp)\b|(?:tmp)/w\b)`)},
	{"the host of a package registry", regexp.MustCompile(`(?:proxy|sum)\.golang\.org|files\.pythonhosted\.org|registry\.npmjs\.org|pypi\.org/simple|repo1?\.maven\.(?:apache\.)?org|\b(?:artifactory|nexus)\.[\w-]+\.`)},
	{"a private key", regexp.MustCompile(`-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-{5}`)},
}

var filesNameNoMachine = rule{
	advice: "Take it from an argument, a setting, t.TempDir() or the user's own tools; make keys when a test runs.",
	find: func(t *tree) (found []finding) {
		for _, f := range t.files {
			for _, trace := range machineTraces {
				for _, at := range tracesIn(f.text, trace.pattern) {
					found = append(found, finding{f.path + ":" + lineAt(f.text, at), trace.what})
				}
			}
		}
		return found
	},
}

// tracesIn gives the offsets of a pattern; of paths only those that begin one.
func tracesIn(text string, pattern *regexp.Regexp) (offsets []int) {
	for _, at := range pattern.FindAllStringSubmatchIndex(text, -1) {
		if len(at) == 2 || beginsPath(text, at[0]) {
			offsets = append(offsets, at[0])
		}
	}
	return offsets
}

// beginsPath tells whether the slash at an offset begins a path: "$HOME/x",
// "https://host/x" and "a/x" do not.
func beginsPath(text string, at int) bool {
	if at == 0 {
		return true
	}
	before := text[at-1]
	return !strings.ContainsRune(".$}/-_", rune(before)) && !isLetter(before)
}

func isLetter(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
}

func lineAt(text string, offset int) string {
	return strconv.Itoa(strings.Count(text[:offset], "\n") + 1)
}

var replaceLine = regexp.MustCompile(`(?m)^\s*replace\b`)

var moduleReplacesNothing = rule{
	advice: "Use a released version; go install of this module must work for everybody.",
	find: func(t *tree) (found []finding) {
		for _, f := range t.files {
			if path.Base(f.path) != "go.mod" {
				continue
			}
			if at := replaceLine.FindStringIndex(f.text); at != nil {
				found = append(found, finding{f.path + ":" + lineAt(f.text, at[1]), "replace directive"})
			}
		}
		return found
	},
}

// testCommand is the first command of the README's section on tests.
var testCommand = regexp.MustCompile("(?ms)^## Tests$.*?^(?:    |```\\w*\n)(\\S[^\n]*)$")

var ciRunsTheTests = rule{
	advice: "The file .ci/run must be executable and call the first command of the README's section \"## Tests\".",
	find: func(t *tree) []finding {
		readme, _ := t.file("README.md")
		command := testCommand.FindStringSubmatch(readme.text)
		if command == nil {
			return []finding{{"README.md", "no section \"## Tests\" with a command"}}
		}
		run, ok := t.file(".ci/run")
		if !ok {
			return []finding{{".ci/run", "does not exist"}}
		}
		if !run.exec {
			return []finding{{".ci/run", "is not executable"}}
		}
		if !calls(run.text, command[1]) {
			return []finding{{".ci/run", "does not call " + command[1]}}
		}
		return nil
	},
}

// calls tells whether a line of a script, comments aside, begins with a
// command.
func calls(script, command string) bool {
	return regexp.MustCompile(`(?m)^\s*(?:if |exec )?` + regexp.QuoteMeta(command) + `\b`).MatchString(script)
}

func TestSourcesHaveLicence(t *testing.T)    { sourcesHaveLicence.hold(t) }
func TestFilesNameNoMachine(t *testing.T)    { filesNameNoMachine.hold(t) }
func TestModuleReplacesNothing(t *testing.T) { moduleReplacesNothing.hold(t) }
func TestCIRunsTheTests(t *testing.T)        { ciRunsTheTests.hold(t) }

func TestMissingLicencesAreFound(t *testing.T) {
	got := sourcesHaveLicence.on(t, map[string]string{
		"a/good.go":   "// " + licence + "\n\npackage a\n",
		"a/late.go":   "\n// " + licence + "\n\npackage a\n",
		"a/other.go":  "// SPDX-License-Identifier: MIT\n\npackage a\n",
		"a/gen.go":    "// Code generated by x. DO NOT EDIT.\npackage a\n",
		"a/A.java":    "package a;\n",
		"a/good.py":   "#!/usr/bin/env python3\n# " + licence + "\n",
		"a/bad.py":    "// " + licence + "\n",
		"bin/gateway": "#!/bin/bash\nset -e\n",
		"a/x.proto":   "syntax = \"proto3\";\n",
	})
	require.Equal(t, []string{"a/A.java", "a/bad.py", "a/late.go", "a/other.go", "bin/gateway"}, got)
}

func TestMachineTracesAreFound(t *testing.T) {
	got := filesNameNoMachine.on(t, map[string]string{
		"home.md":     "x\nsee /ho" + "me/alice/x\n",
		"mac.md":      "`/Us" + "ers/bob`",
		"super.sh":    "cd /ro" + "ot/.cache",
		"machine.sh":  "A=/wo" + "rk/main/x",
		"proxy.md":    "GOPROXY=https://proxy.go" + "lang.org",
		"wheel.txt":   "https://files.python" + "hosted.org/x",
		"key.pem":     "-----BEGIN EC PRIVATE" + " KEY-----",
		"fine.md":     "$KYUUBI_HOME/work/main, ${H}/root/x, https://example.org/home/alice, /tmp/work, ~/x, `/home`",
		"certificate": "-----BEGIN CERTIFICATE-----",
	})
	require.Equal(t, []string{"home.md:2", "key.pem:1", "mac.md:1", "machine.sh:1", "proxy.md:1", "super.sh:1", "wheel.txt:1"}, got)
}

func TestReplaceDirectivesAreFound(t *testing.T) {
	require.Empty(t, moduleReplacesNothing.on(t, map[string]string{"x/go.mod": "module x\n// never replace\n"}))
	require.Equal(t, []string{"x/go.mod:3"}, moduleReplacesNothing.on(t, map[string]string{"x/go.mod": "module x\n\nreplace a => ../a\n"}))
}

func TestIdleCIIsFound(t *testing.T) {
	readme := "# House\n\n## Tests\n\nRun them:\n\n    make test\n\n## More\n"
	require.Equal(t, []string{"README.md"}, ciRunsTheTests.on(t, map[string]string{"README.md": "# House\n"}))
	require.Equal(t, []string{".ci/run"}, ciRunsTheTests.on(t, map[string]string{"README.md": readme}))
	require.Equal(t, []string{".ci/run"}, ciRunsTheTests.on(t, map[string]string{"README.md": readme, ".ci/run": "make test\n"}), "not executable")
	require.True(t, calls("set -e\nif make test; then\n", "make test"))
	require.False(t, calls("# make test\necho make test\nmake testing\n", "make test"))
	fenced := strings.ReplaceAll(readme, "    make test", "```sh\nmake test\n```")
	require.Equal(t, "make test", testCommand.FindStringSubmatch(fenced)[1])
	require.Equal(t, "make test", testCommand.FindStringSubmatch(readme)[1])
}
