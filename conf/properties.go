// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// line is one setting as a file or the command line gives it.
type line struct {
	key, text string
	from      Source
}

// parseProperties reads Java Properties syntax in UTF-8: "k=v", "k: v", "k v",
// comments with # or !, continuation by a trailing backslash, escapes. Values
// are trimmed, as Kyuubi does. It returns what it could read and every fault.
func parseProperties(file, text string) ([]line, Faults) {
	if !utf8.ValidString(text) {
		return nil, Faults{{At: Source{file, badLine(text)}, Text: "this line is not UTF-8"}}
	}
	var lines []line
	var faults Faults
	for _, logical := range logicalLines(strings.TrimPrefix(text, "\ufeff")) {
		at := Source{file, logical.number}
		rawKey, rawValue := splitProperty(logical.text)
		key, keyErr := unescape(rawKey)
		val, valErr := unescape(rawValue)
		switch {
		case keyErr != nil:
			faults = append(faults, Fault{At: at, Text: keyErr.Error()})
		case valErr != nil:
			faults = append(faults, Fault{At: at, Key: key, Text: valErr.Error()})
		case key == "":
			faults = append(faults, Fault{At: at, Text: "there is a value but no key"})
		default:
			lines = append(lines, line{key, strings.TrimSpace(val), at})
		}
	}
	return lines, faults
}

type logicalLine struct {
	text   string
	number int
}

// logicalLines joins continued lines and drops blank lines and comments.
func logicalLines(text string) []logicalLine {
	var found []logicalLine
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	continued := false
	for i, natural := range strings.Split(text, "\n") {
		natural = strings.TrimLeft(natural, " \t\f")
		if !continued && (natural == "" || natural[0] == '#' || natural[0] == '!') {
			continue
		}
		if !continued {
			found = append(found, logicalLine{number: i + 1})
		}
		continued = endsInBackslash(natural)
		if continued {
			natural = natural[:len(natural)-1]
		}
		found[len(found)-1].text += natural
	}
	return found
}

func endsInBackslash(s string) bool {
	return (len(s)-len(strings.TrimRight(s, `\`)))%2 == 1
}

// splitProperty cuts a logical line at its first separator that is not escaped.
func splitProperty(s string) (key, val string) {
	end := keyEnd(s)
	rest := strings.TrimLeft(s[end:], " \t\f")
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = rest[1:]
	}
	return s[:end], strings.TrimLeft(rest, " \t\f")
}

func keyEnd(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '=', ':', ' ', '\t', '\f':
			return i
		}
	}
	return len(s)
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		i++
		if s[i] != 'u' {
			out.WriteByte(unescaped(s[i]))
			continue
		}
		unit, used, err := unescapeUnicode(s[i:])
		if err != nil {
			return "", err
		}
		out.WriteRune(unit)
		i += used - 1
	}
	return out.String(), nil
}

func unescaped(c byte) byte {
	switch c {
	case 't':
		return '\t'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 'f':
		return '\f'
	}
	return c
}

// unescapeUnicode reads "uXXXX", or two of them for a character beyond the
// first plane, and says how many bytes it took.
func unescapeUnicode(s string) (rune, int, error) {
	first, err := hexUnit(s)
	if err != nil {
		return 0, 0, err
	}
	if first < 0xd800 || first > 0xdfff {
		return first, 5, nil
	}
	if first < 0xdc00 && strings.HasPrefix(s[5:], `\u`) {
		if second, err := hexUnit(s[6:]); err == nil && second >= 0xdc00 && second <= 0xdfff {
			return (first-0xd800)<<10 + (second - 0xdc00) + 0x10000, 11, nil
		}
	}
	return 0, 0, fmt.Errorf(`the escape \u%04x is half of a character; write both halves or the character itself`, first)
}

func hexUnit(s string) (rune, error) {
	if len(s) < 5 {
		return 0, fmt.Errorf(`the escape \%s is too short; write \u and four hexadecimal digits`, s)
	}
	n, err := strconv.ParseUint(s[1:5], 16, 16)
	if err != nil {
		return 0, fmt.Errorf(`the escape \%q is not \u and four hexadecimal digits`, s[:5])
	}
	return rune(n), nil
}

func badLine(text string) int {
	for i, natural := range strings.Split(text, "\n") {
		if !utf8.ValidString(natural) {
			return i + 1
		}
	}
	return 1
}
