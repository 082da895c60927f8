// SPDX-License-Identifier: Apache-2.0

package server

import (
	"log/slog"

	"roundhouse/conf"
)

// Check reads what New would read of a valid configuration and what package conf
// cannot judge: the files of the authentication methods. It takes and changes
// nothing.
func Check(c *conf.Conf) error {
	_, err := newAuthenticator(c, slog.New(slog.DiscardHandler))
	return err
}
