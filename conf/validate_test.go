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
	both := []string{tls[0], "kyuubi.frontend.rest.ssl.enabled=true", "kyuubi.frontend.ssl.certificate.path=/c", "kyuubi.frontend.ssl.key.path=/k"}
	keystore := []string{tls[0], "kyuubi.frontend.ssl.keystore.path=/s", "kyuubi.frontend.ssl.keystore.password=secret"}
	kerberos := []string{auth + "KERBEROS", "kyuubi.spnego.principal=HTTP/h@R", "kyuubi.spnego.keytab=/k"}
	const asked, ca = "kyuubi.frontend.spark.connect.ssl.client.auth=", "kyuubi.frontend.ssl.client.ca.path=/ca"
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
		"token, tls, everywhere":   {with(token, both, []string{host + "0.0.0.0"}), nil},
		"token, clear REST":        {with(token, tls, []string{host + "0.0.0.0"}), []string{"rest.ssl.enabled: credentials would cross the network"}},
		"token, clear, everywhere": {with(token, []string{host + "0.0.0.0"}), []string{"connect.ssl.enabled: credentials would cross", "rest.ssl.enabled: credentials would cross the network"}},
		"tokens that slide back":   {[]string{auth + "TOKEN", "kyuubi.authentication.token.lifetime=P8D"}, []string{"kyuubi.authentication.token.slide.max: tokens are good for 192h"}},
		"a method of Kyuubi":       {[]string{auth + "JDBC"}, []string{"JDBC is a method of Kyuubi that this version does not have"}},
		"unknown method":           {[]string{auth + "MAGIC"}, []string{`unknown method "MAGIC"`}},
		"two bad methods":          {[]string{auth + "JDBC,MAGIC"}, []string{"JDBC is a method", "unknown method"}},
		"two methods":              {[]string{auth + "NONE,TOKEN"}, []string{`NONE lets everybody in`}},
		"no method":                {[]string{auth}, []string{"it names no method"}},
		"tls without files":        {tls[:1], []string{"certificate.path: ", "key.path: "}},
		"tls of both, no files":    {both[:2], []string{"spark.connect.ssl.certificate.path: ", "spark.connect.ssl.key.path: ", "rest.ssl.certificate.path: ", "rest.ssl.key.path: "}},
		"tls, one missing":         {both[:3], []string{"kyuubi.frontend.ssl.key.path: "}},
		"keystore":                 {keystore, nil},
		"keystore, no password":    {keystore[:2], []string{"keystore.password: the keystore /s needs its password"}},
		"keystore and files":       {append(both, keystore[1:]...), []string{"remove one or the other"}},
		"keystore of another port": {append(tls, keystore[1]), nil},
		"certificates":             {with(both, []string{auth + "CERTIFICATE", asked + "REQUIRED", ca}), nil},
		"certificates, not asked":  {with(both, []string{auth + "CERTIFICATE"}), []string{"client.auth: the method CERTIFICATE of kyuubi.authentication needs ports that ask"}},
		"certificates, REST alone": {with(both, []string{auth + "CERTIFICATE", "kyuubi.frontend.rest.ssl.client.auth=OPTIONAL", ca}), []string{"so nobody could connect"}},
		"certificates, no CA":      {with(both, []string{auth + "CERTIFICATE", asked + "OPTIONAL"}), []string{"kyuubi.frontend.ssl.client.ca.path: "}},
		"kerberos":                 {kerberos, nil},
		"kerberos, nothing said":   {kerberos[:1], []string{"kyuubi.spnego.principal: the method KERBEROS", "kyuubi.spnego.keytab: the method KERBEROS"}},
		"kerberos, not HTTP":       {with(kerberos, []string{"kyuubi.spnego.principal=hive/h@R"}), []string{"does not begin with HTTP/"}},
		"kerberos, no realm":       {with(kerberos, []string{"kyuubi.spnego.principal=HTTP/h"}), []string{"is no service with a host and a realm"}},
		"kerberos, wildcard":       {with(kerberos, []string{"kyuubi.spnego.principal=HTTP/_HOST@R"}), []string{"_HOST is not replaced"}},
		"kerberos, MIT's rules":    {with(kerberos, []string{"hadoop.security.auth_to_local.mechanism=mit"}), []string{"only hadoop is understood"}},
		"kerberos, Hadoop's rules": {with(kerberos, []string{"hadoop.security.auth_to_local.mechanism=Hadoop", "hadoop.security.auth_to_local=DEFAULT"}), nil},
		"refused administrator":    {with(token, []string{"kyuubi.server.administrators=alice,HDFS"}), []string{"HDFS is an account of the system"}},
		"none, that administrator": {[]string{"kyuubi.server.administrators=hdfs"}, nil},
		"refused, but not here":    {with(token, []string{"kyuubi.server.administrators=hdfs", "kyuubi.authentication.refused.users=root"}), nil},
		"certificates, no TLS":     {[]string{auth + "CERTIFICATE", asked + "OPTIONAL", ca}, []string{"clients can show certificates over TLS only"}},
		"zookeeper":                {[]string{"kyuubi.ha.addresses=zk:2181"}, nil},
		"zookeeper, kerberos":      {[]string{"kyuubi.ha.addresses=zk", "kyuubi.ha.zookeeper.auth.type=kerberos", "kyuubi.ha.zookeeper.engine.auth.type=KERBEROS"}, []string{"zookeeper.auth.type: the client of ZooKeeper", "engine.auth.type: the client of ZooKeeper"}},
		"zookeeper, no digest":     {[]string{"kyuubi.ha.addresses=zk", "kyuubi.ha.zookeeper.auth.type=DIGEST"}, []string{"auth.digest: kyuubi.ha.zookeeper.auth.type is DIGEST"}},
		"zookeeper, digest of one": {[]string{"kyuubi.ha.addresses=zk", "kyuubi.ha.zookeeper.auth.digest=hunter2"}, []string{"it is not of the form user:password"}},
		"zookeeper, digest":        {[]string{"kyuubi.ha.addresses=zk", "kyuubi.ha.zookeeper.auth.type=DIGEST", "kyuubi.ha.zookeeper.auth.digest=u:p"}, nil},
		"zookeeper, in a hurry":    {[]string{"kyuubi.ha.addresses=zk", "kyuubi.ha.zookeeper.session.timeout=500"}, []string{"any pause would be taken for the end"}},
		"zookeeper, unused TLS":    {[]string{"kyuubi.ha.addresses=zk", "kyuubi.ha.zookeeper.ssl.ca.path=/ca"}, []string{"would be in clear text"}},
		"zookeeper, half a pair":   {[]string{"kyuubi.ha.addresses=zk", "kyuubi.ha.zookeeper.ssl.enabled=true", "kyuubi.ha.zookeeper.ssl.client.certificate.path=/c"}, []string{"client.key.path: "}},
		"zookeeper, other half":    {[]string{"kyuubi.ha.addresses=zk", "kyuubi.ha.zookeeper.ssl.enabled=true", "kyuubi.ha.zookeeper.ssl.client.key.path=/k"}, []string{"client.certificate.path: "}},
		"no zookeeper, kerberos":   {[]string{"kyuubi.ha.zookeeper.auth.type=KERBEROS"}, nil},
		"server local":             {[]string{"kyuubi.engine.share.level=SERVER_LOCAL"}, []string{"SERVER_LOCAL would tie an engine to one gateway"}},
		"server local, by a user":  {[]string{"___bob___.kyuubi.engine.share.level=SERVER_LOCAL"}, []string{"___bob___.kyuubi.engine.share.level: SERVER_LOCAL would tie"}},
		"group":                    {[]string{"kyuubi.engine.share.level=GROUP"}, nil},
		"server":                   {[]string{"kyuubi.engine.share.level=SERVER", "kyuubi.engine.doAs.enabled=false"}, nil},
		"connection":               {[]string{"kyuubi.engine.share.level=CONNECTION"}, nil},
		"same ports":               {[]string{"kyuubi.frontend.rest.bind.port=15002"}, []string{"port 15002 is also the REST port"}},
		"both ports free":          {[]string{"kyuubi.frontend.rest.bind.port=0", "kyuubi.frontend.spark.connect.bind.port=0"}, nil},
		"everything":               {with(tls[:1], []string{auth + "LDAP", "kyuubi.ha.addresses=x", "kyuubi.ha.zookeeper.auth.type=KERBEROS", "kyuubi.engine.share.level=SERVER_LOCAL"}), []string{"LDAP", "SERVER_LOCAL", "certificate", "key.path", "ZooKeeper"}},
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
	c, err := Load(LoadOptions{ConfDir: confDir(t, "\nkyuubi.engine.share.level=SERVER_LOCAL\n")})
	require.NoError(t, err)
	require.ErrorContains(t, c.Validate(), DefaultsFile+":2: kyuubi.engine.share.level: SERVER_LOCAL")
}
