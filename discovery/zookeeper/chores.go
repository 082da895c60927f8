// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/go-zookeeper/zk"
)

// ephemeral is a node that is to be there as long as this process has a ZooKeeper session.
type ephemeral struct {
	folder  string
	prefix  string // of its name, unique; ZooKeeper appends the number
	data    string
	session int64  // in which it was made; 0 means that it is to be made
	path    string // where it is
}

// chores is what Run does besides following: nodes that are to be there, and to be gone.
type chores struct {
	turn chan struct{} // capacity 1: full while somebody makes or removes ephemerals
	mu   *sync.Mutex
	keep map[string]*ephemeral // by a key of the caller
	junk map[junk]bool
}

// junk are the nodes in a folder whose names have a word.
type junk struct{ folder, word string }

func newChores() chores {
	return chores{turn: make(chan struct{}, 1), mu: &sync.Mutex{}, keep: map[string]*ephemeral{}, junk: map[junk]bool{}}
}

// discard notes nodes that must go.
func (c chores) discard(folder, word string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.junk[junk{folder, word}] = true
}

func (c chores) begin(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c chores) finish() { <-c.turn }

// tidy makes the ephemerals that are missing and removes junk.
func (s *Store) tidy(ctx context.Context) error {
	if err := s.chores.begin(ctx); err != nil {
		return err
	}
	defer s.chores.finish()
	var faults []error
	s.chores.mu.Lock()
	missing := s.missingLocked()
	rubbish := make([]junk, 0, len(s.chores.junk))
	for j := range s.chores.junk {
		rubbish = append(rubbish, j)
	}
	s.chores.mu.Unlock()
	for _, e := range missing {
		faults = append(faults, s.announce(ctx, e))
	}
	for _, j := range rubbish {
		faults = append(faults, s.sweep(ctx, j))
	}
	return errors.Join(faults...)
}

func (s *Store) missingLocked() (missing []*ephemeral) {
	session := s.link.conn.SessionID()
	for _, e := range s.chores.keep {
		if e.session != session {
			missing = append(missing, e)
		}
	}
	return missing
}

// announce makes an ephemeral unless it is there.
func (s *Store) announce(ctx context.Context, e *ephemeral) error {
	session := s.link.conn.SessionID()
	path, err := ask(ctx, s.link, func(c *zk.Conn, _ bool) (string, error) {
		if path, err := findOurs(c, e); path != "" || err != nil {
			return path, err
		}
		return c.Create(e.folder+"/"+e.prefix, []byte(e.data), zk.FlagEphemeralSequential, s.ours())
	})
	if err != nil {
		return err
	}
	s.chores.mu.Lock()
	defer s.chores.mu.Unlock()
	e.path, e.session = path, session // of before, so that a change in between is seen
	return nil
}

// findOurs finds an ephemeral that this ZooKeeper session made.
func findOurs(c *zk.Conn, e *ephemeral) (string, error) {
	names, _, err := c.Children(e.folder)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, e.prefix) {
			continue
		}
		there, stat, err := c.Exists(e.folder + "/" + name)
		if err != nil {
			return "", err
		}
		if there && stat.EphemeralOwner == c.SessionID() {
			return e.folder + "/" + name, nil
		}
	}
	return "", nil
}

// sweep removes junk.
func (s *Store) sweep(ctx context.Context, j junk) error {
	names, err := s.children(ctx, j.folder)
	for _, name := range names {
		if strings.Contains(name, j.word) {
			err = errors.Join(err, s.delete(ctx, j.folder+"/"+name))
		}
	}
	if err != nil {
		return err
	}
	s.chores.mu.Lock()
	defer s.chores.mu.Unlock()
	delete(s.chores.junk, j)
	return nil
}

// delete removes a node if it is there.
func (s *Store) delete(ctx context.Context, path string) error {
	err := s.do(ctx, func(c *zk.Conn) error { return c.Delete(path, -1) })
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return err
}

// present has an ephemeral be there until absent.
func (s *Store) present(ctx context.Context, key string, e *ephemeral) error {
	if err := s.chores.begin(ctx); err != nil {
		return err
	}
	defer s.chores.finish()
	if err := s.announce(ctx, e); err != nil {
		return err
	}
	s.chores.mu.Lock()
	old := s.chores.keep[key]
	s.chores.keep[key] = e
	s.chores.mu.Unlock()
	if old != nil && old.path != e.path {
		return s.delete(ctx, old.path)
	}
	return nil
}

// absent ends present. There may be a second node, of a request that was answered late.
func (s *Store) absent(ctx context.Context, key string) error {
	if err := s.chores.begin(ctx); err != nil {
		return err
	}
	defer s.chores.finish()
	s.chores.mu.Lock()
	e := s.chores.keep[key]
	delete(s.chores.keep, key)
	s.chores.mu.Unlock()
	if e == nil {
		return nil
	}
	return s.sweep(ctx, junk{e.folder, e.prefix})
}
