// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"roundhouse/auth"
	"roundhouse/internal/errs"
	pb "roundhouse/proto/gen/spark/connect"
	"roundhouse/session"
)

// bearer believes "Bearer <name>".
type bearer struct{}

func (bearer) Authenticate(_ context.Context, r auth.Request) (auth.Identity, error) {
	name := strings.TrimPrefix(strings.Join(r.Header["authorization"], ""), "Bearer ")
	return auth.Identity{User: name, RealUser: name, Method: "TOKEN"}, nil
}

// fakeProxies let everybody act for those whose name begins with b.
type fakeProxies struct{ *session.Manager }

func (fakeProxies) Act(_ context.Context, id auth.Identity, _ net.Addr, user string) (auth.Identity, error) {
	if user[0] != 'b' {
		return auth.Identity{}, errs.New(errs.PermissionDenied, "not for %s", user)
	}
	id.User = user
	return id, nil
}

func as(ctx context.Context, user string, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, append([]string{"authorization", "Bearer " + user}, pairs...)...)
}

const proxyKey = "kyuubi.session.proxy.user"

func newActingHouse(t *testing.T) *house {
	h := newHouse(t, nil)
	h.director.Auth, h.director.Proxies = bearer{}, fakeProxies{h.sessions}
	return h
}

func TestTheFirstSetNamesTheUserForAllCalls(t *testing.T) {
	h := newActingHouse(t)
	alice := as(t.Context(), "alice")
	_, err := h.set(alice, proxyKey, "bob", "spark.sql.shuffle.partitions", "7")
	require.NoError(t, err)
	require.NoError(t, h.version(alice))
	s, _ := h.sessions.Lookup(session.Key{User: "bob", ID: h.id})
	require.Equal(t, "alice", s.OpenedBy())
	require.Equal(t, "bob", s.Plan.Spec.Owner)
	require.Len(t, h.sessions.List(), 1)
	require.Equal(t, codes.PermissionDenied, status.Code(h.version(as(t.Context(), "alice", proxyKey, "ben"))))
	require.NoError(t, h.version(as(t.Context(), "bob")), "it is his")
	require.Equal(t, codes.PermissionDenied, status.Code(h.version(as(t.Context(), "carol", proxyKey, "bob"))), "another hand")
	_, err = h.set(alice, proxyKey, "bob")
	require.NoError(t, err)
	_, err = h.Config(alice, &pb.ConfigRequest{SessionId: h.id, Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_Unset{
		Unset: &pb.ConfigRequest_Unset{Keys: []string{proxyKey}},
	}}})
	require.Error(t, err, "it is nothing to take back")
	require.NoError(t, h.release(alice, true))
	require.NoError(t, h.version(alice), "a new session of the same id")
	_, end := h.sessions.Lookup(session.Key{User: "alice", ID: h.id})
	require.Nil(t, end)
	require.Equal(t, "bob", h.sessions.List()[0].User, "and not one of alice: she has said for whom it is")
}

func TestActingIsRefusedBeforeAnythingIsLaunched(t *testing.T) {
	h := newActingHouse(t)
	for _, ctx := range []context.Context{
		as(t.Context(), "alice", proxyKey, "root"), as(t.Context(), "alice", "hive.server2.proxy.user", "root"), as(t.Context(), "alice", "x-"+proxyKey, "root"),
	} {
		require.Equal(t, codes.PermissionDenied, status.Code(h.version(ctx)))
	}
	_, err := h.set(as(t.Context(), "alice"), proxyKey, "root")
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	_, err = h.set(as(t.Context(), "alice", proxyKey, "bob"), proxyKey, "ben")
	require.Equal(t, codes.InvalidArgument, status.Code(err), "two at once")
	require.Zero(t, h.engines.launches.Load())
	require.Empty(t, h.sessions.List())
	h.director.Auth = auth.None{}
	require.Equal(t, codes.PermissionDenied, status.Code(h.version(as(t.Context(), "x", proxyKey, "bob"))), "nobody's name is verified")
	h.director.Auth, h.director.Proxies = bearer{}, nil
	require.Equal(t, codes.PermissionDenied, status.Code(h.version(as(t.Context(), "alice", proxyKey, "bob"))))
}

// TestCut ends what a user has under way, and what the user does for others.
func TestCut(t *testing.T) {
	h := newActingHouse(t)
	refused := make(chan Refusal, 10)
	h.director.OnRefused = func(r Refusal) { refused <- r }
	streams := map[string]pb.SparkConnectService_ExecutePlanClient{}
	for name, ctx := range map[string]context.Context{
		"own": as(t.Context(), "alice"), "for bob": as(t.Context(), "alice", proxyKey, "bob"), "other": as(t.Context(), "carol"),
	} {
		h.id = h.id[:35] + map[string]string{"own": "a", "for bob": "b", "other": "c"}[name]
		stream, err := h.ExecutePlan(ctx, &pb.ExecutePlanRequest{SessionId: h.id, UserContext: h.userContext(), Plan: &pb.Plan{OpType: &pb.Plan_Root{
			Root: &pb.Relation{RelType: &pb.Relation_Sql{Sql: &pb.SQL{Query: "SELECT rows(100000, 80, 20)"}}},
		}}})
		require.NoError(t, err)
		_, err = stream.Recv()
		require.NoError(t, err)
		streams[name] = stream
	}
	require.Equal(t, 2, h.director.Cut("alice", errs.New(errs.PermissionDenied, "She has left.")))
	for _, name := range []string{"own", "for bob"} {
		var err error
		for err == nil {
			_, err = streams[name].Recv()
		}
		require.Equal(t, codes.PermissionDenied, status.Code(err), "%s: %v", name, err)
		require.ErrorContains(t, err, "She has left.")
	}
	_, err := streams["other"].Recv()
	require.NoError(t, err)
	require.Zero(t, h.director.Cut("nobody", errs.New(errs.PermissionDenied, "x")))
	require.Eventually(t, func() bool { return h.director.Calls() == 1 }, 5*time.Second, time.Millisecond)
	require.Empty(t, refused, "a cut is no refusal")
}

// TestCutWhileHeld: a call that waits for its engine is answered at once.
func TestCutWhileHeld(t *testing.T) {
	h := newActingHouse(t)
	h.engines.ready = make(chan struct{})
	got := make(chan error, 1)
	go func() { got <- h.version(as(t.Context(), "alice")) }()
	require.Eventually(t, func() bool { return h.engines.launches.Load() == 1 }, 5*time.Second, time.Millisecond)
	require.Equal(t, 1, h.director.Cut("alice", errs.New(errs.PermissionDenied, "She has left.")))
	require.ErrorContains(t, <-got, "She has left.")
	close(h.engines.ready)
}
