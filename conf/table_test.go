// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite docs/settings.md")

func TestEveryEntryIsSound(t *testing.T) {
	folded := map[string]string{}
	for _, a := range areas {
		for _, s := range a.settings {
			m := s.meta()
			require.True(t, strings.HasPrefix(m.Key, "kyuubi."), m.Key)
			require.Empty(t, folded[strings.ToLower(m.Key)], "viper folds case: %s", m.Key)
			folded[strings.ToLower(m.Key)] = m.Key
			require.NotEmpty(t, m.Doc, m.Key)
			require.NotEmpty(t, m.Since, m.Key)
			require.Contains(t, []Scope{ScopeServer, ScopeSession, ScopeBoth}, m.Scope, m.Key)
			require.False(t, isForeign(m.Key), "%s is in the table and in kyuubi_keys.txt", m.Key)
			if m.Default != "" {
				require.NoError(t, s.check(m.Default), m.Key)
			}
		}
	}
	for old := range byOldName {
		require.NotContains(t, byKey, old)
		require.False(t, isForeign(old), old)
	}
}

func TestDefaultsAreKyuubis(t *testing.T) {
	c, err := New(nil)
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	require.False(t, ConnectEnabled.Get(c))
	require.Equal(t, 15002, ConnectBindPort.Get(c))
	require.Equal(t, 134217728, ConnectMaxMessageSize.Get(c))
	require.Equal(t, 10099, RESTBindPort.Get(c))
	require.Equal(t, "127.0.0.1", c.ConnectHost())
	require.Equal(t, "127.0.0.1", c.RESTHost())
	require.False(t, c.Authenticates())
	require.Equal(t, 6*time.Hour, SessionIdleTimeout.Get(c))
	require.Equal(t, 3*time.Minute, EngineInitTimeout.Get(c))
	require.Equal(t, 30*time.Minute, EngineIdleTimeout.Get(c))
	require.Equal(t, 2*time.Minute, EngineLaunchLinger.Get(c))
	require.Equal(t, ShareUser, EngineShareLevel.Get(c))
	require.Equal(t, 2, LimitEngineStartup.Get(c))
	require.Equal(t, "kyuubi", HANamespace.Get(c))
}

func TestShippedConfigurationIsValid(t *testing.T) {
	dir, err := filepath.Abs(".")
	require.NoError(t, err)
	c, err := Load(LoadOptions{ConfDir: dir})
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	require.Equal(t, filepath.Join(dir, DefaultsFile), c.File())
	require.True(t, ConnectEnabled.Get(c))
	require.Empty(t, c.Warnings())
	require.Empty(t, c.Summary())
}

func TestSparkSQLKeysWereRead(t *testing.T) {
	require.Greater(t, len(sparkSQLKeys), 800)
	require.Equal(t, sparkSQLKey{"spark.sql.shuffle.partitions", false}, sparkSQLKeys["spark.sql.shuffle.partitions"])
	require.Equal(t, sparkSQLKey{"spark.sql.session.timeZone", false}, sparkSQLKeys["spark.sql.session.timezone"])
	require.True(t, sparkSQLKeys["spark.sql.warehouse.dir"].static)
}

func TestSettingsPageIsFresh(t *testing.T) {
	page := filepath.Join("..", "docs", "settings.md")
	var want bytes.Buffer
	require.NoError(t, WriteSettings(&want))
	if *update {
		require.NoError(t, os.WriteFile(page, want.Bytes(), 0o644))
	}
	have, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, want.String(), string(have), "run: go test ./conf -update")
}
