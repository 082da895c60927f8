// SPDX-License-Identifier: Apache-2.0

// Package sharing shows with the gateway binary who gets which engine: share levels,
// their owners, and pools. Engines are fakes.
package sharing

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

func TestMain(m *testing.M) { env.Main(m) }

// level is the name of kyuubi.engine.share.level.
const level = "kyuubi.engine.share.level"

// groups are two analysts, somebody whose group can own no engine, and somebody without one.
const groups = "ann=analysts,staff;bob=analysts;eve=2nd;zoe="

func start(t *testing.T, settings map[string]string) *env.Gateway {
	t.Helper()
	conf := env.FakeSpark(t)
	conf["hadoop.user.group.static.mapping.overrides"] = groups
	conf["kyuubi.server.limit.engine.startup"] = "8"
	maps.Copy(conf, settings)
	return env.Start(t, conf)
}

// visit opens a session of a user with options and returns its engine space, and what the
// first Config reply warns of.
func visit(t *testing.T, g *env.Gateway, user string, options ...string) (space string, warnings []string) {
	t.Helper()
	c := env.NewSparkClient(t, g.GRPC, user)
	ctx := metadata.AppendToOutgoingContext(t.Context(), options...)
	reply, err := c.Config(ctx, &pb.ConfigRequest{
		SessionId: c.Session, UserContext: c.UserContext(),
		Operation: &pb.ConfigRequest_Operation{OpType: &pb.ConfigRequest_Operation_Set{Set: &pb.ConfigRequest_Set{}}},
	})
	require.NoError(t, err)
	i := slices.IndexFunc(g.Sessions(), func(s env.Session) bool { return s.Identifier == c.Session })
	require.NotEqual(t, -1, i)
	ref := g.Sessions()[i].EngineRef
	e := slices.IndexFunc(g.Engines(), func(e env.Engine) bool { return e.RefID == ref })
	require.NotEqual(t, -1, e)
	return g.Engines()[e].Namespace, reply.Warnings
}

func TestShareLevels(t *testing.T) {
	t.Parallel()
	g := start(t, map[string]string{level: "GROUP", "___cid___." + level: "SERVER"})
	const group = "/kyuubi_1_GROUP_SPARK_CONNECT/analysts/default"
	space, said := visit(t, g, "ann")
	require.Equal(t, group, space)
	require.Len(t, said, 1)
	require.Contains(t, said[0], "[GATEWAY.SHARED_IDENTITY] Your engine is that of group analysts")
	space, _ = visit(t, g, "bob")
	require.Equal(t, group, space, "one engine for the group")
	space, _ = visit(t, g, "zoe")
	require.Equal(t, "/kyuubi_1_GROUP_SPARK_CONNECT/zoe/default", space)
	space, said = visit(t, g, "ann", level, "USER")
	require.Equal(t, "/kyuubi_1_USER_SPARK_CONNECT/ann/default", space)
	require.Empty(t, said)
	space, _ = visit(t, g, "cid")
	require.Regexp(t, "^/kyuubi_1_SERVER_SPARK_CONNECT/[^/]+/default$", space)

	eve := env.NewSparkClient(t, g.GRPC, "eve")
	require.ErrorContains(t, eve.Version(t.Context()), `"2nd", which can have no engine`)
	require.ErrorContains(t, eve.Version(metadata.AppendToOutgoingContext(t.Context(), level, "SERVER")), "more users share an engine than at the level GROUP")
	require.NoError(t, eve.Version(metadata.AppendToOutgoingContext(t.Context(), level, "USER")))

	shared := slices.IndexFunc(g.Engines(), func(e env.Engine) bool { return e.Namespace == group })
	require.Equal(t, "analysts", g.Engines()[shared].User)
	require.Equal(t, 2, g.Engines()[shared].Sessions)
	require.Contains(t, g.Log(), level+": GROUP: the users of a group share one driver")
}

// TestPoolsStayInBalance: however many sessions come at once, the engines of a pool
// differ by one session at most.
func TestPoolsStayInBalance(t *testing.T) {
	t.Parallel()
	const size, clients = 4, 26
	g := start(t, map[string]string{"kyuubi.engine.pool.size": strconv.Itoa(size), "kyuubi.engine.pool.selectPolicy": "LEAST_SESSIONS"})
	first := env.NewSparkClient(t, g.GRPC, "ann")
	var all sync.WaitGroup
	for range clients {
		c := *first
		c.Session = uuid.NewString()
		all.Go(func() {
			if err := c.Version(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var counts []int
	for _, e := range g.Engines() {
		require.True(t, strings.HasPrefix(e.Subdomain, "engine-pool-"), e.Subdomain)
		counts = append(counts, e.Sessions)
	}
	require.Len(t, counts, size)
	require.LessOrEqual(t, slices.Max(counts)-slices.Min(counts), 1, "%v", counts)
}
