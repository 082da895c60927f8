// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"

	"roundhouse/discovery"
)

const (
	// keeper is a node in each root. It keeps the root from being empty: who may
	// write to the root of the ensemble, often everybody, may delete what is empty there. No name of a user has
	// these letters (escape).
	keeper = "(kept)"
	// maxLayoutTries bounds the race with others who make and delete the same node.
	maxLayoutTries = 10
	protocol       = "1" // the engine protocol in the name of a root, as in Kyuubi's layout
	engineType     = "SPARK_CONNECT"
)

// levels are the share levels whose roots are made at the start. It is immutable.
var levels = []string{"CONNECTION", "USER", "GROUP", "SERVER"}

// escape makes one node name of any text.
func escape(text string) string {
	if text == "." || text == ".." {
		return strings.ReplaceAll(text, ".", "%2E")
	}
	return url.PathEscape(text)
}

// at is the full path of something below the chroot.
func (s *Store) at(path ...string) string { return s.options.Chroot + "/" + strings.Join(path, "/") }

func (s *Store) serversRoot() string { return s.at(s.options.Namespace + "_spark_connect") }
func (s *Store) recordsRoot() string { return s.at(s.options.Namespace + "_spark_connect_records") }

// split reads the path of an engine space or lock.
func split(path string) (names []string, err error) {
	names = strings.Split(strings.TrimPrefix(path, "/"), "/")
	if len(path) > discovery.MaxKey || slices.ContainsFunc(names, func(n string) bool { return n == "" || n == "." || n == ".." }) {
		return nil, fmt.Errorf("%w: %.80q is no path of ZooKeeper", discovery.ErrInvalid, path)
	}
	return names, nil
}

// makeLayout makes the roots, and the folders of records.
func (s *Store) makeLayout(ctx context.Context) error {
	if err := s.findChroot(ctx); err != nil {
		return err
	}
	roots := []string{s.serversRoot(), s.recordsRoot()}
	for _, level := range levels {
		engines := s.engineRoot(level)
		roots = append(roots, s.at(engines), s.at(engines+"_lock"))
	}
	for _, root := range roots {
		if err := s.root(ctx, root); err != nil {
			return err
		}
	}
	for _, folder := range []string{"sessions", "engines", "tokens", "disabled", "locks"} {
		if err := s.folder(ctx, s.recordsRoot()+"/"+folder, 0); err != nil {
			return err
		}
	}
	return nil
}

// engineRoot is the name of the root of the engines of a share level.
func (s *Store) engineRoot(level string) string {
	return strings.Join([]string{s.options.Namespace, protocol, level, engineType}, "_")
}

// remake makes the layout again after somebody, who can only be an administrator, deleted it.
func (s *Store) remake(ctx context.Context) error {
	s.rooted.Clear()
	return s.makeLayout(ctx)
}

func (s *Store) findChroot(ctx context.Context) error {
	if s.options.Chroot == "" {
		return nil
	}
	err := s.do(ctx, func(c *zk.Conn) error { _, _, err := c.Get(s.options.Chroot); return err })
	if errors.Is(err, zk.ErrNoNode) {
		return fmt.Errorf("the path %s of kyuubi.ha.addresses is not in ZooKeeper: make it (create %[1]s), or leave it out", s.options.Chroot)
	}
	if errors.Is(err, zk.ErrNoAuth) { // it may be written to all the same
		return nil
	}
	return err
}

// root makes a root, or takes it over from whoever made it if nobody can have put anything into it.
func (s *Store) root(ctx context.Context, path string) error {
	if _, ok := s.rooted.Load(path); ok {
		return nil
	}
	err := errUnsettled
	for try := 0; try < maxLayoutTries && errors.Is(err, errUnsettled); try++ {
		err = s.do(ctx, func(c *zk.Conn) error { _, err := c.Multi(s.rootRequests(path)...); return err })
		switch {
		case errors.Is(err, zk.ErrNodeExists):
			err = s.takeOver(ctx, path)
		case errors.Is(err, zk.ErrNoAuth):
			err = fmt.Errorf("the gateway may not make %s in ZooKeeper: give the user of kyuubi.ha.zookeeper.auth.digest the right to create nodes "+
				"beside it, or name a path where it may in kyuubi.ha.addresses", path)
		}
	}
	if err == nil {
		s.rooted.Store(path, true)
	}
	return err
}

var errUnsettled = errors.New("ZooKeeper: others change the same node")

