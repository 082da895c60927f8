// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// outage is how long a client is cut off: ten minutes in a long run, longer
// than a Go client needs to notice in a short one.
func outage() time.Duration { return env.Duration(3*time.Second, 10*time.Minute) }

// breaks are the ways in which a client is cut off.
var breaks = map[string]func(*testing.T, *env.Link){
	"refused": func(t *testing.T, l *env.Link) { l.Refuse(t) },
	"dark":    func(_ *testing.T, l *env.Link) { l.Darken() },
}

// TestClientCutOffInAQuery: the query goes on without its client, which gets
// all rows when it is back.
func TestClientCutOffInAQuery(t *testing.T) {
	t.Parallel()
	for name, cut := range breaks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHops(t)
			c := env.NewSparkClient(t, h.client.Addr, "alice")
			sql, rows := slowRows(200, 20*time.Millisecond)
			check := &rowCheck{after: rows / 10}
			check.then = func() {
				cut(t, h.client)
				mend := time.AfterFunc(outage(), func() { h.client.Open(t) })
				t.Cleanup(func() { mend.Stop() })
			}
			story, err := c.Query(t.Context(), sql, check.add)
			require.NoError(t, err)
			require.Equal(t, rows, check.Rows)
			require.GreaterOrEqual(t, check.gap, outage())
			require.NotZero(t, story.Retried)
			require.Zero(t, story.Restarted, "the query ran once")
			t.Logf("all rows after %v without connection; %+v", check.gap.Round(time.Millisecond), story)
		})
	}
}

// TestPySparkCutOffInAQuery: the same with real PySpark and real Spark, whose
// administrator has listeners and interceptors of his own: they stay.
func TestPySparkCutOffInAQuery(t *testing.T) {
	t.Parallel()
	g := env.Start(t, map[string]string{
		"spark.extraListeners":                   "org.apache.spark.scheduler.StatsReportListener",
		"spark.connect.grpc.interceptor.classes": "org.apache.spark.sql.connect.service.LoggingInterceptor",
		"kyuubi.server.limit.engine.startup":     "1", // the start of a driver takes a whole machine
		// All streams reattach.
		"spark.connect.execute.reattachable.senderMaxStreamDuration": "1s",
		"spark.connect.execute.reattachable.senderMaxStreamSize":     "123",
	})
	t.Run("cut", func(t *testing.T) {
		t.Run("flaky", func(t *testing.T) {
			t.Parallel()
			link := env.NewLink(t, g.GRPC)
			pySparkFlaky(t, "sc://"+link.Addr+"/;user_id=alice", func() int {
				before := link.Cuts()
				link.Cut()
				return link.Cuts() - before
			})
		})
		if env.Long() {
			t.Run("flaky way to the engine", func(t *testing.T) {
				t.Parallel()
				flakyWayToSpark(t, g)
			})
		}
		for i, c := range pySparkCuts() {
			user := fmt.Sprintf("user%d", i) // each query has the cores of an engine to itself
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, g, user)
			})
		}
	})
	path := engineOf(t, g, "alice").Log
	env.Eventually(t, 30*time.Second, "the administrator's listeners have spoken", func() bool {
		log, _ := os.ReadFile(path)
		return strings.Contains(string(log), "StatsReportListener") && strings.Contains(string(log), "LoggingInterceptor")
	})
	env.Eventually(t, 10*time.Second, "no session is left", func() bool { return len(g.Sessions()) == 0 })
}

// engineOf is the engine of a user.
func engineOf(t *testing.T, g *env.Gateway, user string) env.Engine {
	t.Helper()
	all := slices.DeleteFunc(g.Engines(), func(e env.Engine) bool { return e.User != user })
	require.Len(t, all, 1)
	return all[0]
}

// pySparkCut is a way to cut PySpark off.
type pySparkCut struct {
	name   string
	begin  func(*testing.T, *env.Link, *env.Client)
	end    func(*testing.T, *env.Link, *env.Client)
	length time.Duration
	args   []string
}

