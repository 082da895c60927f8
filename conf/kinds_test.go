// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"PT30M": 30 * time.Minute, "pt30m": 30 * time.Minute, "P1D": day, "P1DT2H3M4S": day + 2*time.Hour + 3*time.Minute + 4*time.Second,
		"PT1.5S": 1500 * time.Millisecond, "PT0.000000001S": 1, "PT0S": 0, "PT-1.5S": -1500 * time.Millisecond, "-PT1M": -time.Minute,
		"PT-0.5S": -500 * time.Millisecond, "1800000": 30 * time.Minute, "0": 0, "-1": -time.Millisecond, "500ms": 500 * time.Millisecond,
		"10s": 10 * time.Second, "30m": 30 * time.Minute, "2h": 2 * time.Hour, "1d": day, "P36500D": longest,
	} {
		got, err := ParseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "P", "PT", "P1", "P1DT", "1w", "30 m", "30M ", "1.5h", "PT1.5M", "T1S", "1y", "P1Y", "P1M", "1e3",
		"9223372036854775807", "PT9223372036854775807S", "99999999999999999999", "P36501D", "P36500DT1S", "P99999999999999999999D", "s", "--1s"} {
		_, err := ParseDuration(text)
		require.Error(t, err, text)
	}
}

func TestFormattedDurationsReadBack(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"PT0S": 0, "PT30M": 30 * time.Minute, "P1D": day, "PT25H": 25 * time.Hour, "PT1M30S": 90 * time.Second,
		"PT1.5S": 1500 * time.Millisecond, "-PT1M": -time.Minute, "P-1D": -day, "PT0.001S": time.Millisecond,
	} {
		require.Equal(t, want, formatDuration(d))
		back, err := ParseDuration(want)
		require.NoError(t, err)
		require.Equal(t, d, back)
	}
}

func TestKindsRefuse(t *testing.T) {
	refused := map[string][]string{
		ConnectBindPort.Key:         {"1024", "65535", "80", "-1", "x", "", "15002.0"},
		ConnectEnabled.Key:          {"yes", "1", "", "tru", "on"},
		ConnectMaxMessageSize.Key:   {"1", "128m", "99999999999"},
		FrontendBindHost.Key:        {"host:80", "http://x", "a b", "[::1]:80", "::zz"},
		ConnectSSLKey.Key:           {"key.pem", "./key.pem", "{{HOME}}/key"},
		EngineShareLevel.Key:        {"TEAM", ""},
		EngineType.Key:              {"FLINK_SQL", ""},
		EngineSubdomain.Key:         {"a/b", "-a", "..", "a_b", "é", "0123456789012345678901234567890123456789012345678901234567890123"},
		HANamespace.Key:             {"", "a/b", ".."},
		ServerRedaction.Key:         {"(", "(?=x)"},
		EngineInitTimeout.Key:       {"0", "-1", "soon"},
		LimitEngineStartup.Key:      {"0", "-1", "two"},
		MaxDriverMemory.Key:         {"1.5g", "lots", "-1g", "512k"},
		"kyuubi.engineEnv.A=B":      {"x"},
		"kyuubi.engineEnv.PATH":     {"a\x00b"},
		EnginePythonPrefix + "3":    {"/usr/bin/python3"},
		EnginePythonPrefix + "3.11": {"python3.11"},
	}
	for key, texts := range refused {
		for _, text := range texts {
			_, err := New(map[string]string{key: text})
			require.Error(t, err, "%s=%q", key, text)
		}
	}
}

func TestKindsAccept(t *testing.T) {
	c, err := New(map[string]string{
		ConnectBindPort.Key: "0", RESTBindPort.Key: "65534", ConnectEnabled.Key: "TRUE", FrontendBindHost.Key: "[::1]",
		EngineShareLevel.Key: "connection", EngineType.Key: "spark_sql", EngineSubdomain.Key: "Team-A", Administrators.Key: " ann, ,bob,",
		Authentication.Key: "token", MaxDriverMemory.Key: "4g", "kyuubi.engineEnv.PATH": "/bin",
	})
	require.NoError(t, err)
	require.Equal(t, 0, ConnectBindPort.Get(c))
	require.Equal(t, 65534, RESTBindPort.Get(c))
	require.True(t, ConnectEnabled.Get(c))
	require.Equal(t, "::1", c.ConnectHost())
	require.Equal(t, ShareConnection, EngineShareLevel.Get(c))
	require.Equal(t, EngineTypeConnect, EngineType.Get(c))
	require.Equal(t, "team-a", EngineSubdomain.Get(c))
	require.Equal(t, []string{"ann", "bob"}, Administrators.Get(c))
	require.True(t, c.Uses(AuthToken))
	require.Equal(t, int64(4096), MaxDriverMemory.Get(c))
	require.Equal(t, map[string]string{"PATH": "/bin"}, c.EngineEnv())
}
