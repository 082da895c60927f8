// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"time"

	"roundhouse/internal/errs"
)

// Expired is the refusal, of class TOKEN_EXPIRED, of a caller whose token was
// good. Unlike that of other bad credentials its text says what happened: it
// goes only to who had a good token, and saves them a search.
func Expired(id Identity) error {
	return errs.New(errs.TokenExpired, "The token of user %s expired at %s. Get a new one with `gateway login --url %s`, "+
		"or by POST %s/api/v1/tokens, and connect again with it.", id.User, id.Expires.UTC().Format(time.RFC3339), id.Renew, id.Renew)
}
