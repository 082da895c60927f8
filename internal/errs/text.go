// SPDX-License-Identifier: Apache-2.0

package errs

import (
	"strings"
	"unicode/utf8"
)

const cutMark = " [cut]"

// cutTo makes s valid UTF-8 and shortens it so that its percent-encoded form
// has no more than limit bytes, the mark of the cut apart.
func cutTo(s string, limit int) string {
	s = strings.ToValidUTF8(s, "?")
	size := 0
	for i, r := range s {
		size += wireSize(r)
		if size > limit {
			return s[:i] + cutMark
		}
	}
	return s
}

// wireSize is the size of r in grpc-message: printable ASCII except % stands
// for itself, every other byte becomes %XX.
func wireSize(r rune) int {
	if r >= ' ' && r <= '~' && r != '%' {
		return 1
	}
	return 3 * utf8.RuneLen(r)
}
