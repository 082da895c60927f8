// SPDX-License-Identifier: Apache-2.0

package hazk

import (
	"os/user"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	"roundhouse/integration-tests/env"
)

const (
	level     = "kyuubi.engine.share.level"
	subdomain = "kyuubi.engine.share.level.subdomain"
)

// TestShareLevelsOverTwoGateways: who shares an engine shares it over all gateways, and
// its node is where Kyuubi would have it, as of the engine type SPARK_CONNECT and
// version 1 of the engine protocol.
func TestShareLevelsOverTwoGateways(t *testing.T) {
	t.Parallel()
	self, err := user.Current()
	require.NoError(t, err)
	c := start(t, 1, fakes(t, time.Minute, level, "SERVER", // clients may share with fewer
		"hadoop.user.group.static.mapping.overrides", "ann=analysts,staff;bob=analysts;zoe="))
	k := visit(t, c.ZooKeeper, digest, c.gateway(t))
	for _, s := range []struct {
		what, level, subdomain string
		users                  []string // each opens a session at both gateways
		space                  string   // without the namespace
		launch                 string
	}{
		{"a user", "USER", "", []string{"ann"}, "1_USER_SPARK_CONNECT/ann/default", "ann"},
		{"another user", "USER", "", []string{"bob"}, "1_USER_SPARK_CONNECT/bob/default", "bob"},
		{"a subdomain", "USER", "etl", []string{"ann"}, "1_USER_SPARK_CONNECT/ann/etl", "ann"},
		{"a group", "GROUP", "", []string{"ann", "bob"}, "1_GROUP_SPARK_CONNECT/analysts/default", "analysts"},
		{"a user without a group", "GROUP", "", []string{"zoe"}, "1_GROUP_SPARK_CONNECT/zoe/default", "zoe"},
		{"everybody", "SERVER", "", []string{"ann", "bob", "zoe"}, "1_SERVER_SPARK_CONNECT/" + self.Username + "/default", self.Username},
	} {
		t.Run(s.what, func(t *testing.T) {
			conf := map[string]string{"kyuubi.engine.share.level": s.level}
			if s.subdomain != "" {
				conf[subdomain] = s.subdomain
			}
			refs := map[string]bool{}
			for _, name := range s.users {
				for _, g := range c.Gateways {
					refs[openWith(t, g, name, conf)] = true
				}
			}
			require.Len(t, refs, 1, "they share one engine")
			for ref := range refs {
				k.requireEngineAt(c, ref, namespace+"_"+s.space, s.launch)
			}
		})
	}
	t.Run("a connection", func(t *testing.T) {
		refs := map[string]bool{}
		for _, g := range c.Gateways {
			for range 2 {
				ref := openWith(t, g, "ann", map[string]string{level: "CONNECTION"})
				refs[ref] = true
				k.requireEngineAt(c, ref, namespace+"_1_CONNECTION_SPARK_CONNECT/ann/"+ref, "ann")
			}
		}
		require.Len(t, refs, 4, "each has an engine of its own")
	})
	client := env.NewSparkClient(t, c.a.GRPC, "ann")
	err = client.Version(metadata.AppendToOutgoingContext(t.Context(), level, "GROUP", subdomain, "night"))
	require.ErrorContains(t, err, "no client decides which there are")
	require.Equal(t, 10, len(k.engines()))
	requireServerNodes(t, c, k)
	requireCleanTree(t, c, k)
}

// openWith opens a session with options and returns the ref id of its engine.
func openWith(t *testing.T, g *env.Gateway, user string, options map[string]string) string {
	t.Helper()
	client := env.NewSparkClient(t, g.GRPC, user)
	ctx := t.Context()
	for key, value := range options {
		ctx = metadata.AppendToOutgoingContext(ctx, key, value)
	}
	require.NoError(t, client.Version(ctx))
	all := g.Sessions()
	i := slices.IndexFunc(all, func(s env.Session) bool { return s.Identifier == client.Session })
	require.NotEqual(t, -1, i)
	return all[i].EngineRef
}

// requireEngineAt wants the node of an engine in a space, with Kyuubi's attributes, and both
// gateways to show it so.
func (k keeper) requireEngineAt(c cluster, ref, space, launchUser string) {
	k.t.Helper()
	t := k.t
	found := 0
	for at, node := range k.engines() {
		if node.RefID != ref {
			continue
		}
		found++
		require.Equal(t, space, path.Dir(at))
		require.Regexp(t, `^serverUri=127\.0\.0\.1:\d+;version=1;.*;refId=`+ref+`;sequence=\d{10}$`, path.Base(at))
		for _, key := range []string{"sparkConnectPort", "mac", "control", "kyuubi.engine.id", "spark.driver.memory"} {
			require.Contains(t, node.Attributes, key)
		}
		data, stat, err := k.Get(at)
		require.NoError(t, err)
		require.Equal(t, node.Address, string(data))
		require.NotZero(t, stat.EphemeralOwner)
	}
	require.Equal(t, 1, found, "nodes of the engine")
	for _, g := range c.Gateways {
		var e env.Engine
		env.Eventually(t, back, "the gateway knows the engine", func() bool {
			all := g.Engines()
			i := slices.IndexFunc(all, func(e env.Engine) bool { return e.RefID == ref && e.State == "running" })
			if i >= 0 {
				e = all[i]
			}
			return i >= 0
		})
		require.Equal(t, space, e.Namespace)
		require.Equal(t, launchUser, e.User)
	}
}

// requireServerNodes wants the gateways under the path of their own, and nowhere
// that a client of Kyuubi looks.
func requireServerNodes(t *testing.T, c cluster, k keeper) {
	t.Helper()
	nodes := k.servers()
	require.Len(t, nodes, 2)
	rest := map[string]string{}
	for _, node := range nodes {
		rest[node.Address] = node.Attributes["rest"]
		require.NotContains(t, node.Attributes, "sparkConnectPort")
	}
	for _, g := range c.Gateways {
		require.Equal(t, g.REST, rest[g.GRPC])
	}
	there, _, err := k.Exists(namespace)
	require.NoError(t, err)
	require.False(t, there, "%s is where clients of Kyuubi look for servers", namespace)
}

// requireCleanTree ends all engines and wants nothing of them to be left.
func requireCleanTree(t *testing.T, c cluster, k keeper) {
	t.Helper()
	for _, e := range c.b.Engines() {
		c.b.KillEngine(e.RefID)
	}
	left := func() (left []string) {
		for _, at := range k.tree() {
			engine := strings.Contains(at, "_SPARK_CONNECT/") && path.Base(at) != "(kept)"
			if engine || strings.HasPrefix(at, records+"/engines/") {
				left = append(left, at)
			}
		}
		return left
	}
	eventually(t, back, func() bool { return len(left()) == 0 }, "nothing is left of engines", func() any { return left() })
	for _, session := range k.sessions() {
		require.NotNil(t, session.Ended, "only tombstones are left: %v", session)
	}
}
