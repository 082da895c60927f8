// SPDX-License-Identifier: Apache-2.0

package server

import (
	"log/slog"

	"roundhouse/auth/token"
	"roundhouse/conf"
)

// Check reads what New would read of a valid configuration and what package conf
// cannot judge: the tokens, and the groups of users. It takes and changes nothing.
func Check(c *conf.Conf) error {
	if _, err := userGroups(c); err != nil {
		return err
	}
	if c.AuthMethod() != conf.AuthToken {
		return nil
	}
	if _, err := token.New(conf.AuthTokenFile.Get(c), slog.New(slog.DiscardHandler)); err != nil {
		return c.Blame(conf.AuthTokenFile.Key, err)
	}
	return nil
}
