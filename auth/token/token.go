// SPDX-License-Identifier: Apache-2.0

// Package token authenticates callers by a file of static tokens. Each line is
//
//	<token or sha256:hex> <user> [groups=a,b] [admin]
//
// where sha256:hex is the SHA-256 of the token, so that the file need not hold
// the token itself (printf %s "$TOKEN" | sha256sum). Blank lines and lines
// that start with # are ignored. The file has mode 0600 and is read again when
// it changes; a file with faults changes nothing and is reported once.
package token

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"roundhouse/auth"
	"roundhouse/internal/secret"
)

// Method is the Method of identities made here.
const Method = "TOKEN"

// checkInterval is how often Run looks for a changed file; a withdrawn token
// is refused after so long at the latest.
const checkInterval = 2 * time.Second

// Authenticator accepts bearer tokens of a file. Make it with New; it is safe
// for concurrent use.
type Authenticator struct {
	path string
	log  *slog.Logger
	// blind is random: tokens are looked up by HMAC(blind, SHA-256(token)), so
	// the time of a lookup says nothing about any token of the file.
	blind   []byte
	current atomic.Pointer[table]
}

type table struct {
	stamp  stamp
	byHMAC map[digest]auth.Identity
}

// stamp tells one state of the file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// New reads the token file. It is an error if the file is absent, open to
// others than its owner, or has faults; the text names each line.
func New(path string, log *slog.Logger) (*Authenticator, error) {
	a := &Authenticator{path: path, log: log, blind: make([]byte, sha256.Size)}
	rand.Read(a.blind) // never fails (crypto/rand of Go 1.24)
	s, err := a.stat()
	if err != nil {
		return nil, err
	}
	return a, a.load(s)
}

// Run reads the file again when it changed, until ctx ends.
func (a *Authenticator) Run(ctx context.Context) error {
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	reported := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			reported = a.reload(reported)
		}
	}
}

// reload looks at the file once. It returns the fault that it found, if any,
// and logs it unless it is the one already reported.
func (a *Authenticator) reload(reported string) string {
	s, err := a.stat()
	if err == nil {
		if s == a.current.Load().stamp {
			return ""
		}
		err = a.load(s)
	}
	if err == nil {
		a.log.Info("token file read again", "file", a.path, "tokens", len(a.current.Load().byHMAC))
		return ""
	}
	if err.Error() != reported {
		a.log.Error("token file not usable, the tokens read before stay valid", "file", a.path, "error", err)
	}
	return err.Error()
}

func (a *Authenticator) stat() (stamp, error) {
	info, err := os.Lstat(a.path)
	if err != nil {
		return stamp{}, fmt.Errorf("token file: %w", err)
	}
	return stamp{modified: info.ModTime(), size: info.Size()}, nil
}

// load reads the file, whose state before reading was s.
func (a *Authenticator) load(s stamp) error {
	text, err := secret.ReadFile(a.path)
	if err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	entries, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("token file %s: %w", a.path, err)
	}
	t := &table{stamp: s, byHMAC: make(map[digest]auth.Identity, len(entries))}
	for _, e := range entries {
		t.byHMAC[a.blinded(e.digest)] = e.identity
	}
	a.current.Store(t)
	return nil
}

func (a *Authenticator) blinded(d digest) digest {
	h := hmac.New(sha256.New, a.blind)
	h.Write(d[:])
	return digest(h.Sum(nil))
}

// Name implements auth.Method.
func (*Authenticator) Name() string { return Method }

// Challenge implements auth.Method.
func (*Authenticator) Challenge() string { return "Bearer" }

// Check accepts the bearer tokens of the file, but those that could be guessed,
// which a hash in the file may hide. It knows nothing of others, which may be
// tokens of another method.
func (a *Authenticator) Check(_ context.Context, _ auth.Request, c auth.Credentials) (auth.Identity, error) {
	if c.Scheme != auth.SchemeBearer || len(c.Value) < minToken || len(c.Value) > maxToken {
		return auth.Identity{}, auth.ErrNotMine
	}
	id, known := a.current.Load().byHMAC[a.blinded(sha256.Sum256([]byte(c.Value)))]
	if !known {
		return auth.Identity{}, auth.ErrNotMine
	}
	return id, nil
}
