// SPDX-License-Identifier: Apache-2.0

package zookeeper

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"
)

// readers is how many nodes are read at once.
const readers = 32

// branch is a part of the tree that is followed: the nodes levels below root.
type branch struct {
	root   string
	levels int
	// named takes in the names of the nodes, of a branch of one level without changed.
	named func(names []string)
	// opaque says that a node which may not be read counts, as one without content.
	opaque bool
	// changed takes in the content of a node, or that it is gone.
	changed func(path string, data []byte, gone bool)
}

// entry is a node that is watched: its children (depth < levels) or its content.
type entry struct {
	*branch
	depth int
	known bool            // it was read, or is being read for the first time
	crowd bool            // it is not read, because there is too much in it
	armed bool            // the server will tell of the next change
	below map[string]bool // names of the entries below a list
}

func (e *entry) lists() bool { return e.depth < e.levels }

// tree is what is known of the nodes of all branches. Watches only mark nodes as changed; refresh
// reads those again, one caller at a time.
type tree struct {
	link *link
	same func(ctx context.Context) error // what is read next is what was read before, newer
	// count returns errCrowded for a list that is not to be read; nil: all are.
	count func(ctx context.Context, path string) error
	turn  chan struct{} // capacity 1: full while somebody refreshes
	wake  chan struct{} // capacity 1: full while there is something to do

	mu struct {
		sync.Mutex
		entries  map[string]*entry
		dirty    map[string]bool
		watchers map[string]*watchers // by folder
	}
}

func newTree(same func(ctx context.Context) error) *tree {
	t := &tree{same: same, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	t.mu.entries, t.mu.dirty, t.mu.watchers = map[string]*entry{}, map[string]bool{}, map[string]*watchers{}
	return t
}

// follow adds a branch, which the next refresh reads.
func (t *tree) follow(b *branch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.addLocked(b.root, &entry{branch: b})
}

func (t *tree) addLocked(path string, e *entry) {
	e.below = map[string]bool{}
	t.mu.entries[path] = e
	t.mu.dirty[path] = true
}

// event is called by the connection, which waits for it. After a gap all is read again: what changed
// meanwhile is told some time later only, and a new ZooKeeper session has no watches.
func (t *tree) event(e zk.Event) {
	t.mu.Lock()
	switch {
	case e.Type == zk.EventSession && e.State == zk.StateExpired:
		for _, entry := range t.mu.entries {
			entry.armed = false
		}
	case e.Type == zk.EventSession && e.State == zk.StateHasSession:
		for path := range t.mu.entries {
			t.mu.dirty[path] = true
		}
	case e.Type != zk.EventSession:
		if entry := t.mu.entries[e.Path]; entry != nil {
			entry.armed = false
			t.mu.dirty[e.Path] = true
		}
	}
	t.mu.Unlock()
	t.stir()
}

// stir wakes Run.
func (t *tree) stir() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// refresh reads what changed, with all that is new in it, and tells. When it returns nil, all that the
// server told of before the call is known here; what it tells of meanwhile is left to Run.
func (t *tree) refresh(ctx context.Context) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	defer t.finish()
	if err := t.same(ctx); err != nil {
		return err
	}
	for work := t.take(false); len(work) > 0; work = t.take(true) {
		if err := t.read(ctx, work); err != nil {
			return err
		}
	}
	if t.more() {
		t.stir()
	}
	return nil
}

func (t *tree) more() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.mu.dirty) > 0
}

// retry marks the lists that were crowded, and tells whether there are any.
func (t *tree) retry() (some bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for path, e := range t.mu.entries {
		if e.crowd {
			t.mu.dirty[path], some = true, true
		}
	}
	return some
}

// begin waits until nobody else refreshes or is being told.
func (t *tree) begin(ctx context.Context) error {
	select {
	case t.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *tree) finish() { <-t.turn }

// finding is how a node was found.
type finding struct {
	path  string
	entry *entry
	names []string
	data  []byte
	none  bool
	// hidden says that it is there and may not be read.
	hidden bool
	crowd  bool
	err    error
}

// take is what is to be read: all that is marked, or of that only what was never read.
func (t *tree) take(unknown bool) (work []*finding) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for path := range t.mu.dirty {
		e := t.mu.entries[path]
		if e != nil && unknown && e.known {
			continue
		}
		delete(t.mu.dirty, path)
		if e != nil {
			e.known = true
			work = append(work, &finding{path: path, entry: e})
		}
	}
	return work
}

// read reads nodes and takes in those that could be read. The others stay marked.
func (t *tree) read(ctx context.Context, work []*finding) error {
	var all errgroup.Group
	all.SetLimit(readers)
	for _, f := range work {
		all.Go(func() error {
			f.err = t.look(ctx, f)
			return f.err
		})
	}
	err := all.Wait()
	for _, f := range work {
		if f.err != nil {
			t.mark(f.path)
			continue
		}
		t.settle(f)
		t.takeIn(f)
	}
	return err
}

