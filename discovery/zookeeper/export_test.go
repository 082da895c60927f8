// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"context"

	"github.com/go-zookeeper/zk"
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
