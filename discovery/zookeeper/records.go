// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/go-zookeeper/zk"

	"roundhouse/discovery"
)

// maxRecordTries bounds the race with other gateways for one record.
const maxRecordTries = 100

// records are those of one kind, a node each: what is known of them, and who follows them.
type records[R any] struct {
	*branch
	s     *Store
	what  string
	limit int
	key   func(R) []string
	named func(key []string) R // a record with nothing but its key
	// unread stands for a record that cannot be read; nil: it is left out.
	unread func(key []string) R
	// merge gives what to write over a stored record; nil if that does not matter.
	merge func(old, r R) (R, error)

	mu        sync.Mutex
	texts     map[string][]byte // by path; the texts are immutable
	followers map[*follower[R]]bool
}

type follower[R any] struct {
	mu    sync.Mutex
	ended bool
	told  discovery.Told[R]
}

func (f *follower[R]) tell(r R, gone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.told(r, gone)
	}
}

// kind completes the records below a folder, levels deep.
func kind[R any](k *records[R], folder string, levels int) *records[R] {
	k.what = strings.TrimSuffix(folder, "s")
	k.texts, k.followers = map[string][]byte{}, map[*follower[R]]bool{}
	k.branch = &branch{root: k.s.recordsRoot() + "/" + folder, levels: levels, opaque: k.unread != nil, changed: k.takeIn}
	return k
}

// takeIn is called by the tree, one node at a time.
func (k *records[R]) takeIn(path string, text []byte, gone bool) {
	var r R
	k.mu.Lock()
	old, known := k.texts[path]
	if gone {
		r = k.named(k.keyOf(path))
	} else if err := k.decode(path, text, &r); err != nil {
		k.s.options.Log.Warn("a record in ZooKeeper cannot be read", "path", path, "err", err)
		r, text, gone = k.instead(path)
	}
	same := gone && !known || !gone && known && bytes.Equal(old, text)
	if gone {
		delete(k.texts, path)
	} else {
		k.texts[path] = text
	}
	followers := slices.Collect(maps.Keys(k.followers))
	k.mu.Unlock()
	for _, f := range followers {
		if !same {
			f.tell(r, gone)
		}
	}
}

// instead is what counts in place of a record that cannot be read.
func (k *records[R]) instead(path string) (r R, text []byte, gone bool) {
	key := k.keyOf(path)
	if k.unread == nil {
		return k.named(key), nil, true
	}
	r = k.unread(key)
	text, err := discovery.Encode(r)
	return r, text, err != nil
}

func (k *records[R]) path(key []string) string {
	names := make([]string, len(key))
	for i, part := range key {
		names[i] = escape(part)
	}
	return k.root + "/" + strings.Join(names, "/")
}

func (k *records[R]) keyOf(path string) []string {
	key := strings.Split(strings.TrimPrefix(path, k.root+"/"), "/")
	for i, name := range key {
		if plain, err := url.PathUnescape(name); err == nil {
			key[i] = plain
		}
	}
	return key
}

// decode refuses a record that is not at its place.
func (k *records[R]) decode(path string, text []byte, r *R) error {
	if err := json.Unmarshal(text, r); err != nil {
		return err
	}
	if k.path(k.key(*r)) != path {
		return errors.New("its content belongs elsewhere")
	}
	return nil
}

