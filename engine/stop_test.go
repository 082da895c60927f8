// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// admittedAt is an engine that a gateway of s has just admitted.
func admittedAt(t *testing.T, s *ensemble) (a *world, l Launch, e *Engine) {
	machine := newMachine()
	a = s.gateway(t, "a", machine)
	result := a.acquire(t.Context(), userSpec("alice"))
	synctest.Wait()
	l = machine.launches()[0]
	s.register(l)
	return a, l, took(t, result).Engine()
}

// TestALaunchIsStoppedElsewhereWhenItIsAdmitted: the other gateway has not heard of that.
func TestALaunchIsStoppedElsewhereWhenItIsAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEnsemble()
		a, l, e := admittedAt(t, s)
		require.NoError(t, s.DeleteEngine(t.Context(), l.RefID))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.ErrorContains(t, e.Err(), "was stopped: by way of another gateway")
		require.Empty(t, a.m.Engines())
		require.NotEmpty(t, a.launcher.process(l.RefID).Status())
		a.stop()
	})
}

// TestAnEngineThatAnotherGatewayBuriesFirst keeps the reason of its end.
func TestAnEngineThatAnotherGatewayBuriesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEnsemble()
		a, l, e := admittedAt(t, s)
		require.NoError(t, s.DeleteEngine(t.Context(), l.RefID))
		time.Sleep(burialTime / 2)
		a.launcher.process(l.RefID).exit("exit code 3")
		<-e.Done()
		require.ErrorContains(t, e.Err(), "exit code 3")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.ErrorContains(t, e.Err(), "exit code 3")
		a.stop()
	})
}

// TestARecordThatIsLostLaterEndsNothing: a store may come back with what it had yesterday.
func TestARecordThatIsLostLaterEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEnsemble()
		a, l, e := admittedAt(t, s)
		time.Sleep(justAdmitted)
		require.NoError(t, s.DeleteEngine(t.Context(), l.RefID))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, Running, e.State())
		a.stop()
	})
}
