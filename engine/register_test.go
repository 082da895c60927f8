// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/engine/control"
	"roundhouse/internal/secret"
)

// running returns a world with one running engine of alice and its lease.
func running(t *testing.T, change ...func(*Options)) (*world, Launch, *Lease) {
	t.Helper()
	w := newWorld(t, change...)
	result := w.acquire(t.Context(), userSpec("alice"))
	synctest.Wait()
	l := w.launcher.launches()[0]
	_, err := w.register(l)
	require.NoError(t, err)
	got := <-result
	require.NoError(t, got.err)
	require.NoError(t, <-w.launched)
	return w, l, got.lease
}

func TestRegistrationIsRecordedBeforeAnySessionUsesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, lease := running(t)
		record, ok := w.store.get(l.RefID)
		require.True(t, ok)
		require.Equal(t, lease.Engine().node.String(), record.Node)
		require.Equal(t, 1001, record.PID)
		require.Equal(t, uint64(10010), record.StartTime)
		require.Equal(t, "/kyuubi_1_USER_SPARK_CONNECT/alice/default", record.Path)
		require.Equal(t, []string{l.WorkDir}, w.launcher.dropped, "the properties file is gone")
		require.Equal(t, "local-1", lease.Engine().AppID())
	})
}

func TestRenewalIsWelcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, _ := running(t)
		time.Sleep(time.Minute)
		welcome, err := w.register(l)
		require.NoError(t, err)
		require.Equal(t, Welcome{Heartbeat: 10 * time.Second}, welcome)
	})
}

func TestRegistrationRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		l := w.launcher.launches()[0]
		path, stranger := l.Spec.Path(), "00000000-0000-0000-0000-000000000000"
		good := nodeName(l.RefID, path, "127.0.0.1:1", "127.0.0.1:2")
		tests := map[string]struct {
			refID, path, node string
			want              error
		}{
			"junk":                   {l.RefID, path, "junk", ErrForbidden},
			"no MAC":                 {l.RefID, path, "serverUri=127.0.0.1:1;version=1;control=127.0.0.1:2;refId=" + l.RefID, ErrForbidden},
			"another port":           {l.RefID, path, strings.Replace(good, "serverUri=127.0.0.1:1;", "serverUri=127.0.0.1:3;", 1), ErrForbidden},
			"another control port":   {l.RefID, path, strings.Replace(good, "control=127.0.0.1:2", "control=127.0.0.1:3", 1), ErrForbidden},
			"another engine's node":  {l.RefID, path, nodeName(stranger, path, "127.0.0.1:1", "127.0.0.1:2"), ErrForbidden},
			"another protocol":       {l.RefID, path, strings.Replace(good, "version=1;", "version=2;", 1), ErrForbidden},
			"a path not signed":      {l.RefID, path + "x", good, ErrForbidden},
			"a signed foreign path":  {l.RefID, path + "x", nodeName(l.RefID, path+"x", "127.0.0.1:1", "127.0.0.1:2"), ErrForbidden},
			"not loopback":           {l.RefID, path, nodeName(l.RefID, path, "10.0.0.1:1", "127.0.0.1:2"), ErrForbidden},
			"control not loopback":   {l.RefID, path, nodeName(l.RefID, path, "127.0.0.1:1", "10.0.0.1:2"), ErrForbidden},
			"a name for an address":  {l.RefID, path, nodeName(l.RefID, path, "localhost:1", "127.0.0.1:2"), ErrForbidden},
			"signed but not wanted":  {stranger, path, nodeName(stranger, path, "127.0.0.1:1", "127.0.0.1:2"), ErrGone},
			"without control":        {l.RefID, path, nodeName(l.RefID, path, "127.0.0.1:1", ""), ErrForbidden},
			"fingerprint not signed": {l.RefID, path, good + ";fingerprint=ab", ErrForbidden},
		}
		for name, test := range tests {
			_, err := w.m.Register(t.Context(), test.refID, test.path, test.node, 1)
			require.ErrorIs(t, err, test.want, name)
		}
		require.Equal(t, Starting, w.m.Engines()[0].State, "none of them got in")
		require.Empty(t, w.controls, "nothing was dialled")
	})
}

func TestRenewalMustNotMoveAnEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, lease := running(t)
		path := l.Spec.Path()
		_, err := w.m.Register(t.Context(), l.RefID, path, nodeName(l.RefID, path, "127.0.0.1:1", "127.0.0.1:2"), 1)
		require.ErrorIs(t, err, ErrForbidden)
		require.NoError(t, lease.Engine().Err())
	})
}

func TestDeregister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, lease := running(t)
		path := l.Spec.Path()
		for _, reason := range []string{"idle", "unused"} {
			require.ErrorIs(t, w.m.Deregister(t.Context(), l.RefID, path, reason, ""), ErrBusy)
		}
		require.ErrorIs(t, w.m.Deregister(t.Context(), l.RefID, path+"x", "idle", ""), ErrForbidden)
		require.ErrorIs(t, w.m.Deregister(t.Context(), "unknown", path, "idle", ""), ErrGone)
		require.Equal(t, Running, lease.Engine().State())

		lease.Release()
		require.NoError(t, w.m.Deregister(t.Context(), l.RefID, path, "idle", "no session for 30 minutes"))
		_, ok := w.m.Resume(l.RefID)
		require.False(t, ok, "it is about to stop")
		w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		require.Len(t, w.launcher.launches(), 2, "the next session gets a new engine")

		w.launcher.process(l.RefID).exit("exit code 0")
		<-lease.Engine().Done()
		require.EqualError(t, lease.Engine().Err(), "engine "+l.RefID+" of alice stopped: idle (no session for 30 minutes)")
	})
}

func TestDrainingEngineKeepsItsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, lease := running(t)
		w.controlOf(l).emit(control.Draining, "", "", "lifetime")
		synctest.Wait()
		require.Equal(t, Draining, lease.Engine().State())
		more, ok := w.m.Resume(l.RefID)
		require.True(t, ok)
		require.Equal(t, 2, more.Engine().Leases())
		w.acquire(t.Context(), userSpec("alice"))
		synctest.Wait()
		require.Len(t, w.launcher.launches(), 2)
	})
}

func TestVerifyCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		path, body := "/api/v1/internal/engines/r", []byte(`{"a":1}`)
		mac := secret.MAC(keysOf(clusterSecret, "r").Register, http.MethodPut, path, string(body))
		require.True(t, w.m.VerifyCall("r", http.MethodPut, path, body, mac))
		require.False(t, w.m.VerifyCall("r", http.MethodDelete, path, body, mac))
		require.False(t, w.m.VerifyCall("r2", http.MethodPut, path, body, mac))
		require.False(t, w.m.VerifyCall("r", http.MethodPut, path, body[1:], mac))
		require.False(t, w.m.VerifyCall("r", http.MethodPut, path, body, ""))
	})
}
