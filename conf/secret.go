// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"roundhouse/internal/secret"
)

// holdsSecret are the names of settings outside the table whose value is a
// secret, and may therefore be a reference.
var holdsSecret = regexp.MustCompile(`(?i)secret|password|token|access[.]?_?key`)

// namesFile ends the names of settings that hold the path of a secret, not the
// secret: their "file:" is theirs, not a reference.
var namesFile = regexp.MustCompile(`(?i)(file|path|dir|keytab|location|class|provider|providers)$`)

// endsInSecret are the names of settings that are a secret, whatever it looks like.
var endsInSecret = regexp.MustCompile(`(?i)(secret|password|token|key)$`)

// secretReference resolves a value of the form file:/path or env:NAME. isRef is
// false for any other value. Errors name the reference, never the secret.
func secretReference(text string, getenv func(string) string) (found string, isRef bool, err error) {
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		found = getenv(name)
		if found == "" {
			err = fmt.Errorf("the environment variable %s that holds this secret is not set", name)
		}
		return found, true, err
	}
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		found, err = readSecret(path)
		return found, true, err
	}
	return "", false, nil
}

// readSecret reads a file that only the gateway's user may read, without the
// line end.
func readSecret(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("the secret's file must be an absolute path, got %q", path)
	}
	text, err := secret.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("the secret's file cannot be used: %w", err)
	}
	value := strings.TrimRight(string(text), "\r\n")
	if value == "" {
		return "", fmt.Errorf("the secret's file %s is empty", path)
	}
	return value, nil
}
