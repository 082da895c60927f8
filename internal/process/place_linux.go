// SPDX-License-Identifier: Apache-2.0

package process

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// bootID is a number that is new with each start of a machine (proc(5)).
const bootID = "/proc/sys/kernel/random/boot_id"

// Place tells where this process runs: processes of one place see each other by
// pid and reach each other on the loopback address. It is new with each start of the machine.
// 16 hex digits.
func Place() (string, error) {
	boot, err := os.ReadFile(bootID)
	if err != nil {
		return "", fmt.Errorf("finding out which machine this is: %w", err)
	}
	parts := []string{strings.TrimSpace(string(boot))}
	for _, namespace := range []string{"pid", "net"} {
		id, err := os.Readlink("/proc/self/ns/" + namespace)
		if err != nil {
			return "", fmt.Errorf("finding out which machine this is: %w", err)
		}
		parts = append(parts, id)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:8]), nil
}
