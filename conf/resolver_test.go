// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// resolver is one over these settings and profiles.
func resolver(t *testing.T, settings string, profiles map[string]string) *Resolver {
	t.Helper()
	dir := confDir(t, settings)
	for name, text := range profiles {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "kyuubi-session-"+name+".conf"), []byte(text), 0o600))
	}
	c, err := Load(LoadOptions{ConfDir: dir})
	require.NoError(t, err)
	return NewResolver(c)
}

func pairs(keysAndValues ...string) []Pair {
	var all []Pair
	for i := 0; i < len(keysAndValues); i += 2 {
		all = append(all, Pair{keysAndValues[i], keysAndValues[i+1]})
	}
	return all
}

func TestTyposOfOptionsAreNamed(t *testing.T) {
	r := NewResolver(&Conf{})
	for typo, meant := range map[string]string{
		"spark.driver.memmory": "spark.driver.memory", "spark.executor.memry": "spark.executor.memory",
		"spark.dynamicAllocation.enable": "spark.dynamicAllocation.enabled", "spark.driver.core": "spark.driver.cores",
	} {
		_, err := r.Resolve("alice", []Pair{{typo, "1g"}})
		require.ErrorContains(t, err, "did you mean "+meant+"?", typo)
	}
	for _, known := range []string{"spark.driver.host", "spark.jars", "spark.driver.extraJavaOptions"} {
		_, err := r.Resolve("alice", []Pair{{known, "x"}})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "did you mean", known)
	}
}

func TestLayers(t *testing.T) {
	r := resolver(t, `
spark.master=local[2]
spark.driver.memory=1g
spark.sql.shuffle.partitions=7
___alice___.spark.driver.memory=2g
`, map[string]string{"big": `
spark.driver.memory=4g
spark.jars.packages=io.delta:delta-spark_2.13:4.0.0
spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension
spark.sql.catalog.lake=x.Lake
spark.sql.shuffle.partitions=9
spark.executor.memory=100g
kyuubi.engineEnv.FOO=bar
kyuubi.engine.flink.memory=1
`})
	o, err := r.Resolve("alice", pairs(
		"kyuubi.session.conf.profile", "big",
		"spark.driver.memory", "3072m",
		"spark.sql.session.timezone", "UTC",
		"spark.app.name", "mine",
		"kyuubi.session.name", "my session",
		"my.own", "x",
	))
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"spark.driver.memory": "3072m", "spark.executor.memory": "102400m", "kyuubi.engineEnv.FOO": "bar",
		"spark.jars.packages": "io.delta:delta-spark_2.13:4.0.0", "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
	}, o.Launch)
	require.Equal(t, map[string]string{
		"spark.sql.catalog.lake": "x.Lake", "spark.sql.shuffle.partitions": "9", "spark.sql.session.timeZone": "UTC", "spark.app.name": "mine", "my.own": "x",
	}, o.Session)
	require.Equal(t, map[string]string{
		"spark.driver.memory": "3072m", "spark.executor.memory": "102400m", "kyuubi.session.name": "my session", "kyuubi.session.conf.profile": "big",
	}, o.Choices)
	require.Equal(t, ShareUser, o.ShareLevel)
	require.Equal(t, "my session", o.Name)
	require.Regexp(t, madeSubdomain, o.Subdomain)
}

func TestNothingAskedGivesTheDefaultEngine(t *testing.T) {
	o, err := resolver(t, "", nil).Resolve("alice", pairs("spark.app.name", "x", "spark.sql.shuffle.partitions", "3", "kyuubi.session.name", "n"))
	require.NoError(t, err)
	require.Equal(t, DefaultSubdomain, o.Subdomain)
	require.Empty(t, o.Launch)
}

