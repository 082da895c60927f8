// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
	"roundhouse/engine/control"
	"roundhouse/internal/errs"
)

// took waits for an outcome that is an engine.
func took(t *testing.T, result <-chan outcome) *Lease {
	t.Helper()
	got := <-result
	require.NoError(t, got.err)
	return got.lease
}

func TestOneLaunchForAllGateways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a, b := s.gateway(t, "a", machine), s.gateway(t, "b", machine)
		var results []<-chan outcome
		for range 10 {
			results = append(results, a.acquire(t.Context(), userSpec("alice")), b.acquire(t.Context(), userSpec("alice")))
		}
		synctest.Wait()
		require.Len(t, machine.launches(), 1)
		l := machine.launches()[0]
		require.NotEmpty(t, s.spaces[l.Spec.Path()])
		s.register(l)
		for _, r := range results {
			require.Equal(t, l.RefID, took(t, r).Engine().RefID())
		}
		require.Len(t, a.m.Engines(), 1)
		require.Len(t, b.m.Engines(), 1)
		require.Equal(t, 10, a.m.Engines()[0].Sessions)
		require.Equal(t, "here", b.m.Engines()[0].Place)

		// The end of the driver is seen by both, and nothing stays behind.
		machine.process(l.RefID).exit("exit code 0")
		synctest.Wait()
		time.Sleep(closeDelay)
		synctest.Wait()
		require.Empty(t, a.m.Engines())
		require.Empty(t, b.m.Engines())
		require.Empty(t, s.all())
		require.Empty(t, s.spaces)
		a.stop()
		b.stop()
	})
}

func TestAnEngineOfAnotherGatewayIsKnownBeforeItIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a, b := s.gateway(t, "a", machine), s.gateway(t, "b", machine)
		result := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := machine.launches()[0]
		require.Equal(t, Starting, b.m.Engines()[0].State)
		s.register(l)
		took(t, result)
		require.Equal(t, l.RefID, <-b.known)
		lease, ok := b.m.Resume(l.RefID)
		require.True(t, ok)
		lease.Release()
		s.away = discovery.ErrAway // what is known is served from memory
		took(t, b.acquire(t.Context(), userSpec("alice")))
		a.stop()
		b.stop()
	})
}

func TestALaunchWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a := s.gateway(t, "a", machine)
		s.set(func() { s.away = fmt.Errorf("no quorum: %w", discovery.ErrAway) })
		result := a.acquire(t.Context(), userSpec("alice"))
		time.Sleep(time.Minute)
		require.Empty(t, machine.launches())
		s.set(func() { s.away = nil })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.register(machine.launches()[0])
		took(t, result)
		a.stop()
	})
}

// TestLaunchOfADeadGateway: with and without a client that waits at the other one.
func TestLaunchOfADeadGateway(t *testing.T) {
	for name, waits := range map[string]bool{"a client waits": true, "nobody waits": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, machine := newEnsemble(), newMachine()
				a, b := s.gateway(t, "a", machine), s.gateway(t, "b", machine)
				_ = a.acquire(t.Context(), userSpec("alice"))
				synctest.Wait()
				var result <-chan outcome
				if waits {
					result = b.acquire(t.Context(), userSpec("alice"))
				}
				s.set(func() { s.dead["a"] = true })
				a.stop()
				time.Sleep(2 * tendInterval)
				synctest.Wait()
				require.Len(t, machine.launches(), 1)
				l := machine.launches()[0]
				require.Equal(t, "b", s.all()[l.RefID].Owner.Gateway)
				s.register(l)
				synctest.Wait()
				if waits {
					require.Equal(t, l.RefID, took(t, result).Engine().RefID())
				}
				require.Equal(t, Running, b.m.Engines()[0].State)
				want := 0
				if waits {
					want = 1
				}
				require.Equal(t, want, b.m.Engines()[0].Sessions)
				b.stop()
			})
		})
	}
}

func TestWhatADeadGatewayDidNotStartIsCleanedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		spec := userSpec("alice")
		record := discovery.EngineRecord{RefID: "dead", Path: spec.Path(), User: "alice", WorkDir: "/work/alice/dead", Owner: discovery.Owner{Gateway: "a", Place: "here"}}
		s.records["dead"] = record
		record.RefID, record.Owner.Place, record.Submitted = "far", "elsewhere", time.Now()
		s.records["far"] = record
		s.dead["a"] = true
		b := s.gateway(t, "b", machine)
		time.Sleep(2 * tendInterval)
		synctest.Wait()
		require.NotContains(t, s.all(), "dead")
		require.Contains(t, s.all(), "far", "gateways there may go on with it")
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		require.Empty(t, s.all())
		require.Contains(t, machine.swept, "/work/alice/dead")

		// A client that waits does not wait for a launch elsewhere whose gateway is gone.
		s.set(func() { s.records["far"] = record })
		result := b.acquire(t.Context(), spec)
		synctest.Wait()
		require.Len(t, machine.launches(), 1)
		s.register(machine.launches()[0])
		took(t, result)
		b.stop()
	})
}

