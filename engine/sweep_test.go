// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
)

// TestNodesOfEnginesThatHaveEndedAreNotForged: they go, and nobody is accused.
func TestNodesOfEnginesThatHaveEndedAreNotForged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, forged := newEnsemble(), make(chan string, 10)
		var log bytes.Buffer // read when the gateway has stopped
		a := s.gateway(t, "a", newMachine(), func(o *Options) {
			o.OnForged = func(path string) { forged <- path }
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		path := userSpec("alice").Path()
		n, err := discovery.ParseNode(nodeName("ended", path, "127.0.0.1:1", "127.0.0.1:2"))
		require.NoError(t, err)
		s.set(func() {
			s.spaces[path] = nil
			s.records["r"] = discovery.EngineRecord{RefID: "r", Path: path, User: "alice", Owner: discovery.Owner{Gateway: "b"}, Submitted: time.Now()}
		})
		s.node(path, n)
		time.Sleep(2*spacesInterval + tendInterval)
		synctest.Wait()
		a.stop()
		require.Empty(t, s.in(path))
		require.Empty(t, forged)
		require.NotContains(t, log.String(), "level=WARN")
	})
}

// TestWhyASpaceIsNotSwept is told once, as long as it is so.
func TestWhyASpaceIsNotSwept(t *testing.T) {
	for name, test := range map[string]struct {
		unlisted, unswept error
		want              string
		times             int
	}{
		"nodes in nodes":      {nil, errors.New("nodes in nodes"), "an engine space cannot be swept", 1},
		"crowded":             {nil, fmt.Errorf("%w: of that the store tells", discovery.ErrFull), "WARN", 0},
		"away":                {discovery.ErrAway, discovery.ErrAway, "WARN", 0},
		"spaces not readable": {errors.New("no rights"), nil, "engine spaces cannot be swept", 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newEnsemble()
				var log bytes.Buffer // read when the gateway has stopped
				a := s.gateway(t, "a", newMachine(), func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
				path := userSpec("alice").Path()
				s.set(func() {
					s.spaces[path] = nil
					s.records["r"] = discovery.EngineRecord{RefID: "r", Path: path, User: "alice", Owner: discovery.Owner{Gateway: "b"}, Submitted: time.Now()}
					s.unlisted, s.unswept = test.unlisted, test.unswept
				})
				time.Sleep(4*spacesInterval + tendInterval)
				synctest.Wait()
				a.stop()
				require.Equal(t, test.times, strings.Count(log.String(), test.want), "%s", log.String())
				require.NotContains(t, log.String(), "no engine signed")
			})
		})
	}
}

// TestASlowSweepHoldsUpNoTakeover, and takes no lock of a space that may be in use.
func TestASlowSweepHoldsUpNoTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a := s.gateway(t, "a", machine)
		swept := userSpec("swept")
		s.set(func() {
			s.slow = true
			for i := range 20 {
				s.spaces[fmt.Sprint(swept.Path(), i)] = nil
			}
			s.spaces[swept.Path()] = nil
		})
		time.Sleep(spacesInterval + time.Second)
		spec := userSpec("alice")
		s.set(func() {
			s.dead["b"] = true
			s.records["r"] = discovery.EngineRecord{RefID: "r", Path: spec.Path(), User: "alice", Owner: discovery.Owner{Gateway: "b", Place: "here"}}
		})
		time.Sleep(2 * tendInterval)
		synctest.Wait()
		require.Empty(t, s.all())
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		s.mu.Lock()
		require.Zero(t, s.asked[swept.lockPath()])
		s.mu.Unlock()
		a.stop()
	})
}

// TestASweepEndsWithTheStore rather than at each space in turn.
func TestASweepEndsWithTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEnsemble()
		a := s.gateway(t, "a", newMachine())
		s.set(func() {
			s.unswept = discovery.ErrAway
			for i := range 20 {
				s.spaces[fmt.Sprint(userSpec("alice").Path(), i)] = nil
			}
		})
		time.Sleep(2*spacesInterval + time.Second)
		synctest.Wait()
		a.stop()
		require.Equal(t, 2, s.sweeps)
	})
}
