// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
	"roundhouse/discovery/embedded"
	"roundhouse/engine"
	"roundhouse/internal/process"
)

func TestRemaining(t *testing.T) {
	dir := t.TempDir()
	left, err := Remaining(dir)
	require.NoError(t, err)
	require.Empty(t, left, "there was no gateway")

	self, err := process.Inspect(os.Getpid())
	require.NoError(t, err)
	store, err := embedded.Open(embedded.Options{Dir: dir})
	require.NoError(t, err)
	for refID, start := range map[string]uint64{"lives": self.Start, "ended": self.Start + 1} {
		r := discovery.EngineRecord{RefID: refID, Path: "/p", User: "alice", PID: os.Getpid(), StartTime: start}
		require.NoError(t, store.AddEngine(t.Context(), r))
	}
	require.NoError(t, store.AddEngine(t.Context(), discovery.EngineRecord{RefID: "never", Path: "/p", User: "alice"}))
	_, err = Remaining(dir)
	require.ErrorContains(t, err, "in use", "the next gateway runs")
	require.NoError(t, store.Close())

	left, err = Remaining(dir)
	require.NoError(t, err)
	require.Equal(t, []string{fmt.Sprintf("lives of alice (pid %d)", os.Getpid())}, left)
}

// TestEndEngines: those that other gateways serve go on.
func TestEndEngines(t *testing.T) {
	s := &Server{engines: &engine.Manager{}, peers: newPeers(discovery.Owner{Gateway: "this"})}
	known := []discovery.Gateway{{Owner: discovery.Owner{Gateway: "other", Place: "elsewhere"}}}
	s.peers.all = func() []discovery.Gateway { return known }
	require.Equal(t, &EnginesGoOnError{Gateways: 1}, s.endEngines(t.Context()))
	known = nil
	require.NoError(t, s.endEngines(t.Context()))
}
