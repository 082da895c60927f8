// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// lending is a pool over plain connections until the end of the test.
func lending(t *testing.T, timeout time.Duration, connections int, servers ...string) *pool {
	t.Helper()
	p, err := newPool(Servers{URLs: servers, Connections: connections}, timeout)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { // waited for by the cleanup
		defer close(over)
		p.run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-over })
	return p
}

// bind asks the directory something.
func bind(c *conn) error { return c.Bind(env.LDAPService, env.LDAPServicePassword) }

// atOnce does the same thing several times at the same time.
func atOnce(n int, do func() error) []error {
	all, faults := sync.WaitGroup{}, make([]error, n)
	for i := range n {
		all.Go(func() { faults[i] = do() })
	}
	all.Wait()
	return faults
}

// TestSlowDirectory: waiting for a turn takes nothing of one's time, and who gets
// none in time says nothing about the directory.
func TestSlowDirectory(t *testing.T) {
	p := lending(t, 2*time.Second, 2, "ldap://"+env.StartSlapd(t).Plain)
	good := 0
	for _, err := range atOnce(12, func() error {
		return p.do(func(c *conn) error {
			<-time.After(550 * time.Millisecond) // the fourth pair begins in time and ends after it
			return bind(c)
		})
	}) {
		if err == nil {
			good++
			continue
		}
		require.ErrorContains(t, err, "all 2 connections to the directory are busy")
	}
	require.GreaterOrEqual(t, good, 6)
	require.NoError(t, p.fault)
	require.Len(t, p.idle, 2)
}

// TestSilentServer: several who fail at one server at once move on from it once.
func TestSilentServer(t *testing.T) {
	s := env.StartSlapd(t)
	dark := env.NewLink(t, s.Plain)
	dark.Darken()
	p := lending(t, 500*time.Millisecond, 4, "ldap://"+dark.Addr, "ldap://"+s.Plain)
	for _, err := range atOnce(4, func() error { return p.do(bind) }) {
		require.Error(t, err)
	}
	require.Equal(t, 1, p.first)
	require.ErrorContains(t, p.do(bind), "a moment ago")
	require.Eventually(t, func() bool { return p.do(bind) == nil }, 5*time.Second, 20*time.Millisecond)
	for _, err := range atOnce(20, func() error { return p.do(bind) }) {
		require.NoError(t, err)
	}
}

// TestDeadConnections: those that a router forgot cost half of one login's time, not
// all of several.
func TestDeadConnections(t *testing.T) {
	link := env.NewLink(t, env.StartSlapd(t).Plain)
	p := lending(t, 2*time.Second, 3, "ldap://"+link.Addr)
	var together sync.WaitGroup
	together.Add(3)
	for _, err := range atOnce(3, func() error {
		return p.do(func(c *conn) error {
			together.Done()
			together.Wait()
			return bind(c)
		})
	}) {
		require.NoError(t, err)
	}
	link.HalfOpen(t)
	for _, c := range p.idle {
		c.used = c.used.Add(-2 * pause)
	}
	started := time.Now()
	for range 4 {
		require.NoError(t, p.do(bind))
	}
	require.Less(t, time.Since(started), p.timeout)
	require.Len(t, p.idle, 1)
}

// TestSlowAfterIdle: a directory that needs more than half of the timeout is no dead
// connection, and the login after a pause does as well as one without.
func TestSlowAfterIdle(t *testing.T) {
	p := lending(t, 2*time.Second, 1, "ldap://"+env.StartSlapd(t).Plain)
	for range 2 {
		require.NoError(t, p.do(func(c *conn) error {
			<-time.After(p.timeout * 6 / 10)
			return bind(c)
		}))
		require.NoError(t, p.fault)
		require.Len(t, p.idle, 1)
		p.idle[0].used = p.idle[0].used.Add(-2 * pause)
	}
}

// TestServerThatTakesAllTheTime of a login, or nearly all, before there is a connection
// has not the next login, too. One that had no time for it has.
func TestServerThatTakesAllTheTime(t *testing.T) {
	s := env.StartSlapd(t)
	for name, timeout := range map[string]time.Duration{"all": 1500 * time.Millisecond, "nearly all": dialTimeout + 200*time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := env.NewLink(t, s.Secure), env.NewLink(t, s.Secure)
			first.Darken()
			second.Darken()
			p := lending(t, timeout, 1, "ldaps://"+first.Addr, "ldaps://"+second.Addr)
			p.caFile = s.CA
			require.ErrorIs(t, p.do(bind), errNoServer)
			require.Equal(t, 1, p.first)
			second.Open(t)
			<-time.After(pause)
			require.NoError(t, p.do(bind))
		})
	}
}

// TestAccountThatIsRefused: the directory is not asked again and again.
func TestAccountThatIsRefused(t *testing.T) {
	s := env.StartSlapd(t)
	p := lending(t, 5*time.Second, 4, "ldap://"+s.Plain)
	rules := &Rules{BindDN: env.LDAPService, BindPassword: "old", BaseDN: env.LDAPBase}
	started := time.Now()
	for range 10 {
		for _, err := range atOnce(10, func() error {
			return p.do(func(c *conn) error {
				_, err := rules.verify(c, "alice", "x")
				return err
			})
		}) {
			require.ErrorIs(t, err, errAccount)
		}
	}
	most := 4 + int(time.Since(started)/pause)
	require.LessOrEqual(t, strings.Count(s.Log(), fmt.Sprintf("BIND dn=%q method", env.LDAPService)), most)
}

// TestCutLists: a part of the groups never passes for all of them, and two entries
// are enough to be ambiguous.
func TestCutLists(t *testing.T) {
	p := lending(t, 5*time.Second, 1, "ldap://"+env.StartSlapd(t).Plain)
	require.NoError(t, p.do(func(c *conn) error {
		require.NoError(t, bind(c))
		d, groups := &directory{Rules: &Rules{}, conn: c}, "(objectClass=groupOfNames)"
		found, err := d.search(d.request(env.LDAPBase, 3, groups, noAttributes))
		require.NoError(t, err)
		require.Len(t, found, 3)
		found, err = d.search(d.request(env.LDAPBase, 2, groups, noAttributes))
		require.ErrorContains(t, err, "Size Limit Exceeded")
		require.ErrorIs(t, err, errCut)
		require.False(t, broken(err))
		require.Len(t, found, 2)
		found, err = d.find([]string{env.LDAPBase}, groups)
		require.NoError(t, err)
		require.Len(t, found, 2)
		return nil
	}))
}
