// SPDX-License-Identifier: Apache-2.0

package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
	"roundhouse/server/rest"
)

func TestServers(t *testing.T) {
	draining := false
	one := discovery.Gateway{Owner: discovery.Owner{Gateway: "g1", Place: "m1"}, Address: "one:15002"}
	two := discovery.Gateway{Owner: discovery.Owner{Gateway: "g2"}, Address: "two:15002"}
	alone := restServers{namespace: "/n", self: one, draining: func() bool { return draining }}
	require.Equal(t, []rest.ServerView{{ID: "g1", Namespace: "/n", Address: "one:15002", Place: "m1"}}, alone.Servers())

	both := alone
	both.all = func() []discovery.Gateway { return []discovery.Gateway{one, two} }
	require.Len(t, both.Servers(), 2)
	draining = true
	require.True(t, both.Servers()[0].Draining)
	require.False(t, both.Servers()[1].Draining)
	both.all = func() []discovery.Gateway { return []discovery.Gateway{two} }
	require.Equal(t, "g1", both.Servers()[1].ID, "it has left, and is there still")
}
