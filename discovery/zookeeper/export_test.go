// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"context"
	"errors"

	"github.com/go-zookeeper/zk"

	"roundhouse/discovery"
)

// What the tests, which are outside because the servers come from a package that uses this one, may touch.

func (s *Store) Conn() *zk.Conn  { return s.link.conn }
func (e *Engine) Conn() *zk.Conn { return e.link.conn }

// Drop breaks the connection.
func (s *Store) Drop() { s.link.drop() }

func (s *Store) Up() bool {
	up, _, _ := s.link.state()
	return up
}

func (s *Store) Settings() Options        { return s.options }
func (s *Store) At(path ...string) string { return s.at(path...) }
func (s *Store) RecordsRoot() string      { return s.recordsRoot() }
func (s *Store) Ours() []zk.ACL           { return s.ours() }
func (s *Store) Password() string         { return s.who[0].password }
func (e *Engine) Path() string            { return e.path }

func (s *Store) Children(ctx context.Context, path string) ([]string, error) {
	return s.children(ctx, path)
}

// Register makes the node of an engine on behalf of this gateway: it goes with the gateway's ZooKeeper
// session. Engines make theirs themselves (Engine).
func (s *Store) Register(ctx context.Context, path string, n discovery.Node) error {
	n.Sequence = 0
	space, err := s.space(path)
	if err := errors.Join(ctx.Err(), err, discovery.CheckKey(n.RefID), n.Check()); err != nil {
		return err
	}
	if err := s.spaces.count(ctx, space); err != nil {
		return err
	}
	e := &ephemeral{folder: space, prefix: prefix(n), data: n.Address}
	for range maxLayoutTries {
		if err = s.present(ctx, space+"/"+n.RefID, e); !errors.Is(err, zk.ErrNoNode) {
			return err
		}
		if err := s.OpenSpace(ctx, path, nil); err != nil {
			return err
		}
	}
	return err
}

// Deregister removes the node of an engine, whoever made it, if there is one.
func (s *Store) Deregister(ctx context.Context, path, refID string) error {
	space, err := s.space(path)
	if err := errors.Join(ctx.Err(), err, discovery.CheckKey(refID)); err != nil {
		return err
	}
	if err := s.absent(ctx, space+"/"+refID); err != nil {
		return err
	}
	names, err := s.spaces.names(ctx, space)
	for _, name := range names {
		if n, parseErr := discovery.ParseNode(name); parseErr == nil && n.RefID == refID {
			err = errors.Join(err, s.delete(ctx, space+"/"+name))
		}
	}
	return err
}

// DropSpaces breaks the connection for engine spaces.
func (s *Store) DropSpaces() { s.spaces.link.drop() }

// SpacesGuarded says whether that connection has its guard.
func (s *Store) SpacesGuarded() bool { return s.spaces.link.isGuarded() }

// OpenAgain opens the spaces of all engines that are known.
func (s *Store) OpenAgain(ctx context.Context) error { return s.openAgain(ctx) }
