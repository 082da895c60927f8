// SPDX-License-Identifier: Apache-2.0

package methods

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/krb5/krb5test"
	"roundhouse/internal/tlsx"
)

// login is a way to say who one is: a header, made anew for each call, or a
// certificate.
type login struct {
	header      func() string
	certificate *tlsx.Pair
	// once says that a header is good for one call only: no client but one that
	// makes its own calls can use it.
	once bool
}

// logins are the good ones of alice, by method.
func (h *house) logins() map[string]login {
	return map[string]login{
		"KERBEROS":    {header: func() string { return h.negotiate(krb5test.Token{}) }, once: true},
		"CERTIFICATE": {certificate: &h.alice},
		"LDAP":        {header: func() string { return h.basic("alice", env.LDAPPassword("alice")) }},
		"JWT":         {header: func() string { return h.bearer(h.issuer.Token("alice", nil)) }},
		"TOKEN":       {header: func() string { return h.bearer(aliceToken) }},
	}
}

// failures are bad ones, by method.
func (h *house) failures() map[string]login {
	late := map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}
	return map[string]login{
		"KERBEROS":    {header: func() string { return h.negotiate(krb5test.Token{Client: "bob@" + realm}) }, once: true},
		"CERTIFICATE": {certificate: &h.stranger},
		"LDAP":        {header: func() string { return h.basic("alice", wrong) }},
		"JWT":         {header: func() string { return h.bearer(h.issuer.Token("alice", late)) }},
		"TOKEN":       {header: func() string { return h.bearer(wrong) }},
		"ISSUED":      {header: func() string { return h.bearer("rht_" + h.issuer.Token("alice", nil)) }},
	}
}

// TestEveryMethodWithEveryClient: alice comes in by each method with each client,
// and always as the same user on the same engine, whoever the client claims to
// be; bad ones of each method come in nowhere. Then everything is searched for
// what was used.
func TestEveryMethodWithEveryClient(t *testing.T) {
	h := start(t)
	_, _, without := h.rest(login{}, http.MethodGet, "/api/v1/sessions")
	require.ElementsMatch(t, []string{"Negotiate", `Basic realm="roundhouse", charset="UTF-8"`, `Bearer realm="roundhouse"`}, without.Values("WWW-Authenticate"))
	good := h.logins()
	maps.Copy(good, h.bought(good))
	t.Run("Go", func(t *testing.T) { h.withGo(t, good) })
	t.Run("REST", func(t *testing.T) { h.withREST(t, good) })
	t.Run("PySpark", func(t *testing.T) { h.withPySpark(t, good) })
	t.Run("JVM", func(t *testing.T) { h.withJVM(t, good) })
	require.Len(t, h.Engines(), 1)
	require.Equal(t, "alice", h.Engines()[0].User)
	require.Subset(t, h.audited(), slices.Collect(maps.Keys(h.logins())), "each login was decided by its own method")
	t.Run("nothing of it is anywhere", h.search)
}

// audited are the methods by which alice came in, as the audit log says.
func (h *house) audited() (methods []string) {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.Home, "logs", "audit.log"))
	require.NoError(h.t, err)
	for line := range bytes.Lines(text) {
		var l struct{ Event, Outcome, User, Method string }
		require.NoError(h.t, json.Unmarshal(line, &l))
		if l.Event == "login" && l.Outcome == "ok" && l.User == "alice" {
			methods = append(methods, l.Method)
		}
	}
	return methods
}

// bought are the tokens that the gateway issues to whom it knows by a method:
// this is how clients come in that cannot carry that method.
func (h *house) bought(good map[string]login) map[string]login {
	h.t.Helper()
	tokens := map[string]login{}
	for method, l := range good {
		code, body, _ := h.rest(l, http.MethodPost, "/api/v1/tokens")
		require.Equal(h.t, http.StatusOK, code, "%s: %s", method, body)
		var got struct{ User, Token string }
		require.NoError(h.t, json.Unmarshal([]byte(body), &got))
		require.Equal(h.t, "alice", got.User, method)
		tokens["ISSUED for "+method] = login{header: func() string { return h.bearer(got.Token) }}
	}
	for method, l := range h.failures() {
		code, body, _ := h.rest(l, http.MethodPost, "/api/v1/tokens")
		require.Contains(h.t, []int{0, http.StatusUnauthorized}, code, "%s: %s", method, body)
	}
	return tokens
}

