// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"fmt"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"roundhouse/discovery"
)

// lag is what the gateway that was asked to disable a user has to end what it knows:
// it tells the administrator how much that was. What is left ends here.
const lag = time.Second

// Run hears of what other gateways change, and ends in p what users have whom they
// disable or who were disabled when it began, until ctx ends.
func (l *List) Run(ctx context.Context, p Property) error {
	if err := l.dropEnabled(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error {
		if err := l.store.FollowDisabled(ctx, l.told); ctx.Err() == nil {
			return fmt.Errorf("users that other gateways disable are not heard of any more: %w", err)
		}
		return nil
	})
	parts.Go(func() error { l.endOthers(ctx, p); return nil })
	return parts.Wait()
}

// dropEnabled takes off the list whom another gateway has enabled since New: the store tells only of
// records that are there.
func (l *List) dropEnabled(ctx context.Context) error {
	select {
	case l.changing <- struct{}{}:
		defer func() { <-l.changing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	records, err := l.store.Disabled(ctx)
	if err != nil {
		return fmt.Errorf("reading the disabled users again: %w", err)
	}
	still := make(map[string]bool, len(records))
	for _, r := range records {
		still[r.User] = true
	}
	enabled := func(user string, _ discovery.DisabledUser) bool { return !still[user] }
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.disabled, enabled)
	maps.DeleteFunc(l.others, enabled)
	return nil
}

// told takes in a record of the store. A user is refused, or not, from now on.
func (l *List) told(r discovery.DisabledUser, gone bool) {
	if l.take(r, gone) {
		l.log.Info("another gateway has changed whether a user is disabled", "user", r.User, "disabled", !gone, "by", r.By)
	}
}

// take says whether another gateway has changed something.
func (l *List) take(r discovery.DisabledUser, gone bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.own != nil && l.own.user == r.User
	if own {
		l.own.told = true
	}
	old, was := l.disabled[r.User]
	if gone {
		delete(l.disabled, r.User)
		delete(l.others, r.User)
		return was && !(own && l.own.to == nil)
	}
	l.disabled[r.User] = r
	if was && same(old, r) || own && l.own.to != nil && same(*l.own.to, r) {
		return false
	}
	l.endLocked(r)
	return true
}

func same(a, b discovery.DisabledUser) bool {
	return a.By == b.By && a.Reason == b.Reason && a.Since.Equal(b.Since)
}

// endLocked has Run end what a user has.
func (l *List) endLocked(r discovery.DisabledUser) {
	l.others[r.User] = r
	select {
	case l.news <- struct{}{}:
	default: // is told already
	}
}

// endOthers ends what those have who were disabled elsewhere, or before this gateway started.
func (l *List) endOthers(ctx context.Context, p Property) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.news:
		}
		later := time.NewTimer(lag)
		select {
		case <-ctx.Done():
			later.Stop()
			return
		case <-later.C:
		}
		for r, more := l.next(); more && ctx.Err() == nil; r, more = l.next() {
			l.endOne(ctx, p, r)
		}
	}
}

// next takes one of the others out, if there is one.
func (l *List) next() (r discovery.DisabledUser, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for user, r := range l.others {
		delete(l.others, user)
		return r, true
	}
	return r, false
}

func (l *List) endOne(ctx context.Context, p Property, r discovery.DisabledUser) {
	ended, err := p.EndAll(ctx, r.User, whyEnded(r.User, r.By))
	switch {
	case err != nil:
		l.log.Warn("not all of a disabled user has ended here; disable the user again to end what is left", "user", r.User, "by", r.By, "err", err)
	case ended != Ended{}:
		l.log.Info("what a disabled user had here has ended", "user", r.User, "by", r.By, "calls", ended.Calls,
			"sessions", ended.Sessions, "engines", ended.Engines, "tokens", ended.Tokens)
	}
}

// whyEnded is what is told of the property of a user.
func whyEnded(user, by string) string { return fmt.Sprintf("User %s was disabled by %s.", user, by) }
