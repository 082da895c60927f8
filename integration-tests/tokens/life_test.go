// SPDX-License-Identifier: Apache-2.0

package tokens

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	"roundhouse/internal/secret"
	pb "roundhouse/proto/gen/spark/connect"
)

// TestUse: a token opens the doors of its scope as its user, and nothing after
// it was revoked.
func TestUse(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	both := h.issue(aliceToken, "")
	require.Equal(t, "sc://"+strings.Replace(h.GRPC, "127.0.0.1", "localhost", 1)+"/;token="+both.Token, both.Remote)
	require.InDelta(t, 12*time.Hour.Milliseconds(), both.ExpireTime-time.Now().UnixMilli(), 60_000)
	require.InDelta(t, 7*24*time.Hour.Milliseconds(), both.LastTime-time.Now().UnixMilli(), 60_000)
	c := h.client(both.Token)
	require.NoError(t, c.Version(within(t, time.Minute)))
	require.Equal(t, "alice", h.Sessions()[0].User, "the claimed name means nothing")
	require.Equal(t, "alice", h.Engines()[0].User)
	code, _ := h.rest(both.Token, http.MethodGet, "/api/v1/sessions", "")
	require.Equal(t, http.StatusOK, code)

	job := h.issue(aliceToken, `{"name": "nightly", "scope": ["connect"], "lifetime": "P30D"}`)
	require.Equal(t, job.ExpireTime, job.LastTime, "a token of a job does not slide")
	require.NoError(t, h.client(job.Token).Version(within(t, time.Minute)))
	code, text := h.rest(job.Token, http.MethodPost, "/api/v1/tokens", "")
	require.Equal(t, http.StatusForbidden, code, text)
	require.Contains(t, text, "opens connect only, not rest")
	toREST := h.issue(aliceToken, `{"scope": ["rest"]}`)
	require.Empty(t, toREST.Remote)
	require.Equal(t, codes.PermissionDenied, status.Code(h.client(toREST.Token).Version(within(t, time.Minute))))

	code, text = h.rest(aliceToken, http.MethodDelete, "/api/v1/tokens/"+both.ID, "")
	require.Equal(t, http.StatusOK, code, text)
	revoked := time.Now()
	require.Equal(t, codes.Unauthenticated, status.Code(c.Version(within(t, time.Minute))), "also in an open session")
	code, _ = h.rest(both.Token, http.MethodGet, "/api/v1/sessions", "")
	require.Equal(t, http.StatusUnauthorized, code)
	require.Less(t, time.Since(revoked), time.Second)
	require.NoError(t, h.client(job.Token).Version(within(t, time.Minute)), "the others are as they were")
}

// TestEverybodyHasOnlyTheirOwn: what belongs to somebody else looks like what
// does not exist; administrators see and end all.
func TestEverybodyHasOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	alices, bobs := h.issue(aliceToken, ""), h.issue(bobToken, `{"name": "job"}`)
	require.Equal(t, []string{alices.ID}, ids(h.list(aliceToken, "")))
	require.Equal(t, []string{bobs.ID}, ids(h.list(bobs.Token, "")))
	foreign, text1 := h.rest(aliceToken, http.MethodDelete, "/api/v1/tokens/"+bobs.ID, "")
	unknown := uuid.NewString()
	missing, text2 := h.rest(aliceToken, http.MethodDelete, "/api/v1/tokens/"+unknown, "")
	require.Equal(t, http.StatusNotFound, foreign)
	require.Equal(t, missing, foreign)
	require.Equal(t, strings.ReplaceAll(text2, unknown, bobs.ID), text1)
	for _, call := range [][3]string{
		{http.MethodGet, "?user=bob", ""}, {http.MethodDelete, "?user=bob", ""}, {http.MethodPost, "", `{"user": "bob"}`},
	} {
		code, text := h.rest(aliceToken, call[0], "/api/v1/tokens"+call[1], call[2])
		require.Equal(t, http.StatusForbidden, code, "%v %s", call, text)
	}
	require.Empty(t, h.list(bossToken, ""))
	require.Equal(t, []string{bobs.ID}, ids(h.list(bossToken, "?user=bob")))
	carols := h.issue(bossToken, `{"user": "carol", "groups": ["staff"]}`)
	require.NoError(t, h.client(carols.Token).Version(within(t, time.Minute)))
	require.Equal(t, "carol", h.Sessions()[0].User)
	code, text := h.rest(bossToken, http.MethodPost, "/api/v1/tokens", `{"user": "hdfs"}`)
	require.Equal(t, http.StatusBadRequest, code, "an account of the system never comes in: %s", text)
	code, text = h.rest(bossToken, http.MethodDelete, "/api/v1/tokens?user=carol", "")
	require.Equal(t, http.StatusOK, code, text)
	require.Equal(t, codes.Unauthenticated, status.Code(h.client(carols.Token).Version(within(t, time.Minute))))
	require.Len(t, h.list(bobToken, ""), 1)
}

