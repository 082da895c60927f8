// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/conf"
)

func TestAddressesForPeople(t *testing.T) {
	at := func(host string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(host), Port: 15002} }
	require.Equal(t, "node7:15002", reachable(at("0.0.0.0"), "node7"))
	require.Equal(t, "node7:15002", reachable(at("::"), "node7"))
	require.Equal(t, "127.0.0.1:15002", reachable(at("::"), ""), "a machine without a name")
	require.Equal(t, "127.0.0.1:15002", reachable(at("127.0.0.1"), "node7"), "a door that is not open to others")
	require.Equal(t, "[2001:db8::1]:15002", reachable(at("2001:db8::1"), "node7"))
}

func TestNamesOfTheRESTPort(t *testing.T) {
	own, err := os.Hostname()
	require.NoError(t, err)
	for name, test := range map[string]struct {
		settings map[string]string
		want     []string
	}{
		"loopback":   {nil, nil},
		"wildcard":   {map[string]string{"kyuubi.frontend.rest.bind.host": "0.0.0.0"}, []string{own}},
		"advertised": {map[string]string{"kyuubi.frontend.advertised.host": "gw.example.com"}, []string{"gw.example.com"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := conf.New(test.settings)
			require.NoError(t, err)
			require.Equal(t, test.want, hosts(c))
		})
	}
}