func TestAFailedLaunchOfAnotherGatewayIsTriedHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a, b := s.gateway(t, "a", machine), s.gateway(t, "b", machine)
		first := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		second := b.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		machine.process(machine.launches()[0].RefID).exit("exit code 1")
		require.Error(t, (<-first).err)
		synctest.Wait()
		require.Len(t, machine.launches(), 2)
		s.register(machine.launches()[1])
		took(t, second)
		a.stop()
		b.stop()
	})
}

// TestLimitsHoldOverAllGateways: whoever comes last is refused, at whichever
// gateway, also when both come at once.
func TestLimitsHoldOverAllGateways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		limit := func(o *Options) { o.UserLimit, o.LaunchLimit = 2, 10 }
		a, b := s.gateway(t, "a", machine, limit), s.gateway(t, "b", machine, limit)
		refused := 0
		var results []<-chan outcome
		for i := range 6 {
			spec := userSpec("alice")
			spec.Subdomain = fmt.Sprintf("s%d", i/2) // each at both gateways
			results = append(results, []*world{a, b}[i%2].acquire(t.Context(), spec))
		}
		synctest.Wait()
		require.Len(t, machine.launches(), 2)
		for _, l := range machine.launches() {
			s.register(l)
		}
		for _, r := range results {
			if got := <-r; got.err != nil {
				require.True(t, errs.Is(got.err, errs.LimitExceeded), "%v", got.err)
				refused++
			}
		}
		require.Equal(t, 2, refused)
		a.stop()
		b.stop()
	})
}

func TestForgedNodesAreNeverDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		forged := make(chan string, 10)
		a := s.gateway(t, "a", machine, func(o *Options) { o.OnForged = func(path string) { forged <- path } })
		result := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := machine.launches()[0]
		path := l.Spec.Path()
		for _, name := range []string{
			"serverUri=127.0.0.1:1;version=1;control=127.0.0.1:2;mac=00;refId=" + l.RefID,
			nodeName("other", path, "127.0.0.1:1", "127.0.0.1:2"),
			nodeName(l.RefID, path+"2", "127.0.0.1:1", "127.0.0.1:2"),
			nodeName(l.RefID, path, "192.0.2.1:1", "127.0.0.1:2"),
		} {
			n, err := discovery.ParseNode(name)
			require.NoError(t, err)
			s.node(path, n)
		}
		synctest.Wait()
		require.NotEmpty(t, forged)
		require.Empty(t, a.controls, "nothing is dialled")
		require.Equal(t, Starting, a.m.Engines()[0].State)
		s.register(l)
		took(t, result)
		time.Sleep(2*spacesInterval + tendInterval)
		synctest.Wait()
		require.Len(t, s.in(path), 1, "only what the engine signed is left")
		require.Equal(t, l.RefID, s.in(path)[0].RefID)
		a.stop()
	})
}

func TestStopAndRetireAtAnotherGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a, b := s.gateway(t, "a", machine), s.gateway(t, "b", machine)
		starting := a.acquire(t.Context(), userSpec("bob"))
		synctest.Wait()
		require.NoError(t, b.m.Stop(t.Context(), machine.launches()[0].RefID, true, "x"))
		require.ErrorContains(t, (<-starting).err, "another gateway")
		synctest.Wait()
		require.Empty(t, s.all())

		running := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := machine.launches()[1]
		s.register(l)
		took(t, running)
		<-b.known
		require.NoError(t, b.m.Retire(t.Context(), l.RefID, "new configuration"))
		require.Equal(t, []string{orderDrain}, b.controlOf(l).orders)
		require.Equal(t, Draining, b.m.Engines()[0].State)
		a.controlOf(l).emit(control.Draining, "", "", "drained")
		synctest.Wait()
		require.Equal(t, Draining, a.m.Engines()[0].State)

		next := b.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		require.Len(t, machine.launches(), 3, "the next session gets a new engine")
		s.register(machine.launches()[2])
		took(t, next)
		require.NoError(t, a.m.Stop(t.Context(), l.RefID, true, "x"))
		require.True(t, errs.Is(a.m.Retire(t.Context(), l.RefID, "x"), errs.NotFound))
		a.stop()
		b.stop()
	})
}

func TestACancelledClaimLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a := s.gateway(t, "a", machine, func(o *Options) { o.LaunchLimit = 1 })
		_ = a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(t.Context())
		queued := a.acquire(ctx, userSpec("bob"))
		synctest.Wait()
		require.Len(t, s.all(), 2)
		cancel(ErrReleased)
		require.True(t, errors.Is((<-queued).err, ErrReleased))
		synctest.Wait()
		require.Len(t, s.all(), 1)
		a.stop()
	})
}

// TestALostAnswerToTheClaim: the record was written, though nobody said so.
func TestALostAnswerToTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a := s.gateway(t, "a", machine)
		s.set(func() { s.lossy = true })
		result := a.acquire(t.Context(), userSpec("alice"))
		time.Sleep(2 * claimPause)
		synctest.Wait()
		require.Len(t, machine.launches(), 1)
		s.register(machine.launches()[0])
		took(t, result)
		a.stop()
	})
}

