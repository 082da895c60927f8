// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"

	"roundhouse/discovery"
	"roundhouse/internal/secret"
)

// sameTree makes again what was in ZooKeeper if that came back without its data: before anybody hears that
// all is gone, and for whoever knows more than the gateway that was first.
func (s *Store) sameTree(ctx context.Context) error {
	if s.link.isGuarded() { // in this ZooKeeper session it was looked at
		return nil
	}
	session := s.link.conn.SessionID()
	made, err := guard(ctx, s.link, s.kept())
	if errors.Is(err, zk.ErrNoNode) || err == nil && s.made != 0 && made != s.made {
		if err := s.restore(ctx); err != nil {
			return err
		}
		s.options.Log.Warn("ZooKeeper had lost its data; what is known here was written again")
		made, err = guard(ctx, s.link, s.kept())
	}
	if err == nil {
		s.made = made
		s.link.guard(session)
	}
	return err
}

// guard sets a watch that never fires, so that each connection which takes up the session begins with
// the library's request to set its watches again (socket). It returns when the node was made.
func guard(ctx context.Context, l *link, kept string) (made int64, err error) {
	return ask(ctx, l, func(c *zk.Conn, _ bool) (int64, error) {
		_, stat, _, err := c.GetW(kept)
		if err != nil {
			return 0, err
		}
		return stat.Ctime, nil
	})
}

// kept is the node for the guard.
func (s *Store) kept() string { return s.recordsRoot() + "/" + keeper }

// restore makes the layout, all records that are known here and the spaces of their engines.
func (s *Store) restore(ctx context.Context) error {
	s.rooted.Clear()
	err := s.makeLayout(ctx)
	if err != nil {
		return err
	}
	for _, again := range []func(context.Context) error{s.sessions.again, s.engines.again, s.tokens.again, s.disabled.again, s.openAgain} {
		err = errors.Join(err, again(ctx))
	}
	return err
}

// again creates the records that are known here, but for those that are there.
func (k *records[R]) again(ctx context.Context) error {
	k.mu.Lock()
	texts := maps.Clone(k.texts)
	k.mu.Unlock()
	var all errgroup.Group
	all.SetLimit(readers)
	for path, text := range texts {
		all.Go(func() error {
			if _, err := k.makeNode(ctx, path, text); !errors.Is(err, zk.ErrNodeExists) {
				return err
			}
			return nil
		})
	}
	return all.Wait()
}

// openAgain opens the spaces of all engines that are known here. Another gateway may have launched more there.
func (s *Store) openAgain(ctx context.Context) error {
	spaces := map[string][]discovery.Credential{}
	s.engines.mu.Lock()
	for _, text := range s.engines.texts {
		var r discovery.EngineRecord
		if json.Unmarshal(text, &r) != nil {
			continue
		}
		for _, cluster := range s.options.Secrets {
			key := secret.Derive(cluster, secret.LabelZooKeeper, r.RefID)
			spaces[r.Path] = append(spaces[r.Path], discovery.Credential{RefID: r.RefID, Key: key})
		}
	}
	s.engines.mu.Unlock()
	var err error
	for path, engines := range spaces {
		err = errors.Join(err, s.openSpace(ctx, path, engines, addRights))
	}
	return err
}

// addRights sets the rights on a space, and leaves engines those that they have.
func addRights(c *zk.Conn, space string, acl []zk.ACL) error {
	there, stat, err := c.GetACL(space)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(there, func(a zk.ACL) bool { return !strings.HasPrefix(a.ID, enginePart) || slices.Contains(acl, a) })
	_, err = c.SetACL(space, slices.Concat(acl, others), stat.Aversion)
	return err
}
