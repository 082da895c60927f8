// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/internal/errs"
)

// fakeCluster is a resource manager with one application.
type fakeCluster struct {
	mu  sync.Mutex
	app Application
	err error
	// asked are the ids that were asked for, and onAsk is called meanwhile.
	asked []string
	onAsk func()
	// tracked counts the calls of Track, badSettings is its error.
	tracked     int
	badSettings error
}

func (f *fakeCluster) set(app Application, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.app, f.err = app, err
}

func (f *fakeCluster) track(o *Options) {
	o.Track = func(Spec, string) (Look, error) {
		f.tracked++
		if f.badSettings != nil {
			return nil, f.badSettings
		}
		return func(_ context.Context, appID string) (Application, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.asked = append(f.asked, appID)
			if f.onAsk != nil {
				f.onAsk()
			}
			return f.app, f.err
		}, nil
	}
}

var (
	appWaiting = Application{ID: "app-1", State: "WAITING", Manager: "spark://m:7077", Waiting: "waiting for resources at spark://m:7077: 0 of 2 cores free"}
	appRunning = Application{ID: "app-1", State: "RUNNING", Manager: "spark://m:7077"}
	appKilled  = Application{ID: "app-1", State: "KILLED", Manager: "spark://m:7077", Over: true, Forced: true}
	appDone    = Application{ID: "app-1", State: "FINISHED", Manager: "spark://m:7077", Over: true}
)

// clustered starts a launch whose application stands as given.
func clustered(t *testing.T, f *fakeCluster) (*world, Launch, <-chan outcome) {
	t.Helper()
	w := newWorld(t, f.track)
	result := w.acquire(t.Context(), userSpec("alice"))
	synctest.Wait()
	return w, w.launcher.launches()[0], result
}

// serving is clustered with a registered engine.
func serving(t *testing.T, f *fakeCluster) (*world, Launch, *Engine) {
	t.Helper()
	f.set(appRunning, nil)
	w, l, result := clustered(t, f)
	_, err := w.register(l)
	require.NoError(t, err)
	got := <-result
	require.NoError(t, got.err)
	synctest.Wait() // for the first look
	return w, l, got.lease.Engine()
}

func TestAnEngineWithoutResourcesWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCluster{app: appWaiting}
		w, l, result := clustered(t, f)
		_, err := w.register(l)
		require.True(t, errs.Is(err, errs.EngineStarting), err)
		require.ErrorContains(t, err, "waiting for resources at spark://m:7077: 0 of 2 cores free")
		story, ok := w.m.Progress(userSpec("alice"))
		require.True(t, ok)
		require.Contains(t, story, "has been starting for 0s, waiting for resources at spark://m:7077: 0 of 2 cores free")
		require.Equal(t, appWaiting, w.m.Engines()[0].Application)

		f.set(appRunning, nil)
		_, err = w.register(l)
		require.NoError(t, err)
		require.NoError(t, (<-result).err)
		synctest.Wait()
		require.Equal(t, "RUNNING", w.m.Engines()[0].Application.State)
	})
}

func TestAWaitThatIsTooLongIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, result := clustered(t, &fakeCluster{app: appWaiting})
		err := (<-result).err
		require.True(t, errs.Is(err, errs.EngineLaunchTimeout), err)
		require.ErrorContains(t, err, "and was stopped, waiting for resources at spark://m:7077: 0 of 2 cores free.")
	})
}

func TestALaunchWhoseApplicationIsKilledFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCluster{err: ErrNoApplication}
		w, l, result := clustered(t, f)
		f.set(appKilled, nil)
		before := time.Now()
		err := (<-result).err
		require.LessOrEqual(t, time.Since(before), lookInterval)
		require.True(t, errs.Is(err, errs.EngineLaunchFailed), err)
		require.ErrorContains(t, err, "its application app-1 was ended by spark://m:7077, where it is KILLED now")
		synctest.Wait()
		require.Equal(t, "exit code 143", w.launcher.process(l.RefID).Status())
	})
}

