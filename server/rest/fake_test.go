// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bearerIsUser believes "Bearer <name>"; root is an administrator.
type bearerIsUser struct{}

func (bearerIsUser) Authenticate(_ context.Context, r auth.Request) (auth.Identity, error) {
	values := r.Header["authorization"]
	if len(values) != 1 || !strings.HasPrefix(values[0], "Bearer ") {
		return auth.Identity{}, errs.New(errs.Unauthenticated, "no bearer")
	}
	name := strings.TrimPrefix(values[0], "Bearer ")
	return auth.Identity{User: name, RealUser: name, Method: "TOKEN", Admin: name == "root"}, nil
}

// world plays sessions, engines and the registrar.
type world struct {
	ca       string // of a secureServer: the file of its authority
	mu       sync.Mutex
	sessions []SessionView
	engines  []EngineView
	log      []string // what was asked for, one line each
	openErr  error
	regErr   error
	endErr   error  // of Close, Stop and Retire
	getErr   error  // of Get, for a session that is not there
	endure   string // the one engine that endErr is about, if set
	config   string // of the second gateway
	tokenErr error
}

func (w *world) note(parts ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, strings.Join(parts, " "))
}

func (w *world) Open(_ context.Context, caller auth.Identity, _ string, configs map[string]string) (SessionView, error) {
	if w.openErr != nil {
		return SessionView{}, w.openErr
	}
	w.note("open", caller.User, configs["kyuubi.session.name"])
	return SessionView{ID: newSessionID, User: caller.User}, nil
}

func (w *world) List(user string) []SessionView {
	var list []SessionView
	for _, v := range w.sessions {
		if user == "" || user == v.User {
			list = append(list, v)
		}
	}
	return list
}

func (w *world) Get(_ context.Context, user, id string) (SessionView, bool, error) {
	for _, v := range w.sessions {
		if v.User == user && v.ID == id {
			return v, true, nil
		}
	}
	return SessionView{}, false, w.getErr
}

func (w *world) Close(_ context.Context, user, id, reason string) error {
	w.note("close", user, id, reason)
	return w.endErr
}

func (w *world) Engines() []EngineView { return w.engines }

func (w *world) CurrentFingerprints() map[string]string {
	return map[string]string{aliceEngine: "f2", namedEngine: "f3"}
}

func (w *world) Stop(_ context.Context, refID string, kill bool, reason string) error {
	if kill {
		reason = "KILL " + reason
	}
	w.note("stop", refID, reason)
	return w.endErr
}

func (w *world) Retire(_ context.Context, refID, reason string) error {
	w.note("retire", refID, reason)
	if w.endure != "" && w.endure != refID {
		return nil
	}
	return w.endErr
}

func (w *world) Servers() []ServerView {
	return []ServerView{
		{ID: "g1", Namespace: "/kyuubi_spark_connect", Address: "one:15002", REST: "one:10099", Version: "0.2.0", Config: "c1", Place: "m1", Since: time.UnixMilli(1_700_000_000_000)},
		{Address: "[::1]:15002", Config: or(w.config, "c1"), Draining: true},
	}
}

func (w *world) VerifyCall(refID, method, path string, body []byte, mac string) bool {
	w.note("verify", refID, method, path, string(body))
	return mac == "good"
}

func (w *world) Register(_ context.Context, refID, path, node string, _ int64) (Welcome, error) {
	w.note("register", refID, path, node)
	return Welcome{WarmUp: true, Heartbeat: 5 * time.Second}, w.regErr
}

func (w *world) Deregister(_ context.Context, refID, path, reason, detail string) error {
	w.note("deregister", refID, path, reason, detail)
	return w.regErr
}

// tokens plays the issuer of a world.
type tokens struct{ w *world }

func (t tokens) Issue(_ context.Context, by auth.Identity, wish TokenWish) (string, TokenView, error) {
	if t.w.tokenErr != nil {
		return "", TokenView{}, t.w.tokenErr
	}
	t.w.note("issue", by.User, wish.User, wish.Name, strings.Join(wish.Scope, "+"), wish.Lifetime.String())
	v := aToken(newSessionID, by.User)
	if wish.Scope != nil {
		v.Scope = wish.Scope
	}
	return "rht_x", v, nil
}

func (t tokens) List(user string) []TokenView {
	var list []TokenView
	for _, v := range []TokenView{aToken(aliceSession, "alice"), aToken(bobSession, "bob")} {
		if user == "" || user == v.User {
			list = append(list, v)
		}
	}
	return list
}

