// SPDX-License-Identifier: Apache-2.0

package auth

import "context"

// None accepts every call and believes the user name that it claims. The
// gateway binds loopback only with it (design section 2, rule 1). As in
// Kyuubi, everybody is an administrator then: where names are not verified, a
// role would protect nothing.
type None struct{}

// Authenticate returns an Identity without a user; ClaimUser completes it.
func (None) Authenticate(context.Context, Request) (Identity, error) {
	return Identity{Method: MethodNone, Admin: true}, nil
}

// ClaimUser completes the identity of a call with the user name that its first
// message claims: the user with Method NONE, "" standing for anonymous. Any
// other method has verified the user and ignores the claim, because PySpark
// always claims the name of the local account. A claim that is no user name is
// refused with INVALID_REQUEST.
func ClaimUser(id Identity, claimed string) (Identity, error) {
	if id.Method != MethodNone {
		return id, nil
	}
	if claimed == "" {
		claimed = AnonymousUser
	}
	if err := ValidUser(claimed); err != nil {
		return Identity{}, err
	}
	id.User, id.RealUser = claimed, claimed
	return id, nil
}
