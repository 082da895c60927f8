// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// settled is the part of the time after which the last gateway is not restarted any more, so that
// what it holds can be followed.
const settled = 0.25

// breakSomething does one thing at random and tells what.
func (s *site) breakSomething(t *testing.T, clients *crowd) string {
	t.Helper()
	faults := []func(t *testing.T) string{
		s.killGateway, s.rollingRestart,
		func(t *testing.T) string { return s.killEngine(t, clients) },
		func(t *testing.T) string { return s.killEngine(t, clients) },
		s.freezeServer, s.killServer, s.killEnsemble, s.cut, s.halfOpen,
	}
	return faults[s.random.IntN(len(faults))](t)
}

// mortals are the gateways that may be restarted now.
func (s *site) mortals() []*env.Gateway {
	if time.Since(s.began) > time.Duration(settled*float64(s.until.Sub(s.began))) {
		return s.Gateways[:len(s.Gateways)-1]
	}
	return s.Gateways
}

func (s *site) killGateway(*testing.T) string {
	all := s.mortals()
	i := s.random.IntN(len(all))
	all[i].Signal(syscall.SIGKILL)
	away := s.shortly(2 * time.Second)
	all[i].Start()
	return fmt.Sprintf("gateway %d was killed and started %v later", i, away)
}

func (s *site) rollingRestart(t *testing.T) string {
	t.Helper()
	all := s.mortals()
	for _, g := range all {
		g.Signal(syscall.SIGTERM)
		require.Zero(t, g.ExitCode(), g.Log())
		g.Start()
	}
	return fmt.Sprintf("rolling restart of %d gateways", len(all))
}

func (s *site) killEngine(t *testing.T, clients *crowd) string {
	t.Helper()
	all := s.running()
	if len(all) == 0 {
		return "no engine to kill"
	}
	e := all[s.random.IntN(len(all))]
	clients.expect(e.RefID)
	_ = syscall.Kill(e.PID, syscall.SIGKILL)
	return fmt.Sprintf("engine %s of %s was killed", e.RefID, e.User)
}

func (s *site) running() []env.Engine {
	return slices.DeleteFunc(s.Gateways[0].Engines(), func(e env.Engine) bool { return e.State != "running" })
}

func (s *site) freezeServer(*testing.T) string {
	i := s.random.IntN(3)
	s.zoo.Freeze(i)
	lasts := s.shortly(4 * time.Second)
	s.zoo.Thaw(i)
	return fmt.Sprintf("ZooKeeper server %d was frozen for %v", i, lasts)
}

func (s *site) killServer(*testing.T) string {
	i := s.random.IntN(3)
	s.zoo.Kill(i)
	away := s.shortly(2 * time.Second)
	s.zoo.Restart(i)
	return fmt.Sprintf("ZooKeeper server %d was killed and started %v later", i, away)
}

func (s *site) killEnsemble(*testing.T) string {
	for i := range 3 {
		s.zoo.Kill(i)
	}
	away := s.shortly(2 * time.Second)
	for i := range 3 {
		s.zoo.Restart(i)
	}
	s.zoo.AwaitServing(time.Minute) // one absence at a time
	return fmt.Sprintf("ZooKeeper was killed as a whole and started %v later", away)
}

func (s *site) cut(*testing.T) string {
	i := s.random.IntN(len(s.links))
	s.links[i].Cut()
	return fmt.Sprintf("connections to gateway %d were reset", i)
}

func (s *site) halfOpen(t *testing.T) string {
	t.Helper()
	i := s.random.IntN(len(s.links))
	s.links[i].HalfOpen(t)
	return fmt.Sprintf("connections to gateway %d went dark", i)
}

// shortly waits for a while, at most for so long.
func (s *site) shortly(most time.Duration) time.Duration {
	d := time.Duration(s.random.Int64N(int64(most))).Round(time.Millisecond)
	<-time.After(d)
	return d
}
