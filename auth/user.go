// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"roundhouse/internal/errs"
)

// userName is narrow on purpose: a user name becomes a directory, a node of
// ZooKeeper, a --proxy-user and a log field, so it starts with a letter or _
// and is never "." or "..".
var userName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.@-]{0,63}$`)

// ValidUser refuses, with INVALID_REQUEST, what cannot be a user name here: it
// is 1 to 64 letters, digits and ._@- and starts with a letter or _.
func ValidUser(name string) error {
	if userName.MatchString(name) {
		return nil
	}
	return errs.New(errs.InvalidRequest, "The user name %.70q cannot be used: it must be 1 to 64 letters, digits "+
		"or any of . _ @ - and start with a letter or _.", name)
}

// maxGroup bounds the name of a group, in bytes.
const maxGroup = 256

// ValidGroup says whether a name can be that of a group in rules: 1 to 256 bytes of
// printable text, blanks inside only. Groups become no file and no argument, so
// more is allowed than for users: "/contractors", "Domain Guests".
func ValidGroup(name string) bool {
	return name != "" && len(name) <= maxGroup && strings.TrimSpace(name) == name && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}

// ShortName is the one way from the name by which a method knows a person to
// the user here: what stands before the first / or @, as in Kyuubi, so that
// alice, alice@EXAMPLE.ORG and alice/laptop@EXAMPLE.ORG are one user. It folds no
// case, because accounts of Unix and HDFS do not: Alice and alice are two users,
// unless a rule of the method says otherwise. The realm or domain is lost, so
// a method calls it only for names of domains that it trusts. The result can still
// be no user; the Chain asks ValidUser.
func ShortName(name string) string {
	if end := strings.IndexAny(name, "/@"); end >= 0 {
		return name[:end]
	}
	return name
}
