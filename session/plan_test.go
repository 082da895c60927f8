// SPDX-License-Identifier: Apache-2.0

package session

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/conf"
)

func planner(t *testing.T, settings map[string]string) *Planner {
	t.Helper()
	c, err := conf.New(settings)
	require.NoError(t, err)
	return &Planner{Resolver: conf.NewResolver(c), Namespace: "kyuubi", Python: func(string, map[string]string) string { return "3.11" }, PythonFor: c.EnginePython}
}

func TestOnlyTheGatewaysOwnUserMayHaveLocalDrivers(t *testing.T) {
	p := planner(t, nil)
	p.OnlyUser = "gateway"
	_, err := p.Plan(Wishes{User: "gateway"})
	require.NoError(t, err)
	_, err = p.Plan(Wishes{User: "alice"})
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	require.ErrorContains(t, err, conf.EngineAllowGatewayUser.Key)
}

func TestClientsWithAnotherPythonGetAnEngineWithTheirs(t *testing.T) {
	p := planner(t, map[string]string{"kyuubi.engine.spark.python.3.12": "/opt/python3.12", "___bob___.kyuubi.engine.spark.python.3.12": "/opt/bob/python"})
	plan := func(user, client string) Plan {
		got, err := p.Plan(Wishes{User: user, Client: client})
		require.NoError(t, err)
		return got
	}
	same := plan("alice", "_SPARK_CONNECT_PYTHON spark/4.3.0 os/linux python/3.11.9")
	require.Empty(t, same.Spec.Python)
	require.Equal(t, "default", same.Spec.Subdomain)
	other := plan("alice", "_SPARK_CONNECT_PYTHON spark/4.3.0 os/linux python/3.12.1")
	require.Equal(t, "/opt/python3.12", other.Spec.Python)
	require.NotEqual(t, same.Spec.Subdomain, other.Spec.Subdomain)
	named, err := p.Plan(Wishes{User: "alice", Client: "python/3.12", Pairs: []conf.Pair{{Key: conf.EngineSubdomain.Key, Value: "etl"}}})
	require.NoError(t, err)
	require.Equal(t, "etl-py3.12", named.Spec.Subdomain, "no engine of a name has two Pythons")
	require.Equal(t, "/opt/bob/python", plan("bob", "python/3.12").Spec.Python)
	require.Len(t, plan("alice", "python/3.9.1").Warnings, 1)
	require.Empty(t, plan("alice", "_SPARK_CONNECT_SCALA").Warnings)
}

func TestRefusedWishes(t *testing.T) {
	p := planner(t, nil)
	for key, want := range map[string]string{
		"spark.driver.memory": "[GATEWAY.OPTION_INVALID]", "spark.jars": "[GATEWAY.OPTION_NOT_ALLOWED]",
	} {
		_, err := p.Plan(Wishes{User: "alice", Pairs: []conf.Pair{{Key: key, Value: "much"}}})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, key)
	}
}

// TestPlainSubdomain: people see and filter by the name that they chose.
func TestPlainSubdomain(t *testing.T) {
	for name, want := range map[string]string{
		"etl-py3.11": "etl", "default-py3.9": "default", "o-0123456789ab-py3.13": "o-0123456789ab",
		"etl": "etl", "etl-py3": "etl-py3", "0b4e4f0a-8f2f-4a53-b6ad-2d8f6a9c8f11": "0b4e4f0a-8f2f-4a53-b6ad-2d8f6a9c8f11",
	} {
		require.Equal(t, want, PlainSubdomain(name))
	}
}
