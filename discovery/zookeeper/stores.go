// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"context"

	"roundhouse/discovery"
)

// maxDisabled bounds the records of disabled users.
const maxDisabled = 100_000

func (s *Store) makeRecords() {
	s.sessions = kind(&records[discovery.SessionRecord]{s: s, limit: s.options.MaxSessions,
		key: func(r discovery.SessionRecord) []string { return []string{r.User, r.SessionID} },
		named: func(key []string) discovery.SessionRecord {
			return discovery.SessionRecord{User: key[0], SessionID: key[1]}
		},
		merge: func(old, r discovery.SessionRecord) (discovery.SessionRecord, error) { return r, r.Replace(old) },
	}, "sessions", 2)
	s.engines = kind(&records[discovery.EngineRecord]{s: s, limit: s.options.MaxEngines,
		key:   func(r discovery.EngineRecord) []string { return []string{r.RefID} },
		named: func(key []string) discovery.EngineRecord { return discovery.EngineRecord{RefID: key[0]} },
	}, "engines", 1)
	s.tokens = kind(&records[discovery.TokenRecord]{s: s, limit: s.options.MaxTokens, merge: keepRevoked,
		key:   func(r discovery.TokenRecord) []string { return []string{r.ID} },
		named: func(key []string) discovery.TokenRecord { return discovery.TokenRecord{ID: key[0]} },
	}, "tokens", 1)
	s.disabled = kind(&records[discovery.DisabledUser]{s: s, limit: maxDisabled,
		key:   func(r discovery.DisabledUser) []string { return []string{r.User} },
		named: func(key []string) discovery.DisabledUser { return discovery.DisabledUser{User: key[0]} },
		unread: func(key []string) discovery.DisabledUser { // nobody comes in again by a fault
			return discovery.DisabledUser{User: key[0], By: "an administrator", Reason: "The record in ZooKeeper cannot be read."}
		},
	}, "disabled", 1)
}

func keepRevoked(old, r discovery.TokenRecord) (discovery.TokenRecord, error) {
	if !old.Revoked.IsZero() {
		r.Revoked = old.Revoked
	}
	return r, nil
}

// AddSession creates the record of (r.User, r.SessionID), or returns discovery.ErrExists.
func (s *Store) AddSession(ctx context.Context, r discovery.SessionRecord) error {
	return s.sessions.add(ctx, r)
}

// PutSession creates or replaces the record, or returns discovery.ErrConflict.
func (s *Store) PutSession(ctx context.Context, r discovery.SessionRecord) error {
	return s.sessions.put(ctx, r)
}

// GetSession returns the record, or discovery.ErrNotFound.
func (s *Store) GetSession(ctx context.Context, user, sessionID string) (discovery.SessionRecord, error) {
	return s.sessions.get(ctx, user, sessionID)
}

// DeleteSession removes the record of r if there is one, or returns discovery.ErrConflict.
func (s *Store) DeleteSession(ctx context.Context, r discovery.SessionRecord) error {
	return s.sessions.removeIf(ctx, r, r.Remove)
}

// Sessions returns every session record that is known here.
func (s *Store) Sessions(ctx context.Context) ([]discovery.SessionRecord, error) {
	return s.sessions.all(ctx)
}

// FollowSessions tells of session records until ctx ends.
func (s *Store) FollowSessions(ctx context.Context, told discovery.Told[discovery.SessionRecord]) error {
	return s.sessions.follow(ctx, told)
}

// AddEngine creates the record of r.RefID, or returns discovery.ErrExists.
func (s *Store) AddEngine(ctx context.Context, r discovery.EngineRecord) error {
	return s.engines.add(ctx, r)
}

// PutEngine replaces the record of the owner of r.
func (s *Store) PutEngine(ctx context.Context, r discovery.EngineRecord) error {
	return s.TakeEngine(ctx, r, r.Owner)
}

// TakeEngine replaces the record of the gateway from.
func (s *Store) TakeEngine(ctx context.Context, r discovery.EngineRecord, from discovery.Owner) error {
	return s.engines.replace(ctx, r, func(old, r discovery.EngineRecord) (discovery.EngineRecord, error) {
		return r, old.Owned(from)
	})
}

// DeleteEngine removes the record if there is one.
func (s *Store) DeleteEngine(ctx context.Context, refID string) error {
	return s.engines.remove(ctx, refID)
}

// Engines returns every engine record that is known here.
func (s *Store) Engines(ctx context.Context) ([]discovery.EngineRecord, error) {
	return s.engines.all(ctx)
}

// FollowEngines tells of engine records until ctx ends.
func (s *Store) FollowEngines(ctx context.Context, told discovery.Told[discovery.EngineRecord]) error {
	return s.engines.follow(ctx, told)
}

// PutToken creates or replaces the record of r.ID, but for a Revoked that it has.
func (s *Store) PutToken(ctx context.Context, r discovery.TokenRecord) error {
	return s.tokens.put(ctx, r)
}

// GetToken returns the record, or discovery.ErrNotFound.
func (s *Store) GetToken(ctx context.Context, id string) (discovery.TokenRecord, error) {
	return s.tokens.get(ctx, id)
}

// DeleteToken removes the record if there is one.
func (s *Store) DeleteToken(ctx context.Context, id string) error { return s.tokens.remove(ctx, id) }

// Tokens returns every token record that is known here.
func (s *Store) Tokens(ctx context.Context) ([]discovery.TokenRecord, error) {
	return s.tokens.all(ctx)
}

// FollowTokens tells of token records until ctx ends.
func (s *Store) FollowTokens(ctx context.Context, told discovery.Told[discovery.TokenRecord]) error {
	return s.tokens.follow(ctx, told)
}

// PutDisabled creates or replaces the record of r.User.
func (s *Store) PutDisabled(ctx context.Context, r discovery.DisabledUser) error {
	return s.disabled.put(ctx, r)
}

// DeleteDisabled removes the record if there is one.
func (s *Store) DeleteDisabled(ctx context.Context, user string) error {
	return s.disabled.remove(ctx, user)
}

// Disabled returns the records of all disabled users, by user.
func (s *Store) Disabled(ctx context.Context) ([]discovery.DisabledUser, error) {
	return s.disabled.all(ctx)
}

// FollowDisabled tells of disabled users until ctx ends.
func (s *Store) FollowDisabled(ctx context.Context, told discovery.Told[discovery.DisabledUser]) error {
	return s.disabled.follow(ctx, told)
}
