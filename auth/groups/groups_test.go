// SPDX-License-Identifier: Apache-2.0

package groups

import (
	"context"
	"errors"
	"os/exec"
	"os/user"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStaticMappingComesFirst(t *testing.T) {
	p, err := New("alice=analysts,staff; bob = staff ;dr.who=;")
	require.NoError(t, err)
	p.lookup = func(_ context.Context, user string) ([]string, error) { return []string{"system-of-" + user}, nil }
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

func TestSystemIsAskedAgainAfterAWhile(t *testing.T) {
	p, err := New("")
	require.NoError(t, err)
	asked, now, silent := 0, time.Now(), errors.New("silent")
	var fault error
	p.lookup = func(context.Context, string) ([]string, error) { asked++; return []string{"staff"}, fault }
	p.now = func() time.Time { return now }
	for range 3 {
		require.Equal(t, "staff", primary(t, p, "alice"))
	}
	require.Equal(t, 1, asked)
	now = now.Add(keep)
	fault = silent
	for range 3 {
		require.Equal(t, "staff", primary(t, p, "alice"), "the last answer holds while there is no other")
		_, err = p.Primary(t.Context(), "bob")
		require.ErrorIs(t, err, silent, "nobody is in a group by guess")
	}
	require.Equal(t, 3, asked, "a failure is remembered")
	now, fault = now.Add(keepFailure), nil
	require.Equal(t, "staff", primary(t, p, "bob"))
	require.Equal(t, 4, asked)
}

// TestSystemIsAskedOnceAtATime, and a caller who leaves takes nobody's answer away.
func TestSystemIsAskedOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New("")
		require.NoError(t, err)
		asked, answer := 0, make(chan struct{})
		p.lookup = func(ctx context.Context, _ string) ([]string, error) {
			asked++
			<-answer
			return []string{"staff"}, ctx.Err()
		}
		ctx, leave := context.WithCancel(t.Context())
		go func() { _, _ = p.Primary(ctx, "alice") }()
		synctest.Wait()
		for range 3 {
			go func() { _, _ = p.Primary(t.Context(), "alice") }()
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		close(answer)
		synctest.Wait()
		require.Equal(t, "staff", primary(t, p, "alice"))
		require.Equal(t, 1, asked)
	})
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
