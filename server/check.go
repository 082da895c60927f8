// SPDX-License-Identifier: Apache-2.0

package server

import (
	"log/slog"

	"roundhouse/conf"
)

// Check reads what New would read of a valid configuration and what package conf
// cannot judge: the files of the authentication methods, and the groups of
// users. It takes and changes nothing.
func Check(c *conf.Conf) error {
	log := slog.New(slog.DiscardHandler)
	a, err := newAccess(c, log)
	if err != nil {
		return err
	}
	_, err = newAuthenticator(c, a, log)
	return err
}
