// SPDX-License-Identifier: Apache-2.0

// Command gateway is Roundhouse: the server, its daemon control and its
// administration. See `gateway help`.
package main

import (
	"context"
	"os"

	"roundhouse/cmd/gateway/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