// TestWhoIsBack after having been disabled, in another case of letters, needs a
// new token, and so do those for whom an administrator who was made some.
func TestWhoIsBack(t *testing.T) {
	t.Parallel()
	h := start(t, map[string]string{"kyuubi.server.administrators": "bob"})
	old, others, untouched := h.issue(bobToken, ""), h.issue(bobToken, `{"user": "carol"}`), h.issue(bossToken, `{"user": "carol"}`)
	for _, what := range []string{"disable", "enable"} {
		code, text := h.rest(bossToken, http.MethodPost, "/api/v1/admin/users/Bob/"+what, "")
		require.Equal(t, http.StatusOK, code, text)
		require.Equal(t, what == "disable", strings.Contains(text, "tokens revoked: 2"), text)
	}
	for _, one := range []struct {
		token string
		code  int
	}{{old.Token, 401}, {others.Token, 401}, {untouched.Token, 200}, {bobToken, 200}, {h.issue(bobToken, "").Token, 200}} {
		code, text := h.rest(one.token, http.MethodGet, "/api/v1/sessions", "")
		require.Equal(t, one.code, code, text)
	}
	require.Equal(t, codes.Unauthenticated, status.Code(h.client(old.Token).Version(within(t, time.Minute))))
}

func ids(all []token) (ids []string) {
	for _, one := range all {
		ids = append(ids, one.ID)
	}
	return ids
}

// TestExpiry: a token slides while its session is open, to its last moment; then
// it goes on with what was begun, for the grace, and with nothing else.
func TestExpiry(t *testing.T) {
	t.Parallel()
	h := start(t, map[string]string{
		"kyuubi.authentication.token.lifetime": "PT2S", "kyuubi.authentication.token.slide.max": "PT8S", "kyuubi.authentication.token.grace": "PT6S",
	})
	unused := h.issue(aliceToken, "")
	got := h.issue(aliceToken, "")
	last := time.UnixMilli(got.LastTime)
	c := h.client(got.Token)
	require.NoError(t, c.Version(within(t, time.Minute)))
	require.Eventually(t, func() bool { return time.Now().After(time.UnixMilli(unused.ExpireTime)) }, 10*time.Second, 50*time.Millisecond)
	require.Equal(t, "TOKEN_EXPIRED", expired(t, h.client(unused.Token).Version(within(t, time.Minute))), "one that nobody uses is over at once")
	require.NoError(t, c.Version(within(t, time.Minute)), "the other has slid, although nobody called meanwhile")

	operation := uuid.NewString()
	seen := begin(t, c.SparkConnectServiceClient, c.Session, operation)
	require.Eventually(t, func() bool { return time.Now().After(last) }, 15*time.Second, 50*time.Millisecond)
	require.Equal(t, "TOKEN_EXPIRED", expired(t, c.Version(within(t, time.Minute))))
	code, text := h.rest(got.Token, http.MethodGet, "/api/v1/sessions", "")
	require.Equal(t, http.StatusUnauthorized, code)
	require.Contains(t, text, "gateway login --url http://"+h.REST)

	stream, err := c.ReattachExecute(within(t, time.Minute), &pb.ReattachExecuteRequest{
		SessionId: c.Session, UserContext: c.UserContext(), OperationId: operation, LastResponseId: &seen,
	})
	require.NoError(t, err)
	complete := false
	for err == nil {
		var r *pb.ExecutePlanResponse
		if r, err = stream.Recv(); r.GetResultComplete() != nil {
			complete = true
		}
	}
	require.ErrorIs(t, err, io.EOF)
	require.True(t, complete, "the query that ran is not lost")
	_, err = c.Interrupt(within(t, time.Minute), &pb.InterruptRequest{SessionId: c.Session, UserContext: c.UserContext(), InterruptType: pb.InterruptRequest_INTERRUPT_TYPE_ALL})
	require.NoError(t, err)
	require.NoError(t, c.Release(within(t, time.Minute)))

	require.Eventually(t, func() bool { return time.Now().After(last.Add(6 * time.Second)) }, 20*time.Second, 50*time.Millisecond)
	require.Equal(t, "TOKEN_EXPIRED", expired(t, c.Release(within(t, time.Minute))), "after the grace nothing goes")
}

