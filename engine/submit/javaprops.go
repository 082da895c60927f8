// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// formatProperties writes settings in the syntax of java.util.Properties,
// sorted, in plain ASCII. Keys and values with a line break or a NUL are
// refused: nothing that Spark reads needs them, and they hide settings from
// those who read the file.
func formatProperties(settings map[string]string) (string, error) {
	var out strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		value := settings[key]
		if key == "" || strings.ContainsAny(key+value, "\n\r\x00") || !utf8.ValidString(key) || !utf8.ValidString(value) {
			return "", fmt.Errorf("the setting %q has a line break, a NUL or broken UTF-8 in its name or value; correct it", key)
		}
		writeEscaped(&out, key, true)
		out.WriteByte('=')
		writeEscaped(&out, value, false)
		out.WriteByte('\n')
	}
	return out.String(), nil
}

func writeEscaped(out *strings.Builder, text string, isKey bool) {
	leading := true
	for _, r := range text {
		switch {
		case r == ' ' && (isKey || leading), strings.ContainsRune(`=:#!\`, r):
			out.WriteByte('\\')
			out.WriteRune(r)
		case r >= ' ' && r < 0x7f:
			out.WriteRune(r)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(out, `\u%04x`, unit)
			}
		}
		leading = leading && r == ' '
	}
}

// parseProperties reads that syntax leniently, as Java and Spark do: a bad
// escape stands for itself, values are trimmed, the last of equal keys wins.
func parseProperties(text string) map[string]string {
	settings := map[string]string{}
	var logical strings.Builder
	continued := false
	for line := range strings.Lines(strings.ReplaceAll(text, "\r", "\n")) {
		line = strings.TrimLeft(strings.TrimRight(line, "\n"), " \t\f")
		if !continued && (line == "" || line[0] == '#' || line[0] == '!') {
			continue
		}
		body := strings.TrimRight(line, `\`)
		continued = (len(line)-len(body))%2 == 1
		if continued {
			logical.WriteString(line[:len(line)-1])
			continue
		}
		logical.WriteString(line)
		addProperty(settings, logical.String())
		logical.Reset()
	}
	if logical.Len() > 0 {
		addProperty(settings, logical.String())
	}
	return settings
}

func addProperty(settings map[string]string, line string) {
	end := 0
	for end < len(line) && !strings.ContainsRune("=: \t\f", rune(line[end])) {
		if line[end] == '\\' && end+1 < len(line) {
			end++
		}
		end++
	}
	rest := strings.TrimLeft(line[end:], " \t\f")
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = rest[1:]
	}
	if key := unescape(line[:end]); key != "" {
		settings[key] = strings.TrimSpace(unescape(rest))
	}
}

func unescape(text string) string {
	var units []uint16
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r != '\\' || i+1 == len(text) {
			units = utf16.AppendRune(units, r)
			i += size
			continue
		}
		unit, used := escaped(text[i+1:])
		units = append(units, unit...)
		i += 1 + used
	}
	return string(utf16.Decode(units))
}

// escaped reads what follows a backslash and says how many bytes that took.
func escaped(text string) ([]uint16, int) {
	if text[0] == 'u' && len(text) >= 5 {
		if n, err := strconv.ParseUint(text[1:5], 16, 16); err == nil {
			return []uint16{uint16(n)}, 5
		}
	}
	if i := strings.IndexByte("tnrf", text[0]); i >= 0 {
		return []uint16{uint16("\t\n\r\f"[i])}, 1
	}
	r, size := utf8.DecodeRuneInString(text)
	return utf16.AppendRune(nil, r), size
}
