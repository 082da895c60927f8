// SPDX-License-Identifier: Apache-2.0

// Package groups finds the primary group of a user as Hadoop does: by its
// static mapping first, then by the operating system.
package groups

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	// keep is how long an answer of the operating system holds, as Hadoop's
	// hadoop.security.groups.cache.secs does by default.
	keep = 5 * time.Minute
	// lookupTimeout bounds one question to it: a directory service may hang.
	lookupTimeout = 5 * time.Second
	// maxKept bounds the memory of answers; beyond it all are asked again.
	maxKept = 10000
)

// Provider knows the groups of users. It is safe for concurrent use.
type Provider struct {
	static map[string]string
	lookup func(ctx context.Context, user string) (group string, sure bool)
	now    func() time.Time

	mu   sync.Mutex
	kept map[string]answer
}

type answer struct {
	group string
	until time.Time
}

// New makes a Provider over a static mapping as Hadoop writes it, "" for none:
// users with their groups, the primary one first, user=group,group;user=...;
// a user without groups is "user=".
func New(static string) (*Provider, error) {
	p := &Provider{static: map[string]string{}, lookup: fromSystem, now: time.Now, kept: map[string]answer{}}
	for item := range strings.SplitSeq(static, ";") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		user, groups, ok := strings.Cut(item, "=")
		user = strings.TrimSpace(user)
		if !ok || user == "" || strings.Contains(groups, "=") {
			return nil, fmt.Errorf("a static group mapping reads user=group,group;user=..., not %q", item)
		}
		primary, _, _ := strings.Cut(groups, ",")
		p.static[user] = strings.TrimSpace(primary)
	}
	return p, nil
}

// Primary is the primary group of a user. For one who has none, and when the
// operating system does not know, it is the user name, as in Kyuubi.
func (p *Provider) Primary(ctx context.Context, user string) string {
	group, listed := p.static[user]
	if !listed {
		group = p.ask(ctx, user)
	}
	if group == "" {
		return user
	}
	return group
}

// ask asks the operating system, unless it has answered a moment ago.
func (p *Provider) ask(ctx context.Context, user string) string {
	p.mu.Lock()
	a, ok := p.kept[user]
	p.mu.Unlock()
	if ok && p.now().Before(a.until) {
		return a.group
	}
	group, sure := p.lookup(ctx, user)
	if !sure {
		return group
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.kept) >= maxKept {
		clear(p.kept)
	}
	p.kept[user] = answer{group, p.now().Add(keep)}
	return group
}

// fromSystem asks id(1), which knows directory services that a statically
// linked program does not see. "" means that it knows no such user; it is not
// sure when it could not be asked to the end.
func fromSystem(ctx context.Context, user string) (group string, sure bool) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "id", "-gn", "--", user).Output()
	var refused *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &refused) {
		return "", false
	}
	if err != nil {
		return "", true
	}
	return strings.TrimSpace(string(out)), true
}