func TestEqualWishesShareAnEngine(t *testing.T) {
	r := resolver(t, "", nil)
	name := func(p []Pair) string {
		o, err := r.Resolve("alice", p)
		require.NoError(t, err)
		return o.Subdomain
	}
	same := [][]Pair{
		pairs("spark.driver.memory", "2g", "spark.speculation", "true"),
		pairs("spark.speculation", "TRUE", "spark.driver.memory", "2048m"),
		pairs("x-spark.driver.memory", " 2048 ", "spark.speculation", "true"),
		pairs("spark.driver.memory", "1g", "SPARK.driver.MEMORY", "2GB", "spark.speculation", "true"),
		pairs("spark.driver.memory", "2097152k", "spark.speculation", "true", "spark.sql.ansi.enabled", "false", "kyuubi.engine.share.level", "user"),
	}
	for _, p := range same {
		require.Equal(t, "o-7543c933d698", name(p), "%v", p)
	}
	for _, p := range [][]Pair{
		pairs("spark.driver.memory", "2g"),
		pairs("spark.driver.memory", "2g", "spark.speculation", "false"),
		pairs("spark.driver.memory", "2g", "spark.speculation", "true", "kyuubi.session.engine.idle.timeout", "PT1M"),
	} {
		require.NotEqual(t, name(same[0]), name(p), "%v", p)
	}
	require.Equal(t, name(pairs("kyuubi.session.idle.timeout", "PT60M")), name(pairs("kyuubi.session.timeout", "1h")))
}

func TestSubdomains(t *testing.T) {
	r := resolver(t, "kyuubi.engine.share.level.subdomain=Team\n___bob___.kyuubi.engine.share.level.subdomain=bobs\n",
		map[string]string{"p": "kyuubi.engine.share.level.subdomain=prof", "q": "spark.driver.memory=1g"})
	oneGig := (&Options{Launch: map[string]string{"spark.driver.memory": "1024m"}}).madeName()
	for _, tc := range []struct {
		user, want string
		client     []Pair
	}{
		{"alice", "team", nil},
		{"bob", "bobs", nil},
		{"bob", "mine", pairs("kyuubi.engine.share.level.subdomain", "MINE", "spark.driver.memory", "1g")},
		{"bob", "prof", pairs("kyuubi.session.conf.profile", "p", "spark.driver.memory", "1g")},
		{"bob", oneGig, pairs("spark.driver.memory", "1g")},
		{"bob", oneGig, pairs("kyuubi.session.conf.profile", "q")},
		{"bob", "own", pairs("kyuubi.session.conf.profile", "p,q", "kyuubi.engine.share.level.subdomain", "own")},
	} {
		o, err := r.Resolve(tc.user, tc.client)
		require.NoError(t, err)
		require.Equal(t, tc.want, o.Subdomain, "%s %v", tc.user, tc.client)
	}
}

func TestListsOfTheAdministrator(t *testing.T) {
	r := resolver(t, `
kyuubi.session.conf.ignore.list=spark.driver.cores, spark.sql.legacy.*, spark.ui.*
kyuubi.session.conf.restrict.list=spark.driver.memory,spark.sql.ansi.*
___bob___.kyuubi.session.conf.restrict.list=other
`, map[string]string{"p": "spark.driver.memory=1g"})
	o, err := r.Resolve("alice", pairs("spark.driver.cores", "99999", "x-SPARK.UI.port", "1", "spark.remote", "sc://x", "kyuubi.session.conf.profile", "p"))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"spark.driver.memory": "1024m"}, o.Launch, "all else was dropped")
	require.Empty(t, o.Session)
	for _, key := range []string{"spark.driver.memory", "set:SPARK.DRIVER.MEMORY", "spark.sql.ansi.enabled", "spark.SQL.ansi.Enabled"} {
		require.Equal(t, Refused, r.Classify("alice", key).Kind, key)
		require.NotEqual(t, Refused, r.Classify("bob", key).Kind, key)
	}
	require.Equal(t, Ignored, r.Classify("alice", "spark.sql.legacy.timeParserPolicy").Kind)
}

