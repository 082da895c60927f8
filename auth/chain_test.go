// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/auth/authtest"
	"roundhouse/internal/errs"
)

// method is a Method that answers all bearer credentials alike.
type method struct {
	name string
	user string
	err  error
}

func (m method) Name() string    { return m.name }
func (method) Challenge() string { return "Bearer" }

func (m method) Check(context.Context, auth.Request, auth.Credentials) (auth.Identity, error) {
	return auth.Identity{User: m.user, Groups: []string{"g"}}, m.err
}

func bearer(peer bool) auth.Request {
	r := auth.Request{Header: map[string][]string{"authorization": {"Bearer x"}}, Peer: authtest.Loopback}
	if !peer {
		r.Peer = authtest.Remote
	}
	return r
}

func TestChainAsksInOrder(t *testing.T) {
	away := errs.New(errs.AuthUnavailable, "The directory ldaps://d does not answer.")
	notMine, bad := method{name: "A", err: auth.ErrNotMine}, method{name: "B", err: errors.New("wrong password")}
	good, gone := method{name: "C", user: "alice"}, method{name: "D", err: away}
	for name, c := range map[string]struct {
		methods []auth.Method
		want    string
		err     *errs.Class
	}{
		"the first that knows decides":   {[]auth.Method{notMine, good, bad}, "alice", nil},
		"a refusal is not asked around":  {[]auth.Method{bad, good}, "", errs.Unauthenticated},
		"nobody knows":                   {[]auth.Method{notMine}, "", errs.Unauthenticated},
		"no methods":                     {nil, "", errs.Unauthenticated},
		"it was good until a moment ago": {[]auth.Method{method{name: "F", err: auth.Expired(auth.Identity{User: "alice"})}, good}, "", errs.TokenExpired},
		"it is good, but not for this":   {[]auth.Method{method{name: "F", err: errs.New(errs.PermissionDenied, "It opens REST only.")}, good}, "", errs.PermissionDenied},
		"who decides is away":            {[]auth.Method{gone, good}, "", errs.AuthUnavailable},
		"no user name":                   {[]auth.Method{method{name: "E", user: "../x"}}, "", errs.Unauthenticated},
		"an account of the system":       {[]auth.Method{method{name: "E", user: "hdfs"}}, "", errs.Unauthenticated},
		"the same in capitals":           {[]auth.Method{method{name: "E", user: "HDFS"}}, "", errs.Unauthenticated},
	} {
		chain := &auth.Chain{Methods: c.methods, Administrators: []string{"alice"}, Refused: []string{"hdfs"}}
		id, err := chain.Authenticate(t.Context(), bearer(true))
		if c.err != nil {
			require.True(t, errs.Is(err, c.err), "%s: %v", name, err)
			require.Zero(t, id, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, auth.Identity{User: c.want, RealUser: c.want, Groups: []string{"g"}, Method: "C", Admin: true}, id, name)
	}
}

func TestAdmitIsAskedLast(t *testing.T) {
	no := errs.New(errs.PermissionDenied, "not from there")
	asked := 0
	chain := &auth.Chain{Methods: []auth.Method{method{name: "C", user: "alice"}}, Administrators: []string{"alice"},
		Admit: []func(context.Context, auth.Request, auth.Identity) error{
			func(_ context.Context, _ auth.Request, id auth.Identity) error {
				require.Equal(t, auth.Identity{User: "alice", RealUser: "alice", Groups: []string{"g"}, Method: "C", Admin: true}, id)
				asked++
				return nil
			},
			func(context.Context, auth.Request, auth.Identity) error { asked++; return no },
		}}
	id, err := chain.Authenticate(t.Context(), bearer(true))
	require.ErrorIs(t, err, no)
	require.Zero(t, id)
	require.Equal(t, 2, asked)
	chain.Methods = []auth.Method{method{name: "C", err: errors.New("wrong")}}
	_, err = chain.Authenticate(t.Context(), bearer(true))
	require.True(t, errs.Is(err, errs.Unauthenticated))
	require.Equal(t, 2, asked)
}

func TestChainWantsTLSFromAfar(t *testing.T) {
	chain := &auth.Chain{Methods: []auth.Method{method{name: "C", user: "alice"}}}
	_, err := chain.Authenticate(t.Context(), bearer(false))
	require.True(t, errs.Is(err, errs.Unauthenticated))
	r := bearer(false)
	r.Secure = true
	_, err = chain.Authenticate(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, []string{"Bearer"}, chain.Challenges())
}

// watcher notes what it sees and refuses all calls while it is closed.
type watcher struct {
	closed bool
	seen   []auth.Identity
	heard  []error
}

func (w *watcher) Watch(_ auth.Request, _ auth.Credentials, decide func() (auth.Identity, error)) (auth.Identity, error) {
	if w.closed {
		return auth.Identity{}, errs.New(errs.LimitExceeded, "too many bad logins")
	}
	id, err := decide()
	w.seen, w.heard = append(w.seen, id), append(w.heard, err)
	return id, err
}

func TestWatchers(t *testing.T) {
	throttle, log := &watcher{}, &watcher{}
	chain := &auth.Chain{Methods: []auth.Method{method{name: "C", user: "alice"}}, Watchers: []auth.Watcher{throttle, log}}
	_, err := chain.Authenticate(t.Context(), bearer(true))
	require.NoError(t, err)
	twice := bearer(true)
	twice.Header["authorization"] = []string{"Bearer x", "Bearer y"}
	_, unreadable := chain.Authenticate(t.Context(), twice)
	require.True(t, errs.Is(unreadable, errs.Unauthenticated))
	throttle.closed = true
	_, err = chain.Authenticate(t.Context(), bearer(true))
	require.True(t, errs.Is(err, errs.LimitExceeded))
	require.Equal(t, []error{nil, unreadable}, throttle.heard)
	require.Equal(t, []error{nil, unreadable, err}, log.heard, "it sees what the one before it refuses")
}

// TestWatchersSeeWhoIsRefused, whom callers of the chain do not.
func TestWatchersSeeWhoIsRefused(t *testing.T) {
	gone := func(context.Context, auth.Request, auth.Identity) error {
		return errs.New(errs.PermissionDenied, "gone")
	}
	for name, c := range map[string]struct {
		method method
		want   auth.Identity
	}{
		"by the rules":             {method{name: "C", user: "alice"}, auth.Identity{User: "alice", RealUser: "alice", Groups: []string{"g"}, Method: "C"}},
		"an account of the system": {method{name: "C", user: "hdfs"}, auth.Identity{User: "hdfs", Groups: []string{"g"}, Method: "C"}},
		"by the method":            {method{name: "C", err: errors.New("wrong")}, auth.Identity{Method: "C"}},
	} {
		w := &watcher{}
		chain := &auth.Chain{Methods: []auth.Method{method{name: "B", err: auth.ErrNotMine}, c.method}, Refused: []string{"hdfs"},
			Watchers: []auth.Watcher{w}, Admit: []func(context.Context, auth.Request, auth.Identity) error{gone}}
		id, err := chain.Authenticate(t.Context(), bearer(true))
		require.Error(t, err, name)
		require.Zero(t, id, name)
		require.Equal(t, []auth.Identity{c.want}, w.seen, name)
	}
}
