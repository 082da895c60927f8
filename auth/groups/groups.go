// SPDX-License-Identifier: Apache-2.0

// Package groups finds the groups of a user as Hadoop does: by its static
// mapping first, then by the operating system.
package groups

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"roundhouse/internal/recall"
)

const (
	// keep is how long an answer of the operating system holds, as Hadoop's
	// hadoop.security.groups.cache.secs does by default.
	keep = 5 * time.Minute
	// hold is how long an answer holds while the operating system gives no other: an
	// account that is gone may be one whose directory is away.
	hold = 24 * time.Hour
	// lookupTimeout bounds one question to it: a directory service may hang.
	lookupTimeout = 5 * time.Second
	// program answers the questions.
	program = "id"
)

// Provider knows the groups of users. It is safe for concurrent use.
type Provider struct {
	static map[string][]string
	system recall.Memory[[]string]
}

// errNoUser says that the operating system knows no such user.
var errNoUser = errors.New("there is no such user")

// New makes a Provider over a static mapping as Hadoop writes it, "" for none:
// users with their groups, the primary one first, user=group,group;user=...;
// a user without groups is "user=".
func New(static string) (*Provider, error) {
	p := &Provider{static: map[string][]string{}, system: recall.Memory[[]string]{
		Ask: fromSystem, Timeout: lookupTimeout, Keep: keep, Hold: hold,
	}}
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
// operating system does not know, it is the user name, as in Kyuubi. Errors are
// those of All.
func (p *Provider) Primary(ctx context.Context, user string) (string, error) {
	all, err := p.All(ctx, user)
	if err != nil || len(all) == 0 {
		return user, err
	}
	return all[0], nil
}

// All are the groups of a user, the primary one first; none for a user whom
// nobody knows. It is an error when the operating system cannot tell and did not
// within the last day.
func (p *Provider) All(ctx context.Context, user string) ([]string, error) {
	if groups, listed := p.static[user]; listed {
		return slices.Clone(groups), nil
	}
	groups, err := p.system.Get(ctx, user)
	if errors.Is(err, errNoUser) {
		return nil, nil
	}
	return slices.Clone(groups), err
}

// What id(1) of GNU says beside groups or instead of them. A reason behind the
// first, as in "no such user: Connection refused", or a line before it is that of a
// directory service which is away.
const (
	saysNoUser   = ": no such user"
	saysNameless = "cannot find name for group ID"
)

// fromSystem asks id(1), which knows directory services that a statically
// linked program does not see. A group without a name is its number. The error is
// errNoUser only if id says that and nothing else; whatever else it complains
// about, its list may not be whole. Names end with a NUL, because those of some
// directories have blanks.
func fromSystem(ctx context.Context, user string) (groups []string, err error) {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "-Gnz", "--", user)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stderr = &said
	cmd.WaitDelay = time.Second // what it started may hold its output open
	out, err := cmd.Output()
	complaint := strings.TrimSpace(said.String())
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s -Gnz %s did not answer: %w", program, user, context.Cause(ctx))
	case err != nil && len(out) == 0 && strings.HasSuffix(complaint, saysNoUser) && !strings.Contains(complaint, "\n"):
		return nil, errNoUser
	case err != nil && (len(out) == 0 || !onlyNameless(complaint)):
		return nil, fmt.Errorf("%s -Gnz %s did not answer: %w: %.300s", program, user, err, complaint)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
}

// onlyNameless says whether every line tells of a group without a name.
func onlyNameless(complaint string) bool {
	for line := range strings.Lines(complaint) {
		if !strings.Contains(line, saysNameless) {
			return false
		}
	}
	return complaint != ""
}
