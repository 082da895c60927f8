// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// registered keeps the last registration.
type registered struct {
	*world
	path, node string
}

func (r *registered) Register(_ context.Context, _, path, node string, _ int64) (Welcome, error) {
	r.path, r.node = path, node
	return Welcome{}, nil
}

// FuzzRegistration sends bodies whose MAC is right, as an engine under somebody
// else's control could: they are taken as encoding/json reads them, or refused.
func FuzzRegistration(f *testing.F) {
	f.Add(`{"path":"/p/alice/default","node":"serverUri=x","timeMs":5}`)
	f.Add(`{"path":"/p","PATH":"/q","node":"n","timeMs":1e400}`)
	f.Add(`{"path":{},"node":["n"]}`)
	f.Add(" {\"path\":\"\\ud800\",\"node\":\"\x00\"}{}")
	f.Fuzz(func(t *testing.T, body string) {
		w := &registered{world: aWorld()}
		o := options(w.world)
		o.Registrar = w
		s, err := New(o)
		require.NoError(t, err)
		r := httptest.NewRequest(http.MethodPut, "http://127.0.0.1:10099/api/v1/internal/engines/"+aliceEngine, strings.NewReader(body))
		r.Header.Set("Authorization", macScheme+"good")
		reply := httptest.NewRecorder()
		s.Handler().ServeHTTP(reply, r)
		switch reply.Code {
		case http.StatusOK:
			var want struct{ Path, Node string }
			require.NoError(t, json.NewDecoder(strings.NewReader(body)).Decode(&want))
			require.Equal(t, want.Path, w.path)
			require.Equal(t, want.Node, w.node)
			require.NotEmpty(t, want.Path)
		case http.StatusBadRequest:
			require.Empty(t, w.path, "refused, but taken")
		default:
			require.Failf(t, "an unexpected status", "%d %s", reply.Code, reply.Body)
		}
	})
}
