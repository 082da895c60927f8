// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConnectStrings(t *testing.T) {
	for text, want := range map[string]string{
		"zk1:2181,zk2:2182, zk3:2183": "zk1:2181,zk2:2182,zk3:2183",
		"zk1":                         "zk1:2181",
		"zk1/kyuubi":                  "zk1:2181/kyuubi",
		"zk1:1,zk2:2/apps/kyuubi":     "zk1:1,zk2:2/apps/kyuubi",
		"zk1:2181/":                   "zk1:2181",
		"[::1]:2181,[fe80::1]/x":      "[::1]:2181,[fe80::1]:2181/x",
		"10.0.0.1:02181":              "10.0.0.1:2181",
		"zk_1.example.org.:2181":      "zk_1.example.org.:2181",
		"":                            "",
	} {
		c, err := New(map[string]string{HAAddresses.Key: text})
		require.NoError(t, err, text)
		require.Equal(t, want, c.ZooKeeper().Connect(), text)
		require.Equal(t, want != "", c.Clustered())
	}
	for text, why := range map[string]string{
		"zk1:2181,": "is no server", ",zk1": "is no server", "/kyuubi": "is no server", "zk1:x": "is no server", "zk1:0": "is no server", "zk1:65536": "is no server",
		"::1:2181": "is no server", "fe80::1": "is no server", "[::1": "is no server", "::1]": "is no server", "[zk": "is no server", "zk:": "is no server", ":2181": "is no server",
		"zk 1:2181": "is no server", "zookeeper://zk1:2181": "is no path", "-zk": "is no server", "zk1:2181;zk2:2181": "is no server", "[]:1": "is no server",
		"zk1,zk1:2181": "is named twice", "zk1//x": "is no path", "zk1/x/": "is no path", "zk1/../x": "is no path", "zk1/a,zk2/a": "is no path", "zk1/a b": "is no path",
	} {
		_, err := New(map[string]string{HAAddresses.Key: text})
		require.ErrorContains(t, err, why, text)
	}
}

func FuzzConnectStrings(f *testing.F) {
	for _, seed := range []string{"zk1:2181,zk2:2182/kyuubi", "[::1]:2181", "a,b,c", "[::1%eth0]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addresses, chroot, err := splitConnect(text)
		if err != nil {
			return
		}
		again := ZooKeeper{Addresses: addresses, Chroot: chroot}.Connect()
		same, root, err := splitConnect(again)
		require.NoError(t, err)
		require.Equal(t, addresses, same)
		require.Equal(t, chroot, root)
		require.NotContains(t, again, " ")
	})
}

func TestZooKeeper(t *testing.T) {
	c, err := New(map[string]string{
		HAAddresses.Key: "zk:2281", HANamespace.Key: "roundhouse", HAZooKeeperDigest.Key: "u:p", HAZooKeeperConnectTimeout.Key: "PT5S",
		HAZooKeeperTLS.Key: "true", HAZooKeeperCA.Key: "/ca",
	})
	require.NoError(t, err)
	z := c.ZooKeeper()
	require.Equal(t, "/ca", z.TLS.Authorities)
	z.TLS = nil
	require.Equal(t, ZooKeeper{Addresses: []string{"zk:2281"}, Namespace: "roundhouse", Digest: "u:p", ConnectTimeout: 5 * time.Second, SessionTimeout: time.Minute}, z)
}

func TestOtherDiscoveryIsRefused(t *testing.T) {
	_, err := New(map[string]string{HAClientClass.Key: etcdClient})
	require.ErrorContains(t, err, "etcd is not built")
	_, err = New(map[string]string{HAClientClass.Key: "org.example.Mine"})
	require.ErrorContains(t, err, "cannot be loaded")
	_, err = New(map[string]string{HAClientClass.Key: zookeeperClient, SessionGroupProvider.Key: "Hadoop"})
	require.NoError(t, err)
	_, err = New(map[string]string{SessionGroupProvider.Key: "org.example.Groups"})
	require.ErrorContains(t, err, StaticGroupsKey)
}

// A lone gateway makes its secret; several need the same one.
func TestSeveralGatewaysNeedTheirSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	c, err := New(map[string]string{ServerClusterSecretFile.Key: path})
	require.NoError(t, err)
	require.Empty(t, checkSecretFiles(c, nil))
	c, err = New(map[string]string{ServerClusterSecretFile.Key: path, HAAddresses.Key: "zk"})
	require.NoError(t, err)
	require.ErrorContains(t, checkSecretFiles(c, nil), "openssl rand -hex 32 > "+path)
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("ab", 32)), 0o600))
	require.Empty(t, checkSecretFiles(c, nil))
}

func TestRemarks(t *testing.T) {
	for name, tc := range map[string]struct {
		settings []string
		want     []string
	}{
		"nothing":           {nil, nil},
		"apart":             {[]string{"kyuubi.engine.share.level=CONNECTION", "kyuubi.session.engine.idle.timeout=PT1H"}, nil},
		"as the owner":      {[]string{"kyuubi.engine.doAs.enabled=TRUE"}, []string{"kyuubi.engine.doAs.enabled: true: there is no impersonation yet"}},
		"groups":            {[]string{"kyuubi.engine.share.level=group"}, []string{"kyuubi.engine.share.level: GROUP: the users of a group share one driver"}},
		"all, for a user":   {[]string{"___bob___.kyuubi.engine.share.level=SERVER"}, []string{"___bob___.kyuubi.engine.share.level: SERVER: all users share one driver"}},
		"as the gateway":    {[]string{"kyuubi.engine.doAs.enabled=false"}, []string{"kyuubi.engine.doAs.enabled: false: there is no impersonation yet: all drivers run as the gateway's user"}},
		"a near ZooKeeper":  {[]string{"kyuubi.ha.addresses=localhost:2181,[::1]:2182,127.0.0.1"}, nil},
		"a far ZooKeeper":   {[]string{"kyuubi.ha.addresses=localhost:2181,zk:2182"}, []string{"kyuubi.ha.zookeeper.ssl.enabled: false: who reads the network"}},
		"a ZooKeeper, safe": {[]string{"kyuubi.ha.addresses=zk:2182", "kyuubi.ha.zookeeper.ssl.enabled=true"}, nil},
	} {
		c, err := New(serving(tc.settings...))
		require.NoError(t, err)
		said := c.Warnings()
		require.Len(t, said, len(tc.want), name)
		for i, want := range tc.want {
			require.Contains(t, said[i], want, name)
		}
	}
}