func (t tokens) Revoke(_ context.Context, by auth.Identity, id string) error {
	for _, v := range t.List("") {
		if v.ID == id && (by.User == v.User || by.Admin) {
			t.w.note("revoke", by.User, id)
			return t.w.tokenErr
		}
	}
	return errs.New(errs.NotFound, "There is no token %q.", id)
}

func (t tokens) RevokeUser(_ context.Context, by auth.Identity, user string) (int, error) {
	t.w.note("revoke all", by.User, user)
	return 2, t.w.tokenErr
}

func aToken(id, user string) TokenView {
	made := time.UnixMilli(1_700_000_000_000)
	return TokenView{ID: id, User: user, Scope: []string{"connect", "rest"}, Method: "LDAP", Created: made, Expires: made.Add(time.Hour), Last: made.Add(2 * time.Hour)}
}

// RESTCall makes world an Observer too.
func (w *world) RESTCall(route string, status int) {
	w.note("observed", route, http.StatusText(status))
}

const (
	newSessionID = "11111111-1111-4111-8111-111111111111"
	aliceSession = "aaaaaaaa-0000-4000-8000-000000000001"
	bobSession   = "bbbbbbbb-0000-4000-8000-000000000002"
	sharedID     = "cccccccc-0000-4000-8000-000000000003"
	aliceEngine  = "eeeeeeee-0000-4000-8000-000000000001"
	bobEngine    = "eeeeeeee-0000-4000-8000-000000000002"
	namedEngine  = "eeeeeeee-0000-4000-8000-000000000003"
)

// aWorld has sessions and engines of alice and of bob.
func aWorld() *world {
	opened := time.UnixMilli(1_700_000_000_000)
	return &world{
		sessions: []SessionView{
			{
				ID: aliceSession, User: "alice", Name: "report", RemoteID: "r-1", ClientAddress: "192.0.2.7", Client: "_SPARK_CONNECT_PYTHON",
				Options:  map[string]string{"spark.driver.memory": "2g", "spark.x.password": "hunter2", "spark.note": "a token of love"},
				EngineID: "local-17", EngineRef: aliceEngine, EngineName: "kyuubi_USER", EngineURL: "host:4040",
				Opened: opened, LastAccess: opened.Add(time.Second), Operations: new(3), Instance: "one:15002",
			},
			{ID: sharedID, User: "alice", Opened: opened},
			{ID: sharedID, User: "bob", Opened: opened},
			{ID: bobSession, User: "bob", Opened: opened},
		},
		engines: []EngineView{
			{
				RefID: aliceEngine, Version: "1", User: "alice", Type: "SPARK_CONNECT", ShareLevel: "USER", Subdomain: "default",
				Address: "127.0.0.1:41123", Path: "/kyuubi_1_USER_SPARK_CONNECT/alice/default", State: "running", Sessions: 1,
				Attributes: map[string]string{"kyuubi.engine.id": "local-17", "mac": "0123"}, Submitted: opened, PID: 4711, LogPath: "/l/engine.log",
				Fingerprint: "f1", Place: "m1",
			},
			{RefID: bobEngine, User: "bob", Type: "SPARK_CONNECT", ShareLevel: "USER", Subdomain: "default", Path: "/b", State: "starting"},
			{RefID: namedEngine, User: "alice", Type: "SPARK_CONNECT", ShareLevel: "USER", Subdomain: "etl", Path: "/e", State: "running", Fingerprint: "f3"},
		},
	}
}

func options(w *world) Options {
	return Options{
		Listener: unusedListener{}, Authenticator: bearerIsUser{}, Sessions: w, Engines: w, Servers: w, Registrar: w, Tokens: tokens{w}, People: everybody{w}, Access: rulesOfTheTest{}, Observer: w,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }),
		Ready:   func() error { return nil },
		Remote:  Remote{Address: "127.0.0.1:15002"}, Login: Login{Methods: []string{"TOKEN"}},
		Version: "0.1.0", Log: slog.New(slog.DiscardHandler),
	}
}

type unusedListener struct{ net.Listener }

// client calls one server.
type client struct {
	t *testing.T
	h http.Handler
}

func serve(t *testing.T, o Options) client {
	t.Helper()
	s, err := New(o)
	require.NoError(t, err)
	return client{t: t, h: s.Handler()}
}

// do calls as user ("" = without credentials).
func (c client) do(user, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	c.t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:10099"+target, bytes.NewBufferString(body))
	if user != "" {
		r.Header.Set("Authorization", "Bearer "+user)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, r)
	loadContract(c.t).check(c.t, r, w)
	return w
}

// message is the text of an error reply, which must be JSON.
func message(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var body errs.Body
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), "not JSON: %s", w.Body)
	require.NotEmpty(t, body.Message)
	require.Contains(t, body.Message, body.ErrorClass)
	return body.Message
}
