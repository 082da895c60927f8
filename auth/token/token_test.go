// SPDX-License-Identifier: Apache-2.0

package token

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/auth"
	"roundhouse/auth/authtest"
)

const (
	aliceToken = "alice-0123456789abcdef"
	bobToken   = "bob-0123456789abcdef"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func newFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func open(t *testing.T, text string) *Authenticator {
	t.Helper()
	a, err := New(newFile(t, text), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return a
}

func chain(m auth.Method) *auth.Chain { return &auth.Chain{Methods: []auth.Method{m}} }

func with(header ...string) auth.Request {
	r := auth.Request{Peer: authtest.Loopback, Header: map[string][]string{}}
	for i := 0; i < len(header); i += 2 {
		r.Header[header[i]] = append(r.Header[header[i]], header[i+1])
	}
	return r
}

func TestConformance(t *testing.T) {
	a := open(t, aliceToken+" alice groups=eng,ops admin\nsha256:"+hashOf(bobToken)+" bob\nsha256:"+hashOf("hunter2")+" eve\n")
	bearer := "Bearer " + aliceToken
	remote := with("authorization", bearer)
	remote.Peer = authtest.Remote
	unknownPeer := with("authorization", bearer)
	unknownPeer.Peer = nil
	authtest.Run(t, authtest.Subject{
		Authenticator: chain(a),
		Good:          with("authorization", bearer),
		Want: auth.Identity{User: "alice", RealUser: "alice", Groups: []string{"eng", "ops"},
			Method: Method, Admin: true},
		Bad: map[string]auth.Request{
			"no header":             with(),
			"empty header":          with("authorization", ""),
			"scheme only":           with("authorization", "Bearer"),
			"empty token":           with("authorization", "Bearer "),
			"a token to be guessed": with("authorization", "Bearer hunter2"),
			"unknown token":         with("authorization", "Bearer mallory-0123456789abcdef"),
			"other scheme":          with("authorization", "Basic "+aliceToken),
			"no scheme":             with("authorization", aliceToken),
			"prefix of a token":     with("authorization", bearer[:len(bearer)-1]),
			"token with a tail":     with("authorization", bearer+"x"),
			"two spaces":            with("authorization", "Bearer  "+aliceToken),
			"hash as token":         with("authorization", "Bearer "+hashOf(bobToken)),
			"hash line as token":    with("authorization", "Bearer sha256:"+hashOf(bobToken)),
			"same header twice":     with("authorization", bearer, "authorization", bearer),
			"two tokens":            with("authorization", bearer, "authorization", "Bearer "+bobToken),
			"old header twice":      with("authentication", bearer, "authentication", bearer),
			"headers that conflict": with("authorization", bearer, "authentication", "Bearer "+bobToken),
			"junk beside the token": with("authorization", bearer, "authentication", ""),
			"huge token":            with("authorization", "Bearer "+strings.Repeat("x", 1<<20)),
			"plain text from afar":  remote,
			"an unknown peer":       unknownPeer,
		},
	})
}

func TestAcceptedForms(t *testing.T) {
	a := open(t, "# people\n\n  sha256:"+hashOf(bobToken)+"\tbob\r\n")
	secure := with("authorization", "Bearer "+bobToken)
	secure.Peer, secure.Secure = authtest.Remote, true
	for name, r := range map[string]auth.Request{
		"TLS from afar":      secure,
		"lower-case scheme":  with("authorization", "bearer "+bobToken),
		"old JVM client":     with("authentication", "Bearer "+bobToken),
		"both headers equal": with("authorization", "Bearer "+bobToken, "authentication", "Bearer "+bobToken),
	} {
		id, err := chain(a).Authenticate(t.Context(), r)
		require.NoError(t, err, name)
		require.Equal(t, "bob", id.User, name)
		require.False(t, id.Admin, name)
	}
}

func TestNewRefusesFaults(t *testing.T) {
	text := "short alice\n" + aliceToken + "\n" + aliceToken + " al/ice\n" + bobToken + " bob root\nsha256:12 bob\n" +
		bobToken + " bob groups=a,\n" + aliceToken + " alice\n" + aliceToken + " eve\n"
	_, err := New(newFile(t, text), slog.New(slog.DiscardHandler))
	for _, want := range []string{
		"line 1: a token has 16 to 4096 characters, this one has 5; make one with: openssl rand -hex 32; a line is: " + usage, "line 2: a line is", "line 3: the second word is no user name",
		"line 4: a word after the user is not understood", "line 5: sha256: must be followed by 64", "line 6: a group has a name that is not allowed",
		"line 8: the token is that of line 7",
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), aliceToken)

	path := newFile(t, aliceToken+" alice\n")
	require.NoError(t, os.Chmod(path, 0o644))
	_, err = New(path, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "chmod 600")
	_, err = New(path+".absent", slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestRunReadsTheFileAgain(t *testing.T) {
	path := newFile(t, aliceToken+" alice\n")
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		a, err := New(path, slog.New(slog.NewTextHandler(&logged, nil)))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }() // read below

		known := func(token string) bool {
			_, err := chain(a).Authenticate(ctx, with("authorization", "Bearer "+token))
			return err == nil
		}
		tick := func() {
			<-time.After(checkInterval) // of the bubble's clock
			synctest.Wait()
		}
		tick()
		require.True(t, known(aliceToken))
		require.Empty(t, logged.String(), "an unchanged file is not read again")

		require.NoError(t, os.WriteFile(path, []byte(bobToken+" bob # trailing\n"), 0o600))
		tick()
		tick()
		require.True(t, known(aliceToken), "a faulty file changes nothing")
		require.Equal(t, 1, strings.Count(logged.String(), "token file not usable"), "reported once")

		require.NoError(t, os.WriteFile(path, []byte(bobToken+" bob\n"), 0o600))
		tick()
		require.False(t, known(aliceToken), "a withdrawn token")
		require.True(t, known(bobToken))
		require.Contains(t, logged.String(), "token file read again")

		cancel()
		require.NoError(t, <-done)
	})
}
