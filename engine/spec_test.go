// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPathAndBack(t *testing.T) {
	for _, spec := range []Spec{
		{Namespace: "kyuubi", ShareLevel: User, Owner: "alice", Subdomain: "default"},
		{Namespace: "my_own_space", ShareLevel: Connection, Owner: "a@b.c", Subdomain: "o-0123456789ab"},
	} {
		got, err := parsePath(spec.Path())
		require.NoError(t, err)
		require.Equal(t, spec, got)
	}
	require.Equal(t, "/kyuubi_1_USER_SPARK_CONNECT/alice/default",
		Spec{Namespace: "kyuubi", ShareLevel: User, Owner: "alice", Subdomain: "default"}.Path())
}

func TestForeignPathsAreRefused(t *testing.T) {
	for _, path := range []string{
		"", "/", "/kyuubi", "/kyuubi_1_USER_SPARK_CONNECT/alice", "/kyuubi_1_USER_SPARK_SQL/alice/default",
		"/kyuubi_2_USER_SPARK_CONNECT/alice/default", "/USER_SPARK_CONNECT/alice/default", "/kyuubi_1_USER_SPARK_CONNECT/a/b/c",
	} {
		_, err := parsePath(path)
		require.Error(t, err, path)
	}
}
