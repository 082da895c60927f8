// SPDX-License-Identifier: Apache-2.0

package netaddr

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestForms(t *testing.T) {
	for address, want := range map[string][2]string{
		"192.0.2.7":         {"192.0.2.7", "192.0.2.7"},
		"::ffff:192.0.2.7":  {"192.0.2.7", "192.0.2.7"},
		"2001:db8::1:0:0:7": {"2001:db8::1:0:0:7", "2001:db8::/64"},
		"2001:DB8:0:0:2::8": {"2001:db8::2:0:0:8", "2001:db8::/64"},
		"2001:db8:0:1::8":   {"2001:db8:0:1::8", "2001:db8:0:1::/64"},
		"fe80::1%eth0":      {"fe80::1", "fe80::/64"},
		"::1":               {"::1", "::/64"},
		"":                  {"", ""},
		"/run/some.sock":    {"/run/some.sock", "/run/some.sock"},
	} {
		require.Equal(t, want[0], Plain(Plain(address)), address)
		require.Equal(t, want[1], Network(address), address)
	}
}