// all are the records as far as they are known here.
func (k *records[R]) all(ctx context.Context) ([]R, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k.mu.Lock()
	texts := maps.Clone(k.texts)
	k.mu.Unlock()
	var all []R
	for _, path := range slices.Sorted(maps.Keys(texts)) {
		var r R
		if err := json.Unmarshal(texts[path], &r); err != nil {
			return nil, fmt.Errorf("discovery: record %s: %w", path, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// get asks ZooKeeper, where another gateway may just have written the record.
func (k *records[R]) get(ctx context.Context, key ...string) (r R, err error) {
	if err := errors.Join(ctx.Err(), discovery.CheckKey(key...)); err != nil {
		return r, err
	}
	path := k.path(key)
	if err := k.s.do(ctx, func(c *zk.Conn) error { _, err := c.Sync(k.root); return err }); err != nil {
		return r, err
	}
	text, _, err := k.read(ctx, path)
	if err != nil {
		return r, err
	}
	if text == nil {
		return r, fmt.Errorf("%w: %s %s", discovery.ErrNotFound, k.what, strings.Join(key, " "))
	}
	return r, k.decode(path, text, &r)
}

// read returns nil for a record that is not there.
func (k *records[R]) read(ctx context.Context, path string) (text []byte, version int32, err error) {
	stat, err := ask(ctx, k.s.link, func(c *zk.Conn, _ bool) (*stored, error) {
		text, stat, err := c.Get(path)
		return &stored{text, stat}, err
	})
	if errors.Is(err, zk.ErrNoNode) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	return stat.text, stat.Version, nil
}

type stored struct {
	text []byte
	*zk.Stat
}

// add creates a record, or returns discovery.ErrExists.
func (k *records[R]) add(ctx context.Context, r R) error {
	path, text, err := k.encode(ctx, r)
	if err != nil {
		return err
	}
	again, err := k.create(ctx, path, text)
	if errors.Is(err, zk.ErrNodeExists) && again {
		old, _, readErr := k.read(ctx, path)
		if readErr != nil {
			return readErr
		}
		if bytes.Equal(old, text) {
			err = nil
		}
	}
	if errors.Is(err, zk.ErrNodeExists) {
		return fmt.Errorf("%w: %s %s", discovery.ErrExists, k.what, strings.Join(k.key(r), " "))
	}
	return k.settle(ctx, err)
}

// put creates or replaces a record.
func (k *records[R]) put(ctx context.Context, r R) error { return k.write(ctx, r, k.merge, true) }

// replace replaces a record, or returns discovery.ErrNotFound.
func (k *records[R]) replace(ctx context.Context, r R, merge func(old, r R) (R, error)) error {
	return k.write(ctx, r, merge, false)
}

// write replaces a record by what merge (nil: r itself) makes of the stored one and r.
func (k *records[R]) write(ctx context.Context, r R, merge func(old, r R) (R, error), create bool) error {
	path, text, err := k.encode(ctx, r)
	if err != nil {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	var written []byte
	for range maxRecordTries {
		old, version, err := k.read(ctx, path)
		switch {
		case err != nil:
			return err
		case written != nil && bytes.Equal(old, written):
			return k.settle(ctx, nil)
		case old == nil && !create:
			return fmt.Errorf("%w: %s %s", discovery.ErrNotFound, k.what, strings.Join(k.key(r), " "))
		case old == nil:
			written = text
			_, err = k.create(ctx, path, text)
		default:
			if written, err = over(old, r, merge); err != nil {
				return err
			}
			err = k.s.do(ctx, func(c *zk.Conn) error { _, err := c.Set(path, written, version); return err })
		}
		if !errors.Is(err, zk.ErrNodeExists) && !errors.Is(err, zk.ErrBadVersion) && !errors.Is(err, zk.ErrNoNode) {
			return k.settle(ctx, err)
		}
	}
	return fmt.Errorf("%w: %s %s is changed by others all the time", discovery.ErrAway, k.what, strings.Join(k.key(r), " "))
}

// over is the text to write over a stored one. What cannot be read is replaced.
func over[R any](old []byte, r R, merge func(old, r R) (R, error)) ([]byte, error) {
	var stored R
	if merge != nil && json.Unmarshal(old, &stored) == nil {
		var err error
		if r, err = merge(stored, r); err != nil {
			return nil, err
		}
	}
	return discovery.Encode(r)
}

func (k *records[R]) encode(ctx context.Context, r R) (path string, text []byte, err error) {
	key := k.key(r)
	if err := errors.Join(ctx.Err(), discovery.CheckKey(key...)); err != nil {
		return "", nil, err
	}
	text, err = discovery.Encode(r)
	return k.path(key), text, err
}

// create makes the node of a record and the folder that it is in. Again says that it may have been made
// by a request whose answer was lost.
func (k *records[R]) create(ctx context.Context, path string, text []byte) (again bool, err error) {
	if err := k.room(); err != nil {
		return false, err
	}
	return k.makeNode(ctx, path, text)
}

func (k *records[R]) makeNode(ctx context.Context, path string, text []byte) (again bool, err error) {
	for range maxLayoutTries {
		again, err = ask(ctx, k.s.link, func(c *zk.Conn, again bool) (bool, error) {
			_, err := c.Create(path, text, zk.FlagPersistent, k.s.ours())
			return again, err
		})
		if !errors.Is(err, zk.ErrNoNode) {
			return again, err
		}
		if err := k.makeFolder(ctx, path); err != nil {
			return false, err
		}
	}
	return again, err
}

// makeFolder makes what a record is in.
func (k *records[R]) makeFolder(ctx context.Context, path string) error {
	if k.levels == 1 {
		return k.s.remake(ctx)
	}
	err := k.s.folder(ctx, path[:strings.LastIndex(path, "/")], zk.FlagContainer)
	if errors.Is(err, zk.ErrNoNode) {
		return k.s.remake(ctx)
	}
	return err
}

func (k *records[R]) room() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.texts) >= k.limit {
		return fmt.Errorf("%w: %d records in %s", discovery.ErrFull, len(k.texts), k.root)
	}
	return nil
}

// remove deletes a record if there is one.
func (k *records[R]) remove(ctx context.Context, key ...string) error {
	if err := errors.Join(ctx.Err(), discovery.CheckKey(key...)); err != nil {
		return err
	}
	err := k.s.do(ctx, func(c *zk.Conn) error { return c.Delete(k.path(key), -1) })
	if errors.Is(err, zk.ErrNoNode) {
		err = nil
	}
	return k.settle(ctx, err)
}

// removeIf deletes the record of r if there is one and right has no error for it. Both requests have one
// limit: a gateway that was stopped between them deletes nothing.
func (k *records[R]) removeIf(ctx context.Context, r R, right func(old R) error) error {
	key := k.key(r)
	if err := errors.Join(ctx.Err(), discovery.CheckKey(key...)); err != nil {
		return err
	}
	path := k.path(key)
	ctx, cancel := bounded(ctx)
	defer cancel()
	for range maxRecordTries {
		text, version, err := k.read(ctx, path)
		if err != nil || text == nil {
			return k.settle(ctx, err)
		}
		var old R
		if err := k.decode(path, text, &old); err != nil {
			return err
		}
		if err := right(old); err != nil {
			return err
		}
		err = k.s.do(ctx, func(c *zk.Conn) error { return c.Delete(path, version) })
		switch {
		case errors.Is(err, zk.ErrNoNode):
			return k.settle(ctx, nil)
		case !errors.Is(err, zk.ErrBadVersion):
			return k.settle(ctx, err)
		}
	}
	return fmt.Errorf("%w: %s %s is changed by others all the time", discovery.ErrAway, k.what, strings.Join(key, " "))
}

// settle takes in what was written, which the server told of before it answered. What is written
// stays so if that fails.
func (k *records[R]) settle(ctx context.Context, err error) error {
	if err != nil {
		return fmt.Errorf("write a record (%s) in ZooKeeper: %w", k.what, err)
	}
	if err := k.s.tree.refresh(ctx); err != nil {
		k.s.tree.stir()
	}
	return nil
}

// follow tells all records and then each change.
func (k *records[R]) follow(ctx context.Context, told discovery.Told[R]) error {
	f := &follower[R]{told: told}
	if err := k.s.tree.begin(ctx); err != nil {
		return nil // ctx ended
	}
	all, err := k.all(ctx)
	for _, r := range all {
		f.tell(r, false)
	}
	k.mu.Lock()
	k.followers[f] = true
	k.mu.Unlock()
	k.s.tree.finish()
	if err == nil {
		<-ctx.Done()
	}
	k.mu.Lock()
	delete(k.followers, f)
	k.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	return ignoreEnd(ctx, err)
}

// ignoreEnd is nil for what only says that ctx has ended.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