// pySparkCuts are as long as PySpark bears them (README.md).
func pySparkCuts() []pySparkCut {
	refuse := func(t *testing.T, l *env.Link, _ *env.Client) { l.Refuse(t) }
	open := func(t *testing.T, l *env.Link, _ *env.Client) { l.Open(t) }
	cuts := []pySparkCut{
		{"refused, with a short redial", refuse, open, outage(), []string{"--redial", "3"}},
		{"refused", refuse, open, env.Duration(3*time.Second, 7*time.Minute), nil},
		{"asleep", func(t *testing.T, l *env.Link, c *env.Client) {
			c.Signal(syscall.SIGSTOP)
			l.Cut()
		}, func(_ *testing.T, _ *env.Link, c *env.Client) { c.Signal(syscall.SIGCONT) }, outage(), nil},
	}
	if env.Long() { // PySpark takes two minutes to notice
		darken := func(_ *testing.T, l *env.Link, _ *env.Client) { l.Darken() }
		stay := func(*testing.T, *env.Link, *env.Client) {}
		halfOpen := func(t *testing.T, l *env.Link, _ *env.Client) { l.HalfOpen(t) }
		cuts = append(cuts, pySparkCut{"dark", darken, open, 8 * time.Minute, nil}, pySparkCut{"half-open", halfOpen, stay, 10 * time.Second, nil})
	}
	return cuts
}

func (p pySparkCut) run(t *testing.T, g *env.Gateway, user string) {
	t.Helper()
	link := env.NewLink(t, g.GRPC)
	c := env.StartClient(t, "4.3", "cut_off.py", append(p.args, "--remote", "sc://"+link.Addr+"/;user_id="+user)...)
	c.Next("running", 6*time.Minute)
	p.begin(t, link, c)
	began := time.Now()
	over := time.NewTimer(p.length)
	defer over.Stop()
	<-over.C
	p.end(t, link, c)
	rows := c.Next("rows", 10*time.Minute)
	require.Equal(t, true, rows["complete"], rows)
	require.Greater(t, rows["longest"], (p.length - time.Second).Seconds(), "the cut hit the query")
	t.Logf("all rows %v after a cut of %v", time.Since(began).Round(time.Second), p.length)
	code, _ := c.Wait(time.Minute)
	require.Zero(t, code)
}

// pySparkFlaky runs a query while a way is reset every one to three seconds. cut
// says how many connections it has reset.
func pySparkFlaky(t *testing.T, remote string, cut func() int) {
	t.Helper()
	lasts := env.Duration(10*time.Second, 5*time.Minute)
	c := env.StartClient(t, "4.3", "cut_off.py", "--seconds", fmt.Sprint(lasts.Seconds()), "--remote", remote)
	c.Next("running", 6*time.Minute)
	ctx, stop := context.WithCancel(t.Context())
	cuts := 0
	var flapping sync.WaitGroup
	flapping.Go(func() { // waited for below
		env.Flap(ctx, rand.New(rand.NewPCG(1, 2)), time.Second, 3*time.Second, func() { cuts += cut() })
	})
	rows := c.Next("rows", lasts+5*time.Minute)
	stop()
	flapping.Wait()
	require.Equal(t, true, rows["complete"], rows)
	require.GreaterOrEqual(t, cuts, int(lasts/(5*time.Second)))
	t.Logf("all rows over a connection that was reset %d times, %v", cuts, rows)
	code, _ := c.Wait(time.Minute)
	require.Zero(t, code)
}

// flakyWayToSpark is pySparkFlaky on the engine's side. A driver registers and
// signs the port that it has, so no link can stand before it: the kernel resets
// the connections.
func flakyWayToSpark(t *testing.T, g *env.Gateway) {
	t.Helper()
	requireResets(t)
	bob := env.NewSparkClient(t, g.GRPC, "bob")
	require.NoError(t, bob.Version(t.Context()))
	port := engineOf(t, g, "bob").Attributes["sparkConnectPort"]
	pySparkFlaky(t, g.Remote("user_id=bob"), func() int { return reset(port) })
	require.NoError(t, bob.Release(t.Context()))
}

// reset resets all connections to a local port, and says how many. ss(8) is of
// iproute2.
func reset(port string) int {
	out, _ := exec.Command("ss", "-KHtn", "dst", "127.0.0.1", "dport", "=", port).Output()
	return strings.Count(string(out), "\n")
}

// requireResets skips the test where the kernel resets no connections.
func requireResets(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	c, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	reset(fmt.Sprint(listener.Addr().(*net.TCPAddr).Port))
	require.NoError(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
	if _, err = c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Skip("no connection is reset: `ss -K` needs root and a kernel with CONFIG_INET_DIAG_DESTROY")
	}
}
