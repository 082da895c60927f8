// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// serving is a valid configuration to break.
func serving(changes ...string) map[string]string {
	settings := map[string]string{ConnectEnabled.Key: "true"}
	for _, change := range changes {
		key, text, _ := strings.Cut(change, "=")
		settings[key] = text
	}
	return settings
}

func TestValidate(t *testing.T) {
	const host, auth = "kyuubi.frontend.bind.host=", "kyuubi.authentication="
	token := []string{auth + "TOKEN", "kyuubi.authentication.token.file=/t"}
	tls := []string{"kyuubi.frontend.spark.connect.ssl.enabled=true", "kyuubi.frontend.spark.connect.ssl.certificate.path=/c", "kyuubi.frontend.spark.connect.ssl.key.path=/k"}
	with := func(lists ...[]string) (all []string) {
		for _, list := range lists {
			all = append(all, list...)
		}
		return all
	}
	for name, tc := range map[string]struct {
		changes []string
		faults  []string // pieces, one a fault; none for valid
	}{
		"defaults":                 {nil, nil},
		"loopback addresses":       {[]string{host + "localhost"}, nil},
		"loopback 6":               {[]string{host + "::1"}, nil},
		"loopback 127.9":           {[]string{host + "127.9.9.9"}, nil},
		"none, everywhere":         {[]string{host + "0.0.0.0"}, []string{"bind.host: without authentication anybody who reaches 0.0.0.0"}},
		"none, connect only":       {[]string{"kyuubi.frontend.spark.connect.bind.host=10.0.0.1"}, []string{"kyuubi.frontend.spark.connect.bind.host: without authentication"}},
		"none, rest only":          {[]string{"kyuubi.frontend.rest.bind.host=gw.example"}, []string{"kyuubi.frontend.rest.bind.host: without authentication"}},
		"none, connect off":        {[]string{"kyuubi.frontend.spark.connect.bind.host=10.0.0.1", "kyuubi.frontend.spark.connect.enabled=false"}, nil},
		"none, glass broken":       {[]string{host + "0.0.0.0", "kyuubi.authentication.none.allow.remote=true"}, nil},
		"token":                    {with(token), nil},
		"token, tls, everywhere":   {with(token, tls, []string{host + "0.0.0.0"}), nil},
		"token, clear, everywhere": {with(token, []string{host + "0.0.0.0"}), []string{"ssl.enabled: tokens would cross the network"}},
		"token without file":       {[]string{auth + "TOKEN"}, []string{"kyuubi.authentication.token.file: kyuubi.authentication is TOKEN"}},
		"a method of Kyuubi":       {[]string{auth + "KERBEROS"}, []string{"KERBEROS is a method of Kyuubi that this version does not have"}},
		"unknown method":           {[]string{auth + "MAGIC"}, []string{`unknown method "MAGIC"`}},
		"two bad methods":          {[]string{auth + "LDAP,MAGIC"}, []string{"LDAP is a method", "unknown method"}},
		"two methods":              {[]string{auth + "NONE,TOKEN"}, []string{`want exactly one of NONE and TOKEN, got "NONE,TOKEN"`}},
		"no method":                {[]string{auth}, []string{"want exactly one"}},
		"tls without files":        {tls[:1], []string{"certificate.path: ", "key.path: "}},
		"zookeeper":                {[]string{"kyuubi.ha.addresses=zk:2181"}, []string{"ZooKeeper discovery comes with a later version"}},
		"server local":             {[]string{"kyuubi.engine.share.level=SERVER_LOCAL"}, []string{"SERVER_LOCAL would tie an engine to one gateway"}},
		"group":                    {[]string{"kyuubi.engine.share.level=GROUP"}, []string{"GROUP is not built yet"}},
		"server, by a user":        {[]string{"___bob___.kyuubi.engine.share.level=SERVER"}, []string{"___bob___.kyuubi.engine.share.level: SERVER is not built yet"}},
		"connection":               {[]string{"kyuubi.engine.share.level=CONNECTION"}, nil},
		"same ports":               {[]string{"kyuubi.frontend.rest.bind.port=15002"}, []string{"port 15002 is also the REST port"}},
		"both ports free":          {[]string{"kyuubi.frontend.rest.bind.port=0", "kyuubi.frontend.spark.connect.bind.port=0"}, nil},
		"everything":               {with(tls[:1], []string{auth + "LDAP", "kyuubi.ha.addresses=x", "kyuubi.engine.share.level=GROUP"}), []string{"LDAP", "GROUP", "certificate", "key.path", "ZooKeeper"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(serving(tc.changes...))
			require.NoError(t, err)
			err = c.Validate()
			if tc.faults == nil {
				require.NoError(t, err)
				return
			}
			var faults Faults
			require.ErrorAs(t, err, &faults)
			require.Len(t, faults, len(tc.faults), "%v", err)
			for _, piece := range tc.faults {
				require.ErrorContains(t, err, piece)
			}
		})
	}
}

func TestValidateNamesTheLine(t *testing.T) {
	c, err := Load(LoadOptions{ConfDir: confDir(t, "\nkyuubi.ha.addresses=zk:2181\n")})
	require.NoError(t, err)
	require.ErrorContains(t, c.Validate(), DefaultsFile+":2: kyuubi.ha.addresses: ZooKeeper")
}