// begin begins a query of some seconds, reads a response, and drops the stream.
func begin(t *testing.T, c pb.SparkConnectServiceClient, session, operation string) (seen string) {
	t.Helper()
	ctx, drop := context.WithCancel(t.Context())
	defer drop()
	stream, err := c.ExecutePlan(ctx, &pb.ExecutePlanRequest{
		SessionId: session, UserContext: &pb.UserContext{UserId: "x"}, OperationId: &operation,
		Plan: &pb.Plan{OpType: &pb.Plan_Root{Root: &pb.Relation{RelType: &pb.Relation_Sql{Sql: &pb.SQL{Query: "SELECT rows(8000, 8192, 300)"}}}}},
		RequestOptions: []*pb.ExecutePlanRequest_RequestOption{{RequestOption: &pb.ExecutePlanRequest_RequestOption_ReattachOptions{
			ReattachOptions: &pb.ReattachOptions{Reattachable: true},
		}}},
	})
	require.NoError(t, err)
	r, err := stream.Recv()
	require.NoError(t, err)
	return r.GetResponseId()
}

// expired is the class of a refusal of an expired token.
func expired(t *testing.T, err error) string {
	t.Helper()
	require.Equal(t, codes.Unauthenticated, status.Code(err), "%v", err)
	class, _, _ := strings.Cut(strings.TrimPrefix(status.Convert(err).Message(), "[GATEWAY."), "]")
	return class
}

// TestRestart: what was issued and revoked is known afterwards, and the store
// holds no token.
func TestRestart(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	good, bad, job := h.issue(aliceToken, ""), h.issue(aliceToken, ""), h.issue(aliceToken, `{"name": "job", "lifetime": "P80D"}`)
	code, text := h.rest(aliceToken, http.MethodDelete, "/api/v1/tokens/"+bad.ID, "")
	require.Equal(t, http.StatusOK, code, text)
	c := h.client(good.Token)
	require.NoError(t, c.Version(within(t, time.Minute)))
	h.Signal(syscall.SIGKILL)
	h.Start()
	require.NoError(t, c.Version(within(t, time.Minute)))
	for _, one := range []struct {
		token
		code int
	}{{good, 200}, {bad, 401}, {job, 200}} {
		code, text := h.rest(one.Token, http.MethodGet, "/api/v1/tokens", "")
		require.Equal(t, one.code, code, text)
	}
	require.Len(t, h.list(aliceToken, ""), 3)
	store, err := os.ReadFile(filepath.Join(h.Home, "data", "discovery.db"))
	require.NoError(t, err)
	require.Contains(t, string(store), job.ID)
	for _, one := range []token{good, bad, job} {
		for _, place := range []string{string(store), h.Log()} {
			require.NotContains(t, place, one.Token)
			require.NotContains(t, place, one.Token[strings.LastIndex(one.Token, "."):], "nor its signature")
		}
	}
}

