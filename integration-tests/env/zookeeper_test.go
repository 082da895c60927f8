// SPDX-License-Identifier: Apache-2.0

package env

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestZooKeeperLosesItsLeader(t *testing.T) {
	z := StartZooKeeper(t, 3)
	require.Len(t, strings.Split(z.Addresses(), ","), 3)
	first := z.Leader()
	z.Kill(first)
	Eventually(t, zooPatience, "another server leads", func() bool {
		for i := range 3 {
			if i != first && strings.Contains(z.Ask(i, "srvr"), "Mode: leader") {
				return true
			}
		}
		return false
	})
	z.Restart(first)
	z.AwaitServing(zooPatience)
	z.Freeze(first)
	require.Empty(t, z.Ask(first, "ruok"))
	z.Thaw(first)
	z.AwaitServing(zooPatience)
}

func TestZooKeeperSpeaksTLS(t *testing.T) {
	z := StartSecureZooKeeper(t)
	require.Equal(t, "imok", z.Ask(0, "ruok"))
	require.NotEmpty(t, z.Secure)
}
