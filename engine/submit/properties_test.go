// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/engine"
)

// settings are the properties of a launch.
func (b *bench) settings(t *testing.T, l engine.Launch) map[string]string {
	t.Helper()
	got, err := b.launcher.properties(b.launcher.settings(l.Spec), l, filepath.Join(b.home, "conf"))
	require.NoError(t, err)
	return got
}

func TestPropertiesOfThePlugin(t *testing.T) {
	b := newBench(t, "")
	l := b.launch()
	got := b.settings(t, l)
	for key, want := range map[string]string{
		"spark.kyuubi.ha.engine.ref.id":                      l.RefID,
		"spark.kyuubi.ha.namespace":                          "/kyuubi_1_USER_SPARK_CONNECT/alice/default",
		"spark.kyuubi.engine.key.file":                       l.WorkDir + "/engine.key",
		"spark.kyuubi.engine.gateway.url":                    "http://127.0.0.1:10099",
		"spark.kyuubi.session.idle.timeout":                  "3600000",
		"spark.kyuubi.session.engine.idle.timeout":           "300000", // of the session
		"spark.kyuubi.session.engine.check.interval":         "60000",
		"spark.kyuubi.session.engine.spark.max.initial.wait": "0",
		"spark.kyuubi.session.engine.spark.max.lifetime":     "0",
		"spark.kyuubi.engine.submit.time":                    "1700000000000",
		"spark.kyuubi.session.engine.initialize.timeout":     "180000",
		"spark.driver.memory":                                "2g",
		"spark.app.name":                                     "kyuubi_USER_SPARK_CONNECT_alice_default_" + l.RefID,
		"spark.connect.grpc.maxInboundMessageSize":           "66536",
		"spark.ui.enabled":                                   "false",
	} {
		require.Equal(t, want, got[key], key)
	}
	for key, value := range got {
		require.NotContains(t, value, "-key", "%s: no secret in the properties", key)
	}
	l.Spec.ShareLevel = engine.Connection
	require.Equal(t, "kyuubi_CONNECTION_SPARK_CONNECT_alice_"+l.RefID, b.settings(t, l)["spark.app.name"])
}

func TestLayersOfProperties(t *testing.T) {
	b := newBench(t, "")
	b.write(t, "conf/spark-defaults.conf", "# the admin's\n"+
		"spark.master local[3]\nspark.driver.memory=512m\nspark.eventLog.dir: /var/log\n"+
		"spark.plugins com.acme.Plugin\nspark.extraListeners com.acme.Listener\n"+
		"spark.connect.grpc.binding.address 0.0.0.0\nspark.connect.authenticate.token theirs\n"+
		"spark.connect.grpc.arrow.maxBatchSize 4m\nspark.kyuubi.ha.namespace /forged\nspark.app.name mine\n", 0o644)
	b.base["spark.master"] = "local[2]"
	b.base["spark.connect.execute.reattachable.senderMaxStreamSize"] = "123"
	b.base["hadoop.fs.x"] = "not Spark's name"
	b.base["kyuubi.engine.type"] = "not for Spark"
	b.base["spark.kyuubi.engine.gateway.url"] = "http://forged"
	got := b.settings(t, b.launch())
	for key, want := range map[string]string{
		"spark.master":                                           "local[2]", // server over admin
		"spark.driver.memory":                                    "2g",       // session over both
		"spark.eventLog.dir":                                     "/var/log",
		"spark.plugins":                                          "com.acme.Plugin", // ours adds itself
		"spark.extraListeners":                                   "com.acme.Listener",
		"spark.connect.grpc.binding.address":                     "127.0.0.1",
		"spark.connect.grpc.binding.port":                        "0",
		"spark.connect.grpc.arrow.maxBatchSize":                  "4m",
		"spark.connect.execute.reattachable.senderMaxStreamSize": "123",
		"spark.kyuubi.ha.namespace":                              "/kyuubi_1_USER_SPARK_CONNECT/alice/default",
		"spark.kyuubi.engine.gateway.url":                        "http://127.0.0.1:10099",
		"spark.app.name":                                         "mine",
	} {
		require.Equal(t, want, got[key], key)
	}
	for _, key := range []string{"spark.connect.authenticate.token", "hadoop.fs.x", "spark.hadoop.hadoop.fs.x", "kyuubi.engine.type", "spark.kyuubi.engine.type"} {
		require.NotContains(t, got, key)
	}
}

func TestConfDirOfTheEnvironment(t *testing.T) {
	require.Equal(t, "/spark/conf", confDir(map[string]string{}, "/spark"))
	require.Equal(t, "/etc/spark", confDir(map[string]string{"SPARK_CONF_DIR": "/etc/spark"}, "/spark"))
}

func TestFormatProperties(t *testing.T) {
	got, err := formatProperties(map[string]string{
		"b": "plain", "a key": "= : # ! \\", "c": "  two spaces first", "ü": "ä𝄞\t", "empty": "",
	})
	require.NoError(t, err)
	require.Equal(t, `a\ key=\= \: \# \! \\`+"\n"+`b=plain`+"\n"+`c=\ \ two spaces first`+"\n"+`empty=`+"\n"+`\u00fc=\u00e4\ud834\udd1e\u0009`+"\n", got)
	for _, bad := range []map[string]string{{"a": "x\ny"}, {"a\r": "x"}, {"a": "\x00"}, {"": "x"}, {"a": "\xff"}} {
		_, err := formatProperties(bad)
		require.Error(t, err)
	}
}

func TestParseProperties(t *testing.T) {
	tests := map[string]struct {
		text string
		want map[string]string
	}{
		"separators":    {"a=1\nb:2\nc 3\nd\t=\t4\ne", map[string]string{"a": "1", "b": "2", "c": "3", "d": "4", "e": ""}},
		"comments":      {"#a=1\n  ! b=2\n\n  c=3 # not a comment", map[string]string{"c": "3 # not a comment"}},
		"continuation":  {"a=1,\\\n   2\nb=3\\\\\nc=4\\", map[string]string{"a": "1,2", "b": `3\`, "c": "4"}},
		"escapes":       {`a\=b=\u00e4\t|\ud834\udd1e\q\u00`, map[string]string{"a=b": "ä\t|𝄞qu00"}},
		"CRLF":          {"a=1\r\nb=2\r\n", map[string]string{"a": "1", "b": "2"}},
		"last one wins": {"a=1\na=2", map[string]string{"a": "2"}},
		"trimmed":       {"a = x y  ", map[string]string{"a": "x y"}},
		"UTF-8":         {"a=ä", map[string]string{"a": "ä"}},
		"no key":        {"=1", map[string]string{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, parseProperties(test.text)) })
	}
}

// FuzzProperties: what is written reads back the same.
func FuzzProperties(f *testing.F) {
	f.Add("a", "b")
	f.Add("a =:", ` \ u00e4 `)
	f.Add("#", "𝄞#")
	f.Fuzz(func(t *testing.T, key, value string) {
		text, err := formatProperties(map[string]string{key: value})
		if err != nil {
			return
		}
		got := parseProperties(text)
		require.Len(t, got, 1)
		require.Equal(t, trimmed(value), got[key], "%q", text)
	})
}

// trimmed is a value as Spark keeps it.
func trimmed(value string) string { return strings.TrimSpace(value) }
