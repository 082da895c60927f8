// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package process

import "os"

// Place tells where this process runs: here by the name of the machine.
func Place() (string, error) { return os.Hostname() }