// TestAClaimUnderALostLockIsMadeAnew: another gateway may have had the lock meanwhile.
func TestAClaimUnderALostLockIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a := s.gateway(t, "a", machine)
		s.set(func() { s.stolen = true })
		result := a.acquire(t.Context(), userSpec("alice"))
		time.Sleep(2 * claimPause)
		synctest.Wait()
		require.Len(t, machine.launches(), 1)
		require.Equal(t, 2, s.added, "the first claim was withdrawn")
		s.register(machine.launches()[0])
		took(t, result)
		a.stop()
	})
}

// TestAClaimThatCouldNotBeWithdrawnIsNotBelieved: another gateway claimed the space meanwhile.
func TestAClaimThatCouldNotBeWithdrawnIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a := s.gateway(t, "a", machine)
		spec := userSpec("alice")
		s.set(func() {
			s.stolen, s.theft = true, func() {
				s.away = discovery.ErrAway
				s.records["other"] = discovery.EngineRecord{RefID: "other", Path: spec.Path(), User: "alice", Owner: discovery.Owner{Gateway: "b"}}
			}
		})
		_ = a.acquire(t.Context(), spec)
		time.Sleep(3 * claimPause)
		s.set(func() { s.away = nil })
		time.Sleep(3 * claimPause)
		synctest.Wait()
		require.Empty(t, machine.launches())
		require.Len(t, s.all(), 1)
		require.Contains(t, s.all(), "other")
		a.stop()
	})
}

// TestTheStoreGoesAwayAfterTheClaim: the client learns what to do.
func TestTheStoreGoesAwayAfterTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEnsemble()
		a := s.gateway(t, "a", newMachine(), func(o *Options) {
			o.OnSpawn = func() { s.set(func() { s.away = discovery.ErrAway }) }
		})
		err := (<-a.acquire(t.Context(), userSpec("alice"))).err
		require.True(t, errs.Is(err, errs.StoreAway), "%v", err)
		require.ErrorContains(t, err, "Try again")
		a.stop()
	})
}

// TestWhatAFailedLaunchLeftIsForgottenSoon, also when the store was away then.
func TestWhatAFailedLaunchLeftIsForgottenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a := s.gateway(t, "a", machine)
		first := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		s.set(func() { s.away = discovery.ErrAway })
		machine.process(machine.launches()[0].RefID).exit("exit code 1")
		require.Error(t, (<-first).err)
		time.Sleep(3 * time.Second)
		s.set(func() { s.away = nil })
		second := a.acquire(t.Context(), userSpec("alice"))
		time.Sleep(2 * tendInterval)
		synctest.Wait()
		require.Len(t, machine.launches(), 2)
		s.register(machine.launches()[1])
		took(t, second)
		a.stop()
	})
}

// TestAGatewayThatWasStoppedFindsItsLaunchTakenOver: it neither ends nor forgets it.
func TestAGatewayThatWasStoppedFindsItsLaunchTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a, b := s.gateway(t, "a", machine), s.gateway(t, "b", machine)
		first := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		s.set(func() { s.dead["a"] = true }) // for all others
		time.Sleep(2 * tendInterval)
		synctest.Wait()
		require.ErrorContains(t, (<-first).err, "another gateway")
		l := machine.launches()[0]
		require.Empty(t, machine.process(l.RefID).Status(), "it runs on")
		require.Equal(t, "b", s.all()[l.RefID].Owner.Gateway)
		again := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		s.register(l)
		require.Equal(t, l.RefID, took(t, again).Engine().RefID())
		a.stop()
		b.stop()
	})
}

// TestAnEngineOfAnotherVersionIsLeftAlone: a gateway of that version serves it.
func TestAnEngineOfAnotherVersionIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a := s.gateway(t, "a", machine)
		first := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := machine.launches()[0]
		s.register(l)
		took(t, first)
		a.stop()
		s.set(func() {
			r := s.records[l.RefID]
			r.Node = "serverUri=127.0.0.1:1;version=2;control=127.0.0.1:2;mac=00;refId=" + l.RefID
			s.records[l.RefID] = r
		})
		b := s.gateway(t, "b", machine)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Empty(t, machine.process(l.RefID).Status())
		require.Contains(t, s.all(), l.RefID)
		b.stop()
	})
}

func TestSpacesOfFailedLaunchesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, machine := newEnsemble(), newMachine()
		a := s.gateway(t, "a", machine)
		result := a.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		require.Len(t, s.spaces, 1)
		machine.process(machine.launches()[0].RefID).exit("exit code 1")
		require.Error(t, (<-result).err)
		synctest.Wait()
		require.Empty(t, s.spaces)
		s.set(func() { s.spaces["/kyuubi_1_USER_SPARK_CONNECT/bob/default"] = nil }) // of a gateway that died
		time.Sleep(spacesInterval + tendInterval)
		synctest.Wait()
		require.Empty(t, s.spaces)
		a.stop()
	})
}