// withGo uses one session by all methods.
func (h *house) withGo(t *testing.T, good map[string]login) {
	id := uuid.NewString()
	for method, l := range good {
		c := h.connect(l)
		c.Session = id
		require.NoError(t, c.Version(t.Context()), method)
	}
	require.Equal(t, []string{"alice"}, h.owners(id))
	for method, l := range h.failures() {
		c := h.connect(l)
		want := codes.Unauthenticated
		if l.certificate != nil {
			want = codes.Unavailable // there is no connection
		}
		require.Equal(t, want, status.Code(c.Version(t.Context())), method)
		require.Empty(t, h.owners(c.Session), method)
	}
}

// owners are the users of the open sessions with an id.
func (h *house) owners(id string) (users []string) {
	h.t.Helper()
	for _, s := range h.Sessions() {
		if s.Identifier == id {
			users = append(users, s.User)
		}
	}
	return users
}

func (h *house) withREST(t *testing.T, good map[string]login) {
	for method, l := range good {
		code, body, _ := h.rest(l, http.MethodGet, "/api/v1/sessions")
		require.Equal(t, http.StatusOK, code, "%s: %s", method, body)
		require.Contains(t, body, `"user":"alice"`, method)
	}
	for method, l := range h.failures() {
		code, body, _ := h.rest(l, http.MethodGet, "/api/v1/sessions")
		require.Contains(t, []int{0, http.StatusUnauthorized}, code, "%s: %s", method, body)
	}
}

// remote is the connection string of a login for a new session, with the token
// in it if it is one. What else the client must send is header.
func (h *house) remote(l login) (remote, id, header string) {
	id = uuid.NewString()
	options := []string{"use_ssl=true", "user_id=mallory", "session_id=" + id}
	if l.header != nil {
		header = l.header()
	}
	if token, ok := strings.CutPrefix(header, "Bearer "); ok {
		return h.Remote(append(options, "token="+token)...), id, ""
	}
	return h.Remote(options...), id, header
}

// withPySpark: PySpark carries tokens by itself, and passwords and certificates
// by a channel builder. Where it is refused a connection it tries for minutes, so
// the certificate of a stranger is left to others.
func (h *house) withPySpark(t *testing.T, good map[string]login) {
	t.Setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", h.authority.Files.Certificate)
	program := env.StartClient(t, "4.3", "logins.py")
	h.tryAll(t, program, good, func(l login, remote, header string) (string, bool) {
		wish := map[string]string{"remote": remote, "authorization": header}
		if l.certificate != nil {
			wish["certificate"], wish["key"], wish["ca"] = l.certificate.Certificate, l.certificate.Key, h.authority.Files.Certificate
		}
		line, err := json.Marshal(wish)
		require.NoError(t, err)
		return string(line), l.certificate != &h.stranger
	})
}

// withJVM: the JVM client carries tokens by itself, and passwords as an option of
// its builder. It has no place for a certificate.
func (h *house) withJVM(t *testing.T, good map[string]login) {
	program := env.StartProgram(t, env.JVM(t, h.authority.Files.Certificate, "JvmLogins"))
	h.tryAll(t, program, good, func(l login, remote, header string) (string, bool) {
		return remote + "\t" + header, l.certificate == nil
	})
}

// tryAll has a client program log in by each line that describes a login to it,
// if there is one, and ends it.
func (h *house) tryAll(t *testing.T, program *env.Client, good map[string]login, describe func(l login, remote, header string) (string, bool)) {
	t.Helper()
	try := func(logins map[string]login, says string, users []string) {
		t.Helper()
		for method, l := range logins {
			remote, id, header := h.remote(l)
			line, can := describe(l, remote, header)
			if l.once || !can {
				continue
			}
			program.Say(line)
			said := program.Next("login", 2*time.Minute)
			require.Contains(t, fmt.Sprint(said), says, method)
			require.Equal(t, users, h.owners(id), method)
		}
	}
	try(good, "rows:10", []string{"alice"})
	try(h.failures(), "[GATEWAY.UNAUTHENTICATED] Authentication failed", nil)
	code, _ := program.Wait(time.Minute)
	require.Zero(t, code)
}
