// SPDX-License-Identifier: Apache-2.0

package groups

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/internal/recall"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStaticMappingComesFirst(t *testing.T) {
	p, err := New("alice=analysts,staff; bob = staff ;dr.who=;")
	require.NoError(t, err)
	p.system.Ask = func(_ context.Context, user string) ([]string, error) { return []string{"system-of-" + user}, nil }
	for user, group := range map[string]string{"alice": "analysts", "bob": "staff", "dr.who": "dr.who", "eve": "system-of-eve"} {
		require.Equal(t, group, primary(t, p, user))
	}
	for user, want := range map[string][]string{"alice": {"analysts", "staff"}, "dr.who": nil, "eve": {"system-of-eve"}} {
		all, err := p.All(t.Context(), user)
		require.NoError(t, err)
		require.ElementsMatch(t, want, all, "a user without groups has none, whatever the primary one is called")
	}
}

func TestUserWithoutGroupsIsAGroup(t *testing.T) {
	p, err := New("")
	require.NoError(t, err)
	require.Equal(t, "no-such-user-here", primary(t, p, "no-such-user-here"))
}

func TestMappingThatCannotBeRead(t *testing.T) {
	for _, text := range []string{"alice", "=staff", "alice=a=b"} {
		_, err := New(text)
		require.ErrorContains(t, err, "user=group", text)
	}
}

func TestAnswerThatNobodyWaitedForIsNoAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := fromSystem(ctx, "root")
	require.ErrorContains(t, err, "did not answer")
}

// primary is the group of a user, who has one.
func primary(t *testing.T, p *Provider, user string) string {
	t.Helper()
	group, err := p.Primary(t.Context(), user)
	require.NoError(t, err)
	return group
}

// TestLastAnswerHolds while the system is silent or knows the user no more, but
// not for ever; nobody is in a group by guess.
func TestLastAnswerHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New("")
		require.NoError(t, err)
		silent := errors.New("silent")
		var fault error
		p.system.Ask = func(context.Context, string) ([]string, error) { return []string{"staff"}, fault }
		require.Equal(t, "staff", primary(t, p, "alice"))
		for _, fault = range []error{silent, errNoUser} {
			time.Sleep(keep)
			require.Equal(t, "staff", primary(t, p, "alice"))
		}
		fault = silent
		_, err = p.Primary(t.Context(), "bob")
		require.ErrorIs(t, err, silent)
		fault = errNoUser
		time.Sleep(recall.Again)
		require.Equal(t, "bob", primary(t, p, "bob"))
		time.Sleep(hold)
		require.Equal(t, "alice", primary(t, p, "alice"))
	})
}

// TestWhatTheSystemSays tells a user whom nobody knows from one about whom nobody
// can tell.
func TestWhatTheSystemSays(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		want   []string
		err    string
	}{
		"groups":              {`printf 'staff\0Domain Guests\0'`, []string{"staff", "Domain Guests"}, ""},
		"nobody":              {`echo "id: 'x': no such user" >&2; exit 1`, nil, "there is no such user"},
		"a service away":      {`echo "id: 'x': no such user: Connection refused" >&2; exit 1`, nil, "Connection refused"},
		"away, a line before": {`echo "nss: cannot reach the directory" >&2; echo "id: 'x': no such user" >&2; exit 1`, nil, "cannot reach the directory"},
		"a nameless group":    {`printf 'staff\0004711\0'; echo "id: cannot find name for group ID 4711" >&2; exit 1`, []string{"staff", "4711"}, ""},
		"a list that is cut":  {`printf 'staff\0'; echo "id: failed to get groups for user 'x'" >&2; exit 1`, nil, "failed to get groups"},
		"half, and no reason": {`printf 'staff\0'; exit 1`, nil, "did not answer"},
		"another program":     {`echo "usage: id" >&2; exit 1`, nil, "usage"},
		"no word":             {`exit 1`, nil, "did not answer"},
		"another language":    {`[ "$LC_ALL" = C ] && printf 'staff\0'`, []string{"staff"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, program), []byte("#!/bin/sh\n"+c.script+"\n"), 0o700))
			t.Setenv("PATH", dir)
			got, err := fromSystem(t.Context(), "x")
			require.Equal(t, c.want, got)
			if c.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.err)
			require.Equal(t, name == "nobody", errors.Is(err, errNoUser))
		})
	}
}

// TestSystem asks the real one for the user of the test.
func TestSystem(t *testing.T) {
	own, err := user.Current()
	require.NoError(t, err)
	want, err := exec.Command("id", "-gn").Output()
	require.NoError(t, err)
	p, err := New("")
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(want)), primary(t, p, own.Username))
	require.NoError(t, CheckSystem())
	t.Setenv("PATH", "")
	require.ErrorContains(t, CheckSystem(), "cannot be found out")
	_, err = fromSystem(t.Context(), own.Username)
	require.Error(t, err, "no program, no answer")
}
