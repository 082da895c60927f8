// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/internal/errs"
)

func TestFiftyWaitersShareOneLaunch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var results []<-chan outcome
		for range 50 {
			results = append(results, w.acquire(t.Context(), userSpec("alice")))
		}
		synctest.Wait()
		require.Len(t, w.launcher.launches(), 1)

		welcome, err := w.register(w.launcher.launches()[0])
		require.NoError(t, err)
		require.False(t, welcome.WarmUp, "clients wait")
		var engine *Engine
		for _, result := range results {
			got := <-result
			require.NoError(t, got.err)
			engine = got.lease.Engine()
		}
		require.Equal(t, 50, engine.Leases())
		require.Equal(t, Running, engine.State())
		require.NoError(t, <-w.launched)

		later, err := w.m.Acquire(t.Context(), userSpec("alice"))
		require.NoError(t, err)
		require.Same(t, engine, later.Engine())
		later.Release()
		later.Release()
		require.Equal(t, 50, engine.Leases(), "a lease counts once")
		require.Len(t, w.launcher.launches(), 1)
	})
}

func TestUsersAndOptionsGetEnginesOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.LaunchLimit = 10 })
		other := userSpec("alice")
		other.Subdomain = "o-0123456789ab"
		for _, spec := range []Spec{userSpec("alice"), userSpec("bob"), other} {
			w.acquire(t.Context(), spec)
		}
		synctest.Wait()
		require.Len(t, w.launcher.launches(), 3)
	})
}

func TestWaiterMayLeaveWhileOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		leaving, staying := w.acquire(ctx, userSpec("alice")), w.acquire(t.Context(), userSpec("alice"))
		got := <-leaving
		require.True(t, errs.Is(got.err, errs.EngineStarting))
		require.ErrorIs(t, got.err, context.DeadlineExceeded)
		require.ErrorContains(t, got.err, "has been starting for 1s")
		_, err := w.register(w.launcher.launches()[0])
		require.NoError(t, err)
		require.Equal(t, 1, (<-staying).lease.Engine().Leases(), "who left holds no lease")
	})
}

func TestLaunchThatNobodyWaitsForLingersAndIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		result := w.acquire(ctx, userSpec("alice"))
		synctest.Wait()
		l := w.launcher.launches()[0]
		cancel()
		<-result

		time.Sleep(2*time.Minute - time.Millisecond)
		synctest.Wait()
		_, recorded := w.store.get(l.RefID)
		require.True(t, recorded, "within the linger time it goes on")

		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, "exit code 143", w.launcher.process(l.RefID).Status())
		require.Equal(t, []string{l.WorkDir}, w.launcher.swept)
		_, recorded = w.store.get(l.RefID)
		require.False(t, recorded)
		require.ErrorIs(t, <-w.launched, ErrCancelled)

		_, err := w.register(l)
		require.ErrorIs(t, err, ErrGone, "a late driver is turned away")
	})
}

func TestReturnWithinLingerJoinsTheSameLaunch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 3 { // each return starts the linger time afresh
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			<-w.acquire(ctx, userSpec("alice"))
			cancel()
			time.Sleep(40 * time.Second)
		}
		back := w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		require.Len(t, w.launcher.launches(), 1)
		_, err := w.register(w.launcher.launches()[0])
		require.NoError(t, err)
		require.NoError(t, (<-back).err)
		time.Sleep(10 * time.Minute)
		require.Equal(t, Running, w.m.Engines()[0].State, "no timer of an earlier round ends it")
	})
}

func TestReleasedSessionCancelsItsLaunchAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		result := w.acquire(ctx, userSpec("alice"))
		synctest.Wait()
		l := w.launcher.launches()[0]
		cancel(ErrReleased)
		require.ErrorIs(t, (<-result).err, ErrReleased)
		synctest.Wait()
		require.NotEmpty(t, w.launcher.process(l.RefID).Status())
		require.Empty(t, w.m.Engines())
	})
}

func TestReleasedSessionLeavesTheLaunchToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		released, staying := w.acquire(ctx, userSpec("alice")), w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		cancel(ErrReleased)
		<-released
		_, err := w.register(w.launcher.launches()[0])
		require.NoError(t, err)
		require.NoError(t, (<-staying).err)
	})
}

func TestEngineThatNobodyWaitsForWarmsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		<-w.acquire(ctx, userSpec("alice"))
		welcome, err := w.register(w.launcher.launches()[0])
		require.NoError(t, err)
		require.Equal(t, Welcome{WarmUp: true, Heartbeat: 10 * time.Second}, welcome)
	})
}

func TestFailedLaunchTellsAllWaitersTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first, second := w.acquire(t.Context(), userSpec("alice")), w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := w.launcher.launches()[0]
		w.launcher.reason = "java.lang.X: token " + l.Keys.RPC
		time.Sleep(3 * time.Second)
		w.launcher.process(l.RefID).exit("exit code 1")
		for _, result := range []<-chan outcome{first, second} {
			err := (<-result).err
			require.True(t, errs.Is(err, errs.EngineLaunchFailed))
			require.ErrorContains(t, err, "spark-submit ended after 3s (exit code 1)")
			require.ErrorContains(t, err, "java.lang.X: token ********")
			require.ErrorContains(t, err, "/work/alice/"+l.RefID+"/engine.log")
		}
		synctest.Wait()
		require.Empty(t, w.store.records)
		require.Empty(t, w.m.Engines())

		w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		require.Len(t, w.launcher.launches(), 2, "the next one starts afresh")
	})
}

func TestLaunchThatCannotStartFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.launcher.fail = errors.New("no Spark is configured; set SPARK_HOME")
		before := time.Now()
		_, err := w.m.Acquire(t.Context(), userSpec("alice"))
		require.True(t, errs.Is(err, errs.EngineLaunchFailed))
		require.ErrorContains(t, err, "of alice was not started: no Spark is configured; set SPARK_HOME")
		require.Equal(t, before, time.Now())
		synctest.Wait()
		require.Empty(t, w.store.records)
	})
}

func TestLaunchWithoutRecordIsNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.store.mu.Lock()
		w.store.fail = errors.New("disk full")
		w.store.mu.Unlock()
		_, err := w.m.Acquire(t.Context(), userSpec("alice"))
		require.True(t, errs.Is(err, errs.Internal))
		require.Empty(t, w.launcher.launches())
		synctest.Wait() // it tries to remove the record
	})
}

// TestAProcessThatCannotBeRecorded is ended; if it does not end, its record
// stays, by which the next gateway finds it.
func TestAProcessThatCannotBeRecorded(t *testing.T) {
	for _, undead := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.launcher.spoil = func(p *fakeProcess) { p.undead = undead }
			w.store.failPID = errors.New("disk full")
			_, err := w.m.Acquire(t.Context(), userSpec("alice"))
			require.ErrorContains(t, err, "its process could not be recorded")
			synctest.Wait()
			l := w.launcher.launches()[0]
			require.Equal(t, !undead, isDone(w.launcher.process(l.RefID)))
			_, recorded := w.store.get(l.RefID)
			require.Equal(t, undead, recorded)
			require.Len(t, w.launcher.process(l.RefID).released, 1)
		})
	}
}

// TestALaunchThatEndsWithTheGateway has a reason like any other.
func TestALaunchThatEndsWithTheGateway(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			result := w.acquire(t.Context(), userSpec("alice"))
			synctest.Wait()
			process := w.launcher.process(w.launcher.launches()[0].RefID)
			w.m.stop(errClosing)
			process.exit("exit code 1")
			require.Error(t, (<-result).err)
		})
	}
}

func TestLaunchTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.launcher.reason = "still waiting for resources"
		before := time.Now()
		_, err := w.m.Acquire(t.Context(), userSpec("alice"))
		require.True(t, errs.Is(err, errs.EngineLaunchTimeout))
		require.ErrorContains(t, err, "within 3m0s (kyuubi.session.engine.initialize.timeout)")
		require.ErrorContains(t, err, "still waiting for resources")
		require.Equal(t, 3*time.Minute, time.Since(before))
		synctest.Wait()
		require.Empty(t, w.store.records)
		require.Len(t, w.launcher.swept, 1)
	})
}

func TestQueueIsFairAndItsTimeDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.LaunchLimit = 1 })
		for _, user := range []string{"a", "b", "c", "d"} {
			w.acquire(t.Context(), userSpec(user))
			synctest.Wait()
		}
		require.Len(t, w.launcher.launches(), 1)
		story, ok := w.m.Progress(userSpec("c"))
		require.True(t, ok)
		require.Contains(t, story, "of c waits in the launch queue of the gateway, number 2 in line")

		for i, user := range []string{"a", "b", "c", "d"} {
			time.Sleep(2 * time.Minute) // six minutes for d, more than the timeout
			launches := w.launcher.launches()
			require.Len(t, launches, i+1)
			require.Equal(t, user, launches[i].Spec.Owner)
			_, err := w.register(launches[i])
			require.NoError(t, err)
			synctest.Wait()
		}
		_, ok = w.m.Progress(userSpec("c"))
		require.False(t, ok)
	})
}

func TestLaunchLeavesTheQueueWhenCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.LaunchLimit = 1 })
		w.acquire(t.Context(), userSpec("a"))
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(t.Context())
		b := w.acquire(ctx, userSpec("b"))
		synctest.Wait()
		w.acquire(t.Context(), userSpec("c"))
		synctest.Wait()
		cancel(ErrReleased)
		require.ErrorContains(t, (<-b).err, "number 1 in line")
		synctest.Wait()
		w.launcher.process(w.launcher.launches()[0].RefID).exit("exit code 1")
		synctest.Wait()
		launches := w.launcher.launches()
		require.Len(t, launches, 2)
		require.Equal(t, "c", launches[1].Spec.Owner)
	})
}

func TestConnectionEnginesAreNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		spec := userSpec("alice")
		spec.ShareLevel, spec.Session = Connection, "s1"
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		<-w.acquire(ctx, spec)
		again := w.acquire(t.Context(), spec)
		spec.Session = "s2"
		w.acquire(t.Context(), spec)
		synctest.Wait()
		launches := w.launcher.launches()
		require.Len(t, launches, 2, "a call of the same session joins its launch")
		require.Equal(t, launches[0].RefID, launches[0].Spec.Subdomain)
		for i, session := range []string{"s1", "s2"} {
			spec.Session = session
			story, ok := w.m.Progress(spec)
			require.True(t, ok)
			require.Contains(t, story, launches[i].RefID)
		}

		_, err := w.register(launches[0])
		require.NoError(t, err)
		lease := (<-again).lease
		w.controlOf(launches[0]).onStop = func(string) error {
			w.launcher.process(launches[0].RefID).exit("exit code 0")
			return nil
		}
		lease.Release()
		<-lease.Engine().Done()
		require.ErrorContains(t, lease.Engine().Err(), "its session ended")
		synctest.Wait()
		require.Len(t, w.m.Engines(), 1)
	})
}

func TestUserLimitNamesTheEngines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.UserLimit = 1 })
		w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		refID := w.launcher.launches()[0].RefID
		other := userSpec("alice")
		other.Subdomain = "o-0123456789ab"
		_, err := w.m.Acquire(t.Context(), other)
		require.True(t, errs.Is(err, errs.LimitExceeded))
		require.ErrorContains(t, err, refID)
		w.acquire(t.Context(), userSpec("alice"))
		w.acquire(t.Context(), userSpec("bob"))
		synctest.Wait()
		require.Len(t, w.launcher.launches(), 2)
	})
}

// staff knows one group of everybody, unless it does not answer.
type staff struct {
	asked int
	fault error
}

func (s *staff) Primary(context.Context, string) (string, error) { s.asked++; return "staff", s.fault }

// TestGroupLimitNeedsTheGroup, once for each launch, and launches nothing without it.
func TestGroupLimitNeedsTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		groups := &staff{fault: errors.New("silent")}
		w := newWorld(t, func(o *Options) { o.GroupLimit, o.Groups = 1, groups })
		_, err := w.m.Acquire(t.Context(), userSpec("alice"))
		require.True(t, errs.Is(err, errs.EngineLaunchFailed), err)
		require.ErrorContains(t, err, "could not be found out (silent)")
		groups.fault = nil
		w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		require.Equal(t, 2, groups.asked, "who joins a launch has no group")
		_, err = w.m.Acquire(t.Context(), userSpec("bob"))
		require.ErrorContains(t, err, "The users of group staff have 1 engine ")
	})
}

// TestAnEngineTakesItsPlaceUntilItIsGone: else stopping and connecting again in
// a loop would run several times the limit.
func TestAnEngineTakesItsPlaceUntilItIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.UserLimit = 1 })
		first := w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := w.launcher.launches()[0]
		_, err := w.register(l)
		require.NoError(t, err)
		require.NoError(t, (<-first).err)
		w.controlOf(l).onStop = func(string) error {
			time.AfterFunc(20*time.Second, func() { w.launcher.process(l.RefID).exit("exit code 0") })
			return nil
		}
		stopped := make(chan error, 1)
		go func() { stopped <- w.m.Stop(t.Context(), l.RefID, false, "x") }() // read below
		time.Sleep(10 * time.Second)
		_, err = w.m.Acquire(t.Context(), userSpec("alice"))
		require.True(t, errs.Is(err, errs.LimitExceeded), err)
		require.ErrorContains(t, err, "has 1 engine and may have 1 (kyuubi.server.limit.engines.per.user), 1 of them is ending and makes room soon: "+l.RefID)
		require.NoError(t, <-stopped)
		w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		require.Len(t, w.launcher.launches(), 2)
	})
}

func TestNamesThatAreNoFolderNamesAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []string{"", ".", "..", "../root", "a/b", "a b", "a\n", "-rf", "ä"} {
			_, err := w.m.Acquire(t.Context(), userSpec(name))
			require.True(t, errs.Is(err, errs.InvalidRequest), "%q", name)
		}
		require.Empty(t, w.launcher.launches())
	})
}

func TestShutdownLeavesEnginesAndLaunchesToTheNextGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.LaunchLimit = 2 })
		served := w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		_, err := w.register(w.launcher.launches()[0])
		require.NoError(t, err)
		lease := (<-served).lease
		starting := w.acquire(t.Context(), userSpec("bob"))
		synctest.Wait()
		w.acquire(t.Context(), userSpec("eve"))
		synctest.Wait()
		queued := w.acquire(t.Context(), userSpec("queued"))
		synctest.Wait()

		w.stop()
		require.True(t, errs.Is((<-starting).err, errs.ShuttingDown))
		require.True(t, errs.Is((<-queued).err, errs.ShuttingDown))
		_, err = w.m.Acquire(t.Context(), userSpec("alice"))
		require.True(t, errs.Is(err, errs.ShuttingDown))
		lease.Release()
		for _, l := range w.launcher.launches() {
			require.Empty(t, w.launcher.process(l.RefID).Status(), "processes go on")
			_, recorded := w.store.get(l.RefID)
			require.True(t, recorded)
		}
		select {
		case <-lease.Engine().Done():
			require.Fail(t, "the engine has not ended")
		default:
		}
	})
}
