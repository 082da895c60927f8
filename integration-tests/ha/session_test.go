// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

// timeZone is an option of Spark that engines set for one session.
const timeZone = "spark.sql.session.timeZone"

// pair are two clients with the same session, one at each gateway.
type pair struct {
	t       *testing.T
	c       *env.Cluster
	a, b    *env.SparkClient
	gateway [2]*env.Gateway
}

func newPair(t *testing.T, c *env.Cluster) *pair {
	t.Helper()
	p := &pair{t: t, c: c, gateway: [2]*env.Gateway(c.Gateways)}
	p.a, p.b = env.NewSparkClient(t, p.gateway[0].GRPC, "alice"), env.NewSparkClient(t, p.gateway[1].GRPC, "alice")
	p.b.Session = p.a.Session
	return p
}

// renew gives the clients a new session, opened at the first gateway.
func (p *pair) renew() {
	p.t.Helper()
	p.a, p.b = p.a.Another(), with(p.b, "")
	p.b.Session = p.a.Session
	require.NoError(p.t, p.a.Version(p.t.Context()))
}

// TestSessionMoves between gateways, call by call.
func TestSessionMoves(t *testing.T) {
	t.Parallel()
	p := newPair(t, env.StartGateways(t, env.StartZooKeeper(t, 1), 2, env.FakeSpark(t)))
	p.move()
	p.end()
}

// TestSessionOfSparkMoves is the same with real Spark, and with a view.
func TestSessionOfSparkMoves(t *testing.T) {
	p := newPair(t, env.StartGateways(t, env.StartZooKeeper(t, 1), 2, map[string]string{"spark.driver.memory": "700m"}))
	p.move()
	ctx := t.Context()
	require.Zero(t, rows(ctx, t, p.a, "CREATE TEMPORARY VIEW seven AS SELECT id FROM range(7)"))
	require.EqualValues(t, 7, rows(ctx, t, p.b, "SELECT * FROM seven"))
	require.EqualValues(t, 7, rows(ctx, t, p.a, "SELECT * FROM seven"))
	p.end()
}

// move shows that what one gateway was told is known by way of the other one.
func (p *pair) move() {
	t := p.t
	require.NoError(t, p.a.Version(metadata.AppendToOutgoingContext(t.Context(), timeZone, "Asia/Tokyo")))
	require.Equal(t, "Asia/Tokyo", conf(t, p.b), "an option of the session")
	set(t, p.b, "Europe/Oslo")
	require.Equal(t, "Europe/Oslo", conf(t, p.a), "what the client has set since")
	p.artifacts()
	p.listed()
	p.interrupt()
	p.clone()
	p.opened()
	for _, g := range p.gateway {
		require.Equal(t, env.Drivers(p.c.Gateways...), []int{g.OnlyEngine().PID})
	}
	require.Len(t, folders(t, p.c, "*"), 1, "one engine was ever launched")
}

func (p *pair) artifacts() {
	t := p.t
	data := []byte("of a program")
	name := fmt.Sprintf("cache/%x", sha256.Sum256(data))
	s, err := p.a.AddArtifacts(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Send(&pb.AddArtifactsRequest{
		SessionId: p.a.Session, UserContext: p.a.UserContext(),
		Payload: &pb.AddArtifactsRequest_Batch_{Batch: &pb.AddArtifactsRequest_Batch{Artifacts: []*pb.AddArtifactsRequest_SingleChunkArtifact{{
			Name: name, Data: &pb.AddArtifactsRequest_ArtifactChunk{Data: data, Crc: int64(crc32.ChecksumIEEE(data))},
		}}}},
	}))
	_, err = s.CloseAndRecv()
	require.NoError(t, err)
	found, err := p.b.ArtifactStatus(t.Context(), &pb.ArtifactStatusesRequest{SessionId: p.b.Session, UserContext: p.b.UserContext(), Names: []string{name}})
	require.NoError(t, err)
	require.True(t, found.Statuses[name].GetExists())
}

// listed says that REST of both gateways shows the session.
func (p *pair) listed() {
	for _, g := range p.gateway {
		code, body := g.Call(http.MethodGet, "/api/v1/sessions/"+p.a.Session, "alice")
		require.Equal(p.t, http.StatusOK, code, string(body))
		require.Len(p.t, g.Sessions(), 1)
		require.Equal(p.t, p.a.Session, g.Sessions()[0].Identifier)
	}
}

