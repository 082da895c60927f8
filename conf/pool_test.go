// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPools(t *testing.T) {
	oneGig := (&Options{Launch: map[string]string{"spark.driver.memory": "1024m"}}).madeName()
	pool := func(size int) Pool { return Pool{Name: "engine-pool", Size: size, Policy: PoolRandom} }
	const sized, level = "kyuubi.engine.pool.size=4\n", "kyuubi.engine.share.level"
	for name, tc := range map[string]struct {
		settings  string
		client    []Pair
		pool      Pool
		subdomain string
	}{
		"none":                  {"", nil, Pool{}, "default"},
		"turned off":            {"kyuubi.engine.pool.size=0", nil, Pool{}, "default"},
		"the server's":          {sized, nil, pool(4), ""},
		"of another user":       {"___bob___.kyuubi.engine.pool.size=4", nil, Pool{}, "default"},
		"of the user":           {sized + "___alice___.kyuubi.engine.pool.size=2", nil, pool(2), ""},
		"of the client":         {"", pairs("kyuubi.engine.pool.size", "3", "kyuubi.engine.pool.name", "ETL", "kyuubi.engine.pool.selectpolicy", "polling"), Pool{"etl", 3, PoolPolling}, ""},
		"over the threshold":    {"kyuubi.engine.pool.size.threshold=5", pairs("kyuubi.engine.pool.size", "100"), pool(5), ""},
		"turned off by client":  {sized, pairs("kyuubi.engine.pool.size", "-1"), Pool{}, "default"},
		"a named subdomain":     {sized, pairs("kyuubi.engine.share.level.subdomain", "mine"), Pool{}, "mine"},
		"the server's named":    {sized + "kyuubi.engine.share.level.subdomain=team", nil, Pool{}, "team"},
		"a name that is passed": {sized + "kyuubi.engine.pool.ignoreSubdomain=true", pairs("kyuubi.engine.share.level.subdomain", "mine"), pool(4), ""},
		"launch options":        {sized, pairs("spark.driver.memory", "1g"), pool(4), oneGig},
		"one session":           {sized + level + "=CONNECTION", nil, Pool{}, "default"},
		"by the old name":       {sized + "kyuubi.engine.pool.balance.policy=LEAST_SESSIONS", nil, Pool{"engine-pool", 4, PoolLeastSessions}, ""},
	} {
		o, err := resolver(t, tc.settings, nil).Resolve("alice", tc.client)
		require.NoError(t, err, name)
		require.Equal(t, tc.pool, o.Pool, name)
		require.Equal(t, tc.subdomain, o.Subdomain, name)
	}
}

func TestProfilesPlaceNoEngine(t *testing.T) {
	r := resolver(t, "", map[string]string{"p": "kyuubi.engine.pool.size=2\nkyuubi.engine.share.level=GROUP", "q": "kyuubi.engine.doAs.enabled=false", "s": "kyuubi.engine.pool.ignoreSubdomain=true"})
	o, err := r.Resolve("alice", pairs("kyuubi.session.conf.profile", "p"))
	require.NoError(t, err)
	require.Equal(t, 2, o.Pool.Size)
	require.Equal(t, ShareGroup, o.ShareLevel, "a profile is the administrator's")
	require.Empty(t, o.Launch)
	for _, name := range []string{"q", "s"} {
		_, err := r.Resolve("alice", pairs("kyuubi.session.conf.profile", name))
		require.ErrorContains(t, err, "a profile cannot set this")
	}
}

func TestClientsShareWithFewerOnly(t *testing.T) {
	r := resolver(t, "kyuubi.engine.share.level=GROUP\n___bob___.kyuubi.engine.share.level=USER\n", nil)
	for _, level := range []string{"CONNECTION", "user", "GROUP"} {
		_, err := r.Resolve("alice", pairs("kyuubi.engine.share.level", level))
		require.NoError(t, err)
	}
	_, err := r.Resolve("alice", pairs("kyuubi.engine.share.level", "SERVER"))
	require.ErrorContains(t, err, "at SERVER more users share an engine than at the level GROUP that you have")
	_, err = r.Resolve("bob", pairs("kyuubi.engine.share.level", "GROUP"))
	require.ErrorContains(t, err, "than at the level USER")
}

