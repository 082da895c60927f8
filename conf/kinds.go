// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func textKind() kind[string] {
	return kind[string]{"string", func(s string) (string, error) { return s, nil }}
}

func boolKind() kind[bool] { return kind[bool]{"boolean", parseBool} }

func durationKind() kind[time.Duration] {
	return kind[time.Duration]{"duration", ParseDuration}
}

// positiveKind is a duration for which "never" makes no sense.
func positiveKind() kind[time.Duration] {
	return kind[time.Duration]{"duration", func(s string) (time.Duration, error) {
		d, err := ParseDuration(s)
		if err == nil && d <= 0 {
			return 0, fmt.Errorf("must be longer than zero, got %q", s)
		}
		return d, err
	}}
}

func intKind(least, most int) kind[int] {
	return kind[int]{"int", func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, fmt.Errorf("want a whole number, got %q", s)
		}
		if n < least || n > most {
			return 0, fmt.Errorf("must be between %d and %d, got %d", least, most, n)
		}
		return n, nil
	}}
}

// portKind follows Kyuubi: 0 (any free port) or strictly between 1024 and 65535.
func portKind() kind[int] {
	return kind[int]{"port", func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || (n != 0 && (n <= 1024 || n >= 65535)) {
			return 0, fmt.Errorf("want 0 (any free port) or a port from 1025 to 65534, got %q", s)
		}
		return n, nil
	}}
}

// listKind is a comma-separated list: items trimmed, empty ones dropped.
func listKind() kind[[]string] {
	return kind[[]string]{"list", func(s string) ([]string, error) { return splitList(s), nil }}
}

// enumKind upper-cases what it reads, as Kyuubi does.
func enumKind(words ...string) kind[string] {
	return kind[string]{"one of " + strings.Join(words, ", "), func(s string) (string, error) {
		upper := strings.ToUpper(s)
		if !slices.Contains(words, upper) {
			return "", fmt.Errorf("want one of %s, got %q", strings.Join(words, ", "), s)
		}
		return upper, nil
	}}
}

// pathKind is an absolute path or "". Variables have been replaced before the
// value is used; the check sees them as written.
func pathKind() kind[string] {
	return kind[string]{"path", func(s string) (string, error) {
		rest := s
		for _, variable := range []string{"{{KYUUBI_HOME}}", "{{GATEWAY_HOME}}", "{{KYUUBI_WORK_DIR_ROOT}}"} {
			rest = strings.ReplaceAll(rest, variable, "")
		}
		switch {
		case strings.Contains(rest, "{{"):
			return "", fmt.Errorf("unknown variable in %q; paths may hold {{GATEWAY_HOME}}, {{KYUUBI_HOME}} and {{KYUUBI_WORK_DIR_ROOT}}", s)
		case s == "" || strings.HasPrefix(s, "{{"):
			return s, nil
		case !filepath.IsAbs(s):
			return "", fmt.Errorf("want an absolute path, got %q", s)
		}
		return filepath.Clean(s), nil
	}}
}

// hostKind is an address or a host name without a port.
func hostKind() kind[string] {
	return kind[string]{"host", func(s string) (string, error) {
		bare := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
		if bare == "" || net.ParseIP(bare) != nil {
			return bare, nil
		}
		if strings.ContainsAny(s, ":/ []") {
			return "", fmt.Errorf("want a host name or an address without a port, got %q", s)
		}
		return s, nil
	}}
}

func regexKind() kind[*regexp.Regexp] {
	return kind[*regexp.Regexp]{"regular expression", func(s string) (*regexp.Regexp, error) {
		re, err := regexp.Compile(s)
		if err != nil {
			return nil, fmt.Errorf("not a regular expression of RE2 syntax (no look-ahead, no back-references): %w", err)
		}
		return re, nil
	}}
}

// subdomainKind is a lower-cased name that fits a path element and a DNS label.
func subdomainKind() kind[string] {
	return kind[string]{"name", func(s string) (string, error) {
		lower := strings.ToLower(s)
		if lower != "" && !subdomainName.MatchString(lower) {
			return "", fmt.Errorf("want 1 to 63 letters, digits and hyphens, not a hyphen first, got %q", s)
		}
		return lower, nil
	}}
}

var subdomainName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("want true or false, got %q", s)
}

func splitList(s string) []string {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
func upperAll(items []string) []string {
	for i, item := range items {
		items[i] = strings.ToUpper(item)
	}
	return items
}

// namespaceKind is one element of a discovery path.
func namespaceKind() kind[string] {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
	return kind[string]{"name", func(s string) (string, error) {
		if s == "" || s == "." || s == ".." || strings.Trim(s, allowed) != "" {
			return "", fmt.Errorf("want one path element of letters, digits, _, . and -, got %q", s)
		}
		return s, nil
	}}
}
