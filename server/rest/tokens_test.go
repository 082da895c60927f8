// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

func TestTokensAreIssued(t *testing.T) {
	w := aWorld()
	c := serve(t, options(w))
	reply := c.do("alice", "POST", "/api/v1/tokens", "")
	require.Equal(t, http.StatusOK, reply.Code)
	got := decode[tokenHandle](t, reply.Body.String())
	require.Equal(t, "rht_x", got.Token)
	require.Equal(t, "sc://localhost:15002/;token=rht_x", got.Remote)
	require.Equal(t, "alice", got.User)

	got = decode[tokenHandle](t, c.do("root", "POST", "/api/v1/tokens", `{"user":"bob","name":"nightly","scope":["rest"],"lifetime":"P30D"}`).Body.String())
	require.Empty(t, got.Remote, "it does not open that port")
	require.Equal(t, []string{"issue alice    0s", "issue root bob nightly rest 720h0m0s"}, w.done())
	require.Equal(t, http.StatusBadRequest, c.do("alice", "POST", "/api/v1/tokens", `{"lifetime":"soon"}`).Code)

	w.tokenErr = errs.New(errs.LimitExceeded, "Too many.")
	require.Equal(t, http.StatusTooManyRequests, c.do("alice", "POST", "/api/v1/tokens", "").Code)
}

func TestTokenLine(t *testing.T) {
	for line, r := range map[string]Remote{
		"sc://localhost:1/;token=t":              {Address: "127.0.0.1:1"},
		"sc://h:1/;use_ssl=true;token=t":         {Address: "h:1", TLS: true},
		"sc://[::1]:1/;use_ssl=true;token=t":     {Address: "[::1]:1", TLS: true},
		"sc://192.0.2.7:1/;token=t":              {Address: "192.0.2.7:1"},
		"sc://127.0.0.1:1/;use_ssl=true;token=t": {Address: "127.0.0.1:1", TLS: true},
	} {
		require.Equal(t, line, r.TokenLine("t"))
	}
}

func TestUsersSeeTheirOwnTokens(t *testing.T) {
	w := aWorld()
	c := serve(t, options(w))
	for _, tt := range []struct {
		user, query string
		code        int
		want        []string
	}{
		{"alice", "", 200, []string{"alice"}}, {"alice", "?user=alice", 200, []string{"alice"}}, {"alice", "?user=bob", 403, nil},
		{"alice", "?user=", 400, nil}, {"root", "", 200, nil}, {"root", "?user=bob", 200, []string{"bob"}}, {"carol", "", 200, nil},
	} {
		reply := c.do(tt.user, "GET", "/api/v1/tokens"+tt.query, "")
		require.Equal(t, tt.code, reply.Code, "%v", tt)
		if tt.code != http.StatusOK {
			continue
		}
		var users []string
		for _, d := range decode[[]tokenData](t, reply.Body.String()) {
			users = append(users, d.User)
		}
		require.Equal(t, tt.want, users, "%v", tt)
	}
	require.Equal(t, http.StatusOK, c.do("alice", "DELETE", "/api/v1/tokens/"+aliceSession, "").Code)
	require.Equal(t, http.StatusOK, c.do("root", "DELETE", "/api/v1/tokens/"+aliceSession, "").Code)
	require.Equal(t, http.StatusBadRequest, c.do("root", "DELETE", "/api/v1/tokens", "").Code, "all tokens of nobody in particular")
	require.Equal(t, http.StatusOK, c.do("root", "DELETE", "/api/v1/tokens?user=bob", "").Code)
	require.Equal(t, []string{"revoke alice " + aliceSession, "revoke root " + aliceSession, "revoke all root bob"}, w.done())
	w.tokenErr = errs.New(errs.OutOfResources, "The disk is full.")
	require.Equal(t, http.StatusInsufficientStorage, c.do("root", "DELETE", "/api/v1/tokens?user=bob", "").Code)
}

// always is an Authenticator with one answer.
type always struct{ id auth.Identity }

func (a always) Authenticate(context.Context, auth.Request) (auth.Identity, error) { return a.id, nil }

func TestALapsedTokenOpensNothingOfREST(t *testing.T) {
	for _, d := range loadContract(t).calls {
		if d.role() == public || d.role() == engine {
			continue
		}
		w := aWorld()
		o := options(w)
		o.Authenticator = always{auth.Identity{User: "alice", Admin: true, Lapsed: true, Renew: "https://h:1", Expires: time.Unix(1_700_000_000, 0)}}
		reply := serve(t, o).do("", d.method, example(d.path)+d.aQuery(), "")
		require.Equal(t, http.StatusUnauthorized, reply.Code, d.pattern())
		require.Equal(t, "[GATEWAY.TOKEN_EXPIRED] The token of user alice expired at 2023-11-14T22:13:20Z. Get a new one with `gateway login --url https://h:1`, "+
			"or by POST https://h:1/api/v1/tokens, and connect again with it.", message(t, reply))
		require.Empty(t, w.done(), d.pattern())
	}
}

func TestTheHostHasTokensOfEverybodyAndNoSessions(t *testing.T) {
	o := options(aWorld())
	o.Authenticator = always{auth.Identity{User: "gateway", Admin: true, Host: true}}
	c := serve(t, o)
	require.Len(t, decode[[]tokenData](t, c.do("", "GET", "/api/v1/tokens", "").Body.String()), 2)
	require.Equal(t, http.StatusForbidden, c.do("", "POST", "/api/v1/sessions", "").Code)
}

// TestEverySchemeIsAChallenge of its own.
func TestEverySchemeIsAChallenge(t *testing.T) {
	o := options(aWorld())
	o.Challenges = []string{"Bearer", "Basic", "Negotiate"}
	reply := serve(t, o).do("", "GET", "/api/v1/sessions", "")
	require.Equal(t, []string{`Bearer realm="roundhouse"`, `Basic realm="roundhouse", charset="UTF-8"`, "Negotiate"}, reply.Header().Values("WWW-Authenticate"))
}