func TestDoAs(t *testing.T) {
	r := resolver(t, "___alice___.kyuubi.engine.doAs.enabled=false\n___bob___.kyuubi.engine.share.level=SERVER\n___bob___.kyuubi.engine.doAs.enabled=false\n", nil)
	for user, want := range map[string]bool{"alice": false, "carol": true, "bob": true} {
		o, err := r.Resolve(user, nil)
		require.NoError(t, err)
		require.Equal(t, want, o.DoAs, user)
	}
}

// TestClientsShapeNoSharedEngines: each wish is an engine more of all who share them.
func TestClientsShapeNoSharedEngines(t *testing.T) {
	profiles := map[string]string{"big": "spark.driver.memory=2g\nkyuubi.engine.share.level.subdomain=big", "pool": "kyuubi.engine.pool.size=2"}
	r := resolver(t, "kyuubi.engine.share.level=GROUP\n___bob___.kyuubi.engine.share.level=SERVER\n___cid___.kyuubi.engine.share.level.subdomain=cid\n", profiles)
	for _, wish := range []Pair{
		{"kyuubi.engine.share.level.subdomain", "mine"}, {"kyuubi.engine.share.level.sub.domain", "mine"}, {"kyuubi.engine.pool.size", "9"},
		{"kyuubi.engine.pool.name", "mine"}, {"spark.driver.memory", "1g"}, {"kyuubi.session.engine.idle.timeout", "PT1H"},
	} {
		for user, whose := range map[string]string{"alice": "all users of a group (kyuubi.engine.share.level=GROUP)", "bob": "all users (kyuubi.engine.share.level=SERVER)"} {
			_, err := r.Resolve(user, []Pair{wish})
			var refused *OptionError
			require.ErrorAs(t, err, &refused, wish.Key)
			require.False(t, refused.Invalid)
			require.ErrorContains(t, err, "those of "+whose+", so no client decides which there are")
			require.ErrorContains(t, err, "choose kyuubi.engine.share.level=USER")
			_, err = r.Resolve(user, []Pair{wish, {"kyuubi.engine.share.level", "USER"}})
			require.NoError(t, err, "an engine of one's own")
		}
	}
	for user, want := range map[string]string{"alice": "big", "cid": "big"} {
		o, err := r.Resolve(user, pairs("kyuubi.session.conf.profile", "big", "spark.driver.memory", "2048m", "kyuubi.session.name", "x", "spark.sql.ansi.enabled", "true"))
		require.NoError(t, err, "the profile's own, and what is no engine")
		require.Equal(t, want, o.Subdomain)
	}
	_, err := r.Resolve("alice", pairs("kyuubi.session.conf.profile", "big", "spark.driver.memory", "3g"))
	require.ErrorContains(t, err, "option spark.driver.memory")
	o, err := r.Resolve("alice", pairs("kyuubi.session.conf.profile", "pool", "kyuubi.engine.pool.selectPolicy", "POLLING"))
	require.NoError(t, err)
	require.Equal(t, 2, o.Pool.Size)
}

// TestReviewOfDoAs: who comes from Kyuubi is told what the setting does not do here.
func TestReviewOfDoAs(t *testing.T) {
	dir := confDir(t, "kyuubi.frontend.spark.connect.enabled=true\nkyuubi.engine.doAs.enabled=true\n")
	found, err := Review(LoadOptions{Home: t.TempDir(), ConfDir: dir, Getenv: func(string) string { return "" }})
	require.NoError(t, err)
	i := slices.IndexFunc(found, func(f Finding) bool { return f.Key == EngineDoAs.Key })
	require.Equal(t, Unread, found[i].Fate)
	require.Equal(t, "there is no impersonation yet: all drivers run as the gateway's user", found[i].Text)
}
