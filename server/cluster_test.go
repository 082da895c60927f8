// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/conf"
	"roundhouse/discovery"
	"roundhouse/engine"
	"roundhouse/internal/process"
)

// TestInstance: sessions are shown with the gateway that opened them.
func TestInstance(t *testing.T) {
	p := parts{}
	p.peers, p.address = newPeers(discovery.Owner{Gateway: "this"}), "this:15002"
	p.peers.all = func() []discovery.Gateway {
		return []discovery.Gateway{{Owner: discovery.Owner{Gateway: "other"}, Address: "other:15002"}}
	}
	require.Equal(t, "this:15002", p.instance("this"))
	require.Equal(t, "other:15002", p.instance("other"))
	require.Equal(t, "this:15002", p.instance("gone"))
}

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
	p := newPeers(self)
	p.all = func() []discovery.Gateway { return known }

	require.True(t, p.alive(self))
	require.True(t, p.alive(neighbour))
	require.True(t, p.alive(far))
	require.True(t, p.lives("neighbour"))
	require.True(t, p.lives("nobody"), "its node may be about to come")
	require.False(t, p.alive(discovery.Owner{}), "of a record without a gateway")
	other := neighbour
	other.Start++
	require.False(t, p.alive(other), "another process has its pid")

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.False(t, p.alive(neighbour), "though its node is still there")
	require.False(t, p.lives("neighbour"))
	known = nil
	require.False(t, newPeers(self).alive(far), "a gateway that is alone")
}

func TestConfiguration(t *testing.T) {
	of := func(memory, usual, key string) string {
		c, err := conf.New(map[string]string{"___alice___.spark.driver.memory": memory})
		require.NoError(t, err)
		got := configuration(c, func(s engine.Spec) (string, error) {
			require.Empty(t, s.User(), "of nobody")
			return usual, nil
		}, key)
		require.Regexp(t, "^[0-9a-f]{12}$", got)
		return got
	}
	require.Equal(t, of("1g", "f", "k"), of("1g", "f", "k"))
	require.NotEqual(t, of("1g", "f", "k"), of("2g", "f", "k"), "the defaults of a user")
	require.NotEqual(t, of("1g", "f", "k"), of("1g", "g", "k"), "what engines are launched with")
	require.NotEqual(t, of("1g", "f", "k"), of("1g", "f", "l"))
}

// TestEachAbsenceHasItsGrace, also when nobody asked while the gateway was back.
func TestEachAbsenceHasItsGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := discovery.Owner{Gateway: "far", Place: "elsewhere", PID: 1}
		var there atomic.Bool
		p := newPeers(discovery.Owner{Gateway: "this", Place: "here"})
		p.all = func() []discovery.Gateway {
			if there.Load() {
				return []discovery.Gateway{{Owner: far}}
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- p.Run(ctx) }() // received below
		require.True(t, p.alive(far))
		there.Store(true)
		time.Sleep(time.Hour)
		there.Store(false)
		require.True(t, p.alive(far), "its node has just gone")
		time.Sleep(absentElsewhere - time.Second)
		require.True(t, p.alive(far))
		time.Sleep(time.Second)
		require.False(t, p.alive(far))
		cancel()
		require.NoError(t, <-over)
	})
}

// TestAbsentGateways: a node that is gone for a moment is no death.
func TestAbsentGateways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		self, err := thisProcess()
		require.NoError(t, err)
		far := discovery.Owner{Gateway: "far", Place: "elsewhere", PID: 1}
		stopped := self
		stopped.Gateway = "stopped"
		known := []discovery.Gateway{{Owner: far}, {Owner: stopped}}
		p := newPeers(self)
		p.all = func() []discovery.Gateway { return known }
		alive := func(of, at bool) {
			t.Helper()
			require.Equal(t, of, p.alive(far))
			require.Equal(t, at, p.alive(stopped))
		}
		alive(true, true)
		known = nil
		alive(true, true)
		time.Sleep(absentElsewhere - time.Second)
		alive(true, true)
		known = []discovery.Gateway{{Owner: far}, {Owner: stopped}}
		alive(true, true)
		known = nil
		alive(true, true)
		time.Sleep(absentElsewhere)
		alive(false, true)
		time.Sleep(absentHere)
		alive(false, false)
		require.False(t, p.lives("far"))
	})
}