func TestClassify(t *testing.T) {
	r := resolver(t, "", nil)
	for key, want := range map[string]Verdict{
		"spark.driver.memory":                         {Key: "spark.driver.memory", Kind: Launch},
		" spark.dynamicallocation.minexecutors ":      {Key: "spark.dynamicAllocation.minExecutors", Kind: Launch},
		"x-kyuubi.session.name":                       {Key: "kyuubi.session.name", Kind: Launch},
		"kyuubi.session.engine.share.level":           {Key: "kyuubi.engine.share.level", Kind: Launch},
		"spark.sql.session.timezone":                  {Key: "spark.sql.session.timeZone", Kind: Runtime},
		"x-spark.sql.shuffle.partitions":              {Key: "spark.sql.shuffle.partitions", Kind: Runtime},
		"spark.sql.catalog.MyLake.uri":                {Key: "spark.sql.catalog.MyLake.uri", Kind: Runtime},
		"spark.sql.warehouse.dir":                     {Key: "spark.sql.warehouse.dir", Kind: Runtime},
		"spark.connect.progress.reportinterval":       {Key: "spark.connect.progress.reportInterval", Kind: Runtime},
		"spark.app.name":                              {Key: "spark.app.name", Kind: Runtime},
		"hive.exec.dynamic.partition":                 {Key: "hive.exec.dynamic.partition", Kind: Runtime},
		"fs.azure.account.key.x.dfs.core.windows.net": {Key: "fs.azure.account.key.x.dfs.core.windows.net", Kind: Runtime},
		"x-foo":          {Key: "x-foo", Kind: Runtime},
		"spark.api.mode": {Key: "spark.api.mode", Kind: Ignored},
	} {
		require.Equal(t, want, r.Classify("alice", key), key)
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	r := resolver(t, "", nil)
	for key, want := range map[string]string{
		"spark.master":                    "option spark.master: clients may not set it, because it decides where the engine runs; ask the administrator to set it for you or to offer it in a profile (kyuubi.session.conf.profile)",
		"spark.cleaner.ttl":               "option spark.cleaner.ttl: it is not among the launch options that a client may choose; ask the administrator to set it for you or to offer it in a profile (kyuubi.session.conf.profile), or, if it is a setting of your own program, set it on the session",
		"driver.memory":                   "option driver.memory: write it in full: spark.driver.memory",
		"kyuubi.server.Administrators":    "option kyuubi.server.administrators: only the administrator sets it; ask the administrator to set it for you or to offer it in a profile (kyuubi.session.conf.profile)",
		"kyuubi.operation.language":       "option kyuubi.operation.language: it is a setting of Kyuubi that has no meaning here; leave it out",
		"kyuubi.engine.share.levl":        "option kyuubi.engine.share.levl: unknown setting; did you mean kyuubi.engine.share.level?",
		"hive.server2.proxy.user":         "option hive.server2.proxy.user: clients may not choose the user of their session this way; sign in as that user",
		"sp\u0430rk.master":               `option "sp\u0430rk.master": the name holds U+0430; names have ASCII letters, digits and . _ - / @ $ +`,
		"":                                "option : the option has no name",
		"spark.connect.grpc.binding.port": "option spark.connect.grpc.binding.port: clients may not set it, because the gateway sets it; ask the administrator to set it for you or to offer it in a profile (kyuubi.session.conf.profile)",
	} {
		v := r.Classify("alice", key)
		require.Equal(t, Refused, v.Kind, key)
		require.EqualError(t, v.Err, want)
	}
}

func TestAllRefusalsAtOnce(t *testing.T) {
	_, err := resolver(t, "", nil).Resolve("alice", pairs("spark.master", "x", "spark.driver.memory", "much", "spark.driver.cores", "17", "spark.executor.cores", "2"))
	require.ErrorContains(t, err, "option spark.master: clients may not set it")
	require.ErrorContains(t, err, `option spark.driver.memory: want a size such as 2g or 2048m, got "much"`)
	require.ErrorContains(t, err, `option spark.driver.cores: "17" is more than the 16 that kyuubi.session.launch.max.driver.cores allows`)
	require.NotContains(t, err.Error(), "executor")
	var first *OptionError
	require.ErrorAs(t, err, &first)
	require.False(t, first.Invalid)
}

func TestTooManyOptions(t *testing.T) {
	_, err := resolver(t, "", nil).Resolve("alice", make([]Pair, maxPairs+1))
	require.EqualError(t, err, "option list: 257 options are more than the 256 of a session; leave some out")
}

func TestProfilesThatCannotBe(t *testing.T) {
	r := resolver(t, "", map[string]string{
		"broken": "kyuubi.authentication=NONE\nkyuubi.session.conf.profile=x\n___a___.spark.x=1\nspark.driver.memory=x\nkyuubi.sesion.name=a\nkyuubi.session.launch.max.executors=1",
	})
	dir := r.conf.Dir()
	outside := filepath.Join(t.TempDir(), "o.conf")
	require.NoError(t, os.WriteFile(outside, []byte("spark.jars=x"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "kyuubi-session-link.conf")))
	require.NoError(t, os.Symlink("kyuubi-session-broken.conf", filepath.Join(dir, "kyuubi-session-inside.conf")))
	for name, want := range map[string]string{
		"none": "there is no profile none", "link": "cannot be read", "../x": "is not the name of a profile", "a/b": "is not the name", "..": "is not the name",
		"a..b": "is not the name", ".x": "is not the name", "a\x00": "control characters", "é": "is not the name", "": "no profile is named", "ok,../x": "is not the name",
		"inside": "the profile inside is broken",
	} {
		_, err := r.Resolve("alice", pairs("kyuubi.session.conf.profile", name))
		require.ErrorContains(t, err, want, name)
		require.NotContains(t, err.Error(), dir, "a client need not know the folder")
	}
	_, err := r.Resolve("alice", pairs("kyuubi.session.conf.profile", "broken"))
	for _, want := range []string{"conf:1: kyuubi.authentication: a profile cannot set this", "conf:2: kyuubi.session.conf.profile", "conf:3: ___a___.spark.x: user defaults belong",
		"conf:4: spark.driver.memory: want a size", "conf:5: kyuubi.sesion.name: unknown setting; did you mean kyuubi.session.name?", "conf:6: kyuubi.session.launch.max.executors: a profile"} {
		require.ErrorContains(t, err, want)
	}
}

func TestDynamicAllocationIsBounded(t *testing.T) {
	on := pairs("spark.dynamicAllocation.enabled", "true")
	ceiling := func(settings string, p []Pair) string {
		o, err := resolver(t, settings, nil).Resolve("alice", p)
		require.NoError(t, err)
		return o.Launch["spark.dynamicAllocation.maxExecutors"]
	}
	require.Equal(t, "100", ceiling("", on))
	require.Equal(t, "5", ceiling("___alice___.kyuubi.session.launch.max.executors=5", on))
	require.Equal(t, "3", ceiling("", append(on, Pair{"spark.dynamicAllocation.maxExecutors", "3"})))
	require.Empty(t, ceiling("spark.dynamicAllocation.maxExecutors=8", on))
	require.Empty(t, ceiling("kyuubi.session.launch.max.executors=0", on))
	require.Empty(t, ceiling("", pairs("spark.dynamicAllocation.enabled", "false")))
}

func TestChosen(t *testing.T) {
	r := resolver(t, "", nil)
	o, err := r.Resolve("alice", pairs("spark.driver.memory", "2g", "kyuubi.engine.share.level", "connection", "spark.sql.ansi.enabled", "true"))
	require.NoError(t, err)
	for _, p := range pairs("spark.driver.memory", "2048m", "SPARK.DRIVER.MEMORY", "2g", "kyuubi.engine.share.level", "CONNECTION") {
		require.True(t, r.Chosen(o, p), p)
	}
	for _, p := range pairs("spark.driver.memory", "1g", "spark.driver.memory", "junk", "spark.driver.cores", "1", "spark.sql.ansi.enabled", "true", "spark.master", "x", "\x00", "y") {
		require.False(t, r.Chosen(o, p), p)
	}
}

func TestMetadataPairs(t *testing.T) {
	require.Equal(t, pairs("kyuubi.session.name", "n", "spark.driver.memory", "1g", "spark.driver.memory", "2g", "x-spark.a", "b"), MetadataPairs(map[string][]string{
		"x-spark.a": {"b"}, "spark.driver.memory": {"1g", "2g"}, "kyuubi.session.name": {"n"},
		"authorization": {"Bearer x"}, "x-request-id": {"1"}, "sparkle": {"1"}, "x-x-spark.b": {"1"}, "user-agent": {"spark."},
	}))
}
