// SPDX-License-Identifier: Apache-2.0

package zookeeper

import "slices"

// watchers follow the names in one folder together.
type watchers struct {
	branch
	all   []*watcher // guarded by tree.mu, as newest is
	known bool
	names []string
}

// watcher has the newest names of a folder that it has not taken yet.
type watcher struct {
	of    *watchers
	names chan []string // capacity 1
}

// watch adds a watcher of a folder. It has the names after the next refresh.
func (t *tree) watch(folder string) *watcher {
	t.mu.Lock()
	defer t.mu.Unlock()
	group := t.mu.watchers[folder]
	if group == nil {
		group = &watchers{}
		group.branch = branch{root: folder, levels: 1, named: func(names []string) { t.takeInWatched(group, names) }}
		t.mu.watchers[folder] = group
		t.addLocked(folder, &entry{branch: &group.branch})
	}
	w := &watcher{of: group, names: make(chan []string, 1)}
	group.all = append(group.all, w)
	if group.known {
		w.names <- group.names
	}
	return w
}

func (t *tree) unwatch(w *watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.of.all = slices.DeleteFunc(w.of.all, func(other *watcher) bool { return other == w })
	if len(w.of.all) == 0 {
		delete(t.mu.watchers, w.of.root)
		delete(t.mu.entries, w.of.root)
	}
}

// takeInWatched is called by whoever refreshes.
func (t *tree) takeInWatched(group *watchers, names []string) {
	slices.Sort(names)
	t.mu.Lock()
	defer t.mu.Unlock()
	if group.known && slices.Equal(group.names, names) {
		return
	}
	group.names, group.known = names, true
	for _, w := range group.all {
		select {
		case <-w.names: // it has not looked yet
		default:
		}
		w.names <- names // nobody else sends
	}
}
