// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"

	"roundhouse/discovery"
)

// FollowSessions waits for ctx: no other gateway writes to this store.
func (s *Store) FollowSessions(ctx context.Context, _ discovery.Told[discovery.SessionRecord]) error {
	<-ctx.Done()
	return nil
}

// FollowEngines waits for ctx, as FollowSessions does.
func (s *Store) FollowEngines(ctx context.Context, _ discovery.Told[discovery.EngineRecord]) error {
	<-ctx.Done()
	return nil
}

// FollowTokens waits for ctx, as FollowSessions does.
func (s *Store) FollowTokens(ctx context.Context, _ discovery.Told[discovery.TokenRecord]) error {
	<-ctx.Done()
	return nil
}

// FollowDisabled waits for ctx, as FollowSessions does.
func (s *Store) FollowDisabled(ctx context.Context, _ discovery.Told[discovery.DisabledUser]) error {
	<-ctx.Done()
	return nil
}