func (s *Store) rootRequests(path string) []any {
	return []any{
		&zk.CreateRequest{Path: path, Data: s.seal(path), Acl: s.ours(), Flags: zk.FlagPersistent},
		&zk.CreateRequest{Path: path + "/" + keeper, Acl: s.ours(), Flags: zk.FlagPersistent},
	}
}

// takeOver is root for a node that is there.
func (s *Store) takeOver(ctx context.Context, path string) error {
	content, err := readData(ctx, s.link, path, false)
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return errUnsettled
	case errors.Is(err, zk.ErrNoAuth):
		return fmt.Errorf("%s in ZooKeeper belongs to gateways with another cluster secret, or to somebody else: give all gateways of a "+
			"kyuubi.ha.namespace the same file kyuubi.server.cluster.secret.file, or this one another namespace", path)
	case err != nil:
		return err
	case !s.sealed(path, content):
		return s.replace(ctx, path)
	case bytes.Equal(content, s.seal(path)):
		return nil
	}
	return s.do(ctx, func(c *zk.Conn) error { // the secrets have changed
		_, err := c.SetACL(path, s.ours(), -1)
		if err == nil {
			_, err = c.Set(path, s.seal(path), -1)
		}
		return err
	})
}

// replace puts our root in the place of a foreign one that is empty. What others have put into theirs
// is neither deleted nor believed.
func (s *Store) replace(ctx context.Context, path string) error {
	requests := append([]any{&zk.DeleteRequest{Path: path, Version: -1}}, s.rootRequests(path)...)
	err := s.do(ctx, func(c *zk.Conn) error { _, err := c.Multi(requests...); return err })
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return errUnsettled
	case errors.Is(err, zk.ErrNotEmpty), errors.Is(err, zk.ErrNoAuth):
		return fmt.Errorf("%s in ZooKeeper was made by somebody else, who may change what is in it: look at it and delete it (deleteall %[1]s), "+
			"then start the gateway again", path)
	}
	return err
}

// folder makes one node without content for gateways only, if it is not there.
func (s *Store) folder(ctx context.Context, path string, flags int32) error {
	err := s.do(ctx, func(c *zk.Conn) (err error) {
		if flags == zk.FlagContainer {
			_, err = c.CreateContainer(path, nil, flags, s.ours())
			return err
		}
		_, err = c.Create(path, nil, flags, s.ours())
		return err
	})
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

// folders makes the nodes between a root and something below it. A container goes by itself when
// it is empty again.
func (s *Store) folders(ctx context.Context, root string, names []string, flags int32) error {
	for i := range names {
		if err := s.folder(ctx, root+"/"+strings.Join(names[:i+1], "/"), flags); err != nil {
			return err
		}
	}
	return nil
}

// renewRights gives the newest cluster secret all rights on what was made with an older one, so
// that the older one can be taken away.
func (s *Store) renewRights(ctx context.Context) error {
	top, err := s.children(ctx, s.options.Chroot+"/")
	if errors.Is(err, zk.ErrNoAuth) {
		top, err = []string{strings.TrimPrefix(s.recordsRoot(), s.options.Chroot+"/")}, nil
	}
	for _, name := range top {
		if strings.HasPrefix(name, s.options.Namespace+"_") && strings.Contains(strings.ToUpper(name), "_"+engineType) {
			below := s.children
			if strings.HasSuffix(name, engineType) {
				below = s.below
			}
			err = errors.Join(err, s.renewBelow(ctx, s.at(name), below))
		}
	}
	return err
}

func (s *Store) renewBelow(ctx context.Context, path string, below func(ctx context.Context, path string) ([]string, error)) error {
	acl, err := ask(ctx, s.link, func(c *zk.Conn, _ bool) ([]zk.ACL, error) { acl, _, err := c.GetACL(path); return acl, err })
	if errors.Is(err, zk.ErrNoNode) || errors.Is(err, zk.ErrNoAuth) {
		return nil // gone meanwhile, or an engine's own
	}
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(acl, func(a zk.ACL) bool { return a.Perms == zk.PermAll || !strings.HasPrefix(a.ID, enginePart) })
	err = s.do(ctx, func(c *zk.Conn) error { _, err := c.SetACL(path, append(s.ours(), others...), -1); return err })
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	names, err := below(ctx, path)
	if errors.Is(err, errCrowded) { // which was told
		return nil
	}
	for _, name := range names {
		err = errors.Join(err, s.renewBelow(ctx, path+"/"+name, below))
	}
	return err
}

// children are the names below a path; none if it is not there.
func (s *Store) children(ctx context.Context, path string) ([]string, error) {
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return orNone(readNames(ctx, s.link, path, false))
}
