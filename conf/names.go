// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"regexp"
	"strings"

	"roundhouse/internal/typo"
)

var (
	envVariable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	minor       = regexp.MustCompile(`^3\.[0-9]{1,2}$`)
)

// checkKnown checks a key and value of the kyuubi.* settings that this gateway
// reads. known is false for a name that it does not read.
func checkKnown(key, text string) (known bool, err error) {
	if s, ok := settingOf(key); ok {
		return true, s.check(text)
	}
	if variable, ok := strings.CutPrefix(key, EngineEnvPrefix); ok {
		return true, checkEnv(variable, text)
	}
	if version, ok := strings.CutPrefix(key, EnginePythonPrefix); ok {
		return true, checkPython(version, text)
	}
	return false, nil
}

func checkEnv(variable, text string) error {
	if !envVariable.MatchString(variable) {
		return fmt.Errorf("%q is not the name of an environment variable", variable)
	}
	if strings.ContainsRune(text, 0) {
		return fmt.Errorf("an environment variable cannot hold a NUL character")
	}
	return nil
}

func checkPython(version, text string) error {
	if !minor.MatchString(version) {
		return fmt.Errorf("%q is not a minor version of Python such as 3.11", version)
	}
	return EnginePython.check(text)
}

// unknownText is the fault of a kyuubi.* key that nobody knows.
func unknownText(key string) string {
	if name := nearest(key); name != "" {
		return "unknown setting; did you mean " + name + "?"
	}
	return "unknown setting, and no known name is near it; docs/settings.md lists them"
}

// nearest is the known setting name that needs the fewest changes, or "" when
// all are too far away to be meant.
func nearest(key string) string {
	best, least := "", max(3, len(key)/4)+1
	try := func(name string) {
		if strings.HasSuffix(name, "*") || len(name) > len(key)+least || len(key) > len(name)+least {
			return
		}
		d := typo.Distance(strings.ToLower(key), strings.ToLower(name))
		if d < least || (d == least && best != "" && name < best) {
			best, least = name, d
		}
	}
	for name := range byKey {
		try(name)
	}
	for _, name := range kyuubiKeys {
		try(name)
	}
	return best
}

// meantOption is the option that a client may choose for its engine and that
// differs from key by a slip of the finger; "" if there is none.
func meantOption(key string) string {
	lower, best, least := strings.ToLower(key), "", 3
	for name, k := range allowed {
		if len(name)-len(lower) >= least || len(lower)-len(name) >= least {
			continue
		}
		if d := typo.Distance(lower, name); d > 0 && (d < least || d == least && best != "" && k.key < best) {
			best, least = k.key, d
		}
	}
	return best
}
