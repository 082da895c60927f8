// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const fullName = "serverUri=127.0.0.1:41123;version=1;control=127.0.0.1:40999;kyuubi.engine.id=local-17;" +
	"mac=0f;spark.driver.memory=;refId=0b4e4f0a-8f2f-4a53-b6ad-2d8f6a9c8f11;sequence=0000000042"

func TestNodeRoundTrip(t *testing.T) {
	n, err := ParseNode(fullName)
	require.NoError(t, err)
	require.Equal(t, Node{
		Address: "127.0.0.1:41123", Version: "1", RefID: "0b4e4f0a-8f2f-4a53-b6ad-2d8f6a9c8f11", Sequence: 42,
		Attributes: map[string]string{
			"control": "127.0.0.1:40999", "kyuubi.engine.id": "local-17", "mac": "0f", "spark.driver.memory": "",
		},
	}, n)
	require.Equal(t, fullName, n.String())
}

func TestParseNodeIsTolerant(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want Node
	}{
		"any order": {"sequence=0000000001;a=b;serverUri=h:1;refId=r;version=2",
			Node{"h:1", "2", "r", 1, map[string]string{"a": "b"}}},
		"old name, a server node": {"serviceUri=h:1;version=1.5;sequence=0000000000",
			Node{"h:1", "1.5", "", 0, map[string]string{}}},
		"IPv6":              {"serverUri=[::1]:10009", Node{Address: "[::1]:10009", Attributes: map[string]string{}}},
		"value with equals": {"serverUri=h:1;x=YQ==", Node{Address: "h:1", Attributes: map[string]string{"x": "YQ=="}}},
		"overflown counter": {"serverUri=h:1;sequence=-2147483648",
			Node{Address: "h:1", Sequence: -2147483648, Attributes: map[string]string{}}},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := ParseNode(tc.text)
			require.NoError(t, err)
			require.Equal(t, tc.want, n)
		})
	}
}

func TestParseNodeRefusesJunk(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"", "not key=value"},
		{"leases", "not key=value"},
		{"version=1", "no serverUri"},
		{"serverUri=h:1;", "not key=value"},
		{"serverUri=h:1;=x", "not key=value"},
		{"serverUri=h:1;serverUri=h:2", "given twice"},
		{"serverUri=h:1;serviceUri=h:2", "given twice"},
		{"serverUri=h:1;a=1;a=2", "given twice"},
		{"serverUri=host", "missing port"},
		{"serverUri=::1:80", "too many colons"},
		{"serverUri=:80", "no usable host"},
		{"serverUri=a b:80", "no usable host"},
		{"serverUri=user@h:80", "no usable host"},
		{"serverUri=h:0", "no usable port"},
		{"serverUri=h:65536", "no usable port"},
		{"serverUri=h:http", "no usable port"},
		{"serverUri=h:1;sequence=x", "not a number"},
		{"serverUri=h:1;a=\n", "control characters"},
		{"serverUri=h:1;a=\xff", "not UTF-8"},
		{"serverUri=h:1;a=" + strings.Repeat("x", maxNodeBytes), "more than"},
	} {
		_, err := ParseNode(tc.text)
		require.ErrorContains(t, err, tc.want, "%.60q", tc.text)
		require.Less(t, len(err.Error()), 300)
	}
}

func TestStringLeavesOutWhatTheFormatCannotCarry(t *testing.T) {
	n := Node{Address: "h:1", Attributes: map[string]string{
		"good": "1", "bad": "a;refId=evil", "a=b": "1", "refId": "evil", "": "1", "nl": "a\nb",
	}}
	require.Equal(t, "serverUri=h:1;version=;good=1;sequence=0000000000", n.String())
}

func FuzzParseNode(f *testing.F) {
	for _, seed := range []string{
		fullName, "", ";", "=", "serviceUri=[::1]:1", "serverUri=h:1;a=b=c;sequence=-5", "serverUri=h:1;refId=x;refId=y",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		n, err := ParseNode(name)
		if err != nil {
			return
		}
		again, err := ParseNode(n.String())
		require.NoError(t, err)
		require.Equal(t, n, again)
	})
}
