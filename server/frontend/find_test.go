// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"roundhouse/internal/errs"
	pb "roundhouse/proto/gen/spark/connect"
	"roundhouse/session"
)

// unsure is a session manager that cannot ask the store.
type unsure struct{ Sessions }

func (u unsure) Find(ctx context.Context, k session.Key) (*session.Session, *session.End, error) {
	s, end, _ := u.Sessions.Find(ctx, k)
	if s != nil || end != nil {
		return s, end, nil
	}
	return nil, nil, errs.New(errs.StoreAway, "Who knows.")
}

// TestUnknownSessionWithoutTheStore: a new one opens, and nobody is told that another one
// is gone.
func TestUnknownSessionWithoutTheStore(t *testing.T) {
	h := newHouse(t, nil)
	h.director.Sessions = unsure{h.director.Sessions}
	require.ErrorContains(t, h.reattach(t, &pb.ReattachExecuteRequest{}), "Who knows")
	_, err := h.Config(t.Context(), &pb.ConfigRequest{
		SessionId: h.id, UserContext: h.userContext(), ClientObservedServerSideSessionId: proto.String(uuid.NewString()),
		Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_GetAll{GetAll: &pb.ConfigRequest_GetAll{}}},
	})
	require.ErrorContains(t, err, "Who knows", "the client has had a session")
	require.ErrorContains(t, h.release(t.Context(), false), "Who knows", "it would go on at another gateway")
	require.Empty(t, h.sessions.List())
	require.NoError(t, h.version(t.Context()))
	require.NoError(t, h.release(t.Context(), false), "what is known here is released")
}

// TestReattachToWhatNoEngineGot: the client sends its query again, also while the session
// opens for another call.
func TestReattachToWhatNoEngineGot(t *testing.T) {
	h := newHouse(t, nil)
	h.engines.ready = make(chan struct{})
	answer := make(chan error, 1)
	go func() { answer <- h.version(t.Context()) }() // waited for below
	require.Eventually(t, func() bool { return h.engines.launches.Load() == 1 }, 10*time.Second, time.Millisecond)
	require.ErrorContains(t, h.reattach(t, &pb.ReattachExecuteRequest{}), "OPERATION_NOT_FOUND")
	close(h.engines.ready)
	require.NoError(t, <-answer)
}
