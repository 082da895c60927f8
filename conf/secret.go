// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

const (
	redactedText   = "*********(redacted)"
	maxSecretBytes = 64 << 10
)

// holdsSecret are the names of settings outside the table whose value is a
// secret, and may therefore be a reference.
var holdsSecret = regexp.MustCompile(`(?i)secret|password|token|access[.]?_?key`)

// namesFile ends the names of settings that hold the path of a secret, not the
// secret: their "file:" is theirs, not a reference.
var namesFile = regexp.MustCompile(`(?i)(file|path|dir|keytab|location|class|provider|providers)$`)

// secretReference resolves a value of the form file:/path or env:NAME. isRef is
// false for any other value. Errors name the reference, never the secret.
func secretReference(text string, getenv func(string) string) (secret string, isRef bool, err error) {
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		secret = getenv(name)
		if secret == "" {
			err = fmt.Errorf("the environment variable %s that holds this secret is not set", name)
		}
		return secret, true, err
	}
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		secret, err = readSecret(path)
		return secret, true, err
	}
	return "", false, nil
}

// readSecret reads a small regular file that only its owner may read, without
// the line end.
func readSecret(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("the secret's file must be an absolute path, got %q", path)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // never waits for the writer of a pipe
	if err != nil {
		return "", fmt.Errorf("the secret's file cannot be read: %w", err)
	}
	defer f.Close()
	if err := checkPrivate(f); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", fmt.Errorf("the secret's file cannot be read: %w", err)
	}
	if len(text) > maxSecretBytes {
		return "", fmt.Errorf("the secret's file %s is larger than 64 KiB", path)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("the secret's file %s is empty", path)
	}
	return secret, nil
}

func checkPrivate(f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("the secret's file cannot be read: %w", err)
	case !info.Mode().IsRegular():
		return errors.New("the secret's file " + f.Name() + " is not a regular file")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others may read the secret's file %s (mode %04o); run: chmod 600 %s", f.Name(), info.Mode().Perm(), f.Name())
	}
	return nil
}

// Redacted is every setting as it may be shown: secrets, and whatever
// kyuubi.server.redaction.regex matches by key or value, are masked. Settings of
// this gateway's own table are not secret unless the table says so. User
// defaults keep their ___user___. prefix.
func (c *Conf) Redacted() map[string]string {
	shown := map[string]string{}
	hide := ServerRedaction.Get(c)
	for key, v := range c.values {
		shown[key] = redact(hide, key, v)
	}
	for user, defaults := range c.users {
		for key, v := range defaults {
			shown[userMark+user+userMark+"."+key] = redact(hide, key, v)
		}
	}
	return shown
}

func redact(hide *regexp.Regexp, key string, v value) string {
	_, ours := byKey[key]
	if v.secret || (!ours && (hide.MatchString(key) || hide.MatchString(v.text))) {
		return redactedText
	}
	return v.text
}
