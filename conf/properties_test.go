// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPropertiesSyntax(t *testing.T) {
	for name, tc := range map[string]struct {
		text, key, val string
		line           int
	}{
		"equals":              {"a.b=c", "a.b", "c", 1},
		"spaces around":       {"  a.b  =  c d  ", "a.b", "c d", 1},
		"colon":               {"a: b", "a", "b", 1},
		"blank as separator":  {"a b=c", "a", "b=c", 1},
		"tab as separator":    {"a\tb", "a", "b", 1},
		"second equals stays": {"a==b", "a", "=b", 1},
		"no value":            {"a", "a", "", 1},
		"empty value":         {"a=", "a", "", 1},
		"hash is a comment":   {"# a=b\nc=d", "c", "d", 2},
		"bang is a comment":   {"\n  ! a=b\nc=d", "c", "d", 3},
		"hash in a value":     {"a=b#c", "a", "b#c", 1},
		"continuation":        {"a=b,\\\n    c,\\\n  d", "a", "b,c,d", 1},
		"comment mark inside": {"a=b\\\n# c", "a", "b# c", 1},
		"even backslashes":    {`a=b\\`, "a", `b\`, 1},
		"continued at end":    {"a=b\\", "a", "b", 1},
		"escaped separator":   {`a\=b\:c\ d=e`, "a=b:c d", "e", 1},
		"escapes":             {`a=x\ty\nz\qw`, "a", "x\ty\nzqw", 1},
		"unicode escape":      {`a=\u00e9`, "a", "é", 1},
		"two halves":          {`a=\ud83d\ude80!`, "a", "🚀!", 1},
		"utf-8":               {"a=é🚀", "a", "é🚀", 1},
		"byte order mark":     {"\ufeffa=b", "a", "b", 1},
		"windows line ends":   {"#\r\na=b\r\n", "a", "b", 2},
		"old mac line ends":   {"#\ra=b\r", "a", "b", 2},
		"form feed":           {"\fa\f=\fb", "a", "b", 1},
	} {
		t.Run(name, func(t *testing.T) {
			lines, faults := parseProperties("f", tc.text)
			require.Empty(t, faults)
			require.Equal(t, []line{{tc.key, tc.val, Source{"f", tc.line}}}, lines)
		})
	}
}

func TestPropertiesFaultsNameTheirLine(t *testing.T) {
	for name, tc := range map[string]struct {
		text, want string
	}{
		"not utf-8":     {"a=b\nc=\xff", "f:2: this line is not UTF-8"},
		"no key":        {"\n=b", "f:2: there is a value but no key"},
		"short escape":  {`a=\u12`, `f:1: a: the escape \u12 is too short; write \u and four hexadecimal digits`},
		"bad escape":    {`a=\u12zz`, `f:1: a: the escape \"u12zz" is not \u and four hexadecimal digits`},
		"half":          {`a=\ud83d!`, `f:1: a: the escape \ud83d is half of a character; write both halves or the character itself`},
		"bad escape k":  {`\uxxxx=b`, `f:1: the escape \"uxxxx" is not \u and four hexadecimal digits`},
		"second half":   {`a=\ude80`, `f:1: a: the escape \ude80 is half of a character; write both halves or the character itself`},
		"two first":     {`a=\ud83d\ud83d`, `f:1: a: the escape \ud83d is half of a character; write both halves or the character itself`},
		"end after \\u": {`a=\u`, `f:1: a: the escape \u is too short; write \u and four hexadecimal digits`},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := parseProperties("f", tc.text)
			require.Len(t, faults, 1)
			require.Equal(t, tc.want, faults[0].Error())
		})
	}
}

func FuzzProperties(f *testing.F) {
	for _, seed := range []string{"a=b", "a\\\n b", `\ud83d\ude80`, `a=\u`, "\ufeff!\r\r\n:", "=\\", "a b\x00=c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, _ := parseProperties("f", text)
		last := 0
		for _, l := range lines {
			require.NotEmpty(t, l.key)
			require.Greater(t, l.from.Line, last)
			last = l.from.Line
		}
	})
}
