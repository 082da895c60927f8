// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bait is a listener on all addresses of this machine that counts who comes.
type bait struct {
	port  int
	calls atomic.Int64
}

func newBait(t *testing.T) *bait {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	b := &bait{port: l.Addr().(*net.TCPAddr).Port}
	over := make(chan struct{})
	go func() { // the cleanup waits for it
		defer close(over)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b.calls.Add(1)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-over })
	return b
}

// places are addresses that an engine must not be taken at: other machines,
// metadata services, and names or spellings that could become one after the
// check.
func (b *bait) places() []string {
	all := []string{
		"169.254.169.254:%d", "[fd00:ec2::254]:%d", "[fe80::1]:%d", "0.0.0.0:%d", "[::]:%d", "localhost:%d", "localhost.:%d", "127.1:%d", "2130706433:%d",
		"0x7f000001:%d", "017700000001:%d", "127.0.0.1.example.org:%d", "evil@127.0.0.1:%d", "127.0.0.1@10.0.0.1:%d", "127.0.0.1%%00:%d", "//127.0.0.1:%d",
		"dns:///localhost:%d", "unix:/tmp/%d", "http://127.0.0.1:%d", "127.0.0.1:0%d/..", ":%d", "192.0.2.1:%d",
	}
	if own := ownAddress(); own != "" {
		all = append(all, own+":%d", "[::ffff:"+own+"]:%d")
	}
	for i, place := range all {
		all[i] = fmt.Sprintf(place, b.port)
	}
	return append(all, "127.0.0.1", "127.0.0.1:0", "127.0.0.1:-1", "127.0.0.1:65536", "127.0.0.1:http", "[::1]")
}

// ownAddress is an IPv4 address of this machine that is not loopback, or "".
func ownAddress() string {
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return n.IP.String()
		}
	}
	return ""
}

// TestEnginesElsewhereAreNeverDialled: an engine with the right key that
// registers an address off this machine's loopback is refused, and nobody
// connects to it.
func TestEnginesElsewhereAreNeverDialled(t *testing.T) {
	b := newBait(t)
	var tokens strings.Builder
	settings := map[string]string{}
	var users []string
	for i, place := range b.places() {
		for _, which := range []string{"address", "control"} {
			user := fmt.Sprintf("%s%d", which, i)
			users = append(users, user)
			fmt.Fprintf(&tokens, "token-of-the-user-%s %s\n", user, user)
			settings[fmt.Sprintf("___%s___.spark.fake.registered.%s", user, which)] = place
		}
	}
	fmt.Fprintf(&tokens, "%s root admin\ntoken-of-the-user-here here\n", rootToken)
	settings["___here___.spark.fake.registered.address"] = fmt.Sprintf("127.0.0.1:%d", b.port)
	file := filepath.Join(t.TempDir(), "more-tokens")
	require.NoError(t, os.WriteFile(file, []byte(tokens.String()), 0o600))
	settings["kyuubi.authentication.token.file"] = file
	h := start(t, settings)
	for _, user := range users {
		p := h.person(user, "token-of-the-user-"+user)
		_, err := p.send(p.context(t.Context()), "AnalyzePlan", [][]byte{analyze(t, anID)})
		require.Error(t, err, settings["___"+user+"___.spark.fake.registered.address"])
	}
	require.Zero(t, b.calls.Load(), "an engine elsewhere was dialled")
	require.Eventually(t, func() bool { return len(h.Engines()) == 0 }, 20*time.Second, 50*time.Millisecond, "refused engines end")

	p := h.person("here", "token-of-the-user-here")
	_, err := p.send(p.context(t.Context()), "AnalyzePlan", [][]byte{analyze(t, anID)})
	require.Error(t, err, "nothing useful listens there")
	require.Positive(t, b.calls.Load(), "the listener works: an engine on loopback is dialled")
}

const anID = "00112233-4455-6677-8899-aabbccddeeff"
