// SPDX-License-Identifier: Apache-2.0

package methods

import (
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/krb5/krb5test"
	"roundhouse/internal/secret"
	"roundhouse/internal/tlsx"
)

// inEnvironment is in the environment of the gateway, and is no secret.
const inEnvironment = "c4nary-5e0c1f7a9b3d2846"

// search looks for all that opened the gateway, or could, in its files, in the
// arguments and environments of it and of its engine, and in all that REST tells.
func (h *house) search(t *testing.T) {
	engine := h.OnlyEngine()
	s := &env.Search{Secrets: maps.Clone(h.sent), Marker: engine.RefID}
	h.addKeys(t, s, engine.RefID)
	for name, text := range s.Secrets {
		require.GreaterOrEqual(t, len(text), 12, name) // or it would be found by chance
	}
	h.searchAll(t, s)
	t.Logf("%d places searched for %d secrets, %d of them name the engine", s.Places, len(s.Secrets), len(s.Marked))
	require.Empty(t, s.Found)
	h.searchFinds(t, s)
}

// addKeys adds the secrets that no client sends.
func (h *house) addKeys(t *testing.T, s *env.Search, refID string) {
	t.Helper()
	s.Secrets["password of the gateway's account"] = env.LDAPServicePassword
	s.Secrets["token of the administrator"] = adminToken
	for _, path := range h.keytabs {
		for i, key := range krb5test.Keys(t, path) {
			s.Spellings(fmt.Sprintf("key %d of %s", i, path), key)
		}
	}
	for name, pair := range map[string]tlsx.Pair{"of the authority": h.authority.Files, "of alice": h.alice, "of the gateway": h.server} {
		loaded, err := tls.LoadX509KeyPair(pair.Certificate, pair.Key)
		require.NoError(t, err)
		scalar, err := loaded.PrivateKey.(*ecdsa.PrivateKey).Bytes()
		require.NoError(t, err)
		s.Spellings("TLS key "+name, scalar)
		text, err := os.ReadFile(pair.Key)
		require.NoError(t, err)
		s.Secrets["TLS key "+name+", a line of its file"] = strings.Split(string(text), "\n")[1]
	}
	text, err := os.ReadFile(filepath.Join(h.Home, "data", "cluster.secret"))
	require.NoError(t, err)
	cluster, err := hex.DecodeString(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	s.Spellings("cluster secret", cluster)
	for _, label := range []string{secret.LabelRPC, secret.LabelRegister, secret.LabelControl} {
		s.Secrets[label+" key"] = secret.Derive(cluster, label, refID)
	}
	s.Secrets["token key"] = secret.Derive(cluster, secret.LabelToken, "")
}

// searchAll searches every place.
func (h *house) searchAll(t *testing.T, s *env.Search) {
	t.Helper()
	names := h.searchFiles(t, s)
	for _, name := range []string{"gateway.out", "audit.log", "discovery.db", "engine.log", "kyuubi-defaults.conf"} {
		require.True(t, names[name], "%s was searched", name)
	}
	require.GreaterOrEqual(t, s.Processes(t, h.PID(), nil), 2, "the gateway and its engine")
	alice := h.logins()["TOKEN"]
	_, list, _ := h.rest(alice, http.MethodGet, "/api/v1/sessions")
	require.Contains(t, list, s.Marker)
	id := h.Sessions()[0].Identifier
	for caller, l := range map[string]login{"the administrator": {header: func() string { return "Bearer " + adminToken }}, "alice": alice, "nobody": {}} {
		codes := s.REST(t, caller, id, func(path string) (int, []byte) {
			code, body, header := h.rest(l, http.MethodGet, path)
			return code, fmt.Append([]byte(body), header)
		})
		if caller == "the administrator" {
			require.Equal(t, []int{http.StatusOK}, slices.Compact(slices.Sorted(maps.Values(codes))), "%v", codes)
		}
	}
}

func (h *house) searchFiles(t *testing.T, s *env.Search) map[string]bool {
	t.Helper()
	return s.Files(t, h.Home, h.used)
}

// searchFinds shows that the search finds what is there: what is in each kind of
// place anyway, and each of the secrets once it is in a file.
func (h *house) searchFinds(t *testing.T, s *env.Search) {
	t.Helper()
	marked := strings.Join(s.Marked, "\n")
	for _, place := range []string{"gateway.out", "audit.log", "discovery.db", "command line of process", "of alice", "of the administrator"} {
		require.Contains(t, marked, place)
	}
	environment := &env.Search{Secrets: map[string]string{"canary": inEnvironment}}
	environment.Processes(t, h.PID(), nil)
	require.Contains(t, strings.Join(environment.Found, "\n"), fmt.Sprintf("canary in environment of process %d", h.PID()))

	planted := filepath.Join(h.Home, "logs", "planted")
	for name, text := range s.Secrets {
		require.NoError(t, os.WriteFile(planted, []byte("it is "+text+"\n"), 0o600))
		again := &env.Search{Secrets: map[string]string{name: text}}
		h.searchFiles(t, again)
		require.Len(t, again.Found, 1, name)
		require.Contains(t, again.Found[0], name+" in "+planted)
	}
	require.NoError(t, os.Remove(planted))
}
