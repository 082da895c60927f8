// SPDX-License-Identifier: Apache-2.0

// Package groups finds the groups of a user as Hadoop does: by its static
// mapping first, then by the operating system.
package groups

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// keep is how long an answer of the operating system holds, as Hadoop's
	// hadoop.security.groups.cache.secs does by default.
	keep = 5 * time.Minute
	// keepFailure is how long the operating system is left alone after it did not
	// answer.
	keepFailure = 10 * time.Second
	// lookupTimeout bounds one question to it: a directory service may hang.
	lookupTimeout = 5 * time.Second
	// program answers the questions.
	program = "id"
	// maxKept bounds the memory of answers; beyond it all are asked again.
	maxKept = 10000
)

// Provider knows the groups of users. It is safe for concurrent use.
type Provider struct {
	static map[string][]string
	lookup func(ctx context.Context, user string) (groups []string, err error)
	now    func() time.Time
	// asking lets one caller ask for a user while others wait for the answer.
	asking singleflight.Group

	mu   sync.Mutex
	kept map[string]answer
}

// answer is what is known of a user; err is why there is nothing.
type answer struct {
	groups []string
	err    error
	until  time.Time
}

// New makes a Provider over a static mapping as Hadoop writes it, "" for none:
// users with their groups, the primary one first, user=group,group;user=...;
// a user without groups is "user=".
func New(static string) (*Provider, error) {
	p := &Provider{static: map[string][]string{}, lookup: fromSystem, now: time.Now, kept: map[string]answer{}}
	for item := range strings.SplitSeq(static, ";") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		user, groups, ok := strings.Cut(item, "=")
		user = strings.TrimSpace(user)
		if !ok || user == "" || strings.Contains(groups, "=") {
			return nil, fmt.Errorf("a static group mapping reads user=group,group;user=..., not %q", item)
		}
		p.static[user] = strings.FieldsFunc(groups, func(r rune) bool { return r == ',' || r == ' ' })
	}
	return p, nil
}

// CheckSystem says why the operating system cannot be asked on this machine.
func CheckSystem() error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("the groups of users cannot be found out: %w", err)
	}
	return nil
}

// Primary is the primary group of a user. For one who has none, and whom the
// operating system does not know, it is the user name, as in Kyuubi. It is an
// error when the operating system does not answer and never did.
func (p *Provider) Primary(ctx context.Context, user string) (string, error) {
	all, err := p.All(ctx, user)
	if err != nil || len(all) == 0 {
		return user, err
	}
	return all[0], nil
}

// All are the groups of a user, the primary one first; none for a user whom
// nobody knows. It is an error when the operating system does not answer and
// never did.
func (p *Provider) All(ctx context.Context, user string) ([]string, error) {
	if groups, listed := p.static[user]; listed {
		return slices.Clone(groups), nil
	}
	a := p.ask(ctx, user)
	return slices.Clone(a.groups), a.err
}

// ask asks the operating system, unless it was asked a moment ago. The question
// outlives a caller who leaves: others may wait for the answer.
func (p *Provider) ask(ctx context.Context, user string) answer {
	if a, ok := p.known(user); ok && p.now().Before(a.until) {
		return a
	}
	asked := p.asking.DoChan(user, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
		defer cancel()
		return p.note(ctx, user), nil
	})
	select {
	case a := <-asked:
		return a.Val.(answer)
	case <-ctx.Done():
		return answer{err: context.Cause(ctx)}
	}
}

func (p *Provider) known(user string) (answer, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.kept[user]
	return a, ok
}

// note asks and keeps the answer. Without one the last answer goes on to hold.
func (p *Provider) note(ctx context.Context, user string) answer {
	groups, err := p.lookup(ctx, user)
	a := answer{groups: groups, until: p.now().Add(keep)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		a = answer{err: err}
		if old, ok := p.kept[user]; ok && old.err == nil {
			a = old
		}
		a.until = p.now().Add(keepFailure)
	}
	if len(p.kept) >= maxKept {
		clear(p.kept)
	}
	p.kept[user] = a
	return a
}

// fromSystem asks id(1), which knows directory services that a statically
// linked program does not see. No groups mean that it knows no such user; an
// error that it could not be asked to the end. Names end with a NUL, because
// those of some directories have blanks.
func fromSystem(ctx context.Context, user string) (groups []string, err error) {
	cmd := exec.CommandContext(ctx, program, "-Gnz", "--", user)
	cmd.WaitDelay = time.Second // what it started may hold its output open
	out, err := cmd.Output()
	var refused *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s -Gnz %s did not answer: %w", program, user, context.Cause(ctx))
	case errors.As(err, &refused) && refused.Exited():
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s -Gnz %s did not answer: %w", program, user, err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
}