// TestRotation of the secret that signs: no call fails, whichever token it has,
// and the next gateway keeps the engine.
func TestRotation(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	old := h.issue(aliceToken, "")
	c := h.client(old.Token)
	require.NoError(t, c.Version(within(t, time.Minute)))
	load := newLoad(h, c, old.Token)
	h.rotate(func(before string) string { return newSecret(t) + before })
	fresh := h.issue(aliceToken, "")
	load.add(fresh.Token)
	most := load.calls.Load() + int64(env.Count(200, 5000))
	require.Eventually(t, func() bool { return load.calls.Load() > most }, time.Minute, 10*time.Millisecond)
	require.NoError(t, c.Version(within(t, time.Minute)))
	require.NoError(t, h.client(fresh.Token).Version(within(t, time.Minute)))
	load.stop()
	require.Empty(t, load.faults, "of %d calls", load.calls.Load())
	t.Logf("0 of %d calls failed", load.calls.Load())

	engines := h.Engines()
	h.Signal(syscall.SIGKILL)
	h.Start()
	require.NoError(t, c.Version(within(t, time.Minute)))
	require.Equal(t, engines[0].RefID, h.Engines()[0].RefID, "the engine goes on with keys of the secret before")

	h.rotate(func(before string) string { return before[:strings.Index(before, "\n")+1] })
	code, _ := h.rest(old.Token, http.MethodGet, "/api/v1/sessions", "")
	require.Equal(t, http.StatusUnauthorized, code, "the secret that signed it does not count any more")
	code, _ = h.rest(fresh.Token, http.MethodGet, "/api/v1/sessions", "")
	require.Equal(t, http.StatusOK, code)
}

// rotate writes the file of the cluster secret anew and waits until the gateway
// has read it.
func (h *house) rotate(change func(before string) string) {
	h.t.Helper()
	const said = "the keys that sign tokens have changed"
	path, rotations := filepath.Join(h.Home, "data", "cluster.secret"), strings.Count(h.Log(), said)
	before, err := os.ReadFile(path)
	require.NoError(h.t, err)
	require.NoError(h.t, os.WriteFile(path+".new", []byte(change(string(before))), 0o600))
	require.NoError(h.t, os.Rename(path+".new", path))
	require.Eventually(h.t, func() bool { return strings.Count(h.Log(), said) > rotations }, 10*time.Second, 20*time.Millisecond)
}

func newSecret(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "secret")
	_, err := secret.LoadOrCreate(path, true)
	require.NoError(t, err)
	line, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(line)
}

// load is clients of both ports that call all the time, each with the next of the
// tokens.
type load struct {
	calls  atomic.Int64
	tokens atomic.Pointer[[]string]
	stop   func()
	faults []string // read after stop
}

func newLoad(h *house, spark *env.SparkClient, first string) *load {
	l, all := &load{}, &sync.WaitGroup{}
	l.tokens.Store(&[]string{first})
	ctx, cancel := context.WithCancel(h.t.Context())
	faults := make(chan string, 1000)
	byREST := func(token string) error {
		code, text, err := h.try(token, http.MethodGet, "/api/v1/sessions", "")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("%d %s", code, text)
		}
		return err
	}
	plain := env.NewSparkClient(h.t, h.GRPC, "mallory")
	plain.Session = spark.Session
	byConnect := func(token string) error {
		return plain.Version(metadata.AppendToOutgoingContext(h.t.Context(), "authorization", "Bearer "+token))
	}
	clients := []func(token string) error{byREST, byREST, byConnect, byConnect}
	for _, call := range clients {
		all.Go(func() {
			for ctx.Err() == nil && len(faults) < cap(faults)-len(clients) {
				tokens := *l.tokens.Load()
				n := int(l.calls.Add(1))
				if err := call(tokens[n%len(tokens)]); err != nil {
					faults <- err.Error()
				}
			}
		})
	}
	l.stop = func() {
		cancel()
		all.Wait()
		for len(faults) > 0 {
			l.faults = append(l.faults, <-faults)
		}
	}
	h.t.Cleanup(l.stop)
	return l
}

func (l *load) add(token string) {
	tokens := append(slices.Clone(*l.tokens.Load()), token)
	l.tokens.Store(&tokens)
}
