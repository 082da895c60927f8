// SPDX-License-Identifier: Apache-2.0

package control

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers every call with status and body and records what was asked.
func serve(t *testing.T, status int, body string) (*Client, *[]string) {
	t.Helper()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.String()+" "+r.Header.Get("Authorization")+" "+string(sent))
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	client := New(strings.TrimPrefix(server.URL, "http://"), "key")
	t.Cleanup(client.Close)
	return client, &asked
}

func TestStatus(t *testing.T) {
	client, asked := serve(t, 200, `{"refId":"r1","state":"running","lastEvent":7,"heapUsedBytes":5,"future":1,
		"sessions":[{"user":"alice","sessionId":"s","lastAccessMs":9,"runningOperations":2,"streamingQueries":1,"internal":true}]}`)
	got, err := client.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, Status{
		RefID: "r1", State: "running", LastEvent: 7, HeapUsedBytes: 5,
		Sessions: []Session{{User: "alice", SessionID: "s", LastAccessMs: 9, RunningOperations: 2, StreamingQueries: 1, Internal: true}},
	}, got)
	require.Equal(t, []string{"GET /v1/status Bearer key "}, *asked)
}

func TestEvents(t *testing.T) {
	client, asked := serve(t, 200, `{"events":[{"seq":4,"timeMs":1,"type":"session-closed","user":"u","sessionId":"s","reason":"idle","detail":"d"}],"last":4,"lost":true}`)
	got, err := client.Events(t.Context(), 3, 1500*time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, Events{Last: 4, Lost: true, Events: []Event{
		{Seq: 4, TimeMs: 1, Type: SessionClosed, User: "u", SessionID: "s", Reason: "idle", Detail: "d"},
	}}, got)
	require.Equal(t, []string{"GET /v1/events?after=3&waitMs=1500 Bearer key "}, *asked)
}

func TestStop(t *testing.T) {
	client, asked := serve(t, 202, "")
	require.NoError(t, client.Order(t.Context(), OrderStop, `an "admin"`))
	require.Equal(t, []string{`POST /v1/stop Bearer key {"reason":"an \"admin\""}`}, *asked)
}

func TestRefusals(t *testing.T) {
	t.Run("another engine", func(t *testing.T) {
		client, _ := serve(t, 401, "")
		_, err := client.Status(t.Context())
		require.ErrorIs(t, err, ErrUnauthorized)
	})
	t.Run("fault", func(t *testing.T) {
		client, _ := serve(t, 500, "broken")
		require.ErrorContains(t, client.Order(t.Context(), OrderStop, "x"), `status 500: "broken"`)
	})
	t.Run("redirects are not followed", func(t *testing.T) {
		client, asked := serve(t, 302, "")
		_, err := client.Status(t.Context())
		require.ErrorContains(t, err, "status 302")
		require.Len(t, *asked, 1)
	})
	t.Run("not JSON", func(t *testing.T) {
		client, _ := serve(t, 200, "<html>")
		_, err := client.Status(t.Context())
		require.ErrorContains(t, err, "unreadable answer")
	})
}
