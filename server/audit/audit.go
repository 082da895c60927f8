// SPDX-License-Identifier: Apache-2.0

// Package audit writes who did what: one JSON object a line, into a file of its
// own that only the gateway's user can read. It never sees a token, a password
// or a plan. What clients say is cut and escaped, and how many lines strangers
// can cause is bounded.
package audit

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf8"

	"gopkg.in/natefinch/lumberjack.v2"
)

// maxText bounds each text of a line, in bytes.
const maxText = 2 << 10

// Options say where to.
type Options struct {
	// File is the path; its folder is made.
	File string
	// Size is how large it may become, in MiB, and Files how many older ones are
	// kept.
	Size, Files int
	// Log is told when lines cannot be written.
	Log *slog.Logger
}

// Event is what happened, a value of the field event.
type Event string

// The events.
const (
	Login         Event = "login"
	SessionOpened Event = "session opened"
	SessionEnded  Event = "session ended"
	EngineStarted Event = "engine launched"
	EngineFailed  Event = "engine not started"
	EngineEnded   Event = "engine ended"
	Admin         Event = "administration"
	Refused       Event = "call refused"
	TokenIssued   Event = "token issued"
	TokenRevoked  Event = "token revoked"
)

// Entry is one line. Empty fields are left out.
type Entry struct {
	Event Event
	// Failed says that it was refused or did not work.
	Failed bool
	// User is whose session, engine or token it is, or who called; RealUser who
	// presented the credentials where that is another one.
	User, RealUser string
	// Address is that of the direct peer, Method the method of authentication, Call
	// the RPC or route.
	Address, Method, Call string
	// Session and Engine are ids, Client is what a client calls itself.
	Session, Engine, Client string
	// Token is the id of a token, Name what its user calls it.
	Token, Name string
	// Reason is why, for people.
	Reason string
	// Unwritten is how many entries of this kind and address before this one were
	// not written.
	Unwritten int
}

// Log is an audit log. Make it with Open; the nil Log writes nothing. It is safe
// for concurrent use.
type Log struct {
	to     *slog.Logger
	file   *lumberjack.Logger
	logins *quota
	calls  *quota
}

// Open opens the file, or makes it, with mode 0600.
func Open(o Options) (*Log, error) {
	if err := os.MkdirAll(filepath.Dir(o.File), 0o700); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	f, err := os.OpenFile(o.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	if err := f.Chmod(0o600); err != nil { // its rotated ones have the mode of the file
		_ = f.Close()
		return nil, fmt.Errorf("audit log: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	l := &Log{file: &lumberjack.Logger{Filename: o.File, MaxSize: o.Size, MaxBackups: o.Files}, logins: newQuota(), calls: newQuota()}
	out := &reporter{to: l.file, path: o.File, log: o.Log}
	l.to = slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{ReplaceAttr: field}))
	return l, nil
}

// Close closes the file.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

// field names the fields: no level, and event in the place of msg.
func field(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.LevelKey:
		return slog.Attr{}
	case slog.MessageKey:
		a.Key = "event"
	case slog.TimeKey:
		a.Value = slog.StringValue(a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	return a
}

// Write writes an entry.
func (l *Log) Write(e Entry) {
	if l == nil {
		return
	}
	outcome := "ok"
	if e.Failed {
		outcome = "refused"
	}
	attrs := []slog.Attr{slog.String("outcome", outcome)}
	for _, f := range [][2]string{
		{"user", e.User}, {"realUser", e.RealUser}, {"address", e.Address}, {"method", e.Method}, {"call", e.Call},
		{"session", e.Session}, {"engine", e.Engine}, {"client", e.Client}, {"token", e.Token}, {"name", e.Name}, {"reason", e.Reason},
	} {
		if f[1] != "" {
			attrs = append(attrs, slog.String(f[0], clip(f[1])))
		}
	}
	if e.Unwritten > 0 {
		attrs = append(attrs, slog.Int("unwritten", e.Unwritten))
	}
	l.to.LogAttrs(context.Background(), slog.LevelInfo, string(e.Event), attrs...)
}

// clip cuts a text between characters. The handler escapes what would break a
// line.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for cut > maxText-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}

// reporter tells the gateway's own log, once a minute, that lines are lost.
type reporter struct {
	to   interface{ Write([]byte) (int, error) }
	path string
	log  *slog.Logger

	mu   sync.Mutex
	last time.Time
	lost int
}

// Write passes p on and notes a failure.
func (r *reporter) Write(p []byte) (int, error) {
	n, err := r.to.Write(p)
	if err == nil {
		return n, nil
	}
	r.mu.Lock()
	r.lost++
	lost, quiet := r.lost, time.Since(r.last) < time.Minute
	if !quiet {
		r.last = time.Now()
	}
	r.mu.Unlock()
	if !quiet {
		r.log.Error("the audit log cannot be written; make room or correct the mode of its folder", "file", r.path, "lines lost", lost, "err", err)
	}
	return n, err
}
