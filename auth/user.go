// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"regexp"

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
