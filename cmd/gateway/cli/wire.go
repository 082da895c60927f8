// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"log/slog"

	"roundhouse/conf"
	"roundhouse/server"
)

// serverGateway is the real server.
func serverGateway(c *conf.Conf, log *slog.Logger) (Gateway, error) {
	return server.New(c, log)
}
