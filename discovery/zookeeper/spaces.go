// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"

	"roundhouse/discovery"
)

const (
	// maxInSpace is how many nodes of an engine space are read. The user of an engine may
	// make nodes there, with names of up to 1 MiB each (jute.maxbuffer of the servers).
	maxInSpace = 16
	// maxSpacePacket has room for the nodes that come after they were counted.
	maxSpacePacket = 2 * maxInSpace << 20
	// spaceDepth is the number of names in the path of an engine space.
	spaceDepth = 3
)

// errCrowded is the error of a space with more nodes than are read.
var errCrowded = fmt.Errorf("%w: too many nodes in an engine space", discovery.ErrFull)

// spaces are the engine spaces as they are read: over a connection of their own, which alone
// suffers from what engines put into them.
type spaces struct {
	link *link
	tree *tree
	kept string // a node that stays, for the guard

	mu      sync.Mutex
	crowded map[string]bool // those that somebody was told of
}

func newSpaces(kept string) *spaces {
	p := &spaces{kept: kept, crowded: map[string]bool{}}
	p.tree = newTree(p.guard)
	p.tree.count = p.count
	return p
}

// guard does for this connection what Store.guard does for the other one.
func (p *spaces) guard(ctx context.Context) error {
	if p.link.isGuarded() {
		return nil
	}
	session := p.link.conn.SessionID()
	_, err := guard(ctx, p.link, p.kept)
	if err == nil {
		p.link.guard(session)
	}
	return err
}

// event is told of each event of the connection. The one of the guard uses the guard up.
func (p *spaces) event(e zk.Event) {
	if e.Path == p.kept {
		p.link.guard(0)
	}
	p.tree.event(e)
}

// run keeps the watched spaces up to date until ctx ends.
func (p *spaces) run(ctx context.Context) {
	for {
		err := p.tree.refresh(ctx)
		if ctx.Err() != nil {
			return
		}
		var again <-chan time.Time
		if p.tree.retry() || err != nil {
			again = time.After(retryAfter)
		}
		if err != nil {
			p.link.log.Debug("ZooKeeper: engine spaces cannot be read yet", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-p.tree.wake:
		case <-again:
		}
	}
}

// names are those in a space; none if it is not there.
func (p *spaces) names(ctx context.Context, space string) ([]string, error) {
	if err := p.count(ctx, space); err != nil {
		return nil, err
	}
	return orNone(readNames(ctx, p.link, space, false))
}

// count returns errCrowded for a space that is not to be read.
func (p *spaces) count(ctx context.Context, space string) error {
	count, err := ask(ctx, p.link, func(c *zk.Conn, _ bool) (int32, error) {
		there, stat, err := c.Exists(space)
		if err != nil || !there {
			return 0, err
		}
		return stat.NumChildren, nil
	})
	if err != nil {
		return err
	}
	if count > maxInSpace {
		err = fmt.Errorf("%w: %d nodes are in %s, more than %d, which a user may have made with the rights of an engine; no engine of this space "+
			"is found. An administrator deletes it as the superuser of ZooKeeper: deleteall %[3]s in zkCli.sh, with a jute.maxbuffer of 1 MiB for each node",
			errCrowded, count, space, maxInSpace)
	}
	p.note(space, err)
	return err
}

// note logs once that a space is crowded, until it is not any more.
func (p *spaces) note(space string, crowded error) {
	p.mu.Lock()
	before := p.crowded[space]
	if crowded == nil {
		delete(p.crowded, space)
	} else {
		p.crowded[space] = true
	}
	p.mu.Unlock()
	if crowded != nil && !before {
		p.link.log.Warn("an engine space in ZooKeeper is not read", "err", crowded)
	}
}

// below are the names below a path of the root of a share level. What is in the nodes of a space
// is nobody's business.
func (s *Store) below(ctx context.Context, path string) ([]string, error) {
	switch strings.Count(strings.TrimPrefix(path, s.options.Chroot), "/") {
	case 1, 2:
		return orNone(readNames(ctx, s.spaces.link, path, false))
	case spaceDepth:
		return s.spaces.names(ctx, path)
	}
	return nil, nil
}

// orNone turns the names in what is not there into none.
func orNone(names []string, err error) ([]string, error) {
	if errors.Is(err, zk.ErrNoNode) {
		return nil, nil
	}
	return names, err
}

// SweepSpace removes what is in the space and no node, or none that good names. A node that has nodes
// in it, which only who made it and the superuser may delete, stays.
func (s *Store) SweepSpace(ctx context.Context, path string, good func(discovery.Node) bool) (removed int, err error) {
	space, err := s.space(path)
	if err := errors.Join(ctx.Err(), err); err != nil {
		return 0, err
	}
	names, err := s.spaces.names(ctx, space)
	if err != nil {
		return 0, err
	}
	stay := 0
	for _, name := range names {
		if n, fault := discovery.ParseNode(name); fault == nil && good(n) {
			continue
		}
		switch err := s.delete(ctx, space+"/"+name); {
		case errors.Is(err, zk.ErrNotEmpty):
			stay++
		case err != nil:
			return removed, err
		default:
			removed++
		}
	}
	if stay > 0 {
		err = fmt.Errorf("%w: a user has put nodes into %d of those in %s with the rights of an engine. An administrator deletes them as the "+
			"superuser of ZooKeeper (deleteall in zkCli.sh)", zk.ErrNotEmpty, stay, space)
	}
	return removed, err
}

// Spaces are the paths of all engine spaces.
func (s *Store) Spaces(ctx context.Context) (paths []string, err error) {
	for _, level := range levels {
		root := s.engineRoot(level)
		owners, err := s.below(ctx, s.at(root))
		if err != nil {
			return nil, err
		}
		below, err := s.spacesOf(ctx, root, slices.DeleteFunc(owners, func(name string) bool { return name == keeper }))
		if err != nil {
			return nil, err
		}
		paths = append(paths, below...)
	}
	return paths, nil
}

// spacesOf are the paths of the engine spaces of all owners below a root.
func (s *Store) spacesOf(ctx context.Context, root string, owners []string) ([]string, error) {
	lists := make([][]string, len(owners))
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(readers)
	for i, owner := range owners {
		all.Go(func() error {
			subdomains, err := s.below(ctx, s.at(root, owner))
			for _, subdomain := range subdomains {
				lists[i] = append(lists[i], "/"+root+"/"+owner+"/"+subdomain)
			}
			return err
		})
	}
	err := all.Wait()
	return slices.Concat(lists...), err
}
