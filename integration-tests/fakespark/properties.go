// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// readProperties reads the part of java.util.Properties that programs write:
// one key=value (or key value) a line, # and ! comments, backslash escapes.
func readProperties(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("properties: %w", err)
	}
	props := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value := splitProperty(line)
		props[unescape(key)] = unescape(value)
	}
	return props, nil
}

// splitProperty cuts at the first separator that is not escaped.
func splitProperty(line string) (key, value string) {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '=', ':', ' ', '\t':
			rest := strings.TrimLeft(line[i:], " \t")
			if rest != "" && (rest[0] == '=' || rest[0] == ':') {
				rest = rest[1:]
			}
			return line[:i], strings.TrimSpace(rest)
		}
	}
	return line, ""
}

// unescape resolves \uXXXX, \t, \n, \r, \f and \c for any other c.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		i++
		if s[i] == 'u' && i+4 < len(s) {
			if r, err := strconv.ParseUint(s[i+1:i+5], 16, 16); err == nil {
				out.WriteRune(rune(r))
				i += 4
				continue
			}
		}
		if at := strings.IndexByte("tnrf", s[i]); at >= 0 {
			out.WriteByte("\t\n\r\f"[at])
			continue
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
