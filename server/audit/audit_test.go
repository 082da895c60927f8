// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/auth"
	"roundhouse/internal/errs"
)

func TestMain(m *testing.M) {
	// It removes old files, and the library gives no way to end it.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"))
}

func open(t *testing.T) (*Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "logs", "audit.log")
	l, err := Open(Options{File: path, Size: 1, Files: 2, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l, path
}

// lines are those of a file, as objects.
func lines(t *testing.T, path string) (all []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range bytes.Lines(text) {
		var object map[string]any
		require.NoError(t, json.Unmarshal(line, &object), "%s", line)
		all = append(all, object)
	}
	return all
}

func TestALineHasAllThereIs(t *testing.T) {
	l, path := open(t)
	l.Write(Entry{Event: SessionOpened, User: "bob", RealUser: "hue", Address: "192.0.2.7", Method: "LDAP", Call: "Config",
		Session: "s-1", Engine: "e-1", Client: "c", Reason: "why", Unwritten: 3})
	l.Write(Entry{Event: EngineEnded, Failed: true})
	all := lines(t, path)
	at, err := time.Parse(time.RFC3339, all[0]["time"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Minute)
	delete(all[0], "time")
	delete(all[1], "time")
	require.Equal(t, []map[string]any{
		{"event": "session opened", "outcome": "ok", "user": "bob", "realUser": "hue", "address": "192.0.2.7", "method": "LDAP",
			"call": "Config", "session": "s-1", "engine": "e-1", "client": "c", "reason": "why", "unwritten": 3.0},
		{"event": "engine ended", "outcome": "refused"},
	}, all)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	var none *Log
	none.Write(Entry{})
	none.Refuse(Entry{})
	decided(none.Logins(), auth.Request{}, auth.Credentials{}, auth.Identity{}, nil)
	require.NoError(t, none.Close())
}

// TestHostileText: whatever a client says, a line stays one, and short.
func TestHostileText(t *testing.T) {
	l, path := open(t)
	hostile := []string{"a\nb", "\x1b[31m", `","outcome":"ok`, "\x00\x01\u2028\u2029\u202e", "\xff\xfe", strings.Repeat("ä", 5000), strings.Repeat("\xff", 5000)}
	for _, text := range hostile {
		l.Write(Entry{Event: Refused, User: text, RealUser: text, Address: text, Method: text, Call: text, Session: text, Engine: text, Reason: text})
	}
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, len(hostile), bytes.Count(raw, []byte("\n")))
	require.NotContains(t, string(raw), "\x1b")
	for _, line := range lines(t, path) {
		require.Equal(t, "ok", line["outcome"])
		require.LessOrEqual(t, utf8.RuneCountInString(line["user"].(string)), maxText+3)
	}
}

func TestItIsRotated(t *testing.T) {
	l, path := open(t)
	for range 6 * 600 { // of 2 KiB
		l.Write(Entry{Event: Login, Reason: strings.Repeat("x", maxText)})
	}
	require.Eventually(t, func() bool {
		files, err := os.ReadDir(filepath.Dir(path))
		return err == nil && len(files) == 3
	}, 5*time.Second, 10*time.Millisecond, "this file and two older ones")
	files, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	for _, f := range files {
		info, err := f.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode(), f.Name())
		require.LessOrEqual(t, info.Size(), int64(1<<20), f.Name())
	}
}

func TestWhereItCannotBe(t *testing.T) {
	_, err := Open(Options{File: filepath.Join(t.TempDir(), "a")})
	require.NoError(t, err)
	_, err = Open(Options{File: "/proc/none/audit.log"})
	require.ErrorContains(t, err, "audit log")
	_, err = Open(Options{File: t.TempDir()})
	require.ErrorContains(t, err, "audit log")
}

func TestLostLinesAreReportedOnce(t *testing.T) {
	var said bytes.Buffer
	r := &reporter{to: broken{}, path: "/p", log: slog.New(slog.NewTextHandler(&said, nil))}
	for range 5 {
		_, err := r.Write([]byte("x"))
		require.Error(t, err)
	}
	require.Equal(t, 1, strings.Count(said.String(), "cannot be written"), said.String())
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func request(port int) auth.Request {
	return auth.Request{Peer: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: port}}
}

