// SPDX-License-Identifier: Apache-2.0

package env

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// zooPatience is how long an ensemble may take to serve, on a busy machine.
const zooPatience = time.Minute

// zooConf is the zoo.cfg: data folder and client port. A tick is a fifth of a second, so a
// session may time out after 400 ms.
const zooConf = `tickTime=200
initLimit=100
syncLimit=15
minSessionTimeout=400
maxSessionTimeout=120000
maxClientCnxns=0
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=ruok,srvr,wchs,mntr,cons
dataDir=%s
clientPort=%d
`

// zooTLS are the lines of a server that also speaks TLS: its port and a file with
// the key and the certificate.
const zooTLS = `serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory
secureClientPort=%d
secureClientPortAddress=127.0.0.1
ssl.clientAuth=none
ssl.keyStore.type=PEM
ssl.keyStore.location=%s
`

// ZooKeeper is an ensemble of real servers on this machine, whose data is in folders
// of the test.
type ZooKeeper struct {
	// Secure is the host:port of the TLS port of a StartSecureZooKeeper, CA the PEM file of
	// the certificate to trust.
	Secure, CA string

	t     testing.TB
	nodes []*zooNode
}

type zooNode struct {
	dir, address string
	cmd          *exec.Cmd
	over         chan struct{}
}

// StartZooKeeper starts an ensemble of 1 or 3 servers, from the jars of SparkHome, and waits
// until it serves. It ends with the test. Without Spark the test is skipped.
func StartZooKeeper(t testing.TB, nodes int) *ZooKeeper {
	t.Helper()
	return startZooKeeper(t, nodes, "")
}

// StartSecureZooKeeper starts one server that also has a port for TLS.
func StartSecureZooKeeper(t testing.TB) *ZooKeeper {
	t.Helper()
	certificate, key := Certificate(t)
	both, err := os.ReadFile(key)
	require.NoError(t, err)
	text, err := os.ReadFile(certificate)
	require.NoError(t, err)
	pair := filepath.Join(t.TempDir(), "pair.pem")
	require.NoError(t, os.WriteFile(pair, append(both, text...), 0o600))
	port := FreePort(t)
	z := startZooKeeper(t, 1, fmt.Sprintf(zooTLS, port, pair))
	z.Secure, z.CA = fmt.Sprintf("127.0.0.1:%d", port), certificate
	return z
}

func startZooKeeper(t testing.TB, nodes int, more string) *ZooKeeper {
	t.Helper()
	z := &ZooKeeper{t: t}
	ports := differentPorts(t, 3*nodes)
	for i := range nodes {
		if nodes > 1 {
			more += fmt.Sprintf("server.%d=127.0.0.1:%d:%d\n", i+1, ports[nodes+i], ports[2*nodes+i])
		}
		z.nodes = append(z.nodes, &zooNode{dir: t.TempDir(), address: fmt.Sprintf("127.0.0.1:%d", ports[i])})
	}
	for i, n := range z.nodes {
		conf := fmt.Sprintf(zooConf, n.dir, ports[i]) + more
		require.NoError(t, os.WriteFile(n.path("zoo.cfg"), []byte(conf), 0o600))
		require.NoError(t, os.WriteFile(n.path("myid"), fmt.Appendln(nil, i+1), 0o600))
		z.start(i)
		t.Cleanup(func() { z.end(i) })
	}
	z.AwaitServing(zooPatience)
	return z
}

func differentPorts(t testing.TB, count int) (ports []int) {
	t.Helper()
	for len(ports) < count {
		if port := FreePort(t); !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports
}

func (n *zooNode) path(name string) string { return filepath.Join(n.dir, name) }

func (z *ZooKeeper) start(i int) {
	z.t.Helper()
	n := z.nodes[i]
	log, err := os.OpenFile(n.path("server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(z.t, err)
	defer log.Close()
	n.cmd = exec.Command("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.forceSync=no",
		"-Dznode.container.checkIntervalMs=500", // else once a minute
		"-Dorg.apache.logging.log4j.level=INFO", "-cp", filepath.Join(SparkHome(z.t), "jars", "*"),
		"org.apache.zookeeper.server.quorum.QuorumPeerMain", n.path("zoo.cfg"))
	n.cmd.Stdout, n.cmd.Stderr = log, log
	require.NoError(z.t, n.cmd.Start())
	over, cmd := make(chan struct{}), n.cmd
	n.over = over
	go func() { _ = cmd.Wait(); close(over) }() // end waits for it
}

func (z *ZooKeeper) end(i int) {
	n := z.nodes[i]
	_ = n.cmd.Process.Kill() // stopped ones too
	<-n.over
}

// AwaitServing waits until all servers serve, and shows their logs if they do not.
func (z *ZooKeeper) AwaitServing(within time.Duration) {
	z.t.Helper()
	deadline := time.Now().Add(within)
	for i := range z.nodes {
		served := func() bool { return strings.Contains(z.Ask(i, "srvr"), "Mode: ") }
		for !served() {
			if time.Now().After(deadline) {
				z.fail(i)
			}
			select {
			case <-z.nodes[i].over:
				z.fail(i)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

func (z *ZooKeeper) fail(i int) {
	z.t.Helper()
	log, _ := os.ReadFile(z.nodes[i].path("server.log"))
	require.FailNow(z.t, "ZooKeeper does not serve", "server %d:\n%s", i, tail(string(log), 40))
}

// Addresses is the connect string of all servers.
func (z *ZooKeeper) Addresses() string {
	var all []string
	for _, n := range z.nodes {
		all = append(all, n.address)
	}
	return strings.Join(all, ",")
}

// Address is the host:port of one server.
func (z *ZooKeeper) Address(i int) string { return z.nodes[i].address }

// Freeze stops a server (SIGSTOP): its connections stay open, and nothing answers.
func (z *ZooKeeper) Freeze(i int) {
	z.t.Helper()
	Freeze(z.t, z.nodes[i].cmd.Process.Pid)
}

// Thaw lets it go on.
func (z *ZooKeeper) Thaw(i int) {
	z.t.Helper()
	require.NoError(z.t, z.nodes[i].cmd.Process.Signal(syscall.SIGCONT))
}

// Kill ends a server at once (SIGKILL). Its data stays.
func (z *ZooKeeper) Kill(i int) { z.end(i) }

// Restart starts a killed server again, with its data, and does not wait for it.
func (z *ZooKeeper) Restart(i int) {
	z.t.Helper()
	z.start(i)
}

// LoseData removes what a killed server has stored.
func (z *ZooKeeper) LoseData(i int) {
	z.t.Helper()
	require.NoError(z.t, os.RemoveAll(z.nodes[i].path("version-2")))
}

// Leader is the number of the server that leads; that of the only one is 0.
func (z *ZooKeeper) Leader() int {
	z.t.Helper()
	for i := range z.nodes {
		if answer := z.Ask(i, "srvr"); strings.Contains(answer, "Mode: leader") || strings.Contains(answer, "Mode: standalone") {
			return i
		}
	}
	require.FailNow(z.t, "no ZooKeeper server leads")
	return 0
}

// Ask sends one of the four-letter words ruok, srvr, wchs, mntr, cons; "" if there is no answer
// within a second.
func (z *ZooKeeper) Ask(i int, word string) string {
	c, err := net.DialTimeout("tcp", z.nodes[i].address, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	if err := errors.Join(c.SetDeadline(time.Now().Add(time.Second)), send(c, word)); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(bufio.NewReader(c))
	return string(answer)
}

func send(w io.Writer, word string) error {
	_, err := io.WriteString(w, word)
	return err
}