// interrupt ends a query at one gateway by way of the other.
func (p *pair) interrupt() {
	t := p.t
	running := p.sleep()
	var stopped []string
	env.Eventually(t, 10*time.Second, "the query is found", func() bool {
		r, err := p.b.Interrupt(t.Context(), &pb.InterruptRequest{
			SessionId: p.b.Session, UserContext: p.b.UserContext(), InterruptType: pb.InterruptRequest_INTERRUPT_TYPE_ALL,
		})
		require.NoError(t, err)
		stopped = r.InterruptedIds
		return len(stopped) == 1
	})
	require.ErrorContains(t, soon(t, running), "OPERATION_CANCELED")
}

func (p *pair) clone() {
	t := p.t
	made, err := p.b.CloneSession(t.Context(), &pb.CloneSessionRequest{SessionId: p.b.Session, UserContext: p.b.UserContext()})
	require.NoError(t, err)
	clone := with(p.a, made.NewSessionId)
	require.Equal(t, conf(t, p.a), conf(t, clone))
	require.NoError(t, clone.Release(t.Context()))
	require.ErrorContains(t, with(p.b, made.NewSessionId).Version(t.Context()), "INVALID_HANDLE.SESSION_CLOSED")
}

// opened says that a session that was opened over REST at one gateway is found at the other.
func (p *pair) opened() {
	t := p.t
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.gateway[0].REST+"/api/v1/sessions",
		strings.NewReader(`{"configs": {"`+timeZone+`": "Asia/Tokyo"}}`))
	require.NoError(t, err)
	req.SetBasicAuth("alice", "")
	req.Header.Set("Content-Type", "application/json")
	reply, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = reply.Body.Close() }()
	require.Equal(t, http.StatusOK, reply.StatusCode)
	var handle struct{ Identifier string }
	require.NoError(t, json.NewDecoder(reply.Body).Decode(&handle))
	a, b := with(p.a, handle.Identifier), with(p.b, handle.Identifier)
	require.Equal(t, "Asia/Tokyo", conf(t, b))
	set(t, b, "Europe/Oslo")
	require.Equal(t, "Europe/Oslo", conf(t, a), "options are set once")
	code, body := p.gateway[1].Call(http.MethodDelete, "/api/v1/sessions/"+handle.Identifier, "alice")
	require.Equal(t, http.StatusOK, code, string(body))
	err = a.Version(t.Context())
	require.ErrorContains(t, err, "INVALID_HANDLE.SESSION_CHANGED")
	require.ErrorContains(t, err, "alice", "who ended it")
	env.Eventually(t, 2*time.Second, "both know the end", func() bool {
		for _, g := range p.gateway {
			if code, _ := g.Call(http.MethodGet, "/api/v1/sessions/"+handle.Identifier, "alice"); code != http.StatusNotFound {
				return false
			}
		}
		return true
	})
}

// end ends sessions at one gateway in all ways; the client hears why at the other one,
// at once.
func (p *pair) end() {
	t := p.t
	require.NoError(t, p.a.Release(t.Context())) // spark.stop()
	require.ErrorContains(t, p.b.Version(t.Context()), "INVALID_HANDLE.SESSION_CLOSED")

	p.renew()
	require.NoError(t, p.b.Version(t.Context()))
	running := p.sleep()
	code, body := p.gateway[1].Call(http.MethodDelete, "/api/v1/sessions/"+p.a.Session, "alice")
	require.Equal(t, http.StatusOK, code, string(body))
	for _, err := range []error{soon(t, running), p.a.Version(t.Context()), p.b.Version(t.Context())} {
		require.Equal(t, codes.Internal, status.Code(err), err)
		require.ErrorContains(t, err, "INVALID_HANDLE.SESSION_CHANGED")
		require.ErrorContains(t, err, "alice", "who ended it")
	}

	p.renew()
	space := spaceOf(t, p.c, p.gateway[0])
	p.gateway[1].KillEngine(p.gateway[0].OnlyEngine().RefID)
	for _, c := range []*env.SparkClient{p.a, p.b} {
		err := c.Version(t.Context())
		require.ErrorContains(t, err, "INVALID_HANDLE.SESSION_CHANGED")
		require.ErrorContains(t, err, "User root killed it over REST")
	}
	requireNothingLeft(t, p.c, p.gateway[0], space)
}