// settle keeps whether a list was read.
func (t *tree) settle(f *finding) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.entry.crowd = f.crowd
}

func (t *tree) mark(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.dirty[path] = true
}

// look reads one node, with a watch unless it has one. It counts as watched before the request, so
// that an event which comes with the answer is not lost.
func (t *tree) look(ctx context.Context, f *finding) (err error) {
	if f.entry.lists() && t.count != nil {
		err := t.count(ctx, f.path)
		if f.crowd = errors.Is(err, errCrowded); f.crowd {
			return nil
		}
		if err != nil {
			return err
		}
	}
	watch := t.arm(f.entry, true)
	if f.entry.lists() {
		f.names, err = readNames(ctx, t.link, f.path, watch)
	} else {
		f.data, err = readData(ctx, t.link, f.path, watch)
	}
	if err != nil && watch {
		t.arm(f.entry, false)
	}
	if errors.Is(err, zk.ErrNoAuth) && f.entry.depth > 0 {
		t.link.log.Warn("a node in ZooKeeper belongs to others and cannot be read", "path", f.path)
		f.hidden = true
		return nil
	}
	if !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	f.none = true
	if f.entry.depth > 0 { // its parent tells if it comes back
		return nil
	}
	return t.lookForRoot(ctx, f)
}

// lookForRoot has the server tell when a root is made.
func (t *tree) lookForRoot(ctx context.Context, f *finding) error {
	if !t.arm(f.entry, true) {
		return nil
	}
	found, err := ask(ctx, t.link, func(c *zk.Conn, _ bool) (bool, error) { found, _, _, err := c.ExistsW(f.path); return found, err })
	if err != nil || found {
		t.arm(f.entry, false)
	}
	if found { // made in between
		t.mark(f.path)
	}
	return err
}

// arm sets whether an entry is watched, and tells whether that is new.
func (t *tree) arm(e *entry, armed bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed := e.armed != armed
	e.armed = armed
	return changed
}

func readNames(ctx context.Context, l *link, path string, watch bool) ([]string, error) {
	return ask(ctx, l, func(c *zk.Conn, _ bool) (names []string, err error) {
		if watch {
			names, _, _, err = c.ChildrenW(path)
		} else {
			names, _, err = c.Children(path)
		}
		return names, err
	})
}

func readData(ctx context.Context, l *link, path string, watch bool) ([]byte, error) {
	return ask(ctx, l, func(c *zk.Conn, _ bool) (data []byte, err error) {
		if watch {
			data, _, _, err = c.GetW(path)
		} else {
			data, _, err = c.Get(path)
		}
		return data, err
	})
}

// takeIn keeps and tells what was found.
func (t *tree) takeIn(f *finding) {
	e := f.entry
	switch {
	case !t.follows(f): // its list was read at the same time, a moment later, and told that it is gone
	case f.crowd: // what is known of it stays
	case f.none && e.depth > 0:
		t.leave(f.path)
	case f.hidden: // it stays in the list of its parent, which may be read
		if !e.lists() {
			e.changed(f.path, nil, !e.opaque)
		}
	case !e.lists():
		e.changed(f.path, f.data, false)
	case e.named != nil:
		e.named(f.names)
	default:
		t.takeInNames(f)
	}
}

// follows says whether the node of f is followed still.
func (t *tree) follows(f *finding) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.entries[f.path] == f.entry
}

// takeInNames follows the nodes that are new in a list, and forgets those that are gone.
func (t *tree) takeInNames(f *finding) {
	there := map[string]bool{}
	for _, name := range f.names {
		there[name] = name != keeper
	}
	var gone []string
	t.mu.Lock()
	for name := range f.entry.below {
		if !there[name] {
			gone = append(gone, name)
			delete(f.entry.below, name)
		}
	}
	for name, counts := range there {
		if counts && !f.entry.below[name] {
			t.addLocked(f.path+"/"+name, &entry{branch: f.entry.branch, depth: f.entry.depth + 1})
			f.entry.below[name] = true
		}
	}
	t.mu.Unlock()
	for _, name := range gone {
		t.remove(f.path + "/" + name)
	}
}

// leave forgets a node that is gone, and has its parent read again: it may be back.
func (t *tree) leave(path string) {
	i := strings.LastIndex(path, "/")
	t.mu.Lock()
	if parent := t.mu.entries[path[:i]]; parent != nil {
		delete(parent.below, path[i+1:])
		t.mu.dirty[path[:i]] = true
	}
	t.mu.Unlock()
	t.remove(path)
}

// remove forgets a node with all below it.
func (t *tree) remove(path string) {
	t.mu.Lock()
	e := t.mu.entries[path]
	delete(t.mu.entries, path)
	t.mu.Unlock()
	switch {
	case e == nil:
	case !e.lists():
		e.changed(path, nil, true)
	default:
		for name := range e.below {
			t.remove(path + "/" + name)
		}
	}
}
