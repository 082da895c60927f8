// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/google/uuid"

	"roundhouse/discovery"
)

const (
	lockPrefix     = "lock-"
	sequenceDigits = 10 // that ZooKeeper appends
)

// contender is one that wants a lock: an ephemeral sequential node in the lock's folder. The lowest
// number has the lock; each other one watches the one before it.
type contender struct {
	s      *Store
	root   string
	names  []string // of the folder, below root
	folder string
	guid   string      // finds our node when the answer with its name was lost
	name   string      // of the node, "" without one
	over   atomic.Bool // nobody waits for the node any more
}

// Lock waits for the lock of path or for ctx. A path of a root of this namespace,
// such as /kyuubi_1_USER_SPARK_CONNECT_lock/alice/default, is used as it is; any other one is below the records.
func (s *Store) Lock(ctx context.Context, path string) (unlock func() error, err error) {
	c, err := s.contend(path)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	err = c.acquire(ctx)
	if err == nil {
		// The node of the holder before is gone, here too, so all events of what it wrote have come.
		err = s.tree.refresh(ctx)
	}
	if err != nil {
		s.tree.stir()
		_ = c.release(ctx)
		return nil, err
	}
	return sync.OnceValue(func() error { return c.release(ctx) }), nil
}

func (s *Store) contend(path string) (*contender, error) {
	names, err := split(path)
	if err != nil {
		return nil, err
	}
	c := &contender{s: s, guid: uuid.NewString(), root: s.recordsRoot() + "/locks", names: names}
	if strings.HasPrefix(names[0], s.options.Namespace+"_") && len(names) > 1 {
		if !strings.HasSuffix(names[0], "_lock") {
			names[0] += "_lock"
		}
		c.root, c.names = s.at(names[0]), names[1:]
	} else {
		for i, name := range names {
			names[i] = escape(name)
		}
	}
	c.folder = c.root + "/" + strings.Join(c.names, "/")
	return c, nil
}

func (c *contender) acquire(ctx context.Context) error {
	for {
		if c.name == "" {
			if err := c.enter(ctx); err != nil {
				return err
			}
		}
		names, err := c.s.children(ctx, c.folder)
		if err != nil {
			return err
		}
		before, there := predecessor(names, c.name)
		switch {
		case !there: // the ZooKeeper session expired
			c.name = ""
		case before == "":
			return nil
		default:
			if err := c.wait(ctx, c.folder+"/"+before); err != nil {
				return err
			}
		}
	}
}

// enter makes the node.
func (c *contender) enter(ctx context.Context) error {
	owner, err := json.Marshal(c.s.options.Self)
	if err != nil {
		return fmt.Errorf("discovery: encode: %w", err)
	}
	for range maxLayoutTries {
		name, err := ask(ctx, c.s.link, func(conn *zk.Conn, again bool) (string, error) { return c.create(conn, owner, again) })
		if err == nil {
			c.name = name[strings.LastIndex(name, "/")+1:]
			return nil
		}
		if !errors.Is(err, zk.ErrNoNode) {
			return err
		}
		if err := c.makeFolder(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: the folder of the lock %s is removed by others all the time", discovery.ErrAway, c.folder)
}

// create sends the request for the node, maybe long after release.
func (c *contender) create(conn *zk.Conn, owner []byte, again bool) (string, error) {
	if again {
		if name, err := c.find(conn); name != "" || err != nil {
			return name, err
		}
	}
	name, err := conn.Create(c.folder+"/"+lockPrefix+c.guid+"-", owner, zk.FlagEphemeralSequential, c.s.ours())
	if c.over.Load() {
		c.discard()
	}
	return name, err
}

// discard has Run remove what there is of the node.
func (c *contender) discard() {
	c.s.chores.discard(c.folder, c.guid)
	c.s.tree.stir()
}

func (c *contender) makeFolder(ctx context.Context) error {
	if c.root != c.s.recordsRoot()+"/locks" {
		if err := c.s.root(ctx, c.root); err != nil {
			return err
		}
	}
	err := c.s.folders(ctx, c.root, c.names, zk.FlagContainer)
	if errors.Is(err, zk.ErrNoNode) { // an empty container went meanwhile, or somebody deleted all
		return c.s.remake(ctx)
	}
	return err
}

func (c *contender) find(conn *zk.Conn) (string, error) {
	names, _, err := conn.Children(c.folder)
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return "", err
	}
	for _, name := range names {
		if strings.Contains(name, c.guid) {
			return name, nil
		}
	}
	return "", nil
}

// predecessor finds the highest node below ours.
func predecessor(names []string, ours string) (before string, there bool) {
	mine, best := sequence(ours), int64(-1)
	for _, name := range names {
		switch n := sequence(name); {
		case name == ours:
			there = true
		case strings.HasPrefix(name, lockPrefix) && n < mine && n > best:
			before, best = name, n
		}
	}
	return before, there
}

// sequence is the number at the end of a name, or -1.
func sequence(name string) int64 {
	if len(name) < sequenceDigits {
		return -1
	}
	n, err := strconv.ParseInt(name[len(name)-sequenceDigits:], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// wait waits until a node is gone. It may return before.
func (c *contender) wait(ctx context.Context, path string) error {
	before, err := ask(ctx, c.s.link, func(conn *zk.Conn, _ bool) (watched, error) {
		data, _, gone, err := conn.GetW(path)
		return watched{data, gone}, err
	})
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	look := time.NewTimer(retryAfter) // our own node may have gone before the watch was set
	defer look.Stop()
	select {
	case <-before.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-look.C:
		if c.dead(before.owner) {
			return c.breakLock(ctx, path)
		}
		return nil
	}
}

// watched is the node of another contender.
type watched struct {
	owner []byte
	gone  <-chan zk.Event
}

// dead says whether the gateway that a node is of has ended.
func (c *contender) dead(holder []byte) bool {
	var o discovery.Owner
	return json.Unmarshal(holder, &o) == nil && c.s.options.Dead(o)
}

// breakLock removes the node of a gateway that has ended, which ZooKeeper would do later.
func (c *contender) breakLock(ctx context.Context, path string) error {
	c.s.options.Log.Info("the lock of a gateway that has ended is broken", "path", path)
	err := c.s.do(ctx, func(conn *zk.Conn) error { return conn.Delete(path, -1) })
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return err
}

// release removes the node, at once or when ZooKeeper is back; ctx may have ended. It
// answers discovery.ErrConflict if the node may have been gone before.
func (c *contender) release(ctx context.Context) error {
	c.over.Store(true)
	ctx = context.WithoutCancel(ctx)
	err := fmt.Errorf("%w: the lock %s was lost", discovery.ErrConflict, c.folder)
	if c.name != "" {
		fault := c.s.do(ctx, func(conn *zk.Conn) error { return conn.Delete(c.folder+"/"+c.name, -1) })
		if fault == nil {
			return nil
		}
		if errors.Is(fault, zk.ErrNoNode) {
			return err
		}
	}
	c.discard()
	return err
}
