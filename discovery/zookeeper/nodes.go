// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"

	"roundhouse/discovery"
)

// Find returns the nodes below path, oldest first. Names that are none are left out.
func (s *Store) Find(ctx context.Context, path string) ([]discovery.Node, error) {
	space, err := s.space(path)
	if err != nil {
		return nil, err
	}
	names, err := s.spaces.names(ctx, space)
	return parseNodes(names), err
}

func parseNodes(names []string) (nodes []discovery.Node) {
	for _, name := range names {
		if n, err := discovery.ParseNode(name); err == nil {
			nodes = append(nodes, n)
		}
	}
	slices.SortFunc(nodes, func(a, b discovery.Node) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return nodes
}

// space is the full path of an engine space: root, owner and subdomain.
func (s *Store) space(path string) (string, error) {
	names, err := split(path)
	if err == nil && len(names) != 3 {
		err = fmt.Errorf("%w: %.80q is no engine space: /<root>/<owner>/<subdomain>", discovery.ErrInvalid, path)
	}
	return s.at(names...), err
}

// Watch sends the nodes below path at once and after each change, until ctx or the store ends; then it
// closes the channel. Of a space with more than maxInSpace nodes it sends nothing.
func (s *Store) Watch(ctx context.Context, path string) (<-chan []discovery.Node, error) {
	space, err := s.space(path)
	if err != nil {
		return nil, err
	}
	w := s.spaces.tree.watch(space)
	if err := s.spaces.tree.refresh(ctx); err != nil {
		s.spaces.tree.unwatch(w)
		s.spaces.tree.stir()
		return nil, err
	}
	lists := make(chan []discovery.Node)
	s.watching.Go(func() { // Close waits for it
		defer s.spaces.tree.unwatch(w)
		defer close(lists)
		s.deliver(ctx, w, lists)
	})
	return lists, nil
}

// deliver offers the newest list until it is taken.
func (s *Store) deliver(ctx context.Context, w *watcher, lists chan<- []discovery.Node) {
	var newest []discovery.Node
	var offer chan<- []discovery.Node
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.link.life.Done():
			return
		case names := <-w.names:
			newest, offer = parseNodes(names), lists
		case offer <- newest:
			offer = nil // nothing to offer until the next change
		}
	}
}

// OpenSpace makes an engine space or gives it to other engines.
func (s *Store) OpenSpace(ctx context.Context, path string, engines []discovery.Credential) error {
	return s.openSpace(ctx, path, engines, func(c *zk.Conn, space string, acl []zk.ACL) error {
		_, err := c.SetACL(space, acl, -1)
		return err
	})
}

// openSpace makes an engine space or has give see to the rights on the one that is there.
func (s *Store) openSpace(ctx context.Context, path string, engines []discovery.Credential, give func(c *zk.Conn, space string, acl []zk.ACL) error) error {
	space, err := s.space(path)
	if err := errors.Join(ctx.Err(), err); err != nil {
		return err
	}
	root, owner, _ := cutSpace(path)
	acl := s.ours()
	for _, c := range engines {
		acl = append(acl, may(zk.PermCreate, engine(c))...)
	}
	if err := s.root(ctx, s.at(root)); err != nil {
		return err
	}
	for range maxLayoutTries {
		err = s.do(ctx, func(c *zk.Conn) error { _, err := c.Create(space, nil, zk.FlagPersistent, acl); return err })
		if errors.Is(err, zk.ErrNodeExists) {
			err = s.do(ctx, func(c *zk.Conn) error { return give(c, space, acl) })
		}
		if errors.Is(err, zk.ErrBadVersion) { // somebody else has changed the rights
			continue
		}
		if !errors.Is(err, zk.ErrNoNode) {
			return err
		}
		err = s.folder(ctx, s.at(root, owner), zk.FlagPersistent)
		if errors.Is(err, zk.ErrNoNode) {
			s.rooted.Clear()
			err = s.root(ctx, s.at(root))
		}
		if err != nil {
			return err
		}
	}
	return err
}

func cutSpace(path string) (root, owner, subdomain string) {
	root, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	owner, subdomain, _ = strings.Cut(rest, "/")
	return root, owner, subdomain
}

// CloseSpace removes the space, and its owner's folder, unless there is something in it.
func (s *Store) CloseSpace(ctx context.Context, path string) error {
	space, err := s.space(path)
	if err := errors.Join(ctx.Err(), err); err != nil {
		return err
	}
	root, owner, _ := cutSpace(path)
	for _, empty := range []string{space, s.at(root, owner)} {
		if err := s.delete(ctx, empty); errors.Is(err, zk.ErrNotEmpty) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}
