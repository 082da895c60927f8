// SPDX-License-Identifier: Apache-2.0

package groups

import (
	"context"
	"os/exec"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStaticMappingComesFirst(t *testing.T) {
	p, err := New("alice=analysts,staff; bob = staff ;dr.who=;")
	require.NoError(t, err)
	p.lookup = func(_ context.Context, user string) (string, bool) { return "system-of-" + user, true }
	for user, group := range map[string]string{"alice": "analysts", "bob": "staff", "dr.who": "dr.who", "eve": "system-of-eve"} {
		require.Equal(t, group, p.Primary(t.Context(), user))
	}
}

func TestUserWithoutGroupsIsAGroup(t *testing.T) {
	p, err := New("")
	require.NoError(t, err)
	require.Equal(t, "no-such-user-here", p.Primary(t.Context(), "no-such-user-here"))
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
	_, sure := fromSystem(ctx, "root")
	require.False(t, sure)
}

func TestSystemIsAskedAgainAfterAWhile(t *testing.T) {
	p, err := New("")
	require.NoError(t, err)
	asked, now := 0, time.Now()
	p.lookup = func(ctx context.Context, _ string) (string, bool) { asked++; return "staff", ctx.Err() == nil }
	p.now = func() time.Time { return now }
	for range 3 {
		require.Equal(t, "staff", p.Primary(t.Context(), "alice"))
	}
	require.Equal(t, 1, asked)
	now = now.Add(keep)
	p.Primary(t.Context(), "alice")
	require.Equal(t, 2, asked)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	p.Primary(gone, "bob")
	p.Primary(t.Context(), "bob")
	require.Equal(t, 4, asked, "what a caller did not wait for is not kept")
}

// TestSystem asks the real one for the user of the test.
func TestSystem(t *testing.T) {
	own, err := user.Current()
	require.NoError(t, err)
	want, err := exec.Command("id", "-gn").Output()
	require.NoError(t, err)
	p, err := New("")
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(want)), p.Primary(t.Context(), own.Username))
}
