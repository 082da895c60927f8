// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/control"
	"roundhouse/internal/errs"
	"roundhouse/internal/secret"
)

func TestNextGatewayAdoptsWhatAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, lease := running(t)
		process := w.leave(l)
		w.start()

		resumed, ok := w.m.Resume(l.RefID)
		require.True(t, ok)
		require.Equal(t, lease.Engine().node, resumed.Engine().node)
		again, err := w.m.Acquire(t.Context(), userSpec("alice"))
		require.NoError(t, err)
		require.Same(t, resumed.Engine(), again.Engine())
		_, err = w.register(l)
		require.NoError(t, err, "its driver finds the new gateway")

		process.exit("killed by signal 9 (killed)")
		<-resumed.Engine().Done()
	})
}

// TestNextGatewayHasANewSecret: engines of before go on with their keys, new ones
// have keys of the new secret only.
func TestNextGatewayHasANewSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, lease := running(t)
		keys := lease.Engine().keys
		fresh := []byte("another secret of 32 bytes .....")
		rotated := func(secrets ...[]byte) func(*Options) { return func(o *Options) { o.Secrets = secrets } }
		w.leave(l)
		w.start(rotated(fresh, clusterSecret))
		resumed, ok := w.m.Resume(l.RefID)
		require.True(t, ok)
		require.Equal(t, keys, resumed.Engine().keys)
		_, err := w.register(l)
		require.NoError(t, err)
		signed := func(cluster []byte, refID string) bool {
			return w.m.VerifyCall(refID, "PUT", "/x", nil, secret.MAC(keysOf(cluster, refID).Register, "PUT", "/x", ""))
		}
		require.True(t, signed(clusterSecret, l.RefID))
		require.False(t, signed(fresh, l.RefID), "the engine has other keys")

		w.acquire(t.Context(), userSpec("bob"))
		synctest.Wait()
		next := w.launcher.launches()[1]
		require.Equal(t, keysOf(fresh, next.RefID), next.Keys)
		require.False(t, signed(clusterSecret, next.RefID), "who knows the old secret only is no new engine")
		_, err = w.register(next)
		require.ErrorIs(t, err, ErrForbidden)

		process := w.leave(l)
		w.start(rotated(fresh))
		synctest.Wait()
		require.NotEmpty(t, process.Status(), "once the old secret is gone so is what it signed")
	})
}

func TestNextGatewayEndsWhatIsNotTheEngine(t *testing.T) {
	for name, spoil := range map[string]func(*fakeControl){
		"nothing listens": func(c *fakeControl) { c.down = fmt.Errorf("dial: %w", syscall.ECONNREFUSED) },
		"another key":     func(c *fakeControl) { c.down = control.ErrUnauthorized },
		"another engine":  func(c *fakeControl) { c.refID = "another" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, l, _ := running(t)
				process := w.leave(l)
				spoil(w.controlOf(l))
				w.start()
				synctest.Wait()
				require.NotEmpty(t, process.Status())
				require.Empty(t, w.m.Engines())
				require.Empty(t, w.store.records)
				require.Equal(t, []string{l.WorkDir}, w.launcher.swept)
			})
		})
	}
}

func TestNextGatewayForgetsWhatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, _ := running(t)
		w.stop()
		w.start()
		require.Empty(t, w.store.records)
		require.Equal(t, []string{l.WorkDir}, w.launcher.swept)
		_, err := w.register(l)
		require.ErrorIs(t, err, ErrGone)
	})
}

func TestNextGatewayTakesOverALaunch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := w.launcher.launches()[0]
		process := w.launcher.process(l.RefID)
		w.launcher.old[process.id.PID] = process
		time.Sleep(time.Minute)
		w.stop()
		w.start()
		w.requireRetryJoins(t, l)
	})
}

// requireRetryJoins has the client of an inherited launch come back: it gets the
// engine of that launch, and there is no second one.
func (w *world) requireRetryJoins(t *testing.T, l Launch) {
	t.Helper()
	back := w.acquire(t.Context(), userSpec("alice"))
	synctest.Wait()
	require.Len(t, w.launcher.launches(), 1, "no second engine")
	_, err := w.register(l)
	require.NoError(t, err)
	require.NoError(t, (<-back).err)
}

func TestInheritedLaunchKeepsItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := w.launcher.launches()[0]
		process := w.launcher.process(l.RefID)
		w.launcher.old[process.id.PID] = process
		time.Sleep(2 * time.Minute)
		w.stop()
		w.start()
		back := w.acquire(t.Context(), userSpec("alice"))
		before := time.Now()
		require.True(t, errs.Is((<-back).err, errs.EngineLaunchTimeout))
		require.Equal(t, time.Minute, time.Since(before))
		synctest.Wait()
		require.NotEmpty(t, process.Status())
		require.Empty(t, w.store.records)
	})
}

// leave ends the gateway of w and keeps the engine of l for the next one.
func (w *world) leave(l Launch) *fakeProcess {
	w.stop()
	process := w.launcher.process(l.RefID)
	w.launcher.old[process.id.PID] = process
	w.controlOf(l).refID = l.RefID
	return process
}

func TestNextGatewayKeepsAnEngineThatIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, _ := running(t)
		process := w.leave(l)
		driver := w.controlOf(l)
		driver.down = errors.New("no answer")
		w.start()
		require.Empty(t, process.Status())
		again, ok := w.m.Resume(l.RefID)
		require.True(t, ok)
		require.Empty(t, w.census)

		driver.mu.Lock()
		driver.down, driver.state = nil, "draining"
		driver.mu.Unlock()
		<-w.census
		synctest.Wait()
		require.Equal(t, Draining, again.Engine().State(), "it is asked again until it answers")
	})
}

func TestNextGatewayDropsTheSecretsOfAnEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, _ := running(t)
		w.leave(l)
		w.launcher.dropped = nil
		w.start()
		require.Equal(t, []string{l.WorkDir}, w.launcher.dropped, "the earlier gateway may have had no time for it")
	})
}

func TestNextGatewayFindsTheProcessThatWasNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := w.launcher.launches()[0]
		w.stop()
		record := w.store.records[l.RefID]
		record.PID, record.StartTime = 0, 0
		w.store.records[l.RefID] = record
		process := w.launcher.process(l.RefID)
		w.launcher.lost[l.WorkDir] = process
		w.start()
		require.Equal(t, process.id.PID, w.store.records[l.RefID].PID, "it is recorded now")
		w.requireRetryJoins(t, l)
	})
}

func TestLaunchBeforeTheSpawnIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := w.launcher.launches()[0]
		w.stop()
		record := w.store.records[l.RefID]
		record.PID, record.StartTime = 0, 0
		w.store.records[l.RefID] = record
		w.start()
		require.Empty(t, w.store.records)
		require.Equal(t, []string{l.WorkDir}, w.launcher.swept)
	})
}

func TestGatewayDoesNotStartBlind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, _ := running(t)
		w.stop()
		w.launcher.blind = syscall.EMFILE
		_, err := NewManager(w.options())
		require.ErrorIs(t, err, syscall.EMFILE)
		require.ErrorContains(t, err, l.RefID)
		require.Contains(t, w.store.records, l.RefID)
	})
}

// TestLaunchOfOneSessionIsJoinedByItAfterARestart, though no other may share it.
func TestLaunchOfOneSessionIsJoinedByItAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := userSpec("alice")
		spec.ShareLevel, spec.Session = Connection, "s1"
		w := newWorld(t)
		w.acquire(t.Context(), spec)
		synctest.Wait()
		l := w.launcher.launches()[0]
		w.leave(l)
		w.start()
		back := w.acquire(t.Context(), spec)
		synctest.Wait()
		require.Len(t, w.launcher.launches(), 1)
		_, err := w.register(l)
		require.NoError(t, err)
		require.NoError(t, (<-back).err)
	})
}

func TestRecordOfAProcessThatDoesNotEndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, _ := running(t)
		process := w.leave(l)
		process.undead = true
		w.controlOf(l).refID = "another"
		w.start()
		synctest.Wait()
		require.Empty(t, w.m.Engines())
		require.Contains(t, w.store.records, l.RefID, "for the next gateway to try again")
		process.undead = false
		w.stop()
		w.start()
		synctest.Wait()
		require.NotEmpty(t, process.Status())
		require.Empty(t, w.store.records)
	})
}
