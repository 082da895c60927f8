// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"roundhouse/discovery"
)

// AddSession creates the record of (r.User, r.SessionID), or returns
// discovery.ErrExists.
func (s *Store) AddSession(ctx context.Context, r discovery.SessionRecord) error {
	return s.putSession(ctx, r, func(discovery.SessionRecord) error {
		return fmt.Errorf("%w: session %s of %s", discovery.ErrExists, r.SessionID, r.User)
	})
}

// PutSession creates or replaces the record of (r.User, r.SessionID), or returns discovery.ErrConflict.
func (s *Store) PutSession(ctx context.Context, r discovery.SessionRecord) error {
	return s.putSession(ctx, r, r.Replace)
}

// putSession stores r unless there is a record that it may not replace.
func (s *Store) putSession(ctx context.Context, r discovery.SessionRecord, replace func(old discovery.SessionRecord) error) error {
	key, err := makeKey(r.User, r.SessionID)
	if err != nil {
		return err
	}
	return s.putOver(ctx, bucketSessions, key, s.options.MaxSessions, func(text []byte) (any, error) {
		if text == nil {
			return r, nil
		}
		var old discovery.SessionRecord
		if err := json.Unmarshal(text, &old); err != nil {
			return nil, fmt.Errorf("discovery: session %s of %s: %w", r.SessionID, r.User, err)
		}
		return r, replace(old)
	})
}

// GetSession returns the record, or discovery.ErrNotFound.
func (s *Store) GetSession(ctx context.Context, user, sessionID string) (discovery.SessionRecord, error) {
	var r discovery.SessionRecord
	key, err := makeKey(user, sessionID)
	if err != nil {
		return r, err
	}
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		value := tx.Bucket(bucketSessions).Get(key)
		if value == nil {
			return fmt.Errorf("%w: session %s of %s", discovery.ErrNotFound, sessionID, user)
		}
		return json.Unmarshal(value, &r)
	})
	return r, err
}

// DeleteSession removes the record of r if there is one, or returns discovery.ErrConflict.
func (s *Store) DeleteSession(ctx context.Context, r discovery.SessionRecord) error {
	key, err := makeKey(r.User, r.SessionID)
	if err != nil {
		return err
	}
	return s.deleteIf(ctx, bucketSessions, key, func(text []byte) error {
		var old discovery.SessionRecord
		if err := json.Unmarshal(text, &old); err != nil {
			return fmt.Errorf("discovery: session %s of %s: %w", r.SessionID, r.User, err)
		}
		return r.Remove(old)
	})
}

// Sessions returns every session record.
func (s *Store) Sessions(ctx context.Context) ([]discovery.SessionRecord, error) {
	return all[discovery.SessionRecord](ctx, s, bucketSessions)
}

// AddEngine creates the record of r.RefID, or returns discovery.ErrExists.
func (s *Store) AddEngine(ctx context.Context, r discovery.EngineRecord) error {
	return s.putEngine(ctx, r, func(old *discovery.EngineRecord) error {
		if old != nil {
			return fmt.Errorf("%w: engine %s", discovery.ErrExists, r.RefID)
		}
		return nil
	})
}

// PutEngine replaces the record of the owner of r.
func (s *Store) PutEngine(ctx context.Context, r discovery.EngineRecord) error {
	return s.TakeEngine(ctx, r, r.Owner)
}

// TakeEngine replaces the record of the gateway from.
func (s *Store) TakeEngine(ctx context.Context, r discovery.EngineRecord, from discovery.Owner) error {
	return s.putEngine(ctx, r, func(old *discovery.EngineRecord) error {
		if old == nil {
			return fmt.Errorf("%w: engine %s", discovery.ErrNotFound, r.RefID)
		}
		return old.Owned(from)
	})
}

// putEngine writes r if that is right with the record that is there, which may be nil.
func (s *Store) putEngine(ctx context.Context, r discovery.EngineRecord, right func(old *discovery.EngineRecord) error) error {
	key, err := makeKey(r.RefID)
	if err != nil {
		return err
	}
	return s.putOver(ctx, bucketEngines, key, s.options.MaxEngines, func(text []byte) (any, error) {
		var old *discovery.EngineRecord
		if text != nil {
			old = &discovery.EngineRecord{}
			if err := json.Unmarshal(text, old); err != nil {
				return nil, fmt.Errorf("discovery: the record of engine %s: %w", r.RefID, err)
			}
		}
		return r, right(old)
	})
}

// DeleteEngine removes the record if there is one.
func (s *Store) DeleteEngine(ctx context.Context, refID string) error {
	key, err := makeKey(refID)
	if err != nil {
		return err
	}
	return s.deleteCounted(ctx, bucketEngines, key)
}

// Engines returns every engine record.
func (s *Store) Engines(ctx context.Context) ([]discovery.EngineRecord, error) {
	return all[discovery.EngineRecord](ctx, s, bucketEngines)
}

// PutToken creates or replaces the record of r.ID, but for a Revoked that it has.
func (s *Store) PutToken(ctx context.Context, r discovery.TokenRecord) error {
	key, err := makeKey(r.ID)
	if err != nil {
		return err
	}
	return s.putOver(ctx, bucketTokens, key, s.options.MaxTokens, func(text []byte) (any, error) {
		var old discovery.TokenRecord
		if text != nil && json.Unmarshal(text, &old) == nil && !old.Revoked.IsZero() {
			r.Revoked = old.Revoked
		}
		return r, nil
	})
}

// GetToken returns the record, or discovery.ErrNotFound.
func (s *Store) GetToken(ctx context.Context, id string) (discovery.TokenRecord, error) {
	var r discovery.TokenRecord
	key, err := makeKey(id)
	if err != nil {
		return r, err
	}
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		value := tx.Bucket(bucketTokens).Get(key)
		if value == nil {
			return fmt.Errorf("%w: token %s", discovery.ErrNotFound, id)
		}
		return json.Unmarshal(value, &r)
	})
	return r, err
}

// DeleteToken removes the record if there is one.
func (s *Store) DeleteToken(ctx context.Context, id string) error {
	key, err := makeKey(id)
	if err != nil {
		return err
	}
	return s.deleteCounted(ctx, bucketTokens, key)
}

// Tokens returns every token record.
func (s *Store) Tokens(ctx context.Context) ([]discovery.TokenRecord, error) {
	return all[discovery.TokenRecord](ctx, s, bucketTokens)
}

// PutDisabled creates or replaces the record of r.User.
func (s *Store) PutDisabled(ctx context.Context, r discovery.DisabledUser) error {
	key, err := makeKey(r.User)
	if err != nil {
		return err
	}
	return s.putCounted(ctx, bucketDisabled, key, maxDisabled, r)
}

// DeleteDisabled removes the record if there is one.
func (s *Store) DeleteDisabled(ctx context.Context, user string) error {
	key, err := makeKey(user)
	if err != nil {
		return err
	}
	return s.deleteCounted(ctx, bucketDisabled, key)
}

// Disabled returns the records of all disabled users.
func (s *Store) Disabled(ctx context.Context) ([]discovery.DisabledUser, error) {
	return all[discovery.DisabledUser](ctx, s, bucketDisabled)
}