// sleep runs a query of a minute at the first gateway, which has begun; its end comes over the
// channel.
func (p *pair) sleep() <-chan error {
	p.t.Helper()
	const sql = "SELECT java_method('java.lang.Thread', 'sleep', 60000L) FROM range(1)"
	begun, ended := make(chan struct{}), make(chan error, 1)
	begin := sync.OnceFunc(func() { close(begun) })
	c := *p.a
	go func() { // the test waits for ended
		_, err := c.Query(p.t.Context(), sql, func(*pb.ExecutePlanResponse) error { begin(); return nil })
		ended <- err
	}()
	select {
	case <-begun:
	case err := <-ended:
		require.FailNow(p.t, "the query does not run", err)
	case <-time.After(30 * time.Second):
		require.FailNow(p.t, "the query does not begin")
	}
	return ended
}

// soon takes the end of a query that must have been ended.
func soon(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(10 * time.Second):
		require.FailNow(t, "the query goes on")
		return nil
	}
}

// rows runs SQL and counts.
func rows(ctx context.Context, t *testing.T, c *env.SparkClient, sql string) (n int64) {
	t.Helper()
	_, err := c.Query(ctx, sql, func(r *pb.ExecutePlanResponse) error {
		n += r.GetArrowBatch().GetRowCount()
		return nil
	})
	require.NoError(t, err)
	return n
}

func set(t *testing.T, c *env.SparkClient, value string) {
	t.Helper()
	_, err := c.Config(t.Context(), &pb.ConfigRequest{
		SessionId: c.Session, UserContext: c.UserContext(),
		Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_Set{
			Set: &pb.ConfigRequest_Set{Pairs: []*pb.KeyValue{{Key: timeZone, Value: &value}}},
		}},
	})
	require.NoError(t, err)
}

func conf(t *testing.T, c *env.SparkClient) string {
	t.Helper()
	r, err := c.Config(t.Context(), &pb.ConfigRequest{
		SessionId: c.Session, UserContext: c.UserContext(),
		Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_Get{Get: &pb.ConfigRequest_Get{Keys: []string{timeZone}}}},
	})
	require.NoError(t, err)
	require.Len(t, r.Pairs, 1)
	return r.Pairs[0].GetValue()
}

// TestSessionWithItsOwnEngineMoves, too: at the share level CONNECTION the other gateway finds
// the engine of the session, and a session that ends there ends its engine.
func TestSessionWithItsOwnEngineMoves(t *testing.T) {
	t.Parallel()
	c := env.StartGateways(t, env.StartZooKeeper(t, 1), 2, env.FakeSpark(t, "kyuubi.engine.share.level", "CONNECTION", "spark.fake.start.delay.ms", "300"))
	p := newPair(t, c)
	first := make(chan error, 1)
	go func() { first <- p.a.Version(t.Context()) }() // waited for below
	require.NoError(t, p.b.Version(t.Context()), "while the other gateway launches")
	require.NoError(t, <-first)
	require.Len(t, folders(t, c, "*"), 1, "one engine for one session")
	require.Equal(t, p.gateway[0].OnlyEngine().PID, p.gateway[1].OnlyEngine().PID)
	other := newPair(t, c)
	require.NoError(t, other.b.Version(t.Context()))
	require.Len(t, env.Drivers(c.Gateways...), 2)
	require.NoError(t, p.b.Release(t.Context()))
	require.ErrorContains(t, p.a.Version(t.Context()), "INVALID_HANDLE.SESSION_CLOSED")
	env.Eventually(t, settled, "the engine ends with its session", func() bool { return len(env.Drivers(c.Gateways...)) == 1 })
	require.NoError(t, other.a.Version(t.Context()))
	space := spaceOf(t, c, p.gateway[1])
	require.NoError(t, other.a.Release(t.Context()))
	requireNothingLeft(t, c, p.gateway[1], space)
}
