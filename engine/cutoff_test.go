// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
	"roundhouse/internal/errs"
)

// taken is the record of l after the gateway b took it over and admitted its engine.
func (s *ensemble) taken(l Launch) discovery.EngineRecord {
	for _, w := range s.worlds {
		w.controlOf(l).is(l.RefID)
	}
	r := s.records[l.RefID]
	r.Owner.Gateway = "b"
	connect, controlAddress := addresses(l.RefID)
	r.Node = nodeName(l.RefID, r.Path, connect, controlAddress)
	return r
}

// TestAGatewayThatEndsCutOffLeavesItsLaunchAlone: another one may serve the engine by now.
func TestAGatewayThatEndsCutOffLeavesItsLaunchAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a := s.gateway(t, "a", machine)
		result := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := machine.launches()[0]
		s.set(func() { s.away, s.records[l.RefID] = discovery.ErrAway, s.taken(l) })
		require.Error(t, (<-result).err, "its time is over")
		time.Sleep(time.Minute)
		a.stop()
		require.Empty(t, machine.process(l.RefID).Status(), "it runs on")
		require.Empty(t, machine.swept)
	})
}

// TestALaunchThatIsTakenOverAndAdmittedAtOnce is an engine like any other.
func TestALaunchThatIsTakenOverAndAdmittedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a := s.gateway(t, "a", machine)
		result := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := machine.launches()[0]
		s.set(func() {
			s.records[l.RefID] = s.taken(l)
			s.tell(s.records[l.RefID], false)
		})
		require.ErrorContains(t, (<-result).err, "another gateway")
		require.Equal(t, l.RefID, <-a.known)
		require.Len(t, a.m.Engines(), 1)
		require.Equal(t, Running, a.m.Engines()[0].State)
		require.NoError(t, a.m.Retire(t.Context(), l.RefID, "x"))
		require.NoError(t, a.m.Stop(t.Context(), l.RefID, true, "x"))
		require.NotEmpty(t, machine.process(l.RefID).Status())
		a.stop()
	})
}

// TestALostAnswerToATakeover: the record is this gateway's, and its process lives.
func TestALostAnswerToATakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a, b := s.gateway(t, "a", machine), s.gateway(t, "b", machine)
		_ = a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		a.stop()
		s.set(func() { s.dead["a"], s.lossy = true, true })
		result := b.acquire(t.Context(), userSpec("alice"))
		time.Sleep(2 * claimPause)
		synctest.Wait()
		require.Len(t, machine.launches(), 1)
		require.Empty(t, machine.swept)
		s.register(machine.launches()[0])
		took(t, result)
		b.stop()
	})
}

// TestStoppingALaunchOfADeadGateway either does so or says what to do.
func TestStoppingALaunchOfADeadGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		for ref, place := range map[string]string{"near": "here", "far": "elsewhere"} {
			spec := userSpec(ref)
			s.records[ref] = discovery.EngineRecord{RefID: ref, Path: spec.Path(), User: ref, Owner: discovery.Owner{Gateway: "a", Place: place}, Submitted: time.Now()}
		}
		s.dead["a"] = true
		b := s.gateway(t, "b", machine)
		synctest.Wait()
		require.NoError(t, b.m.Stop(t.Context(), "far", true, "x"))
		require.NotContains(t, s.all(), "far")

		unlock, err := s.Lock(t.Context(), userSpec("near").lockPath())
		require.NoError(t, err)
		err = b.m.Stop(t.Context(), "near", true, "x")
		require.True(t, errs.Is(err, errs.StoreAway), "%v", err)
		require.ErrorContains(t, err, "Try again")
		machine.mu.Lock()
		machine.blind = fmt.Errorf("/proc is not readable")
		machine.mu.Unlock()
		require.NoError(t, unlock())
		require.ErrorContains(t, b.m.Stop(t.Context(), "near", true, "x"), "Try again", "nothing was done")
		machine.mu.Lock()
		machine.blind = nil
		machine.mu.Unlock()
		require.NoError(t, b.m.Stop(t.Context(), "near", true, "x"))
		require.Empty(t, s.all())
		b.stop()
	})
}

// TestAFailedLaunchThatAnotherGatewayHasIsLetGo: when that one dies, too, it is tended like any other.
func TestAFailedLaunchThatAnotherGatewayHasIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a := s.gateway(t, "a", machine)
		result := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := machine.launches()[0]
		s.set(func() {
			r := s.records[l.RefID]
			r.Owner.Gateway = "b"
			s.away, s.records[l.RefID] = discovery.ErrAway, r
		})
		machine.process(l.RefID).exit("exit code 1")
		require.Error(t, (<-result).err)
		s.set(func() { s.away = nil })
		time.Sleep(2 * tendInterval)
		require.Contains(t, s.all(), l.RefID, "b has it")
		s.set(func() { s.dead["b"] = true })
		time.Sleep(2 * tendInterval)
		synctest.Wait()
		require.Empty(t, s.all())
		a.stop()
	})
}

// TestAClaimWhoseAnswerWasLostIsMadeAnew: another gateway may have claimed the space before it came.
func TestAClaimWhoseAnswerWasLostIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a := s.gateway(t, "a", machine)
		spec := userSpec("alice")
		synctest.Wait() // a follows the records
		s.set(func() { s.lossy = true })
		_ = a.acquire(t.Context(), spec)
		synctest.Wait()
		s.set(func() {
			s.records["other"] = discovery.EngineRecord{RefID: "other", Path: spec.Path(), User: "alice", Owner: discovery.Owner{Gateway: "b"}}
		})
		time.Sleep(3 * claimPause)
		synctest.Wait()
		require.Empty(t, machine.launches())
		require.Len(t, s.all(), 1)
		require.Contains(t, s.all(), "other")
		a.stop()
	})
}

// TestWaitingForALaunchThatIsSettled gives no lease back that was never taken.
func TestWaitingForALaunchThatIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a := s.gateway(t, "a", machine)
		result := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		s.register(machine.launches()[0])
		e := took(t, result).Engine()
		taken := newLaunch(a.m.life, userSpec("alice"), e.RefID())
		taken.settled, taken.engine = true, e
		close(taken.done)
		a.m.waitsFor(newLaunch(a.m.life, userSpec("alice"), "l"), taken)
		synctest.Wait()
		require.Equal(t, 1, a.m.Engines()[0].Sessions)
		a.stop()
	})
}