// TestADeadEngineGetsNoSessionWhileItIsLookedInto: the answer takes a second.
func TestADeadEngineGetsNoSessionWhileItIsLookedInto(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCluster{}
		w, l, e := serving(t, f)
		var seen State
		var routed bool
		f.mu.Lock()
		f.onAsk = func() {
			w.m.mu.Lock()
			defer w.m.mu.Unlock()
			seen, routed = e.State(), w.m.mu.spaces[e.spec.spaceKey()] != nil
		}
		f.mu.Unlock()
		w.launcher.process(l.RefID).exit("exit code 1")
		<-e.Done()
		require.Equal(t, Draining, seen)
		require.False(t, routed)
	})
}

// TestTheRegisteredApplicationIsMeant: a name may be used twice, an id not.
func TestTheRegisteredApplicationIsMeant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCluster{}
		w, l, e := serving(t, f)
		require.Equal(t, []string{"", "local-1", "local-1"}, f.asked, "launch, registration, engine")
		require.Equal(t, 1, f.tracked)
		w.leave(l)
		f.badSettings = errors.New("spark.master is not what it was")
		w.start(f.track)
		again, ok := w.m.Resume(e.refID)
		require.True(t, ok, "the engine is not concerned")
		require.Nil(t, again.Engine().look)
	})
}

// The driver may be faster than the next look.
func TestTheResourceManagersReasonWins(t *testing.T) {
	tests := map[string]func(*world, Launch, *Engine){
		"process ended": func(w *world, l Launch, _ *Engine) { w.launcher.process(l.RefID).exit("exit code 1") },
		"found dead":    func(_ *world, _ Launch, e *Engine) { e.failed(e, "nothing listens") },
	}
	for name, die := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeCluster{}
				w, l, e := serving(t, f)
				f.set(appKilled, nil)
				die(w, l, e)
				<-e.Done()
				require.EqualError(t, e.Err(), "engine "+l.RefID+" of alice has ended: its application app-1 was ended by spark://m:7077, where it is KILLED now")
			})
		})
	}
}

func TestADriverIsStoppedWithItsApplication(t *testing.T) {
	for _, app := range []Application{appKilled, appDone} {
		t.Run(app.State, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeCluster{}
				w, l, e := serving(t, f)
				f.set(app, nil)
				<-e.Done()
				require.ErrorContains(t, e.Err(), "was ended by spark://m:7077, where it is "+app.State+" now")
				synctest.Wait()
				require.Equal(t, "exit code 143", w.launcher.process(l.RefID).Status(), "a driver that does not stop by itself is ended")
				require.Empty(t, w.m.Engines())
			})
		})
	}
}

func TestAStoppingDriverKeepsItsOwnReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCluster{}
		w, l, e := serving(t, f)
		require.NoError(t, w.m.Deregister(t.Context(), l.RefID, l.Spec.Path(), "lifetime", "old"))
		f.set(appDone, nil)
		time.Sleep(2 * lookInterval)
		w.launcher.process(l.RefID).exit("exit code 0")
		<-e.Done()
		require.EqualError(t, e.Err(), "engine "+l.RefID+" of alice stopped: lifetime (old)")
	})
}

// What a resource manager does not say ends nothing.
func TestAResourceManagerThatIsAwayEndsNothing(t *testing.T) {
	for _, err := range []error{errors.New("refused"), ErrNoApplication} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeCluster{}
			w, l, e := serving(t, f)
			f.set(Application{}, err)
			time.Sleep(time.Minute)
			require.Equal(t, Running, e.State())
			require.Equal(t, "RUNNING", w.m.Engines()[0].Application.State, "the last that was seen")
			w.launcher.process(l.RefID).exit("exit code 7")
			<-e.Done()
			require.ErrorContains(t, e.Err(), "ended unexpectedly: exit code 7")
		})
	}
}
