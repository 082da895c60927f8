// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
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
		// All streams reattach.
		"spark.connect.execute.reattachable.senderMaxStreamDuration": "1s",
		"spark.connect.execute.reattachable.senderMaxStreamSize":     "123",
	})
	t.Run("cut", func(t *testing.T) {
		t.Run("flaky", func(t *testing.T) {
			t.Parallel()
			pySparkFlaky(t, g)
		})
		for _, c := range pySparkCuts() {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, g)
			})
		}
	})
	eventually(t, 30*time.Second, "the administrator's listeners have spoken", func() bool {
		log, _ := os.ReadFile(oneEngine(t, g).Log)
		return strings.Contains(string(log), "StatsReportListener") && strings.Contains(string(log), "LoggingInterceptor")
	})
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
		cuts = append(cuts, pySparkCut{"dark", darken, open, 8 * time.Minute, nil})
	}
	return cuts
}

func (p pySparkCut) run(t *testing.T, g *env.Gateway) {
	t.Helper()
	link := env.NewLink(t, g.GRPC)
	c := env.StartClient(t, "4.3", "cut_off.py", append(p.args, "--remote", "sc://"+link.Addr+"/;user_id=alice")...)
	c.Next("running", 6*time.Minute)
	p.begin(t, link, c)
	began := time.Now()
	over := time.NewTimer(p.length)
	defer over.Stop()
	<-over.C
	p.end(t, link, c)
	rows := c.Next("rows", 10*time.Minute)
	require.Equal(t, true, rows["complete"], rows)
	t.Logf("all rows %v after a cut of %v", time.Since(began).Round(time.Second), p.length)
	code, _ := c.Wait(time.Minute)
	require.Zero(t, code)
}

// pySparkFlaky runs a query while the connection is reset every one to three seconds.
func pySparkFlaky(t *testing.T, g *env.Gateway) {
	t.Helper()
	link := env.NewLink(t, g.GRPC)
	lasts := env.Duration(10*time.Second, 5*time.Minute)
	c := env.StartClient(t, "4.3", "cut_off.py", "--seconds", fmt.Sprint(lasts.Seconds()), "--remote", "sc://"+link.Addr+"/;user_id=alice")
	c.Next("running", 6*time.Minute)
	ctx, stop := context.WithCancel(t.Context())
	var flapping sync.WaitGroup
	flapping.Go(func() { link.Flap(ctx, rand.New(rand.NewPCG(1, 2)), time.Second, 3*time.Second) }) // waited for below
	rows := c.Next("rows", lasts+5*time.Minute)
	stop()
	flapping.Wait()
	require.Equal(t, true, rows["complete"], rows)
	require.Greater(t, link.Cuts(), 1)
	t.Logf("all rows over a connection that was reset %d times", link.Cuts())
	code, _ := c.Wait(time.Minute)
	require.Zero(t, code)
}
