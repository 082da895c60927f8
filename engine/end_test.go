// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/control"
	"roundhouse/internal/errs"
)

func TestDeadProcessEndsItsEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, lease := running(t)
		e := lease.Engine()
		before := time.Now()
		w.launcher.process(l.RefID).exit("killed by signal 9 (killed)")
		<-e.Done()
		require.Equal(t, before, time.Now())
		require.EqualError(t, e.Err(), "engine "+l.RefID+" of alice (application local-1, pid 1001) ended unexpectedly: "+
			"killed by signal 9 (killed); its log is /work/alice/"+l.RefID+"/engine.log on the gateway's machine")
		require.Equal(t, Dead, e.Check(t.Context()))
		synctest.Wait()
		require.Empty(t, w.m.Engines())
		require.Empty(t, w.store.records)
		require.Equal(t, []string{l.WorkDir}, w.launcher.swept)
		_, ok := w.m.Resume(l.RefID)
		require.False(t, ok)
		lease.Release()
	})
}

func TestStopAsksTheDriverFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, lease := running(t)
		var asked string
		w.controlOf(l).onStop = func(reason string) error {
			asked = reason
			time.AfterFunc(3*time.Second, func() { w.launcher.process(l.RefID).exit("exit code 0") })
			return nil
		}
		stopped := make(chan error, 1)
		go func() { stopped <- w.m.Stop(t.Context(), l.RefID, false, "an administrator stopped it") }()
		<-lease.Engine().Done() // at once
		require.EqualError(t, lease.Engine().Err(), "engine "+l.RefID+" of alice was stopped: an administrator stopped it")
		require.Equal(t, Ended, w.m.Engines()[0].State)
		_, err := w.register(l)
		require.ErrorIs(t, err, ErrGone)
		require.NoError(t, <-stopped)
		require.Equal(t, "an administrator stopped it", asked)
		require.Equal(t, "exit code 0", w.launcher.process(l.RefID).Status())
		require.Empty(t, w.store.records)
	})
}

func TestStopKillsADriverThatDoesNotListen(t *testing.T) {
	for name, answer := range map[string]func(string) error{
		"refuses": nil,
		"hangs":   func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, l, _ := running(t)
				w.controlOf(l).onStop = answer
				w.launcher.process(l.RefID).stubborn = true
				require.NoError(t, w.m.Stop(t.Context(), l.RefID, false, "x"))
				require.Contains(t, w.launcher.process(l.RefID).Status(), "signal 9")
			})
		})
	}
}

func TestKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, lease := running(t)
		before := time.Now()
		require.NoError(t, w.m.Stop(t.Context(), l.RefID, true, "x"))
		require.Equal(t, before, time.Now())
		require.Contains(t, w.launcher.process(l.RefID).Status(), "signal 9")
		require.Error(t, lease.Engine().Err())
		require.True(t, errs.Is(w.m.Stop(t.Context(), l.RefID, true, "x"), errs.NotFound))
	})
}

func TestStopGoesOnWithoutItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, _ := running(t)
		w.controlOf(l).onStop = func(string) error { return nil }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, w.m.Stop(ctx, l.RefID, false, "x"), context.DeadlineExceeded)
		require.Empty(t, w.launcher.process(l.RefID).Status())
		time.Sleep(time.Minute)
		synctest.Wait()
		require.NotEmpty(t, w.launcher.process(l.RefID).Status())
	})
}

func TestStopOfALaunchTellsItsWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		result := w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := w.launcher.launches()[0]
		require.NoError(t, w.m.Stop(t.Context(), l.RefID, true, "maintenance"))
		err := (<-result).err
		require.True(t, errs.Is(err, errs.EngineLaunchFailed))
		require.ErrorContains(t, err, "was stopped: maintenance")
		require.NotEmpty(t, w.launcher.process(l.RefID).Status(), "its process is gone when Stop returns")
		require.Empty(t, w.store.records)
	})
}

func TestClosedSessionsAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, _ := running(t)
		driver := w.controlOf(l)
		driver.emit(control.SessionOpened, "alice", "s1", "")
		driver.emit(control.SessionClosed, warmUpUser, "w", "released")
		driver.emit(control.SessionClosed, "alice", "s1", "idle")
		require.Equal(t, "alice s1 idle", <-w.closed)
		synctest.Wait()
		require.Empty(t, w.closed)
	})
}
