// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Basic reads the user name and the password of credentials of SchemeBasic
// (RFC 7617, in UTF-8). It is false for what that forbids: a name or password
// with control characters (NUL ends names in some directories), and for an
// empty one, which a directory takes for a visitor without a name (RFC 4513
// section 5.1.2).
func (c Credentials) Basic() (user, password string, ok bool) {
	if c.Scheme != SchemeBasic {
		return "", "", false
	}
	text, err := base64.StdEncoding.DecodeString(c.Value)
	if err != nil || !utf8.Valid(text) || strings.ContainsFunc(string(text), unicode.IsControl) {
		return "", "", false
	}
	user, password, ok = strings.Cut(string(text), ":")
	if !ok || user == "" || password == "" {
		return "", "", false
	}
	return user, password, true
}