// decided has a watcher see an outcome.
func decided(w *Logins, r auth.Request, c auth.Credentials, id auth.Identity, err error) {
	_, _ = w.Watch(r, c, func() (auth.Identity, error) { return id, err })
}

func TestLoginsAreWrittenOncePerConnection(t *testing.T) {
	l, path := open(t)
	w := l.Logins()
	const secret = "hunter2-token"
	bearer := auth.Credentials{Scheme: "bearer", Value: secret}
	alice := auth.Identity{User: "alice", RealUser: "alice", Method: "TOKEN"}
	for range 50 {
		decided(w, request(1), bearer, alice, nil)
	}
	decided(w, request(2), bearer, alice, nil)
	decided(w, request(2), auth.Credentials{Scheme: "bearer", Value: secret + "2"}, alice, nil)
	require.Len(t, lines(t, path), 3)
	bad := errs.New(errs.Unauthenticated, "a call from 192.0.2.7, by LDAP: wrong password")
	basic := auth.Credentials{Scheme: "basic", Value: base64.StdEncoding.EncodeToString([]byte("eve:hunter2-password"))}
	for range 500 {
		decided(w, request(3), basic, auth.Identity{}, bad)
	}
	now := time.Now()
	l.calls.now = func() time.Time { return now.Add(2 * period) }
	decided(w, request(3), basic, auth.Identity{}, bad)
	all := lines(t, path)
	require.Len(t, all, 3+perPeriod+1, "a flood of bad logins is told, not written")
	last := all[len(all)-1]
	require.Equal(t, 500.0-perPeriod, last["unwritten"])
	require.Equal(t, "eve", last["user"])
	require.Equal(t, "basic", last["method"])
	require.Equal(t, "refused", last["outcome"])
	require.Contains(t, last["reason"], "wrong password")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, secret := range []string{"hunter2", basic.Value} {
		require.NotContains(t, string(raw), secret)
	}
}

// TestARefusedCallerHasAName, and a method, as far as they are known.
func TestARefusedCallerHasAName(t *testing.T) {
	l, path := open(t)
	w, bearer, no := l.Logins(), auth.Credentials{Scheme: "bearer", Value: "x"}, errs.New(errs.PermissionDenied, "gone")
	decided(w, request(1), bearer, auth.Identity{User: "eve", RealUser: "eve", Method: "TOKEN"}, no)
	decided(w, request(1), bearer, auth.Identity{Method: "JWT"}, no)
	decided(w, request(1), bearer, auth.Identity{}, no)
	all := lines(t, path)
	for i, want := range []map[string]any{{"user": "eve", "method": "TOKEN"}, {"method": "JWT"}, {"method": "bearer"}} {
		require.Equal(t, want["user"], all[i]["user"])
		require.Equal(t, want["method"], all[i]["method"])
		require.Equal(t, "refused", all[i]["outcome"])
	}
}

func TestRefusalsOfOneCallerDoNotHideOthers(t *testing.T) {
	l, path := open(t)
	for range 100 {
		l.Refuse(Entry{User: "eve", Address: "192.0.2.7", Call: "DELETE /x"})
	}
	l.Refuse(Entry{User: "bob", Address: "192.0.2.7", Call: "DELETE /x"})
	all := lines(t, path)
	require.Len(t, all, perPeriod+1)
	require.Equal(t, "bob", all[perPeriod]["user"])
	require.Equal(t, "call refused", all[0]["event"])
}

func TestTheQuotaIsBounded(t *testing.T) {
	q := newQuota()
	now := time.Now()
	q.now = func() time.Time { return now }
	for i := range maxSources + 500 {
		q.take(fmt.Sprint(i), 1)
		q.take(fmt.Sprint(i), 1)
	}
	require.LessOrEqual(t, len(q.sources), maxSources+1)
	for range 2 {
		now = now.Add(period)
		q.take("x", 1)
	}
	require.Len(t, q.sources, 1, "old ones are forgotten")
}
