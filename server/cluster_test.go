// SPDX-License-Identifier: Apache-2.0

package server

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
	"roundhouse/internal/process"
)

func TestAlive(t *testing.T) {
	self, err := thisProcess()
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), self.PID)

	cmd := exec.Command("/bin/sleep", "60")
	require.NoError(t, cmd.Start())
	info, err := process.Inspect(cmd.Process.Pid)
	require.NoError(t, err)
	neighbour := discovery.Owner{Gateway: "neighbour", Place: self.Place, PID: cmd.Process.Pid, Start: info.Start}
	far := discovery.Owner{Gateway: "far", Place: "elsewhere", PID: 1}
	known := []discovery.Gateway{{Owner: neighbour}, {Owner: far}}
	p := peers{self: self, all: func() []discovery.Gateway { return known }}

	require.True(t, p.alive(self))
	require.True(t, p.alive(neighbour))
	require.True(t, p.alive(far))
	require.True(t, p.lives("neighbour"))
	require.False(t, p.lives("nobody"))
	require.False(t, p.alive(discovery.Owner{}), "of a record without a gateway")
	other := neighbour
	other.Start++
	require.False(t, p.alive(other), "another process has its pid")

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.False(t, p.alive(neighbour), "though its node is still there")
	require.False(t, p.lives("neighbour"))
	known = nil
	require.False(t, p.alive(far))
	require.False(t, peers{self: self}.alive(far), "a gateway that is alone")
}
