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
	two := discovery.Gateway{Owner: discovery.Owner{Gateway: "g2"}, Address: "two:15002", Config: "0123456789ab"}
	alone := restServers{namespace: "/n", self: one, draining: func() bool { return draining }}
	require.Equal(t, []rest.ServerView{{ID: "g1", Namespace: "/n", Address: "one:15002", Place: "m1"}}, alone.Servers())

	both := alone
	ended := ""
	both.dead = func(o discovery.Owner) bool { return o.Gateway == ended }
	both.all = func() []discovery.Gateway { return []discovery.Gateway{one, two} }
	require.Len(t, both.Servers(), 2)
	require.Equal(t, "0123456789ab", both.Servers()[1].Config)
	draining = true
	require.True(t, both.Servers()[0].Draining)
	require.False(t, both.Servers()[1].Draining)
	both.all = func() []discovery.Gateway { return []discovery.Gateway{two} }
	require.Equal(t, "g1", both.Servers()[1].ID, "it has left, and is there still")
	ended = "g2"
	require.Len(t, both.Servers(), 1, "its node outlives its process")
}
