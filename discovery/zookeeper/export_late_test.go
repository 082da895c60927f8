// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"context"

	"roundhouse/discovery"
)

// LockLate has the request for a lock's node sent when nobody waits for the lock any more, nor for its removal.
func (s *Store) LockLate(ctx context.Context, path string) error {
	c, err := s.contend(path)
	if err != nil {
		return err
	}
	if err := c.makeFolder(ctx); err != nil {
		return err
	}
	_ = c.release(ctx) // there is nothing
	if err := s.tidy(ctx); err != nil {
		return err
	}
	_, err = c.create(s.link.conn, nil, true)
	return err
}

// SessionsAgain writes records of sessions as if their paths were known.
func (s *Store) SessionsAgain(ctx context.Context, paths ...string) error {
	k := &records[discovery.SessionRecord]{branch: s.sessions.branch, s: s, texts: map[string][]byte{}}
	for _, path := range paths {
		k.texts[k.root+"/"+path] = []byte("{}")
	}
	return k.again(ctx)
}
