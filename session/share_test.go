// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/conf"
	"roundhouse/engine"
)

// groupsOf are primary groups by user; a user without one is a group, one with "" cannot be
// asked about.
type groupsOf map[string]string

func (g groupsOf) Primary(_ context.Context, user string) (string, error) {
	group, known := g[user]
	switch {
	case !known:
		return user, nil
	case group == "":
		return "", errors.New("the directory is away")
	}
	return group, nil
}

// TestOwnersAndLaunchUsers: Kyuubi's table.
func TestOwnersAndLaunchUsers(t *testing.T) {
	for name, tc := range map[string]struct {
		level, doAs         string
		owner, launch, user string
		warnings            int
	}{
		"CONNECTION":          {"CONNECTION", "true", "alice", "alice", "alice", 0},
		"USER":                {"USER", "true", "alice", "alice", "alice", 0},
		"GROUP":               {"GROUP", "true", "analysts", "analysts", "", 1},
		"SERVER":              {"SERVER", "true", "gateway", "gateway", "", 1},
		"CONNECTION, no doAs": {"CONNECTION", "false", "alice", "gateway", "alice", 1},
		"USER, no doAs":       {"USER", "false", "alice", "gateway", "alice", 1},
		"GROUP, no doAs":      {"GROUP", "false", "analysts", "gateway", "", 2},
		"SERVER, no doAs":     {"SERVER", "false", "gateway", "gateway", "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := planner(t, map[string]string{conf.EngineShareLevel.Key: tc.level, conf.EngineDoAs.Key: tc.doAs})
			p.Groups, p.ServerUser = groupsOf{"alice": "analysts"}, "gateway"
			var asked []string
			p.Python = func(user string, _ map[string]string) string { asked = append(asked, user); return "3.11" }
			plan, err := p.Plan(Wishes{User: "alice", Client: "python/3.11"})
			require.NoError(t, err)
			require.Equal(t, tc.owner, plan.Spec.Owner)
			require.Equal(t, tc.launch, plan.Spec.LaunchUser)
			require.Equal(t, tc.user, plan.Spec.User())
			require.Equal(t, []string{tc.user}, asked, "a shared engine has nobody's Python")
			require.Equal(t, "/kyuubi_1_"+tc.level+"_SPARK_CONNECT/"+tc.owner+"/default", plan.Spec.Path())
			require.Len(t, plan.Warnings, tc.warnings)
			for _, w := range plan.Warnings {
				require.Contains(t, w, "[GATEWAY.SHARED_IDENTITY] ")
			}
		})
	}
}

func TestGroupsThatCanOwnNoEngine(t *testing.T) {
	p := planner(t, map[string]string{conf.EngineShareLevel.Key: "GROUP"})
	p.Groups, p.Refused, p.ServerUser = groupsOf{"ann": "domain users", "bob": "HDFS", "eve": "../x", "dan": "", "cid": "Gateway"}, []string{"root", "hdfs"}, "gateway"
	for user, want := range map[string]string{"ann": `"domain users", which can have no engine`, "eve": "which can have no engine", "bob": "the account of the system that is called so", "cid": "in the name of the user of the gateway"} {
		_, err := p.Plan(Wishes{User: user})
		require.Equal(t, codes.PermissionDenied, status.Code(err))
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, conf.StaticGroupsKey)
		own, err := p.Plan(Wishes{User: user, Pairs: []conf.Pair{{Key: conf.EngineShareLevel.Key, Value: "USER"}}})
		require.NoError(t, err, "an own engine needs no group")
		require.Equal(t, user, own.Spec.Owner)
	}
	_, err := p.Plan(Wishes{User: "dan"})
	require.Equal(t, codes.Unavailable, status.Code(err))
	alone, err := p.Plan(Wishes{User: "zoe"})
	require.NoError(t, err)
	require.Equal(t, "zoe", alone.Spec.Owner, "without groups the name serves as one")
}

// TestNoTwoUsersShareAPathByTheirLaunchUser: with doAs off all engines have one launch user, and
// sessions of two users may have one id.
func TestNoTwoUsersShareAPathByTheirLaunchUser(t *testing.T) {
	p := planner(t, map[string]string{conf.EngineDoAs.Key: "false"})
	p.ServerUser = "gateway"
	alice, err := p.Plan(Wishes{User: "alice"})
	require.NoError(t, err)
	bob, err := p.Plan(Wishes{User: "bob"})
	require.NoError(t, err)
	require.NotEqual(t, alice.Spec.Path(), bob.Spec.Path())
	require.Equal(t, engine.User, alice.Spec.ShareLevel)
}

// TestOnlyTheGatewaysOwnUserAtAllLevels: drivers run under the gateway's system user
// at all levels.
func TestOnlyTheGatewaysOwnUserAtAllLevels(t *testing.T) {
	for _, level := range []string{"CONNECTION", "USER", "GROUP", "SERVER"} {
		p := planner(t, map[string]string{conf.EngineShareLevel.Key: level})
		p.Groups, p.ServerUser, p.OnlyUser = groupsOf{}, "gateway", "gateway"
		_, err := p.Plan(Wishes{User: "alice"})
		require.Equal(t, codes.PermissionDenied, status.Code(err), level)
		_, err = p.Plan(Wishes{User: "gateway"})
		require.NoError(t, err, level)
	}
}
