// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWhatWillNeverGoIsNotTriedAgain: the warning is there once, not for ever.
func TestWhatWillNeverGoIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, _ := running(t)
		w.launcher.mu.Lock()
		w.launcher.stuck = errors.New("it is no folder of an engine")
		w.launcher.mu.Unlock()
		require.NoError(t, w.m.Stop(t.Context(), l.RefID, true, "x"))
		synctest.Wait()
		_, recorded := w.store.get(l.RefID)
		require.False(t, recorded)
		w.m.mu.Lock()
		defer w.m.mu.Unlock()
		require.Empty(t, w.m.mu.leftovers)
	})
}

// TestWhatStaysBehindIsRemovedLater: a full disk may keep the files or the
// record of an ended engine; they go when there is room again.
func TestWhatStaysBehindIsRemovedLater(t *testing.T) {
	for name, fail := range map[string]func(*world, error){
		"files":  func(w *world, err error) { w.launcher.mu.Lock(); w.launcher.stuck = err; w.launcher.mu.Unlock() },
		"record": func(w *world, err error) { w.store.mu.Lock(); w.store.fail = err; w.store.mu.Unlock() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, l, _ := running(t)
				fail(w, syscall.ENOSPC)
				require.NoError(t, w.m.Stop(t.Context(), l.RefID, true, "x"))
				time.Sleep(2 * sweepInterval)
				synctest.Wait()
				fail(w, nil)
				synctest.Wait()
				swept := w.launcher.sweeps()
				time.Sleep(sweepInterval)
				synctest.Wait()
				_, recorded := w.store.get(l.RefID)
				require.False(t, recorded)
				require.Equal(t, swept+1, w.launcher.sweeps())
				time.Sleep(2 * sweepInterval)
				synctest.Wait()
				require.Equal(t, swept+1, w.launcher.sweeps(), "once is enough")
			})
		})
	}
}
