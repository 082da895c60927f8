// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTakeProxyUser(t *testing.T) {
	other := Pair{"spark.driver.memory", "2g"}
	for name, tt := range map[string]struct {
		pairs []Pair
		user  string
		fault string
	}{
		"none":                    {pairs: []Pair{other}},
		"Kyuubi's":                {pairs: []Pair{{"kyuubi.session.proxy.user", "alice"}, other}, user: "alice"},
		"Hive's":                  {pairs: []Pair{other, {"hive.server2.proxy.user", " alice "}}, user: "alice"},
		"Kyuubi's wins":           {pairs: []Pair{{"hive.server2.proxy.user", "bob"}, other, {"kyuubi.session.proxy.user", "alice"}}, user: "alice"},
		"other spellings":         {pairs: []Pair{{"X-Kyuubi.Session.PROXY.user", "alice"}, other, {"set:hiveconf:kyuubi.session.proxy.user", "alice"}}, user: "alice"},
		"Hive's in other forms":   {pairs: []Pair{other, {"x-HIVE.server2.proxy.user", "alice"}, {"set:hiveconf:hive.server2.proxy.user", "alice"}}, user: "alice"},
		"two users":               {pairs: []Pair{{"kyuubi.session.proxy.user", "alice"}, {"KYUUBI.session.proxy.user", "bob"}}, fault: "given twice"},
		"nobody":                  {pairs: []Pair{{"kyuubi.session.proxy.user", " "}}, fault: "names nobody"},
		"nobody, by the other":    {pairs: []Pair{{"kyuubi.session.proxy.user", "alice"}, {"hive.server2.proxy.user", ""}}, fault: "names nobody"},
		"what only looks like it": {pairs: []Pair{other}},
	} {
		user, rest, err := TakeProxyUser(tt.pairs)
		if tt.fault != "" {
			require.ErrorContains(t, err, tt.fault, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, tt.user, user, name)
		require.Equal(t, []Pair{other}, rest, name)
	}
	for _, key := range []string{"proxy.user", "session.proxy.user", "kyuubi.session.proxy.user.x", "spark.kyuubi.session.proxy.user", "kyuubi.session.proxy.userſ"} {
		require.False(t, NamesProxyUser(key), "%s: what is not taken is left to the resolver, which refuses it", key)
	}
	require.Len(t, MetadataPairs(map[string][]string{"hive.server2.proxy.user": {"a"}, "x-kyuubi.session.proxy.user": {"b"}, "hive.x": {"c"}}), 2)
}
